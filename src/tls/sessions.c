/*
 * One list, newest first: with as many sessions as a client keeps, walking along it is nothing beside a handshake.
 */
#include "tls/sessions.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

typedef struct entry {
    struct entry *next;
    SSL_SESSION *session;
    uint64_t verified_ms;
    char origin[];
} entry;

struct wf_tls_sessions {
    pthread_mutex_t lock;
    size_t count, count_max;
    entry *first;
};

wf_tls_sessions *wf_tls_sessions_new(size_t count_max) {
    wf_tls_sessions *s = wf_mem_zalloc(sizeof *s);
    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->count_max = count_max;
    return s;
}

static entry *unlink_at(wf_tls_sessions *s, entry **at) {
    entry *e = *at;
    *at = e->next;
    s->count--;
    return e;
}

static void push(wf_tls_sessions *s, entry *e) {
    e->next = s->first;
    s->first = e;
    s->count++;
}

static void entry_free(entry *e) {
    SSL_SESSION_free(e->session);
    wf_mem_free(e);
}

void wf_tls_sessions_free(wf_tls_sessions *s) {
    if (!s)
        return;
    while (s->first)
        entry_free(unlink_at(s, &s->first));
    pthread_mutex_destroy(&s->lock);
    wf_mem_free(s);
}

static bool is_used_once(const entry *e) {
    return SSL_SESSION_get_protocol_version(e->session) >= TLS1_3_VERSION;
}

static entry **find(wf_tls_sessions *s, const char *origin) {
    entry **at = &s->first;
    while (*at && strcmp((*at)->origin, origin) != 0)
        at = &(*at)->next;
    return at;
}

static bool is_good(const entry *e, uint64_t now_ms) {
    const SSL_SESSION *session = e->session;
    X509 *peer = SSL_SESSION_get0_peer(e->session);
    return SSL_SESSION_is_resumable(session) && now_ms - e->verified_ms < WF_SESSION_VERIFIED_MS_MAX &&
           time(NULL) < SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session) && peer &&
           X509_cmp_current_time(X509_get0_notAfter(peer)) > 0;
}

void wf_tls_sessions_put(wf_tls_sessions *s, const char *origin, uint64_t verified_ms, SSL_SESSION *session) {
    size_t len = strlen(origin) + 1;
    entry *e = wf_mem_alloc(sizeof *e + len);
    if (!e) {
        SSL_SESSION_free(session);
        return;
    }
    e->session = session;
    e->verified_ms = verified_ms;
    memcpy(e->origin, origin, len);
    pthread_mutex_lock(&s->lock);
    entry **at = find(s, origin);
    if (*at && !is_used_once(*at)) /* renewed */
        entry_free(unlink_at(s, at));
    push(s, e);
    if (s->count > s->count_max) {
        for (at = &s->first; (*at)->next; at = &(*at)->next)
            ;
        entry_free(unlink_at(s, at));
    }
    pthread_mutex_unlock(&s->lock);
}

SSL_SESSION *wf_tls_sessions_take(wf_tls_sessions *s, const char *origin, uint64_t now_ms, uint64_t *out_verified_ms) {
    SSL_SESSION *session = NULL;
    entry **at;
    pthread_mutex_lock(&s->lock);
    while (!session && *(at = find(s, origin))) {
        entry *e = unlink_at(s, at);
        if (is_good(e, now_ms)) {
            session = e->session;
            *out_verified_ms = e->verified_ms;
            SSL_SESSION_up_ref(session);
        }
        if (session && !is_used_once(e))
            push(s, e);
        else
            entry_free(e);
    }
    pthread_mutex_unlock(&s->lock);
    return session;
}
