/*
 * Look-ups over a request and the small grammars that several rules share: token, host[:port], %XX, a=b&c=d.
 * Headers that have rules are found once, in one pass (wf_http_request_index); there are few others (a limit says how
 * few), so a look-up walks them all.
 */
#include "http/guard.h"
#include "http/request.h"

#include <arpa/inet.h>

const wf_str *wf_http_headers_find(const wf_http_header *headers, size_t header_count, wf_str name, size_t *out_count) {
    const wf_str *found = NULL;
    size_t count = 0;
    for (size_t i = 0; i < header_count; i++) {
        if (!wf_str_eq_nocase(headers[i].name, name))
            continue;
        if (count++ == 0)
            found = &headers[i].value;
    }
    if (out_count)
        *out_count = count;
    return found;
}

bool wf_http_headers_have_token(const wf_http_header *headers, size_t header_count, wf_str name, wf_str token) {
    for (size_t i = 0; i < header_count; i++) {
        if (!wf_str_eq_nocase(headers[i].name, name))
            continue;
        wf_str rest = headers[i].value, element;
        while (wf_str_next_element(&rest, &element))
            if (wf_str_eq_nocase(element, token))
                return true;
    }
    return false;
}

static const char *const known_names[WF_HTTP_NAMES] = {
    [WF_HTTP_HOST] = "Host",
    [WF_HTTP_CONNECTION] = "Connection",
    [WF_HTTP_UPGRADE] = "Upgrade",
    [WF_HTTP_EXPECT] = "Expect",
    [WF_HTTP_TRANSFER_ENCODING] = "Transfer-Encoding",
    [WF_HTTP_ORIGIN] = "Origin",
    [WF_HTTP_WS_KEY] = "Sec-WebSocket-Key",
    [WF_HTTP_WS_VERSION] = "Sec-WebSocket-Version",
    [WF_HTTP_WS_PROTOCOL] = "Sec-WebSocket-Protocol",
    [WF_HTTP_WS_EXTENSIONS] = "Sec-WebSocket-Extensions",
};

/* Length and first letter leave one name to compare with, or none. */
static wf_http_name name_of(wf_str name) {
    wf_http_name candidate = WF_HTTP_NAMES;
    switch (name.len) {
    case sizeof "Host" - 1:
        candidate = WF_HTTP_HOST;
        break;
    case sizeof "Origin" - 1:
        candidate = (name.data[0] | 0x20) == 'o' ? WF_HTTP_ORIGIN : WF_HTTP_EXPECT;
        break;
    case sizeof "Upgrade" - 1:
        candidate = WF_HTTP_UPGRADE;
        break;
    case sizeof "Connection" - 1:
        candidate = WF_HTTP_CONNECTION;
        break;
    case sizeof "Sec-WebSocket-Key" - 1:
        candidate = (name.data[0] | 0x20) == 's' ? WF_HTTP_WS_KEY : WF_HTTP_TRANSFER_ENCODING;
        break;
    case sizeof "Sec-WebSocket-Version" - 1:
        candidate = WF_HTTP_WS_VERSION;
        break;
    case sizeof "Sec-WebSocket-Protocol" - 1:
        candidate = WF_HTTP_WS_PROTOCOL;
        break;
    case sizeof "Sec-WebSocket-Extensions" - 1:
        candidate = WF_HTTP_WS_EXTENSIONS;
        break;
    default:
        return WF_HTTP_NAMES;
    }
    return wf_str_eq_nocase(name, (wf_str) {known_names[candidate], name.len}) ? candidate : WF_HTTP_NAMES;
}

/* What the lists in Connection and Upgrade say. */
typedef struct wishes {
    bool close, keep, upgrade, websocket;
} wishes;

static void read_connection(wf_str list, wishes *found) {
    wf_str element;
    while (wf_str_next_element(&list, &element)) {
        found->close |= wf_str_eq_nocase(element, wf_str_of("close"));
        found->keep |= wf_str_eq_nocase(element, wf_str_of("keep-alive"));
        found->upgrade |= wf_str_eq_nocase(element, wf_str_of("Upgrade"));
    }
}

static void read_upgrade(wf_str list, wishes *found) {
    wf_str element;
    while (wf_str_next_element(&list, &element))
        found->websocket |= wf_str_eq_nocase(element, wf_str_of("websocket"));
}

void wf_http_request_index(wf_http_request *request) {
    wf_http_known *known = request->known;
    wishes found = {.keep = request->version_minor > 0};
    memset(known, 0, sizeof request->known);
    for (size_t i = 0; i < request->header_count; i++) {
        const wf_http_header *header = &request->headers[i];
        wf_http_name name = name_of(header->name);
        if (name == WF_HTTP_NAMES)
            continue;
        if (known[name].count++ == 0)
            known[name].value = &header->value;
        if (name == WF_HTTP_CONNECTION)
            read_connection(header->value, &found);
        else if (name == WF_HTTP_UPGRADE)
            read_upgrade(header->value, &found);
    }
    request->keep_alive = found.keep && !found.close;
    request->upgrade = found.upgrade;
    request->websocket = found.websocket;
    request->expects_continue = request->version_minor > 0 && known[WF_HTTP_EXPECT].count > 0;
}

/* What a byte may stand in. */
enum {
    T = 1, /* token, RFC 9110 5.6.2 */
    H = 2, /* reg-name, RFC 3986 3.2.2, but for %XX */
    K = 4, /* base64, RFC 4648 4, but for the padding */
    N = T | H,
    A = T | H | K
};

static const uint8_t classes[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* controls */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* controls */
    0, N, 0, T, N, T, N, N, H, H, N, A, H, N, N, K, /*   ! " # $ % & ' ( ) * + , - . / */
    A, A, A, A, A, A, A, A, A, A, 0, H, 0, H, 0, 0, /* 0 1 2 3 4 5 6 7 8 9 : ; < = > ? */
    0, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, /* @ A B C D E F G H I J K L M N O */
    A, A, A, A, A, A, A, A, A, A, A, 0, 0, 0, T, N, /* P Q R S T U V W X Y Z [ \ ] ^ _ */
    T, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, /* ` a b c d e f g h i j k l m n o */
    A, A, A, A, A, A, A, A, A, A, A, 0, T, 0, N, 0, /* p q r s t u v w x y z { | } ~ */
};

static bool all_in(wf_str s, uint8_t class) {
    const uint8_t *at = (const uint8_t *)s.data;
    size_t left = s.len;
    for (; left >= 4; left -= 4, at += 4)
        class &= classes[at[0]] & classes[at[1]] & classes[at[2]] & classes[at[3]];
    for (; left > 0; left--, at++)
        class &= classes[at[0]];
    return class != 0;
}

bool wf_http_is_token(wf_str s) {
    return s.len > 0 && all_in(s, T);
}

bool wf_http_is_base64(wf_str s) {
    return all_in(s, K);
}

bool wf_http_is_value(wf_str s) {
    for (size_t at = 0; at < s.len; at++) {
        at += wf_http_plain_run(s.data + at, s.len - at);
        if (at < s.len && s.data[at] != '\t')
            return false;
    }
    return true;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

int wf_http_percent_byte(wf_str in, size_t *at) {
    char c = in.data[*at];
    if (c != '%') {
        *at += 1;
        return (unsigned char)c;
    }
    if (in.len - *at < 3)
        return -1;
    int high = hex_value(in.data[*at + 1]), low = hex_value(in.data[*at + 2]);
    *at += 3;
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool is_reg_name(wf_str s) {
    for (size_t i = 0; i < s.len;) {
        if (classes[(uint8_t)s.data[i]] & H)
            i++;
        else if (s.data[i] != '%' || wf_http_percent_byte(s, &i) < 0)
            return false;
    }
    return s.len > 0;
}

/* What stands in brackets. */
static bool is_ipv6_literal(wf_str s) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.len < 4 || s.len - 2 >= sizeof text)
        return false;
    memcpy(text, s.data + 1, s.len - 2);
    text[s.len - 2] = '\0';
    return strlen(text) == s.len - 2 && inet_pton(AF_INET6, text, &address) == 1;
}

bool wf_http_host_split(wf_str authority, wf_str *out_host, unsigned *out_port) {
    bool literal = authority.len > 0 && authority.data[0] == '[';
    const char *end = authority.len > 0 ? memchr(authority.data, literal ? ']' : ':', authority.len) : NULL;
    if (literal && !end)
        return false;
    wf_str host = {authority.data, end ? (size_t)(end - authority.data) + literal : authority.len};
    wf_str rest = {authority.data + host.len, authority.len - host.len};
    if (literal ? !is_ipv6_literal(host) : !is_reg_name(host))
        return false;

    unsigned port = 0;
    if (rest.len > 6 || (rest.len > 0 && rest.data[0] != ':'))
        return false;
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.data[i] < '0' || rest.data[i] > '9')
            return false;
        port = port * 10 + (unsigned)(rest.data[i] - '0');
    }
    if (rest.len > 1 && (port == 0 || port > 65535))
        return false;
    *out_host = host;
    *out_port = port;
    return true;
}

int wf_http_percent_decode(wf_str in, char *out, size_t cap) {
    size_t count = 0;
    for (size_t at = 0; at < in.len; count++) {
        bool escaped = in.data[at] == '%';
        int byte = wf_http_percent_byte(in, &at);
        if (byte <= 0 || (escaped && byte == '/'))
            return WF_ERROR;
    }
    if (count >= cap)
        return WF_FULL;
    size_t to = 0;
    for (size_t at = 0; at < in.len;)
        out[to++] = (char)wf_http_percent_byte(in, &at);
    out[to] = '\0';
    return WF_OK;
}

bool wf_http_query_find(wf_str query, const char *name, wf_str *out_value) {
    size_t name_len = strlen(name);
    for (size_t at = 0; at < query.len;) {
        const char *start = query.data + at;
        const char *amp = memchr(start, '&', query.len - at);
        size_t len = amp ? (size_t)(amp - start) : query.len - at;
        bool named = len >= name_len && memcmp(start, name, name_len) == 0;
        if (named && len == name_len) {
            *out_value = (wf_str) {start + len, 0};
            return true;
        }
        if (named && start[name_len] == '=') {
            *out_value = (wf_str) {start + name_len + 1, len - name_len - 1};
            return true;
        }
        at += amp ? len + 1 : len;
    }
    return false;
}
