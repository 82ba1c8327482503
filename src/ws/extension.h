/*
 * extension.h - agreeing on permessage-deflate in the opening handshake (RFC 6455 9.1, RFC 7692 5 and 7.1), both roles,
 * as pure functions over header values.
 *
 *     client   wf_pmd_offer_write ------ Sec-WebSocket-Extensions ------> wf_pmd_answer        server
 *              wf_pmd_check_answer <---- Sec-WebSocket-Extensions ------- wf_pmd_answer_write
 */
#ifndef WF_WS_EXTENSION_H
#define WF_WS_EXTENSION_H

#include "base/bytes.h"
#include "base/status.h"

enum { WF_WINDOW_BITS_MIN = 8, WF_WINDOW_BITS_MAX = 15, WF_PMD_TEXT_MAX = 192 };

/* What both sides have agreed on. "Server" and "client" name the one who compresses. */
typedef struct wf_pmd_params {
    bool server_no_context_takeover, client_no_context_takeover;
    uint8_t server_max_window_bits, client_max_window_bits; /* 8..15 */
    bool server_bits_named, client_bits_named;              /* stand in the answer */
} wf_pmd_params;

/* What a server agrees to. */
typedef struct wf_pmd_config {
    bool on;
    bool server_takeover, client_takeover; /* false: refused to the one who compresses */
    uint8_t server_bits,
        client_bits;    /* the longest window, 8..15. The client's can only be asked of those that offer it. */
    uint32_t bytes_min; /* shorter messages are sent plain; for wf_deflate, not for the handshake */
} wf_pmd_config;

/* What a client offers. */
typedef struct wf_pmd_offer {
    bool server_no_context_takeover, client_no_context_takeover;
    uint8_t server_max_window_bits; /* 8..15; 0: not named */
    bool client_bits;               /* names client_max_window_bits: the server may set it */
    uint8_t client_max_window_bits; /* its value, 8..15; 0: none */
} wf_pmd_offer;

/* The server's choice: the first offer in the header lines that can be met. False: none, the connection goes on
 * without. An offer is passed over when it is malformed, names a parameter that is unknown, repeated or has a value
 * it may not have (RFC 7692 7). Cost: linear in the lines. */
bool wf_pmd_answer(const wf_str *lines, size_t line_count, const wf_pmd_config *config, wf_pmd_params *out_params);

/* The header values as text; return the length. Not NUL-terminated. */
size_t wf_pmd_answer_write(const wf_pmd_params *params, char out[WF_PMD_TEXT_MAX]);
size_t wf_pmd_offer_write(const wf_pmd_offer *offer, char out[WF_PMD_TEXT_MAX]);

/* The client's judgement of the answer, `offer` NULL when nothing was offered. WF_OK with *out_agreed whether the
 * extension is in use and then *out_params; or WF_ERROR with the rule broken and 1010 in *fault: the client must fail
 * the connection (RFC 6455 4.1, 9.1; RFC 7692 7). */
int wf_pmd_check_answer(const wf_str *lines, size_t line_count, const wf_pmd_offer *offer, bool *out_agreed,
                        wf_pmd_params *out_params, wf_fault *fault);

#endif
