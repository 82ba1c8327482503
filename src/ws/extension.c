/*
 * One element of the header is an extension with its parameters:
 *
 *     permessage-deflate; server_no_context_takeover; client_max_window_bits=10
 *
 * It is read into the same struct whoever wrote it; what the server and the client then ask of it differs. A parameter
 * is read only once and only in the form RFC 7692 7.1 gives it, so a bad value is found here and nowhere else: a window
 * is a decimal number from 8 to 15 without leading zeros. As every value it may also be quoted (RFC 6455 9.1).
 */
#include "ws/extension.h"

static const char NAME[] = "permessage-deflate";

enum param { SERVER_TAKEOVER, CLIENT_TAKEOVER, SERVER_BITS, CLIENT_BITS, PARAM_COUNT };

static const char *const param_names[PARAM_COUNT] = {
    [SERVER_TAKEOVER] = "server_no_context_takeover",
    [CLIENT_TAKEOVER] = "client_no_context_takeover",
    [SERVER_BITS] = "server_max_window_bits",
    [CLIENT_BITS] = "client_max_window_bits",
};

/* The parameters of one element: whether each stands there, and the value of those that may have one. */
typedef struct element {
    bool has[PARAM_COUNT];
    uint8_t value[PARAM_COUNT]; /* 0: without a value */
} element;

typedef enum reading { READ_GOOD, READ_BAD, READ_OTHER /* another extension */ } reading;

/* Takes what stands before the next ';', trimmed; true when one stood there, so that another part must follow. Quotes
 * are not minded: none of our values may hold a ';', and another extension's are not looked at. */
static bool next_part(wf_str *rest, wf_str *out_part) {
    const char *end = rest->len > 0 ? memchr(rest->data, ';', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->data) : rest->len, used = end ? len + 1 : len;
    *out_part = wf_str_trim((wf_str) {rest->data, len});
    rest->data += used;
    rest->len -= used;
    return end != NULL;
}

/* 8 to 15, as RFC 7692 7.1.2 writes it; 0 for anything else. */
static uint8_t window_bits(wf_str text) {
    if (text.len == 1 && (text.data[0] == '8' || text.data[0] == '9'))
        return (uint8_t)(text.data[0] - '0');
    if (text.len == 2 && text.data[0] == '1' && text.data[1] >= '0' && text.data[1] <= '5')
        return (uint8_t)(10 + text.data[1] - '0');
    return 0;
}

enum { VALUE_BYTES_MAX = 2 };

/* Takes the quotes off a value, into `room`, or leaves one without as it is. False: it does not end where its quotes
 * do, or is longer than any of ours. */
static bool unquote(wf_str *value, char room[VALUE_BYTES_MAX]) {
    size_t at = 1, len = 0;
    if (value->len == 0 || value->data[0] != '"')
        return true;
    for (; at < value->len && value->data[at] != '"'; at++) {
        if (value->data[at] == '\\')
            at++;
        if (at == value->len || len == VALUE_BYTES_MAX)
            return false;
        room[len++] = value->data[at];
    }
    bool whole = at + 1 == value->len;
    *value = (wf_str) {room, len};
    return whole;
}

static bool read_param(wf_str text, element *e) {
    const char *equals = text.len > 0 ? memchr(text.data, '=', text.len) : NULL;
    wf_str name = equals ? wf_str_trim((wf_str) {text.data, (size_t)(equals - text.data)}) : text;
    wf_str value =
        equals ? wf_str_trim((wf_str) {equals + 1, text.len - (size_t)(equals + 1 - text.data)}) : (wf_str) {0};
    for (int i = 0; i < PARAM_COUNT; i++) {
        if (!wf_str_eq(name, wf_str_of(param_names[i])))
            continue;
        if (e->has[i])
            return false;
        e->has[i] = true;
        if (i == SERVER_TAKEOVER || i == CLIENT_TAKEOVER)
            return !equals;
        char room[VALUE_BYTES_MAX];
        e->value[i] = unquote(&value, room) ? window_bits(value) : 0;
        return equals ? e->value[i] != 0 : i == CLIENT_BITS; /* without a value: only a client's offer may, see below */
    }
    return false;
}

static reading read_element(wf_str text, element *e) {
    wf_str part;
    *e = (element) {0};
    bool more = next_part(&text, &part);
    if (!wf_str_eq(part, wf_str_of(NAME)))
        return READ_OTHER;
    while (more) {
        more = next_part(&text, &part);
        if (!read_param(part, e))
            return READ_BAD;
    }
    return READ_GOOD;
}

/* The elements of all header lines, one after the other. */
typedef struct elements {
    const wf_str *lines;
    size_t line_count;
    wf_str rest;
} elements;

static bool next_element(elements *walk, wf_str *out_text) {
    while (!wf_str_next_element(&walk->rest, out_text)) {
        if (walk->line_count == 0)
            return false;
        walk->rest = *walk->lines++;
        walk->line_count--;
    }
    return true;
}

static uint8_t smaller(uint8_t a, uint8_t b) {
    return a < b ? a : b;
}

bool wf_pmd_answer(const wf_str *lines, size_t line_count, const wf_pmd_config *config, wf_pmd_params *out_params) {
    elements walk = {lines, line_count, {0}};
    wf_str text;
    element e;
    while (config->on && next_element(&walk, &text)) {
        if (read_element(text, &e) != READ_GOOD)
            continue;
        uint8_t server_bits = e.has[SERVER_BITS] ? e.value[SERVER_BITS] : WF_WINDOW_BITS_MAX;
        uint8_t client_bits = e.value[CLIENT_BITS] ? e.value[CLIENT_BITS] : WF_WINDOW_BITS_MAX;
        *out_params = (wf_pmd_params) {
            .server_no_context_takeover = e.has[SERVER_TAKEOVER] || !config->server_takeover,
            .client_no_context_takeover = e.has[CLIENT_TAKEOVER] || !config->client_takeover,
            .server_max_window_bits = smaller(server_bits, config->server_bits),
            .client_max_window_bits =
                e.has[CLIENT_BITS] ? smaller(client_bits, config->client_bits) : WF_WINDOW_BITS_MAX,
            .server_bits_named = e.has[SERVER_BITS],
            .client_bits_named = e.has[CLIENT_BITS],
        };
        return true;
    }
    return false;
}

/* ---- writing ---- */

typedef struct writer {
    char *out;
    size_t len;
} writer;

static void put(writer *w, const char *text) {
    size_t len = wf_str_of(text).len;
    memcpy(w->out + w->len, text, len);
    w->len += len;
}

static void put_param(writer *w, enum param param, uint8_t value) {
    put(w, "; ");
    put(w, param_names[param]);
    if (value == 0)
        return;
    char digits[] = {'=', value >= 10 ? '1' : (char)('0' + value), value >= 10 ? (char)('0' + value - 10) : '\0', '\0'};
    put(w, digits);
}

static size_t write_element(const element *e, char *out) {
    writer w = {out, 0};
    put(&w, NAME);
    for (int i = 0; i < PARAM_COUNT; i++)
        if (e->has[i])
            put_param(&w, (enum param)i, e->value[i]);
    return w.len;
}

size_t wf_pmd_answer_write(const wf_pmd_params *params, char out[WF_PMD_TEXT_MAX]) {
    return write_element(
        &(element) {
            .has = {[SERVER_TAKEOVER] = params->server_no_context_takeover,
                    [CLIENT_TAKEOVER] = params->client_no_context_takeover,
                    [SERVER_BITS] = params->server_bits_named,
                    [CLIENT_BITS] = params->client_bits_named},
            .value = {[SERVER_BITS] = params->server_max_window_bits, [CLIENT_BITS] = params->client_max_window_bits}},
        out);
}

size_t wf_pmd_offer_write(const wf_pmd_offer *offer, char out[WF_PMD_TEXT_MAX]) {
    return write_element(
        &(element) {
            .has = {[SERVER_TAKEOVER] = offer->server_no_context_takeover,
                    [CLIENT_TAKEOVER] = offer->client_no_context_takeover,
                    [SERVER_BITS] = offer->server_max_window_bits != 0,
                    [CLIENT_BITS] = offer->client_bits},
            .value = {[SERVER_BITS] = offer->server_max_window_bits, [CLIENT_BITS] = offer->client_max_window_bits}},
        out);
}

/* ---- the client's side ---- */

static const char *judge_answer(const element *e, const wf_pmd_offer *offer) {
    if (e->has[CLIENT_BITS] && e->value[CLIENT_BITS] == 0)
        return "RFC7692/7.1.2.2: client_max_window_bits in an answer has no value";
    if (e->has[CLIENT_BITS] && !offer->client_bits)
        return "RFC7692/7.1.2.2: client_max_window_bits was not offered";
    if (e->has[CLIENT_BITS] && offer->client_max_window_bits && e->value[CLIENT_BITS] > offer->client_max_window_bits)
        return "RFC7692/7.1.2.2: client_max_window_bits is over what was offered";
    if (offer->server_max_window_bits &&
        (!e->has[SERVER_BITS] || e->value[SERVER_BITS] > offer->server_max_window_bits))
        return "RFC7692/7.1.2.1: server_max_window_bits is over what was offered";
    if (offer->server_no_context_takeover && !e->has[SERVER_TAKEOVER])
        return "RFC7692/7.1.1.1: server_no_context_takeover was asked for and is not granted";
    return NULL;
}

int wf_pmd_check_answer(const wf_str *lines, size_t line_count, const wf_pmd_offer *offer, bool *out_agreed,
                        wf_pmd_params *out_params, wf_fault *fault) {
    elements walk = {lines, line_count, {0}};
    wf_str text;
    element e;
    bool agreed = false;
    while (next_element(&walk, &text)) {
        reading got = read_element(text, &e);
        if (got == READ_OTHER || !offer || agreed)
            return wf_fault_set(fault, WF_ERROR, 1010,
                                "RFC6455/9.1: the server chose an extension that was not offered");
        const char *rule = got == READ_BAD ? "RFC7692/7: the server's answer has a parameter or value it may not have"
                                           : judge_answer(&e, offer);
        if (rule)
            return wf_fault_set(fault, WF_ERROR, 1010, rule);
        agreed = true;
    }
    *out_agreed = agreed;
    if (agreed)
        *out_params = (wf_pmd_params) {
            .server_no_context_takeover = e.has[SERVER_TAKEOVER],
            .client_no_context_takeover = e.has[CLIENT_TAKEOVER] || offer->client_no_context_takeover,
            .server_max_window_bits = e.has[SERVER_BITS] ? e.value[SERVER_BITS] : WF_WINDOW_BITS_MAX,
            .client_max_window_bits = e.has[CLIENT_BITS]              ? e.value[CLIENT_BITS]
                                      : offer->client_max_window_bits ? offer->client_max_window_bits
                                                                      : WF_WINDOW_BITS_MAX,
            .server_bits_named = e.has[SERVER_BITS],
            .client_bits_named = e.has[CLIENT_BITS],
        };
    return WF_OK;
}
