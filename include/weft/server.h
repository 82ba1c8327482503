/*
 * weft/server.h - a server: addresses, routes, limits, workers, publishing, draining.
 *
 *     weft_server *server = weft_server_new(NULL);
 *     weft_server_route(server, &(weft_route) {WEFT_ROUTE_INIT, .path = "/echo", .message = on_message});
 *     weft_server_listen(server, "127.0.0.1:9001");
 *     int status = weft_server_run(server);       // until drained or stopped
 *     weft_server_free(server);
 *
 * Each worker is one thread with one loop. A connection lives and dies on one worker, and all its callbacks
 * run there, never two at a time. Two connections' callbacks may run at the same time when there are several
 * workers.
 */
#ifndef WEFT_SERVER_H
#define WEFT_SERVER_H

#include <weft/conn.h>
#include <weft/limits.h>
#include <weft/request.h>
#include <weft/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_config {
    size_t struct_size;       /* WEFT_CONFIG_INIT */
    uint32_t workers;         /* [1] threads; WEFT_NONE: one per processor */
    uint32_t connections_max; /* [descriptor limit - 128 - 8 per worker] over: 503 */
    uint32_t half_open_max;   /* [a tenth of connections_max, at least 64] unfinished handshakes: 503 to the oldest */
    uint32_t head_bytes_max;  /* [8 KiB] request line and headers: 414, 431 */
    uint32_t headers_max;     /* [64] */
    uint32_t body_bytes_max;  /* [1 MiB] of a plain request: 413 */
    uint32_t handshake_timeout_ms; /* [10,000] from accept to a whole request: 408. Bytes do not extend it. */
    uint32_t answer_timeout_ms;    /* [30,000] for the application to answer a request: 503 */
    uint32_t keep_alive_ms;        /* [15,000] an idle HTTP connection is kept */
    uint64_t memory_bytes_max;     /* [half of the machine's] of buffers; at 75 % newcomers get 503, at 90 % the largest
                                    * connection is closed with 1013. WEFT_NONE: no limit */
    uint32_t backlog;              /* [4,096] of listening sockets */
    const char *const *origins;    /* beside the same host: "https://example.org", "*" is any; NULL-terminated */
    const char *server_name;       /* [none] value of a Server header; WebSocket answers too */
    weft_limits limits;
    weft_deflate deflate;
    weft_backend backend;
    weft_http2 http2; /* [with TLS] */
    /* [false] Other servers may listen on our TCP addresses, too, and we on theirs: the kernel deals newcomers out
     * among them (SO_REUSEPORT; only servers of the same user). Topics, limits and counters are each server's own.
     * Port 0 is a port of our own all the same. False: an address that anyone listens on is EADDRINUSE. */
    bool reuse_port;
    /* [none] For a log: the library turned a WebSocket handshake away, as it is not valid or its origin is not welcome.
     * The request may be read until this returns, and is not to be answered. On the worker of the connection. */
    void (*refused)(const weft_request *request, int status, const char *why, void *user);
    void *refused_user;
} weft_config;

#define WEFT_CONFIG_INIT .struct_size = sizeof(weft_config)

/*
 * A route. Callbacks may be NULL. `user` is yours.
 *
 * path: "/echo" matches that path alone; a path that ends in '*' matches every path that begins with what
 * stands before it. The longest match wins. A path nobody matches is answered 404.
 */
typedef struct weft_route {
    size_t struct_size; /* WEFT_ROUTE_INIT */
    const char *path;
    void *user;
    const char *const *subprotocols; /* NULL-terminated; the first of the client's that stands here is picked */
    const char *const *origins;      /* in place of the server's when not NULL */
    weft_limits limits;
    weft_deflate deflate;

    /* A plain HTTP request. NULL: the path answers 426 to GET and 405 to others. */
    void (*request)(weft_request *request, void *user);
    /* A valid handshake from a welcome origin: accept, refuse, or take a reference and do it later. NULL:
     * accept. It may also set the connection's user pointer (weft_request_set_user). */
    void (*upgrade)(weft_request *request, void *user);
    /* The WebSocket is open, or the stream. `request` is the handshake, readable until this returns. */
    void (*open)(weft_conn *conn, const weft_request *request, void *user);
    void (*message)(weft_conn *conn, weft_message message, void *user);
    /* The queue is empty again after a send was answered WEFT_FULL. */
    void (*drained)(weft_conn *conn, void *user);
    /* A ping of weft_conn_ping or the heartbeat was answered. */
    void (*pong)(weft_conn *conn, uint64_t rtt_ns, void *user);
    /* A control frame came: WEFT_PING, which has been answered already, or WEFT_PONG that answers none of those. */
    void (*control)(weft_conn *conn, weft_message frame, void *user);
    /* An accept that was given from another thread, and answered WEFT_OK, came too late: the client had gone.
     * `accepted` is what weft_request_set_user had set, for you to release; neither `open` nor `closed` is
     * called for it. */
    void (*lost)(void *accepted, void *user);
    /* Exactly once for each `open`, last. Sends answer WEFT_ECLOSED; subscriptions are gone. */
    void (*closed)(weft_conn *conn, const weft_close_info *info, void *user);
} weft_route;

#define WEFT_ROUTE_INIT .struct_size = sizeof(weft_route)

/* NULL config: all defaults. The config is copied, the strings it points to are not: keep them. NULL when memory or
 * descriptors are out, the kernel has not the backend asked for (errno says), struct_size is not set or a window has
 * not 8 to 15 bits (EINVAL). */
WEFT_API weft_server *weft_server_new(const weft_config *config);

/* "io_uring" or "epoll". */
WEFT_API const char *weft_server_backend(const weft_server *server);

/* Before run. The route is copied, its strings are not: keep them. WEFT_OK, WEFT_EINVAL, WEFT_ENOMEM. */
WEFT_API int weft_server_route(weft_server *server, const weft_route *route);

/* Keeps the last messages of every topic whose name begins with `prefix` ("" is all), at most so many and so
 * many bytes per topic, for weft_conn_subscribe to replay. A topic nobody is in is forgotten after 10 minutes
 * without a message. Before run. WEFT_OK, WEFT_EINVAL, WEFT_ENOMEM. */
WEFT_API int weft_server_history(weft_server *server, const char *prefix, uint32_t messages_max, uint32_t bytes_max);

/* Calls `call` about every interval_ms (at least 1) while the server runs, on its first worker: for what is to be
 * done now and then; and at once when a drain begins. It may do what a callback may. Before run. WEFT_OK,
 * WEFT_EINVAL, WEFT_ENOMEM. */
WEFT_API int weft_server_every(weft_server *server, uint32_t interval_ms, void (*call)(weft_server *server, void *user),
                               void *user);

/* "127.0.0.1:9001", "[::1]:9001", ":9001" (everywhere), "9001", port 0 for any, "unix:/path",
 * "unix:@abstract". Repeatable, before run. WEFT_OK; WEFT_EINVAL; WEFT_ESYS with errno (EADDRINUSE, EACCES,
 * …). weft_server_error says it in words. */
WEFT_API int weft_server_listen(weft_server *server, const char *address);
WEFT_API const char *weft_server_error(const weft_server *server);

/* Certificates, for weft_server_listen_tls. Once, before run. Its strings and arrays are not copied: keep them.
 * WEFT_OK; WEFT_EINVAL, and weft_server_error says it in words, with the file it is about. */
WEFT_API int weft_server_tls(weft_server *server, const weft_tls_server *tls);

/* As weft_server_listen: wss and https. */
WEFT_API int weft_server_listen_tls(weft_server *server, const char *address);

/* Reads the files of weft_server_tls again: newcomers get what they hold now, and those that are connected keep what
 * they have. WEFT_OK; WEFT_EINVAL: all stays as it was, and `out_why` says why. Any thread, but no signal handler. */
WEFT_API int weft_server_tls_reload(weft_server *server, char *out_why, size_t cap);

/* SHA-256 of the first certificate, "AB:CD:...": 96 bytes hold it. "" without TLS. */
WEFT_API void weft_server_fingerprint(const weft_server *server, char *out, size_t cap);

/* The address that is listened on, by index: "127.0.0.1:43211". NULL behind the last. */
WEFT_API const char *weft_server_address(const weft_server *server, size_t index);
WEFT_API bool weft_server_address_tls(const weft_server *server, size_t index);

/* Runs until drained or stopped; the calling thread is the first worker. WEFT_OK; WEFT_EINVAL when nothing is listened
 * on or it has run already; WEFT_ESYS, WEFT_ENOMEM at start. */
WEFT_API int weft_server_run(weft_server *server);

/* Stops accepting and closes every WebSocket with `code` (1001 or 1012; what may not travel is 1001), spread evenly
 * over spread_ms; what was published before comes before that; idle HTTP connections end at once; those still there 5
 * s after the spread are cut. weft_server_run returns when all have gone. Any thread, also a signal handler. */
WEFT_API void weft_server_drain(weft_server *server, int code, uint32_t spread_ms);

/* Cuts everything and makes weft_server_run return. Any thread, also a signal handler. */
WEFT_API void weft_server_stop(weft_server *server);

/* After run has returned, and every call from another thread that names the server, a handle or a request of
 * it. NULL is accepted. */
WEFT_API void weft_server_free(weft_server *server);

/* Sends a message to all subscribers of a topic, on all workers, from any thread. All subscribers see the messages of
 * one topic in one order, that of the calls: one that begins when another has returned comes after it. WEFT_OK: handed
 * on, also when nobody is there. WEFT_EINVAL, WEFT_ENOMEM, WEFT_ECLOSED (stopped). The payload is copied once; each
 * subscriber costs a queue entry. */
WEFT_API int weft_publish(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len);

/* The same to everyone but this connection; 0, or one that is gone: to everyone. */
WEFT_API int weft_publish_except(weft_server *server, const char *topic, weft_kind kind, const void *data, size_t len,
                                 weft_handle except);

typedef struct weft_topic_info {
    const char *name;
    uint32_t subscribers;
    uint64_t messages; /* published since the topic came to be */
} weft_topic_info;

/* All topics whose name begins with `prefix`, sorted by name: one block, freed with weft_topics_free. NULL
 * with *out_count 0 when there are none or memory is out. Any thread. */
WEFT_API weft_topic_info *weft_server_topics(weft_server *server, const char *prefix, size_t *out_count);
WEFT_API void weft_topics_free(weft_topic_info *topics);

/*
 * A walk over the open connections (WebSockets and streams), each seen on its own thread, one after the other and never
 * two at a time: what `visit` may do with the connection is what a callback may. It goes on in small pieces, so that
 * no loop stands still for it; who opens or closes meanwhile may be seen or not, and who stays is seen once.
 */
typedef struct weft_visit {
    size_t struct_size; /* WEFT_VISIT_INIT */
    weft_handle after;  /* goes on behind this one; 0: from the beginning */
    uint32_t max;       /* ends when so many were counted */
    void *user;
    /* True: it counts. `conn` is valid until this returns. */
    bool (*visit)(weft_conn *conn, void *user);
    /* Once, last, on a thread of the server. `last` is where to go on; 0: there are no more, or the server stopped
     * (then it comes from weft_server_free at the latest). */
    void (*done)(weft_server *server, weft_handle last, void *user);
} weft_visit;

#define WEFT_VISIT_INIT .struct_size = sizeof(weft_visit)

/* From any thread; returns at once. WEFT_OK: `done` will come. WEFT_EINVAL, WEFT_ENOMEM, WEFT_ECLOSED (stopped): it
 * will not. Cost: a few nanoseconds per connection, on its worker, and nothing while nobody walks. */
WEFT_API int weft_server_visit(weft_server *server, const weft_visit *visit);

/* The route of a server's connection, as the server has copied it; NULL of a client's. */
WEFT_API const weft_route *weft_conn_route(const weft_conn *conn);

#ifdef __cplusplus
}
#endif

#endif
