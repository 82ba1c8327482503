/*
 * The link knows of a proxy only that other words come before its own: they are said here, and then it goes on as if it
 * had connected to the target.
 */
#include "client/client_impl.h"

#include "base/mem.h"
#include "http/url.h"

#include <errno.h>
#include <stdio.h>

/* ---- which ---- */

static const char *proxy_of(const weft_client_config *config, const weft_dial *dial) {
    const char *text = dial->proxy ? dial->proxy : config->proxy;
    return text && strcmp(text, "none") != 0 ? text : NULL;
}

static int addresses_of(const wf_proxy *proxy, wf_addresses *out_addresses, const char **out_why) {
    wf_url url = {.host = wf_str_of(proxy->host), .port = proxy->port};
    return wf_addresses_of_url(&url, out_addresses, out_why);
}

/* What is asked for: an address where one was given or we look names up, else the URL's host as it stands. */
static int find_target(wf_via *via, const weft_dial *dial, const wf_addresses *known, const char **out_why) {
    bool ours = via->proxy.kind == WF_PROXY_SOCKS5;
    wf_url url;
    if (wf_url_parse(wf_str_of(dial->url), &url, out_why) < 0)
        return WF_EINVAL;
    snprintf(via->target, sizeof via->target, "%.*s:%u", (int)url.host.len, url.host.data, url.port);
    if (known->count > 0 && (dial->address || ours))
        wf_via_found(via, &known->list[0]);
    via->seeks = ours && known->count == 0;
    return WF_OK;
}

int wf_via_new(const weft_client_config *config, const weft_dial *dial, wf_addresses *addresses, wf_via **out_via,
               const char **out_why) {
    const char *text = proxy_of(config, dial);
    bool is_unix = addresses->count > 0 && addresses->list[0].storage.ss_family == AF_UNIX;
    *out_via = NULL;
    if (text && is_unix && dial->proxy) {
        *out_why = "a proxy does not lead to a unix socket";
        return WF_EINVAL;
    }
    if (!text || is_unix)
        return WF_OK;
    wf_via *via = wf_mem_zalloc(sizeof *via);
    if (!via)
        return WF_ENOMEM;
    int got = wf_proxy_parse(wf_str_of(text), &via->proxy, out_why);
    if (got == WF_OK)
        got = find_target(via, dial, addresses, out_why);
    if (got == WF_OK)
        got = addresses_of(&via->proxy, addresses, out_why);
    if (got != WF_OK) {
        wf_via_free(via);
        return got;
    }
    wf_tunnel_init(&via->tunnel, &via->proxy, via->target);
    *out_via = via;
    return WF_OK;
}

wf_via *wf_via_copy(const wf_via *via) {
    wf_via *copy = wf_mem_alloc(sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *via;
    wf_tunnel_init(&copy->tunnel, &copy->proxy, copy->target);
    return copy;
}

void wf_via_free(wf_via *via) {
    if (!via)
        return;
    wf_tunnel_deinit(&via->tunnel);
    wf_mem_free(via);
}

void wf_via_found(wf_via *via, const wf_address *address) {
    via->seeks = false;
    wf_address_format(address, via->target, sizeof via->target);
}

/* ---- what is said ---- */

int wf_call_begin_via(wf_call *call, int fd) {
    wf_buf out = WF_BUF_INIT;
    int got = wf_tunnel_begin(&call->dialling->via->tunnel, &wf_call_client(call)->http.limits, &out);
    if (got == WF_OK)
        got = wf_link_connect(&call->link, fd, NULL, (wf_str) {(const char *)out.data, out.len});
    if (got == WF_OK)
        wf_link_tunnel(&call->link);
    wf_buf_deinit(&out);
    return got;
}

/* What stands in `rest` is the target's already. */
static void through(wf_call *call, uint8_t *rest, size_t rest_len) {
    wf_dialling *d = call->dialling;
    wf_tls *tls;
    int got = wf_call_tls(call, &tls);
    if (got == WF_OK)
        got = wf_link_through(&call->link, tls, (wf_str) {(const char *)d->request.data, d->request.len});
    if (got == WF_OK) {
        wf_link_feed(&call->link, rest, rest_len);
    } else {
        wf_tls_free(tls);
        wf_link_die(&call->link, ENOMEM, "out of memory");
    }
}

void wf_call_told(wf_call *call, const uint8_t *data, size_t len) {
    wf_dialling *d = call->dialling;
    wf_tunnel *tunnel = &d->via->tunnel;
    wf_buf out = WF_BUF_INIT;
    size_t used = 0;
    int got = len > 0 ? wf_tunnel_feed(tunnel, data, len, &used, &out) : wf_tunnel_end(tunnel);
    if (got == WF_WANT_INPUT) {
        wf_link_send_raw(&call->link, out.data, out.len); /* without memory it has died */
    } else if (got == WF_OK) {
        through(call, (uint8_t *)data + used, len - used);
    } else {
        const wf_fault *fault = wf_tunnel_fault(tunnel);
        d->reply = wf_tunnel_take_reply(tunnel);
        wf_link_die(&call->link, fault->sys_errno, fault->rule);
    }
    wf_buf_deinit(&out);
}
