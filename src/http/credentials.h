/*
 * credentials.h - what an Authorization header says of who asks: Basic (RFC 7617) and Bearer (RFC 6750). Pure.
 */
#ifndef WF_HTTP_CREDENTIALS_H
#define WF_HTTP_CREDENTIALS_H

#include "base/buf.h"
#include "base/bytes.h"

/* One of the two, or none. Borrowed. */
typedef struct wf_credentials {
    const char
        *user_password; /* "user:password"; the password may hold colons. Sent as it stands: UTF-8, if not ASCII */
    const char *bearer_token;
} wf_credentials;

/* NULL; or a static text: they cannot be sent so. */
const char *wf_credentials_judge(const wf_credentials *credentials);

/* Appends the header `name`, or nothing when there are none. 0, or not: memory is out, and a part may have been
 * appended. */
int wf_credentials_write(wf_buf *out, const char *name, const wf_credentials *credentials);

#endif
