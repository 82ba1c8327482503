/*
 * link_impl.h - what the files of this room share: link.c (socket, stages, deadlines), link_http.c,
 * link_dial.c, link_raw.c, link_stream.c, link_tls.c, link_ws.c.
 */
#ifndef WF_LINK_LINK_IMPL_H
#define WF_LINK_LINK_IMPL_H

#include "link/link.h"

/* To note how it ends. NULL: memory is out, and the link is dead for it. */
wf_link_end *wf_link_ending(wf_link *link);

/* Arms the timer if something is due earlier than it is armed for. */
void wf_link_arm(wf_link *link);

/* Changes stage; the stage must be over `timeout_ms` from now (WF_NEVER: no such deadline). */
void wf_link_enter(wf_link *link, wf_link_stage stage, uint32_t timeout_ms);

/* Copies bytes to the queue. On WF_ENOMEM the link is dead. */
int wf_link_queue(wf_link *link, const void *data, size_t len);

/* The descriptor and `tls` (NULL: none) are the link's. WF_OK; WF_ENOMEM or WF_ESYS: they are still the caller's. */
int wf_link_adopt(wf_link *link, int fd, wf_tls *tls);

/* `tls` is the link's. WF_OK; WF_ENOMEM: it is still the caller's. */
int wf_link_take_tls(wf_link *link, wf_tls *tls);

/* Sends what is sealed. WF_OK: nothing of it waits. WF_FULL: the kernel will tell when it can go on. WF_ESYS, with
 * errno. */
int wf_link_send_sealed(wf_link *link);

/* As wf_sock_send, of plain bytes; never WF_SEND_LATER, for what is sealed is taken. */
int64_t wf_link_seal(wf_link *link, const struct iovec *ranges, int count);

/* close_notify, when it may still be sent. False: it waits for room; flushed is called again when it has gone. */
bool wf_link_seal_end(wf_link *link);

/* The kernel has our bytes, or will tell when it takes some. */
void wf_link_await_sent(wf_link *link);

/* Bytes went to the kernel. Those of a port are counted where they go by. */
static inline void wf_link_count_sent(wf_link *link, size_t len) {
    if (link->sock.kind != WF_SOCK_PORT)
        wf_count_add(&link->env->bytes_out, len);
    link->deadlines.output_ms = (uint32_t)link->env->now_ms;
}

/* What is queued can be sent: there is no TLS, or its handshake is done. */
static inline bool wf_link_can_send(const wf_link *link) {
    return !link->secure || wf_tls_ready(link->aside->tls);
}

/* Pulls from HTTP and from the session. */
int wf_link_next_http(wf_link *link, wf_link_event *out_event);
int wf_link_next_raw(wf_link *link, wf_link_event *out_event);
int wf_link_next_reply(wf_link *link, wf_link_event *out_event);
int wf_link_next_stream(wf_link *link);

/* The link's calls, for a STREAM. `fin`: the message ends with it. */
int wf_link_send_stream(wf_link *link, const void *data, size_t len, bool fin);
void wf_link_fail_stream(wf_link *link, int code, const char *rule);
void wf_link_close_stream(wf_link *link, int code);

/* STREAM_END, and all was sent. */
void wf_link_stream_done(wf_link *link);

/* What was published becomes bytes of the body, as far as it stands among the first segments of the queue. */
void wf_link_encode_stream(wf_link *link, size_t segs_max);

/* A refusal whose body breaks off, or does not come in time, is one for all that: true, and REPLIED is to be pulled. */
bool wf_link_reply_will_do(wf_link *link);

/* A published message did not fit and the policy is to close: it fails with 1008. False: there is no such gap. */
bool wf_link_fail_slow(wf_link *link);

/* All is said: FIN, then pass over what still comes. */
void wf_link_linger(wf_link *link);

/* Both close frames are through: the server is to end the connection, within what is left of the close deadline. */
void wf_link_await_fin(wf_link *link);

/* The closing handshake may be complete: both close frames are through, or ours after a fault. */
void wf_link_close_done(wf_link *link);

/* What the session and its compression hold is counted in env->input_bytes. */
void wf_link_count_memory(wf_link *link);

/* Compresses what was published, as far as it stands among the first segments of the queue. */
void wf_link_encode_raw(wf_link *link, size_t segs_max);
static inline void wf_link_encode(wf_link *link, size_t segs_max) {
    if (link->q.raws)
        wf_link_encode_raw(link, segs_max);
}

/* So much was inflated in this turn that the others come first. */
static inline bool wf_link_has_done_enough(const wf_link *link) {
    const wf_link_pmd *pmd = wf_link_pmd_of(link);
    return pmd && pmd->turn == link->env->turn && pmd->in.work - pmd->work_seen >= WF_LINK_WORK_PER_TURN;
}

/* Ends permessage-deflate: nothing is read or sent any more. */
void wf_link_pmd_free(wf_link *link);

#endif
