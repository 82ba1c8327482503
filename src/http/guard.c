#include "http/guard.h"

#include "base/bytes.h"

typedef uint8_t vec __attribute__((vector_size(16)));

/* Two words of which one holds a byte that is not zero where a control byte stands. */
typedef struct controls {
    uint64_t low, high;
} controls;

static inline controls controls_in(uint64_t low, uint64_t high) {
    controls found = {low, high};
    vec v;
    memcpy(&v, &found, sizeof v);
    v = (vec)(v < ' ') | (vec)(v == 0x7f);
    memcpy(&found, &v, sizeof found);
    return found;
}

/* Sixteen bytes at a time. Eight or more that are left are looked at as two words, which overlap. */
size_t wf_http_plain_run(const void *data, size_t len) {
    const uint8_t *bytes = data;
    size_t at = 0;
    for (; len - at >= 16; at += 16) {
        controls found = controls_in(wf_load_le64(bytes + at), wf_load_le64(bytes + at + 8));
        if (found.low)
            return at + (size_t)__builtin_ctzll(found.low) / 8;
        if (found.high)
            return at + 8 + (size_t)__builtin_ctzll(found.high) / 8;
    }
    if (len - at >= 8) {
        controls found = controls_in(wf_load_le64(bytes + at), wf_load_le64(bytes + len - 8));
        if (!(found.low | found.high))
            return len;
    }
    while (at < len && bytes[at] >= ' ' && bytes[at] != 0x7f)
        at++;
    return at;
}

size_t wf_http_guard_run(wf_http_guard *guard, const uint8_t *data, size_t len, size_t lines_max) {
    size_t at = 0;
    if (guard->cr)
        return 0;
    for (;;) {
        if (guard->len == 0 && (at == len || data[at] <= ' ' || guard->lines > lines_max))
            return at;
        size_t run = wf_http_plain_run(data + at, len - at);
        guard->len += run;
        at += run;
        if (guard->len == 0 || len - at < 2 || data[at] != '\r' || data[at + 1] != '\n')
            return at;
        guard->lines++;
        guard->len = 0;
        at += 2;
    }
}

const char *wf_http_guard_byte(wf_http_guard *guard, uint8_t byte) {
    guard->ended = false;
    if (guard->cr) {
        if (byte != '\n')
            return "RFC9112/2.2: a CR without LF";
        guard->ended = guard->len == 0 && guard->lines > 0;
        guard->lines += guard->len > 0;
        guard->len = 0;
        guard->cr = false;
        return NULL;
    }
    if (byte == '\r') {
        guard->cr = true;
        return NULL;
    }
    if (byte == '\n')
        return "RFC9112/2.2: a LF without CR";
    if (byte == '\0')
        return "RFC9110/5.5: a NUL byte";
    if ((byte < ' ' && byte != '\t') || byte == 0x7f)
        return "RFC9110/5.5: a control byte";
    if (guard->len++ == 0 && (byte == ' ' || byte == '\t'))
        return "RFC9112/5.2: a line that begins with white space (line folding)";
    return NULL;
}
