/*
 * weft/client.h - WebSocket clients: one loop on one thread, with any number of connections.
 *
 *     weft_client *client = weft_client_new(NULL);
 *     weft_client_dial(client, &(weft_dial) {WEFT_DIAL_INIT, .url = "ws://127.0.0.1:9001/echo",
 *                                            .open = on_open, .message = on_message}, NULL);
 *     weft_client_run(client);        // until no connection is left
 *     weft_client_free(client);
 *
 * A client and its connections belong to the thread that turns it; only stop and wake may come from elsewhere.
 * Callbacks run inside weft_client_turn and weft_client_run and nowhere else: no other call calls back. Every call but
 * these two and weft_client_free is legal inside every callback.
 */
#ifndef WEFT_CLIENT_H
#define WEFT_CLIENT_H

#include <weft/conn.h>
#include <weft/limits.h>
#include <weft/request.h>
#include <weft/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_client weft_client;

/* Zero is the value in brackets. */
typedef struct weft_client_config {
    size_t struct_size;            /* WEFT_CLIENT_CONFIG_INIT */
    uint32_t connect_timeout_ms;   /* [10,000] until connected: lookup, all addresses, proxy. WEFT_NONE: the system's */
    uint32_t handshake_timeout_ms; /* [10,000] from there to a whole response; bytes do not extend it */
    uint32_t head_bytes_max;       /* [16 KiB] of a response: status line and headers */
    uint32_t headers_max;          /* [100] */
    weft_limits limits;
    /* Of the connections to one host and port one is made at a time, and the others wait until it has opened or failed
     * (RFC 6455 4.1); so does connect_timeout_ms. Through a proxy the host is a name. [all at once] */
    bool in_turn;
    weft_deflate deflate; /* what is offered [OFF] */
    weft_backend backend;
    weft_tls_client tls; /* its strings are not copied: keep them */
    /* [OFF] ON: dials to one host and port, by the same way, share a connection as far as its server lets them (its
     * SETTINGS_MAX_CONCURRENT_STREAMS), each a stream with deadlines and callbacks of its own; one that nobody uses is
     * closed after 15 s, and as soon as the client has no connections left. It is off because a server that has no
     * WebSockets over HTTP/2 costs one connection more: what it can is seen on the first, all dials go on with
     * HTTP/1.1, and that is kept in mind (of 1,000 hosts). CLEAR: with ws:// too, where every server must speak it. */
    weft_http2 http2;
    const char *proxy; /* of every dial that names none (weft_dial.proxy) [none]; not copied either */
} weft_client_config;

#define WEFT_CLIENT_CONFIG_INIT .struct_size = sizeof(weft_client_config)

/* The server's answer to an opening handshake. Texts are borrowed, until the callback returns. */
typedef struct weft_response weft_response;

WEFT_API int weft_response_status(const weft_response *response);                         /* 101 */
WEFT_API weft_text weft_response_header(const weft_response *response, const char *name); /* first of that name */

/* Header `index`, in order; false behind the last. */
WEFT_API bool weft_response_header_at(const weft_response *response, size_t index, weft_text *out_name,
                                      weft_text *out_value);

/* What came of the body of a refusal, at most 4 KiB; chunks are put together. */
WEFT_API weft_text weft_response_body(const weft_response *response);

/* How far a dial that failed had come. */
typedef enum weft_dial_phase {
    WEFT_DIAL_RESOLVE = 1, /* no address for the host's name. sys_errno is ENOENT when there is no such name */
    WEFT_DIAL_CONNECT,     /* no connection */
    WEFT_DIAL_PROXY,       /* connected to the proxy, and it made no connection to the host */
    WEFT_DIAL_TLS,         /* connected, and no TLS came of it */
    WEFT_DIAL_HANDSHAKE    /* and no WebSocket came of it */
} weft_dial_phase;

/* Strings live until the callback returns. */
typedef struct weft_dial_failure {
    weft_dial_phase phase;
    int sys_errno;     /* ECONNREFUSED, ETIMEDOUT (a timeout of ours too), ECONNABORTED (by us), ...; or 0 */
    const char *text;  /* all of it in words: "cannot connect to 127.0.0.1:9001: Connection refused" */
    const char *rule;  /* the rule the server broke, or what a proxy of SOCKS said: "RFC6455/4.1: ..."; NULL: none */
    long verify_error; /* of TLS, when the server's certificate was refused: X509_V_ERR_... of OpenSSL; or 0 */
    /* When a whole head came, also of 200, 302, 401, ...; in WEFT_DIAL_PROXY the proxy's. NULL: none. */
    const weft_response *response;
    int64_t retry_ms; /* when it is dialled again by itself (weft_dial.retry); -1: it is not */
} weft_dial_failure;

/*
 * One connection to make. Zero is a default everywhere; callbacks may be NULL. Nothing is kept of it behind the call
 * but the callbacks and `user`: strings are copied.
 *
 * Of each dial that was answered WEFT_OK comes exactly one of these, unless the client is freed before: `failed`; or
 * `open`, and last `closed`. With `retry` the same comes of each that is made again, for a connection of its own. The
 * connection's pointer is valid from the dial until `failed` or `closed` returns.
 * Until `open`, sends and closes answer WEFT_ECLOSED; weft_conn_abort gives the dial up (`failed`, ECONNABORTED).
 */
typedef struct weft_dial {
    size_t struct_size; /* WEFT_DIAL_INIT */

    /* "ws://host[:port][/path][?query]", or wss (the certificate must be the host's), or over a unix socket
     * "ws+unix:/path/of/socket[:/path[?query]]". http means ws, https wss. A fragment is dropped; user and password in
     * it are refused. The host is an IP address ("[::1]" for IPv6) or a name: without `address` the system's resolver
     * looks it up, on a thread of the client's (at most 4; at most 4,096 names wait). Dials of one host and port that
     * meet there are one question. */
    const char *url;
    /* Where to connect to in place of the URL's host and port: "127.0.0.1:9001", "[::1]:9001", "unix:/path",
     * "unix:@abstract"; or several TCP addresses parted by commas: the next is tried when one has failed or has not
     * answered for 250 ms, and the first that connects is taken (RFC 8305 5). What weft_resolve writes. */
    const char *address;
    const char *local_address; /* an IP address of this host to connect from: "127.0.0.2". Unix sockets need none */
    /* The proxy to go through [the client's]; "none": none.
     *     http://[user:password@]host[:port]    it is asked to CONNECT (RFC 9110 9.3.6), for ws as for wss; port 80
     *     socks5h://...                         SOCKS 5 (RFC 1928, RFC 1929), it looks the host up; port 1080
     *     socks5://...                          the same, we look it up, and ask for the first address found
     * User and password are percent-decoded, and told to this proxy alone, unencrypted. Its own host is found and
     * connected to as any, from local_address; all of it within connect_timeout_ms. TLS is then with the URL's host,
     * inside. `address`, where it is given, is what the proxy is asked for, the first of them. Redirects go through it
     * too. None leads to a unix socket: the client's is not used then, and one named here is refused. */
    const char *proxy;

    void *user;                      /* yours: given to each callback, and at first the connection's (weft_conn_user) */
    const char *origin;              /* the Origin header */
    const char *const *subprotocols; /* NULL-terminated, most wanted first */
    const char *user_password;       /* "user:password": Authorization: Basic (RFC 7617) */
    const char *bearer_token;        /* Authorization: Bearer (RFC 6750), in place of it */
    const char *const *headers;      /* NULL-terminated, each "Name: value"; none that the handshake sets itself */
    /* How many answers of 301, 302, 303, 307 and 308 are followed [none: they are failures], each with deadlines of its
     * own; never from wss to ws, nor to a unix socket. Where scheme, host or port change, `headers`, `address` and
     * what authenticates stay behind. */
    uint32_t redirects_max;
    /* Dial again by itself, after a failure and after a close, with all that is asked for here, as long as it may heal:
     * when, and what may, is told in weft/retry.h; each time in `failed` and `closed` (retry_ms). What is closed by
     * weft_conn_close, or given up, is not dialled again. Copied. [NULL: never] */
    const struct weft_retry *retry;
    uint32_t connect_timeout_ms; /* zero inherits the client's, as below */
    uint32_t handshake_timeout_ms;
    weft_limits limits;
    weft_deflate deflate;

    /* The WebSocket is open. `response` is readable until this returns. */
    void (*open)(weft_conn *conn, const weft_response *response, void *user);
    void (*message)(weft_conn *conn, weft_message message, void *user);
    /* The queue is empty again after a send was answered WEFT_FULL. */
    void (*drained)(weft_conn *conn, void *user);
    /* A ping of weft_conn_ping or the heartbeat was answered. */
    void (*pong)(weft_conn *conn, uint64_t rtt_ns, void *user);
    /* A control frame came: WEFT_PING, which has been answered already, or WEFT_PONG that answers none of those. */
    void (*control)(weft_conn *conn, weft_message frame, void *user);
    /* Exactly once for each `open`, last. Sends answer WEFT_ECLOSED. */
    void (*closed)(weft_conn *conn, const weft_close_info *info, void *user);
    /* No WebSocket came of it. */
    void (*failed)(weft_conn *conn, const weft_dial_failure *failure, void *user);
} weft_dial;

#define WEFT_DIAL_INIT .struct_size = sizeof(weft_dial)

/* NULL config: all defaults. NULL, with errno, when memory or descriptors are out (ENOMEM, EMFILE) or the config is
 * wrong (EINVAL: struct_size is not set, a window has not 8 to 15 bits). Installs no signal handler; SIGPIPE is never
 * raised. */
WEFT_API weft_client *weft_client_new(const weft_client_config *config);

/* Cuts what is left of the connections, and calls back no more: what your user pointers own is yours to release.
 * NULL is accepted. */
WEFT_API void weft_client_free(weft_client *client);

/* Starts a connection; all the network has to say about it comes by callback, in a later turn. *out_conn may be NULL.
 * WEFT_OK; WEFT_EINVAL: the dial cannot be meant so, weft_client_error says why; WEFT_ENOMEM; WEFT_ESYS: there is no
 * randomness for a key. Never blocks. */
WEFT_API int weft_client_dial(weft_client *client, const weft_dial *dial, weft_conn **out_conn);

/* What was dialled with this user, and waits to be dialled again (weft_dial.retry), is not. O(those that wait). */
WEFT_API void weft_client_retry_stop(weft_client *client, const void *user);

/* Why the last dial was answered WEFT_EINVAL, in words. Never NULL. */
WEFT_API const char *weft_client_error(const weft_client *client);

/* Looks up the host of a URL and writes its addresses, as weft_dial.address takes them. BLOCKS, as the system's
 * resolver does (seconds, when a name server does not answer): call it before the loop, or on a thread of yours.
 * WEFT_OK; WEFT_EINVAL: not a URL; WEFT_ELIMIT: does not fit (256 bytes hold at least five); WEFT_ESTALE: there is no
 * such host; WEFT_ESYS: the resolver failed. *out_why, when not NULL, says it in words: a static string. */
WEFT_API int weft_resolve(const char *url, char *out, size_t cap, const char **out_why);

/* One turn: sends what was queued since the last one, waits at most timeout_ms (negative: as long as it takes; 0: only
 * looks) for something to happen, calls back, sends what the callbacks queued. WEFT_OK; WEFT_ESYS with errno when
 * waiting is impossible. */
WEFT_API int weft_client_turn(weft_client *client, int timeout_ms);

/* Turns until no connection is left and none waits to be dialled again, or weft_client_stop. WEFT_OK, WEFT_ESYS. It may
 * be called again. */
WEFT_API int weft_client_run(weft_client *client);

/* Makes weft_client_run return at the end of its turn, the connections as they are; called outside of a run, the next
 * one returns after one turn. Any thread, also a signal handler. */
WEFT_API void weft_client_stop(weft_client *client);

/* Makes a weft_client_turn that waits return. Any thread, also a signal handler. */
WEFT_API void weft_client_wake(weft_client *client);

/* Connections that were dialled and have neither failed nor closed. */
WEFT_API size_t weft_client_connections(const weft_client *client);

/* For a loop of yours: readable when there is something for weft_client_turn(client, 0) to do; and the milliseconds
 * after which it should be called anyway, for the sake of deadlines and of what was queued since (-1: never). The
 * descriptor is the client's, and the same each time; -1, with errno: there was none left. */
WEFT_API int weft_client_fd(weft_client *client);
WEFT_API int weft_client_timeout_ms(const weft_client *client);

/* Bytes received and sent since the client was made, by all its connections: handshakes and framing included, what TCP
 * adds not. Any thread. */
WEFT_API void weft_client_bytes(const weft_client *client, uint64_t *out_in, uint64_t *out_out);

/* The client of a connection; NULL when it is a server's. */
WEFT_API weft_client *weft_conn_client(const weft_conn *conn);

#ifdef __cplusplus
}
#endif

#endif
