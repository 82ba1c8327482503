/*
 * server_impl.h - the inside of a server: the structs that the files of this room share.
 *
 *      weft_server -- workers[] -- each: a thread, a loop, a hub, its connections
 *
 * A worker and all it holds belong to its thread, but for what stands under "any thread".
 */
#ifndef WF_SERVER_SERVER_IMPL_H
#define WF_SERVER_SERVER_IMPL_H

#include "conn/conn.h"
#include "http/upgrade.h"
#include "hub/hub.h"
#include "link/link.h"
#include "net/listen.h"
#include "server/mailbox.h"

#include <pthread.h>
#include <weft/weft.h>

typedef struct wf_worker wf_worker;

typedef struct wf_route {
    weft_route is;
    wf_link_limits limits; /* with the defaults filled in */
    size_t path_len;       /* without the '*' */
    bool prefix;
    bool websocket;
    uint32_t topics_max;
} wf_route;

/* Why requests were turned away, beside the handshake's own refusals (wf_refusal), which come first. */
enum {
    REFUSED_BROKEN = WF_REFUSAL_COUNT, /* not HTTP as it should be */
    REFUSED_TOO_LARGE,                 /* 413, 414, 431 */
    REFUSED_TOO_SLOW,                  /* 408 */
    REFUSED_OVERLOAD,                  /* 503: a limit of ours */
    REFUSED_APPLICATION,               /* the application refused an upgrade */
    REFUSED_TLS,                       /* a handshake of TLS that failed, on whose side ever */
    REFUSED_COUNT
};

struct weft_conn {
    wf_link link; /* first: a sock and a queue lead back to their connection; its env leads to the worker */
    union {
        struct {
            weft_conn *prev, *next;
        } half;                   /* while half_open: among the worker's unfinished handshakes */
        weft_request *request;    /* then, until it is opened: that waits for its answer, or for `open` */
        wf_subscriber subscriber; /* while it is opened */
        struct wf_h2 *http2;      /* while is_http2: it carries streams, which are connections of their own */
        weft_conn *ended_next;    /* at last: among those to be freed */
    };
    uint32_t slot;
    bool half_open : 1, opened : 1, open_due : 1;
    bool shares : 1; /* counted in the server's `sharing` */
    bool is_http2 : 1;
    bool http2_leaves : 1; /* GOAWAY was said: it ends with its last stream */
    bool secure : 1;       /* its bytes go by TLS, on a connection that carries it where it is a stream */
};

/* slots.c: connections by number, the memory they are in, and the handles made of them. */
typedef struct wf_page wf_page;

typedef struct wf_slots {
    atomic_uint *generations; /* any thread */
    wf_page **pages;
    wf_page *room; /* those with room */
    uint32_t count, used;
    uint32_t high;         /* [0, high) is what there is to walk */
    uint32_t missing_from; /* no page before this one is missing */
} wf_slots;

struct wf_worker {
    /* loop only */
    weft_server *server;
    unsigned index;
    wf_link_env env;
    wf_deflate shared; /* compresses what all may read */
    wf_key_digest *key_digest;
    wf_hub hub;
    wf_slots slots;
    wf_sock *listeners;
    bool *to_wake;   /* by worker: it got mail from us and was not woken for it yet */
    bool wakes;      /* one of them is set */
    bool reads_mail; /* some that was taken is still to be read */
    weft_conn *half_first, *half_last;
    uint32_t half_count;
    weft_conn *ended; /* to be freed at the end of the turn */
    wf_timer tick;
    uint32_t ticks;
    uint64_t turn_started_ns, turn_ended_ns, window_started_ms, window_lag_ns;
    unsigned drain_seen;
    uint64_t drain_started_ms;
    uint32_t drain_total, drain_done, drain_slot;
    uint32_t drain_fences; /* that are not back yet */
    uint64_t drain_again_ms;
    size_t memory_checked;
    size_t published_bytes; /* since the queues were last offered to the kernel, each message with its weight */
    /* any thread */
    wf_loop *loop;
    wf_mailbox mail;
    pthread_t thread;
    wf_counter accepted, connections, websockets, streams, handshakes, requests, published, delivered, shed,
        memory_bytes, lag_ns;
    wf_counter closes[WEFT_CLOSE_SLOTS], refusals[REFUSED_COUNT];
};

typedef struct wf_listener {
    wf_address address;
    bool secure; /* speaks TLS */
    char text[128];
    int *fds; /* one per worker until run */
    bool file_removed;
} wf_listener;

/* What the first worker does now and then. */
typedef struct wf_chore {
    wf_timer timer; /* first */
    struct wf_chore *next;
    uint32_t interval_ms;
    void (*call)(weft_server *server, void *user);
    void *user;
} wf_chore;

struct weft_server {
    weft_config config; /* with the defaults filled in */
    wf_link_http http;
    wf_route *routes;
    size_t route_count;
    wf_history_rule *rules;
    size_t rule_count;
    wf_chore *chores;
    wf_listener *listeners;
    size_t listener_count;
    wf_tls_context *tls; /* NULL: there are no certificates */
    void (*tls_failed)(const char *peer, const char *why, void *user);
    void *tls_user;
    wf_worker *workers;
    unsigned worker_count;
    bool running;
    char error[256];
    atomic_uint connection_count;
    atomic_uint deflating;      /* connections with permessage-deflate */
    atomic_uint sharing;        /* of them, those that have no context of ours */
    uint32_t deflate_bytes_min; /* the least of the routes' */
    atomic_uint deaf_workers;   /* that have stopped listening for a drain */
    size_t relief_bytes;        /* published in a turn before the queues are offered to the kernel */
    atomic_size_t blob_bytes;
    atomic_uint drain; /* 0: no; else code << 1 | 1, spread in drain_spread_ms */
    atomic_uint drain_spread_ms;
    atomic_bool stop;
};

/* Mail for a worker, which is woken in the course of this turn. */
static inline void wf_worker_mail(wf_worker *w, unsigned to, wf_mail *m) {
    wf_mailbox_put(&w->server->workers[to].mail, m);
    w->to_wake[to] = w->wakes = true;
}

/* All that was put into the worker's mailbox before has been read. */
static inline bool wf_worker_mail_read(const wf_worker *w) {
    return !w->reads_mail && wf_mailbox_empty(&w->mail);
}

static inline wf_worker *wf_conn_worker(const weft_conn *conn) {
    return (wf_worker *)((char *)conn->link.env - offsetof(wf_worker, env));
}

/* Of one that is accepted. */
static inline const wf_route *wf_conn_route(const weft_conn *conn) {
    return (const wf_route *)((const char *)wf_link_limits_of(&conn->link) - offsetof(wf_route, limits));
}

/* server.c */
void wf_server_remove_socket_files(weft_server *server); /* once; nobody listens on them any more */

/* config.c */
int wf_server_resolve(weft_config *config, const weft_config *given);
void wf_server_http(const weft_config *config, wf_link_http *out_http);
int wf_route_limits(const weft_route *route, const weft_config *server, wf_link_limits *out_limits,
                    uint32_t *out_topics);     /* WF_EINVAL: a value out of range */
size_t wf_list_count(const char *const *list); /* of a NULL-terminated one; NULL: 0 */
const wf_route *wf_route_find(const weft_server *server, wf_str path);

/* slots.c */
int wf_slots_init(wf_slots *s, uint32_t count); /* for so many or some more */
void wf_slots_deinit(wf_slots *s);
weft_conn *wf_slots_add(wf_slots *s); /* all zero but for its slot; NULL: there are `count`, or memory is out */
void wf_slots_end(wf_slots *s, const weft_conn *conn); /* its handles are stale */
void wf_slots_free(wf_slots *s, weft_conn *conn);      /* and now it is gone */
void wf_slots_rest(wf_slots *s); /* gives back memory that is kept for the next connection: now and then */
weft_conn *wf_slots_at(const wf_slots *s, uint32_t index); /* index < high; NULL: none lives there */
void wf_slots_check(const wf_slots *s);
weft_handle wf_handle_of(const weft_conn *conn);
wf_worker *wf_handle_worker(const weft_server *server, weft_handle handle); /* NULL: none such */
uint32_t wf_handle_slot(weft_handle handle);
weft_conn *wf_handle_conn(wf_worker *w, weft_handle handle);  /* loop only; NULL: gone */
bool wf_handle_alive(const wf_worker *w, weft_handle handle); /* any thread; may be gone a moment later */

/* worker.c */
int wf_worker_init(wf_worker *w, weft_server *server, unsigned index);
void wf_worker_deinit(wf_worker *w);
void *wf_worker_run(void *w);
void wf_worker_offer(wf_worker *w);                  /* offers the queues to the kernel in the middle of a turn */
static inline void wf_worker_relieve(wf_worker *w) { /* after each message: when much was published */
    if (w->published_bytes >= w->server->relief_bytes)
        wf_worker_offer(w);
}
wf_worker *wf_worker_current(void);             /* of this thread; NULL outside of workers */
void wf_worker_post(wf_worker *to, wf_mail *m); /* any thread */

/* dispatch.c: the one place that calls the application. */
void wf_conn_pump(weft_conn *conn); /* pulls and dispatches the connection's events */

/* admit.c: connections come in, and are turned away when there are too many. */
void wf_worker_accept(wf_worker *w, const wf_sock *listener, int fd);
bool wf_worker_accept_port(wf_worker *w, wf_port *port); /* false: there is no room */
void wf_worker_half_done(weft_conn *conn);
void wf_worker_check_memory(wf_worker *w);

/* drain.c */
void wf_worker_drain(wf_worker *w);             /* called each turn while draining */
void wf_worker_fence(wf_worker *w, wf_mail *m); /* one has come */
bool wf_worker_drained(const wf_worker *w);
void wf_worker_deafen(wf_worker *w);     /* stops listening */
void wf_worker_chores_now(wf_worker *w); /* of the first: before their time */

/* http2.c: connections that carry streams. */
void wf_http2_begin(weft_conn *conn);
void wf_http2_bytes(weft_conn *conn, const wf_ws_event *bytes);
bool wf_http2_pump(weft_conn *conn);  /* tells its streams, queues what they sent; true: there is more than room */
void wf_http2_leave(weft_conn *conn); /* takes no new streams, and ends with the last */
void wf_http2_end(weft_conn *conn);   /* it is over, and so are its streams */

/* handshake.c: what a request becomes. */
void wf_on_request(weft_conn *conn);
void wf_on_broken(weft_conn *conn);
void wf_refused(wf_worker *w, int index);
void wf_request_simple(weft_request *request, int status, const char *text); /* a text of ours */

/* request.c */
typedef struct wf_answer wf_answer;
weft_request *wf_request_new(weft_conn *conn, wf_http_reader *reader);
weft_request *wf_request_hold(weft_request *request); /* a reference of ours; weft_request_ref is for others */
void wf_request_half_close(weft_request *request);    /* its client sends no more */
void wf_request_left(weft_request *request);          /* its connection has gone */
bool wf_request_answered(const weft_request *request);
bool wf_request_held(const weft_request *request); /* by the application too */
const wf_http_request *wf_request_http(const weft_request *request);
void wf_request_set_route(weft_request *request, const wf_route *route);
void wf_request_set_upgrade(weft_request *request);
void wf_request_set_overdue(weft_request *request);
void wf_request_apply_late(wf_answer *a); /* one that came by mail, on the request's loop */

/* visit.c */
void wf_visit_go_on(wf_worker *w, wf_mail *m); /* takes the mail over */
void wf_visit_end(weft_server *server, wf_mail *m, weft_handle last);

/* publish.c */
void wf_publish_deliver(wf_worker *w, const wf_mail *m);
void wf_publish_home(wf_worker *w, wf_mail *m);
wf_worker *wf_publish_home_of(weft_server *server, wf_str topic);
void wf_publish_join(wf_worker *w, wf_mail *m); /* at the home, and then at the connection's worker */
wf_blob *wf_publish_encode(weft_server *server, uint8_t opcode, bool plain, const void *data, size_t len);
void wf_publish_deflate(wf_worker *w, wf_blob *blob); /* the blob is not shared yet */

#endif
