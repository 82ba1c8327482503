/*
 * Tokens and keys that say anything. Judge: what is valid must be signed with the secret, as OpenSSL reckons it here,
 * and must say what a second, slow look at it wants; and each reason is fit for a header.
 *
 * An input: a byte that chooses, and
 *   0  a token as it stands
 *   1  header and claims, with a line feed between, rightly signed with the secret
 *   2  a good token: places (two bytes each) and what is put there, one behind the other
 *   3  a file of keys
 */
#include "fuzz.h"

#include "app/jwt.h"
#include "app/room_rights.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW_MS 1000000000

enum { TEXT_MAX = 2 * JWT_TOKEN_MAX };

static jwt_keys *keys;

static void check_reason(const char *why) {
    CHECK(why && *why);
    for (; *why; why++)
        CHECK(*why >= ' ' && *why <= '~' && *why != '"' && *why != '\\');
}

static size_t base64url(char *out, const void *data, size_t len) {
    int n = EVP_EncodeBlock((unsigned char *)out, data, (int)len);
    while (n > 0 && out[n - 1] == '=')
        n--;
    for (int i = 0; i < n; i++)
        out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
    return (size_t)n;
}

static size_t sign(char *out, const char *text, size_t len) {
    uint8_t mac[32];
    unsigned mac_len;
    HMAC(EVP_sha256(), SECRET, sizeof SECRET - 1, (const uint8_t *)text, len, mac, &mac_len);
    return base64url(out, mac, mac_len);
}

/* One way in which a pattern may match, letter by letter. */
static bool matches_slowly(const char *pattern, const char *room) {
    for (; *pattern != '*' || pattern[1]; pattern++, room++) {
        if (*pattern != *room)
            return false;
        if (!*pattern)
            return true;
    }
    return true;
}

static bool has_slowly(const json_t *claims, const char *right, const char *room) {
    const json_t *list = json_object_get(json_object_get(claims, "rooms"), right);
    if (json_is_string(list))
        return matches_slowly(json_string_value(list), room);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (matches_slowly(json_string_value(json_array_get(list, i)), room))
            return true;
    return false;
}

static void check_rights(const json_t *claims) {
    static const char *const rooms[] = {"lobby", "l", "team-7", "*"};
    const char *why = room_rights_judge(claims);
    if (why) {
        check_reason(why);
        return;
    }
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        CHECK_EQ(room_rights_have(claims, ROOM_JOIN, rooms[i]), has_slowly(claims, "join", rooms[i]));
        CHECK_EQ(room_rights_have(claims, ROOM_PUBLISH, rooms[i]), has_slowly(claims, "publish", rooms[i]));
    }
}

static void check_valid(const char *token, size_t len, const jwt *found) {
    char signature[64];
    const char *last = memrchr(token, '.', len);
    CHECK(last != NULL && len <= JWT_TOKEN_MAX);
    size_t signature_len = sign(signature, token, (size_t)(last - token));
    CHECK_BYTES(last + 1, len - (size_t)(last + 1 - token), signature, signature_len);
    const json_t *exp = json_object_get(found->claims, "exp"), *sub = json_object_get(found->claims, "sub");
    CHECK(json_is_number(exp) && json_number_value(exp) * 1000 > NOW_MS - JWT_LEEWAY_MS - 1);
    CHECK(found->ends_ms > NOW_MS);
    CHECK(!json_object_get(found->claims, "aud"));
    CHECK(!sub == !found->subject);
    if (sub) {
        CHECK(strlen(found->subject) <= JWT_TEXT_MAX);
        CHECK_STR(found->subject, json_string_value(sub));
    }
    check_rights(found->claims);
}

/* True: valid. */
static bool judge(const char *text, size_t len) {
    static const jwt_rules rules = {.now_ms = NOW_MS};
    char *token = (char *)fuzz_exact(text, len);
    jwt found = {0};
    const char *why = jwt_verify(keys, (weft_text) {token, len}, &rules, &found);
    if (why)
        check_reason(why);
    else
        check_valid(token, len, &found);
    jwt_free(&found);
    free(token);
    return !why;
}

/* Returns the length; it is signed behind. */
static size_t put_signed(char *out, fuzz_input header, fuzz_input claims) {
    size_t n = base64url(out, header.data, header.len);
    out[n++] = '.';
    n += base64url(out + n, claims.data, claims.len);
    size_t text = n;
    out[n++] = '.';
    return n + sign(out + n, out, text);
}

static void judge_signed(fuzz_input in) {
    char token[TEXT_MAX];
    const uint8_t *line = in.len > 0 ? memchr(in.data, '\n', in.len) : NULL;
    size_t header = line ? (size_t)(line - in.data) : in.len;
    if (in.len > JWT_TOKEN_MAX)
        return;
    fuzz_input claims = {in.data + header + (line != NULL), in.len - header - (line != NULL)};
    judge(token, put_signed(token, (fuzz_input) {in.data, header}, claims));
}

static void judge_changed(fuzz_input in) {
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
                      claims[] = "{\"exp\":1000100,\"rooms\":{\"join\":\"*\"}}";
    char token[TEXT_MAX];
    size_t len = put_signed(token, (fuzz_input) {(const uint8_t *)header, sizeof header - 1},
                            (fuzz_input) {(const uint8_t *)claims, sizeof claims - 1});
    CHECK(judge(token, len));
    while (in.len > 2) {
        size_t at = fuzz_number(&in, 2) % len;
        token[at] = (char)fuzz_byte(&in);
    }
    judge(token, len);
}

static void judge_keys(fuzz_input in) {
    char *text = (char *)fuzz_exact(in.data, in.len), why[256] = "";
    size_t passed_over;
    jwt_keys *read = jwt_keys_parse((weft_text) {text, in.len}, why, sizeof why);
    if (read)
        CHECK(jwt_keys_count(read, &passed_over) >= 1 && jwt_keys_count(read, &passed_over) <= JWT_KEYS_MAX);
    else
        check_reason(why);
    jwt_keys_unref(read);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    char why[256];
    if (!keys) {
        json_object_seed(1);
        keys = jwt_keys_parse((weft_text) {SECRET, sizeof SECRET - 1}, why, sizeof why);
        CHECK(keys != NULL);
    }
    switch (fuzz_byte(&in) % 4) {
    case 0:
        judge((const char *)in.data, in.len);
        break;
    case 1:
        judge_signed(in);
        break;
    case 2:
        judge_changed(in);
        break;
    default:
        judge_keys(in);
    }
    return 0;
}
