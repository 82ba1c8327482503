/*
 * client_impl.h - the inside of a client: one loop and its calls. A call is a dial and the connection that comes of it.
 *
 *      weft_client -- calls: a list -- each a link, and while it is not open yet, its wf_dialling
 *
 * All of it belongs to the thread that turns the client, but for what stands under "any thread".
 */
#ifndef WF_CLIENT_CLIENT_IMPL_H
#define WF_CLIENT_CLIENT_IMPL_H

#include "client/lookup.h"
#include "client/race.h"
#include "client/via.h"
#include "conn/conn.h"
#include "http/opening.h"
#include "net/address.h"

#include <stdatomic.h>
#include <weft/client.h>
#include <weft/retry.h>

enum { WF_BODY_BYTES_MAX = 4096 };

/* A dial to be made again elsewhere: its strings are in the same block. */
typedef struct wf_again {
    weft_dial dial;
    uint32_t left; /* redirects that may still be followed */
} wf_again;

typedef struct wf_call wf_call;
typedef struct wf_dialling wf_dialling;
typedef struct wf_lane wf_lane;
typedef struct wf_reconnect wf_reconnect;
typedef struct wf_trunk wf_trunk;

/* Whose turn it is to connect, and who waits for his: turns.c. */
typedef struct wf_turns {
    wf_dialling *taken, *row, **row_end;
} wf_turns;

typedef enum wf_turn { WF_TURN_NONE, WF_TURN_AWAITED, WF_TURN_TAKEN } wf_turn;

/* What is kept of a dial until it has opened or failed. */
struct wf_dialling {
    wf_call *call;
    wf_dialling *turn_next, **turn_place; /* on the list that `turn` says */
    wf_turn turn;
    uint32_t connect_timeout_ms;
    wf_buf request;
    char key[WF_UPGRADE_KEY_BYTES + 1];
    char **subprotocols; /* one block with its strings, NULL-terminated; NULL: none */
    char *host;          /* to be looked up, and whose certificate it must be; NULL: a unix socket */
    unsigned port;
    bool secure;     /* wss */
    bool rooted;     /* the host's name ended with a dot: no search list is for it */
    bool http2;      /* of a trunk: TLS is to agree on it */
    uint8_t refused; /* how often a stream was */
    wf_asker asker;  /* the call's, while the host is being looked up */
    int find_error;  /* what came of that: of getaddrinfo */
    wf_pmd_offer offer;
    bool offers;
    bool from_local;
    wf_address local;
    wf_http_reply_reader *reply; /* NULL: none came */
    wf_again *again;             /* owned; NULL: redirects are not followed */
    wf_via *via;                 /* owned; NULL: there is no proxy, and the addresses are the host's */
    wf_race *race;               /* owned; NULL: none is under way */
    size_t at;                   /* the address that won, or failed last */
    size_t count;                /* 0: none is known yet */
    wf_address addresses[];      /* room for WF_ADDRESSES_MAX when they are to be found */
};

struct wf_call {
    wf_link link; /* first: it is a weft_conn; its env leads to the client */
    void *user;
    void (*message)(weft_conn *conn, weft_message message, void *user);
    void (*open)(weft_conn *conn, const weft_response *response, void *user);
    void (*drained)(weft_conn *conn, void *user);
    void (*pong)(weft_conn *conn, uint64_t rtt_ns, void *user);
    void (*control)(weft_conn *conn, weft_message frame, void *user);
    void (*closed)(weft_conn *conn, const weft_close_info *info, void *user);
    void (*failed)(weft_conn *conn, const weft_dial_failure *failure, void *user);
    wf_dialling *dialling; /* NULL from `open` on */
    wf_call *prev, *next;  /* all of the client's; at last `next` alone: those to be freed */
    wf_call *waiting_next;
    wf_reconnect *reconnect; /* owned; NULL: it is not dialled again */
    wf_lane *lane;           /* its place on a shared connection, owned; NULL: it has one of its own */
    bool waiting;            /* listed: the unix socket's backlog was full, or its race has more to begin */
    bool is_trunk;           /* no call, but a shared connection (http2.h) */
    wf_link_limits limits;
};

struct weft_client {
    /* loop only */
    weft_client_config config; /* with the defaults filled in */
    wf_link_http http;
    wf_link_env env;
    wf_mask_keys keys;
    wf_tls_context *tls; /* NULL until it is wanted: reading all certificates takes milliseconds */
    wf_loop *loop;       /* its wake: any thread */
    wf_call *calls;
    size_t call_count;
    wf_call *waiting;
    wf_turns turns;
    wf_timers reconnect_timers;
    wf_reconnect *reconnects; /* that wait */
    wf_lookups *lookups;      /* NULL until one is wanted */
    wf_call *trunks;
    size_t trunk_count;
    struct wf_origin *origins;
    size_t origin_count;
    wf_call *ended; /* to be freed at the end of the turn */
    bool pumped;    /* the application may have been called in this turn */
    char error[256];
    /* any thread */
    atomic_bool stop;
};

static inline weft_client *wf_call_client(const wf_call *call) {
    return (weft_client *)((char *)call->link.env - offsetof(weft_client, env));
}

static inline weft_conn *wf_call_conn(wf_call *call) {
    return (weft_conn *)call;
}

/* resolve.c: without looking anything up. WF_OK, of a URL with no address when its host is a name; or WF_EINVAL with a
 * static text in *out_why. */
int wf_addresses_of_url(const wf_url *url, wf_addresses *out_addresses, const char **out_why);
int wf_addresses_parse(const char *text, wf_addresses *out_addresses, const char **out_why);

/* dial.c */
void wf_call_connect(wf_call *call); /* looks up the host, or tries the addresses from dialling->at on; what comes of
                                        it is told by its link */
void wf_call_found(wf_call *call, const wf_lookup *lookup); /* the host was looked up, or could not be */
void wf_call_give_up(wf_call *call);                        /* what is under way to connect it */
void wf_call_wait_no_more(wf_call *call);
void wf_call_die_soon(wf_call *call, int sys_errno); /* told in a turn */
void wf_call_anew(wf_call *call);                    /* as it was before wf_call_begin, with deadlines of its own */
void wf_call_raced(wf_call *call, const wf_loop_event *event); /* an attempt has come to something */
void wf_dialling_free(wf_dialling *dialling);
wf_dialling *wf_dialling_of_trunk(const wf_dialling *dialling); /* to the same place; NULL: no memory */

/* A client's side of TLS with the host, the caller's; NULL when it is not to be secure. WF_OK or WF_ENOMEM. */
int wf_call_tls(wf_call *call, wf_tls **out_tls);

/* Makes the call anew. False: it cannot be, and nothing has changed. `again` is the call's then. */
bool wf_call_dial_again(wf_call *call, wf_again *again);

/* turns.c. False: it waits, and is connected when it is its turn. */
bool wf_call_takes_turn(wf_call *call);
void wf_call_gives_turn(wf_call *call); /* it has opened, or ended, or goes elsewhere: the next is connected */
void wf_turns_init(wf_turns *turns);

/* As weft_client_dial. Takes `reconnect` over when it is answered WF_OK; NULL: it is not dialled again. */
int wf_client_dial(weft_client *client, const weft_dial *dial, wf_reconnect *reconnect, weft_conn **out_conn);

/* reconnect.c: dialling again by itself. New: WF_OK, WF_ENOMEM; WF_EINVAL with a static text. */
int wf_reconnect_new(const weft_dial *dial, wf_reconnect **out_reconnect, const char **out_why);
void wf_reconnect_free(wf_reconnect *reconnect); /* NULL is accepted */
void wf_reconnect_opened(wf_call *call);
int64_t wf_reconnect_after(wf_call *call, const weft_retry_end *end); /* begins to wait; or WEFT_RETRY_NEVER */
void wf_reconnects_run(weft_client *client);                          /* dials those that are due */
void wf_reconnects_free(weft_client *client);

/* redirect.c: NULL when memory is out. */
wf_again *wf_again_new(const weft_dial *dial);
bool wf_call_redirected(wf_call *call); /* the answer leads elsewhere, and the call is on its way there */

/* via.c */
int wf_call_begin_via(wf_call *call, int fd);                      /* answers as wf_link_connect */
void wf_call_told(wf_call *call, const uint8_t *data, size_t len); /* by the proxy; no bytes: it has said all */

/* origin.c: HTTP/2, where that is wanted */
void wf_call_begin(wf_call *call);         /* on a shared connection, or connects */
void wf_origins_rest(weft_client *client); /* nobody is left */
void wf_origins_free(weft_client *client);

/* http2.c */
bool wf_trunk_pump(wf_call *trunk);   /* true: there may be more to be sent */
void wf_trunk_deinit(wf_call *trunk); /* behind its link */

/* It waits for its turn to connect, or no longer: the deadlines of its calls. */
void wf_trunk_expect(wf_call *trunk, bool waits);

/* lane.c */
void wf_lane_ended(wf_call *call);         /* before it is told */
bool wf_lane_all_sent(const wf_call *call); /* what it took is the kernel's */
void wf_lane_free(wf_call *call);          /* behind its port; without a lane nothing happens */
wf_call *wf_call_way(const wf_call *call); /* what connects it: its trunk, or it does itself */

/* call.c: the one place that calls the application. */
void wf_call_pump(wf_call *call);

#endif
