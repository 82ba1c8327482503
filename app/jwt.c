/*
 * What is looked at in which order: the form of the token, what its header wants, which keys could have made it, the
 * signature, and only then what it says. Header and claims are read by our own strict reader before libjose sees them,
 * so a name that stands there twice cannot mean one thing here and another there.
 */
#include "app/jwt_impl.h"

#include "app/pusher/json.h"
#include "app/pusher/text.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include <jose/b64.h>
#include <jose/jws.h>
#include <openssl/err.h>

#define YEAR_10000_S 253402300800.0

static const char no_form[] = "it is not three parts of base64url with dots between";

/* ---- its three parts (RFC 7515 7.1) ---- */

typedef struct parts {
    weft_text header, claims, signature;
} parts;

/* Base64url without padding, and none that stands for the same bytes as another: so no two texts are one token. */
static bool is_base64url(weft_text part) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    static const int unused_bits[] = {0, 0, 15, 3};
    const char *digit = NULL;
    for (size_t i = 0; i < part.len; i++)
        if (!part.data[i] || !(digit = strchr(digits, part.data[i])))
            return false;
    return digit && part.len % 4 != 1 && ((digit - digits) & unused_bits[part.len % 4]) == 0;
}

/* The piece up to the next dot, or what is left. */
static weft_text cut(weft_text *rest) {
    const char *dot = memchr(rest->data, '.', rest->len);
    weft_text piece = {rest->data, dot ? (size_t)(dot - rest->data) : rest->len};
    size_t used = piece.len + (dot != NULL);
    *rest = (weft_text) {rest->data + used, rest->len - used};
    return piece;
}

static bool split(weft_text token, parts *out) {
    if (token.len == 0)
        return false;
    out->header = cut(&token);
    out->claims = cut(&token);
    out->signature = token;
    return is_base64url(out->header) && is_base64url(out->claims) && is_base64url(out->signature);
}

/* The JSON object within a part; NULL: it is none. */
static json_t *object_in(weft_text part) {
    char bytes[JWT_TOKEN_MAX];
    size_t len = jose_b64_dec_buf(part.data, part.len, bytes, sizeof bytes);
    json_t *json = len == SIZE_MAX ? NULL : push_json_parse((weft_text) {bytes, len});
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

/* ---- the header ---- */

/* A token that was made for something else says so, if its maker is careful (RFC 8725 3.11). */
static bool typ_ok(const json_t *header) {
    const json_t *typ = json_object_get(header, "typ");
    const char *name = json_string_value(typ);
    if (!typ)
        return true;
    if (name && strncasecmp(name, "application/", 12) == 0)
        name += 12;
    return name && (strcasecmp(name, "JWT") == 0 || strcasecmp(name, "at+jwt") == 0);
}

static const char *judge_header(const json_t *header) {
    const json_t *kid = json_object_get(header, "kid");
    if (!json_is_string(json_object_get(header, "alg")))
        return "its header has no alg";
    if (json_object_get(header, "crit") || json_object_get(header, "b64")) /* RFC 7515 4.1.11, RFC 7797 */
        return "its header asks for an extension that is not known here (crit)";
    if (!typ_ok(header))
        return "it is of a type for something else (typ)";
    if (kid && !json_is_string(kid))
        return "its kid is no text";
    return NULL;
}

/* ---- the signature ---- */

static bool signed_by(const json_t *jws, const jwt_key *key) {
    jose_cfg_t *cfg = jwt_silent();
    bool good = cfg && jose_jws_ver(cfg, jws, NULL, key->jwk, true);
    if (cfg)
        jose_cfg_decref(cfg);
    ERR_clear_error(); /* what a wrong signature leaves there would be taken for a connection's */
    return good;
}

/* Of a key with a kid and a token with one they have to be the same; a file in PEM has none. */
static bool is_candidate(const jwt_key *key, weft_text alg, weft_text kid) {
    return push_text_equal(alg, push_str(key->alg)) &&
           (!key->kid || !kid.data || push_text_equal(kid, push_str(key->kid)));
}

static const char *judge_signature(const jwt_keys *keys, const parts *p, const json_t *header) {
    weft_text alg = push_json_text(header, "alg"), kid = push_json_text(header, "kid");
    json_t *jws = json_pack("{s:s%,s:s%,s:s%}", "protected", p->header.data, p->header.len, "payload", p->claims.data,
                            p->claims.len, "signature", p->signature.data, p->signature.len);
    const char *why = jws ? "there is no key for its alg and kid" : "out of memory";
    size_t tries = 0;
    for (size_t i = 0; why && jws && i < keys->count && tries <= JWT_TRIES_MAX; i++) {
        if (!is_candidate(&keys->list[i], alg, kid))
            continue;
        if (++tries > JWT_TRIES_MAX)
            why = "too many keys could have made it: a kid has to tell which";
        else
            why = signed_by(jws, &keys->list[i]) ? NULL : "its signature is wrong";
    }
    json_decref(jws);
    return why;
}

/* ---- the claims (RFC 7519 4.1) ---- */

/* False: it is there and no time. */
static bool time_of(const json_t *claims, const char *name, bool *out_there, double *out_s) {
    const json_t *value = json_object_get(claims, name);
    *out_there = value != NULL;
    *out_s = json_number_value(value);
    return !value || (json_is_number(value) && *out_s >= 0 && *out_s < YEAR_10000_S);
}

static const char *judge_times(const json_t *claims, const jwt_rules *rules, uint64_t *out_ends_ms) {
    double exp, nbf, iat, latest = (double)(rules->now_ms + JWT_LEEWAY_MS) / 1000;
    bool ends, begins, dated;
    if (!time_of(claims, "exp", &ends, &exp) || !time_of(claims, "nbf", &begins, &nbf) ||
        !time_of(claims, "iat", &dated, &iat))
        return "exp, nbf or iat is no time in seconds since 1970";
    if (!ends && !rules->endless)
        return "it does not say when it expires (exp)";
    *out_ends_ms = ends ? (uint64_t)(exp * 1000) + JWT_LEEWAY_MS : 0;
    if (ends && rules->now_ms >= *out_ends_ms)
        return "it has expired";
    if (begins && nbf > latest)
        return "it is not valid yet (nbf)";
    return dated && iat > latest ? "it was made in the future (iat)" : NULL;
}

static bool is_text(const json_t *value, const char *text) {
    return json_is_string(value) &&
           push_text_equal((weft_text) {json_string_value(value), json_string_length(value)}, push_str(text));
}

static bool is_for(const json_t *aud, const char *audience) {
    bool is = is_text(aud, audience);
    for (size_t i = 0; !is && i < json_array_size(aud); i++)
        is = is_text(json_array_get(aud, i), audience);
    return is;
}

static const char *judge_names(const json_t *claims, const jwt_rules *rules, const char **out_subject) {
    const json_t *sub = json_object_get(claims, "sub"), *aud = json_object_get(claims, "aud");
    *out_subject = json_string_value(sub);
    if (sub &&
        (!*out_subject || json_string_length(sub) > JWT_TEXT_MAX || strlen(*out_subject) != json_string_length(sub)))
        return "its sub is no text of at most 128 bytes";
    if (rules->issuer && !is_text(json_object_get(claims, "iss"), rules->issuer))
        return "it is from another issuer (iss)";
    if (rules->audience ? !is_for(aud, rules->audience) : aud != NULL)
        return "it is for another audience (aud)";
    return NULL;
}

static const char *judge(const jwt_keys *keys, const parts *p, const jwt_rules *rules, jwt *out) {
    json_t *header = object_in(p->header);
    const char *why = header ? judge_header(header) : "its header is no JSON object, or has a name twice";
    if (!why)
        why = judge_signature(keys, p, header);
    json_decref(header);
    if (why)
        return why;
    out->claims = object_in(p->claims);
    if (!out->claims)
        return "its claims are no JSON object, or have a name twice";
    why = judge_times(out->claims, rules, &out->ends_ms);
    return why ? why : judge_names(out->claims, rules, &out->subject);
}

const char *jwt_verify(const jwt_keys *keys, weft_text token, const jwt_rules *rules, jwt *out) {
    parts p;
    jwt found = {0};
    if (token.len > JWT_TOKEN_MAX)
        return "it is longer than 4096 bytes";
    if (!split(token, &p))
        return no_form;
    const char *why = judge(keys, &p, rules, &found);
    if (why)
        jwt_free(&found);
    else
        *out = found;
    return why;
}

void jwt_free(jwt *token) {
    json_decref(token->claims);
    *token = (jwt) {0};
}
