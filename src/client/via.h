/*
 * via.h - a dial through a proxy: which one, what it is asked for, and how far it has come. The addresses of the dial
 * are then the proxy's; the host whose certificate is verified, and the request, are the target's.
 */
#ifndef WF_CLIENT_VIA_H
#define WF_CLIENT_VIA_H

#include "client/tunnel.h"

#include <weft/client.h>

typedef struct wf_via {
    wf_proxy proxy;
    wf_tunnel tunnel;
    bool seeks; /* the target's name is to be looked up first, by us */
    char target[WF_HOST_BYTES_MAX + sizeof ".:65535"];
} wf_via;

/* The proxy of a dial. `addresses` are the target's, as far as they are known, and become the proxy's. WF_OK: *out_via
 * is the caller's, NULL when there is no proxy; WF_EINVAL with a static text in *out_why; WF_ENOMEM. */
int wf_via_new(const weft_client_config *config, const weft_dial *dial, wf_addresses *addresses, wf_via **out_via,
               const char **out_why);
wf_via *wf_via_copy(const wf_via *via); /* of one that has not begun. NULL: no memory */
void wf_via_free(wf_via *via);          /* NULL is accepted */

/* The target's name was looked up. */
void wf_via_found(wf_via *via, const wf_address *address);

#endif
