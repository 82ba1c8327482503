/*
 * The proxy that the environment names, by the rules of curl and others: https_proxy for wss, http_proxy for ws (never
 * in capitals, for a CGI script's HTTP_PROXY is what its client sent), else all_proxy; not to whom no_proxy lists. An
 * empty one says that there is none.
 */
#include "cli/connect/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *value_of(const char *name, const char *capitals) {
    const char *value = getenv(name);
    return value || !capitals ? value : getenv(capitals);
}

/* The host of a URL that is well-formed: else nothing is dialled. Length 0: there is none, as with a unix socket. */
static const char *host_of(const char *url, size_t *out_len) {
    const char *host = strstr(url, "://");
    *out_len = 0;
    if (!host || strncasecmp(url, "ws+unix", 7) == 0 || strncasecmp(url, "wss+unix", 8) == 0)
        return NULL;
    host += 3;
    bool bracketed = *host == '[';
    host += bracketed;
    *out_len = strcspn(host, bracketed ? "]" : ":/?#");
    *out_len -= *out_len > 1 && host[*out_len - 1] == '.';
    return host;
}

/* "example.org" and ".example.org" are the host of that name and all below it. */
static bool lists(const char *list, const char *host, size_t len) {
    static const char between[] = ", \t";
    for (list += strspn(list, between); *list; list += strspn(list, between)) {
        size_t item_len = strcspn(list, between);
        const char *item = list + (*list == '.');
        size_t item_bytes = item_len - (*list == '.');
        list += item_len;
        if (item_bytes == 1 && *item == '*')
            return true;
        if (item_bytes > 2 && *item == '[') {
            item++;
            item_bytes -= 2;
        }
        if (item_bytes == 0 || item_bytes > len || strncasecmp(host + len - item_bytes, item, item_bytes) != 0)
            continue;
        if (item_bytes == len || host[len - item_bytes - 1] == '.')
            return true;
    }
    return false;
}

const char *connect_proxy_of_environment(const char *url) {
    static char text[2048];
    bool secure = strncasecmp(url, "wss:", 4) == 0 || strncasecmp(url, "https:", 6) == 0;
    const char *proxy = secure ? value_of("https_proxy", "HTTPS_PROXY") : value_of("http_proxy", NULL);
    const char *not_to = value_of("no_proxy", "NO_PROXY");
    size_t len;
    const char *host = host_of(url, &len);
    if (!proxy)
        proxy = value_of("all_proxy", "ALL_PROXY");
    if (!proxy || !proxy[0] || len == 0 || (not_to && lists(not_to, host, len)))
        return NULL;
    bool has_scheme = strstr(proxy, "://") || strcmp(proxy, "none") == 0;
    int used = snprintf(text, sizeof text, "%s%s", has_scheme ? "" : "http://", proxy);
    return used < (int)sizeof text ? text : proxy;
}
