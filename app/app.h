/*
 * app.h - the realtime server that `weft serve` runs: pages, rooms, echo, health and metrics, on the public
 * library alone.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include <weft/weft.h>

typedef struct app_config {
    const char *const *listen;       /* NULL-terminated; with TLS, when there is some */
    const char *const *listen_plain; /* NULL-terminated; without it, all the same */
    weft_tls_server tls;             /* zero: none */
    const char *const *origins;      /* NULL-terminated */
    const char *token;               /* opens all rooms; NULL: there is none */
    const char *jwt_keys_file;       /* of tokens that open some (room_auth.h); NULL: none. Read again on SIGHUP */
    const char *jwt_issuer;          /* that these have to name; NULL: any */
    const char *jwt_audience;        /* NULL: they may name none */
    bool jwt_endless;                /* they need not expire */
    const char *admin_secret;        /* who knows it may use the console; NULL: the file's, or there is no console */
    const char *admin_secret_file;   /* its first line; NULL: none */
    const char *config_file;         /* whose [app NAME] sections are apps; NULL: none. Read again on SIGHUP */
    const char *pusher_path;         /* clients of Pusher Channels come to PATH/app/KEY too; NULL: none */
    const char *webhook_dead;        /* the file for webhooks that could not be delivered; NULL: none */
    uint32_t webhook_dead_max;       /* how long it may get */
    const char *user;                /* to become after binding when root; NULL: "nobody" */
    uint32_t threads;                /* 0: one per processor */
    uint32_t message_bytes_max, queue_bytes_max;
    uint32_t ping_interval_ms, ping_timeout_ms, handshake_timeout_ms;
    uint32_t message_timeout_ms, send_timeout_ms, close_timeout_ms;
    uint32_t pings_per_second, head_bytes_max;
    uint32_t connections_max; /* 0: what the descriptors allow */
    uint32_t drain_ms;
    uint32_t history_messages, history_bytes; /* per room */
    uint32_t history_age_ms;                  /* of a message; 0: none is too old */
    const char *store_file;                   /* keeps them beyond the process; NULL: none */
    uint32_t store_bytes;                     /* that it may have */
    weft_slow_policy slow_policy;
    weft_deflate deflate;
    weft_backend backend;
    weft_http2 http2;
    bool reuse_port;
    bool check;    /* do all but listen, say that it is good, and leave */
    int ready_fd;  /* -1: none */
    int verbosity; /* -1 quiet, 0, 1 a line per connection and request */
    bool log_json;
} app_config;

enum { APP_EXIT_OK = 0, APP_EXIT_FAILED = 1, APP_EXIT_USAGE = 2, APP_EXIT_LISTEN = 7 };

/* Serves until SIGTERM or SIGINT has drained it. Returns the exit code; what went wrong is on stderr, in one
 * line. */
int app_serve(const app_config *config);

/* Prints the section of a config file for an app that is made up, with all that it may say. Returns the exit code. */
int app_print_apps(void);

#endif
