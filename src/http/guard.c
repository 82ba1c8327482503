#include "http/guard.h"

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
