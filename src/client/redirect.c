/*
 * Following an answer of 3xx is dialling again with what was asked for at first: so all of a dial that is still needed
 * is kept in one block, when redirects are asked for, and handed from hop to hop. What was meant for one host is not
 * told to another.
 */
#include "client/client_impl.h"

#include "base/mem.h"
#include "http/redirect.h"

static size_t bytes_of(const char *text) {
    return text ? strlen(text) + 1 : 0;
}

static size_t bytes_of_list(const char *const *list, size_t *count) {
    size_t bytes = 0;
    for (*count = 0; list && list[*count]; (*count)++)
        bytes += bytes_of(list[*count]);
    return bytes;
}

static const char *keep(char **at, const char *text) {
    size_t bytes = bytes_of(text);
    const char *kept = bytes ? memcpy(*at, text, bytes) : NULL;
    *at += bytes;
    return kept;
}

static const char *const *keep_list(const char **places, char **at, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        places[i] = keep(at, list[i]);
    places[count] = NULL;
    return places;
}

wf_again *wf_again_new(const weft_dial *dial) {
    size_t headers, subprotocols;
    size_t bytes = bytes_of_list(dial->headers, &headers) + bytes_of_list(dial->subprotocols, &subprotocols);
    bytes += bytes_of(dial->url) + bytes_of(dial->address) + bytes_of(dial->local_address) + bytes_of(dial->origin) +
             bytes_of(dial->user_password) + bytes_of(dial->bearer_token) + bytes_of(dial->proxy);
    wf_again *again = wf_mem_alloc(sizeof *again + (headers + subprotocols + 2) * sizeof(char *) + bytes);
    if (!again)
        return NULL;
    const char **places = (const char **)(again + 1);
    char *at = (char *)(places + headers + subprotocols + 2);
    again->dial = *dial;
    again->left = dial->redirects_max;
    again->dial.headers = keep_list(places, &at, dial->headers, headers);
    again->dial.subprotocols = keep_list(places + headers + 1, &at, dial->subprotocols, subprotocols);
    again->dial.url = keep(&at, dial->url);
    again->dial.address = keep(&at, dial->address);
    again->dial.local_address = keep(&at, dial->local_address);
    again->dial.proxy = keep(&at, dial->proxy);
    again->dial.origin = keep(&at, dial->origin);
    again->dial.user_password = keep(&at, dial->user_password);
    again->dial.bearer_token = keep(&at, dial->bearer_token);
    return again;
}

/* The next hop's dial, whose block then replaces this one's. */
static wf_again *next_of(const wf_again *again, const wf_url *from, const char *url) {
    weft_dial dial = again->dial;
    wf_url to;
    const char *why;
    if (wf_url_parse(wf_str_of(url), &to, &why) < 0 || !wf_redirect_ok(from, &to))
        return NULL;
    dial.url = url;
    dial.redirects_max = again->left - 1;
    if (!wf_redirect_stays(from, &to)) {
        dial.address = dial.user_password = dial.bearer_token = NULL;
        dial.headers = NULL;
    }
    return wf_again_new(&dial);
}

static wf_again *resolve(const wf_again *again, const wf_http_reply *reply) {
    wf_url from;
    const char *why;
    size_t count;
    wf_buf url = WF_BUF_INIT;
    wf_again *next = NULL;
    const wf_str *location = wf_http_headers_find(reply->headers, reply->header_count, wf_str_of("Location"), &count);
    if (!location || count != 1 || wf_url_parse(wf_str_of(again->dial.url), &from, &why) < 0 || from.socket.data)
        return NULL;
    if (wf_redirect_resolve(&url, &from, *location) == WF_OK && wf_buf_append(&url, "", 1) == 0)
        next = next_of(again, &from, (const char *)url.data);
    wf_buf_deinit(&url);
    return next;
}

bool wf_call_redirected(wf_call *call) {
    wf_dialling *d = call->dialling;
    const wf_http_reply *reply = wf_http_reply_of(d->reply);
    if (!d->again || d->again->left == 0 || !wf_redirect_is(reply->status))
        return false;
    wf_again *next = resolve(d->again, reply);
    if (!next)
        return false;
    bool goes = wf_call_dial_again(call, next);
    wf_mem_free(goes ? NULL : next);
    return goes;
}
