/*
 * What is typed on a terminal behind a slash is for us, not for the peer. "//" sends a line that begins with one.
 */
#include "cli/connect/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tell(const connect_session *s, const char *text) {
    connect_tell(s, text, strlen(text));
}

/* "[code [reason]]". A bad one closes nothing. */
static void close_with(connect_session *s, const char *arguments) {
    char *rest;
    unsigned long code = strtoul(arguments, &rest, 10);
    if (rest == arguments)
        code = *arguments ? 0 : s->options->close_code;
    rest += strspn(rest, " ");
    bool valid = code >= 1000 && code <= 4999 && weft_utf8_valid(rest, strlen(rest));
    int got = valid ? weft_conn_close(s->conn, (int)code, *rest ? rest : s->options->close_reason) : WEFT_EINVAL;
    if (got == WEFT_EINVAL)
        tell(s, "/close takes 1000 to 1003, 1007 to 1014 or 3000 to 4999, and at most 123 bytes");
}

static void ping(connect_session *s) {
    int got = weft_conn_ping(s->conn);
    s->asked_pong = got == WEFT_OK;
    if (got != WEFT_OK)
        tell(s, got == WEFT_FULL ? "the last ping is not answered yet" : weft_status_text(got));
}

bool connect_command(connect_session *s, const char *line, size_t len) {
    char text[256];
    if (!s->is_typed || len == 0 || line[0] != '/' || (len > 1 && line[1] == '/'))
        return false;
    snprintf(text, sizeof text, "%.*s", (int)(len < sizeof text ? len : sizeof text - 1), line);
    size_t word = strcspn(text, " ");
    const char *arguments = text + word + strspn(text + word, " ");
    text[word] = '\0';
    if (strcmp(text, "/ping") == 0)
        ping(s);
    else if (strcmp(text, "/close") == 0)
        close_with(s, arguments);
    else if (strcmp(text, "/help") == 0)
        tell(s, "/ping, /close [code [reason]], /help; // sends a line that begins with a slash");
    else
        tell(s, "no such command, and not sent: /help lists them, // sends a line that begins with a slash");
    return true;
}
