#include "base/bytes.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weft is written for little-endian machines");

static unsigned char lower(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

/* The same for eight at once: a byte's top bit says that it is at least 'A', and then that it is past 'Z'. */
static uint64_t lower8(uint64_t v) {
    const uint64_t each = 0x0101010101010101u, top = each * 0x80;
    uint64_t low = v & ~top, from_a = low + each * (0x80 - 'A'), past_z = low + each * (0x80 - 'Z' - 1);
    return v | (from_a & ~past_z & ~v & top) >> 2;
}

/* Most of what is compared is equal as it stands. */
static bool eq8(uint64_t a, uint64_t b) {
    return a == b || lower8(a) == lower8(b);
}

/* 4 to 7 bytes as one word: the first four and the last four, some of which are the same. */
static uint64_t load4to7(const char *p, size_t len) {
    uint32_t first, last;
    memcpy(&first, p, 4);
    memcpy(&last, p + len - 4, 4);
    return (uint64_t)last << 32 | first;
}

bool wf_bytes_eq_nocase(const char *a, const char *b, size_t len) {
    if (len < 4) {
        for (size_t i = 0; i < len; i++)
            if (lower(a[i]) != lower(b[i]))
                return false;
        return true;
    }
    if (len < 8)
        return eq8(load4to7(a, len), load4to7(b, len));
    for (size_t i = 0; i < len - 8; i += 8)
        if (!eq8(wf_load_le64(a + i), wf_load_le64(b + i)))
            return false;
    return eq8(wf_load_le64(a + len - 8), wf_load_le64(b + len - 8));
}

wf_str wf_str_trim(wf_str s) {
    while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
        s.data++, s.len--;
    while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool wf_str_next_element(wf_str *rest, wf_str *out_element) {
    while (rest->len > 0) {
        bool quoted = false;
        size_t end = 0;
        while (end < rest->len && (quoted || rest->data[end] != ',')) {
            if (rest->data[end] == '"')
                quoted = !quoted;
            else if (quoted && rest->data[end] == '\\' && end + 1 < rest->len)
                end++;
            end++;
        }
        wf_str element = wf_str_trim((wf_str) {rest->data, end});
        size_t used = end < rest->len ? end + 1 : end;
        rest->data += used;
        rest->len -= used;
        if (element.len > 0) {
            *out_element = element;
            return true;
        }
    }
    return false;
}

size_t wf_decimal(char out[WF_DECIMAL_MAX], uint64_t number) {
    size_t len = 1;
    for (uint64_t rest = number; rest >= 10; rest /= 10)
        len++;
    for (size_t at = len; at > 0; number /= 10)
        out[--at] = (char)('0' + number % 10);
    return len;
}
