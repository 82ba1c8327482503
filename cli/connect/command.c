/*
 * What is typed on a terminal behind a slash is for us, not for the peer. "//" sends a line that begins with one.
 *
 * /frame sends one frame made by hand, of those that a connection may carry: what breaks the rules is said, not sent.
 */
#include "cli/connect/connect.h"

#include <stdlib.h>
#include <string.h>

static const char frame_help[] =
    "/frame [fin=0|1] [op=text|binary|cont|ping|pong|close] [TEXT, or hex=DIGITS]: one frame by itself";

static void tell_refusal(const connect_session *s, int got) {
    if (got == WEFT_FULL)
        connect_complain(s, "not sent: too much waits to be sent already");
    else if (got != WEFT_OK)
        connect_complain(s, "not sent: %s", weft_status_text(got));
}

/* "[code [reason]]". A bad one closes nothing. */
static void close_with(connect_session *s, const char *arguments) {
    char *rest;
    unsigned long code = strtoul(arguments, &rest, 10);
    if (rest == arguments)
        code = *arguments ? 0 : s->options->close_code;
    rest += strspn(rest, " ");
    bool valid = code >= 1000 && code <= 4999 && weft_utf8_valid(rest, strlen(rest));
    int got = valid ? connect_close(s, (int)code, *rest ? rest : s->options->close_reason) : WEFT_EINVAL;
    if (got == WEFT_EINVAL)
        connect_complain(s, "/close takes 1000 to 1003, 1007 to 1014 or 3000 to 4999, and at most 123 bytes");
}

static void ping(connect_session *s, const char *text) {
    size_t len = strlen(text);
    int got = len > 0 ? connect_ping_text(s, text, len) : connect_ping(s);
    s->asked_pong = s->asked_pong || (got == WEFT_OK && len == 0);
    if (got == WEFT_FULL && len == 0)
        connect_complain(s, "the last ping is not answered yet");
    else if (got == WEFT_EINVAL)
        connect_complain(s, "a ping carries at most 125 bytes");
    else
        tell_refusal(s, got);
}

/* ---- /frame ---- */

typedef enum frame_op { OP_ANY, OP_TEXT, OP_BINARY, OP_CONT, OP_PING, OP_PONG, OP_CLOSE } frame_op;

typedef struct frame_order {
    frame_op op;
    bool fin;
    char *data; /* within the line */
    size_t len;
} frame_order;

static int digit(char c) {
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* In place. False: these are no pairs of digits. */
static bool read_hex(frame_order *f) {
    size_t len = f->len / 2;
    bool pairs = f->len % 2 == 0;
    for (size_t i = 0; pairs && i < len; i++) {
        int high = digit(f->data[2 * i]), low = digit(f->data[2 * i + 1]);
        pairs = high >= 0 && low >= 0;
        if (pairs)
            f->data[i] = (char)(high << 4 | low);
    }
    f->len = len;
    return pairs;
}

/* NULL, or what is wrong. */
static const char *read_order(char *text, frame_order *f) {
    static const char *const ops[] = {[OP_TEXT] = "text", [OP_BINARY] = "binary", [OP_CONT] = "cont",
                                      [OP_PING] = "ping", [OP_PONG] = "pong",     [OP_CLOSE] = "close"};
    *f = (frame_order) {.fin = true};
    for (;;) {
        size_t word = strcspn(text, " ");
        if (word == 5 && strncmp(text, "fin=", 4) == 0 && (text[4] == '0' || text[4] == '1')) {
            f->fin = text[4] == '1';
        } else if (strncmp(text, "op=", 3) == 0) {
            size_t op = OP_TEXT;
            while (op <= OP_CLOSE && (strlen(ops[op]) != word - 3 || memcmp(ops[op], text + 3, word - 3) != 0))
                op++;
            if (op > OP_CLOSE)
                return frame_help;
            f->op = (frame_op)op;
        } else {
            break;
        }
        text += word + (text[word] == ' ');
    }
    bool is_hex = strncmp(text, "hex=", 4) == 0;
    f->data = text + (is_hex ? 4 : 0);
    f->len = strlen(f->data);
    return is_hex && !read_hex(f) ? "hex= takes pairs of digits" : NULL;
}

/* A frame of a message. */
static void send_part(connect_session *s, const frame_order *f) {
    bool is_binary = s->fragmenting ? s->fragmenting == WEFT_BINARY : f->op == OP_BINARY;
    if (s->fragmenting && (f->op == OP_TEXT || f->op == OP_BINARY))
        connect_complain(s, "not sent: a message is begun, and op=cont goes on with it (RFC 6455 5.4)");
    else if (!s->fragmenting && f->op == OP_CONT)
        connect_complain(s, "not sent: no message is begun that could go on (RFC 6455 5.4)");
    else if (!is_binary && !weft_utf8_valid(f->data, f->len))
        connect_complain(s, "not sent: text is UTF-8 (RFC 6455 5.6)");
    else
        tell_refusal(s, connect_send_fragment(s, is_binary ? WEFT_BINARY : WEFT_TEXT, f->data, f->len, f->fin));
}

static void send_frame(connect_session *s, char *arguments) {
    frame_order f;
    const char *problem = read_order(arguments, &f);
    bool is_control = f.op >= OP_PING;
    if (!problem && is_control && (!f.fin || f.len > 125))
        problem = "not sent: a control frame is whole, and carries at most 125 bytes (RFC 6455 5.5)";
    if (problem)
        connect_complain(s, "%s", problem);
    else if (!is_control)
        send_part(s, &f);
    else if (f.op == OP_CLOSE)
        close_with(s, f.data);
    else if (f.op == OP_PING)
        tell_refusal(s, connect_ping_text(s, f.data, f.len));
    else
        tell_refusal(s, connect_send(s, WEFT_PONG, f.data, f.len));
}

static void run(connect_session *s, char *text) {
    size_t word = strcspn(text, " ");
    char *arguments = text + word + strspn(text + word, " ");
    text[word] = '\0';
    if (strcmp(text, "/ping") == 0)
        ping(s, arguments);
    else if (strcmp(text, "/close") == 0)
        close_with(s, arguments);
    else if (strcmp(text, "/frame") == 0)
        send_frame(s, arguments);
    else if (strcmp(text, "/help") == 0)
        connect_note(s, "/ping [TEXT]\n/close [CODE [REASON]]\n%s\n//TEXT sends a line that begins with a slash",
                     frame_help);
    else
        connect_complain(s,
                         "no such command, and not sent: /help lists them, // sends a line that begins with a slash");
}

bool connect_command(connect_session *s, const char *line, size_t len) {
    if (!s->is_typed || len == 0 || line[0] != '/' || (len > 1 && line[1] == '/'))
        return false;
    char *text = strndup(line, len);
    if (text)
        run(s, text);
    free(text);
    return true;
}
