/*
 * The server of a run, whatever its application is.
 */
#include "app.h"

#include "net/loop.h"
#include "pipe_tls.h"
#include "sim.h"

/* The loop's receive buffers are of a size of the seed's: small ones wrap, run out, and cut everything. */
static size_t recv_bytes;

wf_loop *__real_wf_loop_new_on(wf_loop_kind kind, size_t bytes);
wf_loop *__wrap_wf_loop_new_on(wf_loop_kind kind, size_t bytes);

wf_loop *__wrap_wf_loop_new_on(wf_loop_kind kind, size_t bytes) {
    (void)bytes;
    return __real_wf_loop_new_on(kind, recv_bytes);
}

static bool listen_on_wire(weft_server *server) {
    static const char address[] = "127.0.0.1:9001";
    if (!sim_is_secure())
        return weft_server_listen(server, address) == WEFT_OK;
    static weft_certificate certificates[2];
    certificates[0].chain_file = certificates[0].key_file = sim_tls_file();
    return weft_server_tls(server, &(weft_tls_server) {WEFT_TLS_SERVER_INIT, .certificates = certificates}) ==
               WEFT_OK &&
           weft_server_listen_tls(server, address) == WEFT_OK;
}

void sim_server_listen(weft_server *server) {
    if (!listen_on_wire(server))
        sim_fail("simulator", "the server could not listen");
}

weft_server *sim_server_new(weft_config config) {
    config.backend = sim.on_uring ? WEFT_BACKEND_IO_URING : WEFT_BACKEND_EPOLL;
    config.http2 = sim.wire == SIM_H2 ? WEFT_HTTP2_CLEAR : WEFT_HTTP2_DEFAULT;
    recv_bytes = sim_log_between(64, 512 * 1024);
    weft_server *server = weft_server_new(&config);
    if (!server)
        sim_fail("simulator", "the server could not be made");
    return server;
}

void sim_server_route(weft_server *server, const weft_route *route) {
    if (weft_server_route(server, route) != WEFT_OK)
        sim_fail("simulator", "a route could not be made");
}
