/*
 * Files are looked at, not listened to: looking sees a rename, a symbolic link that points elsewhere and a file on a
 * network alike. A change is acted on when it has stood for one look, for a certificate and its key are not written
 * at once.
 */
#include "app/certs.h"

#include "app/log.h"
#include "app/room_auth.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 1000 };

static struct {
    weft_server *server;
    const app_config *config;
    int orders[2]; /* a pipe: a signal handler may write to it */
    pthread_t thread;
    bool runs;
    atomic_bool stops; /* the pipe may be full of other orders */
} watch;

static uint64_t mix(uint64_t sum, uint64_t value) {
    return (sum ^ value) * 0x9E3779B97F4A7C15u;
}

static uint64_t mix_file(uint64_t sum, const char *file) {
    struct stat is;
    if (!file || stat(file, &is) < 0)
        return mix(sum, 0);
    sum = mix(mix(sum, (uint64_t)is.st_ino), (uint64_t)is.st_size);
    return mix(mix(sum, (uint64_t)is.st_mtim.tv_sec), (uint64_t)is.st_mtim.tv_nsec);
}

/* A number that changes when a file does. */
static uint64_t look(void) {
    const weft_tls_server *tls = &watch.config->tls;
    uint64_t sum = mix_file(1, tls->client_ca_file);
    for (const weft_certificate *c = tls->certificates; c && c->chain_file; c++)
        sum = mix_file(mix_file(mix_file(sum, c->chain_file), c->key_file), c->ocsp_file);
    return sum;
}

static void reload(const char *cause) {
    char why[256];
    if (weft_server_tls_reload(watch.server, why, sizeof why) == WEFT_OK)
        app_log(APP_INFO, "certificates loaded", "cause", cause, NULL);
    else
        app_log(APP_ERROR, "certificates stay as they were", "cause", cause, "error", why, NULL);
}

static void *run(void *unused) {
    (void)unused;
    uint64_t loaded = look(), last = loaded;
    for (;;) {
        struct pollfd order = {.fd = watch.orders[0], .events = POLLIN};
        char byte;
        bool ordered = poll(&order, 1, LOOK_MS) > 0 && read(watch.orders[0], &byte, 1) == 1;
        if (atomic_load(&watch.stops))
            return NULL;
        uint64_t now = look();
        if (ordered)
            room_auth_reload_asked();
        if (ordered || (now == last && now != loaded)) {
            loaded = now;
            reload(ordered ? "SIGHUP" : "a file has changed");
        }
        last = now;
    }
}

static void wake(void) {
    ssize_t unused = write(watch.orders[1], "", 1); /* a full pipe wakes as well */
    (void)unused;
}

bool app_certs_watch(weft_server *server, const app_config *config) {
    watch.server = server;
    watch.config = config;
    if (pipe2(watch.orders, O_CLOEXEC | O_NONBLOCK) < 0)
        return false;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errno = pthread_create(&watch.thread, NULL, run, NULL);
    watch.runs = errno == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return watch.runs;
}

void app_certs_stop(void) {
    if (!watch.runs)
        return;
    atomic_store(&watch.stops, true);
    wake();
    pthread_join(watch.thread, NULL);
    watch.runs = false;
    close(watch.orders[0]);
    close(watch.orders[1]);
}

void app_certs_reload(void) {
    if (watch.runs)
        wake();
}
