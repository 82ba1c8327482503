#include "http/guard.h"

#include "base/bytes.h"

/* A word at a time: a byte below ' ', or one that is DEL, borrows into its top bit. What borrows from the byte above
 * it can only make that one doubtful, and the lowest is the one that counts. */
size_t wf_http_plain_run(const void *data, size_t len) {
    const uint64_t each = 0x0101010101010101u, top = each * 0x80;
    const uint8_t *bytes = data;
    size_t at = 0;
    for (; len - at >= 8; at += 8) {
        uint64_t v = wf_load_le64(bytes + at), del = v ^ each * 0x7f;
        uint64_t controls = (((v - each * ' ') & ~v) | ((del - each) & ~del)) & top;
        if (controls)
            return at + (size_t)__builtin_ctzll(controls) / 8;
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
