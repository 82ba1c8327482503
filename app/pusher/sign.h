/*
 * sign.h - the signatures of the protocol: hex of HMAC-SHA256 under the secret of an app's key.
 */
#ifndef APP_PUSHER_SIGN_H
#define APP_PUSHER_SIGN_H

#include <stdbool.h>

#include <weft/weft.h>

enum { PUSH_SHA256_HEX = 65, PUSH_MD5_HEX = 33 }; /* with the NUL */

/* False: libcrypto is out of memory. */
bool push_hmac_hex(const char *secret, const void *data, size_t len, char out_hex[PUSH_SHA256_HEX]);
bool push_md5_hex(const void *data, size_t len, char out_hex[PUSH_MD5_HEX]);

/* True when `given` is the signature of the data in hex, upper case or lower. It takes as long wherever they differ. */
bool push_signed(const char *secret, const void *data, size_t len, weft_text given);

#endif
