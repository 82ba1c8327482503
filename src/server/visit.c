/*
 * A walk over all connections is one piece of mail that goes from worker to worker, and on each from slot to slot: so
 * it sees every connection on its own thread, needs no lock, and nobody who is not looked at pays for it. After some
 * slots it is put behind the other mail, so that a turn stays short however many there are.
 */
#include "server/server_impl.h"

#include "base/mem.h"

enum { SLOTS_A_TURN = 1024 };

typedef struct walk {
    weft_visit is;
    weft_handle last;
    uint32_t left; /* of is.max */
    uint32_t slot; /* the next, on the worker that has the mail */
} walk;

int weft_server_visit(weft_server *server, const weft_visit *visit) {
    wf_worker *w = visit->after ? wf_handle_worker(server, visit->after) : &server->workers[0];
    if (visit->struct_size != sizeof *visit || !visit->visit || !visit->done || visit->max == 0 || !w)
        return WEFT_EINVAL;
    if (atomic_load_explicit(&server->stop, memory_order_relaxed))
        return WEFT_ECLOSED;
    walk *v = wf_mem_alloc(sizeof *v);
    wf_mail *m = v ? wf_mail_new(MAIL_VISIT, 0, NULL, NULL, 0) : NULL;
    if (!m) {
        wf_mem_free(v);
        return WEFT_ENOMEM;
    }
    *v = (walk) {.is = *visit, .left = visit->max, .slot = visit->after ? wf_handle_slot(visit->after) + 1 : 0};
    m->answer = v;
    wf_worker_post(w, m);
    return WEFT_OK;
}

void wf_visit_end(weft_server *server, wf_mail *m, weft_handle last) {
    walk *v = m->answer;
    v->is.done(server, last, v->is.user);
    wf_mem_free(v);
    wf_mail_free(m);
}

void wf_visit_go_on(wf_worker *w, wf_mail *m) {
    walk *v = m->answer;
    uint32_t high = w->slots.high, end = v->slot + SLOTS_A_TURN < high ? v->slot + SLOTS_A_TURN : high;
    for (; v->slot < end && v->left > 0; v->slot++) {
        weft_conn *conn = wf_slots_at(&w->slots, v->slot);
        if (!conn || !conn->opened || conn->is_http2)
            continue;
        v->last = wf_handle_of(conn);
        v->left -= v->is.visit(conn, v->is.user);
    }
    if (v->left == 0) {
        wf_visit_end(w->server, m, v->last);
    } else if (v->slot < high) {
        wf_worker_mail(w, w->index, m);
    } else if (w->index + 1 < w->server->worker_count) {
        v->slot = 0;
        wf_worker_mail(w, w->index + 1, m);
    } else {
        wf_visit_end(w->server, m, 0);
    }
}
