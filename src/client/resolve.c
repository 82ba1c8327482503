/*
 * What needs no name server becomes addresses here, at once. What does is looked up off the loop (lookup.c), or by
 * weft_resolve, which blocks, and says so.
 */
#include "client/client_impl.h"

#include <netdb.h>
#include <stdio.h>

static const char *add(wf_addresses *to, const char *text) {
    const char *why = NULL;
    if (to->count == WF_ADDRESSES_MAX)
        return "too many addresses";
    if (wf_address_parse(text, &to->list[to->count], &why) == WF_OK)
        to->count++;
    return why;
}

/* The next of those parted by commas. */
static const char *add_one(wf_addresses *to, wf_str text) {
    char one[WF_ADDRESS_TEXT_BYTES];
    text = wf_str_trim(text);
    if (text.len >= sizeof one)
        return "an address is too long";
    memcpy(one, text.data, text.len);
    one[text.len] = '\0';
    return add(to, one);
}

int wf_addresses_parse(const char *text, wf_addresses *out_addresses, const char **out_why) {
    const char *why = NULL;
    out_addresses->count = 0;
    if (strncmp(text, "unix:", 5) == 0) {
        why = add(out_addresses, text);
    } else {
        const char *end;
        do {
            end = strchr(text, ',');
            why = add_one(out_addresses, (wf_str) {text, end ? (size_t)(end - text) : strlen(text)});
            text = end ? end + 1 : NULL;
        } while (end && !why);
    }
    if (why)
        *out_why = why;
    return why ? WF_EINVAL : WF_OK;
}

static const char *unix_address(const wf_url *url, wf_addresses *out_addresses) {
    char text[WF_ADDRESS_TEXT_BYTES];
    if (url->socket.len + sizeof "unix:" > sizeof text)
        return "unix socket name is over 107 bytes";
    snprintf(text, sizeof text, "unix:%.*s", (int)url->socket.len, url->socket.data);
    return add(out_addresses, text);
}

/* RFC 6761 6.3, and the whole name, with its last dot, too. */
static bool is_localhost(wf_str host) {
    return wf_str_eq_nocase(host, wf_str_of("localhost")) || wf_str_eq_nocase(host, wf_str_of("localhost."));
}

int wf_addresses_of_url(const wf_url *url, wf_addresses *out_addresses, const char **out_why) {
    static const char *const local[] = {"127.0.0.1", "[::1]"};
    char text[WF_HOST_BYTES_MAX + 8];
    const char *why = NULL;
    out_addresses->count = 0;
    if (url->socket.data) {
        why = unix_address(url, out_addresses);
    } else if (is_localhost(url->host)) {
        for (int i = 0; i < 2 && !why; i++) {
            snprintf(text, sizeof text, "%s:%u", local[i], url->port);
            why = add(out_addresses, text);
        }
    } else if (url->host.len > WF_HOST_BYTES_MAX) {
        why = "the host is over 253 bytes";
    } else {
        snprintf(text, sizeof text, "%.*s:%u", (int)url->host.len, url->host.data, url->port);
        const char *no_address = add(out_addresses, text);
        if (url->host.data[0] == '[')
            why = no_address;
    }
    if (why)
        *out_why = why;
    return why ? WF_EINVAL : WF_OK;
}

/* ---- looking up ---- */

static int write_address(const wf_address *address, char *out, size_t cap, size_t *used) {
    char text[WF_ADDRESS_TEXT_BYTES];
    wf_address_format(address, text, sizeof text);
    int len = snprintf(out + *used, cap - *used, "%s%s", *used > 0 ? "," : "", text);
    if (len < 0 || (size_t)len >= cap - *used)
        return WEFT_ELIMIT;
    *used += (size_t)len;
    return WEFT_OK;
}

static int write_all(const wf_addresses *addresses, char *out, size_t cap, const char **why) {
    size_t used = 0;
    int got = cap > 0 ? WEFT_OK : WEFT_ELIMIT;
    for (size_t i = 0; i < addresses->count && got == WEFT_OK; i++)
        got = write_address(&addresses->list[i], out, cap, &used);
    if (got != WEFT_OK)
        *why = "the addresses do not fit";
    return got;
}

static int look_up(const wf_url *url, wf_addresses *out_addresses, const char **why) {
    char host[WF_HOST_BYTES_MAX + 1];
    snprintf(host, sizeof host, "%.*s", (int)url->host.len, url->host.data);
    int error = wf_look_up(host, url->port, out_addresses);
    if (error == 0)
        return WEFT_OK;
    *why = gai_strerror(error);
    return error == EAI_NONAME ? WEFT_ESTALE : WEFT_ESYS;
}

int weft_resolve(const char *url_text, char *out, size_t cap, const char **out_why) {
    wf_url url;
    wf_addresses addresses;
    const char *why = "";
    int got = wf_url_parse(wf_str_of(url_text), &url, &why);
    if (got == WF_OK)
        got = wf_addresses_of_url(&url, &addresses, &why);
    if (got == WF_OK && addresses.count == 0)
        got = look_up(&url, &addresses, &why);
    if (got == WF_OK)
        got = write_all(&addresses, out, cap, &why);
    if (got != WF_OK && out_why)
        *out_why = why;
    return got;
}
