#include "cli/connect/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weft/conn.h>

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A JSON string, quotes included; at most six times as many bytes and two. */
static size_t quote(const uint8_t *data, size_t len, char *out) {
    size_t used = 0;
    out[used++] = '"';
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '"' || data[i] == '\\')
            out[used++] = '\\';
        if (data[i] == 0xc2 && i + 1 < len && data[i + 1] < 0xa0) /* C1: commands to a terminal, too */
            used += (size_t)sprintf(out + used, "\\u%04x", data[++i]);
        else if (data[i] < 0x20 || data[i] == 0x7f)
            used += (size_t)sprintf(out + used, "\\u%04x", data[i]);
        else
            out[used++] = (char)data[i];
    }
    out[used++] = '"';
    return used;
}

static size_t quote_hex(const uint8_t *data, size_t len, char *out) {
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;
    out[used++] = '"';
    for (size_t i = 0; i < len; i++) {
        out[used++] = digits[data[i] >> 4];
        out[used++] = digits[data[i] & 15];
    }
    out[used++] = '"';
    return used;
}

static size_t number(char *out, const char *name, int64_t value, bool is_known) {
    return (size_t)(is_known ? sprintf(out, ",\"%s\":%" PRId64, name, value) : sprintf(out, ",\"%s\":null", name));
}

connect_event connect_event_of(const char *op, const void *data, size_t len) {
    return (connect_event) {.op = op,
                            .fin = true,
                            .rsv = EVENT_UNKNOWN,
                            .wire_len = EVENT_UNKNOWN,
                            .len = (int64_t)len,
                            .data = data ? data : "",
                            .is_binary = strcmp(op, "binary") == 0};
}

char *connect_event_line(const connect_event *e, size_t *out_len) {
    size_t data_len = e->data && e->len > 0 ? (size_t)e->len : 0;
    char *out = malloc(512 + strlen(e->op) + (e->more ? strlen(e->more) : 0) + 6 * data_len);
    if (!out)
        return NULL;
    size_t used = (size_t)sprintf(out, "{\"ts_ns\":%" PRId64 ",\"conn\":%" PRIu32 ",\"dir\":\"%s\",\"op\":\"%s\"",
                                  now_ns(), e->conn, e->is_out ? "out" : "in", e->op);
    used += (size_t)sprintf(out + used, ",\"fin\":%s", e->fin < 0 ? "null" : e->fin ? "true" : "false");
    used += number(out + used, "rsv", e->rsv, e->rsv >= 0);
    used += number(out + used, "wire_len", e->wire_len, e->wire_len >= 0);
    used += number(out + used, "len", e->len, e->len >= 0);
    used += number(out + used, "rtt_ns", (int64_t)e->rtt_ns, e->rtt_ns > 0);
    bool is_text = e->data && !e->is_binary && weft_utf8_valid(e->data, data_len);
    used += (size_t)sprintf(out + used, ",\"payload\":%s", is_text ? "" : "null");
    if (is_text)
        used += quote(e->data, data_len, out + used);
    if (e->data && !is_text) {
        used += (size_t)sprintf(out + used, ",\"payload_hex\":");
        used += quote_hex(e->data, data_len, out + used);
    }
    used += (size_t)sprintf(out + used, "%s%s}\n", e->more ? "," : "", e->more ? e->more : "");
    *out_len = used;
    return out;
}
