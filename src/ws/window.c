#include "ws/window.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/status.h"

#include <string.h>

enum { FIRST_BYTES = 256 };

void wf_window_init(wf_window *w, unsigned bits) {
    *w = (wf_window) {.bytes_max = bits ? 1u << bits : 0};
}

void wf_window_deinit(wf_window *w) {
    wf_mem_free(w->data);
    *w = (wf_window) {.bytes_max = w->bytes_max};
}

static int grow(wf_window *w, size_t need) {
    size_t cap = w->cap ? w->cap : FIRST_BYTES, most = w->bytes_max + w->bytes_max / 16;
    while (cap < need)
        cap *= 2;
    if (cap >= w->bytes_max)
        cap = most;
    uint8_t *data = wf_mem_resize(w->data, cap);
    if (!data)
        return WF_ENOMEM;
    w->data = data;
    w->cap = (uint32_t)cap;
    return WF_OK;
}

int wf_window_append(wf_window *w, const uint8_t *data, size_t len) {
    if (len > w->bytes_max) {
        data += len - w->bytes_max;
        len = w->bytes_max;
    }
    if (len == 0)
        return WF_OK;
    uint32_t keep = w->len < w->bytes_max - (uint32_t)len ? w->len : w->bytes_max - (uint32_t)len;
    if (keep + len > w->cap && grow(w, keep + len) < 0)
        return WF_ENOMEM;
    w->start += w->len - keep;
    if (w->start + keep + len > w->cap) {
        memmove(w->data, w->data + w->start, keep);
        w->start = 0;
    }
    memcpy(w->data + w->start + keep, data, len);
    w->len = keep + (uint32_t)len;
    return WF_OK;
}

void wf_window_check(const wf_window *w) {
    wf_assert(w->len <= w->bytes_max);
    wf_assert(w->start + w->len <= w->cap && w->cap <= w->bytes_max + w->bytes_max / 16);
    wf_assert((w->data == NULL) == (w->cap == 0));
}
