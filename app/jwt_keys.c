/*
 * Keys for judging tokens, from whatever people keep them in. Each becomes a JWK of only what its kind needs, with the
 * one algorithm it is for, and OpenSSL has found it to be a key before any token asks for it.
 *
 * A file that was meant as a public key must never be read as a secret: everybody knows what is in it, and could sign.
 * So a secret is one line of text that looks like no public key of any kind.
 */
#include "app/jwt_impl.h"

#include "app/pusher/json.h"
#include "app/pusher/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jose/b64.h>
#include <jose/openssl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

typedef struct reader {
    jwt_keys *keys;
    char *why;
    size_t cap;
} reader;

static bool bad(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool bad(const reader *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->why, r->cap, format, args);
    va_end(args);
    return false;
}

static void ignore(void *misc, const char *file, int line, uint64_t error, const char *format, va_list args) {
    (void)misc, (void)file, (void)line, (void)error, (void)format, (void)args;
}

jose_cfg_t *jwt_silent(void) {
    jose_cfg_t *cfg = jose_cfg();
    if (cfg)
        jose_cfg_set_err_func(cfg, ignore, NULL);
    return cfg;
}

/* ---- one key ---- */

static bool is(const json_t *object, const char *name, const char *value) {
    return push_text_equal(push_json_text(object, name), push_str(value));
}

/* The algorithm that a key of this kind is for; NULL: none of ours. */
static const char *alg_of(const json_t *jwk) {
    if (is(jwk, "kty", "oct"))
        return "HS256";
    if (is(jwk, "kty", "RSA"))
        return "RS256";
    return is(jwk, "kty", "EC") && is(jwk, "crv", "P-256") ? "ES256" : NULL;
}

static bool lists(const json_t *array, const char *word) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *each = json_string_value(json_array_get(array, i));
        if (each && strcmp(each, word) == 0)
            return true;
    }
    return false;
}

/* It is for something else than verifying with our algorithms. */
static bool is_foreign(const json_t *jwk, const char *alg) {
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");
    return !alg || (use && !is(jwk, "use", "sig")) || (ops && !lists(ops, "verify")) ||
           (json_object_get(jwk, "alg") && !is(jwk, "alg", alg));
}

static bool secret_ok(const reader *r, const json_t *jwk, size_t number) {
    uint8_t bytes[JWT_SECRET_MAX];
    const json_t *k = json_object_get(jwk, "k");
    size_t len = jose_b64_dec(k, NULL, 0);
    if (len != SIZE_MAX && (len < JWT_SECRET_MIN || len > JWT_SECRET_MAX))
        return bad(r, "key %zu: a secret for HS256 has %d to %d bytes, and this one %zu", number, JWT_SECRET_MIN,
                   JWT_SECRET_MAX, len);
    bool good = len != SIZE_MAX && jose_b64_dec(k, bytes, sizeof bytes) == len;
    OPENSSL_cleanse(bytes, sizeof bytes);
    return good || bad(r, "key %zu: k is no base64url", number);
}

static bool public_ok(const reader *r, jose_cfg_t *cfg, const json_t *jwk, size_t number) {
    EVP_PKEY *key = jose_openssl_jwk_to_EVP_PKEY(cfg, jwk);
    int bits = key ? EVP_PKEY_get_bits(key) : 0;
    bool rsa = key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (!key)
        return bad(r, "key %zu is none: its numbers are not those of a public key", number);
    if (rsa && (bits < JWT_RSA_BITS_MIN || bits > JWT_RSA_BITS_MAX))
        return bad(r, "key %zu: a key for RS256 has %d to %d bits, and this one %d", number, JWT_RSA_BITS_MIN,
                   JWT_RSA_BITS_MAX, bits);
    return true;
}

/* A JWK of what this kind needs (RFC 7518 6), and the algorithm; NULL: memory is out. A part that is missing or wrong
 * is found when OpenSSL is shown the key. */
static json_t *bare_jwk(const json_t *jwk, const char *alg) {
    static const char *const secret[] = {"k", NULL}, *const rsa[] = {"n", "e", NULL},
                             *const ec[] = {"crv", "x", "y", NULL};
    const char *const *parts = alg[0] == 'H' ? secret : alg[0] == 'R' ? rsa : ec;
    json_t *bare = json_pack("{s:O,s:s}", "kty", json_object_get(jwk, "kty"), "alg", alg);
    for (; bare && *parts; parts++) {
        json_t *part = json_object_get(jwk, *parts);
        if (part && json_object_set(bare, *parts, part) < 0) {
            json_decref(bare);
            return NULL;
        }
    }
    return bare;
}

/* Takes one in, or passes it over. `number` counts from 1, for people. */
static bool add_jwk(const reader *r, const json_t *jwk, size_t number) {
    jwt_keys *keys = r->keys;
    const char *alg = alg_of(jwk);
    const json_t *kid = json_object_get(jwk, "kid");
    if (!json_is_string(json_object_get(jwk, "kty")))
        return bad(r, "key %zu is none: it has no kty", number);
    if (is_foreign(jwk, alg)) {
        keys->passed_over++;
        return true;
    }
    if (keys->count == JWT_KEYS_MAX)
        return bad(r, "there are more than %d keys", JWT_KEYS_MAX);
    if (json_object_get(jwk, "d"))
        return bad(r, "key %zu is a private one: only its public part belongs here", number);
    if (kid && (!json_is_string(kid) || json_string_length(kid) > JWT_TEXT_MAX ||
                strlen(json_string_value(kid)) != json_string_length(kid)))
        return bad(r, "key %zu: its kid is no text of at most %d bytes", number, JWT_TEXT_MAX);
    jwt_key key = {bare_jwk(jwk, alg), alg, kid ? strdup(json_string_value(kid)) : NULL};
    jose_cfg_t *cfg = jwt_silent();
    bool good = key.jwk && cfg && (!kid || key.kid);
    if (!good)
        bad(r, "out of memory");
    else
        good = alg[0] == 'H' ? secret_ok(r, key.jwk, number) : public_ok(r, cfg, key.jwk, number);
    if (cfg)
        jose_cfg_decref(cfg);
    if (good) {
        keys->list[keys->count++] = key;
        return true;
    }
    json_decref(key.jwk);
    free(key.kid);
    return false;
}

/* ---- a JWK Set ---- */

static bool read_json(const reader *r, weft_text text) {
    json_t *json = push_json_parse(text), *list = json_object_get(json, "keys");
    bool good = true;
    if (!json_is_object(json))
        good = bad(r, "it is no JSON object, nests too deep or has a name twice");
    else if (!list)
        good = add_jwk(r, json, 1);
    else if (!json_is_array(list))
        good = bad(r, "its keys are no array");
    for (size_t i = 0; good && i < json_array_size(list); i++)
        good = add_jwk(r, json_array_get(list, i), i + 1);
    json_decref(json);
    if (good && r->keys->count == 0)
        return bad(r, "it has no key for HS256, RS256 or ES256");
    return good;
}

/* ---- PEM ---- */

static EVP_PKEY *key_of_certificate(const unsigned char *der, long len) {
    X509 *certificate = d2i_X509(NULL, &der, len);
    EVP_PKEY *key = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

static EVP_PKEY *key_of_block(const char *name, const unsigned char *der, long len) {
    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        return d2i_PUBKEY(NULL, &der, len);
    if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0)
        return d2i_PublicKey(EVP_PKEY_RSA, NULL, &der, len);
    return strcmp(name, PEM_STRING_X509) == 0 ? key_of_certificate(der, len) : NULL;
}

static bool add_block(const reader *r, const char *name, const unsigned char *der, long len) {
    size_t number = r->keys->count + 1;
    if (strstr(name, "PRIVATE KEY"))
        return bad(r, "key %zu is a private one: only its public part belongs here", number);
    EVP_PKEY *key = key_of_block(name, der, len);
    jose_cfg_t *cfg = jwt_silent();
    json_t *jwk = key && cfg ? jose_openssl_jwk_from_EVP_PKEY(cfg, key) : NULL;
    bool good = jwk && alg_of(jwk);
    if (good)
        good = add_jwk(r, jwk, number);
    else
        bad(r, "key %zu is no public key or certificate with one, RSA or EC on P-256", number);
    json_decref(jwk);
    if (cfg)
        jose_cfg_decref(cfg);
    EVP_PKEY_free(key);
    return good;
}

static bool read_pem(const reader *r, weft_text text) {
    BIO *bio = BIO_new_mem_buf(text.data, (int)text.len);
    char *name, *header;
    unsigned char *der;
    long len;
    bool good = bio != NULL;
    ERR_clear_error();
    while (good && PEM_read_bio(bio, &name, &header, &der, &len) == 1) {
        good = add_block(r, name, der, len);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)len);
    }
    if (good && (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || r->keys->count == 0))
        good = bad(r, "its PEM is broken behind %zu keys", r->keys->count);
    ERR_clear_error();
    BIO_free(bio);
    return good;
}

/* ---- a secret ---- */

/* The base64 of a public key without the lines around it, as some show theirs. */
static bool is_bare_key(weft_text line) {
    unsigned char der[JWT_SECRET_MAX];
    const unsigned char *at = der;
    if (line.len % 4 != 0 || line.len > JWT_SECRET_MAX)
        return false;
    int len = EVP_DecodeBlock(der, (const unsigned char *)line.data, (int)line.len);
    EVP_PKEY *key = len > 0 ? d2i_PUBKEY(NULL, &at, len) : NULL;
    if (!key && len > 0)
        key = key_of_certificate(der, len);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return key != NULL;
}

static bool read_secret(const reader *r, weft_text line) {
    if (line.len > 0 && line.data[line.len - 1] == '\n')
        line.len--;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] < ' ' || line.data[i] > '~')
            return bad(r, "it is no JWK Set, no PEM, and as a secret no line of printable ASCII");
    if (push_text_begins(line, "ssh-") || push_text_begins(line, "ecdsa-") || is_bare_key(line))
        return bad(r, "it is a public key, but neither as PEM nor as a JWK");
    json_t *jwk = json_object(), *k = jose_b64_enc(line.data, line.len);
    bool good = json_object_set_new(jwk, "kty", json_string("oct")) == 0 && json_object_set(jwk, "k", k) == 0;
    good = good ? add_jwk(r, jwk, 1) : bad(r, "out of memory");
    json_decref(k);
    json_decref(jwk);
    return good;
}

/* ---- all of them ---- */

/* Those without a kid are tried for every token of their algorithm. */
static bool few_without_kid(const reader *r) {
    const jwt_keys *keys = r->keys;
    for (size_t i = 0, count; i < keys->count; i++) {
        count = 0;
        for (size_t at = 0; at < keys->count; at++)
            count += !keys->list[at].kid && keys->list[at].alg == keys->list[i].alg;
        if (count > JWT_TRIES_MAX)
            return bad(r, "it has %zu keys for %s without a kid, and %d are tried at most", count, keys->list[i].alg,
                       JWT_TRIES_MAX);
    }
    return true;
}

jwt_keys *jwt_keys_parse(weft_text text, char *why, size_t cap) {
    reader r = {calloc(1, sizeof(jwt_keys)), why, cap};
    size_t space = 0;
    bool good = r.keys != NULL;
    if (!good)
        return bad(&r, "out of memory"), NULL;
    atomic_init(&r.keys->refs, 1);
    while (space < text.len && strchr(" \t\r\n", text.data[space]))
        space++;
    if (text.len > JWT_KEYS_BYTES_MAX)
        good = bad(&r, "it is longer than %d bytes", JWT_KEYS_BYTES_MAX);
    else if (space == text.len)
        good = bad(&r, "it is empty");
    else if (text.data[space] == '{')
        good = read_json(&r, text);
    else if (memmem(text.data, text.len, "-----BEGIN ", 11))
        good = read_pem(&r, text);
    else
        good = read_secret(&r, text);
    if (good && few_without_kid(&r))
        return r.keys;
    jwt_keys_unref(r.keys);
    return NULL;
}

jwt_keys *jwt_keys_read(const char *file, char *why, size_t cap) {
    char *text = malloc(JWT_KEYS_BYTES_MAX + 1);
    FILE *in = text ? fopen(file, "re") : NULL;
    size_t len = in ? fread(text, 1, JWT_KEYS_BYTES_MAX + 1, in) : 0;
    jwt_keys *keys = NULL;
    if (!in || ferror(in))
        snprintf(why, cap, "%s", strerror(errno));
    else
        keys = jwt_keys_parse((weft_text) {text, len}, why, cap);
    if (in)
        fclose(in);
    if (text)
        OPENSSL_cleanse(text, JWT_KEYS_BYTES_MAX + 1);
    free(text);
    return keys;
}

jwt_keys *jwt_keys_ref(jwt_keys *keys) {
    atomic_fetch_add(&keys->refs, 1);
    return keys;
}

void jwt_keys_unref(jwt_keys *keys) {
    if (!keys || atomic_fetch_sub(&keys->refs, 1) > 1)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        json_decref(keys->list[i].jwk);
        free(keys->list[i].kid);
    }
    free(keys);
}

size_t jwt_keys_count(const jwt_keys *keys, size_t *out_passed_over) {
    *out_passed_over = keys->passed_over;
    return keys->count;
}
