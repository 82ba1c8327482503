/*
 * Two questions stand before a socket may listen: is the address somebody else's, and is what lies there ours
 * to replace?
 *
 * TCP: our threads each open the address through SO_REUSEPORT, which would just as well let a second server of the
 * same user join in silence and take half of the connections. So, unless sharing is asked for, the first socket is
 * preceded by a throw-away one that binds without SO_REUSEPORT: it is refused when anyone listens. It never listens
 * itself, so no client can land on it.
 *
 * Unix: a socket file outlives its server. Connecting tells: refused means nobody is there, and the file is
 * replaced. Whatever is not a socket is never removed.
 */
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int give_up(int fd) {
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static bool set_option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static const struct sockaddr *sockaddr_of(const wf_address *address) {
    return (const struct sockaddr *)&address->storage;
}

/* A bound TCP socket, or -1. */
static int bind_tcp(const wf_address *address, bool reuse_port) {
    int family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    bool dual_stack = family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
    if (!set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) || (reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
        (dual_stack && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) || !set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
        bind(fd, sockaddr_of(address), address->len) < 0)
        return give_up(fd);
    return fd;
}

static in_port_t port_of(const wf_address *address) {
    return address->storage.ss_family == AF_INET ? ((const struct sockaddr_in *)&address->storage)->sin_port
                                                 : ((const struct sockaddr_in6 *)&address->storage)->sin6_port;
}

static int open_tcp(wf_address *address, bool alone, int backlog) {
    if (alone && port_of(address) != 0) {
        int probe = bind_tcp(address, false);
        if (probe < 0)
            return -1;
        close(probe);
    }
    int fd = bind_tcp(address, true);
    if (fd < 0)
        return -1;
    wf_address bound = {.len = sizeof bound.storage};
    if (listen(fd, backlog) < 0 || getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len) < 0)
        return give_up(fd);
    *address = bound;
    return fd;
}

/* The path is taken. True: it was a socket file nobody answers on, and is gone. Else errno says why it stays. */
static bool remove_stale(const wf_address *address) {
    const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
    struct stat status;
    if (lstat(path, &status) < 0)
        return errno == ENOENT;
    if (!S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool answered = connect(fd, sockaddr_of(address), address->len) == 0;
    int why = errno;
    close(fd);
    if (!answered && why == ECONNREFUSED)
        return unlink(path) == 0 || errno == ENOENT;
    /* A full queue (EAGAIN) and another type of socket (EPROTOTYPE) are somebody, too. */
    errno = answered || why == EAGAIN || why == EPROTOTYPE ? EADDRINUSE : why;
    return false;
}

static int open_unix(const wf_address *address, int backlog) {
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    bool abstract = un->sun_path[0] == '\0';
    if (address->len > sizeof *un || (!abstract && strnlen(un->sun_path, sizeof un->sun_path) == sizeof un->sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int status = bind(fd, sockaddr_of(address), address->len);
    if (status < 0 && errno == EADDRINUSE && !abstract) {
        if (!remove_stale(address))
            return give_up(fd);
        status = bind(fd, sockaddr_of(address), address->len);
    }
    if (status < 0 || listen(fd, backlog) < 0)
        return give_up(fd);
    return fd;
}

int wf_listen_open(wf_address *address, bool alone, int backlog) {
    switch (address->storage.ss_family) {
    case AF_INET:
    case AF_INET6:
        return open_tcp(address, alone, backlog);
    case AF_UNIX:
        return open_unix(address, backlog);
    default:
        errno = EAFNOSUPPORT;
        return -1;
    }
}
