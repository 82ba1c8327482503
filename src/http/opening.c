/*
 * What is sent is judged before its first byte is written, as in response.c: no header of the caller can end early and
 * begin another, and none can contradict the handshake's own. The answer is a list of conditions in the order of
 * RFC 6455 4.1.
 */
#include "http/opening.h"

#include <openssl/evp.h>

/* ---- the request ---- */

static bool split_header(const char *line, wf_str *out_name, wf_str *out_value) {
    const char *colon = strchr(line, ':');
    if (!colon)
        return false;
    *out_name = (wf_str) {line, (size_t)(colon - line)};
    *out_value = wf_str_trim(wf_str_of(colon + 1));
    return true;
}

static bool is_ours(wf_str name) {
    static const char *const ours[] = {"Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding"};
    static const char prefix[] = "Sec-WebSocket-";
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (wf_str_eq_nocase(name, wf_str_of(ours[i])))
            return true;
    return name.len >= sizeof prefix - 1 &&
           wf_str_eq_nocase((wf_str) {name.data, sizeof prefix - 1}, wf_str_of(prefix));
}

static const char *judge_headers(const wf_opening *opening) {
    for (const char *const *line = opening->headers; line && *line; line++) {
        wf_str name, value;
        if (!split_header(*line, &name, &value) || !wf_http_is_token(name))
            return "a header is not \"Name: value\"";
        if (!wf_http_is_value(value))
            return "a header's value has a control byte in it";
        bool authorizes = opening->credentials.user_password || opening->credentials.bearer_token;
        if (is_ours(name) || (opening->origin && wf_str_eq_nocase(name, wf_str_of("Origin"))) ||
            (authorizes && wf_str_eq_nocase(name, wf_str_of("Authorization"))))
            return "a header is one that the handshake sets itself";
    }
    return NULL;
}

/* RFC 6455 4.1: tokens, all of them different. */
static const char *judge_subprotocols(const char *const *list) {
    for (size_t i = 0; list && list[i]; i++) {
        if (!wf_http_is_token(wf_str_of(list[i])))
            return "RFC6455/4.1: a subprotocol is not a token";
        for (size_t k = 0; k < i; k++)
            if (strcmp(list[i], list[k]) == 0)
                return "RFC6455/4.1: a subprotocol is offered twice";
    }
    return NULL;
}

static const char *judge_opening(const wf_opening *opening) {
    wf_str origin = wf_str_of(opening->origin);
    if (opening->origin && (origin.len == 0 || !wf_http_is_value(origin)))
        return "the origin is empty or has a control byte in it";
    const char *why = judge_subprotocols(opening->subprotocols);
    if (!why)
        why = wf_credentials_judge(&opening->credentials);
    return why ? why : judge_headers(opening);
}

static int write_headers(wf_buf *out, const wf_opening *opening) {
    int status = 0;
    if (opening->origin)
        status |= wf_buf_printf(out, "Origin: %s\r\n", opening->origin);
    for (size_t i = 0; opening->subprotocols && opening->subprotocols[i]; i++)
        status |= wf_buf_printf(out, "%s%s", i == 0 ? "Sec-WebSocket-Protocol: " : ", ", opening->subprotocols[i]);
    if (opening->subprotocols && opening->subprotocols[0])
        status |= wf_buf_append_str(out, "\r\n");
    if (opening->extensions.len > 0)
        status |= wf_buf_printf(out, "Sec-WebSocket-Extensions: %.*s\r\n", (int)opening->extensions.len,
                                opening->extensions.data);
    status |= wf_credentials_write(out, "Authorization", &opening->credentials);
    for (const char *const *line = opening->headers; line && *line; line++) {
        wf_str name = {0}, value = {0};
        split_header(*line, &name, &value);
        status |= wf_buf_append(out, name.data, name.len) | wf_buf_append_str(out, ": ") |
                  wf_buf_append(out, value.data, value.len) | wf_buf_append_str(out, "\r\n");
    }
    return status | wf_buf_append_str(out, "\r\n");
}

int wf_opening_write(wf_buf *out, const wf_opening *opening, char out_key[WF_UPGRADE_KEY_BYTES + 1],
                     const char **out_why) {
    const char *why = judge_opening(opening);
    if (why) {
        *out_why = why;
        return WF_EINVAL;
    }
    char key[WF_UPGRADE_KEY_BYTES + 1];
    EVP_EncodeBlock((unsigned char *)key, opening->nonce, WF_OPENING_NONCE_BYTES);
    wf_str target = opening->url->target, authority = opening->url->authority;
    bool rootless = target.len == 0 || target.data[0] != '/';
    size_t before = out->len;
    int status = wf_buf_append_str(out, rootless ? "GET /" : "GET ");
    if (target.len > 0)
        status |= wf_buf_append(out, target.data, target.len);
    status |= wf_buf_append_str(out, " HTTP/1.1\r\nHost: ") | wf_buf_append(out, authority.data, authority.len) |
              wf_buf_printf(out,
                            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n",
                            key) |
              write_headers(out, opening);
    if (status != 0) {
        out->len = before;
        return WF_ENOMEM;
    }
    memcpy(out_key, key, sizeof key);
    return WF_OK;
}

/* ---- the answer ---- */

static const wf_str *find(const wf_http_reply *reply, const char *name, size_t *out_count) {
    return wf_http_headers_find(reply->headers, reply->header_count, wf_str_of(name), out_count);
}

static bool upgrade_ok(const wf_http_reply *reply) {
    size_t count;
    const wf_str *value = find(reply, "Upgrade", &count);
    return count == 1 && wf_str_eq_nocase(*value, wf_str_of("websocket"));
}

static bool accept_ok(const wf_http_reply *reply, const char *key) {
    char expected[WF_UPGRADE_ACCEPT_BYTES + 1];
    size_t count;
    const wf_str *value = find(reply, "Sec-WebSocket-Accept", &count);
    return count == 1 && wf_upgrade_accept_key(NULL, wf_str_of(key), expected) == WF_OK &&
           wf_str_eq(*value, (wf_str) {expected, WF_UPGRADE_ACCEPT_BYTES});
}

static bool protocol_ok(const wf_http_reply *reply, const char *const *subprotocols) {
    size_t count;
    const wf_str *value = find(reply, "Sec-WebSocket-Protocol", &count);
    if (count != 1)
        return count == 0;
    for (; subprotocols && *subprotocols; subprotocols++)
        if (wf_str_eq(*value, wf_str_of(*subprotocols)))
            return true;
    return false;
}

int wf_opening_judge(const wf_http_reply *reply, const char *key, const char *const *subprotocols, wf_fault *fault) {
    const char *rule = NULL;
    if (reply->status != 101)
        rule = "RFC6455/4.1: the status is not 101";
    else if (reply->version_minor < 1)
        rule = "RFC9110/7.8: an upgrade in HTTP/1.0";
    else if (!upgrade_ok(reply))
        rule = "RFC6455/4.1: the answer's Upgrade header is not websocket";
    else if (!wf_http_headers_have_token(reply->headers, reply->header_count, wf_str_of("Connection"),
                                         wf_str_of("Upgrade")))
        rule = "RFC6455/4.1: the answer's Connection header does not list Upgrade";
    else if (key && !accept_ok(reply, key))
        rule = "RFC6455/4.1: Sec-WebSocket-Accept is not what follows from our key";
    else if (!protocol_ok(reply, subprotocols))
        rule = "RFC6455/4.1: the server chose a subprotocol that was not offered";
    return rule ? wf_fault_set(fault, WF_ERROR, 0, rule) : WF_OK;
}
