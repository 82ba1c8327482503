/*
 * weft serve: its options, and from them the app's config.
 */
#include "cli/commands.h"

#include "app/app.h"
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

typedef struct serve_options {
    app_config app;
    cli_list listen, listen_plain, origins, certs, keys, ocsp;
    weft_certificate certificates[CLI_LIST_MAX + 1];
    int log, slow, deflate, backend;
    uint32_t ready_fd;
    bool h2c, no_http2, print_config;
} serve_options;

static const char *const log_choices[] = {"text", "json", NULL};
static const char *const deflate_choices[] = {"off", "no-takeover", "shared", "dedicated", NULL};
static const char *const backend_choices[] = {"auto", "epoll", "io_uring", NULL};
static const char *const slow_choices[] = {"close", "drop-newest", "drop-oldest", NULL};

#define AT(member) offsetof(serve_options, member)

static const cli_option options[] = {
    {"listen", 'l', CLI_LIST, AT(listen), "ADDR", "address to serve on, repeatable: HOST:PORT, [::1]:PORT, unix:PATH",
     .standard = "127.0.0.1:9001", .elsewhere = "port"},
    {"tls-cert", 0, CLI_LIST, AT(certs), "FILE", "certificate chain (PEM): --listen speaks TLS; repeatable",
     .standard = NULL},
    {"tls-key", 0, CLI_LIST, AT(keys), "FILE", "the key of each, in the same order", .standard = NULL},
    {"tls-ocsp", 0, CLI_LIST, AT(ocsp), "FILE", "a response (DER) to staple to each, in the same order; '' is none",
     .rare = true},
    {"tls-self-signed", 0, CLI_FLAG, AT(app.tls.self_signed), NULL, "TLS for trying things out: nobody vouches for it",
     .standard = NULL},
    {"tls-client-ca", 0, CLI_TEXT, AT(app.tls.client_ca_file), "FILE", "clients need a certificate of one of these",
     .rare = true},
    {"listen-plain", 0, CLI_LIST, AT(listen_plain), "ADDR", "an address without TLS beside those, repeatable",
     .rare = true},
    {"h2c", 0, CLI_FLAG, AT(h2c), NULL, "HTTP/2 without TLS too, for clients that know beforehand", .rare = true},
    {"no-http2", 0, CLI_FLAG, AT(no_http2), NULL, "HTTP/1.1 alone", .rare = true},
    {"reuse-port", 0, CLI_FLAG, AT(app.reuse_port), NULL, "share TCP ports with other servers of this user",
     .rare = true},
    {"threads", 't', CLI_NUMBER, AT(app.threads), "N", "worker threads; 0 is one per processor", .standard = "0",
     .max = 255},
    {"backend", 0, CLI_CHOICE, AT(backend), "NAME", "how the kernel is asked; auto is io_uring where it can be used",
     .standard = "auto", .choices = backend_choices, .rare = true},
    {"origin", 'o', CLI_LIST, AT(origins), "ORIGIN",
     "welcome pages of this origin too, repeatable; * is any, null a file's", .standard = NULL},
    {"token", 0, CLI_TEXT, AT(app.token), "TOKEN", "joining and publishing need it: ?token= or a bearer header",
     .standard = NULL},
    {"jwt-keys", 0, CLI_TEXT, AT(app.jwt_keys_file), "FILE",
     "JSON Web Tokens made with these say who may what: see below", .standard = NULL},
    {"jwt-issuer", 0, CLI_TEXT, AT(app.jwt_issuer), "TEXT", "they have to come from there (iss)", .standard = NULL},
    {"jwt-audience", 0, CLI_TEXT, AT(app.jwt_audience), "TEXT", "they have to be for this (aud)", .standard = NULL},
    {"jwt-endless", 0, CLI_FLAG, AT(app.jwt_endless), NULL, "they need not expire (exp)", .rare = true},
    {"message-max", 0, CLI_SIZE, AT(app.message_bytes_max), "SIZE", "longest message", .standard = "64k", .min = 1},
    {"queue-max", 0, CLI_SIZE, AT(app.queue_bytes_max), "SIZE", "unsent bytes a connection may have", .standard = "1M",
     .min = 1},
    {"slow", 0, CLI_CHOICE, AT(slow), "POLICY", "what a reader slower than its room gets", .standard = "close",
     .choices = slow_choices},
    {"history", 0, CLI_NUMBER, AT(app.history_messages), "N", "messages kept per room for ?last=N", .standard = "100",
     .max = 1000000},
    {"history-max", 0, CLI_SIZE, AT(app.history_bytes), "SIZE", "bytes kept per room", .standard = "1M", .min = 1,
     .rare = true},
    {"history-age", 0, CLI_DURATION, AT(app.history_age_ms), "TIME",
     "how long a message is kept; 0 is as long as there is room", .standard = "0", .min = 1000, .never = true,
     .rare = true},
    {"store", 0, CLI_TEXT, AT(app.store_file), "FILE", "keep rooms and channels in a file, over restarts",
     .standard = NULL},
    {"store-max", 0, CLI_SIZE, AT(app.store_bytes), "SIZE", "of the file; over, the room silent longest is forgotten",
     .rare = true, .standard = "1G", .min = 1 << 20},
    {"connections", 0, CLI_NUMBER, AT(app.connections_max), "N", "most connections; 0 is what descriptors allow",
     .standard = "0", .rare = true},
    {"ping-interval", 0, CLI_DURATION, AT(app.ping_interval_ms), "TIME", "silence after which we ping; 0 is never",
     .standard = "25s", .never = true, .min = 10},
    {"ping-timeout", 0, CLI_DURATION, AT(app.ping_timeout_ms), "TIME", "for the pong", .standard = "8s", .min = 10,
     .rare = true},
    {"handshake-timeout", 0, CLI_DURATION, AT(app.handshake_timeout_ms), "TIME", "from accept to a whole request",
     .standard = "10s", .min = 10, .rare = true},
    {"head-max", 0, CLI_SIZE, AT(app.head_bytes_max), "SIZE", "longest request head", .standard = "8k", .min = 64,
     .rare = true},
    {"message-timeout", 0, CLI_DURATION, AT(app.message_timeout_ms), "TIME", "for a begun message to go on",
     .standard = "30s", .min = 10, .rare = true},
    {"send-timeout", 0, CLI_DURATION, AT(app.send_timeout_ms), "TIME", "for our output to go on", .standard = "30s",
     .min = 10, .rare = true},
    {"close-timeout", 0, CLI_DURATION, AT(app.close_timeout_ms), "TIME", "for the whole closing handshake",
     .standard = "5s", .min = 10, .rare = true},
    {"pings", 0, CLI_NUMBER, AT(app.pings_per_second), "N", "a client's pings per second, burst 32", .standard = "10",
     .min = 1, .rare = true},
    {"deflate", 0, CLI_CHOICE, AT(deflate), "MODE", "compression of messages", .standard = "dedicated",
     .choices = deflate_choices},
    {"deflate-min", 0, CLI_SIZE, AT(app.deflate.message_bytes_min), "SIZE",
     "shorter messages are sent plain [32 if dedicated, else 128]", .min = 1, .rare = true},
    {"deflate-window", 0, CLI_NUMBER, AT(app.deflate.window_bits), "BITS", "dedicated: remember 2^BITS bytes",
     .standard = "12", .min = 8, .max = 15, .rare = true},
    {"deflate-in-window", 0, CLI_NUMBER, AT(app.deflate.client_window_bits), "BITS",
     "the same of what clients send, if they let us choose", .standard = "12", .min = 8, .max = 15, .rare = true},
    {"drain", 0, CLI_DURATION, AT(app.drain_ms), "TIME", "on SIGTERM, close connections spread over this",
     .standard = "8s"},
    {"webhook-dead", 0, CLI_TEXT, AT(app.webhook_dead), "FILE", "webhooks that cannot be delivered are appended to it",
     .standard = NULL},
    {"webhook-dead-max", 0, CLI_SIZE, AT(app.webhook_dead_max), "SIZE", "how long that file may get", .standard = "64M",
     .min = 1 << 20, .rare = true},
    {"user", 0, CLI_TEXT, AT(app.user), "NAME", "when started as root, become this user [nobody]", .standard = NULL},
    {"log", 0, CLI_CHOICE, AT(log), "FORM", "form of the log on stderr", .standard = "text", .choices = log_choices},
    {"ready-fd", 0, CLI_NUMBER, AT(ready_fd), "FD", "write the URL to this descriptor when ready", .max = 1 << 20,
     .rare = true},
    {"pusher-path", 0, CLI_TEXT, AT(app.pusher_path), "PATH", "clients of Pusher Channels come to PATH/app/KEY too",
     .standard = NULL, .rare = true},
    {"admin-secret", 0, CLI_TEXT, AT(app.admin_secret), "TEXT",
     "a console at /console for who knows it; ps shows it to all", .standard = NULL, .rare = true},
    {"admin-secret-file", 0, CLI_TEXT, AT(app.admin_secret_file), "FILE",
     "a console at /console for who knows its first line", .standard = NULL},
    {"config", 'c', CLI_TEXT, AT(app.config_file), "FILE", "read options and apps from an INI file; flags win",
     .no_file = true},
    {"check", 0, CLI_FLAG, AT(app.check), NULL, "only say whether config, apps, keys and certificates are good",
     .no_file = true},
    {"print-config", 0, CLI_FLAG, AT(print_config), NULL, "print a config file: all there is, and an app of your own",
     .no_file = true},
    {"verbose", 'v', CLI_COUNT, AT(app.verbosity), NULL, "log each connection and request", .standard = NULL},
    {"quiet", 'q', CLI_MINUS, AT(app.verbosity), NULL, "log errors only", .standard = NULL},
};

const cli_command cli_serve = {
    .name = "serve",
    .summary = "rooms, a chat page and Pusher Channels over WebSocket",
    .examples = "  weft serve                              a chat page on http://127.0.0.1:9001\n"
                "  weft serve --print-config > weft.ini    a file with all there is; then: weft serve -c weft.ini\n"
                "  weft serve --listen :8080 --token s3cret  for everyone who knows the token\n"
                "  weft serve --listen unix:/run/weft.sock   behind a proxy\n"
                "  weft serve --listen :443 --tls-cert chain.pem --tls-key key.pem   https and wss\n"
                "  curl -d hello http://127.0.0.1:9001/rooms/lobby   publish to a room\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .foreign = "app ",
    .notes =
        "Paths:\n"
        "  /               the chat page\n"
        "  /rooms/NAME     WebSocket: join; ?last=N replays, ?echo=1 sends your own back, ?recover=PLACE misses "
        "nothing.\n"
        "                  POST: publish. GET: server-sent events (Accept: text/event-stream), ?poll=PLACE, /history\n"
        "  /rooms          the rooms, as JSON (needs no token, but with --jwt-keys: lists what it lets join)\n"
        "  /echo           WebSocket: every message comes back\n"
        "  /app/KEY        WebSocket: clients of Pusher Channels; /apps/ID/...: its HTTP API\n"
        "  /console        what happens, live; /admin/...: the same as an API (--admin-secret-file)\n"
        "  /healthz        \"ok\"\n"
        "  /metrics        Prometheus text\n"
        "Tokens (--jwt-keys): HS256, RS256 or ES256. The file has a JWK Set, public keys or certificates (PEM), or a\n"
        "  secret of 32 bytes or more in one line. What a token says:\n"
        "    {\"sub\": \"ann\", \"exp\": 1893456000, \"rooms\": {\"join\": [\"lobby\", \"team-*\"], \"publish\": "
        "\"lobby\"}}\n"
        "  When it expires its connections end, a WebSocket with 4401; 4403 is for who says something and may not.\n"
        "  SIGHUP reads the file anew; those connected stay. With --token too, either opens.\n"
        "Compression (permessage-deflate), where a client offers it:\n"
        "  off           none\n"
        "  no-takeover   each message by itself, nothing is remembered of a connection\n"
        "  shared        ours by themselves, once for all in a room; a client may refer back to its own\n"
        "  dedicated     ours refer back too: small messages become smallest, for more of our time\n"
        "Sharing a port (--reuse-port, in each of the servers): newcomers are dealt out to them by the kernel,\n"
        "  and a room is only as wide as its server.\n"
        "TLS: by the name a client asks for (SNI) it gets the certificate that has it, else the first. SIGHUP and a\n"
        "  changed file load them anew, OCSP responses too; those connected stay, and a broken file changes nothing.\n"
        "  A response is stapled until its next one is due; fetching it is for openssl ocsp and a timer.\n"
        "Config file (--print-config prints one): the same names, one \"name = value\" a line, bare or under [serve];\n"
        "  a repeatable one stands several times. Lines have up to 198 bytes. [app NAME] sections are apps for\n"
        "  clients of Pusher Channels (id, key, secret, ...), read again on SIGHUP; without one an app is made up.\n"
        "Signals: SIGTERM drains (close 1001, spread over --drain), SIGINT drains within 1 s,\n"
        "  a second one stops at once. SIGHUP reads apps and certificates again.\n"
        "systemd (Type=notify) is told when we are ready, and when we drain.\n"
        "Exit: 0 drained or stopped, 1 could not run, 2 usage or config, 7 cannot listen.\n",
};

/* What each option alone cannot see, or what would be accepted and never work. */
static const char *bad_option(const serve_options *o) {
    if (o->app.token && o->app.token[0] == '\0')
        return "--token is empty: leave it out, or give one";
    for (size_t i = 0; i < o->origins.count; i++) {
        const char *origin = o->origins.items[i], *host = strstr(origin, "://");
        if (strcmp(origin, "*") != 0 && strcmp(origin, "null") != 0 && (!host || host == origin || host[3] == '\0'))
            return "--origin takes scheme://host[:port], null or *";
    }
    if (o->app.webhook_dead && !o->app.config_file)
        return "--webhook-dead goes with --config: webhooks are told to the URLs that its apps name";
    if (o->app.store_file && o->app.history_messages == 0)
        return "--store keeps nothing without --history";
    if (o->app.admin_secret && o->app.admin_secret_file)
        return "--admin-secret and --admin-secret-file exclude each other";
    if (!o->app.jwt_keys_file && (o->app.jwt_issuer || o->app.jwt_audience || o->app.jwt_endless))
        return "--jwt-issuer, --jwt-audience and --jwt-endless go with --jwt-keys";
    bool certs = o->certs.count > 0;
    if (o->certs.count != o->keys.count)
        return "each --tls-cert needs its --tls-key";
    if (o->ocsp.count > o->certs.count)
        return "each --tls-ocsp is for a --tls-cert";
    if (certs && o->app.tls.self_signed)
        return "--tls-self-signed is in place of --tls-cert";
    if (o->h2c && o->no_http2)
        return "--h2c and --no-http2 exclude each other";
    if (!certs && !o->app.tls.self_signed && (o->app.tls.client_ca_file || o->listen_plain.count > 0))
        return "--tls-client-ca and --listen-plain go with TLS: there is no --tls-cert";
    return NULL;
}

static void take_certificates(serve_options *o) {
    for (size_t i = 0; i < o->certs.count; i++) {
        const char *ocsp = i < o->ocsp.count && o->ocsp.items[i][0] ? o->ocsp.items[i] : NULL;
        o->certificates[i] = (weft_certificate) {o->certs.items[i], o->keys.items[i], ocsp};
    }
    o->app.tls.struct_size = sizeof o->app.tls;
    o->app.tls.certificates = o->certs.count > 0 ? o->certificates : NULL;
}

int cli_run_serve(int argc, char **argv) {
    static const weft_deflate_mode modes[] = {WEFT_DEFLATE_OFF, WEFT_DEFLATE_NO_TAKEOVER, WEFT_DEFLATE_SHARED,
                                              WEFT_DEFLATE_DEDICATED};
    static const weft_slow_policy policies[] = {WEFT_SLOW_CLOSE, WEFT_SLOW_DROP_NEWEST, WEFT_SLOW_DROP_OLDEST};
    serve_options o = {.ready_fd = UINT32_MAX};
    int got = cli_parse(&cli_serve, argc, argv, &o);
    if (got != 0)
        return got > 0 ? APP_EXIT_OK : APP_EXIT_USAGE;
    if (o.print_config) {
        cli_print_config(&cli_serve);
        return app_print_apps();
    }
    const char *problem = bad_option(&o);
    if (problem) {
        fprintf(stderr, "weft: %s (weft serve --help)\n", problem);
        return APP_EXIT_USAGE;
    }
    take_certificates(&o);
    if (o.app.check) { /* which are files of the server that may be running */
        o.app.webhook_dead = NULL;
        o.app.store_file = NULL;
    }
    o.app.listen = o.listen.items;
    o.app.listen_plain = o.listen_plain.items;
    o.app.origins = o.origins.items;
    o.app.log_json = o.log == 1;
    o.app.slow_policy = policies[o.slow];
    o.app.deflate.mode = modes[o.deflate];
    o.app.backend = (weft_backend)o.backend;
    o.app.http2 = o.h2c ? WEFT_HTTP2_CLEAR : o.no_http2 ? WEFT_HTTP2_OFF : WEFT_HTTP2_DEFAULT;
    o.app.history_age_ms = o.app.history_age_ms == WEFT_NONE ? 0 : o.app.history_age_ms;
    o.app.ready_fd = o.ready_fd == UINT32_MAX ? -1 : (int)o.ready_fd;
    return app_serve(&o.app);
}
