/*
 * Making cases. A case begins with its opening handshake, where one is spoken, and ends with a closing handshake, so
 * that whatever an endpoint says too much is seen there.
 */
#include "case.h"

#include "frames.h"
#include "http.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes ---- */

static void *must_have(void *memory) {
    if (!memory) {
        fputs("out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

void bytes_put(bytes *b, const void *data, size_t len) {
    if (b->len + len > b->cap) {
        b->cap = 2 * b->len + len;
        b->data = must_have(realloc(b->data, b->cap));
    }
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
}

void bytes_put_byte(bytes *b, unsigned value) {
    bytes_put(b, &(uint8_t) {(uint8_t)value}, 1);
}

void bytes_print(bytes *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = NULL;
    int len = vasprintf(&text, format, args);
    va_end(args);
    must_have(len < 0 ? NULL : text);
    bytes_put(b, text, (size_t)len);
    free(text);
}

void bytes_free(bytes *b) {
    free(b->data);
    *b = (bytes) {0};
}

/* ---- cases ---- */

const char *level_name(case_level level) {
    static const char *const names[] = {"MUST", "SHOULD", "STRICT"};
    return names[level];
}

static step *add_step(conf_case *c, step_kind kind) {
    if (c->step_count == c->step_cap) {
        c->step_cap = 2 * c->step_cap + 8;
        c->steps = must_have(realloc(c->steps, c->step_cap * sizeof *c->steps));
    }
    step *s = &c->steps[c->step_count++];
    *s = (step) {.kind = kind};
    return s;
}

static void put_data(conf_case *c, step *s, const void *data, size_t len) {
    bytes_put(&s->data, data, len);
    c->weight += len;
}

static void open_connection(suite *s, conf_case *c, const char *extension_lines) {
    bytes request = {0};
    http_request(&request, s, extension_lines);
    case_send(c, request.data, request.len);
    bytes_free(&request);
    case_expect_http(c, 101, "Upgrade: websocket\nConnection: upgrade\nSec-WebSocket-Accept: " HTTP_ACCEPT);
}

conf_case *case_begin(suite *s, const char *category, const char *clause, case_level level, const char *name, ...) {
    conf_case *c = must_have(calloc(1, sizeof *c));
    va_list args;
    va_start(args, name);
    vsnprintf(c->name, sizeof c->name, name, args);
    va_end(args);
    c->category = category;
    c->clause = clause;
    c->level = level;
    c->masks = s->masks;
    c->key = 0x9d5c21e7;
    if (s->has_http)
        open_connection(s, c, "");
    return c;
}

void case_free(conf_case *c) {
    for (size_t i = 0; i < c->step_count; i++)
        bytes_free(&c->steps[i].data);
    free(c->steps);
    free(c);
}

static bool is_wanted(const suite *s, const conf_case *c) {
    char words[200];
    snprintf(words, sizeof words, "%s: %s", c->category, c->name);
    return (!c->needs_http || s->has_http) && (!s->filter || strstr(words, s->filter)) &&
           (!s->without || !strstr(words, s->without));
}

void case_end(suite *s, conf_case *c) {
    if (!c->ends) {
        case_close(c, 1000, "", 0);
        case_expect_close(c, 1000);
    }
    if (is_wanted(s, c))
        s->take(s->runner, c);
    else
        case_free(c);
}

static void forget_steps(conf_case *c) {
    for (size_t i = 0; i < c->step_count; i++)
        bytes_free(&c->steps[i].data);
    c->step_count = 0;
    c->weight = 0;
}

void case_speaks_http(conf_case *c) {
    c->needs_http = true;
    forget_steps(c);
}

void case_offer(suite *s, conf_case *c, const pmd_offer *offer) {
    bytes line = {0};
    c->offer = *offer;
    c->outcome = OFFER_MAY_BE_MET;
    http_offer(&line, offer);
    bytes_put_byte(&line, 0);
    forget_steps(c);
    if (s->has_http)
        open_connection(s, c, (const char *)line.data);
    bytes_free(&line);
}

void case_bad_offer(suite *s, conf_case *c, const char *lines) {
    c->outcome = OFFER_MUST_BE_DECLINED;
    c->needs_http = true;
    forget_steps(c);
    open_connection(s, c, lines);
}

/* ---- what is sent ---- */

void case_send(conf_case *c, const void *data, size_t len) {
    step *last = c->step_count > 0 ? &c->steps[c->step_count - 1] : NULL;
    if (!last || last->kind != STEP_SEND)
        last = add_step(c, STEP_SEND);
    put_data(c, last, data, len);
}

static void send_frame(conf_case *c, unsigned first, const void *payload, size_t len, bool masks) {
    bytes whole = {0};
    c->key = c->key * 1664525 + 1013904223;
    frame_put(&whole, first, payload, len, masks, c->key);
    case_send(c, whole.data, whole.len);
    bytes_free(&whole);
}

void case_frame(conf_case *c, unsigned first, const void *payload, size_t len) {
    send_frame(c, first, payload, len, c->masks);
}

void case_frame_misused(conf_case *c, unsigned first, const void *payload, size_t len) {
    send_frame(c, first, payload, len, !c->masks);
}

void case_frame_keyed(conf_case *c, unsigned first, const void *payload, size_t len, uint32_t key) {
    bytes whole = {0};
    frame_put(&whole, first, payload, len, c->masks, key);
    case_send(c, whole.data, whole.len);
    bytes_free(&whole);
}

void case_close(conf_case *c, int code, const void *reason, size_t len) {
    uint8_t payload[2 + 125] = {(uint8_t)(code >> 8), (uint8_t)code};
    if (len > 0)
        memcpy(payload + 2, reason, len);
    case_frame(c, FIN | CLOSE, payload, code == 1005 ? 0 : 2 + len);
}

static void send_message(conf_case *c, unsigned opcode, const void *payload, size_t len, size_t fragment) {
    step *s = add_step(c, STEP_SEND_MESSAGE);
    s->first = (uint8_t)opcode;
    s->fragment = fragment;
    put_data(c, s, payload, len);
}

void case_message(conf_case *c, unsigned opcode, const void *payload, size_t len, size_t fragment) {
    send_message(c, opcode, payload, len, fragment);
}

void case_compressed(conf_case *c, unsigned opcode, const void *payload, size_t len, size_t fragment) {
    send_message(c, opcode, payload, len, fragment);
    c->steps[c->step_count - 1].compress = true;
}

/* ---- what must come ---- */

void case_expect_pong(conf_case *c, const void *payload, size_t len) {
    step *s = add_step(c, STEP_EXPECT_PONG);
    s->first = FIN | PONG;
    put_data(c, s, payload, len);
}

void case_expect_message(conf_case *c, unsigned opcode, const void *payload, size_t len) {
    step *s = add_step(c, STEP_EXPECT_MESSAGE);
    s->first = (uint8_t)opcode;
    put_data(c, s, payload, len);
}

bool case_expect_echo(suite *s, conf_case *c, unsigned opcode, const void *payload, size_t len) {
    if (len <= s->limit)
        case_expect_message(c, opcode, payload, len);
    else
        case_expect_close(c, 1009);
    return len <= s->limit;
}

void case_expect_close(conf_case *c, int code) {
    add_step(c, STEP_EXPECT_CLOSE)->code = code;
    case_expect_end(c);
}

void case_expect_end(conf_case *c) {
    add_step(c, STEP_EXPECT_END);
    c->ends = true;
}

void case_expect_silence(conf_case *c, unsigned ms) {
    add_step(c, STEP_EXPECT_SILENCE)->ms = ms;
}

void case_expect_http(conf_case *c, int status, const char *lines) {
    step *s = add_step(c, STEP_EXPECT_HTTP);
    s->code = status;
    put_data(c, s, lines, strlen(lines) + 1);
}

void suite_run(suite *s) {
    cases_framing(s);
    cases_control(s);
    cases_fragments(s);
    cases_utf8(s);
    cases_close(s);
    cases_limits(s);
    cases_deflate(s);
    cases_handshake(s);
    cases_slow(s);
}
