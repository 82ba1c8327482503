/*
 * uring_help.h - what the tests of the loop over io_uring share: a loop whose end is checked, and a pattern that
 * tells each byte's place in a stream.
 */
#ifndef WF_TESTS_URING_HELP_H
#define WF_TESTS_URING_HELP_H

#include "net_help.h"

#include <dirent.h>
#include <stdlib.h>

static wf_loop *loop;
static wf_sock sock;
static int peer;
static int descriptors_before;
static size_t live_before;

static inline int descriptors(void) {
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static inline void open_loop(size_t recv_bytes) {
    descriptors_before = descriptors();
    live_before = test_mem_live();
    loop = wf_loop_new_on(WF_LOOP_URING, recv_bytes);
    CHECK(loop != NULL);
}

/* Nothing is left: no byte, no block, no descriptor. */
static inline void close_loop(void) {
    test_call_fail_at(NULL, 0, 0);
    test_mem_fail_at(0);
    test_uring_entries(0, 0);
    CHECK_EQ(wf_loop_memory(loop), 0);
    wf_loop_free(loop);
    CHECK_EQ(test_mem_live(), live_before);
    CHECK_EQ(descriptors(), descriptors_before);
}

static inline void adopt_pair(void (*connect_pair)(int fds[2]), wf_sock *s, int *out_peer) {
    int fds[2];
    connect_pair(fds);
    *out_peer = fds[1];
    CHECK_EQ(wf_sock_adopt(loop, s, fds[0]), 0);
}

static inline void open_pair(void (*connect_pair)(int fds[2])) {
    open_loop(0);
    adopt_pair(connect_pair, &sock, &peer);
}

static inline void close_pair(void) {
    wf_sock_close(loop, &sock);
    if (peer >= 0)
        close(peer);
    close_loop();
}

static inline uint8_t pattern(size_t i) {
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static inline void check_pattern(const uint8_t *data, size_t len, size_t from) {
    for (size_t i = 0; i < len; i++)
        if (data[i] != pattern(from + i))
            test_fail(__FILE__, __LINE__, "byte %zu differs", from + i);
}

/* Bytes of the pattern from `from` on, soon. What was taken. */
static inline int64_t send_soon(wf_sock *s, size_t from, size_t len) {
    uint8_t data[20000];
    CHECK(len <= sizeof data);
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(from + i);
    size_t head = len / 3;
    struct iovec ranges[2] = {{data, head}, {data + head, len - head}};
    return head > 0 ? wf_sock_send_soon(loop, s, ranges, 2) : wf_sock_send_soon(loop, s, ranges + 1, 1);
}

static inline size_t peer_writes(int fd, size_t from, size_t len) {
    uint8_t *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(from + i);
    ssize_t sent = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    free(data);
    return sent > 0 ? (size_t)sent : 0;
}

/* Reads what is there and compares it. True: up to FIN. */
static inline bool peer_reads(int fd, size_t *at) {
    uint8_t block[30000];
    ssize_t got;
    while ((got = recv(fd, block, sizeof block, MSG_DONTWAIT)) > 0) {
        check_pattern(block, (size_t)got, *at);
        *at += (size_t)got;
    }
    return got == 0;
}

static inline void turn_without_event(void) {
    wf_loop_event event;
    CHECK_EQ(wf_loop_wait(loop, 0), 0);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
}

/* A turn in which nothing may happen, but that the kernel takes something only in part: true, then. */
static inline bool turn_waits(void) {
    wf_loop_event event;
    CHECK_EQ(wf_loop_wait(loop, 0), 0);
    if (wf_loop_next(loop, &event) == WF_WANT_INPUT)
        return false;
    CHECK_EQ(event.kind, WF_LOOP_WAITS);
    CHECK(wf_loop_memory(loop) > 0);
    CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
    return true;
}

#endif
