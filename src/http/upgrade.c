/*
 * The opening handshake is a list of conditions over a parsed request. Each is one function that says yes or
 * no; one table gives every refusal its name, status and text; one array fixes the order in which they are
 * asked. The order is that of the enum, and so of usefulness to a person: a browser that opens the address as
 * a page is told "426, speak WebSocket", not "your key is missing".
 */
#include "http/upgrade.h"

#include "base/assert.h"
#include "base/mem.h"

#include <openssl/evp.h>

/* RFC 6455 1.3 */
static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static const struct {
    const char *name;
    int http_status;
    const char *text;
} refusals[WF_REFUSAL_COUNT] = {
    [WF_REFUSAL_NONE] = {"none", 101, "RFC6455/4.2.2: the handshake is accepted"},
    [WF_REFUSAL_METHOD] = {"method", 405, "RFC6455/4.2.1: the method of a WebSocket handshake is GET"},
    [WF_REFUSAL_HTTP_VERSION] = {"http_version", 400, "RFC6455/4.2.1: a WebSocket handshake needs HTTP/1.1"},
    [WF_REFUSAL_HOST] = {"host", 400, "RFC6455/4.2.1: not exactly one valid Host header"},
    [WF_REFUSAL_UPGRADE] = {"upgrade", 400, "RFC6455/4.2.1: the Upgrade header does not list websocket"},
    [WF_REFUSAL_CONNECTION] = {"connection", 400, "RFC6455/4.2.1: the Connection header does not list Upgrade"},
    [WF_REFUSAL_KEY] = {"key", 400, "RFC6455/4.2.1: not exactly one Sec-WebSocket-Key of 16 bytes in base64"},
    [WF_REFUSAL_WS_VERSION] = {"ws_version", 426, "RFC6455/4.4: Sec-WebSocket-Version is not 13"},
    [WF_REFUSAL_BODY] = {"body", 400, "RFC6455/4.1: a WebSocket handshake has no body"},
    [WF_REFUSAL_ORIGIN] = {"origin", 403, "RFC6455/10.2: this Origin is not allowed here"},
};

const char *wf_refusal_name(wf_refusal refusal) {
    wf_assert(refusal < WF_REFUSAL_COUNT);
    return refusals[refusal].name;
}

wf_upgrade wf_upgrade_refused(wf_refusal refusal) {
    wf_assert(refusal < WF_REFUSAL_COUNT);
    return (wf_upgrade) {refusal, refusals[refusal].http_status, refusals[refusal].text};
}

/* --- the conditions, one for each refusal --- */

static const wf_str *find_single(const wf_http_request *request, wf_http_name name) {
    return request->known[name].count == 1 ? request->known[name].value : NULL;
}

static bool method_ok(const wf_http_request *request) {
    return wf_str_eq(request->method, wf_str_of("GET"));
}

static bool http_version_ok(const wf_http_request *request) {
    return request->version_minor >= 1;
}

static bool host_ok(const wf_http_request *request) {
    const wf_str *host = find_single(request, WF_HTTP_HOST);
    wf_str name;
    unsigned port;
    return host && wf_http_host_split(*host, &name, &port);
}

static bool upgrade_ok(const wf_http_request *request) {
    return request->websocket;
}

static bool connection_ok(const wf_http_request *request) {
    return request->upgrade;
}

/* 16 bytes are 22 characters of base64 and "==". The low four bits of the last character carry nothing; RFC
 * 4648 3.5 leaves it to the reader whether they must be zero, and RFC 6455 does not ask it. */
static bool key_ok(const wf_http_request *request) {
    const wf_str *key = find_single(request, WF_HTTP_WS_KEY);
    return key && key->len == WF_UPGRADE_KEY_BYTES && memcmp(key->data + 22, "==", 2) == 0 &&
           wf_http_is_base64((wf_str) {key->data, 22});
}

static bool ws_version_ok(const wf_http_request *request) {
    const wf_str *version = find_single(request, WF_HTTP_WS_VERSION);
    return version && wf_str_eq(*version, wf_str_of("13"));
}

/* "Content-Length: 0" is no body; a chunked body is one even when it is empty. */
static bool body_ok(const wf_http_request *request) {
    return request->body.len == 0 && request->known[WF_HTTP_TRANSFER_ENCODING].count == 0;
}

wf_upgrade wf_upgrade_check(const wf_http_request *request) {
    static bool (*const conditions[])(const wf_http_request *) = {
        [WF_REFUSAL_METHOD] = method_ok,
        [WF_REFUSAL_HTTP_VERSION] = http_version_ok,
        [WF_REFUSAL_HOST] = host_ok,
        [WF_REFUSAL_UPGRADE] = upgrade_ok,
        [WF_REFUSAL_CONNECTION] = connection_ok,
        [WF_REFUSAL_KEY] = key_ok,
        [WF_REFUSAL_WS_VERSION] = ws_version_ok,
        [WF_REFUSAL_BODY] = body_ok,
    };
    for (wf_refusal refusal = WF_REFUSAL_METHOD; refusal <= WF_REFUSAL_BODY; refusal++) {
        if (conditions[refusal](request))
            continue;
        wf_upgrade refused = wf_upgrade_refused(refusal);
        if (refusal == WF_REFUSAL_UPGRADE && request->known[WF_HTTP_UPGRADE].count == 0) {
            refused.http_status = 426;
            refused.text = "RFC9110/15.5.22: only WebSocket is spoken here, and there is no Upgrade header";
        }
        return refused;
    }
    return wf_upgrade_refused(WF_REFUSAL_NONE);
}

/* --- origin --- */

typedef struct origin {
    wf_str scheme;
    wf_str host;
    unsigned port; /* 0: none given, and the scheme has no default */
} origin;

static unsigned default_port(wf_str scheme) {
    if (wf_str_eq_nocase(scheme, wf_str_of("http")) || wf_str_eq_nocase(scheme, wf_str_of("ws")))
        return 80;
    if (wf_str_eq_nocase(scheme, wf_str_of("https")) || wf_str_eq_nocase(scheme, wf_str_of("wss")))
        return 443;
    return 0;
}

/* RFC 6454 6.2: scheme "://" host [":" port], nothing behind it. */
static bool parse_origin(wf_str text, origin *out) {
    const char *colon = text.len > 0 ? memchr(text.data, ':', text.len) : NULL;
    size_t scheme_len = colon ? (size_t)(colon - text.data) : 0;
    if (scheme_len == 0 || text.len - scheme_len < 3 || memcmp(colon, "://", 3) != 0)
        return false;
    out->scheme = (wf_str) {text.data, scheme_len};
    wf_str authority = {colon + 3, text.len - scheme_len - 3};
    if (!wf_http_is_token(out->scheme) || !wf_http_host_split(authority, &out->host, &out->port))
        return false;
    if (out->port == 0)
        out->port = default_port(out->scheme);
    return true;
}

static bool same_host(const wf_http_request *request, const origin *from) {
    const wf_str *host = find_single(request, WF_HTTP_HOST);
    unsigned fallback = default_port(from->scheme);
    wf_str name;
    unsigned port;
    if (!host || fallback == 0 || !wf_http_host_split(*host, &name, &port))
        return false;
    return wf_str_eq_nocase(name, from->host) && (port != 0 ? port : fallback) == from->port;
}

static bool is_listed(const char *entry, const origin *from) {
    if (strcmp(entry, "*") == 0)
        return true;
    origin listed;
    return parse_origin(wf_str_of(entry), &listed) && wf_str_eq_nocase(listed.scheme, from->scheme) &&
           wf_str_eq_nocase(listed.host, from->host) && listed.port == from->port;
}

bool wf_upgrade_origin_ok(const wf_http_request *request, const char *const *allowed, size_t allowed_count) {
    const wf_str *text = find_single(request, WF_HTTP_ORIGIN);
    if (!text)
        return request->known[WF_HTTP_ORIGIN].count == 0;
    if (wf_str_eq(*text, wf_str_of("null"))) {
        for (size_t i = 0; i < allowed_count; i++)
            if (strcmp(allowed[i], "null") == 0)
                return true;
        return false;
    }
    origin from;
    if (!parse_origin(*text, &from))
        return false;
    if (same_host(request, &from))
        return true;
    for (size_t i = 0; i < allowed_count; i++)
        if (is_listed(allowed[i], &from))
            return true;
    return false;
}

/* --- the answer's parts --- */

struct wf_key_digest {
    EVP_MD_CTX *context; /* knows its digest, which was found by its name once */
};

static bool key_digest_init(wf_key_digest *digest) {
    EVP_MD *sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    digest->context = EVP_MD_CTX_new();
    bool good = sha1 && digest->context && EVP_DigestInit_ex(digest->context, sha1, NULL) == 1;
    EVP_MD_free(sha1);
    return good;
}

wf_key_digest *wf_key_digest_new(void) {
    wf_key_digest *digest = wf_mem_zalloc(sizeof *digest);
    if (digest && !key_digest_init(digest)) {
        wf_key_digest_free(digest);
        return NULL;
    }
    return digest;
}

void wf_key_digest_free(wf_key_digest *digest) {
    if (digest)
        EVP_MD_CTX_free(digest->context);
    wf_mem_free(digest);
}

enum { SHA1_BYTES = 20 };

static bool sha1_of(wf_key_digest *digest, const void *data, size_t len, unsigned char out[EVP_MAX_MD_SIZE]) {
    unsigned out_len = 0;
    return EVP_DigestInit_ex(digest->context, NULL, NULL) == 1 && EVP_DigestUpdate(digest->context, data, len) == 1 &&
           EVP_DigestFinal_ex(digest->context, out, &out_len) == 1 && out_len == SHA1_BYTES;
}

int wf_upgrade_accept_key(wf_key_digest *digest, wf_str key, char out[WF_UPGRADE_ACCEPT_BYTES + 1]) {
    unsigned char text[WF_UPGRADE_KEY_BYTES + sizeof GUID - 1], sha1[EVP_MAX_MD_SIZE];
    if (key.len != WF_UPGRADE_KEY_BYTES)
        return WF_EINVAL;
    memcpy(text, key.data, WF_UPGRADE_KEY_BYTES);
    memcpy(text + WF_UPGRADE_KEY_BYTES, GUID, sizeof GUID - 1);
    wf_key_digest own;
    bool good = digest ? sha1_of(digest, text, sizeof text, sha1)
                       : key_digest_init(&own) && sha1_of(&own, text, sizeof text, sha1);
    if (!digest)
        EVP_MD_CTX_free(own.context);
    if (!good)
        return WF_ESYS;
    EVP_EncodeBlock((unsigned char *)out, sha1, SHA1_BYTES);
    return WF_OK;
}

/* Walks the offered subprotocols over all header lines; what is no token is passed over. */
typedef struct offers {
    const wf_http_request *request;
    size_t next_header, lines_seen;
    wf_str rest; /* of the header line at hand */
} offers;

static bool next_offer(offers *walk, wf_str *out_offer) {
    for (;;) {
        while (wf_str_next_element(&walk->rest, out_offer))
            if (wf_http_is_token(*out_offer))
                return true;
        if (walk->lines_seen == walk->request->known[WF_HTTP_WS_PROTOCOL].count)
            return false;
        const wf_http_header *header = &walk->request->headers[walk->next_header++];
        if (wf_str_eq_nocase(header->name, wf_str_of("Sec-WebSocket-Protocol"))) {
            walk->rest = header->value;
            walk->lines_seen++;
        }
    }
}

bool wf_upgrade_pick_protocol(const wf_http_request *request, const char *const *supported, size_t count,
                              wf_str *out_protocol) {
    offers walk = {.request = request};
    wf_str offer;
    while (next_offer(&walk, &offer))
        for (size_t i = 0; i < count; i++)
            if (wf_str_eq(offer, wf_str_of(supported[i]))) {
                *out_protocol = offer;
                return true;
            }
    return false;
}

bool wf_upgrade_offers_protocol(const wf_http_request *request, wf_str protocol) {
    offers walk = {.request = request};
    wf_str offer;
    while (next_offer(&walk, &offer))
        if (wf_str_eq(offer, protocol))
            return true;
    return false;
}
