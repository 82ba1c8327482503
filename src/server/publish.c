/*
 * One order per topic, that of the calls. Each topic has a home, the worker its name hashes to. A publish goes
 * into its mailbox at once; the home queues it to its own subscribers and passes it on to every other worker, all
 * in the order in which it took them. So every worker sees the messages of a topic in the same order, and each
 * keeps the same history. A new subscriber's place in that order is taken in the same way: by mail to the home,
 * and from there to its worker.
 *
 *      publish --> home --deliver--> worker 1's subscribers
 *                    \-------------> worker 2's subscribers
 *
 * With one worker this is a plain call; with several even the home publishes by mail to itself, so that what
 * one client saw happen before another's publish stays before it. The message is encoded once, into the blob
 * that all queues share.
 */
#include "server/server_impl.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static wf_blob *encode(weft_server *server, const wf_frame *frame, const void *data) {
    uint8_t head[WF_FRAME_HEAD_MAX];
    size_t head_len = wf_frame_encode(head, frame), len = (size_t)frame->len;
    if (len > SIZE_MAX / 2)
        return NULL;
    wf_blob *blob = wf_blob_new(head_len + len, &server->blob_bytes);
    if (!blob)
        return NULL;
    memcpy(blob->data, head, head_len);
    if (len > 0)
        memcpy(blob->data + head_len, data, len);
    return blob;
}

wf_blob *wf_publish_encode(weft_server *server, uint8_t opcode, bool plain, const void *data, size_t len) {
    wf_blob *blob = encode(server, &(wf_frame) {.fin = true, .opcode = opcode, .len = len}, data);
    if (blob)
        blob->as_is = plain;
    return blob;
}

/* Compresses a message by itself, once for all who may read it so; before it is shared. */
void wf_publish_deflate(wf_worker *w, wf_blob *blob) {
    weft_server *server = w->server;
    const atomic_uint *readers = blob->len < WF_LINK_SHARED_BYTES ? &server->sharing : &server->deflating;
    if (blob->as_is || atomic_load_explicit(readers, memory_order_relaxed) == 0)
        return;
    wf_frame frame;
    const uint8_t *deflated;
    size_t deflated_len;
    wf_frame_decode(blob->data, &frame);
    const uint8_t *payload = blob->data + (blob->len - (size_t)frame.len);
    if (wf_deflate_message(&w->shared, payload, (size_t)frame.len, &deflated, &deflated_len) != WF_OK)
        return;
    frame = (wf_frame) {.fin = true, .rsv = WF_RSV1, .opcode = frame.opcode, .len = deflated_len};
    blob->alt = encode(server, &frame, deflated);
}

/* The same for a topic, when anyone is there. */
static void deflate_for(wf_worker *w, wf_str topic, wf_blob *blob) {
    bool anyone = false;
    for (unsigned i = 0; i < w->server->worker_count && !anyone; i++)
        anyone = wf_hub_has_subscribers(&w->server->workers[i].hub, topic);
    if (anyone)
        wf_publish_deflate(w, blob);
}

/* FNV-1a: only spreads topics over workers; the table's own hash is keyed. */
wf_worker *wf_publish_home_of(weft_server *server, wf_str topic) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < topic.len; i++)
        hash = (hash ^ (uint8_t)topic.data[i]) * 16777619u;
    return &server->workers[hash % server->worker_count];
}

static void deliver(wf_worker *w, wf_str topic, wf_blob *blob, weft_handle except) {
    weft_conn *conn = wf_handle_worker(w->server, except) == w ? wf_handle_conn(w, except) : NULL;
    size_t count = wf_hub_publish(&w->hub, topic, blob, conn ? &conn->link.q : NULL);
    w->published_bytes += blob->len + WF_OUTQ_SEG_COST;
    wf_count_add(&w->delivered, count);
    wf_count_add(&w->env.messages_out, count);
}

void wf_publish_deliver(wf_worker *w, const wf_mail *m) {
    deliver(w, (wf_str) {m->text, m->text_len}, m->blob, m->handle);
}

/* At the home: the message gets its place. All mail is made first, so that it reaches every worker or none. */
void wf_publish_home(wf_worker *w, wf_mail *m) {
    wf_mail *copies = NULL;
    deflate_for(w, (wf_str) {m->text, m->text_len}, m->blob);
    for (unsigned i = 2; i < w->server->worker_count; i++) {
        wf_mail *copy = wf_mail_new(MAIL_DELIVER, m->handle, wf_blob_ref(m->blob), m->text, m->text_len);
        if (!copy) {
            wf_count_add(&w->env.pool.drops, 1);
            m->next = copies;
            for (wf_mail *next; m; m = next) {
                next = m->next;
                wf_mail_free(m);
            }
            return;
        }
        copy->next = copies;
        copies = copy;
    }
    deliver(w, (wf_str) {m->text, m->text_len}, m->blob, m->handle);
    wf_count_add(&w->published, 1);
    m->kind = MAIL_DELIVER;
    m->next = copies; /* the mail itself travels on too */
    for (unsigned i = 0; i < w->server->worker_count; i++) {
        if (i == w->index)
            continue;
        wf_mail *next = m->next;
        wf_worker_mail(w, i, m);
        m = next;
    }
    if (w->server->worker_count == 1)
        wf_mail_free(m);
}

void wf_publish_join(wf_worker *w, wf_mail *m) {
    wf_worker *to = wf_handle_worker(w->server, m->handle);
    if (to != w) {
        wf_worker_mail(w, to->index, m);
        return;
    }
    weft_conn *conn = wf_handle_conn(w, m->handle);
    if (conn && conn->opened)
        wf_hub_join(&w->hub, &conn->subscriber, m->join, &conn->link.q, m->replay);
    wf_mail_free(m);
}

/* A burst within one callback goes on by mail, which is read between two offers to the kernel; then nothing may
 * overtake it. */
static bool may_deliver_now(wf_worker *w) {
    return w->published_bytes < w->server->relief_bytes && wf_worker_mail_read(w);
}

int weft_publish_except(weft_server *server, const char *name, weft_kind kind, const void *data, size_t len,
                        weft_handle except) {
    wf_str topic = wf_str_of(name);
    uint8_t opcode;
    bool plain;
    if (topic.len == 0 || topic.len > WF_TOPIC_NAME_MAX || !wf_kind_split(kind, &opcode, &plain))
        return WEFT_EINVAL;
    if (atomic_load_explicit(&server->stop, memory_order_relaxed))
        return WEFT_ECLOSED;
    wf_blob *blob = wf_publish_encode(server, opcode, plain, data, len);
    if (!blob)
        return WEFT_ENOMEM;
    wf_worker *home = wf_publish_home_of(server, topic), *here = wf_worker_current();
    if (here && here->server != server)
        here = NULL;
    if (here && server->worker_count == 1 && may_deliver_now(here)) {
        deflate_for(home, topic, blob);
        deliver(home, topic, blob, except);
        wf_count_add(&home->published, 1);
        wf_blob_unref(blob);
        return WEFT_OK;
    }
    wf_mail *m = wf_mail_new(MAIL_PUBLISH, except, blob, name, topic.len);
    if (!m)
        return WEFT_ENOMEM;
    wf_worker_post(home, m); /* also when this is the home: nothing overtakes what was posted before */
    return WEFT_OK;
}

int weft_publish(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len) {
    return weft_publish_except(server, topic, kind, data, len, 0);
}

int weft_conn_publish(weft_conn *conn, const char *topic, weft_kind kind, const void *data, size_t len) {
    if (wf_link_is_client(&conn->link))
        return WEFT_EINVAL;
    return weft_publish_except(wf_conn_worker(conn)->server, topic, kind, data, len, wf_handle_of(conn));
}

/* ---- looking at topics ---- */

/* Collected from all workers: first everything, names behind one another in one buffer, then sorted and
 * merged. */
typedef struct seen {
    size_t name_at;
    uint32_t subscribers;
    uint64_t messages;
} seen;

typedef struct look {
    wf_str prefix;
    wf_buf names, rows;
    bool failed;
} look;

static void see(void *context, wf_str name, uint32_t subscribers, uint64_t messages) {
    look *l = context;
    if (name.len < l->prefix.len || memcmp(name.data, l->prefix.data, l->prefix.len) != 0)
        return;
    seen row = {l->names.len, subscribers, messages};
    if (wf_buf_append(&l->rows, &row, sizeof row) < 0 || wf_buf_append(&l->names, name.data, name.len) < 0 ||
        wf_buf_append(&l->names, "", 1) < 0)
        l->failed = true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const weft_topic_info *)a)->name, ((const weft_topic_info *)b)->name);
}

/* Equal names stand together: their subscribers add up, their messages are the same ones seen by each worker. */
static size_t merge(weft_topic_info *rows, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && strcmp(rows[kept - 1].name, rows[i].name) == 0) {
            rows[kept - 1].subscribers += rows[i].subscribers;
            if (rows[i].messages > rows[kept - 1].messages)
                rows[kept - 1].messages = rows[i].messages;
        } else {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}

weft_topic_info *weft_server_topics(weft_server *server, const char *prefix, size_t *out_count) {
    look l = {.prefix = wf_str_of(prefix)};
    weft_topic_info *rows = NULL;
    *out_count = 0;
    for (unsigned i = 0; i < server->worker_count; i++)
        wf_hub_look(&server->workers[i].hub, see, &l);
    size_t count = l.rows.len / sizeof(seen);
    if (!l.failed && count > 0)
        rows = wf_mem_alloc(count * sizeof *rows + l.names.len);
    if (rows) {
        char *names = (char *)(rows + count);
        memcpy(names, l.names.data, l.names.len);
        const seen *from = (const seen *)l.rows.data;
        for (size_t i = 0; i < count; i++)
            rows[i] = (weft_topic_info) {names + from[i].name_at, from[i].subscribers, from[i].messages};
        qsort(rows, count, sizeof *rows, by_name);
        *out_count = merge(rows, count);
    }
    wf_buf_deinit(&l.names);
    wf_buf_deinit(&l.rows);
    return rows;
}

void weft_topics_free(weft_topic_info *topics) {
    wf_mem_free(topics);
}
