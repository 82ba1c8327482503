/*
 * Each call turns the client until what it waits for has come, or its time is over. The callbacks only write down what
 * happened: messages go to a list, and when that is as long as it may be, the connection is paused.
 */
#include "client/client_impl.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <weft/blocking.h>

/* A message that waits to be received. */
typedef struct parcel {
    struct parcel *next;
    weft_kind kind;
    size_t len;
    uint8_t data[]; /* and a NUL */
} parcel;

struct weft_blocking {
    weft_client *client;
    weft_conn *conn; /* NULL: none, or it has ended */
    bool opened;     /* of the last dial */
    bool ended;      /* it was open, and is no more: info says how */
    bool paused;
    bool ponged;
    parcel *first, **end; /* to be received */
    size_t unread_bytes;
    parcel *taken; /* by the last receive */
    uint64_t rtt_ns;
    uint64_t turned_ms; /* when the client was turned last */
    weft_dial dial;     /* of it only `user`, `open` and `failed` are looked at */
    weft_close_info info;
    char reason[WF_CONTROL_BYTES_MAX];
    size_t lost_bytes; /* there was no memory for a message of so many */
    char error[600];
};

__attribute__((format(printf, 3, 4))) static int fail(weft_blocking *ws, int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(ws->error, sizeof ws->error, format, args);
    va_end(args);
    return status;
}

/* There is no connection to do it with. */
static int fail_ended(weft_blocking *ws) {
    const weft_close_info *info = &ws->info;
    if (ws->conn)
        return fail(ws, WEFT_ECLOSED, "the connection is closing");
    if (ws->lost_bytes > 0)
        return fail(ws, WEFT_ECLOSED, "there was no memory for a message of %zu bytes", ws->lost_bytes);
    if (!ws->ended)
        return fail(ws, WEFT_ECLOSED, "it is not connected");
    if (info->rule || info->sys_errno)
        return fail(ws, WEFT_ECLOSED, "the connection broke: %s",
                    info->rule && info->rule != wf_link_broke ? info->rule : strerror(info->sys_errno));
    return fail(ws, WEFT_ECLOSED, "closed by %s: %d%s%s", info->by_peer ? "the peer" : "us", info->code,
                info->reason[0] ? " " : "", info->reason);
}

static wf_link *link_of(const weft_blocking *ws) {
    return &((wf_call *)ws->conn)->link;
}

/* ---- what waits to be received ---- */

static size_t weight_of(const parcel *p) {
    return sizeof *p + p->len;
}

/* From half of what may wait on it is read again. */
static void pause_or_resume(weft_blocking *ws) {
    if (!ws->conn)
        return;
    size_t max = wf_link_limits_of(link_of(ws))->queue_bytes_max;
    bool pause = ws->paused ? ws->unread_bytes > max / 2 : ws->unread_bytes >= max;
    if (pause == ws->paused)
        return;
    ws->paused = pause;
    wf_link_pause(link_of(ws), pause);
}

static void let_go_taken(weft_blocking *ws) {
    wf_mem_free(ws->taken);
    ws->taken = NULL;
}

static parcel *take(weft_blocking *ws) {
    parcel *p = ws->first;
    if (!p)
        return NULL;
    if (!(ws->first = p->next))
        ws->end = &ws->first;
    ws->unread_bytes -= weight_of(p);
    pause_or_resume(ws);
    return p;
}

static void drop_all(weft_blocking *ws) {
    let_go_taken(ws);
    while ((ws->taken = take(ws)))
        let_go_taken(ws);
}

/* ---- what the client tells ---- */

static void on_open(weft_conn *conn, const weft_response *response, void *user) {
    weft_blocking *ws = user;
    ws->opened = true;
    weft_conn_set_user(conn, ws->dial.user);
    if (ws->dial.open)
        ws->dial.open(conn, response, ws->dial.user);
}

static void on_failed(weft_conn *conn, const weft_dial_failure *failure, void *user) {
    weft_blocking *ws = user;
    ws->conn = NULL;
    fail(ws, WEFT_ECLOSED, "%s", failure->text);
    if (ws->dial.failed)
        ws->dial.failed(conn, failure, ws->dial.user);
}

static void on_message(weft_conn *conn, weft_message message, void *user) {
    weft_blocking *ws = user;
    parcel *p = wf_mem_alloc(sizeof *p + message.len + 1);
    if (!p) { /* rather no connection than one with a gap */
        ws->lost_bytes = message.len;
        weft_conn_abort(conn);
        return;
    }
    *p = (parcel) {.kind = message.kind, .len = message.len};
    if (message.len > 0)
        memcpy(p->data, message.data, message.len);
    p->data[message.len] = '\0';
    *ws->end = p;
    ws->end = &p->next;
    ws->unread_bytes += weight_of(p);
    pause_or_resume(ws);
}

static void on_pong(weft_conn *conn, uint64_t rtt_ns, void *user) {
    weft_blocking *ws = user;
    (void)conn;
    ws->ponged = true;
    ws->rtt_ns = rtt_ns;
}

static void on_closed(weft_conn *conn, const weft_close_info *info, void *user) {
    weft_blocking *ws = user;
    (void)conn;
    ws->conn = NULL;
    ws->ended = true;
    ws->info = *info;
    snprintf(ws->reason, sizeof ws->reason, "%s", info->reason);
    ws->info.reason = ws->reason;
}

/* ---- waiting ---- */

static bool is_settled(const weft_blocking *ws) {
    return ws->opened || !ws->conn;
}

static bool is_over(const weft_blocking *ws) {
    return !ws->conn;
}

static bool has_unread(const weft_blocking *ws) {
    return ws->first || !ws->conn;
}

static bool has_room(const weft_blocking *ws) {
    return !ws->conn || !wf_outq_full(&link_of(ws)->q);
}

static bool all_has_left(const weft_blocking *ws) {
    return !ws->conn || (wf_link_all_sent(link_of(ws)) && wf_lane_all_sent((wf_call *)ws->conn));
}

static bool has_pong(const weft_blocking *ws) {
    return ws->ponged || ws->paused || !ws->conn;
}

static uint64_t time_of(int timeout_ms) {
    return timeout_ms < 0 ? UINT64_MAX : wf_clock_ms() + (uint64_t)timeout_ms;
}

static int turn(weft_blocking *ws, int timeout_ms) {
    int got = weft_client_turn(ws->client, timeout_ms);
    ws->turned_ms = wf_clock_ms();
    return got == WEFT_OK ? WEFT_OK : fail(ws, WEFT_ESYS, "%s", strerror(errno));
}

/* WEFT_OK: it is so. It has looked at least once before it answers WEFT_TIMEOUT. */
static int wait_until(weft_blocking *ws, bool (*is_so)(const weft_blocking *), uint64_t until_ms) {
    while (!is_so(ws)) {
        uint64_t now_ms = wf_clock_ms(), left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
        int got = turn(ws, until_ms == UINT64_MAX ? -1 : left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if (got != WEFT_OK)
            return got;
        if (left_ms == 0)
            return is_so(ws) ? WEFT_OK : fail(ws, WEFT_TIMEOUT, "nothing came in time");
    }
    return WEFT_OK;
}

/* ---- the calls ---- */

weft_blocking *weft_blocking_new(const weft_client_config *config) {
    weft_blocking *ws = wf_mem_zalloc(sizeof *ws);
    if (!ws) {
        errno = ENOMEM;
        return NULL;
    }
    ws->end = &ws->first;
    ws->client = weft_client_new(config);
    if (!ws->client) {
        int why = errno;
        wf_mem_free(ws);
        errno = why;
        return NULL;
    }
    return ws;
}

void weft_blocking_free(weft_blocking *ws) {
    if (!ws)
        return;
    weft_client_free(ws->client);
    ws->conn = NULL;
    drop_all(ws);
    wf_mem_free(ws);
}

static int begin(weft_blocking *ws, const weft_dial *dial) {
    if (ws->conn)
        return fail(ws, WEFT_EINVAL, "it is connected: close it first");
    if (dial->struct_size != sizeof *dial)
        return fail(ws, WEFT_EINVAL, "struct_size is not set: begin with WEFT_DIAL_INIT");
    if (dial->message || dial->drained || dial->pong || dial->control || dial->closed)
        return fail(ws, WEFT_EINVAL, "a blocking connection calls back nothing but open and failed");
    if (dial->retry)
        return fail(ws, WEFT_EINVAL, "a blocking connection is not dialled again by itself");
    drop_all(ws);
    ws->opened = ws->ended = ws->paused = false;
    ws->lost_bytes = 0;
    weft_dial own = *dial;
    own.user = ws;
    own.open = on_open;
    own.message = on_message;
    own.pong = on_pong;
    own.closed = on_closed;
    own.failed = on_failed;
    int got = weft_client_dial(ws->client, &own, &ws->conn);
    if (got == WEFT_OK)
        return WEFT_OK;
    return fail(ws, got, "%s", got == WEFT_EINVAL ? weft_client_error(ws->client) : weft_status_text(got));
}

/* Now. */
static void cut(weft_blocking *ws) {
    if (ws->conn)
        weft_conn_abort(ws->conn);
    turn(ws, 0);
}

int weft_blocking_dial(weft_blocking *ws, const weft_dial *dial, int timeout_ms) {
    int got = begin(ws, dial);
    if (got != WEFT_OK)
        return got;
    ws->dial = *dial;
    got = wait_until(ws, is_settled, time_of(timeout_ms));
    if (got != WEFT_OK)
        cut(ws);
    if (got == WEFT_TIMEOUT)
        fail(ws, got, "%s did not answer in time", dial->url);
    return got == WEFT_OK && !ws->opened ? WEFT_ECLOSED : got;
}

int weft_blocking_connect(weft_blocking *ws, const char *url, int timeout_ms) {
    return weft_blocking_dial(ws, &(weft_dial) {WEFT_DIAL_INIT, .url = url}, timeout_ms);
}

int weft_blocking_send(weft_blocking *ws, weft_kind kind, const void *data, size_t len, int timeout_ms) {
    uint64_t until_ms = time_of(timeout_ms);
    int got = wait_until(ws, has_room, until_ms);
    if (got == WEFT_TIMEOUT)
        return fail(ws, WEFT_FULL, "the peer takes nothing, and %zu bytes wait", weft_conn_buffered(ws->conn));
    if (got == WEFT_OK)
        got = ws->conn ? weft_conn_send(ws->conn, kind, data, len) : WEFT_ECLOSED;
    if (got != WEFT_OK && got != WEFT_ECLOSED)
        return fail(ws, got, "%s", weft_status_text(got));
    if (got == WEFT_OK)
        got = turn(ws, 0);
    if (got == WEFT_OK)
        got = wait_until(ws, all_has_left, until_ms);
    if (got == WEFT_TIMEOUT)
        return fail(ws, got, "the peer does not take it: %zu bytes wait", weft_conn_buffered(ws->conn));
    return got == WEFT_ESYS ? got : ws->conn && got == WEFT_OK ? WEFT_OK : fail_ended(ws);
}

int weft_blocking_receive(weft_blocking *ws, weft_message *out_message, int timeout_ms) {
    /* Who takes his time over what was kept still answers pings: a turn each millisecond costs a fast reader little. */
    int got = ws->first && wf_clock_ms() != ws->turned_ms ? turn(ws, 0) : WEFT_OK;
    if (got == WEFT_OK)
        got = wait_until(ws, has_unread, time_of(timeout_ms));
    if (got != WEFT_OK)
        return got;
    let_go_taken(ws);
    ws->taken = take(ws);
    if (!ws->taken)
        return fail_ended(ws);
    *out_message = (weft_message) {ws->taken->kind, ws->taken->data, ws->taken->len};
    return WEFT_OK;
}

static int await_pong(weft_blocking *ws, uint64_t until_ms) {
    ws->ponged = false;
    int got = wait_until(ws, has_pong, until_ms);
    if (got != WEFT_OK || ws->ponged)
        return got;
    return ws->conn ? fail(ws, WEFT_FULL, "messages are in the way: receive them first") : fail_ended(ws);
}

int weft_blocking_ping(weft_blocking *ws, uint64_t *out_rtt_ns, int timeout_ms) {
    uint64_t until_ms = time_of(timeout_ms);
    int got = WEFT_FULL;
    while (got == WEFT_FULL) { /* the pong of an earlier one, of the heartbeat, is not what is asked for */
        if (!ws->conn || (got = weft_conn_ping(ws->conn)) == WEFT_ECLOSED)
            return fail_ended(ws);
        if (got != WEFT_OK && got != WEFT_FULL)
            return fail(ws, got, "%s", weft_status_text(got));
        int waited = await_pong(ws, until_ms);
        if (waited != WEFT_OK)
            return waited;
    }
    if (out_rtt_ns)
        *out_rtt_ns = ws->rtt_ns;
    return WEFT_OK;
}

int weft_blocking_close(weft_blocking *ws, int code, const char *reason, int timeout_ms) {
    if (!ws->conn)
        return fail_ended(ws);
    if (weft_conn_close(ws->conn, code, reason) == WEFT_EINVAL)
        return fail(ws, WEFT_EINVAL, "a code that may not be sent, or a reason over 123 bytes of UTF-8");
    int got = wait_until(ws, is_over, time_of(timeout_ms));
    if (got == WEFT_TIMEOUT) {
        cut(ws);
        return fail(ws, got, "the peer did not close in time");
    }
    if (got == WEFT_OK && ws->info.sys_errno == ETIMEDOUT)
        return fail(ws, WEFT_TIMEOUT, "the connection broke: %s", ws->info.rule);
    return got != WEFT_OK || ws->info.clean ? got : fail_ended(ws);
}

const char *weft_blocking_error(const weft_blocking *ws) {
    return ws->error;
}

const weft_close_info *weft_blocking_close_info(const weft_blocking *ws) {
    return ws->ended ? &ws->info : NULL;
}

weft_conn *weft_blocking_conn(const weft_blocking *ws) {
    return ws->opened ? ws->conn : NULL;
}
