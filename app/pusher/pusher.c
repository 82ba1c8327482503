/*
 * What nobody's message brings about: counts that had to wait and events that are kept too long, now and then; and
 * where there is a config file, a thread beside the workers that reads it again when told to. Without one there is
 * none: alone in its process, a thread makes each system call cheaper.
 */
#include "app/pusher/pusher.h"

#include "app/log.h"
#include "app/pusher/routes.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TICK_MS = 250, PUSH_PATH_MAX = 200 };

static struct {
    push_apps apps;
    bool has_apps;
    push_hooks *hooks;                 /* NULL: no file, no webhooks */
    const char *file;                  /* NULL: none */
    push_settings *made;               /* a reference to the app that was made up; NULL: the file has some */
    char paths[2][PUSH_PATH_MAX + 16]; /* of the routes behind a prefix */
    int orders[2];                     /* a pipe: a signal handler may write to it */
    void (*also)(void);                /* whatever else that thread does then */
    pthread_t thread;
    bool runs;
    atomic_bool stops, reloads;
} pusher;

static void tick(weft_server *server, void *apps) {
    (void)server;
    push_apps_tick(apps);
}

static bool add_routes(weft_server *server, const char *prefix) {
    if (weft_server_every(server, TICK_MS, tick, &pusher.apps) != WEFT_OK ||
        push_clients_add(server, &pusher.apps, "/app/*") != WEFT_OK ||
        push_clients_add(server, &pusher.apps, "/pusher/app/*") != WEFT_OK ||
        push_api_add(server, &pusher.apps, "/apps/*") != WEFT_OK)
        return false;
    if (!prefix)
        return true;
    snprintf(pusher.paths[0], sizeof pusher.paths[0], "%s/app/*", prefix);
    snprintf(pusher.paths[1], sizeof pusher.paths[1], "%s/apps/*", prefix);
    return push_clients_add(server, &pusher.apps, pusher.paths[0]) == WEFT_OK &&
           push_api_add(server, &pusher.apps, pusher.paths[1]) == WEFT_OK;
}

/* The file is opened now, as long as its folder may be written to. */
static bool add_hooks(const app_config *config) {
    push_dead dead = {.fd = -1};
    const char *why =
        config->webhook_dead ? push_dead_open(&dead, config->webhook_dead, config->webhook_dead_max) : NULL;
    if (why) {
        fprintf(stderr, "weft: --webhook-dead: cannot write to %s: %s\n", config->webhook_dead, why);
        return false;
    }
    pusher.hooks = push_hooks_new(dead);
    if (!pusher.hooks)
        fprintf(stderr, "weft: cannot start: out of memory\n");
    return pusher.hooks != NULL;
}

bool app_pusher_add(weft_server *server, const app_config *config, app_store *store) {
    char why[256];
    push_settings *list = NULL;
    json_object_seed(0); /* before there are threads */
    const char *path = config->pusher_path;
    if (path &&
        (path[0] != '/' || strlen(path) > PUSH_PATH_MAX || strchr(path, '*') || path[strlen(path) - 1] == '/')) {
        fprintf(stderr, "weft: --pusher-path begins with a slash, ends without one, and has at most %d bytes\n",
                PUSH_PATH_MAX);
        return false;
    }
    pusher.file = config->config_file;
    if (pusher.file && !push_settings_read(pusher.file, &list, why, sizeof why)) {
        fprintf(stderr, "weft: %s\n", why);
        return false;
    }
    if (!list) {
        list = push_settings_random();
        pusher.made = list ? push_settings_ref(list) : NULL;
    }
    if (pusher.file && !add_hooks(config)) {
        push_settings_unref_all(list);
        return false;
    }
    pusher.has_apps = list && push_apps_init(&pusher.apps, server, store);
    pusher.apps.hooks = pusher.hooks;
    pusher.apps.queue_bytes_max = config->queue_bytes_max;
    if (pusher.has_apps && push_apps_set(&pusher.apps, list) && add_routes(server, config->pusher_path))
        return true;
    fprintf(stderr, "weft: cannot start: out of memory\n");
    return false;
}

/* To be pasted: into a page, and into the environment of a server (Laravel's .env has these names). Everywhere is here. */
static void show(const push_settings *s, const char *address, bool tls) {
    const char *port = strrchr(address, ':') + 1, *key = s->keys[0].key;
    bool everywhere = strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;
    int len = everywhere ? 9 : (int)(port - address - 1);
    const char *host = everywhere ? "localhost" : address, *secure = tls ? "true" : "false";
    fprintf(stderr,
            "The chat page is there; open it twice. weft serve --help has more.\n\n"
            "An app for clients of Pusher Channels, until the next start. In a page:\n\n"
            "  new Pusher('%s', {\n      cluster: '', wsHost: '%.*s', wsPort: %s, wssPort: %s,\n"
            "      forceTLS: %s, enabledTransports: ['ws', 'wss'] })\n\n"
            "and for the server beside it (.env):\n\n"
            "  PUSHER_APP_ID=%s\n  PUSHER_APP_KEY=%s\n  PUSHER_APP_SECRET=%s\n"
            "  PUSHER_HOST=%.*s\n  PUSHER_PORT=%s\n  PUSHER_SCHEME=%s\n\n"
            "An app that stays: weft serve --print-config > weft.ini; weft serve --config weft.ini\n\n",
            key, len, host, port, port, secure, s->id, key, s->keys[0].secret, len, host, port, tls ? "https" : "http");
}

void app_pusher_announce(weft_server *server, const app_config *config) {
    const push_settings *s = pusher.made;
    const char *address = weft_server_address(server, 0);
    if (!s)
        return;
    if (isatty(STDERR_FILENO) && !config->log_json && config->verbosity >= 0 && address &&
        strncmp(address, "unix:", 5) != 0)
        show(s, address, weft_server_address_tls(server, 0));
    else
        app_log(APP_INFO, "an app for trying things out, until the next start", "id", s->id, "key", s->keys[0].key,
                "secret", s->keys[0].secret, NULL);
}

int app_print_apps(void) {
    printf("\n# Apps for clients of Pusher Channels: as many sections as there are apps. This one was made up now, and "
           "is\n"
           "# nobody else's. Another pair of key and secret behind it is valid too: so keys are changed.\n");
    return push_settings_print(stdout) && fflush(stdout) == 0 ? APP_EXIT_OK : APP_EXIT_FAILED;
}

static void reload(void) {
    push_settings *list = NULL;
    char why[256];
    if (!pusher.file)
        return;
    if (!push_settings_read(pusher.file, &list, why, sizeof why)) {
        app_log(APP_ERROR, "apps stay as they were", "error", why, NULL);
        return;
    }
    if (!list && pusher.made)
        list = push_settings_ref(pusher.made);
    if (!push_apps_reload(&pusher.apps, list)) {
        app_log(APP_ERROR, "not all apps could be loaded: out of memory", NULL);
    } else {
        app_log(APP_INFO, "apps loaded", "file", pusher.file, NULL);
    }
}

static void *run(void *unused) {
    (void)unused;
    for (;;) {
        struct pollfd order = {.fd = pusher.orders[0], .events = POLLIN};
        char bytes[64];
        if (poll(&order, 1, -1) > 0 && read(pusher.orders[0], bytes, sizeof bytes) < 0 && errno != EAGAIN)
            app_log(APP_ERROR, "orders cannot be read", "error", strerror(errno), NULL);
        if (atomic_load(&pusher.stops))
            return NULL;
        pusher.also();
        if (atomic_exchange(&pusher.reloads, false))
            reload();
    }
}

static void wake(void) {
    ssize_t unused = write(pusher.orders[1], "", 1); /* a full pipe wakes as well */
    (void)unused;
}

bool app_pusher_start(void (*also)(void)) {
    pusher.also = also;
    if (!pusher.file)
        return true;
    if (pipe2(pusher.orders, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&pusher.thread, NULL, run, NULL);
    pusher.runs = errno == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pusher.runs;
}

void app_pusher_reload(void) {
    if (!pusher.runs)
        return;
    atomic_store(&pusher.reloads, true);
    wake();
}

void app_pusher_drain(void) {
    push_apps_drain(&pusher.apps);
}

void app_pusher_stop(void) {
    if (pusher.has_apps)
        push_apps_stop(&pusher.apps);
    if (!pusher.runs)
        return;
    atomic_store(&pusher.stops, true);
    wake();
    pthread_join(pusher.thread, NULL);
    pusher.runs = false;
    close(pusher.orders[0]);
    close(pusher.orders[1]);
}

bool app_pusher_start_hooks(void) {
    return !pusher.hooks || push_hooks_start(pusher.hooks);
}

void app_pusher_figures(app_text *page) {
    push_apps_figures(&pusher.apps, page);
}

push_apps *app_pusher_apps(void) {
    return &pusher.apps;
}

void app_pusher_free(void) {
    push_hooks_stop(pusher.hooks);
    if (pusher.has_apps)
        push_apps_deinit(&pusher.apps);
    pusher.has_apps = false;
    push_hooks_free(pusher.hooks);
    pusher.hooks = NULL;
    push_settings_unref(pusher.made);
    pusher.made = NULL;
}
