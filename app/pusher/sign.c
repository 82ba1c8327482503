#include "app/pusher/sign.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

enum { SHA256_BYTES = 32, MD5_BYTES = 16 };

static void to_hex(const unsigned char *bytes, size_t count, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

static bool hmac(const char *secret, const void *data, size_t len, unsigned char out[SHA256_BYTES]) {
    unsigned int out_len = 0;
    return HMAC(EVP_sha256(), secret, (int)strlen(secret), data, len, out, &out_len) && out_len == SHA256_BYTES;
}

bool push_hmac_hex(const char *secret, const void *data, size_t len, char out_hex[PUSH_SHA256_HEX]) {
    unsigned char bytes[SHA256_BYTES];
    if (!hmac(secret, data, len, bytes))
        return false;
    to_hex(bytes, sizeof bytes, out_hex);
    return true;
}

bool push_md5_hex(const void *data, size_t len, char out_hex[PUSH_MD5_HEX]) {
    unsigned char bytes[MD5_BYTES];
    unsigned int out_len = 0;
    if (!EVP_Digest(data, len, bytes, &out_len, EVP_md5(), NULL) || out_len != sizeof bytes)
        return false;
    to_hex(bytes, sizeof bytes, out_hex);
    return true;
}

static int value_of(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool push_signed(const char *secret, const void *data, size_t len, weft_text given) {
    unsigned char expected[SHA256_BYTES], bytes[SHA256_BYTES];
    if (given.len != 2 * sizeof bytes || !hmac(secret, data, len, expected))
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        int high = value_of(given.data[2 * i]), low = value_of(given.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    return CRYPTO_memcmp(bytes, expected, sizeof bytes) == 0;
}
