/*
 * A server without its system calls: preloaded (LD_PRELOAD), this stands between a server and the C library.
 *
 * Connections are made and upgraded by the kernel, as ever. When bench/user.py asks for it, the next epoll_wait does
 * not come to the kernel any more: it says at once that every watched connection is readable, a recv copies the next
 * prepared batch, one that comes too early gets EAGAIN, and a send is counted, compared and forgotten. What time the
 * thread still takes is the server's own, plus that of these stand-ins, which the raw echo shows when it is measured in
 * the same way.
 *
 *     off --(asked, next epoll_wait)--> running --(all delivered, all answered)--> done, off again
 *
 * Everything hangs on `running`, which is the thread's own: other threads, and descriptors that are not watched TCP
 * connections, are served by the kernel throughout. A fault (a wrong byte, a connection closed, an answer that does
 * not come) ends the process: there is no figure for a server that loses messages.
 */
#undef _FORTIFY_SOURCE /* its inline bodies would stand where ours have to */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define STAND_IN        __attribute__((visibility("default")))
#define DESCRIPTORS_MAX 65536
#define PATIENCE        100000 /* turns without progress */

struct conn {
    int epoll;
    uint32_t interest;
    epoll_data_t data;
    bool watched;
    bool replayed;
    bool changed;     /* the kernel does not know what `interest` and `data` are now */
    size_t said_at;   /* in the ring of batches */
    size_t said_left; /* of the batch that is being read */
    size_t answer_at; /* in the ring of answers */
};

static struct conn conns[DESCRIPTORS_MAX]; /* by descriptor */
static struct replay *shared;
static const unsigned char *said, *answers;
static size_t said_wrap, answers_wrap;

static __thread bool running __attribute__((tls_model("initial-exec")));
static int list[DESCRIPTORS_MAX]; /* descriptors that are replayed */
static size_t list_count, list_at;
static uint64_t started, answered_bytes, turns, receives, sends, idle_turns, begin_ns, begin_faults;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    running = false;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(shared->why, sizeof shared->why, format, arguments);
    va_end(arguments);
    __atomic_store_n(&shared->state, REPLAY_FAILED, __ATOMIC_RELEASE);
    _exit(1);
}

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv(REPLAY_ENVIRONMENT);
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    void *memory = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &status) == 0 && (size_t)status.st_size >= sizeof *shared)
        memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        fprintf(stderr, "replay: %s cannot be mapped: %s\n", path, strerror(errno));
        _exit(1);
    }
    syscall(SYS_close, fd);
    shared = memory;
}

static uint64_t thread_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static uint64_t thread_faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return (uint64_t)usage.ru_minflt;
}

static struct conn *replayed(int fd) {
    return running && fd >= 0 && fd < DESCRIPTORS_MAX && conns[fd].replayed ? &conns[fd] : NULL;
}

static bool is_connection(int fd) {
    struct sockaddr_storage peer;
    socklen_t bytes = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &bytes) == 0 &&
           (peer.ss_family == AF_INET || peer.ss_family == AF_INET6);
}

/* Returns false, and leaves all as it was, when this epoll does not watch enough connections. */
static bool begin(int epoll) {
    list_count = list_at = 0;
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++) {
        if (conns[fd].watched && conns[fd].epoll == epoll && is_connection(fd))
            list[list_count++] = fd;
    }
    if (list_count < shared->connections)
        return false;
    said = (const unsigned char *)(shared + 1);
    said_wrap = shared->batches * shared->batch_bytes;
    answers = said + said_wrap;
    answers_wrap = shared->batches * shared->answer_bytes;
    for (size_t i = 0; i < list_count; i++) {
        struct conn *conn = &conns[list[i]];
        conn->replayed = true;
        conn->said_left = 0;
        conn->said_at = i % shared->batches * shared->batch_bytes;
        conn->answer_at = i % shared->batches * shared->answer_bytes;
    }
    started = answered_bytes = turns = receives = sends = idle_turns = 0;
    shared->state = REPLAY_RUNNING;
    running = true;
    begin_faults = thread_faults();
    begin_ns = thread_ns();
    return true;
}

static void finish(void) {
    shared->cpu_ns = thread_ns() - begin_ns;
    shared->faults = thread_faults() - begin_faults;
    shared->turns = turns;
    shared->receives = receives;
    shared->sends = sends;
    running = false;
    for (size_t i = 0; i < list_count; i++) {
        struct conn *conn = &conns[list[i]];
        struct epoll_event event = {.events = conn->interest, .data = conn->data};
        if (conn->changed)
            syscall(SYS_epoll_ctl, conn->epoll, EPOLL_CTL_MOD, list[i], &event);
        conn->replayed = conn->changed = false;
    }
    __atomic_store_n(&shared->state, REPLAY_DONE, __ATOMIC_RELEASE);
}

/* What epoll has to say about a connection; 0: nothing. */
static uint32_t look(struct conn *conn) {
    uint32_t found = conn->interest & EPOLLOUT;
    if (conn->interest & EPOLLIN && (conn->said_left > 0 || started < shared->total)) {
        if (conn->said_left == 0) {
            conn->said_left = shared->batch_bytes;
            started++;
        }
        found |= EPOLLIN;
    } else if (conn->interest & EPOLLET) {
        found = 0;
    }
    if (found && conn->interest & EPOLLONESHOT)
        conn->interest = 0;
    return found;
}

static int replay_wait(struct epoll_event *events, int max) {
    int count = 0;
    turns++;
    for (size_t i = 0; i < list_count && count < max; i++) {
        struct conn *conn = &conns[list[list_at]];
        list_at = list_at + 1 == list_count ? 0 : list_at + 1;
        uint32_t found = look(conn);
        if (found)
            events[count++] = (struct epoll_event) {.events = found, .data = conn->data};
    }
    return count;
}

static int kernel_wait(int epoll, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
    return (int)syscall(SYS_epoll_pwait, epoll, events, max, timeout, mask, _NSIG / 8);
}

static int any_wait(int epoll, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
    if (!running && shared && __atomic_load_n(&shared->state, __ATOMIC_ACQUIRE) == REPLAY_REQUESTED)
        begin(epoll);
    if (!running || epoll != conns[list[0]].epoll)
        return kernel_wait(epoll, events, max, timeout, mask);
    if (started == shared->total && answered_bytes == started * shared->answer_bytes) {
        finish();
        return kernel_wait(epoll, events, max, timeout, mask);
    }
    int count = replay_wait(events, max);
    if (count > 0)
        return count;
    if (++idle_turns == PATIENCE)
        fail("after %lu batches %lu bytes were answered instead of %lu, and the server waits", (unsigned long)started,
             (unsigned long)answered_bytes, (unsigned long)(started * shared->answer_bytes));
    return kernel_wait(epoll, events, max, 0, mask);
}

/* Copies at most `bytes` of what this connection says; returns how many, 0 for nothing. */
static size_t take(struct conn *conn, void *out, size_t bytes, bool peek) {
    size_t count = conn->said_left < bytes ? conn->said_left : bytes;
    memcpy(out, said + conn->said_at, count);
    if (peek || count == 0)
        return count;
    conn->said_left -= count;
    conn->said_at += count;
    if (conn->said_at == said_wrap)
        conn->said_at = 0;
    return count;
}

static ssize_t received(size_t bytes) {
    if (bytes > 0) {
        receives++;
        return (ssize_t)bytes;
    }
    errno = EAGAIN;
    return -1;
}

static ssize_t take_one(struct conn *conn, void *out, size_t bytes, int flags) {
    return received(take(conn, out, bytes, flags & MSG_PEEK));
}

static ssize_t take_ranges(struct conn *conn, const struct iovec *ranges, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count && conn->said_left > 0; i++)
        bytes += take(conn, ranges[i].iov_base, ranges[i].iov_len, false);
    return received(bytes);
}

static void check(struct conn *conn, const unsigned char *bytes, size_t count) {
    for (size_t done = 0; done < count;) {
        size_t at = (conn->answer_at + done) % answers_wrap, left = answers_wrap - at;
        size_t piece = count - done < left ? count - done : left;
        if (memcmp(answers + at, bytes + done, piece) != 0) {
            size_t same = 0;
            while (answers[at + same] == bytes[done + same])
                same++;
            fail("byte %zu of the answers to a batch is 0x%02x, should be 0x%02x", (at + same) % shared->answer_bytes,
                 bytes[done + same], answers[at + same]);
        }
        done += piece;
    }
}

static void swallow(struct conn *conn, const void *bytes, size_t count) {
    answered_bytes += count;
    if (answered_bytes > started * shared->answer_bytes)
        fail("more bytes were sent than %lu batches are answered with", (unsigned long)started);
    if (!shared->check)
        return;
    check(conn, bytes, count);
    conn->answer_at = (conn->answer_at + count) % answers_wrap;
}

static ssize_t swallow_one(struct conn *conn, const void *bytes, size_t count) {
    sends++;
    swallow(conn, bytes, count);
    return (ssize_t)count;
}

static ssize_t swallow_ranges(struct conn *conn, const struct iovec *ranges, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        swallow(conn, ranges[i].iov_base, ranges[i].iov_len);
        bytes += ranges[i].iov_len;
    }
    sends++;
    return (ssize_t)bytes;
}

/* The stand-ins. */

/* While it is replayed, a change of interest is noted only; finish() tells the kernel. */
STAND_IN int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    struct conn *conn = replayed(fd);
    if (conn && operation == EPOLL_CTL_DEL)
        fail("the server gave up a connection");
    int status = conn ? 0 : (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
    if (status != 0 || fd < 0 || fd >= DESCRIPTORS_MAX)
        return status;
    conn = &conns[fd];
    conn->watched = operation != EPOLL_CTL_DEL;
    conn->epoll = epoll;
    if (conn->watched) {
        conn->interest = event->events;
        conn->data = event->data;
        conn->changed = conn->replayed;
    }
    return 0;
}

STAND_IN int epoll_wait(int epoll, struct epoll_event *events, int max, int timeout) {
    return any_wait(epoll, events, max, timeout, NULL);
}

STAND_IN int epoll_pwait(int epoll, struct epoll_event *events, int max, int timeout, const sigset_t *mask) {
    return any_wait(epoll, events, max, timeout, mask);
}

STAND_IN int close(int fd) {
    if (replayed(fd))
        fail("the server closed a connection");
    if (fd >= 0 && fd < DESCRIPTORS_MAX)
        conns[fd].watched = false;
    return (int)syscall(SYS_close, fd);
}

STAND_IN ssize_t recvfrom(int fd, void *out, size_t bytes, int flags, struct sockaddr *from, socklen_t *from_bytes) {
    struct conn *conn = replayed(fd);
    return conn ? take_one(conn, out, bytes, flags) : syscall(SYS_recvfrom, fd, out, bytes, flags, from, from_bytes);
}

STAND_IN ssize_t recv(int fd, void *out, size_t bytes, int flags) {
    struct conn *conn = replayed(fd);
    return conn ? take_one(conn, out, bytes, flags) : syscall(SYS_recvfrom, fd, out, bytes, flags, NULL, NULL);
}

STAND_IN ssize_t read(int fd, void *out, size_t bytes) {
    struct conn *conn = replayed(fd);
    return conn ? take_one(conn, out, bytes, 0) : syscall(SYS_read, fd, out, bytes);
}

STAND_IN ssize_t readv(int fd, const struct iovec *ranges, int count) {
    struct conn *conn = replayed(fd);
    return conn ? take_ranges(conn, ranges, (size_t)count) : syscall(SYS_readv, fd, ranges, count);
}

STAND_IN ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    struct conn *conn = replayed(fd);
    if (conn == NULL)
        return syscall(SYS_recvmsg, fd, message, flags);
    message->msg_namelen = 0;
    message->msg_controllen = 0;
    message->msg_flags = 0;
    return take_ranges(conn, message->msg_iov, message->msg_iovlen);
}

/* What callers built with _FORTIFY_SOURCE may ask for instead. */
STAND_IN ssize_t __recv_chk(int fd, void *out, size_t bytes, size_t room, int flags);
STAND_IN ssize_t __recvfrom_chk(int fd, void *out, size_t bytes, size_t room, int flags, struct sockaddr *from,
                                socklen_t *from_bytes);
STAND_IN ssize_t __read_chk(int fd, void *out, size_t bytes, size_t room);

ssize_t __recv_chk(int fd, void *out, size_t bytes, size_t room, int flags) {
    return recv(fd, out, bytes < room ? bytes : room, flags);
}

ssize_t __recvfrom_chk(int fd, void *out, size_t bytes, size_t room, int flags, struct sockaddr *from,
                       socklen_t *from_bytes) {
    return recvfrom(fd, out, bytes < room ? bytes : room, flags, from, from_bytes);
}

ssize_t __read_chk(int fd, void *out, size_t bytes, size_t room) {
    return read(fd, out, bytes < room ? bytes : room);
}

STAND_IN ssize_t sendto(int fd, const void *bytes, size_t count, int flags, const struct sockaddr *to,
                        socklen_t to_bytes) {
    struct conn *conn = replayed(fd);
    return conn ? swallow_one(conn, bytes, count) : syscall(SYS_sendto, fd, bytes, count, flags, to, to_bytes);
}

STAND_IN ssize_t send(int fd, const void *bytes, size_t count, int flags) {
    struct conn *conn = replayed(fd);
    return conn ? swallow_one(conn, bytes, count) : syscall(SYS_sendto, fd, bytes, count, flags, NULL, 0);
}

STAND_IN ssize_t write(int fd, const void *bytes, size_t count) {
    struct conn *conn = replayed(fd);
    return conn ? swallow_one(conn, bytes, count) : syscall(SYS_write, fd, bytes, count);
}

STAND_IN ssize_t writev(int fd, const struct iovec *ranges, int count) {
    struct conn *conn = replayed(fd);
    return conn ? swallow_ranges(conn, ranges, (size_t)count) : syscall(SYS_writev, fd, ranges, count);
}

STAND_IN ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    struct conn *conn = replayed(fd);
    return conn ? swallow_ranges(conn, message->msg_iov, message->msg_iovlen)
                : syscall(SYS_sendmsg, fd, message, flags);
}
