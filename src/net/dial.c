#include "net/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

static void set_on(int fd, int level, int name) {
    int on = 1;
    setsockopt(fd, level, name, &on, sizeof on); /* both are for speed: without them it works as well */
}

static int bind_local(int fd, const wf_address *local) {
    if (!local)
        return 0;
    /* The port is chosen at connect, when the destination is known: two connections may then share one. */
    set_on(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    return bind(fd, (const struct sockaddr *)&local->storage, local->len);
}

int wf_dial_open(const wf_address *address, const wf_address *local) {
    int family = address->storage.ss_family;
    if (local && local->storage.ss_family != family) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX)
        set_on(fd, IPPROTO_TCP, TCP_NODELAY);
    if (bind_local(fd, local) == 0) {
        int status;
        do {
            status = connect(fd, (const struct sockaddr *)&address->storage, address->len);
        } while (status < 0 && errno == EINTR);
        if (status == 0 || errno == EINPROGRESS || errno == EALREADY)
            return fd;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}
