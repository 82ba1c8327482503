/*
 * redirect.h - where an answer of 3xx leads to (RFC 9110 15.4, RFC 3986 5.2). Pure.
 */
#ifndef WF_HTTP_REDIRECT_H
#define WF_HTTP_REDIRECT_H

#include "base/buf.h"
#include "http/url.h"

#include <stdbool.h>

bool wf_redirect_is(int status); /* 301, 302, 303, 307, 308 */

/* Appends the address that `location` means, seen from `base`, which is one of TCP; not judged. WF_OK, or WF_ENOMEM. */
int wf_redirect_resolve(wf_buf *out, const wf_url *base, wf_str location);

/* Whether it may be gone there: over TCP, and not from TLS to none. */
bool wf_redirect_ok(const wf_url *from, const wf_url *to);

/* The same scheme, host and port: who may see what was meant for the one may see it at the other. */
bool wf_redirect_stays(const wf_url *from, const wf_url *to);

#endif
