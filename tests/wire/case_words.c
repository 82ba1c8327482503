/*
 * The words of the case table: from words to bytes, from events to a log, from a log back to words.
 *
 * A log entry is kind (T B P O C !), code (two bytes, of a close or a fault), length (four bytes), payload.
 * Both the expected and the actual log are made by put_entry, so comparing them is one memcmp.
 */
#include "cases.h"

#include "base/bytes.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

void case_put(case_bytes *bytes, const void *data, size_t len) {
    if (bytes->len + len > bytes->cap) {
        bytes->cap = 2 * (bytes->len + len) + 256;
        bytes->data = realloc(bytes->data, bytes->cap);
        CHECK(bytes->data != NULL);
    }
    if (len > 0)
        memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

static unsigned hex_digit(char c) {
    const char *digits = "0123456789abcdef", *at = strchr(digits, c);
    if (!c || !at)
        test_fail(__FILE__, __LINE__, "'%c' is not a hex digit", c);
    return (unsigned)(at - digits);
}

/* Reads pairs of digits up to a byte that `ends` holds, or to the end of the text. */
static const char *read_hex(const char *at, const char *ends, case_bytes *out) {
    for (; *at && !strchr(ends, *at); at += 2)
        case_put(out, &(uint8_t) {(uint8_t)(hex_digit(at[0]) << 4 | hex_digit(at[1]))}, 1);
    return at;
}

static const char *read_payload(const char *at, case_bytes *out) {
    while (*at == '\'' || *at == '<') {
        case_bytes piece = {0};
        if (*at == '<') {
            at = read_hex(at + 1, ">", &piece) + 1;
        } else {
            const char *end = strchr(at + 1, '\'');
            CHECK(end != NULL);
            case_put(&piece, at + 1, (size_t)(end - at - 1));
            at = end + 1;
        }
        long times = *at == '*' ? strtol(at + 1, (char **)&at, 10) : 1;
        for (long i = 0; i < times; i++)
            case_put(out, piece.data, piece.len);
        free(piece.data);
    }
    CHECK(*at == ' ' || *at == '\0');
    return at;
}

static void put_frame(wf_ws_role role, uint8_t first, const case_bytes *payload, case_bytes *out) {
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t len = payload->len;
    uint8_t masked = role == WF_WS_SERVER ? 0x80 : 0;
    uint8_t head[10] = {first};
    size_t head_len = 2;
    if (len < 126) {
        head[1] = (uint8_t)(masked | len);
    } else {
        size_t width = len < 65536 ? 2 : 8;
        head[1] = (uint8_t)(masked | (width == 2 ? 126 : 127));
        for (size_t i = 0; i < width; i++)
            head[2 + i] = (uint8_t)((uint64_t)len >> 8 * (width - 1 - i));
        head_len += width;
    }
    case_put(out, head, head_len);
    if (masked)
        case_put(out, key, 4);
    for (size_t i = 0; i < len; i++)
        case_put(out, &(uint8_t) {(uint8_t)(payload->data[i] ^ (masked ? key[i & 3] : 0))}, 1);
}

void case_read_input(const session_case *row, case_bytes *out_bytes) {
    for (const char *at = row->in; *at;) {
        if (*at == '=') {
            at = read_hex(at + 1, " ", out_bytes);
        } else {
            uint8_t first = (uint8_t)(hex_digit(at[0]) << 4 | hex_digit(at[1]));
            CHECK(at[2] == ':');
            case_bytes payload = {0};
            at = read_payload(at + 3, &payload);
            put_frame(row->role, first, &payload, out_bytes);
            free(payload.data);
        }
        at += *at == ' ';
    }
}

static void put_entry(case_bytes *log, char kind, int code, const void *data, size_t len) {
    uint8_t entry[7] = {(uint8_t)kind};
    wf_store_be16(entry + 1, (uint16_t)code);
    for (int i = 0; i < 4; i++)
        entry[3 + i] = (uint8_t)(len >> 8 * (3 - i));
    case_put(log, entry, sizeof entry);
    case_put(log, data, len);
}

void case_read_output(const session_case *row, case_bytes *out_log) {
    for (const char *at = row->out; *at; at += *at == ' ') {
        char kind = *at++;
        int code = kind == 'C' || kind == '!' ? (int)strtol(at, (char **)&at, 10) : 0;
        case_bytes payload = {0};
        if (kind != '!') {
            CHECK(*at == ':');
            at = read_payload(at + 1, &payload);
        }
        put_entry(out_log, kind, code, payload.data, payload.len);
        free(payload.data);
    }
}

void case_log_event(case_bytes *log, const wf_ws_event *event) {
    char kind = event->kind == WF_WS_PING     ? 'P'
                : event->kind == WF_WS_PONG   ? 'O'
                : event->kind == WF_WS_CLOSE  ? 'C'
                : event->opcode == WF_OP_TEXT ? 'T'
                                              : 'B';
    CHECK(kind != 'B' || event->opcode == WF_OP_BINARY);
    put_entry(log, kind, kind == 'C' ? event->close_code : 0, event->data, event->len);
}

void case_log_fault(case_bytes *log, int code) {
    put_entry(log, '!', code, NULL, 0);
}

const char *case_log_words(const case_bytes *log) {
    static char words[400];
    size_t used = 0;
    words[0] = '\0';
    for (size_t at = 0; at < log->len && used + 100 < sizeof words;) {
        const uint8_t *entry = log->data + at;
        size_t len = (size_t)entry[3] << 24 | (size_t)entry[4] << 16 | (size_t)entry[5] << 8 | entry[6];
        used += (size_t)snprintf(words + used, sizeof words - used, "%c", entry[0]);
        if (wf_load_be16(entry + 1))
            used += (size_t)snprintf(words + used, sizeof words - used, "%d", wf_load_be16(entry + 1));
        used += (size_t)snprintf(words + used, sizeof words - used, "(%zu bytes:", len);
        for (size_t i = 0; i < len && i < 12; i++)
            used += (size_t)snprintf(words + used, sizeof words - used, " %02x", entry[7 + i]);
        used += (size_t)snprintf(words + used, sizeof words - used, "%s) ", len > 12 ? " ..." : "");
        at += 7 + len;
    }
    return words;
}
