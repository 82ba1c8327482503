#include "link/keys.h"

#include "base/status.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

int wf_mask_random(wf_mask_keys *keys, uint8_t *out, size_t len) {
    if (keys->left < len) {
        if (RAND_bytes(keys->bytes, sizeof keys->bytes) != 1) {
            errno = EIO;
            return WF_ESYS;
        }
        keys->left = sizeof keys->bytes;
    }
    memcpy(out, keys->bytes + sizeof keys->bytes - keys->left, len);
    keys->left -= len;
    return WF_OK;
}

int wf_mask_key(wf_mask_keys *keys, uint8_t out_key[4]) {
    return wf_mask_random(keys, out_key, 4);
}
