#include "handshakes.h"

#include "base/status.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* A copy with a NUL behind it; free() it. A NUL inside becomes a byte that stands in no grammar. */
static char *copy(wf_str s) {
    char *text = malloc(s.len + 1);
    CHECK(text != NULL);
    for (size_t i = 0; i < s.len; i++)
        text[i] = s.data[i] ? s.data[i] : '\1';
    text[s.len] = '\0';
    return text;
}

static const wf_http_header *next_named(const wf_http_request *request, const char *name, size_t *index) {
    while (*index < request->header_count) {
        const wf_http_header *header = &request->headers[(*index)++];
        if (header->name.len == strlen(name) && strncasecmp(header->name.data, name, header->name.len) == 0)
            return header;
    }
    return NULL;
}

size_t slow_count(const wf_http_request *request, const char *name) {
    size_t count = 0, index = 0;
    while (next_named(request, name, &index))
        count++;
    return count;
}

static const wf_http_header *single(const wf_http_request *request, const char *name) {
    size_t index = 0;
    return slow_count(request, name) == 1 ? next_named(request, name, &index) : NULL;
}

/* ---- lists ---- */

bool slow_element(wf_str list, size_t n, wf_str *out) {
    size_t from = 0, commas = 0;
    bool quoted = false;
    for (size_t i = 0; i <= list.len; i++) {
        char c = i < list.len ? list.data[i] : ',';
        bool ends = i == list.len || (c == ',' && !quoted);
        if (ends && commas == n) {
            *out = wf_str_trim((wf_str) {list.data + from, i - from});
            return true;
        }
        if (ends) {
            commas++;
            from = i + 1;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == '\\' && quoted && i + 1 < list.len) {
            i++;
        }
    }
    return false;
}

bool slow_has_token(const wf_http_request *request, const char *name, const char *token) {
    const wf_http_header *header;
    wf_str element;
    size_t index = 0;
    while ((header = next_named(request, name, &index)))
        for (size_t n = 0; slow_element(header->value, n, &element); n++)
            if (element.len == strlen(token) && strncasecmp(element.data, token, element.len) == 0)
                return true;
    return false;
}

/* ---- host ---- */

static bool host_name_ok(const char *text) {
    for (const char *at = text; *at; at++) {
        bool escape = at[0] == '%' && isxdigit((unsigned char)at[1]) && isxdigit((unsigned char)at[2]);
        bool plain = (unsigned char)*at < 0x80 && (isalnum((unsigned char)*at) || strchr("-._~!$&'()*+,;=", *at));
        if (!escape && !plain)
            return false;
    }
    return *text != '\0';
}

bool slow_host_split(wf_str authority, wf_str *out_host, unsigned *out_port) {
    char *text = copy(authority);
    struct in6_addr address;
    bool literal = text[0] == '[', ok;
    char *end = strchr(text, literal ? ']' : ':');
    if (literal && !end) {
        free(text);
        return false;
    }
    char *rest = end ? end + literal : text + authority.len;
    size_t host_len = (size_t)(rest - text);
    char *port = strdup(rest);
    CHECK(port != NULL);
    *rest = '\0';
    if (literal) {
        text[host_len - 1] = '\0';
        ok = inet_pton(AF_INET6, text + 1, &address) == 1;
    } else {
        ok = host_name_ok(text);
    }
    *out_host = (wf_str) {authority.data, host_len};
    *out_port = 0;
    if (port[0] != '\0') {
        ok &= port[0] == ':' && strlen(port) <= 6 && strspn(port + 1, "0123456789") == strlen(port + 1);
        long number = port[1] ? strtol(port + 1, NULL, 10) : 0;
        ok &= port[1] == '\0' || (number >= 1 && number <= 65535);
        *out_port = (unsigned)number;
    }
    free(port);
    free(text);
    return ok;
}

/* ---- refusals, RFC 6455 4.2.1, in the order of the enum ---- */

static bool key_ok(const wf_http_request *request) {
    const wf_http_header *key = single(request, "sec-websocket-key");
    if (!key || key->value.len != 24)
        return false;
    for (size_t i = 0; i < 24; i++) {
        unsigned char c = (unsigned char)key->value.data[i];
        if (i < 22 ? c >= 0x80 || !(isalnum(c) || c == '+' || c == '/') : c != '=')
            return false;
    }
    return true;
}

wf_refusal slow_refusal(const wf_http_request *request) {
    const wf_http_header *host = single(request, "host"), *version = single(request, "sec-websocket-version");
    wf_str name;
    unsigned port;
    if (!wf_str_eq(request->method, wf_str_of("GET")))
        return WF_REFUSAL_METHOD;
    if (request->version_minor == 0)
        return WF_REFUSAL_HTTP_VERSION;
    if (!host || !slow_host_split(host->value, &name, &port))
        return WF_REFUSAL_HOST;
    if (!slow_has_token(request, "upgrade", "WEBSOCKET"))
        return WF_REFUSAL_UPGRADE;
    if (!slow_has_token(request, "connection", "UPGRADE"))
        return WF_REFUSAL_CONNECTION;
    if (!key_ok(request))
        return WF_REFUSAL_KEY;
    if (!version || !wf_str_eq(version->value, wf_str_of("13")))
        return WF_REFUSAL_WS_VERSION;
    if (request->body.len > 0 || slow_count(request, "transfer-encoding") > 0)
        return WF_REFUSAL_BODY;
    return WF_REFUSAL_NONE;
}

/* ---- origin: compared as text in one form, "scheme://host:port" in lower case ---- */

/* Port 0: the scheme's own, and "none" where it has none. False: malformed. */
static bool normal_form(const char *scheme, wf_str authority, char *out, size_t cap) {
    static const struct {
        const char *scheme;
        unsigned port;
    } ports[] = {{"http", 80}, {"ws", 80}, {"https", 443}, {"wss", 443}};
    wf_str host;
    unsigned port;
    if (!slow_host_split(authority, &host, &port))
        return false;
    for (size_t i = 0; port == 0 && i < sizeof ports / sizeof *ports; i++)
        if (strcasecmp(scheme, ports[i].scheme) == 0)
            port = ports[i].port;
    int len = snprintf(out, cap, "%s://%.*s:%u", scheme, (int)host.len, host.data, port);
    CHECK(len >= 0 && (size_t)len < cap);
    for (char *at = out; *at; at++)
        if ((unsigned char)*at < 0x80)
            *at = (char)tolower(*at);
    return true;
}

enum { FORM_BYTES = 8192 };

/* "scheme://authority" in its normal form. *out_scheme: to be free()d. */
static bool origin_form(const char *text, char **out_scheme, char out[FORM_BYTES]) {
    const char *mark = strchr(text, ':');
    *out_scheme = NULL;
    if (!mark || strncmp(mark, "://", 3) != 0)
        return false;
    *out_scheme = strndup(text, (size_t)(mark - text));
    CHECK(*out_scheme != NULL);
    return wf_http_is_token(wf_str_of(*out_scheme)) && normal_form(*out_scheme, wf_str_of(mark + 3), out, FORM_BYTES);
}

static bool same_host(const wf_http_request *request, const char *scheme, const char *form) {
    const wf_http_header *host = single(request, "host");
    char own[FORM_BYTES];
    bool known = strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0 || strcasecmp(scheme, "ws") == 0 ||
                 strcasecmp(scheme, "wss") == 0;
    return known && host && normal_form(scheme, host->value, own, sizeof own) && strcmp(own, form) == 0;
}

bool slow_origin_ok(const wf_http_request *request, const char *const *allowed, size_t count) {
    char form[FORM_BYTES], listed[FORM_BYTES];
    size_t index = 0, lines = slow_count(request, "origin");
    if (lines != 1)
        return lines == 0;
    char *text = copy(next_named(request, "origin", &index)->value), *scheme;
    bool well_formed = origin_form(text, &scheme, form);
    bool ok = well_formed && same_host(request, scheme, form);
    for (size_t i = 0; i < count; i++) {
        char *listed_scheme;
        if (strcmp(text, "null") == 0)
            ok |= strcmp(allowed[i], "null") == 0;
        else if (strcmp(allowed[i], "*") == 0)
            ok |= well_formed;
        else if (origin_form(allowed[i], &listed_scheme, listed))
            ok |= well_formed && strcmp(listed, form) == 0, free(listed_scheme);
        else
            free(listed_scheme);
    }
    free(scheme);
    free(text);
    return ok;
}

/* ---- subprotocol ---- */

bool slow_pick_protocol(const wf_http_request *request, const char *const *supported, size_t count,
                        wf_str *out_picked) {
    const wf_http_header *header;
    size_t index = 0;
    while ((header = next_named(request, "sec-websocket-protocol", &index)))
        for (size_t n = 0; slow_element(header->value, n, out_picked); n++)
            for (size_t i = 0; i < count; i++)
                if (wf_str_eq(*out_picked, wf_str_of(supported[i])))
                    return true;
    return false;
}

/* ---- path and query ---- */

int slow_percent_decode(wf_str in, fuzz_bytes *out) {
    for (size_t i = 0; i < in.len; i++) {
        uint8_t byte = (uint8_t)in.data[i];
        if (byte == '%') {
            char digits[3] = "";
            for (size_t d = 0; d < 2 && i + 1 + d < in.len; d++)
                digits[d] = in.data[i + 1 + d];
            if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]))
                return WF_ERROR;
            byte = (uint8_t)strtoul(digits, NULL, 16);
            if (byte == '/')
                return WF_ERROR;
            i += 2;
        }
        if (byte == 0)
            return WF_ERROR;
        fuzz_put(out, &byte, 1);
    }
    return WF_OK;
}

bool slow_query_find(wf_str query, const char *name, wf_str *out_value) {
    size_t len = strlen(name);
    for (size_t from = 0, to = 0; from < query.len; from = to + 1) {
        for (to = from; to < query.len && query.data[to] != '&';)
            to++;
        wf_str param = {query.data + from, to - from};
        if (param.len < len || strncmp(param.data, name, len) != 0 || (param.len > len && param.data[len] != '='))
            continue;
        *out_value = param.len > len ? (wf_str) {param.data + len + 1, param.len - len - 1} : (wf_str) {NULL, 0};
        return true;
    }
    return false;
}
