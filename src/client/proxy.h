/*
 * proxy.h - what a proxy's URL says. Pure.
 *
 *     http://[user:password@]host[:port]        CONNECT (RFC 9110 9.3.6); port 80
 *     socks5h://...                             SOCKS 5 (RFC 1928), the proxy looks names up; port 1080
 *     socks5://...                              the same, and we look them up
 *
 * User and password are percent-decoded; an "/" at the end is passed over.
 */
#ifndef WF_CLIENT_PROXY_H
#define WF_CLIENT_PROXY_H

#include "base/bytes.h"
#include "client/lookup.h"

enum { WF_PROXY_USER_BYTES_MAX = 255, WF_PROXY_PASSWORD_BYTES_MAX = 1023 };

typedef enum wf_proxy_kind { WF_PROXY_HTTP, WF_PROXY_SOCKS5H, WF_PROXY_SOCKS5 } wf_proxy_kind;

typedef struct wf_proxy {
    wf_proxy_kind kind;
    unsigned port;
    bool authenticates;               /* there are user and password */
    char host[WF_HOST_BYTES_MAX + 1]; /* an IPv6 address keeps its brackets */
    char user[WF_PROXY_USER_BYTES_MAX + 1];
    char password[WF_PROXY_PASSWORD_BYTES_MAX + 1];
} wf_proxy;

/* WF_OK; or WF_EINVAL with a static text in *out_why, and nothing else set. */
int wf_proxy_parse(wf_str text, wf_proxy *out_proxy, const char **out_why);

#endif
