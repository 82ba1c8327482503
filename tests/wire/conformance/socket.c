/*
 * Each case has a connection of its own, all in one poll loop. A connection is written to as long as its judge has
 * something to send, and read from always: an endpoint that answers while it is being sent to must not be made to
 * wait.
 */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WEIGHT_MAX = 96 << 20, ANSWER_AFTER_MS = 300, READ_ROOM = 1 << 18, PATIENCE_FACTOR = 6 };

struct job {
    conf_case *c;
    judge judge;
    int fd;
    bytes out;
    size_t out_at;
    bool closed_ours; /* we have said that we are done */
    bool was_late;
    int64_t resume_ms;               /* nothing is read before */
    int64_t deadline_ms, give_up_ms; /* for the next thing; for all of it */
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_over(const job *w) {
    return w->judge.verdict >= PASSED;
}

/* How long the judge may wait for what comes next. An endpoint that has failed the connection may wait for our close
 * frame and our end before its own (RFC 6455 7.1.1); it gets them a little later than one that does not. */
static void set_deadline(const socket_runner *r, job *w) {
    unsigned ms = w->judge.verdict == JUDGE_LISTENS                   ? judge_silence_ms(&w->judge)
                  : judge_waits_for_end(&w->judge) && !w->closed_ours ? ANSWER_AFTER_MS
                                                                      : r->patience_ms;
    w->deadline_ms = now_ms() + ms;
    if (w->deadline_ms < w->resume_ms)
        w->deadline_ms = w->resume_ms + r->patience_ms;
    if (w->deadline_ms > w->give_up_ms)
        w->deadline_ms = w->give_up_ms;
}

static void fetch_output(job *w) {
    if (w->out_at < w->out.len)
        return;
    w->out.len = w->out_at = 0;
    while (w->judge.verdict == JUDGE_SENDS)
        judge_take_output(&w->judge, &w->out);
}

/* A connection that the endpoint has ended is still read from: what it said last is in there. */
static void write_some(job *w) {
    for (;;) {
        fetch_output(w);
        size_t left = w->out.len - w->out_at;
        if (left == 0)
            return;
        size_t part = w->c->chop && w->c->chop < left ? w->c->chop : left;
        ssize_t put = send(w->fd, w->out.data + w->out_at, part, MSG_NOSIGNAL);
        if (put < 0 && errno == EAGAIN)
            return;
        w->out_at = put < 0 ? w->out.len : w->out_at + (size_t)put;
    }
}

/* The first that is read is the answer to the opening handshake; a slow reader is slow from then on. */
static void take_input(job *w, const uint8_t *data, size_t len) {
    judge_input(&w->judge, data, len);
    if (w->c->reads_late_ms && !w->was_late)
        w->resume_ms = now_ms() + w->c->reads_late_ms;
    w->was_late = true;
}

static void read_some(job *w) {
    static uint8_t room[READ_ROOM];
    while (!w->judge.peer_ended && w->resume_ms <= now_ms()) {
        ssize_t got = recv(w->fd, room, sizeof room, 0);
        if (got > 0)
            take_input(w, room, (size_t)got);
        else if (got < 0 && errno == EAGAIN)
            return;
        else
            judge_input_ended(&w->judge, got < 0);
    }
}

static void answer_close(job *w) {
    frame_put(&w->out, FIN | CLOSE, "\x03\xe8", 2, w->c->masks, 0x01020304);
    write_some(w);
    shutdown(w->fd, SHUT_WR);
    w->closed_ours = true;
}

static void time_is_up(const socket_runner *r, job *w) {
    if (now_ms() >= w->give_up_ms)
        judge_timed_out(&w->judge);
    else if (w->judge.verdict == JUDGE_LISTENS)
        judge_silence_kept(&w->judge);
    else if (judge_waits_for_end(&w->judge) && !w->closed_ours)
        answer_close(w);
    else
        judge_timed_out(&w->judge);
    write_some(w);
    set_deadline(r, w);
}

static job *job_new(const socket_runner *r, conf_case *c) {
    job *w = calloc(1, sizeof *w);
    if (!w)
        abort();
    w->c = c;
    judge_init(&w->judge, c);
    w->fd = socket(r->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1, little = 8192;
    if (c->reads_late_ms)
        setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    if (w->fd < 0 || connect(w->fd, (const struct sockaddr *)&r->address, r->address_len) < 0) {
        perror("connect");
        exit(2);
    }
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(w->fd, F_SETFL, O_NONBLOCK);
    w->give_up_ms = now_ms() + (int64_t)PATIENCE_FACTOR * r->patience_ms;
    write_some(w);
    set_deadline(r, w);
    return w;
}

static void job_free(job *w) {
    close(w->fd);
    judge_free(&w->judge);
    bytes_free(&w->out);
    case_free(w->c);
    free(w);
}

static void end_jobs(socket_runner *r) {
    size_t kept = 0;
    for (size_t i = 0; i < r->job_count; i++) {
        job *w = r->jobs[i];
        if (!is_over(w)) {
            r->jobs[kept++] = w;
            continue;
        }
        r->report(r->context, &w->judge);
        r->weight -= w->c->weight;
        job_free(w);
    }
    r->job_count = kept;
}

static void turn(socket_runner *r) {
    struct pollfd fds[JOBS_MAX];
    int64_t now = now_ms(), wait = r->patience_ms;
    for (size_t i = 0; i < r->job_count; i++) {
        job *w = r->jobs[i];
        bool writes = w->out_at < w->out.len, reads = !w->judge.peer_ended && w->resume_ms <= now;
        int64_t next_ms = w->resume_ms > now ? w->resume_ms : w->deadline_ms;
        fds[i] = (struct pollfd) {w->fd, (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0};
        wait = next_ms - now < wait ? next_ms - now : wait;
    }
    poll(fds, (nfds_t)r->job_count, wait < 0 ? 0 : (int)wait);
    now = now_ms();
    for (size_t i = 0; i < r->job_count; i++) {
        job *w = r->jobs[i];
        verdict before = w->judge.verdict;
        if (fds[i].revents) {
            read_some(w);
            write_some(w);
            if (before != JUDGE_LISTENS || w->judge.verdict != JUDGE_LISTENS)
                set_deadline(r, w);
        }
        if (!is_over(w) && now >= w->deadline_ms)
            time_is_up(r, w);
    }
    end_jobs(r);
}

void socket_take(void *runner, conf_case *c) {
    socket_runner *r = runner;
    while (r->job_count > 0 && (r->job_count >= r->jobs_max || r->weight + c->weight > WEIGHT_MAX))
        turn(r);
    r->weight += c->weight;
    r->jobs[r->job_count++] = job_new(r, c);
}

void socket_finish(socket_runner *r) {
    while (r->job_count > 0)
        turn(r);
}
