/*
 * Calls of the kernel and of libraries that fail on request. The linker turns each of these names to its __wrap_ here
 * (--wrap, in tests/CMakeLists.txt); __real_ is what it would have been, and weak where a build may lack it.
 */
#include "test.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>

static _Atomic(const char *) failing;
static atomic_size_t fail_at, calls;
static atomic_int error;

void test_call_fail_at(const char *name, size_t n, int error_code) {
    failing = NULL;
    fail_at = n;
    calls = 0;
    error = error_code;
    failing = name;
}

static bool fails(const char *name) {
    const char *wanted = failing;
    if (!wanted || strcmp(wanted, name) != 0)
        return false;
    size_t call = atomic_fetch_add(&calls, 1) + 1;
    return fail_at == 0 || call == fail_at;
}

static bool refused(const char *name) {
    bool refuse = fails(name);
    if (refuse)
        errno = error;
    return refuse;
}

#define WRAPPED(type_, name_, params_, body_)                                                                          \
    __attribute__((weak)) type_ __real_##name_ params_;                                                                \
    type_ __wrap_##name_ params_;                                                                                      \
    type_ __wrap_##name_ params_ {                                                                                     \
        return body_;                                                                                                  \
    }

/* Answers -1, and why in errno. */
#define SYSTEM(type_, name_, params_, args_) WRAPPED(type_, name_, params_, refused(#name_) ? -1 : __real_##name_ args_)

SYSTEM(int, accept4, (int fd, struct sockaddr *address, socklen_t *len, int flags), (fd, address, len, flags))
SYSTEM(int, bind, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
SYSTEM(int, connect, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
SYSTEM(int, epoll_create1, (int flags), (flags))
SYSTEM(int, epoll_ctl, (int epoll_fd, int what, int fd, struct epoll_event *event), (epoll_fd, what, fd, event))
SYSTEM(int, epoll_wait, (int fd, struct epoll_event *ready, int max, int timeout_ms), (fd, ready, max, timeout_ms))
SYSTEM(int, eventfd, (unsigned initial, int flags), (initial, flags))
SYSTEM(int, getpeername, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len))
SYSTEM(ssize_t, getrandom, (void *data, size_t len, unsigned flags), (data, len, flags))
SYSTEM(int, getrlimit, (int what, struct rlimit *limit), (what, limit))
SYSTEM(int, getsockname, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len))
SYSTEM(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len), (fd, level, name, value, len))
SYSTEM(int, listen, (int fd, int backlog), (fd, backlog))
SYSTEM(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
SYSTEM(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))
SYSTEM(ssize_t, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags))
SYSTEM(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len))
SYSTEM(int, socket, (int family, int type, int protocol), (family, type, protocol))
SYSTEM(long, sysconf, (int name), (name))
SYSTEM(int, unlink, (const char *path), (path))

/* Answers the error. */
#define LIBRARY(name_, params_, args_) WRAPPED(int, name_, params_, fails(#name_) ? error : __real_##name_ args_)

LIBRARY(pthread_create, (pthread_t * thread, const pthread_attr_t *how, void *(*run)(void *), void *arg),
        (thread, how, run, arg))
LIBRARY(EVP_DigestFinal_ex, (void *context, unsigned char *out, unsigned *out_len), (context, out, out_len))
LIBRARY(RAND_bytes, (unsigned char *out, int len), (out, len))
LIBRARY(deflate, (void *z, int flush), (z, flush))
LIBRARY(deflateReset, (void *z), (z))
LIBRARY(deflateSetDictionary, (void *z, const unsigned char *data, unsigned len), (z, data, len))
LIBRARY(inflateReset, (void *z), (z))
LIBRARY(isal_deflate, (void *z), (z))
LIBRARY(isal_deflate_set_dict, (void *z, uint8_t *data, uint32_t len), (z, data, len))
LIBRARY(isal_deflate_set_hufftables, (void *z, void *tables, int type), (z, tables, type))
LIBRARY(isal_inflate_set_dict, (void *z, uint8_t *data, uint32_t len), (z, data, len))

/* Does what it is asked to, and then answers an error. Built from sources, it has another name (src/CMakeLists.txt). */
__attribute__((weak)) int __real_llhttp_execute(void *parser, const char *data, size_t len);
__attribute__((weak)) int __real_wf_llhttp_execute(void *parser, const char *data, size_t len);
int __wrap_llhttp_execute(void *parser, const char *data, size_t len);
int __wrap_wf_llhttp_execute(void *parser, const char *data, size_t len);

int __wrap_llhttp_execute(void *parser, const char *data, size_t len) {
    int got = __real_llhttp_execute(parser, data, len);
    return fails("llhttp_execute") ? error : got;
}

int __wrap_wf_llhttp_execute(void *parser, const char *data, size_t len) {
    int got = __real_wf_llhttp_execute(parser, data, len);
    return fails("llhttp_execute") ? error : got;
}

/* ---- liburing, which answers minus the error ---- */

static unsigned ring_requests, ring_completions;

void test_uring_entries(unsigned requests, unsigned completions) {
    ring_requests = requests;
    ring_completions = completions;
}

LIBRARY(io_uring_register, (unsigned fd, unsigned what, const void *arg, unsigned count), (fd, what, arg, count))
LIBRARY(io_uring_register_buf_ring, (void *ring, void *reg, unsigned flags), (ring, reg, flags))
LIBRARY(io_uring_submit, (void *ring), (ring))
LIBRARY(io_uring_submit_and_get_events, (void *ring), (ring))
LIBRARY(io_uring_submit_and_wait_timeout, (void *ring, void **first, unsigned count, void *time, void *signals),
        (ring, first, count, time, signals))

__attribute__((weak)) int __real_io_uring_queue_init_params(unsigned entries, void *ring,
                                                            struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, void *ring, struct io_uring_params *params);

int __wrap_io_uring_queue_init_params(unsigned entries, void *ring, struct io_uring_params *params) {
    if (fails("io_uring_queue_init_params"))
        return error;
    if (ring_requests > 0) {
        entries = ring_requests;
        params->cq_entries = ring_completions;
    }
    return __real_io_uring_queue_init_params(entries, ring, params);
}
