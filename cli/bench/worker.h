/*
 * worker.h - one measuring thread: a client object, its share of the connections, and the traffic on them.
 *
 * A worker writes no output and takes no lock. What it saw it hands over in intervals (interval.h); how far it is
 * stands in a few atomics; all else of it is read only when its thread has ended.
 *
 *     CONNECT -> READY -> RUN -> DRAIN -> REST -> CLOSE -> OVER
 *
 * READY waits until the run says when to start; DRAIN waits for what is still to come; REST, if there is to be one,
 * until the run says that memory was read; CLOSE shuts the WebSockets.
 */
#ifndef CLI_BENCH_WORKER_H
#define CLI_BENCH_WORKER_H

#include "cli/bench/config.h"
#include "cli/bench/interval.h"
#include "cli/bench/ledger.h"
#include "cli/bench/stamp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <weft/weft.h>

typedef enum bench_phase {
    BENCH_CONNECT,
    BENCH_READY,
    BENCH_RUN,
    BENCH_DRAIN,
    BENCH_REST,
    BENCH_CLOSE,
    BENCH_OVER
} bench_phase;

typedef struct bench_worker bench_worker;
typedef struct bench_fan bench_fan;

typedef enum bench_state { BENCH_IDLE, BENCH_DIALLING, BENCH_OPEN, BENCH_ENDED } bench_state;

/* One connection, or in a storm the place of one. */
typedef struct bench_peer {
    bench_worker *worker;
    weft_conn *conn; /* NULL unless dialling or open */
    uint32_t id;     /* in the whole run */
    uint32_t index;  /* in the worker */
    bench_state state;
    uint32_t greetings;    /* messages that were passed over */
    bool takes_part;       /* fan-out: was open at the start */
    bool is_blocked;       /* the last send was answered WEFT_FULL */
    uint64_t dialled_ns;   /* when it was meant to be dialled */
    uint64_t sent;         /* messages; the number of the next one */
    bench_ledger ledger;   /* echo: of the answers */
    bench_ledger *ledgers; /* fan-out: of each publisher's messages; subscribers only */
    uint64_t *times;       /* closed model with messages of the user: when each in flight was sent */
} bench_peer;

/* What all workers share. Constant while they run, but for the atomics. */
typedef struct bench_run {
    const bench_config *config;
    const struct bench_traffic *traffic;
    bench_stamper stamper;
    bench_fan *fan;            /* fan-out only */
    uint64_t open_at_start;    /* set before start_ns */
    _Atomic uint64_t start_ns; /* BENCH_NEVER: not yet known */
    atomic_bool has_rested;    /* REST is over */
    atomic_bool is_stopping;   /* the user has enough */
    bench_worker *workers;
} bench_run;

/* A way to use connections. Every function belongs to the worker's thread; NULL does nothing. */
typedef struct bench_traffic {
    bool keeps_connections;         /* dialled before the start, all together */
    void (*ready)(bench_worker *w); /* they are dialled */
    void (*begin)(bench_worker *w, uint64_t now);
    /* Does what is due; answers when there will be more to do, BENCH_NEVER: when something arrives. Only in RUN and
     * DRAIN. */
    uint64_t (*act)(bench_worker *w, uint64_t now);
    void (*opened)(bench_peer *p, uint64_t now);
    void (*message)(bench_peer *p, weft_message m, uint64_t now);
    void (*drained)(bench_peer *p, uint64_t now);
    void (*ended)(bench_peer *p, uint64_t now);
    bool (*has_sent_all)(const bench_worker *w);   /* required: RUN is over before its time */
    bool (*is_settled)(const bench_worker *w);     /* required: nothing is to come any more */
    void (*finish)(bench_worker *w, uint64_t now); /* at the end of DRAIN: judges what did not come */
} bench_traffic;

extern const bench_traffic bench_echo, bench_storm, bench_fanout;

/* The first thing that went wrong. */
typedef struct bench_failure {
    int exit_code; /* 0: nothing did */
    char text[BENCH_NOTE_BYTES];
    char *refusal; /* status, headers and body of an answer that was not 101; or NULL */
} bench_failure;

struct bench_worker {
    bench_run *run;
    const bench_config *config;
    weft_client *client;
    pthread_t thread;
    uint32_t number;
    bench_phase phase;
    bench_peer *peers;
    uint32_t peer_count, next_dial, dialling, open;
    uint64_t dial_phase_ns, dial_period_ns; /* 0: as fast as it goes */
    char *buffer;                           /* size_max bytes, for a message on its way out */

    /* The schedule: message n is due at first_ns + n * period, on the (n % senders)th sending peer. */
    uint32_t sender_count, subscriber_count; /* of the peers, the first are senders */
    double period_ns;
    uint64_t first_ns, due;  /* due: number of the next one */
    uint64_t quota;          /* `due` ends here */
    uint64_t outstanding;    /* sent or due and not yet answered */
    uint64_t delivered;      /* fan-out: to subscribers here */
    bool has_published;      /* fan-out: all of it */
    bench_peer **free_peers; /* storm: places that are free, and since when there is one */
    uint32_t free_count;
    uint64_t free_since_ns;

    uint64_t measure_ns, end_ns; /* of what is intended: measured from, sent until */
    uint64_t last_done_ns;
    bench_interval *block;
    bench_exchange exchange;
    uint64_t cpu_mark_ns, idle_ns; /* processor time at the start of the block, and of it spent looking in vain */
    uint64_t wire_in_mark, wire_out_mark, wait_mark_ns;
    int schedule_fd;                         /* what the kernel's scheduler says of the thread; -1: nothing */
    uint64_t events;                         /* anything sent or received */
    bool deflates;                           /* a connection agreed to it */
    char extensions[BENCH_EXTENSIONS_BYTES]; /* in the words of the first answer that names any */
    bench_failure failure;
    bench_notes examples;

    /* Read by the monitor at any time. */
    atomic_uint shown_phase;
    atomic_uint opened, failed;
    _Atomic uint64_t shown_sent;
};

/* Prepares the worker with `count` peers whose ids are first_id, first_id + step, ... false: out of memory or
 * descriptors. */
bool bench_worker_init(bench_worker *w, bench_run *run, uint32_t number);
bool bench_worker_start(bench_worker *w);  /* the thread */
void bench_worker_deinit(bench_worker *w); /* after its thread has ended */

/* ---- for the traffic ---- */

/* Dials the peer; what went wrong at once is counted. */
void bench_worker_dial(bench_peer *p, uint64_t intended_ns);

void bench_worker_fault(bench_worker *w, bench_fault fault, uint64_t count);

/* Sends the message with the peer's next number, meant to be sent at intended_ns. false: it has to wait (is_blocked),
 * or the connection is ending. */
bool bench_worker_send(bench_peer *p, uint64_t intended_ns, uint64_t now);

static inline bool bench_worker_has_sent_all(const bench_worker *w) {
    return w->due >= w->quota;
}

/* One message, delivery or handshake was done. */
void bench_worker_done(bench_worker *w, uint64_t intended_ns, uint64_t now);

static inline uint64_t bench_due_ns(const bench_worker *w, uint64_t n) {
    return w->first_ns + (uint64_t)((double)n * w->period_ns);
}

/* When message `number` of the peer with this place among the senders is due. */
static inline uint64_t bench_due_of(const bench_worker *w, uint32_t sender, uint64_t number) {
    return bench_due_ns(w, number * w->sender_count + sender);
}

/* True when what is due at `ns` is still sent. */
static inline bool bench_worker_sends(const bench_worker *w, uint64_t ns) {
    return w->phase == BENCH_RUN && w->due < w->quota && ns < w->end_ns;
}

#endif
