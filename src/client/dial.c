/*
 * From a weft_dial to a call: everything that can be judged without the network is judged here, at once; all the
 * network has to say goes by way of the link, and is told in a turn. So a refused connection looks the same whether
 * the kernel knows it within connect() or a second later.
 */
#include "client/client_impl.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/response.h"
#include "net/dial.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static wf_pmd_offer offer_of(const weft_deflate *deflate) {
    bool dedicated = deflate->mode == WEFT_DEFLATE_DEDICATED;
    uint32_t server_bits = deflate->client_window_bits;
    return (wf_pmd_offer) {
        .server_no_context_takeover = deflate->mode == WEFT_DEFLATE_NO_TAKEOVER,
        .client_no_context_takeover = !dedicated,
        .server_max_window_bits = server_bits < WF_WINDOW_BITS_MAX ? (uint8_t)server_bits : 0,
        .client_bits = true,
        .client_max_window_bits = dedicated ? (uint8_t)deflate->window_bits : 0,
    };
}

void wf_dialling_free(wf_dialling *dialling) {
    if (!dialling)
        return;
    wf_race_free(dialling->race);
    wf_via_free(dialling->via);
    wf_mem_free(dialling->again);
    wf_buf_deinit(&dialling->request);
    wf_http_reply_reader_free(dialling->reply);
    wf_mem_free(dialling->subprotocols);
    wf_mem_free(dialling->host);
    wf_mem_free(dialling);
}

static int copy_subprotocols(wf_dialling *dialling, const char *const *list) {
    size_t count = 0, bytes = 0;
    for (; list && list[count]; count++)
        bytes += strlen(list[count]) + 1;
    if (count == 0)
        return WF_OK;
    char **copy = wf_mem_alloc((count + 1) * sizeof *copy + bytes);
    if (!copy)
        return WF_ENOMEM;
    char *text = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(list[i]) + 1;
        copy[i] = memcpy(text, list[i], len);
        text += len;
    }
    copy[count] = NULL;
    dialling->subprotocols = copy;
    return WF_OK;
}

static int write_request(weft_client *client, wf_dialling *dialling, const weft_dial *dial, const wf_url *url,
                         const char **out_why) {
    uint8_t nonce[WF_OPENING_NONCE_BYTES];
    char extensions[WF_PMD_TEXT_MAX];
    if (wf_mask_random(&client->keys, nonce, sizeof nonce) < 0)
        return WF_ESYS;
    wf_opening opening = {.url = url,
                          .nonce = nonce,
                          .origin = dial->origin,
                          .subprotocols = dial->subprotocols,
                          .credentials = {dial->user_password, dial->bearer_token},
                          .headers = dial->headers};
    if (dialling->offers)
        opening.extensions = (wf_str) {extensions, wf_pmd_offer_write(&dialling->offer, extensions)};
    return wf_opening_write(&dialling->request, &opening, dialling->key, out_why);
}

/* What the dial says about where to and from where. */
static int find_addresses(const weft_dial *dial, const wf_url *url, wf_addresses *out_addresses, wf_address *out_local,
                          const char **out_why) {
    char local[WF_ADDRESS_TEXT_BYTES];
    bool ipv6 = dial->local_address && strchr(dial->local_address, ':') && dial->local_address[0] != '[';
    if (dial->local_address) {
        int len = snprintf(local, sizeof local, ipv6 ? "[%s]:0" : "%s:0", dial->local_address);
        const char *unused;
        if (len < 0 || (size_t)len >= sizeof local || wf_address_parse(local, out_local, &unused) < 0) {
            *out_why = "local_address is not an IP address";
            return WF_EINVAL;
        }
    }
    if (url->host.len > WF_HOST_BYTES_MAX) { /* and no certificate can be of it either */
        *out_why = "the host is over 253 bytes";
        return WF_EINVAL;
    }
    return dial->address ? wf_addresses_parse(dial->address, out_addresses, out_why)
                         : wf_addresses_of_url(url, out_addresses, out_why);
}

static bool is_unix(const wf_address *address) {
    return address->storage.ss_family == AF_UNIX;
}

static uint32_t first_of(uint32_t value, uint32_t standard) {
    return value ? value : standard;
}

/* Without the brackets of an IPv6 address, and without the dot that ends a whole name. */
static int copy_host(wf_dialling *dialling, wf_str host) {
    if (host.len > 1 && host.data[0] == '[') {
        host.data++;
        host.len -= 2;
    } else if (host.len > 1 && host.data[host.len - 1] == '.') {
        host.len--;
        dialling->rooted = true;
    }
    dialling->host = wf_mem_zalloc(host.len + 1);
    if (!dialling->host)
        return WF_ENOMEM;
    memcpy(dialling->host, host.data, host.len);
    return WF_OK;
}

static int want_tls(weft_client *client, const char **out_why) {
    if (client->tls)
        return WF_OK;
    const weft_tls_client *tls = &client->config.tls;
    wf_tls_client_options options = {.insecure = tls->insecure,
                                     .ca_file = tls->ca_file,
                                     .cert_file = tls->cert_file,
                                     .key_file = tls->key_file,
                                     .keylog_file = tls->keylog_file,
                                     .sessions_max = tls->sessions_max == WEFT_NONE ? 0 : tls->sessions_max};
    client->tls = wf_tls_client_context(&options, client->error, sizeof client->error);
    *out_why = client->error;
    return client->tls ? WF_OK : WF_EINVAL;
}

static int make_dialling(weft_client *client, const weft_dial *dial, const weft_deflate *deflate,
                         wf_dialling **out_dialling, const char **out_why) {
    wf_url url;
    wf_addresses addresses;
    wf_address local = {0};
    if (wf_url_parse(wf_str_of(dial->url), &url, out_why) < 0 ||
        find_addresses(dial, &url, &addresses, &local, out_why) < 0 || (url.tls && want_tls(client, out_why) < 0))
        return WF_EINVAL;
    wf_via *via;
    int got = wf_via_new(&client->config, dial, &addresses, &via, out_why);
    if (got != WF_OK)
        return got;
    size_t room = addresses.count > 0 ? addresses.count : WF_ADDRESSES_MAX;
    wf_dialling *dialling = wf_mem_zalloc(sizeof *dialling + room * sizeof addresses.list[0]);
    if (!dialling) {
        wf_via_free(via);
        return WF_ENOMEM;
    }
    dialling->via = via;
    dialling->connect_timeout_ms = first_of(dial->connect_timeout_ms, client->config.connect_timeout_ms);
    memcpy(dialling->addresses, addresses.list, addresses.count * sizeof addresses.list[0]);
    dialling->count = addresses.count;
    dialling->port = url.port;
    dialling->secure = url.tls;
    dialling->from_local = dial->local_address && (addresses.count == 0 || !is_unix(&addresses.list[0]));
    dialling->local = local;
    dialling->offers = deflate->mode != WEFT_DEFLATE_OFF;
    dialling->offer = offer_of(deflate);
    got = write_request(client, dialling, dial, &url, out_why);
    if (got == WF_OK)
        got = copy_subprotocols(dialling, dial->subprotocols);
    if (got == WF_OK && (url.tls || !url.socket.data))
        got = copy_host(dialling, url.host);
    if (got != WF_OK) {
        wf_dialling_free(dialling);
        return got;
    }
    *out_dialling = dialling;
    return WF_OK;
}

wf_dialling *wf_dialling_of_trunk(const wf_dialling *from) {
    size_t room = from->count > 0 ? from->count : WF_ADDRESSES_MAX;
    wf_dialling *d = wf_mem_zalloc(sizeof *d + room * sizeof d->addresses[0]);
    if (!d)
        return NULL;
    memcpy(d->addresses, from->addresses, from->count * sizeof d->addresses[0]);
    d->count = from->count;
    d->port = from->port;
    d->secure = d->http2 = from->secure;
    d->connect_timeout_ms = WF_NEVER;
    d->from_local = from->from_local;
    d->local = from->local;
    if ((from->via && !(d->via = wf_via_copy(from->via))) || (from->host && copy_host(d, wf_str_of(from->host)) < 0)) {
        wf_dialling_free(d);
        return NULL;
    }
    d->rooted = from->rooted;
    return d;
}

static void retry_soon(wf_call *call) {
    weft_client *client = wf_call_client(call);
    call->waiting = true;
    call->waiting_next = client->waiting;
    client->waiting = call;
}

void wf_call_wait_no_more(wf_call *call) {
    for (wf_call **at = &wf_call_client(call)->waiting; call->waiting && *at; at = &(*at)->waiting_next)
        if (*at == call) {
            *at = call->waiting_next;
            break;
        }
    call->waiting = false;
}

void wf_call_give_up(wf_call *call) {
    if (call->dialling->asker.lookup)
        wf_lookups_give_up(wf_call_client(call)->lookups, &call->dialling->asker);
    wf_race_free(call->dialling->race);
    call->dialling->race = NULL;
    wf_call_wait_no_more(call);
    wf_call_gives_turn(call);
}

int wf_call_tls(wf_call *call, wf_tls **out_tls) {
    wf_dialling *d = call->dialling;
    weft_client *client = wf_call_client(call);
    *out_tls = d->secure ? wf_tls_connect(client->tls, &client->env.tls, d->host, d->port, d->http2) : NULL;
    return d->secure && !*out_tls ? WF_ENOMEM : WF_OK;
}

/* Adopts a descriptor that connects. WF_OK; WF_ESYS with errno, or WF_ENOMEM: it is still the caller's. */
static int begin(wf_call *call, int fd) {
    wf_dialling *d = call->dialling;
    wf_tls *tls;
    if (d->via)
        return wf_call_begin_via(call, fd);
    if (wf_call_tls(call, &tls) < 0)
        return WF_ENOMEM;
    int got = wf_link_connect(&call->link, fd, tls, (wf_str) {(const char *)d->request.data, d->request.len});
    if (got != WF_OK)
        wf_tls_free(tls);
    return got;
}

void wf_call_die_soon(wf_call *call, int sys_errno) {
    wf_link_die(&call->link, sys_errno, NULL);
    wf_outq_mark_ready(&call->link.q); /* so that the next turn pulls its end */
}

static void seek(wf_call *call) {
    weft_client *client = wf_call_client(call);
    wf_dialling *d = call->dialling;
    if (!client->lookups)
        client->lookups = wf_lookups_new(client->loop);
    char name[WF_HOST_BYTES_MAX + 1];
    bool proxy = d->via && !d->via->seeks;
    unsigned port = proxy ? d->via->proxy.port : d->port;
    if (proxy)
        snprintf(name, sizeof name, "%s", d->via->proxy.host);
    else
        snprintf(name, sizeof name, "%s%s", d->host, d->rooted ? "." : "");
    d->asker.owner = call;
    int got = client->lookups ? wf_lookups_start(client->lookups, name, port, &d->asker) : WF_ENOMEM;
    if (got != WF_OK)
        wf_call_die_soon(call, got == WF_ESYS ? errno : got == WF_ENOMEM ? ENOMEM : ENOBUFS);
}

void wf_call_found(wf_call *call, const wf_lookup *lookup) {
    wf_dialling *d = call->dialling;
    d->find_error = lookup->error;
    if (lookup->error != 0) {
        wf_call_die_soon(call, lookup->sys_errno);
        return;
    }
    if (d->via && d->via->seeks) {
        wf_via_found(d->via, &lookup->found.list[0]);
    } else {
        d->count = lookup->found.count;
        memcpy(d->addresses, lookup->found.list, d->count * sizeof d->addresses[0]);
        wf_addresses_interleave(d->addresses, d->count);
    }
    wf_call_connect(call);
}

/* The only address, or the one that has won. */
static void connect_one(wf_call *call, int fd) {
    int got = begin(call, fd);
    if (got == WF_OK)
        return;
    int sys_errno = got == WF_ENOMEM ? ENOMEM : errno;
    close(fd);
    wf_call_die_soon(call, sys_errno);
}

static const wf_address *local_of(const wf_dialling *d) {
    return d->from_local ? &d->local : NULL;
}

/* What a race came to. */
static void raced(wf_call *call, int got, int fd) {
    wf_dialling *d = call->dialling;
    if (got == WF_ERROR) {
        d->at = d->race->failed_last;
        wf_call_die_soon(call, d->race->sys_errno);
    } else if (fd >= 0) {
        connect_one(call, fd);
    } else if (d->race->next_ms != UINT64_MAX && !call->waiting) {
        retry_soon(call);
    }
}

static void race(wf_call *call) {
    weft_client *client = wf_call_client(call);
    wf_dialling *d = call->dialling;
    if (!d->race)
        d->race = wf_race_new(client->loop, d->addresses, d->count, local_of(d));
    if (!d->race) {
        wf_call_die_soon(call, ENOMEM);
        return;
    }
    d->race->owner = call;
    raced(call, wf_race_step(d->race, client->env.now_ms), -1);
}

void wf_call_raced(wf_call *call, const wf_loop_event *event) {
    wf_dialling *d = call->dialling;
    int fd = -1;
    if (call->link.stage != WF_LINK_CONNECTING)
        return; /* given up in this turn */
    int got = wf_race_event(d->race, event, wf_call_client(call)->env.now_ms, &fd, &d->at);
    raced(call, got == WF_WANT_INPUT ? WF_OK : got, fd);
    if (fd >= 0) {
        wf_call_wait_no_more(call);
        wf_race_free(d->race);
        d->race = NULL;
    }
}

void wf_call_connect(wf_call *call) {
    wf_dialling *d = call->dialling;
    if (d->count == 0 || (d->via && d->via->seeks)) {
        seek(call);
        return;
    }
    if (!wf_call_takes_turn(call))
        return;
    if (d->count > 1) {
        race(call);
        return;
    }
    int fd = wf_dial_open(&d->addresses[0], local_of(d));
    if (fd >= 0)
        connect_one(call, fd);
    else if (errno == EAGAIN && is_unix(&d->addresses[0]))
        retry_soon(call);
    else
        wf_call_die_soon(call, errno);
}

static void list_call(weft_client *client, wf_call *call) {
    call->next = client->calls;
    if (client->calls)
        client->calls->prev = call;
    client->calls = call;
    client->call_count++;
}

static int fail_dial(weft_client *client, const char *why) {
    if (why != client->error)
        snprintf(client->error, sizeof client->error, "%s", why);
    return WEFT_EINVAL;
}

static void take_callbacks(wf_call *call, const weft_dial *dial) {
    call->user = call->link.user = dial->user;
    call->open = dial->open;
    call->message = dial->message;
    call->drained = dial->drained;
    call->pong = dial->pong;
    call->control = dial->control;
    call->closed = dial->closed;
    call->failed = dial->failed;
}

static wf_link_limits limits_of(const weft_client *client, const weft_dial *dial, const weft_deflate *deflate) {
    weft_limits filled = dial->limits;
    wf_limits_fill(&filled, &client->config.limits);
    wf_link_limits limits = wf_limits_of_link(&filled);
    limits.handshake_timeout_ms = first_of(dial->handshake_timeout_ms, client->config.handshake_timeout_ms);
    limits.pmd.bytes_min = deflate->message_bytes_min;
    return limits;
}

void wf_call_anew(wf_call *call) {
    void *user = call->link.user;
    wf_link_deinit(&call->link);
    wf_lane_free(call);
    wf_link_dial(&call->link, &wf_call_client(call)->env, &call->limits, call->dialling->connect_timeout_ms);
    call->link.user = user;
}

bool wf_call_dial_again(wf_call *call, wf_again *again) {
    weft_client *client = wf_call_client(call);
    weft_deflate deflate = again->dial.deflate;
    const char *why;
    wf_dialling *dialling;
    if (wf_deflate_fill(&deflate, &client->config.deflate, WF_WINDOW_BITS_MAX) < 0 ||
        make_dialling(client, &again->dial, &deflate, &dialling, &why) != WF_OK)
        return false;
    wf_link_deinit(&call->link);
    wf_call_gives_turn(call);
    wf_dialling_free(call->dialling);
    dialling->again = again;
    dialling->call = call;
    call->dialling = dialling;
    wf_call_anew(call);
    wf_call_begin(call);
    return true;
}

int wf_client_dial(weft_client *client, const weft_dial *dial, wf_reconnect *reconnect, weft_conn **out_conn) {
    weft_deflate deflate = dial->deflate;
    const char *why = "";
    wf_dialling *dialling;
    if (wf_deflate_fill(&deflate, &client->config.deflate, WF_WINDOW_BITS_MAX) < 0)
        return fail_dial(client, "deflate: a window has 8 to 15 bits");
    int got = make_dialling(client, dial, &deflate, &dialling, &why);
    if (got != WF_OK)
        return got == WF_EINVAL ? fail_dial(client, why) : got;
    wf_call *call = wf_mem_zalloc(sizeof *call);
    if (dial->redirects_max)
        dialling->again = wf_again_new(dial);
    if (!call || (dial->redirects_max && !dialling->again)) {
        wf_mem_free(call);
        wf_dialling_free(dialling);
        return WEFT_ENOMEM;
    }
    dialling->call = call;
    client->env.now_ms = wf_clock_ms();
    call->dialling = dialling;
    call->reconnect = reconnect;
    call->limits = limits_of(client, dial, &deflate);
    wf_link_dial(&call->link, &client->env, &call->limits, dialling->connect_timeout_ms);
    take_callbacks(call, dial);
    list_call(client, call);
    wf_call_begin(call);
    if (out_conn)
        *out_conn = wf_call_conn(call);
    return WEFT_OK;
}

int weft_client_dial(weft_client *client, const weft_dial *dial, weft_conn **out_conn) {
    wf_reconnect *reconnect = NULL;
    const char *why;
    if (dial->struct_size != sizeof *dial)
        return fail_dial(client, "struct_size is not set: begin with WEFT_DIAL_INIT");
    if (!dial->url)
        return fail_dial(client, "there is no url");
    int got = dial->retry ? wf_reconnect_new(dial, &reconnect, &why) : WF_OK;
    if (got == WF_EINVAL)
        return fail_dial(client, why);
    if (got == WF_OK)
        got = wf_client_dial(client, dial, reconnect, out_conn);
    if (got != WF_OK)
        wf_reconnect_free(reconnect);
    return got;
}
