/*
 * TLS between the socket and the rest: bytes are opened before anybody reads them and sealed after everybody has
 * written. What is sealed counts as sent for the queue, and goes to the kernel before anything else does.
 */
#include "link/link_impl.h"

#include <errno.h>

_Static_assert((int)WF_TLS_SLACK >= (int)WF_RECV_SLACK, "what was opened is read like what was received");

/* The alert is the last thing said. */
static void broken(wf_link *link) {
    wf_link_end *end = wf_link_ending(link);
    if (!end)
        return;
    wf_fault_set(&end->fault, WF_ERROR, 0, wf_tls_rule(link->aside->tls));
    if (!link->in_flight)
        wf_link_send_sealed(link);
    if (wf_link_is_client(link)) {
        wf_link_die(link, 0, NULL);
        return;
    }
    link->due_broken = !wf_tls_was_ready(link->aside->tls);
    wf_link_linger(link);
}

bool wf_link_unseal(wf_link *link, uint8_t **data, size_t *len) {
    int got = wf_tls_open(link->aside->tls, *data, *len, data, len);
    if (got == WF_ENOMEM) {
        wf_link_die(link, ENOMEM, "out of memory");
        return false;
    }
    if (wf_tls_waiting(link->aside->tls) > 0 || (link->stage < WF_LINK_OPEN && link->q.bytes > 0))
        wf_outq_mark_ready(&link->q); /* a step of the handshake; then the request, or a refusal */
    if (got == WF_ERROR) {
        broken(link);
        return false;
    }
    if (got == WF_ECLOSED)
        wf_link_input_over(link);
    link->env->lent_data = *data;
    return *len > 0;
}

/* A server that ends TLS may wait for our end of it before it ends the connection (RFC 8446 6.1). */
void wf_link_pass_over(wf_link *link, const uint8_t *data, size_t len) {
    uint8_t *unused;
    size_t unused_len;
    if (!link->secure || link->stage != WF_LINK_LINGER || !wf_link_is_client(link))
        return;
    if (wf_tls_open(link->aside->tls, data, len, &unused, &unused_len) != WF_OK)
        wf_link_die(link, 0, NULL);
}

int wf_link_send_sealed(wf_link *link) {
    struct iovec range;
    while (wf_tls_sealed(link->aside->tls, &range)) {
        int64_t sent = link->stage == WF_LINK_OPEN ? wf_sock_send_soon(link->env->loop, &link->sock, &range, 1)
                                                   : wf_sock_send(link->env->loop, &link->sock, &range, 1);
        if (sent < 0)
            return WF_ESYS;
        if (sent == WF_SEND_LATER) {
            wf_link_await_sent(link);
            return WF_FULL;
        }
        wf_link_count_sent(link, (size_t)sent);
        wf_tls_sent(link->aside->tls, (size_t)sent);
        if (link->stage == WF_LINK_CONNECTING)
            wf_link_connected(link);
    }
    return WF_OK;
}

int64_t wf_link_seal(wf_link *link, const struct iovec *ranges, int count) {
    int64_t taken = wf_tls_seal(link->aside->tls, ranges, count);
    if (taken < 0) {
        errno = taken == WF_ENOMEM ? ENOMEM : EPROTO;
        return WF_ESYS;
    }
    return wf_link_send_sealed(link) < 0 ? WF_ESYS : taken;
}

bool wf_link_seal_end(wf_link *link) {
    if (!link->secure || !wf_tls_seal_end(link->aside->tls))
        return true;
    return !link->in_flight && wf_link_send_sealed(link) != WF_FULL;
}
