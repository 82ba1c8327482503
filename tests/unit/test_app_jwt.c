/*
 * JSON Web Tokens: signed here with OpenSSL alone, judged by app/jwt.c.
 */
#include "app/jwt.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include <jose/openssl.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define NOW    1000000000 /* ms */
#define SECRET "0123456789abcdef0123456789abcdef"

typedef char token_text[8192];

/* ---- a signer ---- */

static void base64url(char *out, const void *data, size_t len) {
    int n = EVP_EncodeBlock((unsigned char *)out, data, (int)len);
    while (n > 0 && out[n - 1] == '=')
        n--;
    out[n] = '\0';
    for (; *out; out++)
        *out = *out == '+' ? '-' : *out == '/' ? '_' : *out;
}

static EVP_PKEY *rsa_key(int which) {
    static EVP_PKEY *keys[2];
    if (!keys[which])
        keys[which] = EVP_RSA_gen(2048);
    return keys[which];
}

static EVP_PKEY *ec_key(int which) {
    static EVP_PKEY *keys[2];
    if (!keys[which])
        keys[which] = EVP_EC_gen("P-256");
    return keys[which];
}

/* The numbers of an ECDSA signature as JWS has them (RFC 7518 3.4). */
static size_t bare_ecdsa(uint8_t *signature, size_t len) {
    const uint8_t *der = signature;
    ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &der, (long)len);
    uint8_t bare[64];
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(numbers), bare, 32) == 32);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(numbers), bare + 32, 32) == 32);
    ECDSA_SIG_free(numbers);
    memcpy(signature, bare, sizeof bare);
    return sizeof bare;
}

static size_t sign(uint8_t *signature, size_t cap, EVP_PKEY *key, const char *text) {
    if (!key) {
        unsigned len;
        HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (const uint8_t *)text, strlen(text), signature, &len);
        return len;
    }
    size_t len = cap;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1);
    CHECK(EVP_DigestSign(ctx, signature, &len, (const uint8_t *)text, strlen(text)) == 1);
    EVP_MD_CTX_free(ctx);
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC ? bare_ecdsa(signature, len) : len;
}

/* Key NULL: the secret. */
static const char *make(EVP_PKEY *key, const char *header, const char *claims) {
    static token_text token;
    uint8_t signature[1024];
    base64url(token, header, strlen(header));
    strcat(token, ".");
    base64url(token + strlen(token), claims, strlen(claims));
    size_t len = sign(signature, sizeof signature, key, token);
    strcat(token, ".");
    base64url(token + strlen(token), signature, len);
    return token;
}

#define HS256 "{\"alg\":\"HS256\"}"
#define RS256 "{\"alg\":\"RS256\"}"
#define ES256 "{\"alg\":\"ES256\"}"
#define LIVES "{\"exp\":1000100}"

/* ---- keys ---- */

static char why_not[256];

static weft_text text_of(const char *text) {
    return (weft_text) {text, strlen(text)};
}

static jwt_keys *parse(const char *text) {
    why_not[0] = '\0';
    jwt_keys *keys = jwt_keys_parse(text_of(text), why_not, sizeof why_not);
    CHECK_EQ(ERR_peek_error(), 0);
    return keys;
}

static jwt_keys *good_keys(const char *text) {
    jwt_keys *keys = parse(text);
    if (!keys)
        test_fail(__FILE__, __LINE__, "%s", why_not);
    return keys;
}

static const char *pem_of(EVP_PKEY *key) {
    static char pem[4096];
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PUBKEY(bio, key) == 1);
    pem[BIO_read(bio, pem, sizeof pem - 1)] = '\0';
    BIO_free(bio);
    return pem;
}

/* As a member of a set: with its kid, and whatever stands in `more`. */
static const char *jwk_of(EVP_PKEY *key, const char *kid, const char *more) {
    static char jwk[4096];
    json_t *json = jose_openssl_jwk_from_EVP_PKEY(NULL, key), *others = json_loads(more, 0, NULL);
    json_object_del(json, "d");
    for (const char *const *name = (const char *const[]) {"p", "q", "dp", "dq", "qi", NULL}; *name; name++)
        json_object_del(json, *name);
    if (kid)
        json_object_set_new(json, "kid", json_string(kid));
    json_object_update(json, others);
    jwk[json_dumpb(json, jwk, sizeof jwk - 1, 0)] = '\0';
    json_decref(json);
    json_decref(others);
    return jwk;
}

/* All three kinds, with kids. */
static jwt_keys *all_keys(void) {
    static char set[8192];
    char k[64];
    base64url(k, SECRET, sizeof SECRET - 1);
    int n = snprintf(set, sizeof set, "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\",\"k\":\"%s\"}", k);
    n += snprintf(set + n, sizeof set - (size_t)n, ",%s",
                  jwk_of(rsa_key(0), "r", "{\"alg\":\"RS256\",\"use\":\"sig\"}"));
    snprintf(set + n, sizeof set - (size_t)n, ",%s]}", jwk_of(ec_key(0), "e", "{\"key_ops\":[\"verify\"]}"));
    return good_keys(set);
}

/* ---- judging ---- */

static jwt_rules rules = {NULL, NULL, false, NOW};

/* NULL: valid. */
static const char *judge(jwt_keys *keys, const char *token) {
    jwt found = {0};
    const char *why = jwt_verify(keys, text_of(token), &rules, &found);
    if (!why)
        jwt_free(&found);
    else
        CHECK(found.claims == NULL);
    CHECK_EQ(ERR_peek_error(), 0); /* that of a connection's TLS would be read behind it */
    return why;
}

static void refused(jwt_keys *keys, const char *token, const char *because) {
    const char *why = judge(keys, token);
    if (!why || !strstr(why, because))
        test_fail(__FILE__, __LINE__, "\"%s\", not \"%s\": %s", why ? why : "(valid)", because, token);
}

static void valid(jwt_keys *keys, const char *token) {
    const char *why = judge(keys, token);
    if (why)
        test_fail(__FILE__, __LINE__, "\"%s\": %s", why, token);
}

static const char wrong[] = "its signature is wrong", no_key[] = "there is no key for its alg and kid";

TEST(rfc7515_appendix_a) {
    static const struct {
        const char *keys, *token;
    } rows[] = {
        {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
         "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
         "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
         "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"
         "4qPCJrcS2mJ"
         "PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
         "bSf63kpaSHSXndS5z5rexMdbBYUs"
         "LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
         "h9iaGNj8"
         "q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}",
         "eyJhbGciOiJSUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
         "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
         "O8W2Fp5jujGbds9uJdbF9CUAr7t"
         "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--"
         "xi12j"
         "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
         "IoypGlUPQ"
         "Ge77Rw"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
         "eyJhbGciOiJFUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
         "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
    };
    rules.now_ms = 1300819380000;
    rules.issuer = "joe";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        jwt_keys *keys = good_keys(rows[i].keys);
        valid(keys, rows[i].token);
        rules.now_ms += JWT_LEEWAY_MS;
        refused(keys, rows[i].token, "it has expired");
        rules.now_ms -= JWT_LEEWAY_MS;
        for (size_t other = 0; other < sizeof rows / sizeof rows[0]; other++)
            if (other != i)
                refused(keys, rows[other].token, no_key);
        jwt_keys_unref(keys);
    }
    rules = (jwt_rules) {NULL, NULL, false, NOW};
}

TEST(each_algorithm_from_each_kind_of_file) {
    static const char *const headers[] = {HS256, RS256, ES256};
    EVP_PKEY *signers[] = {NULL, rsa_key(0), ec_key(0)};
    jwt_keys *all = all_keys();
    size_t passed_over;
    CHECK_EQ(jwt_keys_count(all, &passed_over), 3);
    CHECK_EQ(passed_over, 0);
    for (size_t i = 0; i < 3; i++) {
        jwt_keys *own = good_keys(i ? pem_of(signers[i]) : SECRET "\r\n");
        CHECK_EQ(jwt_keys_count(own, &passed_over), 1);
        for (size_t other = 0; other < 3; other++) {
            const char *token = make(signers[other], headers[other], LIVES);
            valid(all, token);
            if (other == i)
                valid(own, token);
            else
                refused(own, token, no_key);
        }
        jwt_keys_unref(own);
    }
    jwt_keys_unref(all);
}

TEST(several_keys_are_good_at_once) {
    char two[8192];
    snprintf(two, sizeof two, "the old one:\n%s", pem_of(rsa_key(0)));
    strcat(two, pem_of(rsa_key(1)));
    jwt_keys *keys = good_keys(two), *same = jwt_keys_ref(keys);
    for (int i = 0; i < 2; i++)
        valid(keys, make(rsa_key(i), RS256, LIVES));
    valid(keys, make(rsa_key(1), "{\"alg\":\"RS256\",\"kid\":\"theirs\"}", LIVES)); /* PEM has no kid */
    jwt_keys_unref(keys);
    refused(same, make(ec_key(0), ES256, LIVES), no_key);
    jwt_keys_unref(same);
    jwt_keys_unref(NULL);
}

TEST(so_many_without_a_kid) {
    char many[8192] = "";
    for (int i = 0; i < JWT_TRIES_MAX; i++)
        strcat(many, pem_of(ec_key(i == JWT_TRIES_MAX - 1)));
    strcat(many, pem_of(rsa_key(0)));
    jwt_keys *keys = good_keys(many);
    valid(keys, make(ec_key(1), ES256, LIVES));
    valid(keys, make(rsa_key(0), RS256, LIVES));
    refused(keys, make(rsa_key(1), ES256, LIVES), wrong);
    jwt_keys_unref(keys);
    strcat(many, pem_of(ec_key(0)));
    CHECK(!parse(many));
    CHECK_STR(why_not, "it has 5 keys for ES256 without a kid, and 4 are tried at most");
}

TEST(a_kid_chooses) {
    char set[8192];
    int n = snprintf(set, sizeof set, "{\"keys\":[%s,", jwk_of(ec_key(0), "one", "{}"));
    snprintf(set + n, sizeof set - (size_t)n, "%s]}", jwk_of(ec_key(1), "two", "{}"));
    jwt_keys *keys = good_keys(set);
    valid(keys, make(ec_key(0), "{\"alg\":\"ES256\",\"kid\":\"one\"}", LIVES));
    valid(keys, make(ec_key(1), "{\"alg\":\"ES256\",\"kid\":\"two\"}", LIVES));
    valid(keys, make(ec_key(1), ES256, LIVES));
    refused(keys, make(ec_key(1), "{\"alg\":\"ES256\",\"kid\":\"one\"}", LIVES), wrong);
    refused(keys, make(ec_key(1), "{\"alg\":\"ES256\",\"kid\":\"three\"}", LIVES), no_key);
    refused(keys, make(ec_key(1), "{\"alg\":\"ES256\",\"kid\":\"two\\u0000\"}", LIVES), no_key);
    refused(keys, make(ec_key(1), "{\"alg\":\"ES256\",\"kid\":2}", LIVES), "kid is no text");
    jwt_keys_unref(keys);
}

TEST(the_algorithm_belongs_to_the_key) {
    static const char *const algs[] = {"none",  "None",  "NONE",  "",      "HS384",  "HS512",        "RS384",
                                       "PS256", "ES384", "EdDSA", "hs256", "RS256 ", "HS256\\u0000", "RSA1_5"};
    jwt_keys *all = all_keys();
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        char header[128];
        snprintf(header, sizeof header, "{\"alg\":\"%s\"}", algs[i]);
        refused(all, make(NULL, header, LIVES), no_key);
        refused(all, make(rsa_key(0), header, LIVES), no_key);
        char *token = strdup(make(NULL, header, LIVES)); /* and without a signature */
        strrchr(token, '.')[1] = '\0';
        refused(all, token, "not three parts");
        free(token);
    }
    refused(all, make(rsa_key(0), ES256, LIVES), wrong);
    refused(all, make(ec_key(0), RS256, LIVES), wrong);
    refused(all, make(ec_key(0), HS256, LIVES), wrong);
    refused(all, make(NULL, "{}", LIVES), "no alg");
    refused(all, make(NULL, "{\"alg\":[\"HS256\"]}", LIVES), "no alg");
    jwt_keys_unref(all);
}

/* HS256 with what everybody knows as the secret. */
TEST(a_public_key_is_no_secret) {
    static token_text token;
    char pem[4096];
    snprintf(pem, sizeof pem, "%s", pem_of(rsa_key(0)));
    jwt_keys *keys = good_keys(pem);
    for (size_t len = strlen(pem) - 1; len <= strlen(pem); len++) {
        uint8_t mac[32];
        unsigned mac_len;
        base64url(token, HS256, strlen(HS256));
        strcat(token, ".");
        base64url(token + strlen(token), LIVES, strlen(LIVES));
        HMAC(EVP_sha256(), pem, (int)len, (uint8_t *)token, strlen(token), mac, &mac_len);
        strcat(token, ".");
        base64url(token + strlen(token), mac, mac_len);
        refused(keys, token, no_key);
    }
    jwt_keys_unref(keys);
}

TEST(what_a_header_may_not_ask_for) {
    jwt_keys *keys = good_keys(SECRET);
    refused(keys, make(NULL, "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", LIVES), "crit");
    refused(keys, make(NULL, "{\"alg\":\"HS256\",\"crit\":[]}", LIVES), "crit");
    refused(keys, make(NULL, "{\"alg\":\"HS256\",\"b64\":false}", LIVES), "crit");
    for (const char *const *typ =
             (const char *const[]) {"JWT", "jwt", "at+jwt", "application/at+jwt", "application/JWT", NULL};
         *typ; typ++) {
        char header[64];
        snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"typ\":\"%s\"}", *typ);
        valid(keys, make(NULL, header, LIVES));
    }
    refused(keys, make(NULL, "{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", LIVES), "typ");
    refused(keys, make(NULL, "{\"alg\":\"HS256\",\"typ\":1}", LIVES), "typ");
    refused(keys, make(NULL, "{\"alg\":\"HS256\",\"typ\":\"application/\"}", LIVES), "typ");
    refused(keys, make(NULL, "{\"alg\":\"none\",\"alg\":\"HS256\"}", LIVES), "a name twice");
    refused(keys, make(NULL, "{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", LIVES), "a name twice");
    refused(keys, make(NULL, "[\"HS256\"]", LIVES), "header is no JSON object");
    refused(keys, make(NULL, "{\"alg\":\"HS256\"", LIVES), "header is no JSON object");
    refused(keys, make(NULL, "", LIVES), "not three parts");
    /* A key that comes with the token is nobody's. */
    char header[4096];
    snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"jwk\":%s}", jwk_of(ec_key(1), NULL, "{}"));
    jwt_keys *ec = good_keys(pem_of(ec_key(0)));
    refused(ec, make(ec_key(1), header, LIVES), wrong);
    jwt_keys_unref(ec);
    jwt_keys_unref(keys);
}

TEST(times) {
    static const struct {
        const char *claims, *why; /* NULL: valid */
    } rows[] = {
        {"{\"exp\":1000001}", NULL},
        {"{\"exp\":999991}", NULL},
        {"{\"exp\":999990}", "expired"},
        {"{\"exp\":999990.001}", NULL},
        {"{\"exp\":999989.999}", "expired"},
        {"{\"exp\":1.0001e6}", NULL},
        {"{\"exp\":0}", "expired"},
        {"{\"exp\":253402300799}", NULL},
        {"{\"exp\":253402300800}", "is no time"},
        {"{\"exp\":1e300}", "is no time"},
        {"{\"exp\":1e400}", "claims are no JSON"},
        {"{\"exp\":-1}", "is no time"},
        {"{\"exp\":\"1000100\"}", "is no time"},
        {"{\"exp\":null}", "is no time"},
        {"{\"exp\":true}", "is no time"},
        {"{}", "when it expires"},
        {"{\"EXP\":1000100}", "when it expires"},
        {"{\"exp\":1000100,\"nbf\":1000010}", NULL},
        {"{\"exp\":1000100,\"nbf\":1000011}", "not valid yet"},
        {"{\"exp\":1000100,\"nbf\":\"\"}", "is no time"},
        {"{\"exp\":1000100,\"iat\":1000010}", NULL},
        {"{\"exp\":1000100,\"iat\":1000010.5}", "in the future"},
        {"{\"exp\":1000100,\"iat\":[]}", "is no time"},
        {"{\"exp\":1,\"exp\":1000100}", "a name twice"},
        {"{\"exp\":1000100,\"a\":{\"b\":1,\"b\":2}}", "a name twice"},
        {"1000100", "claims are no JSON object"},
        {"[]", "claims are no JSON object"},
        {"{\"exp\":1000100}x", "claims are no JSON object"},
        {"{\"exp\":1000100,\"sub\":\"\xff\"}", "claims are no JSON object"},
    };
    jwt_keys *keys = good_keys(SECRET);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("%s", rows[i].claims);
        if (rows[i].why)
            refused(keys, make(NULL, HS256, rows[i].claims), rows[i].why);
        else
            valid(keys, make(NULL, HS256, rows[i].claims));
    }
    test_context("%s", "");
    rules.endless = true;
    valid(keys, make(NULL, HS256, "{}"));
    refused(keys, make(NULL, HS256, "{\"exp\":999990}"), "expired");
    rules.endless = false;
    jwt found;
    CHECK(!jwt_verify(keys, text_of(make(NULL, HS256, "{\"exp\":1000100.7,\"sub\":\"ann\"}")), &rules, &found));
    CHECK_EQ(found.ends_ms, 1000100700 + JWT_LEEWAY_MS);
    CHECK_STR(found.subject, "ann");
    jwt_free(&found);
    jwt_keys_unref(keys);
}

TEST(who_made_it_and_for_whom) {
    static const struct {
        const char *issuer, *audience, *claims, *why;
    } rows[] = {
        {"us", NULL, "\"iss\":\"us\"", NULL},
        {"us", NULL, "\"iss\":\"us \"", "issuer"},
        {"us", NULL, "\"iss\":\"us\\u0000\"", "issuer"},
        {"us", NULL, "\"iss\":[\"us\"]", "issuer"},
        {"us", NULL, "\"sub\":\"us\"", "issuer"},
        {NULL, NULL, "\"iss\":\"whoever\"", NULL},
        {NULL, "weft", "\"aud\":\"weft\"", NULL},
        {NULL, "weft", "\"aud\":[\"other\",\"weft\"]", NULL},
        {NULL, "weft", "\"aud\":[\"other\",7]", "audience"},
        {NULL, "weft", "\"aud\":[]", "audience"},
        {NULL, "weft", "\"aud\":\"weft2\"", "audience"},
        {NULL, "weft", "\"aud\":{\"weft\":1}", "audience"},
        {NULL, "weft", "\"sub\":\"weft\"", "audience"},
        {NULL, NULL, "\"aud\":\"weft\"", "audience"},
        {NULL, NULL, "\"aud\":[]", "audience"},
        {NULL, NULL, "\"sub\":\"\"", NULL},
        {NULL, NULL, "\"sub\":7", "sub"},
        {NULL, NULL, "\"sub\":null", "sub"},
        {NULL, NULL, "\"sub\":\"a\\u0000b\"", "sub"},
        {NULL, NULL, "\"sub\":\"J\\u00f6rg \xf0\x9f\x8e\x89\"", NULL},
    };
    jwt_keys *keys = good_keys(SECRET);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char claims[256];
        test_context("row %zu", i);
        snprintf(claims, sizeof claims, "{\"exp\":1000100,%s}", rows[i].claims);
        rules.issuer = rows[i].issuer;
        rules.audience = rows[i].audience;
        if (rows[i].why)
            refused(keys, make(NULL, HS256, claims), rows[i].why);
        else
            valid(keys, make(NULL, HS256, claims));
    }
    test_context("%s", "");
    rules.issuer = rules.audience = NULL;
    char long_one[JWT_TEXT_MAX + 64];
    for (int over = 0; over < 2; over++) {
        snprintf(long_one, sizeof long_one, "{\"exp\":1000100,\"sub\":\"%0*d\"}", JWT_TEXT_MAX + over, 0);
        if (over)
            refused(keys, make(NULL, HS256, long_one), "sub");
        else
            valid(keys, make(NULL, HS256, long_one));
    }
    jwt_keys_unref(keys);
}

TEST(length_and_depth) {
    jwt_keys *keys = good_keys(SECRET);
    char claims[8192];
    for (int pad = 2900; pad < 3100; pad += 7) {
        snprintf(claims, sizeof claims, "{\"exp\":1000100,\"pad\":\"%0*d\"}", pad, 0);
        const char *token = make(NULL, HS256, claims);
        if (strlen(token) > JWT_TOKEN_MAX)
            refused(keys, token, "longer than");
        else
            valid(keys, token);
    }
    for (int depth = 30; depth < 1000; depth += 35) {
        int n = snprintf(claims, sizeof claims, "{\"exp\":1000100,\"deep\":");
        memset(claims + n, '[', (size_t)depth);
        memset(claims + n + depth, ']', (size_t)depth);
        strcpy(claims + n + 2 * depth, "}");
        if (depth == 30)
            valid(keys, make(NULL, HS256, claims));
        else
            refused(keys, make(NULL, HS256, claims), "claims are no JSON object");
    }
    jwt_keys_unref(keys);
}

/* No other text than the token is valid: not a shorter one, not a longer one, not one with another byte. */
TEST(no_other_text_is_the_token) {
    static const char *const headers[] = {HS256, RS256, ES256};
    EVP_PKEY *signers[] = {NULL, rsa_key(0), ec_key(0)};
    jwt_keys *keys = all_keys();
    for (size_t i = 0; i < 3; i++) {
        token_text token, other;
        snprintf(token, sizeof token, "%s", make(signers[i], headers[i], LIVES));
        valid(keys, token);
        for (size_t len = 0; len < strlen(token); len++) {
            char *exact = malloc(len + 1);
            jwt found;
            memcpy(exact, token, len);
            CHECK(jwt_verify(keys, (weft_text) {exact, len}, &rules, &found) != NULL);
            free(exact);
        }
        for (size_t at = 0; at < strlen(token); at++) {
            static const char bytes[] = "AB_-.=+/ \n\x80zQ";
            for (size_t b = 0; b < sizeof bytes; b++) {
                memcpy(other, token, sizeof token);
                if (bytes[b] == token[at])
                    continue;
                other[at] = bytes[b];
                jwt found;
                if (!jwt_verify(keys, (weft_text) {other, strlen(token)}, &rules, &found))
                    test_fail(__FILE__, __LINE__, "byte %zu as %#x is valid", at, bytes[b]);
            }
        }
        for (const char *const *more = (const char *const[]) {".", "A", "=", "==", "\n", " ", ".e30", NULL}; *more;
             more++) {
            snprintf(other, sizeof other, "%s%s", token, *more);
            CHECK(judge(keys, other) != NULL);
            snprintf(other, sizeof other, "%s%s", *more, token);
            CHECK(judge(keys, other) != NULL);
        }
    }
    refused(keys, "", "not three parts");
    refused(keys, "..", "not three parts");
    refused(keys, "e30.e30", "not three parts");
    refused(keys, "e30.e30.", "not three parts");
    refused(keys, "e30.e31.AA", "not three parts"); /* 31 has a bit that stands for nothing */
    jwt_keys_unref(keys);
}

/* ---- files that are no keys ---- */

static void no_keys(const char *text, const char *because) {
    jwt_keys *keys = parse(text);
    if (keys || !strstr(why_not, because))
        test_fail(__FILE__, __LINE__, "\"%s\", not \"%s\": %.60s", keys ? "(keys)" : why_not, because, text);
}

TEST(secrets) {
    char text[JWT_SECRET_MAX + 16];
    no_keys("", "empty");
    no_keys(" \r\n\t", "empty");
    no_keys("short", "has 32 to 1024 bytes, and this one 5");
    no_keys("0123456789abcdef0123456789abcde\n", "and this one 31");
    no_keys(SECRET "\n" SECRET, "no line of printable ASCII");
    no_keys("\x01" SECRET, "no line of printable ASCII");
    no_keys(SECRET "\xc3\xa4", "no line of printable ASCII");
    snprintf(text, sizeof text, "%0*d", JWT_SECRET_MAX, 0);
    jwt_keys_unref(good_keys(text));
    snprintf(text, sizeof text, "%0*d", JWT_SECRET_MAX + 1, 0);
    no_keys(text, "and this one 1025");
    no_keys("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7", "it is a public key");
    no_keys("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY", "it is a public key");
    char *bare = calloc(1, 4096), *to = bare; /* PEM without its lines, as consoles show it */
    for (const char *line = pem_of(rsa_key(0)); (line = strchr(line, '\n')) && line[1] && line[1] != '-';) {
        size_t len = strcspn(++line, "\n");
        memcpy(to, line, len);
        to += len;
    }
    no_keys(bare, "it is a public key");
    free(bare);
}

TEST(sets) {
    char set[32768];
    size_t passed_over;
    no_keys("{", "no JSON object");
    no_keys("{\"keys\":[],\"keys\":[]}", "a name twice");
    no_keys("{\"keys\":{}}", "no array");
    no_keys("{\"keys\":[]}", "no key for HS256");
    no_keys("{\"keys\":[7]}", "has no kty");
    no_keys("{\"keys\":[{\"kty\":7}]}", "has no kty");
    no_keys("{}", "has no kty");
    no_keys("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}", "no key for HS256");
    no_keys("{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}", "no key for HS256");
    no_keys("{\"kty\":\"oct\"}", "k is no base64url");
    no_keys("{\"kty\":\"oct\",\"k\":\"0123456789abcdef/123456789abcdef0123456789ab\"}", "k is no base64url");
    no_keys("{\"kty\":\"oct\",\"k\":\"AAAA\"}", "and this one 3");
    no_keys("{\"kty\":\"RSA\",\"n\":\"AAAA\"}", "is none");
    no_keys("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}", "is none"); /* not on the curve */
    no_keys(jwk_of(rsa_key(0), NULL, "{\"d\":\"AQAB\"}"), "private");
    no_keys(jwk_of(rsa_key(0), NULL, "{\"kid\":7}"), "kid");
    no_keys(jwk_of(rsa_key(0), NULL, "{\"kid\":\"" SECRET SECRET SECRET SECRET "x\"}"), "kid");
    for (const char *const *more = (const char *const[]) {"{\"use\":\"enc\"}", "{\"use\":7}", "{\"alg\":\"RS512\"}",
                                                          "{\"alg\":\"PS256\"}", "{\"alg\":\"HS256\"}", "{\"alg\":7}",
                                                          "{\"key_ops\":[\"sign\"]}", "{\"key_ops\":\"verify\"}", NULL};
         *more; more++)
        no_keys(jwk_of(rsa_key(0), NULL, *more), "no key for HS256");
    int n = snprintf(set, sizeof set, "{\"keys\":[{\"kty\":\"OKP\"}");
    for (int i = 0; i < JWT_KEYS_MAX; i++)
        n += snprintf(set + n, sizeof set - (size_t)n, ",%s", jwk_of(ec_key(0), i < 5 ? "a" : "b", "{}"));
    strcpy(set + n, "]}");
    jwt_keys *keys = good_keys(set);
    refused(keys, make(ec_key(1), "{\"alg\":\"ES256\",\"kid\":\"a\"}", LIVES), "too many keys could have made it");
    refused(keys, make(ec_key(1), ES256, LIVES), "too many keys could have made it");
    CHECK_EQ(jwt_keys_count(keys, &passed_over), JWT_KEYS_MAX);
    CHECK_EQ(passed_over, 1);
    jwt_keys_unref(keys);
    snprintf(set + n, sizeof set - (size_t)n, ",%s]}", jwk_of(ec_key(0), "a", "{}"));
    no_keys(set, "more than 16 keys");
    memset(set, ' ', sizeof set);
    char *large = malloc(JWT_KEYS_BYTES_MAX + 2);
    memset(large, 'x', JWT_KEYS_BYTES_MAX + 1);
    large[JWT_KEYS_BYTES_MAX + 1] = '\0';
    no_keys(large, "longer than 65536");
    free(large);
}

TEST(pem_files) {
    EVP_PKEY *small = EVP_RSA_gen(1024), *curve = EVP_EC_gen("P-384"),
             *other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    char pem[4096];
    no_keys(pem_of(small), "2048 to 8192 bits, and this one 1024");
    no_keys(pem_of(curve), "no public key or certificate with one, RSA or EC on P-256");
    no_keys(pem_of(other), "no public key or certificate with one, RSA or EC on P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PrivateKey(bio, ec_key(0), NULL, NULL, 0, NULL, NULL) == 1);
    pem[BIO_read(bio, pem, sizeof pem - 1)] = '\0';
    BIO_free(bio);
    no_keys(pem, "private");
    snprintf(pem, sizeof pem, "%s-----BEGIN PUBLIC KEY-----\nAAAA\n", pem_of(ec_key(0)));
    no_keys(pem, "broken behind 1 keys");
    no_keys("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key");
    no_keys("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no public key");
    no_keys("-----BEGIN CERTIFICATE-----\n", "broken");
    snprintf(pem, sizeof pem, "%s", pem_of(ec_key(0))); /* a byte is changed: refused, or it is another key */
    for (size_t at = 27; at < 60; at++) {
        char kept = pem[at];
        pem[at] = kept == 'A' ? 'B' : 'A';
        CHECK(parse(pem) == NULL);
        pem[at] = kept;
    }
    for (size_t len = 0; len + 2 < strlen(pem); len++) {
        char *exact = malloc(len + 1);
        memcpy(exact, pem, len);
        CHECK(!jwt_keys_parse((weft_text) {exact, len}, why_not, sizeof why_not));
        free(exact);
    }
    EVP_PKEY_free(small);
    EVP_PKEY_free(curve);
    EVP_PKEY_free(other);
}

TEST(a_key_in_the_form_of_pkcs1) {
    uint8_t *der = NULL;
    char pem[4096];
    int len = i2d_PublicKey(rsa_key(0), &der);
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio(bio, PEM_STRING_RSA_PUBLIC, "", der, len) > 0);
    pem[BIO_read(bio, pem, sizeof pem - 1)] = '\0';
    BIO_free(bio);
    OPENSSL_free(der);
    jwt_keys *keys = good_keys(pem);
    valid(keys, make(rsa_key(0), RS256, LIVES));
    jwt_keys_unref(keys);
}

TEST(a_certificate_has_a_key) {
    X509 *certificate = X509_new();
    X509_set_version(certificate, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 60);
    X509_set_pubkey(certificate, rsa_key(0));
    CHECK(X509_sign(certificate, rsa_key(0), EVP_sha256()) > 0);
    char pem[4096];
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(bio, certificate) == 1);
    pem[BIO_read(bio, pem, sizeof pem - 1)] = '\0';
    jwt_keys *keys = good_keys(pem);
    valid(keys, make(rsa_key(0), RS256, LIVES));
    jwt_keys_unref(keys);
    BIO_free(bio);
    X509_free(certificate);
}

/* ---- without memory ---- */

static size_t allocations, fails_at; /* the n-th from now on; 0: none */

static void *some_memory(size_t len) {
    return ++allocations == fails_at ? NULL : malloc(len);
}

TEST(every_allocation_of_the_json_may_fail) {
    static const char *const headers[] = {HS256, RS256, ES256};
    EVP_PKEY *signers[] = {NULL, rsa_key(0), ec_key(0)};
    jwt_keys *keys = all_keys();
    for (size_t i = 0; i < 3; i++) {
        token_text token, false_one;
        snprintf(token, sizeof token, "%s", make(signers[i], headers[i], LIVES));
        snprintf(false_one, sizeof false_one, "%s", make(i ? signers[3 - i] : rsa_key(1), headers[i], LIVES));
        bool done = false;
        for (size_t n = 1; !done; n++) {
            json_set_alloc_funcs(some_memory, free);
            allocations = 0;
            fails_at = n;
            jwt found = {0};
            const char *why = jwt_verify(keys, text_of(token), &rules, &found);
            done = allocations < n;
            size_t claims = json_object_size(found.claims);
            jwt_free(&found);
            allocations = 0;
            const char *why_false = judge(keys, false_one);
            json_set_alloc_funcs(malloc, free);
            CHECK(why || claims == 1); /* libjose does without some */
            CHECK(why_false && (!done || !why));
        }
        valid(keys, token);
    }
    jwt_keys_unref(keys);
}

TEST(a_file) {
    char why[128], name[] = "/tmp/weft-jwt-XXXXXX";
    CHECK(!jwt_keys_read("/nowhere/at/all", why, sizeof why));
    CHECK_STR(why, "No such file or directory");
    CHECK(!jwt_keys_read("/tmp", why, sizeof why));
    CHECK_STR(why, "Is a directory");
    FILE *file = fdopen(mkstemp(name), "w");
    fprintf(file, "%s\n", SECRET);
    fclose(file);
    jwt_keys *keys = jwt_keys_read(name, why, sizeof why);
    remove(name);
    CHECK(keys != NULL);
    valid(keys, make(NULL, HS256, LIVES));
    jwt_keys_unref(keys);
}
