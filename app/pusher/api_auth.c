/*
 * A request is signed over its method, its path and its query: the keys in lower case and sorted, the values as they
 * are meant, the signature left out. The body goes in by its MD5.
 *
 * The path is signed as it is sent; but SDKs sign what they give to an HTTP client, and that may write what no URL can
 * hold ("auth0|7", a blank) with escapes. So it may be signed as it is meant, too; unless that has a '%' in it, for then
 * one text would stand for two paths.
 */
#include "app/pusher/api.h"
#include "app/pusher/sign.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { PARAMS_MAX = 64, NAME_BYTES = 64, PATH_BYTES = 1024, WINDOW_S = 600 };

typedef struct param {
    char name[NAME_BYTES];
    weft_text value; /* in query.values */
    size_t place;    /* those of one name stay in order */
} param;

typedef struct query {
    param params[PARAMS_MAX];
    size_t count;
    char values[8 << 10];
    size_t used;
} query;

static int hex(char c) {
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? (c | 32) - 'a' + 10 : -1;
}

/* A bad escape stands for itself. Returns the length of `out`, which has room for all of `raw`. */
static size_t decode(weft_text raw, char *out) {
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        if (c == '%' && i + 2 < raw.len && hex(raw.data[i + 1]) >= 0 && hex(raw.data[i + 2]) >= 0) {
            c = (char)(hex(raw.data[i + 1]) << 4 | hex(raw.data[i + 2]));
            i += 2;
        }
        out[len++] = c;
    }
    return len;
}

static bool add_value(query *q, weft_text raw, weft_text *out) {
    char *at = q->values + q->used;
    if (raw.len > sizeof q->values - q->used)
        return false;
    *out = (weft_text) {at, decode(raw, at)};
    q->used += out->len;
    return true;
}

static bool add_param(query *q, weft_text pair) {
    const char *equals = memchr(pair.data, '=', pair.len);
    size_t name_len = equals ? (size_t)(equals - pair.data) : pair.len, value_at = equals ? name_len + 1 : pair.len;
    if (q->count == PARAMS_MAX || name_len >= NAME_BYTES)
        return false;
    param *p = &q->params[q->count];
    p->place = q->count++;
    for (size_t i = 0; i < name_len; i++)
        p->name[i] = (char)tolower((unsigned char)pair.data[i]);
    p->name[name_len] = '\0';
    return add_value(q, (weft_text) {pair.data + value_at, pair.len - value_at}, &p->value);
}

static int by_name(const void *a, const void *b) {
    const param *one = a, *other = b;
    int order = strcmp(one->name, other->name);
    return order ? order : one->place < other->place ? -1 : 1;
}

static bool read_query(query *q, weft_text text) {
    for (size_t at = 0, end; at < text.len; at = end + 1) {
        const char *and = memchr(text.data + at, '&', text.len - at);
        end = and? (size_t)(and-text.data) : text.len;
        if (end > at && !add_param(q, (weft_text) {text.data + at, end - at}))
            return false;
    }
    qsort(q->params, q->count, sizeof q->params[0], by_name);
    return true;
}

/* data NULL: it is not there. */
static weft_text value_of(const query *q, const char *name) {
    for (size_t i = 0; i < q->count; i++)
        if (strcmp(q->params[i].name, name) == 0)
            return q->params[i].value;
    return (weft_text) {NULL, 0};
}

/* ---- what must be right ---- */

static void iso_time(long long when, char *out, size_t cap) {
    struct tm utc;
    time_t seconds = (time_t)when;
    if (!gmtime_r(&seconds, &utc) || strftime(out, cap, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(out, cap, "%lld", when);
}

static bool is_timely(push_call *call, weft_text value) {
    char text[24] = "", *end, given_text[48], now_text[48];
    if (value.len > 0 && value.len < sizeof text)
        memcpy(text, value.data, value.len);
    long long given = strtoll(text, &end, 10), now = (long long)time(NULL);
    if (text[0] < '0' || text[0] > '9' || *end != '\0') {
        push_refuse(call, 401, "auth_timestamp must be the time in seconds since 1970");
        return false;
    }
    if (given >= now - WINDOW_S && given <= now + WINDOW_S)
        return true;
    iso_time(given, given_text, sizeof given_text);
    iso_time(now, now_text, sizeof now_text);
    push_refuse(call, 401, "Timestamp expired: Given timestamp (%s) not within %ds of server time (%s)", given_text,
                WINDOW_S, now_text);
    return false;
}

static bool body_is(push_call *call, weft_text md5) {
    weft_text body = weft_request_body(call->request);
    char expected[PUSH_MD5_HEX];
    if (body.len == 0 && !md5.data)
        return true;
    if (!push_md5_hex(body.data ? body.data : "", body.len, expected)) {
        push_refuse(call, 503, "out of memory");
        return false;
    }
    if (md5.data && md5.len == strlen(expected) && strncasecmp(md5.data, expected, md5.len) == 0)
        return true;
    push_refuse(call, 401, "Invalid body_md5: it must be the hex MD5 of the body, %s", expected);
    return false;
}

/* What is signed, with this path. */
static void put_signed(push_text *out, const push_call *call, const query *q, weft_text path) {
    push_text_clear(out);
    push_put_text(out, weft_request_method(call->request));
    push_put(out, "\n", 1);
    push_put_text(out, path);
    push_put(out, "\n", 1);
    bool first = true;
    for (size_t i = 0; i < q->count; i++) {
        if (strcmp(q->params[i].name, "auth_signature") == 0)
            continue;
        push_put_str(out, first ? "" : "&");
        push_put_str(out, q->params[i].name);
        push_put(out, "=", 1);
        push_put_text(out, q->params[i].value);
        first = false;
    }
}

static bool is_signed(push_call *call, const query *q, const char *secret) {
    push_text text = {0};
    char meant[PATH_BYTES];
    weft_text path = weft_request_path(call->request), signature = value_of(q, "auth_signature");
    bool ok = false;
    if (path.len <= sizeof meant && memchr(path.data, '%', path.len)) {
        weft_text other = {meant, decode(path, meant)};
        put_signed(&text, call, q, other);
        ok = !memchr(meant, '%', other.len) && !text.failed && push_signed(secret, text.data, text.len, signature);
    }
    if (!ok) {
        put_signed(&text, call, q, path);
        ok = !text.failed && push_signed(secret, text.data, text.len, signature);
    }
    if (!ok)
        push_refuse(call, 401, "Invalid signature: auth_signature must be the hex HMAC-SHA256 under your secret of\n%s",
                    text.failed ? "" : text.data);
    push_text_free(&text);
    return ok;
}

bool push_authorized(push_call *call) {
    static const char *const needed[] = {"auth_key", "auth_timestamp", "auth_version", "auth_signature"};
    query q;
    q.count = q.used = 0;
    if (!read_query(&q, weft_request_query(call->request))) {
        push_refuse(call, 400, "The query is too long, or has more than %d parameters", PARAMS_MAX);
        return false;
    }
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!value_of(&q, needed[i]).data) {
            push_refuse(call, 401, "%s is missing", needed[i]);
            return false;
        }
    }
    weft_text key = value_of(&q, "auth_key");
    const char *secret = push_settings_secret(call->settings, key);
    if (!secret) {
        push_refuse(call, 401, "Unknown auth_key %.*s", (int)(key.len < 64 ? key.len : 64), key.data);
        return false;
    }
    if (!push_text_equal(value_of(&q, "auth_version"), push_str("1.0"))) {
        push_refuse(call, 401, "auth_version must be 1.0");
        return false;
    }
    return is_timely(call, value_of(&q, "auth_timestamp")) && is_signed(call, &q, secret) &&
           body_is(call, value_of(&q, "body_md5"));
}
