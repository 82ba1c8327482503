/*
 * What a client sees: whole responses, one after the other, and behind a 101 the frames of a server, which a session
 * of the library's own reads (its judge is the fuzzer frame_client). The end may be cut short only where something
 * excuses it.
 */
#include "links.h"

#include "base/status.h"
#include "frames.h"

#include <stdlib.h>

typedef struct judge {
    const world *w;
    fuzz_bytes *log;
    const uint8_t *at;
    size_t left;
} judge;

/* Length of a head with its empty line, 0: it is cut. */
static size_t head_length(const judge *j) {
    for (size_t i = 0; i + 4 <= j->left; i++)
        if (memcmp(j->at + i, "\r\n\r\n", 4) == 0)
            return i + 4;
    return 0;
}

static size_t content_length(const uint8_t *head, size_t len) {
    static const char name[] = "\r\nContent-Length: ";
    const char *found = memmem(head, len, name, sizeof name - 1);
    return found ? (size_t)strtoul(found + sizeof name - 1, NULL, 10) : 0;
}

/* One response; its status, 0: it is cut. */
static int take_response(judge *j) {
    size_t head = head_length(j);
    if (head == 0)
        return 0;
    CHECK(head >= 15 && memcmp(j->at, "HTTP/1.1 ", 9) == 0);
    int status = (int)strtol((const char *)j->at + 9, NULL, 10);
    size_t body = content_length(j->at, head);
    CHECK(status == 100 || status == 101 || status == 200);
    CHECK(status == 200 || body == 0);
    if (j->left < head + body)
        return 0;
    for (size_t i = 0; i < body; i++)
        CHECK(j->at[head + i] == 'b');
    if (status != 100)
        fuzz_log(j->log, 'H', status, NULL, 0);
    j->at += head + body;
    j->left -= head + body;
    return status;
}

/* All frames; false: the last one is cut, or a message is. *out_code: of the close frame, 0 when there is none. */
static bool take_frames(judge *j, int *out_code) {
    static const wf_ws_limits limits = {.message_bytes_max = UINT64_MAX / 2, .empty_fragments_max = UINT32_MAX};
    const wf_pmd_params *agreed = &j->w->agreed;
    wf_codec codec;
    wf_inflate inflate;
    wf_ws ws;
    wf_ws_event event;
    uint8_t *bytes = fuzz_exact(j->at, j->left), *rest;
    wf_codec_init(&codec);
    wf_inflate_init(&inflate, &codec, agreed->server_no_context_takeover ? 0 : agreed->server_max_window_bits);
    wf_ws_init(&ws, WF_WS_CLIENT, &limits);
    if (j->w->deflates)
        wf_ws_use_inflate(&ws, &inflate);
    wf_ws_feed(&ws, bytes, j->left);
    *out_code = 0;
    int got;
    while (*out_code == 0 && (got = wf_ws_next(&ws, &event)) == WF_OK) {
        if (event.kind == WF_WS_PING) /* its payload tells the time */
            fuzz_log(j->log, 'P', 0, NULL, event.len == 8 ? 0 : 1);
        else
            fuzz_log_event(j->log, &event);
        if (event.kind == WF_WS_CLOSE)
            *out_code = event.close_code;
    }
    if (*out_code == 0 && got < 0)
        test_fail(__FILE__, __LINE__, "what was sent is no WebSocket: %s", wf_ws_fault(&ws).rule);
    if (*out_code != 0)
        CHECK_EQ(wf_ws_take_rest(&ws, &rest), 0); /* nothing behind a close frame */
    bool whole = *out_code != 0 || !wf_ws_in_message(&ws);
    wf_ws_deinit(&ws);
    wf_inflate_deinit(&inflate);
    wf_codec_deinit(&codec);
    free(bytes);
    return whole;
}

void links_judge(const world *w, fuzz_bytes *log) {
    judge j = {w, log, w->loop.out.data, w->loop.out.len};
    const wf_link *link = &w->link;
    int status = 200, code = 0;
    bool whole = true;
    while (j.left > 0 && status != 101 && (status = take_response(&j)) != 0)
        ;
    if (status == 101)
        whole = take_frames(&j, &code);
    else
        whole = j.left == 0;
    CHECK(status != 101 || w->accepted);
    if (code != 0)
        CHECK_EQ(code, wf_link_end_of(link)->sent_code);
    if (w->loop.shut) /* FIN: all was said */
        CHECK(whole && (status != 101 || code != 0));
    if (w->excused)
        return;
    if (wf_link_end_of(link)->fault.close_code >= 1000 ||
        (w->accepted && wf_link_end_of(link)->received_code != 0 && wf_link_end_of(link)->fault.sys_errno == 0))
        CHECK(whole && code != 0);
    if (w->accepted && wf_ws_fault(&link->ws).status == WF_ERROR && wf_link_end_of(link)->received_code == 0)
        CHECK(code != 0);
}
