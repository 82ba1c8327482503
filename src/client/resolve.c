/*
 * Names become addresses here. What needs no name server is done at once; looking up is a call of its own
 * (weft_resolve), because the system's resolver blocks, and a loop must not.
 */
#include "client/client_impl.h"

#include <netdb.h>
#include <stdio.h>

enum { HOST_BYTES_MAX = 253 }; /* RFC 1035 2.3.4 */

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

int wf_addresses_of_url(const wf_url *url, wf_addresses *out_addresses, const char **out_why) {
    static const char *const local[] = {"127.0.0.1", "[::1]"}; /* RFC 6761 6.3 */
    char text[HOST_BYTES_MAX + 8];
    const char *why = NULL;
    out_addresses->count = 0;
    if (url->socket.data) {
        why = unix_address(url, out_addresses);
    } else if (wf_str_eq_nocase(url->host, wf_str_of("localhost"))) {
        for (int i = 0; i < 2 && !why; i++) {
            snprintf(text, sizeof text, "%s:%u", local[i], url->port);
            why = add(out_addresses, text);
        }
    } else if (url->host.len > HOST_BYTES_MAX) {
        why = "the host is over 253 bytes";
    } else {
        snprintf(text, sizeof text, "%.*s:%u", (int)url->host.len, url->host.data, url->port);
        if (add(out_addresses, text))
            why = "the host is a name: look it up with weft_resolve, and dial with the address";
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
    char host[HOST_BYTES_MAX + 1], port[8];
    snprintf(host, sizeof host, "%.*s", (int)url->host.len, url->host.data);
    snprintf(port, sizeof port, "%u", url->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV}, *list = NULL;
    int got = getaddrinfo(host, port, &hints, &list);
    if (got != 0) {
        *why = gai_strerror(got);
        return got == EAI_NONAME ? WEFT_ESTALE : WEFT_ESYS;
    }
    out_addresses->count = 0;
    for (const struct addrinfo *a = list; a && out_addresses->count < WF_ADDRESSES_MAX; a = a->ai_next) {
        wf_address *to = &out_addresses->list[out_addresses->count++];
        memcpy(&to->storage, a->ai_addr, a->ai_addrlen);
        to->len = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return WEFT_OK;
}

int weft_resolve(const char *url_text, char *out, size_t cap, const char **out_why) {
    wf_url url;
    wf_addresses addresses;
    const char *why = "";
    int got = wf_url_parse(wf_str_of(url_text), &url, &why);
    if (got == WF_OK && wf_addresses_of_url(&url, &addresses, &why) < 0)
        got = url.socket.data || url.host.len > HOST_BYTES_MAX ? WEFT_EINVAL : look_up(&url, &addresses, &why);
    if (got == WF_OK)
        got = write_all(&addresses, out, cap, &why);
    if (got != WF_OK && out_why)
        *out_why = why;
    return got;
}
