/*
 * A URL is cut from its ends: the scheme from the front, the fragment from the back, and what is left between is the
 * address and the target, parted by the first byte that may not stand in an address.
 */
#include "http/url.h"

#include "base/status.h"
#include "http/request.h"

typedef struct url_scheme {
    const char *name;
    unsigned port;
    bool tls, unix_socket;
} url_scheme;

static const url_scheme schemes[] = {
    {"ws", 80, false, false},    {"wss", 443, true, false},   {"http", 80, false, false},
    {"https", 443, true, false}, {"ws+unix", 0, false, true}, {"wss+unix", 0, true, true},
};

static const url_scheme *find_scheme(wf_str name) {
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (wf_str_eq_nocase(name, wf_str_of(schemes[i].name)))
            return &schemes[i];
    return NULL;
}

static wf_str from(wf_str s, size_t at) {
    return (wf_str) {s.data + at, s.len - at};
}

/* Where the first byte of `set` stands; s.len: nowhere. */
static size_t find_any(wf_str s, const char *set) {
    size_t at = 0;
    while (at < s.len && !(s.data[at] != '\0' && strchr(set, s.data[at])))
        at++;
    return at;
}

static bool starts(wf_str s, const char *with) {
    size_t len = strlen(with);
    return s.len >= len && memcmp(s.data, with, len) == 0;
}

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986 3.3, 3.4: pchar, '/' and '?'. */
static const char *judge_target(wf_str target) {
    for (size_t i = 0; i < target.len; i++) {
        char c = target.data[i];
        if (c == '%') {
            if (target.len - i < 3 || !is_hex(target.data[i + 1]) || !is_hex(target.data[i + 2]))
                return "RFC3986/2.1: a % that two hex digits do not follow";
        } else if (!is_alnum(c) && (c == '\0' || !strchr("-._~!$&'()*+,;=:@/?", c))) {
            return "RFC3986/3.3: a byte in path or query that has to be percent-encoded";
        }
    }
    return NULL;
}

static const char *parse_tcp(const url_scheme *scheme, wf_str rest, wf_url *url) {
    if (!starts(rest, "//"))
        return "RFC6455/3: two slashes do not follow the scheme";
    rest = from(rest, 2);
    size_t end = find_any(rest, "/?");
    wf_str authority = {rest.data, end};
    if (find_any(authority, "@") < end)
        return "user and password have no place in a WebSocket URL: send an Authorization header";
    if (end == 0)
        return "RFC6455/3: the host is missing";
    unsigned port;
    if (!wf_http_host_split(authority, &url->host, &port))
        return "RFC3986/3.2: what stands before the path is not host[:port]";
    bool standard = port == 0 || port == scheme->port;
    url->authority = standard ? url->host : authority;
    url->port = standard ? scheme->port : port;
    url->target = from(rest, end);
    return NULL;
}

static const char *parse_unix(wf_str rest, wf_url *url) {
    if (starts(rest, "///"))
        rest = from(rest, 2);
    else if (starts(rest, "//"))
        return "a unix socket has no host: write ws+unix:/path/of/socket:/path";
    size_t end = find_any(rest, ":");
    url->socket = (wf_str) {rest.data, end};
    if (end == 0)
        return "the path of the unix socket is missing";
    for (size_t i = 0; i < end; i++)
        if ((unsigned char)rest.data[i] <= ' ' || rest.data[i] == 0x7f)
            return "a space or control byte in the path of the unix socket";
    url->host = url->authority = wf_str_of("localhost");
    url->target = end < rest.len ? from(rest, end + 1) : from(rest, end);
    if (url->target.len > 0 && url->target.data[0] != '/' && url->target.data[0] != '?')
        return "what follows the unix socket is not a path: write ws+unix:/path/of/socket:/path";
    return NULL;
}

int wf_url_parse(wf_str text, wf_url *out_url, const char **out_why) {
    wf_url url = {0};
    size_t colon = find_any(text, ":");
    const url_scheme *scheme = find_scheme((wf_str) {text.data, colon});
    const char *why = "RFC6455/3: this is not a ws:// URL";
    if (colon < text.len && scheme) {
        wf_str rest = from(text, colon + 1);
        rest.len = find_any(rest, "#");
        url.tls = scheme->tls;
        why = scheme->unix_socket ? parse_unix(rest, &url) : parse_tcp(scheme, rest, &url);
        if (!why)
            why = judge_target(url.target);
    }
    if (why) {
        *out_why = why;
        return WF_EINVAL;
    }
    *out_url = url;
    return WF_OK;
}
