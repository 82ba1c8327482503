/*
 * report.h - all that is known of a run when it is over, and the forms in which it is written.
 *
 * docs/BENCH.md describes the forms.
 */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

#include "cli/bench/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What can go wrong, each counted. */
typedef enum bench_fault {
    BENCH_FAULT_CONNECT,    /* no TCP connection, or it timed out */
    BENCH_FAULT_HANDSHAKE,  /* connected, and no WebSocket came of it */
    BENCH_FAULT_CLOSED,     /* a WebSocket ended before we ended it */
    BENCH_FAULT_LOST,       /* later messages came, this one did not */
    BENCH_FAULT_UNANSWERED, /* nothing came any more */
    BENCH_FAULT_DUPLICATED,
    BENCH_FAULT_REORDERED,
    BENCH_FAULT_CORRUPT,      /* not the bytes that were sent */
    BENCH_FAULT_WRONG_OPCODE, /* text for binary, or binary for text */
    BENCH_FAULT_STRAY,        /* of another run or for another connection, or more than was asked for */
    BENCH_FAULTS
} bench_fault;

enum { BENCH_EXTENSIONS_BYTES = 160 };

typedef enum bench_mode { BENCH_ECHO, BENCH_STORM, BENCH_FANOUT } bench_mode;

/* What happened in one interval. */
typedef struct bench_sample {
    double at_s;    /* its end, from the start of the measurement */
    double seconds; /* its length */
    uint64_t done;  /* messages answered, deliveries, or handshakes */
    uint64_t faults;
    uint64_t p50_ns, p90_ns, p99_ns, max_ns; /* of latency; 0 when nothing was done */
    double server_cpu_s;                     /* 0 when not asked for */
} bench_sample;

typedef struct bench_setup {
    const char *url;
    bench_mode mode;
    bool open_model;
    double rate; /* per second, all together; 0 in the closed model */
    uint32_t connections, threads, inflight, publishers, subscribers;
    uint32_t size_min, size_max;
    bool is_binary;
    const char *payload; /* "stamped", "text" or "file" */
    bool deflate_offered, deflate_agreed;
    char extensions[BENCH_EXTENSIONS_BYTES]; /* as the server named them; "": none */
    double warmup_s, asked_s;                /* 0: not limited */
    uint64_t asked_count;
} bench_setup;

typedef struct bench_client_use {
    double cpu_s;   /* of all measuring threads, within the measurement */
    double waited;  /* the share of its time that the thread that waited longest was ready to run while others ran */
    double busiest; /* the share of its time that the busiest thread spent on a processor */
} bench_client_use;

typedef struct bench_server_use {
    bool known;
    double cpu_s;                           /* within the measurement */
    uint64_t rss_before, rss_open, rss_end; /* before connecting, with all open, at the end; 0: unknown */
    uint64_t anon_before, anon_open, anon_end;
} bench_server_use;

enum { BENCH_NOTES = 8, BENCH_NOTE_BYTES = 320 };

typedef struct bench_notes {
    char text[BENCH_NOTES][BENCH_NOTE_BYTES];
    size_t count; /* may pass BENCH_NOTES: so many there would have been */
} bench_notes;

void bench_note(bench_notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef struct bench_report {
    bench_setup setup;
    char started[40]; /* "2026-01-31T12:00:00Z" */
    double seconds;   /* measured */
    bool interrupted;
    uint64_t sent, done, expected; /* within the measurement; `expected` is what should have come of what was sent */
    uint64_t opened;               /* connections, all in all */
    uint64_t delayed;              /* sends that had to wait for the server to read */
    uint64_t payload_out, payload_in;
    uint64_t wire_out, wire_in;       /* with WebSocket framing, without TCP's; within the measurement */
    uint64_t faults[BENCH_FAULTS];    /* all in all, warm-up included */
    bench_hist latency, lag, connect; /* `lag`: sent later than intended */
    bench_hist last, spread;          /* fan-out: the last receiver's delivery; between the first and the last */
    uint64_t complete;                /* fan-out: messages that reached all */
    bench_sample *samples;
    size_t sample_count;
    bench_client_use client;
    bench_server_use server;
    bench_notes examples; /* of what went wrong */
    bench_notes invalid;  /* why the run says nothing of the server, and what to do; none: valid */
    bench_notes failed;   /* rules that did not hold */
    int exit_code;
} bench_report;

typedef struct bench_fault_name {
    const char *key;  /* "wrong_opcode" */
    const char *text; /* "wrong opcode" */
} bench_fault_name;

extern const bench_fault_name bench_fault_names[BENCH_FAULTS];

uint64_t bench_report_missing(const bench_report *r); /* lost or unanswered */
uint64_t bench_report_faults(const bench_report *r);  /* all of them */
double bench_report_rate(const bench_report *r);      /* done per second */
double bench_report_cpu_us(const bench_report *r);    /* server CPU per `done`; 0 unless known */
double bench_report_rss_each(const bench_report *r);  /* server bytes per connection; 0 unless known */
const char *bench_report_unit(const bench_report *r); /* "messages", "deliveries", "handshakes" */

/* "open model: ...": what the latencies mean. */
const char *bench_report_model(const bench_report *r);

/* The machine: processor and how many, kernel. */
typedef struct bench_machine {
    char processor[96], kernel[80];
    unsigned processors;
} bench_machine;

bench_machine bench_machine_read(void);

void bench_write_text(const bench_report *r, FILE *out, bool color);
void bench_write_json(const bench_report *r, FILE *out);
void bench_write_csv(const bench_report *r, FILE *out);
void bench_write_hgrm(const bench_report *r, FILE *out);
void bench_write_html(const bench_report *r, FILE *out);

#endif
