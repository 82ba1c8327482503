/*
 * url.h - WebSocket URLs (RFC 6455 3, over RFC 3986), cut into views. Pure.
 *
 *     ws://host[:port][/path][?query][#fragment]       also http://; wss:// and https:// set `tls`
 *     ws+unix:/path/of/socket[:/path[?query]]          also ws+unix:///path/of/socket
 *
 * Strict: what RFC 3986 does not let stand in a path or query must come percent-encoded. User and password are refused,
 * for a WebSocket has no use for them; a fragment is dropped, for it may not be sent.
 */
#ifndef WF_HTTP_URL_H
#define WF_HTTP_URL_H

#include "base/bytes.h"

typedef struct wf_url {
    bool tls;
    wf_str socket;    /* path of a unix socket; data is NULL when it is TCP */
    wf_str host;      /* an IPv6 address keeps its brackets; "localhost" for a unix socket */
    unsigned port;    /* the scheme's own when none was given; 0 for a unix socket */
    wf_str authority; /* for a Host header: without the scheme's own port */
    wf_str target; /* path and query, for the request line; empty when neither was given, and then "/" is meant; begins
                         with '?' when only the path is missing, and then "/" goes before it */
} wf_url;

/* 0; or WF_EINVAL with a static text in *out_why, and nothing else set. The views point into `text` (and
 * "localhost"). */
int wf_url_parse(wf_str text, wf_url *out_url, const char **out_why);

#endif
