/*
 * Addresses are told apart by their first bytes: "unix:" is a path or an abstract name, '[' opens an IPv6
 * host, a text without a colon is a port alone, and anything else is host, colon, port. Numbers are read
 * strictly; the only names known are "localhost", "*" and the empty one, so that nothing ever asks a
 * resolver.
 */
#include "net/address.h"

#include "base/bytes.h"
#include "base/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PATH_BYTES = sizeof((struct sockaddr_un *)0)->sun_path,
    PATH_OFFSET = offsetof(struct sockaddr_un, sun_path),
};

static const char unix_prefix[] = "unix:";

/* NULL, or why it is not a port. */
static const char *parse_port(wf_str text, in_port_t *out_port) {
    unsigned port = 0;
    bool valid = text.len >= 1 && text.len <= 5;
    for (size_t i = 0; valid && i < text.len; i++) {
        valid = text.data[i] >= '0' && text.data[i] <= '9';
        port = port * 10 + (unsigned)(text.data[i] - '0');
    }
    if (!valid || port > 65535)
        return "port is not a number from 0 to 65535";
    *out_port = htons((uint16_t)port);
    return NULL;
}

static void set_ipv4(wf_address *address, struct in_addr host, in_port_t port) {
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    *in = (struct sockaddr_in) {.sin_family = AF_INET, .sin_port = port, .sin_addr = host};
    address->len = sizeof *in;
}

static void set_ipv6(wf_address *address, struct in6_addr host, in_port_t port) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;
    *in6 = (struct sockaddr_in6) {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = host};
    address->len = sizeof *in6;
}

/* A kernel without IPv6 says so when asked for a socket; any other refusal will show again, better explained,
 * when the address is put to use. */
static bool has_ipv6(void) {
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno != EAFNOSUPPORT;
    close(fd);
    return true;
}

static void set_any(wf_address *address, in_port_t port) {
    if (has_ipv6())
        set_ipv6(address, in6addr_any, port);
    else
        set_ipv4(address, (struct in_addr) {htonl(INADDR_ANY)}, port);
}

static const char *parse_unix(wf_str name, wf_address *address) {
    bool abstract = name.len > 0 && name.data[0] == '@';
    if (name.len == (abstract ? 1 : 0))
        return "unix socket has no name";
    if (name.len >= PATH_BYTES)
        return "unix socket name is over 107 bytes";
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, name.data, name.len);
    if (abstract) /* a NUL in front, and none behind: the length alone ends it (unix(7)) */
        un->sun_path[0] = '\0';
    address->len = (socklen_t)(PATH_OFFSET + name.len + (abstract ? 0 : 1));
    return NULL;
}

/* `text` starts behind the opening bracket. */
static const char *parse_bracketed(wf_str text, wf_address *address) {
    const char *end = memchr(text.data, ']', text.len);
    if (!end)
        return "closing bracket is missing";
    char host[INET6_ADDRSTRLEN] = "";
    size_t host_len = (size_t)(end - text.data);
    struct in6_addr in6;
    if (host_len < sizeof host)
        memcpy(host, text.data, host_len);
    if (inet_pton(AF_INET6, host, &in6) != 1)
        return "what stands in brackets is not an IPv6 address";
    wf_str rest = {end + 1, text.len - host_len - 1};
    if (rest.len == 0 || rest.data[0] != ':')
        return "port is missing: write [host]:port";
    in_port_t port;
    const char *why = parse_port((wf_str) {rest.data + 1, rest.len - 1}, &port);
    if (!why)
        set_ipv6(address, in6, port);
    return why;
}

static const char *parse_host_port(wf_str host, wf_str port_text, wf_address *address) {
    in_port_t port;
    const char *why = parse_port(port_text, &port);
    if (why)
        return why;
    if (host.len == 0 || wf_str_eq(host, wf_str_of("*"))) {
        set_any(address, port);
        return NULL;
    }
    struct in_addr in = {htonl(INADDR_LOOPBACK)};
    char dotted[INET_ADDRSTRLEN] = "";
    if (host.len < sizeof dotted)
        memcpy(dotted, host.data, host.len);
    if (!wf_str_eq_nocase(host, wf_str_of("localhost")) && inet_pton(AF_INET, dotted, &in) != 1)
        return "host is neither an IP address nor localhost";
    set_ipv4(address, in, port);
    return NULL;
}

static const char *parse(wf_str text, wf_address *address) {
    static const size_t prefix_len = sizeof unix_prefix - 1;
    if (text.len == 0)
        return "address is empty";
    if (text.len >= prefix_len && memcmp(text.data, unix_prefix, prefix_len) == 0)
        return parse_unix((wf_str) {text.data + prefix_len, text.len - prefix_len}, address);
    if (text.data[0] == '[')
        return parse_bracketed((wf_str) {text.data + 1, text.len - 1}, address);
    const char *colon = memchr(text.data, ':', text.len);
    if (!colon) {
        bool starts_like_port = text.data[0] >= '0' && text.data[0] <= '9' && !memchr(text.data, '.', text.len);
        return starts_like_port ? parse_host_port((wf_str) {NULL, 0}, text, address)
                                : "port is missing: write host:port";
    }
    wf_str host = {text.data, (size_t)(colon - text.data)};
    wf_str port = {colon + 1, text.len - host.len - 1};
    if (memchr(port.data, ':', port.len))
        return "an IPv6 address needs brackets: [::1]:9001";
    return parse_host_port(host, port, address);
}

int wf_address_parse(const char *text, wf_address *out_address, const char **out_why) {
    wf_address address = {0};
    const char *why = parse(wf_str_of(text), &address);
    if (why) {
        *out_why = why;
        return WF_EINVAL;
    }
    *out_address = address;
    return 0;
}

static void format_unix(const wf_address *address, char *out, size_t cap) {
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    size_t len = address->len > PATH_OFFSET ? address->len - PATH_OFFSET : 0;
    if (len > PATH_BYTES)
        len = PATH_BYTES;
    bool abstract = len > 0 && un->sun_path[0] == '\0';
    if (!abstract)
        len = strnlen(un->sun_path, len);
    size_t at = (size_t)snprintf(out, cap, "%s", unix_prefix);
    for (size_t i = 0; i < len && at + 1 < cap; i++) {
        char c = un->sun_path[i];
        bool prints = (unsigned char)c >= 0x20 && c != 0x7f;
        out[at++] = abstract && i == 0 ? '@' : prints ? c : '?';
        out[at] = '\0';
    }
}

/* By hand: printf takes longer than all else that is done for a new connection's address. */
static void format_ipv4(const struct sockaddr_in *in, char *out, size_t cap) {
    char text[sizeof "255.255.255.255:65535" + WF_DECIMAL_MAX];
    uint8_t parts[4];
    size_t len = 0;
    memcpy(parts, &in->sin_addr, sizeof parts);
    for (size_t i = 0; i < sizeof parts; i++) {
        len += wf_decimal(text + len, parts[i]);
        text[len++] = i < 3 ? '.' : ':';
    }
    len += wf_decimal(text + len, ntohs(in->sin_port));
    if (cap == 0)
        return;
    if (len >= cap)
        len = cap - 1;
    memcpy(out, text, len);
    out[len] = '\0';
}

void wf_address_format(const wf_address *address, char *out, size_t cap) {
    char host[INET6_ADDRSTRLEN];
    const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
    switch (address->storage.ss_family) {
    case AF_INET:
        format_ipv4(in, out, cap);
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(out, cap, "[%s]:%u", host, ntohs(in6->sin6_port));
        break;
    case AF_UNIX:
        format_unix(address, out, cap);
        break;
    default:
        snprintf(out, cap, "?");
        break;
    }
}
