#include "base/bytes.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weft is written for little-endian machines");

static unsigned char lower(char c) {
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u + 32) : u;
}

bool wf_str_eq_nocase(wf_str a, wf_str b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
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
