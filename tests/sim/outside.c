/*
 * The other thread. It runs only while the server's thread waits for it, inside epoll_wait: so it is another thread to
 * the library, and a fixed moment to the seed.
 */
#include "app.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static void (*job)(void *arg);
static void *job_arg;
static bool started;

static void *serve(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!job)
            pthread_cond_wait(&changed, &lock);
        job(job_arg);
        job = NULL;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

void sim_outside(void (*run)(void *arg), void *arg) {
    pthread_t thread;
    pthread_mutex_lock(&lock);
    if (!started && pthread_create(&thread, NULL, serve, NULL) == 0)
        pthread_detach(thread);
    started = true;
    job = run;
    job_arg = arg;
    pthread_cond_broadcast(&changed);
    while (job)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}
