/*
 * The run of a server: make it, bind, give up privileges, say that it is ready, serve, drain.
 */
#include "app/admin/admin.h"
#include "app/certs.h"
#include "app/log.h"
#include "app/notify.h"
#include "app/privileges.h"
#include "app/pusher/pusher.h"
#include "app/room_auth.h"
#include "app/routes.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A body may be a batch of events, each as long as it may be, and escaped. */
enum { INTERRUPT_DRAIN_MS = 1000, BODY_BYTES_MIN = 1 << 20 };

/* For the signal handler, which may only do what is signal-safe: weft_server_drain and weft_server_stop are. */
static weft_server *running;
static uint32_t drain_ms;
static volatile sig_atomic_t signals_seen;

static void on_signal(int number) {
    int saved = errno;
    app_notify("STOPPING=1");
    app_rooms_drain();
    app_pusher_drain();
    if (signals_seen++ > 0)
        weft_server_stop(running);
    else
        weft_server_drain(running, WEFT_CLOSE_GOING_AWAY,
                          number == SIGINT && drain_ms > INTERRUPT_DRAIN_MS ? INTERRUPT_DRAIN_MS : drain_ms);
    errno = saved;
}

static void on_hangup(int number) {
    (void)number;
    int saved = errno;
    room_auth_reload(); /* first: the others wake the threads that do it */
    app_certs_reload();
    app_pusher_reload();
    errno = saved;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGINT);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file of a limited size is like a full disk: said, and lived with */
}

static int complain(const char *what) {
    fprintf(stderr, "weft: %s\n", what);
    return APP_EXIT_FAILED;
}

static void url_of(const char *address, bool tls, char *out, size_t cap) {
    const char *scheme = strncmp(address, "unix:", 5) == 0 ? "" : tls ? "https://" : "http://";
    snprintf(out, cap, "%s%s", scheme, address);
}

static void announce(weft_server *server, const app_config *config) {
    char url[160];
    const char *address;
    if (config->tls.self_signed) {
        char fingerprint[96];
        weft_server_fingerprint(server, fingerprint, sizeof fingerprint);
        app_log(APP_INFO, "the certificate is signed by itself", "sha256", fingerprint, NULL);
    }
    for (size_t i = 0; (address = weft_server_address(server, i)); i++) {
        url_of(address, weft_server_address_tls(server, i), url, sizeof url);
        if (config->log_json)
            app_log(APP_INFO, "listening", "url", url, NULL);
        else if (config->verbosity >= 0)
            fprintf(stderr, "listening on %s\n", url);
        if (config->ready_fd >= 0 && i == 0)
            dprintf(config->ready_fd, "%s\n", url);
    }
    app_pusher_announce(server, config);
    app_notify("READY=1");
    if (config->ready_fd > STDERR_FILENO)
        close(config->ready_fd);
}

/* By far the most frequent reason is a page whose origin nobody has named. */
static void on_refused(const weft_request *request, int status, const char *why, void *user) {
    (void)user;
    char origin[256];
    weft_text from = weft_request_header(request, "Origin");
    snprintf(origin, sizeof origin, "%.*s", (int)(from.data ? from.len : 0), from.data ? from.data : "");
    app_log_request(request, status);
    app_log(APP_DEBUG, "refused", "peer", weft_request_peer(request), "why", why, "origin", origin, NULL);
}

static weft_server *make_server(const app_config *config, app_store *store) {
    weft_config server_config = {
        WEFT_CONFIG_INIT,
        .workers = config->threads ? config->threads : WEFT_NONE,
        .connections_max = config->connections_max,
        .handshake_timeout_ms = config->handshake_timeout_ms,
        .head_bytes_max = config->head_bytes_max,
        .body_bytes_max = config->message_bytes_max > BODY_BYTES_MIN ? config->message_bytes_max : BODY_BYTES_MIN,
        .origins = config->origins,
        .deflate = config->deflate,
        .backend = config->backend,
        .http2 = config->http2,
        .reuse_port = config->reuse_port,
        .refused = on_refused,
        .limits = {.message_bytes_max = config->message_bytes_max,
                   .queue_bytes_max = config->queue_bytes_max,
                   .slow_policy = config->slow_policy,
                   .ping_interval_ms = config->ping_interval_ms,
                   .ping_timeout_ms = config->ping_timeout_ms,
                   .message_timeout_ms = config->message_timeout_ms,
                   .send_timeout_ms = config->send_timeout_ms,
                   .close_timeout_ms = config->close_timeout_ms,
                   .pings_per_second = config->pings_per_second},
    };
    weft_server *server = weft_server_new(&server_config);
    if (server && app_rooms_add(server, config, store) == WEFT_OK && app_pages_add(server, config) == WEFT_OK &&
        app_metrics_add(server, store) == WEFT_OK)
        return server;
    weft_server_free(server);
    app_rooms_free();
    return NULL;
}

static void on_tls_failed(const char *peer, const char *why, void *user) {
    (void)user;
    app_log(APP_DEBUG, "no tls", "peer", peer, "why", why, NULL);
}

static bool has_tls(const app_config *config) {
    return config->tls.self_signed || config->tls.certificates;
}

static int listen_on_all(weft_server *server, const char *const *addresses, bool tls) {
    for (size_t i = 0; addresses[i]; i++) {
        int got = tls ? weft_server_listen_tls(server, addresses[i]) : weft_server_listen(server, addresses[i]);
        if (got < 0) {
            bool privileged = got == WEFT_ESYS && errno == EACCES && strncmp(addresses[i], "unix:", 5) != 0;
            fprintf(stderr, "weft: %s%s\n", weft_server_error(server),
                    privileged ? " (ports below 1024 are for root and CAP_NET_BIND_SERVICE)" : "");
            return got == WEFT_EINVAL ? APP_EXIT_USAGE : APP_EXIT_LISTEN;
        }
    }
    return APP_EXIT_OK;
}

static int serve(weft_server *server, const app_config *config, app_store *store) {
    if (config->ready_fd >= 0 && fcntl(config->ready_fd, F_GETFD) < 0) {
        complain("--ready-fd is not an open descriptor");
        return APP_EXIT_USAGE;
    }
    weft_tls_server tls = config->tls;
    tls.failed = on_tls_failed;
    if (has_tls(config) && weft_server_tls(server, &tls) < 0) {
        complain(weft_server_error(server));
        return APP_EXIT_USAGE;
    }
    if (config->check) {
        puts("good");
        return fflush(stdout) == 0 ? APP_EXIT_OK : APP_EXIT_FAILED;
    }
    int listens = listen_on_all(server, config->listen, has_tls(config));
    if (listens == APP_EXIT_OK)
        listens = listen_on_all(server, config->listen_plain, false);
    if (listens != APP_EXIT_OK)
        return listens;
    bool has_reader = has_tls(config) || config->config_file;
    if (!app_drop_privileges(config, has_reader))
        return APP_EXIT_USAGE;
    if (has_reader)
        room_auth_reload_by_thread();
    else if (config->jwt_keys_file && access(config->jwt_keys_file, R_OK) < 0)
        app_log(APP_ERROR, "SIGHUP will not load the keys for tokens again", "file", config->jwt_keys_file, "error",
                strerror(errno), NULL);
    running = server;
    drain_ms = config->drain_ms;
    catch_signals();
    if (has_tls(config) && !app_certs_watch(server, config))
        return complain("cannot start a thread to watch the certificates");
    if (!app_pusher_start(room_auth_reload_asked)) {
        app_certs_stop();
        return complain("cannot start a thread for the apps");
    }
    if (store && !app_store_start(store)) {
        app_certs_stop();
        return complain("cannot start a thread for the store");
    }
    app_read_no_more();
    if (!app_pusher_start_hooks()) {
        app_certs_stop();
        return complain("cannot start a thread for the webhooks");
    }
    if (has_reader || config->jwt_keys_file)
        signal(SIGHUP, on_hangup);
    announce(server, config);
    int got = weft_server_run(server);
    signal(SIGHUP, SIG_IGN);
    app_certs_stop();
    signal(SIGTERM, SIG_IGN); /* the handler speaks to a server that is about to go */
    signal(SIGINT, SIG_IGN);
    if (got < 0)
        return complain(weft_status_text(got));
    weft_stats stats;
    char handshakes[32];
    weft_server_stats(server, &stats);
    snprintf(handshakes, sizeof handshakes, "%llu", (unsigned long long)stats.handshakes);
    app_log(APP_INFO, "drained", "websockets_served", handshakes, NULL);
    return APP_EXIT_OK;
}

static int serve_with(app_store *store, const app_config *config) {
    weft_server *server = make_server(config, store);
    if (!server) {
        char text[160];
        snprintf(text, sizeof text, "cannot start: %s%s", strerror(errno),
                 config->backend == WEFT_BACKEND_IO_URING ? " (is there io_uring here? see --backend)" : "");
        return complain(text);
    }
    app_log(APP_DEBUG, "loop", "backend", weft_server_backend(server), NULL);
    int code = app_pusher_add(server, config, store) && app_admin_add(server, config) ? serve(server, config, store)
                                                                                      : APP_EXIT_USAGE;
    app_store_stop(store); /* what it is asked to write is written, and answered */
    app_pusher_stop();
    app_rooms_stop();
    weft_server_free(server);
    app_pusher_free();
    app_rooms_free();
    return code;
}

int app_serve(const app_config *config) {
    char why[512];
    app_store *store = NULL;
    app_log_setup(config->log_json, config->verbosity);
    if (!room_auth_open(config, why, sizeof why)) {
        complain(why);
        return APP_EXIT_USAGE;
    }
    if (config->store_file) {
        app_store_config wanted = {config->store_file, config->store_bytes, config->history_age_ms};
        store = app_store_open(&wanted, why, sizeof why);
        if (!store) {
            room_auth_free();
            return complain(why);
        }
    }
    int code = serve_with(store, config);
    app_store_free(store);
    room_auth_free();
    return code;
}
