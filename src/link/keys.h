/*
 * keys.h - masking keys (RFC 6455 5.3, 10.3): the kernel's random bytes, fetched a thousand keys at a time.
 *
 * What a server, or a script that chooses what is sent, must not be able to do is to guess the next key from those it has
 * seen; the kernel's generator is made for that, and asked for 4 KiB at once it costs less than a key's use.
 */
#ifndef WF_LINK_KEYS_H
#define WF_LINK_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum { WF_MASK_KEYS_BYTES = 4096 };

/* All zero: none fetched yet. One per loop. */
typedef struct wf_mask_keys {
    size_t left; /* bytes at the end of `bytes` that nobody has had */
    uint8_t bytes[WF_MASK_KEYS_BYTES];
} wf_mask_keys;

/* A key nobody has had. WF_OK, or WF_ESYS with errno: the kernel gives none. */
int wf_mask_key(wf_mask_keys *keys, uint8_t out_key[4]);

/* As many bytes of the same kind; len <= WF_MASK_KEYS_BYTES. */
int wf_mask_random(wf_mask_keys *keys, uint8_t *out, size_t len);

#endif
