/*
 * CONNECT is one request and the head of one answer, which the reader of all answers reads. SOCKS is three short
 * exchanges, each gathered until its length is known, and then until it is whole:
 *
 *      greeting    05 count methods...              -->      <--  05 method
 *      password    01 len user len password         -->      <--  01 status          (method 02)
 *      request     05 01 00 type address port       -->      <--  05 reply 00 type address port
 */
#include "client/tunnel.h"

#include "base/assert.h"
#include "http/credentials.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

enum { STEP_METHOD, STEP_PASSWORD, STEP_REPLY, STEP_THROUGH };
enum { SOCKS_VERSION = 5, PASSWORD_VERSION = 1, METHOD_NONE = 0, METHOD_PASSWORD = 2, METHOD_REFUSED = 0xff };
enum { TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4, REPLY_HEAD_BYTES = 4 };

static int refuse(wf_tunnel *tunnel, int sys_errno, const char *rule) {
    tunnel->fault.sys_errno = sys_errno;
    return wf_fault_set(&tunnel->fault, WF_ERROR, 0, rule);
}

static int out_of_memory(wf_tunnel *tunnel) {
    tunnel->fault.sys_errno = ENOMEM;
    return wf_fault_set(&tunnel->fault, WF_ENOMEM, 0, "out of memory");
}

/* ---- CONNECT ---- */

static int ask_http(wf_tunnel *tunnel, const wf_http_limits *limits, wf_buf *out) {
    const wf_proxy *proxy = tunnel->proxy;
    char both[sizeof proxy->user + sizeof proxy->password];
    snprintf(both, sizeof both, "%s:%s", proxy->user, proxy->password);
    wf_credentials credentials = {.user_password = proxy->authenticates ? both : NULL};
    tunnel->reply = wf_http_reply_reader_new(limits);
    if (!tunnel->reply)
        return out_of_memory(tunnel);
    wf_http_reply_of_connect(tunnel->reply);
    int status = wf_buf_printf(out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", tunnel->target, tunnel->target) |
                 wf_credentials_write(out, "Proxy-Authorization", &credentials) | wf_buf_append_str(out, "\r\n");
    return status ? out_of_memory(tunnel) : WF_OK;
}

static int judge_http(wf_tunnel *tunnel, int got) {
    if (got == WF_WANT_INPUT)
        return got;
    if (got == WF_ENOMEM)
        return out_of_memory(tunnel);
    if (got < 0)
        return refuse(tunnel, wf_http_reply_fault(tunnel->reply)->sys_errno, wf_http_reply_fault(tunnel->reply)->rule);
    if (wf_http_reply_of(tunnel->reply)->status / 100 != 2)
        return refuse(tunnel, 0, "RFC9110/9.3.6: the proxy made no tunnel");
    tunnel->step = STEP_THROUGH;
    return WF_OK;
}

/* ---- SOCKS ---- */

static void await(wf_tunnel *tunnel, int step) {
    tunnel->step = (uint8_t)step;
    tunnel->need = 2;
    tunnel->in_len = 0;
}

static int say(wf_tunnel *tunnel, wf_buf *out, const void *bytes, size_t len) {
    return wf_buf_append(out, bytes, len) < 0 ? out_of_memory(tunnel) : WF_OK;
}

static int greet(wf_tunnel *tunnel, wf_buf *out) {
    const uint8_t greeting[] = {SOCKS_VERSION, 2, METHOD_NONE, METHOD_PASSWORD}, alone[] = {SOCKS_VERSION, 1, 0};
    await(tunnel, STEP_METHOD);
    return tunnel->proxy->authenticates ? say(tunnel, out, greeting, sizeof greeting)
                                        : say(tunnel, out, alone, sizeof alone);
}

static int say_password(wf_tunnel *tunnel, wf_buf *out) {
    uint8_t message[3 + 255 + 255];
    size_t user = strlen(tunnel->proxy->user), password = strlen(tunnel->proxy->password);
    wf_assert(user <= 255 && password <= 255);
    message[0] = PASSWORD_VERSION;
    message[1] = (uint8_t)user;
    memcpy(message + 2, tunnel->proxy->user, user);
    message[2 + user] = (uint8_t)password;
    memcpy(message + 3 + user, tunnel->proxy->password, password);
    await(tunnel, STEP_PASSWORD);
    return say(tunnel, out, message, 3 + user + password);
}

/* Type and address, of a host that may be an address in text. Returns their length. */
static size_t put_host(uint8_t *out, wf_str host) {
    char text[256] = "";
    bool bracketed = host.data[0] == '[';
    if (bracketed)
        host = (wf_str) {host.data + 1, host.len - 2};
    wf_assert(host.len < sizeof text);
    memcpy(text, host.data, host.len);
    if (bracketed && inet_pton(AF_INET6, text, out + 1) == 1) {
        out[0] = TYPE_IPV6;
        return 1 + 16;
    }
    if (inet_pton(AF_INET, text, out + 1) == 1) {
        out[0] = TYPE_IPV4;
        return 1 + 4;
    }
    out[0] = TYPE_NAME;
    out[1] = (uint8_t)host.len;
    memcpy(out + 2, host.data, host.len);
    return 2 + host.len;
}

static int ask_socks(wf_tunnel *tunnel, wf_buf *out) {
    uint8_t message[WF_SOCKS_REPLY_BYTES_MAX] = {SOCKS_VERSION, 1, 0};
    wf_str host = {0};
    unsigned port = 0;
    bool split = wf_http_host_split(wf_str_of(tunnel->target), &host, &port);
    wf_assert(split && port != 0);
    size_t len = 3 + put_host(message + 3, host);
    wf_store_be16(message + len, (uint16_t)port);
    await(tunnel, STEP_REPLY);
    return say(tunnel, out, message, len + 2);
}

static int on_method(wf_tunnel *tunnel, wf_buf *out) {
    bool offered = tunnel->proxy->authenticates;
    if (tunnel->in[0] != SOCKS_VERSION)
        return refuse(tunnel, 0, "RFC1928/3: the proxy does not speak SOCKS 5");
    if (tunnel->in[1] == METHOD_NONE)
        return ask_socks(tunnel, out);
    if (tunnel->in[1] == METHOD_PASSWORD && offered)
        return say_password(tunnel, out);
    if (tunnel->in[1] != METHOD_REFUSED)
        return refuse(tunnel, 0, "RFC1928/3: the proxy chose a way to authenticate that was not offered");
    return refuse(tunnel, 0,
                  offered ? "RFC1928/3: the proxy takes neither a password nor none"
                          : "RFC1928/3: the proxy wants to be authenticated to");
}

static int on_password(wf_tunnel *tunnel, wf_buf *out) {
    if (tunnel->in[0] != PASSWORD_VERSION)
        return refuse(tunnel, 0, "RFC1929/2: the proxy's answer to the password is of no known version");
    if (tunnel->in[1] != 0)
        return refuse(tunnel, 0, "RFC1929/2: the proxy refused user and password");
    return ask_socks(tunnel, out);
}

static int refused(wf_tunnel *tunnel, uint8_t reply) {
    static const struct {
        int sys_errno;
        const char *rule;
    } replies[] = {
        {0, "RFC1928/6: the proxy refused with a code that is not assigned"},
        {EREMOTEIO, "RFC1928/6: the proxy failed (1)"},
        {0, "RFC1928/6: not allowed by the proxy's rules (2)"},
        {ENETUNREACH, "RFC1928/6: the network cannot be reached from the proxy (3)"},
        {EHOSTUNREACH, "RFC1928/6: the host cannot be reached from the proxy (4)"},
        {ECONNREFUSED, "RFC1928/6: the host refused the proxy's connection (5)"},
        {EHOSTUNREACH, "RFC1928/6: the time to live was over on the way from the proxy (6)"},
        {0, "RFC1928/6: the proxy does not know how to connect (7)"},
        {0, "RFC1928/6: the proxy does not take this kind of address (8)"},
    };
    size_t at = reply < sizeof replies / sizeof replies[0] ? reply : 0;
    return refuse(tunnel, replies[at].sys_errno, replies[at].rule);
}

/* What a refusal says is in its first two bytes, and some end there. */
static int on_reply(wf_tunnel *tunnel) {
    if (tunnel->in[0] != SOCKS_VERSION)
        return refuse(tunnel, 0, "RFC1928/6: the proxy's reply is not one of SOCKS 5");
    if (tunnel->in[1] != 0)
        return refused(tunnel, tunnel->in[1]);
    if (tunnel->need == 2) {
        tunnel->need = REPLY_HEAD_BYTES + 1;
        return WF_OK;
    }
    if (tunnel->need == REPLY_HEAD_BYTES + 1) {
        uint8_t type = tunnel->in[3];
        if (type != TYPE_IPV4 && type != TYPE_IPV6 && type != TYPE_NAME)
            return refuse(tunnel, 0, "RFC1928/6: the proxy's reply has an address of no known type");
        int bytes = type == TYPE_IPV4 ? 4 : type == TYPE_IPV6 ? 16 : 1 + tunnel->in[4];
        tunnel->need = (uint16_t)(REPLY_HEAD_BYTES + bytes + 2);
        return WF_OK;
    }
    tunnel->step = STEP_THROUGH;
    return WF_OK;
}

static int on_whole(wf_tunnel *tunnel, wf_buf *out) {
    switch (tunnel->step) {
    case STEP_METHOD:
        return on_method(tunnel, out);
    case STEP_PASSWORD:
        return on_password(tunnel, out);
    default:
        return on_reply(tunnel);
    }
}

static int feed_socks(wf_tunnel *tunnel, const uint8_t *data, size_t len, size_t *out_used, wf_buf *out) {
    int got = WF_OK;
    while (got == WF_OK && tunnel->step != STEP_THROUGH) {
        size_t left = len - *out_used, wanted = (size_t)(tunnel->need - tunnel->in_len);
        size_t step = left < wanted ? left : wanted;
        memcpy(tunnel->in + tunnel->in_len, data + *out_used, step);
        tunnel->in_len = (uint16_t)(tunnel->in_len + step);
        *out_used += step;
        got = step < wanted ? WF_WANT_INPUT : on_whole(tunnel, out);
        if (got == WF_OK && out->len > 0 && *out_used < len) /* it cannot know yet what we say now */
            got = refuse(tunnel, 0, "RFC1928/3: the proxy spoke before it was asked");
    }
    return got;
}

/* ---- both ---- */

void wf_tunnel_init(wf_tunnel *tunnel, const wf_proxy *proxy, const char *target) {
    *tunnel = (wf_tunnel) {.proxy = proxy, .target = target};
}

void wf_tunnel_deinit(wf_tunnel *tunnel) {
    wf_http_reply_reader_free(tunnel->reply);
    tunnel->reply = NULL;
}

int wf_tunnel_begin(wf_tunnel *tunnel, const wf_http_limits *limits, wf_buf *out) {
    return tunnel->proxy->kind == WF_PROXY_HTTP ? ask_http(tunnel, limits, out) : greet(tunnel, out);
}

int wf_tunnel_feed(wf_tunnel *tunnel, const uint8_t *data, size_t len, size_t *out_used, wf_buf *out) {
    *out_used = 0;
    wf_assert(tunnel->step != STEP_THROUGH);
    if (tunnel->fault.status < 0)
        return tunnel->fault.status;
    return tunnel->proxy->kind == WF_PROXY_HTTP
               ? judge_http(tunnel, wf_http_reply_feed(tunnel->reply, data, len, out_used))
               : feed_socks(tunnel, data, len, out_used, out);
}

int wf_tunnel_end(wf_tunnel *tunnel) {
    if (tunnel->fault.status < 0)
        return tunnel->fault.status;
    if (tunnel->proxy->kind == WF_PROXY_HTTP)
        return judge_http(tunnel, wf_http_reply_end(tunnel->reply));
    return refuse(tunnel, ECONNRESET, "RFC1928/6: the proxy ended the connection");
}

const wf_fault *wf_tunnel_fault(const wf_tunnel *tunnel) {
    return &tunnel->fault;
}

wf_http_reply_reader *wf_tunnel_take_reply(wf_tunnel *tunnel) {
    bool whole = tunnel->reply && tunnel->fault.status < 0 && wf_http_reply_is_whole(tunnel->reply);
    wf_http_reply_reader *reply = whole ? tunnel->reply : NULL;
    if (whole)
        tunnel->reply = NULL;
    return reply;
}
