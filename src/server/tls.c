/*
 * A server's certificates: given before it runs, loaded anew while it does.
 */
#include "server/server_impl.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(weft_certificate) == sizeof(wf_tls_certificate) &&
                   offsetof(weft_certificate, key_file) == offsetof(wf_tls_certificate, key_file) &&
                   offsetof(weft_certificate, ocsp_file) == offsetof(wf_tls_certificate, ocsp_file),
               "public and internal certificates are laid out alike");

static int tls_failed(weft_server *server, const char *why, int status) {
    snprintf(server->error, sizeof server->error, "%s", why);
    return status;
}

int weft_server_tls(weft_server *server, const weft_tls_server *tls) {
    char why[sizeof server->error];
    if (tls->struct_size != sizeof *tls)
        return tls_failed(server, "struct_size is not set: begin with WEFT_TLS_SERVER_INIT", WEFT_EINVAL);
    if (server->running || server->tls)
        return tls_failed(server, "TLS is set up once, before the server runs", WEFT_EINVAL);
    size_t count = 0;
    while (tls->certificates && tls->certificates[count].chain_file) {
        if (!tls->certificates[count++].key_file)
            return tls_failed(server, "a certificate has no key_file", WEFT_EINVAL);
    }
    if ((count > 0) == tls->self_signed)
        return tls_failed(server, "TLS needs certificates, or self_signed", WEFT_EINVAL);
    wf_tls_server_options options = {
        .certificates = (const wf_tls_certificate *)tls->certificates,
        .count = count,
        .self_signed = tls->self_signed,
        .client_ca_file = tls->client_ca_file,
        .keylog_file = tls->keylog_file,
        .tls13_only = tls->tls13_only,
        .http2 = server->config.http2 != WEFT_HTTP2_OFF,
    };
    server->tls_failed = tls->failed;
    server->tls_user = tls->user;
    server->tls = wf_tls_server_context(&options, why, sizeof why);
    return server->tls ? WEFT_OK : tls_failed(server, why, WEFT_EINVAL);
}

int weft_server_tls_reload(weft_server *server, char *out_why, size_t cap) {
    if (!server->tls) {
        snprintf(out_why, cap, "there is no TLS");
        return WEFT_EINVAL;
    }
    return wf_tls_reload(server->tls, out_why, cap) == WF_OK ? WEFT_OK : WEFT_EINVAL;
}

void weft_server_fingerprint(const weft_server *server, char *out, size_t cap) {
    char text[WF_TLS_FINGERPRINT_BYTES] = "";
    if (server->tls)
        wf_tls_fingerprint(server->tls, text);
    snprintf(out, cap, "%s", text);
}
