/*
 * deflate.h - the sending half of permessage-deflate for one connection or one loop (RFC 7692 7.2.1): a message goes
 * in whole and comes out compressed, or is found better sent as it is, which may be decided message by message (RFC
 * 7692 6.1).
 *
 * Between two messages a connection keeps its window and nothing else.
 */
#ifndef WF_WS_DEFLATE_H
#define WF_WS_DEFLATE_H

#include "ws/codec.h"
#include "ws/window.h"

typedef struct wf_deflate {
    wf_codec *codec;
    wf_window window;    /* of what we sent compressed; empty without context takeover */
    uint32_t bytes_min;  /* shorter messages go plain */
    uint8_t window_bits; /* no reference reaches further, 8..15 */
} wf_deflate;

/* `takeover`: messages may refer to those before. */
void wf_deflate_init(wf_deflate *deflate, wf_codec *codec, unsigned window_bits, bool takeover, uint32_t bytes_min);
void wf_deflate_deinit(wf_deflate *deflate);

/* WF_OK with the payload of a frame with RSV1 set, shorter than the message, in the codec's room: valid until the
 * codec compresses again. It must be sent, and in this order: the peer's window follows. WF_FULL: send it plain; so
 * also when memory is out. Cost: the compressor's, and with takeover one move of the window. */
int wf_deflate_message(wf_deflate *deflate, const uint8_t *data, size_t len, const uint8_t **out_data, size_t *out_len);

/* The peer is sent this message, compressed elsewhere and by itself, in this order: its window has it, so ours must. */
void wf_deflate_note(wf_deflate *deflate, const uint8_t *data, size_t len);

#endif
