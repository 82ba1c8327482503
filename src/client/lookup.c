/*
 * One lock guards the three lists: queued, in work, done. A lookup is on exactly one of them, and belongs to the list;
 * its thread touches only what the client does not read before it is done. When the last asker gives it up it is taken
 * from its list; one in work is thrown away by its thread, if nobody has joined it by then.
 */
#include "client/lookup.h"

#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct lookup_list {
    wf_lookup *first, **end;
} lookup_list;

struct wf_lookups {
    pthread_mutex_t lock;
    pthread_cond_t work;
    wf_loop *loop; /* NULL: the client has closed it */
    lookup_list queued, done;
    wf_lookup *working[WF_LOOKUP_THREADS_MAX];
    size_t queued_count, thread_count, idle_count;
};

static void list_init(lookup_list *list) {
    list->first = NULL;
    list->end = &list->first;
}

static void list_add(lookup_list *list, wf_lookup *lookup) {
    lookup->next = NULL;
    *list->end = lookup;
    list->end = &lookup->next;
}

static wf_lookup *list_take(lookup_list *list) {
    wf_lookup *first = list->first;
    if (first && !(list->first = first->next))
        list->end = &list->first;
    return first;
}

static void list_remove(lookup_list *list, const wf_lookup *lookup) {
    wf_lookup **at = &list->first;
    while (*at != lookup)
        at = &(*at)->next;
    if (!(*at = lookup->next))
        list->end = at;
}

static void list_drop(lookup_list *list) {
    wf_lookup *lookup;
    while ((lookup = list_take(list)))
        wf_mem_free(lookup);
}

static void join(wf_lookup *lookup, wf_asker *asker) {
    asker->lookup = lookup;
    asker->next = lookup->askers;
    asker->place = &lookup->askers;
    if (asker->next)
        asker->next->place = &asker->next;
    lookup->askers = asker;
}

static void leave(wf_asker *asker) {
    *asker->place = asker->next;
    if (asker->next)
        asker->next->place = asker->place;
    asker->lookup = NULL;
}

wf_asker *wf_lookup_next_asker(wf_lookup *lookup) {
    wf_asker *asker = lookup->askers;
    if (asker)
        leave(asker);
    return asker;
}

/* ---- one lookup ---- */

int wf_look_up(const char *host, unsigned port, wf_addresses *out_found) {
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV}, *list = NULL;
    int error = getaddrinfo(host, service, &hints, &list);
    if (error != 0)
        return error;
    out_found->count = 0;
    for (const struct addrinfo *a = list; a && out_found->count < WF_ADDRESSES_MAX; a = a->ai_next) {
        wf_address *to = &out_found->list[out_found->count++];
        memcpy(&to->storage, a->ai_addr, a->ai_addrlen);
        to->len = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return 0;
}

int wf_lookup_errno(int error) {
    switch (error) {
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
        return ENOENT;
    case EAI_AGAIN:
        return EAGAIN;
    case EAI_MEMORY:
        return ENOMEM;
    default:
        return EIO;
    }
}

/* ---- the threads ---- */

static void lookups_free(wf_lookups *l) {
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->work);
    wf_mem_free(l);
}

static void finish(wf_lookups *l, wf_lookup *lookup) {
    if (!lookup->askers) {
        wf_mem_free(lookup);
        return;
    }
    lookup->done = true;
    list_add(&l->done, lookup);
    wf_loop_wake(l->loop);
}

static void *run(void *arg) {
    wf_lookups *l = arg;
    pthread_mutex_lock(&l->lock);
    while (l->loop) {
        wf_lookup *lookup = list_take(&l->queued), **place = l->working;
        if (!lookup) {
            l->idle_count++;
            pthread_cond_wait(&l->work, &l->lock);
            l->idle_count--;
            continue;
        }
        l->queued_count--;
        while (*place)
            place++;
        *place = lookup;
        pthread_mutex_unlock(&l->lock);
        lookup->error = wf_look_up(lookup->host, lookup->port, &lookup->found);
        lookup->sys_errno = lookup->error == EAI_SYSTEM ? errno : wf_lookup_errno(lookup->error);
        pthread_mutex_lock(&l->lock);
        *place = NULL;
        finish(l, lookup);
    }
    bool last = --l->thread_count == 0;
    pthread_mutex_unlock(&l->lock);
    if (last)
        lookups_free(l);
    return NULL;
}

/* The application's signals are its own threads' to handle. */
static int start_thread(wf_lookups *l) {
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;
    int error = pthread_attr_init(&attr);
    if (error == 0) {
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&thread, &attr, run, l);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attr);
    }
    if (error == 0)
        l->thread_count++;
    return error;
}

/* ---- the client's side ---- */

wf_lookups *wf_lookups_new(wf_loop *loop) {
    wf_lookups *l = wf_mem_zalloc(sizeof *l);
    if (!l)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    list_init(&l->queued);
    list_init(&l->done);
    l->loop = loop;
    return l;
}

void wf_lookups_close(wf_lookups *l) {
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->loop = NULL;
    list_drop(&l->queued);
    list_drop(&l->done);
    for (size_t i = 0; i < WF_LOOKUP_THREADS_MAX; i++)
        if (l->working[i])
            l->working[i]->askers = NULL;
    bool last = l->thread_count == 0;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    if (last)
        lookups_free(l);
}

static bool is_of(const wf_lookup *lookup, const char *host, unsigned port) {
    return lookup->port == port && strcasecmp(lookup->host, host) == 0;
}

static wf_lookup *find(const wf_lookups *l, const char *host, unsigned port) {
    for (size_t i = 0; i < WF_LOOKUP_THREADS_MAX; i++)
        if (l->working[i] && is_of(l->working[i], host, port))
            return l->working[i];
    wf_lookup *lookup = l->queued.first;
    while (lookup && !is_of(lookup, host, port))
        lookup = lookup->next;
    return lookup;
}

/* WF_OK: it is queued, and a thread will look at it. */
static int queue(wf_lookups *l, wf_lookup *lookup) {
    int error = 0;
    if (l->queued_count == WF_LOOKUPS_MAX)
        return WF_ELIMIT;
    if (l->idle_count <= l->queued_count && l->thread_count < WF_LOOKUP_THREADS_MAX)
        error = start_thread(l);
    if (l->thread_count == 0) { /* one that could not be added is no loss beside others */
        errno = error;
        return WF_ESYS;
    }
    list_add(&l->queued, lookup);
    l->queued_count++;
    pthread_cond_signal(&l->work);
    return WF_OK;
}

static int start_anew(wf_lookups *l, const char *host, unsigned port, wf_asker *asker) {
    wf_lookup *lookup = wf_mem_zalloc(sizeof *lookup);
    if (!lookup)
        return WF_ENOMEM;
    snprintf(lookup->host, sizeof lookup->host, "%s", host);
    lookup->port = port;
    int got = queue(l, lookup), why = errno;
    if (got == WF_OK) {
        join(lookup, asker);
    } else {
        wf_mem_free(lookup);
        errno = why;
    }
    return got;
}

int wf_lookups_start(wf_lookups *l, const char *host, unsigned port, wf_asker *asker) {
    int got = WF_OK;
    pthread_mutex_lock(&l->lock);
    wf_lookup *lookup = find(l, host, port);
    if (lookup)
        join(lookup, asker);
    else
        got = start_anew(l, host, port, asker);
    pthread_mutex_unlock(&l->lock);
    return got;
}

wf_lookup *wf_lookups_take(wf_lookups *l) {
    pthread_mutex_lock(&l->lock);
    wf_lookup *lookup = list_take(&l->done);
    pthread_mutex_unlock(&l->lock);
    return lookup;
}

void wf_lookups_give_up(wf_lookups *l, wf_asker *asker) {
    pthread_mutex_lock(&l->lock);
    wf_lookup *lookup = asker->lookup;
    leave(asker);
    bool in_work = false;
    for (size_t i = 0; i < WF_LOOKUP_THREADS_MAX; i++)
        in_work |= l->working[i] == lookup;
    if (!lookup->askers && !in_work) {
        list_remove(lookup->done ? &l->done : &l->queued, lookup);
        l->queued_count -= !lookup->done;
        wf_mem_free(lookup);
    }
    pthread_mutex_unlock(&l->lock);
}
