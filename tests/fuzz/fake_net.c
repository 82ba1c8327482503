#include "fake_net.h"

#include "base/clock.h"
#include "net/port.h"

#include <errno.h>

/* No descriptor has this number. */
enum { FAKE_FD = 1 << 30 };

uint64_t fake_now_ns;

uint64_t wf_clock_ns(void) {
    return fake_now_ns++;
}

uint64_t wf_clock_ms(void) {
    return fake_now_ns / 1000000;
}

int wf_sock_adopt(wf_loop *loop, wf_sock *sock, int fd) {
    (void)fd;
    *sock = (wf_sock) {.fd = FAKE_FD};
    loop->open = true;
    return 0;
}

void wf_sock_pause(wf_loop *loop, wf_sock *sock) {
    CHECK(loop->open == (sock->fd >= 0));
    loop->paused = true;
}

void wf_sock_resume(wf_loop *loop, wf_sock *sock) {
    CHECK(loop->open == (sock->fd >= 0));
    loop->paused = false;
}

int64_t wf_sock_send(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count) {
    CHECK(loop->open && sock->fd >= 0 && count > 0);
    CHECK(!loop->sending && !loop->shut);
    if (loop->broken) {
        errno = EPIPE;
        return WF_ESYS;
    }
    size_t most = loop->take_max > 0 && loop->take_max < loop->room ? loop->take_max : loop->room, taken = 0;
    for (int i = 0; i < count; i++) {
        CHECK(ranges[i].iov_len > 0);
        size_t len = ranges[i].iov_len < most - taken ? ranges[i].iov_len : most - taken;
        fuzz_put(&loop->out, ranges[i].iov_base, len);
        taken += len;
    }
    loop->room -= taken;
    loop->sending = taken == 0;
    return taken > 0 ? (int64_t)taken : WF_SEND_LATER;
}

void wf_sock_shutdown(wf_loop *loop, wf_sock *sock) {
    CHECK(loop->open && sock->fd >= 0 && !loop->shut);
    loop->shut = true;
}

void wf_sock_patience(const wf_loop *loop, const wf_sock *sock, uint32_t ms) {
    CHECK(loop->open && sock->fd >= 0 && ms > 0);
}

void wf_sock_close(wf_loop *loop, wf_sock *sock) {
    CHECK(loop->open == (sock->fd >= 0));
    loop->open = loop->sending = false;
    sock->fd = -1;
}

int64_t wf_sock_send_soon(wf_loop *loop, wf_sock *sock, const struct iovec *ranges, int count) {
    return wf_sock_send(loop, sock, ranges, count);
}

size_t wf_loop_memory(const wf_loop *loop) {
    (void)loop;
    return 0;
}

void wf_loop_flush(wf_loop *loop) {
    (void)loop;
}

void wf_sock_abort(wf_loop *loop, wf_sock *sock) {
    wf_sock_close(loop, sock);
}

int wf_port_adopt(wf_loop *loop, wf_sock *sock, wf_port *port) {
    (void)loop, (void)sock, (void)port;
    return WF_ENOMEM;
}
