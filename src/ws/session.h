/*
 * session.h - the receiving half of a WebSocket (RFC 6455), sans-I/O, either role: bytes in, events out, by
 * pull.
 *
 *     wf_ws_feed(&ws, data, len);
 *     while ((got = wf_ws_next(&ws, &event)) == WF_OK) ...
 *     got is WF_WANT_INPUT: all of data is used, or WF_ERROR: wf_ws_fault has the rule broken and the close
 * code to send
 *
 * Frames are unmasked in place, in the caller's buffer; a message that lies whole in it is handed out as a
 * pointer into it. Only what is cut by the buffer's end is copied. An idle session owns no memory.
 *
 * With permessage-deflate (RFC 7692) a compressed message is inflated as it comes: one that is whole in the buffer
 * into the room of its loop's codec, one that is cut into memory of its own.
 */
#ifndef WF_WS_SESSION_H
#define WF_WS_SESSION_H

#include "base/assert.h"
#include "base/blob.h"
#include "base/status.h"
#include "ws/frame.h"
#include "ws/inflate.h"
#include "ws/unmask.h"

typedef enum wf_ws_role { WF_WS_SERVER, WF_WS_CLIENT } wf_ws_role; /* who we are */

typedef struct wf_ws_limits {
    uint64_t message_bytes_max;   /* over: 1009, before memory is taken */
    uint32_t empty_fragments_max; /* per message; over: 1008 */
} wf_ws_limits;

typedef enum wf_ws_event_kind { WF_WS_MESSAGE, WF_WS_PING, WF_WS_PONG, WF_WS_CLOSE } wf_ws_event_kind;

typedef struct wf_ws_event {
    wf_ws_event_kind kind;
    uint8_t opcode; /* of a message its first frame's: WF_OP_TEXT or WF_OP_BINARY */
    int close_code; /* of a close: 1005 when none came */
    const uint8_t
        *data; /* payload; of a close: the reason. Valid until the next wf_ws_next or wf_ws_feed of this session
                            or of one with the same codec. */
    size_t len;
} wf_ws_event;

/* What is known of a frame and a message that are begun; session.c. */
typedef struct wf_ws_part wf_ws_part;

typedef struct wf_ws {
    uint8_t role;
    uint8_t stage; /* session.c */
    uint16_t fault_code;
    uint32_t in_len;
    uint8_t *in;
    wf_ws_part *part;           /* NULL between two messages, which is nearly always */
    const wf_ws_limits *limits; /* borrowed */
    wf_inflate *inflate;        /* borrowed; NULL: no permessage-deflate */
    const char *fault_rule;     /* NULL: no fault */
} wf_ws;

void wf_ws_init(wf_ws *ws, wf_ws_role role, const wf_ws_limits *limits);
void wf_ws_deinit(wf_ws *ws);

/* Before the first byte: permessage-deflate has been agreed on. `inflate` must outlive the session. */
void wf_ws_use_inflate(wf_ws *ws, wf_inflate *inflate);

/* Gives the next bytes; what was fed before must be used up (wf_ws_next said WF_WANT_INPUT or a fault).
 * `data` is written to, and stays the caller's: it must live until then. At most 4 GiB at once. */
static inline void wf_ws_feed(wf_ws *ws, uint8_t *data, size_t len) {
    wf_assert(ws->in_len == 0 && len <= UINT32_MAX);
    ws->in = data;
    ws->in_len = (uint32_t)len;
}

/* The next event, of use with WF_OK only. WF_OK, WF_WANT_INPUT, WF_ERROR (sticks), or WF_ENOMEM, which is a fault too
 * (1011). After a close frame or a fault everything that follows is passed over (RFC 6455 5.5.1, 7.1.7). */
int wf_ws_next(wf_ws *ws, wf_ws_event *out_event);

/* Why it is over; its status is 0 while nothing is wrong. */
wf_fault wf_ws_fault(const wf_ws *ws);

/* Between two messages: no frame and no message is begun, and none that was handed out is still held. */
static inline bool wf_ws_at_rest(const wf_ws *ws) {
    return !ws->part && ws->stage == 0;
}

/* What is left of the bytes fed, for a caller that stops pulling in between; they count as unfed afterwards. */
size_t wf_ws_take_rest(wf_ws *ws, uint8_t **out_data);

/* The message that was handed out last, when it is `data` and was gathered in memory of its own: as a blob, of which
 * this is a reference for the caller. NULL: it is not, or memory is out. */
wf_blob *wf_ws_share(wf_ws *ws, const uint8_t *data, size_t len, atomic_size_t *account);

/* In the middle of a frame or of a fragmented message. */
bool wf_ws_in_message(const wf_ws *ws);

/* Payload bytes of the message begun that have come, low half: only changes count. */
uint32_t wf_ws_progress(const wf_ws *ws);

/* Bytes of memory held. */
size_t wf_ws_memory(const wf_ws *ws);

void wf_ws_check(const wf_ws *ws);

#endif
