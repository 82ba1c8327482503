/*
 * Setting up and taking down. Everything is made in weft_server_new and before run, on one thread; run starts
 * the other workers and becomes the first of them itself.
 */
#include "server/server_impl.h"

#include "base/mem.h"
#include "ws/close.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { RELIEF_BYTES_MAX = 512 * 1024 };

weft_server *weft_server_new(const weft_config *config) {
    weft_config resolved;
    if (wf_server_resolve(&resolved, config) < 0) {
        errno = EINVAL;
        return NULL;
    }
    weft_server *server = wf_mem_zalloc(sizeof *server);
    if (!server)
        return NULL;
    server->config = resolved;
    wf_server_http(&resolved, &server->http);
    server->worker_count = resolved.workers;
    server->relief_bytes = RELIEF_BYTES_MAX;
    server->deflate_bytes_min = UINT32_MAX;
    server->workers = wf_mem_zalloc(server->worker_count * sizeof *server->workers);
    for (unsigned i = 0; server->workers && i < server->worker_count; i++) {
        if (wf_worker_init(&server->workers[i], server, i) < 0) {
            int saved = errno;
            weft_server_free(server);
            errno = saved;
            return NULL;
        }
    }
    if (!server->workers) {
        weft_server_free(server);
        return NULL;
    }
    return server;
}

const char *weft_server_backend(const weft_server *server) {
    return wf_loop_backend_name(server->workers[0].loop);
}

/* Removed when listening stops, not later: by then the path may be another server's. */
static void remove_socket_file(wf_listener *l) {
    const struct sockaddr_un *un = (const struct sockaddr_un *)&l->address.storage;
    if (!l->file_removed && l->address.storage.ss_family == AF_UNIX && un->sun_path[0] != '\0')
        unlink(un->sun_path);
    l->file_removed = true;
}

void wf_server_remove_socket_files(weft_server *server) {
    for (size_t i = 0; i < server->listener_count; i++)
        remove_socket_file(&server->listeners[i]);
}

void weft_server_free(weft_server *server) {
    if (!server)
        return;
    for (size_t i = 0; i < server->listener_count; i++) {
        for (unsigned w = 0; w < server->worker_count; w++)
            if (server->listeners[i].fds[w] >= 0)
                close(server->listeners[i].fds[w]);
        remove_socket_file(&server->listeners[i]);
        wf_mem_free(server->listeners[i].fds);
    }
    for (unsigned i = 0; server->workers && i < server->worker_count; i++)
        wf_worker_deinit(&server->workers[i]);
    wf_tls_context_free(server->tls);
    wf_mem_free(server->listeners);
    wf_mem_free(server->routes);
    wf_mem_free(server->rules);
    for (wf_chore *chore = server->chores, *next; chore; chore = next) {
        next = chore->next;
        wf_mem_free(chore);
    }
    wf_mem_free(server->workers);
    wf_mem_free(server);
}

/* One more element at the end of an array that is full at every power of two. */
static void *grown(void *array, size_t count, size_t element_bytes) {
    if (count & (count - 1))
        return array;
    return wf_mem_resize(array, (count ? count * 2 : 1) * element_bytes);
}

int weft_server_route(weft_server *server, const weft_route *given) {
    if (server->running || given->struct_size != sizeof *given || !given->path || given->path[0] != '/')
        return WEFT_EINVAL;
    wf_route *routes = grown(server->routes, server->route_count, sizeof *routes);
    if (!routes)
        return WEFT_ENOMEM;
    server->routes = routes;
    wf_route *r = &routes[server->route_count];
    *r = (wf_route) {.is = *given, .path_len = strlen(given->path)};
    if (wf_route_limits(given, &server->config, &r->limits, &r->topics_max) < 0)
        return WEFT_EINVAL;
    server->route_count++;
    r->prefix = given->path[r->path_len - 1] == '*';
    r->path_len -= r->prefix;
    r->websocket = given->upgrade || given->open || given->message || given->closed || !given->request;
    const wf_pmd_config *pmd = &r->limits.pmd;
    if (pmd->on && pmd->bytes_min < server->deflate_bytes_min)
        server->deflate_bytes_min = pmd->bytes_min;
    if (r->limits.queue_bytes_max / 2 < server->relief_bytes)
        server->relief_bytes = r->limits.queue_bytes_max / 2;
    return WEFT_OK;
}

int weft_server_history(weft_server *server, const char *prefix, uint32_t messages_max, uint32_t bytes_max) {
    if (server->running || !prefix)
        return WEFT_EINVAL;
    wf_history_rule *rules = grown(server->rules, server->rule_count, sizeof *rules);
    if (!rules)
        return WEFT_ENOMEM;
    server->rules = rules;
    rules[server->rule_count++] = (wf_history_rule) {prefix, messages_max, bytes_max};
    for (unsigned i = 0; i < server->worker_count; i++)
        wf_hub_set_rules(&server->workers[i].hub, server->rules, server->rule_count);
    return WEFT_OK;
}

int weft_server_every(weft_server *server, uint32_t interval_ms, void (*call)(weft_server *server, void *user),
                      void *user) {
    if (server->running || interval_ms == 0 || !call)
        return WEFT_EINVAL;
    wf_chore *chore = wf_mem_alloc(sizeof *chore);
    if (!chore)
        return WEFT_ENOMEM;
    *chore = (wf_chore) {.next = server->chores, .interval_ms = interval_ms, .call = call, .user = user};
    server->chores = chore;
    return WEFT_OK;
}

static int listen_failed(weft_server *server, const char *address, const char *why, int status) {
    snprintf(server->error, sizeof server->error, "cannot listen on %s: %s", address, why);
    return status;
}

static int listen_on(weft_server *server, const char *address, bool secure) {
    const char *why;
    wf_address parsed;
    if (server->running)
        return listen_failed(server, address, "the server runs already", WEFT_EINVAL);
    if (wf_address_parse(address, &parsed, &why) < 0)
        return listen_failed(server, address, why, WEFT_EINVAL);
    wf_listener *listeners = grown(server->listeners, server->listener_count, sizeof *listeners);
    int *fds = listeners ? wf_mem_alloc(server->worker_count * sizeof *fds) : NULL;
    if (listeners)
        server->listeners = listeners;
    if (!fds)
        return listen_failed(server, address, "out of memory", WEFT_ENOMEM);
    wf_listener *l = &listeners[server->listener_count];
    *l = (wf_listener) {.address = parsed, .secure = secure, .fds = fds};
    bool is_unix = parsed.storage.ss_family == AF_UNIX;
    int backlog = (int)(server->config.backlog > 65535 ? 65535 : server->config.backlog);
    for (unsigned i = 0; i < server->worker_count; i++) {
        bool alone = i == 0 && !server->config.reuse_port;
        fds[i] = is_unix && i > 0 ? fcntl(fds[0], F_DUPFD_CLOEXEC, 0) : wf_listen_open(&l->address, alone, backlog);
        if (fds[i] < 0) {
            int saved = errno;
            if (i > 0)
                remove_socket_file(l);
            while (i-- > 0)
                close(fds[i]);
            wf_mem_free(fds);
            listen_failed(server, address, strerror(saved), WEFT_ESYS);
            errno = saved;
            return WEFT_ESYS;
        }
    }
    wf_address_format(&l->address, l->text, sizeof l->text);
    server->listener_count++;
    return WEFT_OK;
}

int weft_server_listen(weft_server *server, const char *address) {
    return listen_on(server, address, false);
}

int weft_server_listen_tls(weft_server *server, const char *address) {
    if (!server->tls)
        return listen_failed(server, address, "there is no certificate: weft_server_tls comes first", WEFT_EINVAL);
    return listen_on(server, address, true);
}

const char *weft_server_error(const weft_server *server) {
    return server->error;
}

const char *weft_server_address(const weft_server *server, size_t index) {
    return index < server->listener_count ? server->listeners[index].text : NULL;
}

bool weft_server_address_tls(const weft_server *server, size_t index) {
    return index < server->listener_count && server->listeners[index].secure;
}

/* The descriptors of the listeners go to the workers' loops. */
static int hand_out_listeners(weft_server *server) {
    for (unsigned i = 0; i < server->worker_count; i++) {
        wf_worker *w = &server->workers[i];
        if (server->listener_count == 0)
            continue;
        w->listeners = wf_mem_zalloc(server->listener_count * sizeof *w->listeners);
        if (!w->listeners)
            return WEFT_ENOMEM;
        for (size_t l = 0; l < server->listener_count; l++)
            w->listeners[l] = (wf_sock)WF_SOCK_INIT;
        for (size_t l = 0; l < server->listener_count; l++) {
            if (wf_listen_adopt(w->loop, &w->listeners[l], server->listeners[l].fds[i]) < 0)
                return WEFT_ESYS;
            server->listeners[l].fds[i] = -1;
        }
    }
    return WEFT_OK;
}

int weft_server_run(weft_server *server) {
    if (server->running || server->listener_count == 0)
        return WEFT_EINVAL;
    server->running = true;
    int got = hand_out_listeners(server);
    if (got < 0)
        return got;
    unsigned started = 1;
    sigset_t all, before; /* signals stay with the calling thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < server->worker_count &&
           pthread_create(&server->workers[started].thread, NULL, wf_worker_run, &server->workers[started]) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started < server->worker_count) {
        weft_server_stop(server);
        got = WEFT_ESYS;
    }
    wf_worker_run(&server->workers[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(server->workers[i].thread, NULL);
    atomic_store(&server->stop, true); /* nothing is published any more */
    return got;
}

static void wake_all(weft_server *server) {
    for (unsigned i = 0; i < server->worker_count; i++)
        wf_loop_wake(server->workers[i].loop);
}

void weft_server_drain(weft_server *server, int code, uint32_t spread_ms) {
    atomic_store(&server->drain_spread_ms, spread_ms);
    if (!wf_close_code_ok(code))
        code = WEFT_CLOSE_GOING_AWAY;
    atomic_store(&server->drain, (unsigned)code << 1 | 1);
    wake_all(server);
}

void weft_server_stop(weft_server *server) {
    atomic_store(&server->stop, true);
    wake_all(server);
}
