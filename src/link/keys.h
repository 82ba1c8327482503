/*
 * keys.h - masking keys (RFC 6455 5.3, 10.3): from libcrypto's generator, a thousand at a time.
 *
 * What a server, or a script that chooses what is sent, must not be able to do is to guess the next key from those it
 * has seen. The generator is seeded by the kernel and made for that; 4 KiB at once, a key costs 2 to 5 ns. The
 * kernel's own bytes (getrandom) cost 26.
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

/* A key nobody has had. WF_OK, or WF_ESYS with errno EIO: there is no randomness. */
int wf_mask_key(wf_mask_keys *keys, uint8_t out_key[4]);

/* As many bytes of the same kind; len <= WF_MASK_KEYS_BYTES. */
int wf_mask_random(wf_mask_keys *keys, uint8_t *out, size_t len);

#endif
