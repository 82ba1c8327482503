#include "http/h2_text.h"

#include <stdlib.h>

static bool is(wf_str name, const char *text) {
    return wf_str_eq(name, wf_str_of(text)); /* names are lower case in HTTP/2, nghttp2 sees to it */
}

/* What the text says by itself, or what may not stand in it. */
static bool is_ours(wf_str name) {
    static const char *const ours[] = {"connection",        "upgrade", "transfer-encoding", "keep-alive", "te",
                                       "sec-websocket-key", "expect",  "proxy-connection"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (is(name, ours[i]))
            return true;
    return false;
}

static size_t size_of(const wf_h2_head *head) {
    return head->method.len + head->path.len + head->authority.len + head->protocol.len + head->fields.len +
           head->cookie.len;
}

static int set(wf_buf *to, wf_str value) {
    to->len = 0;
    return wf_buf_append(to, value.data, value.len);
}

static int add_line(wf_buf *to, wf_str name, wf_str value) {
    if (wf_buf_append(to, name.data, name.len) < 0 || wf_buf_append(to, ": ", 2) < 0 ||
        wf_buf_append(to, value.data, value.len) < 0)
        return WF_ENOMEM;
    return wf_buf_append(to, "\r\n", 2);
}

static int add_crumb(wf_buf *to, wf_str value) {
    if (to->len > 0 && wf_buf_append(to, "; ", 2) < 0)
        return WF_ENOMEM;
    return wf_buf_append(to, value.data, value.len);
}

int wf_h2_head_add(wf_h2_head *head, wf_str name, wf_str value) {
    if (size_of(head) + name.len + value.len + 4 > head->bytes_max) {
        head->over = true;
        return WF_OK;
    }
    if (is(name, ":method"))
        return set(&head->method, value);
    if (is(name, ":path"))
        return set(&head->path, value);
    if (is(name, ":authority"))
        return set(&head->authority, value);
    if (is(name, ":protocol"))
        return set(&head->protocol, value);
    if (name.len > 0 && name.data[0] == ':')
        return WF_OK;
    if (is(name, "cookie"))
        return add_crumb(&head->cookie, value);
    if (is(name, "host")) {
        if (head->authority.data || head->has_host) /* the authority is the host (RFC 9113 8.3.1) */
            return WF_OK;
        head->has_host = true;
    } else if (is_ours(name)) {
        return WF_OK;
    }
    head->has_length = head->has_length || is(name, "content-length");
    return add_line(&head->fields, name, value);
}

/* Nothing that would end a word or a line of the text. */
static bool is_word(const wf_buf *text) {
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] <= ' ' || text->data[i] == 0x7f)
            return false;
    return text->len > 0;
}

static wf_str str_of(const wf_buf *buf) {
    return (wf_str) {(const char *)buf->data, buf->len};
}

static int judge(const wf_h2_head *head, bool connects) {
    if (head->over)
        return 431;
    if (connects && !head->protocol.data)
        return 405; /* a tunnel to somewhere: we are no proxy */
    if (connects && !wf_str_eq_nocase(str_of(&head->protocol), wf_str_of("websocket")))
        return 501; /* RFC 9220 3 */
    if (connects && head->has_length)
        return 400; /* RFC 9110 9.3.6: what follows is the tunnel's */
    if (!is_word(&head->method) || !is_word(&head->path) || (head->authority.data && !is_word(&head->authority)))
        return 400;
    return head->protocol.data && !connects ? 400 : 0;
}

int wf_h2_head_write(const wf_h2_head *head, bool ends, wf_buf *out, bool *out_chunked, int *out_status) {
    /* The key of RFC 6455 4.1, which HTTP/2 has no use for (RFC 8441 5): 16 zeros. */
    static const char upgrade[] = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    bool connects = wf_str_eq(str_of(&head->method), wf_str_of("CONNECT"));
    *out_status = judge(head, connects);
    if (*out_status != 0)
        return WF_EINVAL;
    wf_str method = connects ? wf_str_of("GET") : str_of(&head->method);
    *out_chunked = !ends && !connects && !head->has_length;
    int got = wf_buf_printf(out, "%.*s %.*s HTTP/1.1\r\n", (int)method.len, method.data, (int)head->path.len,
                            (const char *)head->path.data);
    if (got == WF_OK && head->authority.data)
        got = add_line(out, wf_str_of("Host"), str_of(&head->authority));
    if (got == WF_OK && connects)
        got = wf_buf_append_str(out, upgrade);
    if (got == WF_OK && *out_chunked)
        got = wf_buf_append_str(out, "Transfer-Encoding: chunked\r\n");
    if (got == WF_OK && head->cookie.len > 0)
        got = add_line(out, wf_str_of("Cookie"), str_of(&head->cookie));
    if (got == WF_OK)
        got = wf_buf_append(out, head->fields.data, head->fields.len);
    return got == WF_OK ? wf_buf_append(out, "\r\n", 2) : got;
}

void wf_h2_head_deinit(wf_h2_head *head) {
    wf_buf *bufs[] = {&head->method, &head->path, &head->authority, &head->protocol, &head->fields, &head->cookie};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        wf_buf_deinit(bufs[i]);
}

/* ---- answers ---- */

static bool stays(wf_str name, bool websocket) {
    static const char *const hop[] = {"connection", "keep-alive", "transfer-encoding", "upgrade"};
    for (size_t i = 0; i < sizeof hop / sizeof hop[0]; i++)
        if (is(name, hop[i]))
            return false;
    return !(websocket && is(name, "sec-websocket-accept"));
}

static void lower(char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] + ('a' - 'A'));
}

static int read_line(char *line, size_t len, wf_h2_answer *answer) {
    char *colon = memchr(line, ':', len);
    if (!colon || answer->count == WF_H2_FIELDS_MAX)
        return WF_EINVAL;
    wf_str name = {line, (size_t)(colon - line)};
    lower(line, name.len);
    wf_str value = wf_str_trim((wf_str) {colon + 1, len - name.len - 1});
    if (!stays(name, answer->websocket))
        return WF_OK;
    if (is(name, "content-length"))
        answer->body_bytes = strtoull(value.data, NULL, 10); /* CR follows it */
    answer->names[answer->count] = name;
    answer->values[answer->count++] = value;
    return WF_OK;
}

int wf_h2_answer_read(char *text, size_t len, wf_h2_answer *out_answer) {
    static const char version[] = "HTTP/1.1 ";
    enum { STATUS = sizeof version - 1 };
    if (len < STATUS + 7 || memcmp(text, version, STATUS) != 0 || memcmp(text + len - 4, "\r\n\r\n", 4) != 0)
        return WF_EINVAL;
    int status = atoi(text + STATUS);
    out_answer->websocket = status == 101;
    out_answer->status = status == 101 ? 200 : status;
    out_answer->body_bytes = UINT64_MAX;
    out_answer->count = 0;
    char *line = (char *)memchr(text, '\n', len) + 1, *end = text + len - 2;
    while (line < end) {
        char *cr = memchr(line, '\r', (size_t)(end - line));
        if (read_line(line, (size_t)(cr - line), out_answer) < 0)
            return WF_EINVAL;
        line = cr + 2;
    }
    return WF_OK;
}
