#include "http/redirect.h"

#include "base/status.h"

bool wf_redirect_is(int status) {
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

bool wf_redirect_ok(const wf_url *from, const wf_url *to) {
    return !from->socket.data && !to->socket.data && (to->tls || !from->tls);
}

bool wf_redirect_stays(const wf_url *from, const wf_url *to) {
    return from->tls == to->tls && from->port == to->port && wf_str_eq_nocase(from->host, to->host);
}

static size_t until(wf_str s, const char *ends) {
    size_t at = 0;
    while (at < s.len && !strchr(ends, s.data[at]))
        at++;
    return at;
}

/* RFC 3986 5.2.4, of what stands in out from `begin` on, which is a slash. */
static void remove_dots(wf_buf *out, size_t begin) {
    char *path = (char *)out->data;
    size_t to = begin;
    for (size_t at = begin, next; at < out->len; at = next) {
        next = at + 1;
        while (next < out->len && path[next] != '/')
            next++;
        wf_str segment = {path + at, next - at};
        bool one = segment.len == 2 && segment.data[1] == '.';
        bool two = segment.len == 3 && segment.data[1] == '.' && segment.data[2] == '.';
        while (two && to > begin && path[--to] != '/')
            ;
        if (!one && !two) {
            memmove(path + to, segment.data, segment.len);
            to += segment.len;
        } else if (next == out->len) {
            path[to++] = '/';
        }
    }
    out->len = to;
}

static int append(wf_buf *out, wf_str s) {
    return s.len > 0 ? wf_buf_append(out, s.data, s.len) : 0;
}

int wf_redirect_resolve(wf_buf *out, const wf_url *base, wf_str location) {
    location.len = until(location, "#");
    size_t scheme = until(location, ":/?");
    if (scheme > 0 && scheme < location.len && location.data[scheme] == ':')
        return append(out, location) ? WF_ENOMEM : WF_OK;
    int status = wf_buf_append_str(out, base->tls ? "wss:" : "ws:");
    if (location.len >= 2 && location.data[0] == '/' && location.data[1] == '/')
        return status | append(out, location) ? WF_ENOMEM : WF_OK;
    status |= wf_buf_append_str(out, "//") | append(out, base->authority);
    size_t begin = out->len, path_len = until(location, "?");
    wf_str path = {base->target.data, until(base->target, "?")}, query = {base->target.data + path.len, 0};
    query.len = location.len == 0 ? base->target.len - path.len : 0;
    if (path_len > 0 && location.data[0] == '/')
        path.len = 0;
    while (path_len > 0 && path.len > 0 && path.data[path.len - 1] != '/')
        path.len--;
    if (path.len == 0 && (path_len == 0 || location.data[0] != '/'))
        status |= wf_buf_append_str(out, "/");
    status |= append(out, path) | append(out, (wf_str) {location.data, path_len});
    if (status == 0)
        remove_dots(out, begin);
    status |= append(out, (wf_str) {location.data + path_len, location.len - path_len}) | append(out, query);
    return status ? WF_ENOMEM : WF_OK;
}
