/*
 * jwt.h - JSON Web Tokens (RFC 7519) for one who receives them: keys and a token in, claims or a reason out. No clock,
 * no file but the one of the keys, no state. Signatures are libjose's business; what is ours is which key may have made
 * which (RFC 8725): the algorithm belongs to the key and is HS256, RS256 or ES256, so a token never chooses how it is
 * judged.
 */
#ifndef APP_JWT_H
#define APP_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include <weft/weft.h>

enum {
    JWT_TOKEN_MAX = 4096, /* bytes */
    JWT_KEYS_MAX = 16,
    JWT_TRIES_MAX = 4,              /* keys that one token may have us try, for each costs up to 0.2 ms */
    JWT_KEYS_BYTES_MAX = 64 * 1024, /* of a file */
    JWT_SECRET_MIN = 32,            /* bytes, as HS256 has (RFC 7518 3.2) */
    JWT_SECRET_MAX = 1024,
    JWT_RSA_BITS_MIN = 2048, /* RFC 7518 3.3 */
    JWT_RSA_BITS_MAX = 8192,
    JWT_TEXT_MAX = 128,   /* bytes of a kid, and of a subject */
    JWT_LEEWAY_MS = 10000 /* that clocks may differ */
};

/* ---- keys ---- */

/* Never changes: any thread may use it, and whoever holds a reference. */
typedef struct jwt_keys jwt_keys;

/*
 * From a JWK Set or one JWK (RFC 7517); from PEM, public keys and certificates, of which only the keys are looked at;
 * or from one line of text, a secret for HS256. Of a set, keys that are for something else are passed over, as
 * RFC 7517 5 asks. NULL: `why` says what is wrong with it, and nothing of what it holds.
 */
jwt_keys *jwt_keys_parse(weft_text text, char *why, size_t cap);
jwt_keys *jwt_keys_read(const char *file, char *why, size_t cap);

jwt_keys *jwt_keys_ref(jwt_keys *keys);
void jwt_keys_unref(jwt_keys *keys); /* NULL is accepted */

/* At least one; *out_passed_over: more that the set has. */
size_t jwt_keys_count(const jwt_keys *keys, size_t *out_passed_over);

/* ---- tokens ---- */

typedef struct jwt_rules {
    const char *issuer;   /* that `iss` is to be; NULL: any, or none */
    const char *audience; /* that is in `aud`; NULL: the token may not have one (RFC 7519 4.1.3) */
    bool endless;         /* `exp` may be missing */
    uint64_t now_ms;      /* since 1970 */
} jwt_rules;

typedef struct jwt {
    json_t *claims;      /* an object; a reference */
    const char *subject; /* `sub`, at most JWT_TEXT_MAX bytes; NULL: it has none. Lives as long as the claims */
    uint64_t ends_ms;    /* since 1970, no more valid from here on: `exp` and the leeway; 0: never */
} jwt;

/* NULL: it is valid, and *out is to be freed. Else why not: a few words of printable ASCII without quotes, that say
 * nothing of keys. */
const char *jwt_verify(const jwt_keys *keys, weft_text token, const jwt_rules *rules, jwt *out);
void jwt_free(jwt *token);

#endif
