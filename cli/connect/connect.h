/*
 * connect.h - one conversation: what was asked for, and how far it has come. One thread does all of it.
 */
#ifndef CLI_CONNECT_CONNECT_H
#define CLI_CONNECT_CONNECT_H

#include "cli/connect/event.h"
#include "cli/exits.h"
#include "cli/options.h"

#include <signal.h>
#include <weft/client.h>
#include <weft/retry.h>

typedef struct connect_options {
    cli_list urls, headers, subprotocols, texts;
    const char *proxy; /* NULL: what the environment says */
    const char *origin, *auth, *separator, *close_reason, *expect_text;
    weft_tls_client tls;
    bool text, binary, nul, one, only_send, only_receive, exit_on_eof, no_close, show_pongs, no_compress, raw, json,
        follow, http2;
    bool quiet;
    int verbose, color;
    uint32_t wait_ms; /* 0: by the answers */
    uint32_t expect;
    uint32_t close_code, ping_interval_ms, ping_timeout_ms, connect_timeout_ms, message_max;
    bool expects;
    const char *reconnect; /* how often in a row; NULL: never */
    uint32_t reconnect_max;
} connect_options;

/* Bytes of stdin that are no whole message yet. */
typedef struct connect_input {
    char *data;
    size_t len, cap;
    size_t seen; /* bytes in front that hold no separator */
    bool ended;
} connect_input;

typedef struct connect_output {
    char data[65536];
    size_t len;
    bool failed; /* nobody reads: the rest is dropped */
} connect_output;

typedef struct connect_session {
    const connect_options *options;
    const char *separator;
    size_t separator_len;
    weft_client *client;
    weft_conn *conn;
    connect_input input;
    connect_output output;
    size_t texts_sent; /* of -x */
    uint64_t received, sent;
    uint64_t heard_ns;   /* when the last message came; 0: none since the last one we sent */
    uint64_t settled_ns; /* when all of the input was with the kernel; 0: not yet */
    bool is_open, is_blocked, is_over, escapes;
    uint64_t retry_ns; /* when to dial again; 0: not */
    uint32_t attempts; /* in a row that came to nothing */
    bool is_leaving;   /* we have closed it */
    bool is_typed;     /* stdin is a terminal */
    bool is_edited;    /* and its lines are edited */
    bool asked_pong;   /* by /ping */
    bool colors_out, colors_err;
    uint32_t dialled;      /* how often it was open */
    weft_kind fragmenting; /* of the message that is begun by /frame; 0: none is */
    char ping_text[125];   /* of /ping TEXT, which left at ping_ns */
    size_t ping_len;
    uint64_t ping_ns; /* 0: none is out */
    int exit_code;
} connect_session;

extern volatile sig_atomic_t connect_signal; /* 0, or the signal that asked us to leave */

/* 0; -1: help was printed; or the exit code. */
int connect_settings_read(int argc, char **argv, connect_options *o);

/* The first exit code that is not 0 stays. */
void connect_fail(connect_session *s, int exit_code);
int connect_dial(connect_session *s);
void connect_leave(connect_session *s);

/* true: it is tried again, and no failure yet. */
bool connect_retry(connect_session *s, const weft_retry_end *end);

/* The proxy on the way to this URL; NULL: none. Until the next call. */
const char *connect_proxy_of_environment(const char *url);
uint64_t connect_now_ns(void); /* the monotonic clock */

/* What the library answers; with --json it is told. Closing is leaving. */
int connect_send(connect_session *s, weft_kind kind, const void *data, size_t len);
int connect_send_fragment(connect_session *s, weft_kind kind, const void *data, size_t len, bool fin);
int connect_close(connect_session *s, int code, const char *reason);
int connect_ping(connect_session *s);
int connect_ping_text(connect_session *s, const char *text, size_t len); /* at most 125 bytes, else WEFT_EINVAL */

void connect_on_pong(weft_conn *conn, uint64_t rtt_ns, void *session);
void connect_on_control(weft_conn *conn, weft_message frame, void *session);

/* true: the line was a command, and is done. */
bool connect_command(connect_session *s, const char *line, size_t len);

/* Sends what is whole in the input, and reads more of it. */
void connect_input_send(connect_session *s);
void connect_input_read(connect_session *s);
void connect_input_line(const char *line, void *session); /* as it was typed; NULL: the end */

/* All of it, however slow the reader: while it waits nothing is received, so memory does not grow. */
/* Messages and events are written when the turn is over. */
void connect_print_flush(connect_session *s);
void connect_print_message(connect_session *s, weft_message message);
void connect_print_event(connect_session *s, connect_event *e); /* with --json; else nothing */

/* On stderr, escaped when that is a terminal: news, and what is wrong. */
void connect_note(const connect_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void connect_complain(const connect_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
