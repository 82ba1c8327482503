/*
 * A proxy's URL is the authority alone: nothing of it is asked of the proxy, so a path has no meaning and is refused.
 */
#include "client/proxy.h"

#include "http/request.h"

typedef struct proxy_scheme {
    const char *name;
    wf_proxy_kind kind;
    unsigned port;
} proxy_scheme;

static const proxy_scheme schemes[] = {
    {"http://", WF_PROXY_HTTP, 80},
    {"socks5h://", WF_PROXY_SOCKS5H, 1080},
    {"socks5://", WF_PROXY_SOCKS5, 1080},
};

static const proxy_scheme *cut_scheme(wf_str *rest) {
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        wf_str name = wf_str_of(schemes[i].name);
        if (rest->len >= name.len && wf_str_eq_nocase((wf_str) {rest->data, name.len}, name)) {
            rest->data += name.len;
            rest->len -= name.len;
            return &schemes[i];
        }
    }
    return NULL;
}

/* Into `out`, NUL-terminated. False: a bad escape, a NUL, or too long. */
static bool decode(wf_str in, char *out, size_t cap) {
    size_t to = 0;
    for (size_t at = 0; at < in.len;) {
        int byte = wf_http_percent_byte(in, &at);
        if (byte <= 0 || to + 1 >= cap)
            return false;
        out[to++] = (char)byte;
    }
    out[to] = '\0';
    return true;
}

/* RFC 7617 2: the first colon ends the user, and there is no control byte. */
static const char *judge_basic(const wf_proxy *proxy) {
    if (strchr(proxy->user, ':'))
        return "RFC7617/2: the proxy's user has a colon in it";
    for (const char *at = proxy->user; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return "RFC7617/2: the proxy's user has a control byte in it";
    for (const char *at = proxy->password; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return "RFC7617/2: the proxy's password has a control byte in it";
    return NULL;
}

static const char *judge_socks(const wf_proxy *proxy) {
    size_t user = strlen(proxy->user), password = strlen(proxy->password);
    return user >= 1 && password >= 1 && password <= 255
               ? NULL
               : "RFC1929/2: user and password of a proxy have 1 to 255 bytes";
}

static const char *parse_user(wf_str text, wf_proxy *proxy) {
    const char *colon = memchr(text.data, ':', text.len);
    wf_str user = {text.data, colon ? (size_t)(colon - text.data) : text.len}, password = {NULL, 0};
    if (colon)
        password = (wf_str) {colon + 1, text.len - user.len - 1};
    if (!decode(user, proxy->user, sizeof proxy->user) || !decode(password, proxy->password, sizeof proxy->password))
        return "the proxy's user and password have a wrong escape (%XX), or are too long";
    proxy->authenticates = true;
    return proxy->kind == WF_PROXY_HTTP ? judge_basic(proxy) : judge_socks(proxy);
}

static const char *parse_authority(wf_str text, const proxy_scheme *scheme, wf_proxy *proxy) {
    const char *at = text.len > 0 ? memrchr(text.data, '@', text.len) : NULL;
    wf_str user = {text.data, at ? (size_t)(at - text.data) : 0}, host;
    if (at)
        text = (wf_str) {at + 1, text.len - user.len - 1};
    if (text.len > 0 && text.data[text.len - 1] == '/')
        text.len--;
    if (!wf_http_host_split(text, &host, &proxy->port))
        return "RFC3986/3.2: what follows the proxy's scheme is not host[:port]";
    if (host.len > WF_HOST_BYTES_MAX)
        return "the proxy's host is over 253 bytes";
    memcpy(proxy->host, host.data, host.len);
    proxy->kind = scheme->kind;
    if (proxy->port == 0)
        proxy->port = scheme->port;
    return at ? parse_user(user, proxy) : NULL;
}

int wf_proxy_parse(wf_str text, wf_proxy *out_proxy, const char **out_why) {
    wf_proxy proxy = {0};
    const proxy_scheme *scheme = cut_scheme(&text);
    const char *why = scheme ? parse_authority(text, scheme, &proxy)
                             : "a proxy is http://host:port, socks5h://host:port or socks5://host:port";
    if (why) {
        *out_why = why;
        return WF_EINVAL;
    }
    *out_proxy = proxy;
    return WF_OK;
}
