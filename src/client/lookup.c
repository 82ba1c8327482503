/*
 * One lock guards the three lists: queued, in work, done. A lookup is on exactly one of them, and belongs to the list;
 * its thread touches only what the client does not read before it is done. Giving up takes it from its list, or, while
 * it is in work, takes its owner from it: the thread then throws it away.
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

/* Frees those of this owner, or all (NULL). How many. */
static size_t list_drop(lookup_list *list, const void *owner) {
    lookup_list kept;
    size_t dropped = 0;
    wf_lookup *lookup;
    list_init(&kept);
    while ((lookup = list_take(list))) {
        if (owner && lookup->owner != owner) {
            list_add(&kept, lookup);
        } else {
            wf_mem_free(lookup);
            dropped++;
        }
    }
    while ((lookup = list_take(&kept)))
        list_add(list, lookup);
    return dropped;
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
    if (!lookup->owner) {
        wf_mem_free(lookup);
        return;
    }
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
    list_drop(&l->queued, NULL);
    list_drop(&l->done, NULL);
    for (size_t i = 0; i < WF_LOOKUP_THREADS_MAX; i++)
        if (l->working[i])
            l->working[i]->owner = NULL;
    bool last = l->thread_count == 0;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    if (last)
        lookups_free(l);
}

int wf_lookups_start(wf_lookups *l, const char *host, unsigned port, void *owner) {
    wf_lookup *lookup = wf_mem_zalloc(sizeof *lookup);
    if (!lookup)
        return WF_ENOMEM;
    snprintf(lookup->host, sizeof lookup->host, "%s", host);
    lookup->port = port;
    lookup->owner = owner;
    int error = 0;
    pthread_mutex_lock(&l->lock);
    bool full = l->queued_count == WF_LOOKUPS_MAX;
    if (!full && l->idle_count <= l->queued_count && l->thread_count < WF_LOOKUP_THREADS_MAX)
        error = start_thread(l);
    bool taken = !full && l->thread_count > 0; /* one that could not be added is no loss beside others */
    if (taken) {
        list_add(&l->queued, lookup);
        l->queued_count++;
        pthread_cond_signal(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
    if (taken)
        return WF_OK;
    wf_mem_free(lookup);
    errno = error;
    return full ? WF_ELIMIT : WF_ESYS;
}

wf_lookup *wf_lookups_take(wf_lookups *l) {
    pthread_mutex_lock(&l->lock);
    wf_lookup *lookup = list_take(&l->done);
    pthread_mutex_unlock(&l->lock);
    return lookup;
}

void wf_lookups_give_up(wf_lookups *l, const void *owner) {
    pthread_mutex_lock(&l->lock);
    l->queued_count -= list_drop(&l->queued, owner);
    list_drop(&l->done, owner);
    for (size_t i = 0; i < WF_LOOKUP_THREADS_MAX; i++)
        if (l->working[i] && l->working[i]->owner == owner)
            l->working[i]->owner = NULL;
    pthread_mutex_unlock(&l->lock);
}
