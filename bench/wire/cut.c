/*
 * Nothing is kept between calls: a piece is looked at anew until all of it is there, which for pieces of some
 * hundred bytes that come whole is the simplest and fast enough.
 */
#include "cut.h"

#include "wire.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX 65535UL

size_t wire_cut_head(const char *input, size_t bytes, const char *status, struct wire_piece *out_piece) {
    const char *end = memmem(input, bytes, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    const char *line_end = memchr(input, '\r', bytes);
    if (strncmp(input, status, strlen(status)) != 0)
        wire_fail("the server answered \"%.*s\", not %s", (int)(line_end - input), input, status);
    *out_piece = (struct wire_piece) {.body = end + 4};
    return (size_t)(end + 4 - input);
}

static size_t number(const char *text, int base, const char *what) {
    char *end;
    unsigned long value = strtoul(text, &end, base);
    if (end == text || *end != '\r' || value > BODY_MAX)
        wire_fail("%s is no number, or too large: \"%.20s\"", what, text);
    return value;
}

size_t wire_cut_response(const char *input, size_t bytes, struct wire_piece *out_piece) {
    static const char name[] = "\r\nContent-Length: ";
    struct wire_piece piece;
    size_t head_bytes = wire_cut_head(input, bytes, "HTTP/1.1 200 ", &piece);
    if (head_bytes == 0)
        return 0;
    const char *field = memmem(input, head_bytes, name, sizeof name - 1);
    if (field == NULL)
        wire_fail("a response has no Content-Length");
    piece.body_bytes = number(field + sizeof name - 1, 10, "a Content-Length");
    if (bytes < head_bytes + piece.body_bytes)
        return 0;
    *out_piece = piece;
    return head_bytes + piece.body_bytes;
}

size_t wire_cut_chunk(const char *input, size_t bytes, struct wire_piece *out_piece) {
    const char *line_end = memmem(input, bytes, "\r\n", 2);
    if (line_end == NULL)
        return 0;
    size_t line_bytes = (size_t)(line_end - input) + 2, body_bytes = number(input, 16, "a chunk's size");
    if (body_bytes == 0)
        wire_fail("the server ended a stream");
    if (bytes < line_bytes + body_bytes + 2)
        return 0;
    if (memcmp(input + line_bytes + body_bytes, "\r\n", 2) != 0)
        wire_fail("a chunk is longer than its size");
    *out_piece = (struct wire_piece) {.body = input + line_bytes, .body_bytes = body_bytes};
    return line_bytes + body_bytes + 2;
}

size_t wire_cut_frame(const char *input, size_t bytes, struct wire_piece *out_piece) {
    const unsigned char *in = (const unsigned char *)input;
    if (bytes < 2)
        return 0;
    if (in[1] > 126)
        wire_fail("a frame is masked or has 64 KiB and more: it begins with 0x%02x%02x", in[0], in[1]);
    size_t head_bytes = in[1] == 126 ? 4 : 2;
    if (bytes < head_bytes)
        return 0;
    size_t body_bytes = in[1] == 126 ? (size_t)(in[2] << 8 | in[3]) : in[1];
    if (bytes < head_bytes + body_bytes)
        return 0;
    *out_piece = (struct wire_piece) {.body = input + head_bytes, .body_bytes = body_bytes, .first = in[0]};
    return head_bytes + body_bytes;
}
