#include "link/keys.h"

#include "base/status.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Half a fetch, which a signal can leave (getrandom(2)), is as good as a whole one, from `len` bytes on. */
static int fetch(wf_mask_keys *keys, size_t len) {
    ssize_t got;
    do {
        got = getrandom(keys->bytes, sizeof keys->bytes, 0);
    } while ((got < 0 && errno == EINTR) || (got >= 0 && (size_t)got < len));
    if (got < 0)
        return WF_ESYS;
    keys->left = (size_t)got;
    memmove(keys->bytes + sizeof keys->bytes - keys->left, keys->bytes, keys->left);
    return WF_OK;
}

int wf_mask_random(wf_mask_keys *keys, uint8_t *out, size_t len) {
    if (keys->left < len && fetch(keys, len) < 0)
        return WF_ESYS;
    memcpy(out, keys->bytes + sizeof keys->bytes - keys->left, len);
    keys->left -= len;
    return WF_OK;
}

int wf_mask_key(wf_mask_keys *keys, uint8_t out_key[4]) {
    return wf_mask_random(keys, out_key, 4);
}
