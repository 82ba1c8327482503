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
    return head->method.len + head->path.len + head->authority.len + head->protocol.len + head->status.len +
           head->fields.len + head->cookie.len;
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
    if (is(name, ":status"))
        return set(&head->status, value);
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

int wf_h2_request_write(const wf_h2_head *head, bool ends, wf_buf *out, bool *out_chunked, int *out_status) {
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

bool wf_h2_answer_is_interim(const wf_h2_head *head) {
    return head->status.len > 0 && head->status.data[0] == '1';
}

int wf_h2_answer_write(const wf_h2_head *head, wf_buf *out) {
    /* RFC 8441 5, RFC 9113 8.5: any 2xx */
    static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    if (wf_h2_answer_is_interim(head))
        return WF_OK;
    bool accepts = head->status.len > 0 && head->status.data[0] == '2';
    int got = accepts ? wf_buf_append_str(out, upgraded)
                      : wf_buf_printf(out, "HTTP/1.1 %.*s \r\n", (int)head->status.len, (char *)head->status.data);
    if (got == WF_OK)
        got = wf_buf_append(out, head->fields.data, head->fields.len);
    return got == WF_OK ? wf_buf_append(out, "\r\n", 2) : got;
}

void wf_h2_head_deinit(wf_h2_head *head) {
    wf_buf *bufs[] = {&head->method, &head->path,   &head->authority, &head->protocol,
                      &head->status, &head->fields, &head->cookie};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        wf_buf_deinit(bufs[i]);
}

/* ---- what goes ---- */

/* What belongs to one connection of HTTP/1.1, or to its handshake. */
static bool stays(wf_str name, const wf_h2_fields *fields) {
    static const char *const hop[] = {"connection", "keep-alive", "transfer-encoding",
                                      "upgrade",    "te",         "proxy-connection"};
    for (size_t i = 0; i < sizeof hop / sizeof hop[0]; i++)
        if (is(name, hop[i]))
            return false;
    return !fields->websocket || !(is(name, "sec-websocket-accept") || is(name, "sec-websocket-key"));
}

static void lower(char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] = (char)(text[i] + ('a' - 'A'));
}

static void put(wf_h2_fields *fields, wf_str name, wf_str value) {
    fields->names[fields->count] = name;
    fields->values[fields->count++] = value;
}

static int read_line(char *line, size_t len, wf_h2_fields *fields) {
    char *colon = memchr(line, ':', len);
    if (!colon)
        return WF_EINVAL;
    wf_str name = {line, (size_t)(colon - line)};
    lower(line, name.len);
    wf_str value = wf_str_trim((wf_str) {colon + 1, len - name.len - 1});
    if (!stays(name, fields))
        return WF_OK;
    if (fields->count == WF_H2_FIELDS_MAX)
        return WF_ELIMIT;
    if (is(name, "content-length"))
        fields->body_bytes = strtoull(value.data, NULL, 10); /* CR follows it */
    put(fields, name, value);
    return WF_OK;
}

/* The lines behind the first. */
static int read_lines(char *text, size_t len, wf_h2_fields *fields) {
    char *line = (char *)memchr(text, '\n', len) + 1, *end = text + len - 2;
    int got = WF_OK;
    while (line < end && got == WF_OK) {
        char *cr = memchr(line, '\r', (size_t)(end - line));
        got = read_line(line, (size_t)(cr - line), fields);
        line = cr + 2;
    }
    return got;
}

static bool is_whole(const char *text, size_t len) {
    return len >= 4 && memcmp(text + len - 4, "\r\n\r\n", 4) == 0;
}

int wf_h2_answer_read(char *text, size_t len, wf_h2_fields *out_fields) {
    static const char version[] = "HTTP/1.1 ";
    enum { STATUS = sizeof version - 1 };
    if (len < STATUS + 7 || memcmp(text, version, STATUS) != 0 || !is_whole(text, len))
        return WF_EINVAL;
    int status = atoi(text + STATUS);
    out_fields->websocket = status == 101;
    out_fields->status = status == 101 ? 200 : status;
    out_fields->body_bytes = UINT64_MAX;
    out_fields->count = 0;
    put(out_fields, wf_str_of(":status"), status == 101 ? wf_str_of("200") : (wf_str) {text + STATUS, 3});
    return read_lines(text, len, out_fields);
}

/* RFC 8441 4: the host is the authority, and not told twice. */
static void move_host(wf_h2_fields *fields, size_t to) {
    for (size_t i = to + 1; i < fields->count; i++) {
        if (!is(fields->names[i], "host"))
            continue;
        fields->values[to] = fields->values[i];
        fields->count--;
        memmove(&fields->names[i], &fields->names[i + 1], (fields->count - i) * sizeof fields->names[0]);
        memmove(&fields->values[i], &fields->values[i + 1], (fields->count - i) * sizeof fields->values[0]);
        return;
    }
}

int wf_h2_request_read(char *text, size_t len, const char *scheme, wf_h2_fields *out_fields) {
    char *space = is_whole(text, len) && memcmp(text, "GET ", 4) == 0 ? memchr(text + 4, ' ', len - 4) : NULL;
    if (!space)
        return WF_EINVAL;
    out_fields->websocket = true;
    out_fields->status = 0;
    out_fields->body_bytes = UINT64_MAX;
    out_fields->count = 0;
    put(out_fields, wf_str_of(":method"), wf_str_of("CONNECT"));
    put(out_fields, wf_str_of(":protocol"), wf_str_of("websocket"));
    put(out_fields, wf_str_of(":scheme"), wf_str_of(scheme));
    put(out_fields, wf_str_of(":path"), (wf_str) {text + 4, (size_t)(space - text - 4)});
    size_t authority = out_fields->count;
    put(out_fields, wf_str_of(":authority"), (wf_str) {"", 0});
    int got = read_lines(text, len, out_fields);
    move_host(out_fields, authority);
    return got;
}
