/*
 * Defaults are filled in here, once, and nowhere else. Zero is "the default", WEFT_NONE is "no limit" or
 * "never".
 */
#include "server/server_impl.h"

#include <sys/resource.h>
#include <unistd.h>

enum { WINDOW_BITS = 12 }; /* that clients are asked to keep to */

static uint32_t descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 8 * 1024 * 1024)
        return 8 * 1024 * 1024;
    return (uint32_t)limit.rlim_cur;
}

static wf_pmd_config pmd_config(const weft_deflate *deflate) {
    return (wf_pmd_config) {
        .on = deflate->mode != WEFT_DEFLATE_OFF,
        .server_takeover = deflate->mode == WEFT_DEFLATE_DEDICATED,
        .client_takeover = deflate->mode != WEFT_DEFLATE_NO_TAKEOVER,
        .server_bits = deflate->mode == WEFT_DEFLATE_DEDICATED ? (uint8_t)deflate->window_bits : WF_WINDOW_BITS_MAX,
        .client_bits = (uint8_t)deflate->client_window_bits,
        .bytes_min = deflate->message_bytes_min,
    };
}

int wf_server_resolve(weft_config *config, const weft_config *given) {
    *config = given ? *given : (weft_config) {WEFT_CONFIG_INIT};
    if (config->struct_size != sizeof *config || wf_deflate_fill(&config->deflate, NULL, WINDOW_BITS) < 0 ||
        config->backend > WEFT_BACKEND_IO_URING)
        return WF_EINVAL;
    wf_fill(&config->workers, 1);
    if (config->workers == WEFT_NONE) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        config->workers = online > 0 ? (uint32_t)online : 1;
    }
    if (config->workers > 255)
        config->workers = 255;
    uint32_t fds = descriptors();
    uint32_t own = 128 + 8 * config->workers; /* loops, listeners, and those that are told 503 */
    wf_fill(&config->connections_max, fds > 2 * own ? fds - own : fds / 2);
    if (config->connections_max > 8 * 1024 * 1024)
        config->connections_max = 8 * 1024 * 1024;
    uint32_t tenth = config->connections_max / 10;
    wf_fill(&config->half_open_max, tenth > 64 ? tenth : 64);
    wf_fill(&config->head_bytes_max, 8 * 1024);
    wf_fill(&config->headers_max, 64);
    wf_fill(&config->body_bytes_max, 1024 * 1024);
    wf_fill(&config->handshake_timeout_ms, 10000);
    wf_fill(&config->answer_timeout_ms, 30000);
    wf_fill(&config->keep_alive_ms, 15000);
    wf_fill(&config->backlog, 4096);
    if (config->memory_bytes_max == WEFT_NONE)
        config->memory_bytes_max = UINT64_MAX;
    if (config->memory_bytes_max == 0) {
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        config->memory_bytes_max = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_C(1) << 30;
    }
    wf_limits_fill(&config->limits, NULL);
    return WF_OK;
}

void wf_server_http(const weft_config *config, wf_link_http *out_http) {
    *out_http = (wf_link_http) {
        .limits = {config->head_bytes_max, config->headers_max, config->body_bytes_max},
        .handshake_timeout_ms = config->handshake_timeout_ms,
        .answer_timeout_ms = config->answer_timeout_ms,
        .keep_alive_ms = config->keep_alive_ms,
        .send_timeout_ms = config->limits.send_timeout_ms,
        .h2c = config->http2 == WEFT_HTTP2_CLEAR,
    };
}

int wf_route_limits(const weft_route *route, const weft_config *server, wf_link_limits *out_limits,
                    uint32_t *out_topics) {
    weft_limits limits = route->limits;
    weft_deflate deflate = route->deflate;
    wf_limits_fill(&limits, &server->limits);
    if (wf_deflate_fill(&deflate, &server->deflate, WINDOW_BITS) < 0)
        return WF_EINVAL;
    *out_limits = wf_limits_of_link(&limits);
    out_limits->pmd = pmd_config(&deflate);
    *out_topics = limits.topics_max;
    return WF_OK;
}

size_t wf_list_count(const char *const *list) {
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

/* The longest match; a path without '*' beats a prefix of the same length. */
const wf_route *wf_route_find(const weft_server *server, wf_str path) {
    const wf_route *best = NULL;
    for (size_t i = 0; i < server->route_count; i++) {
        const wf_route *r = &server->routes[i];
        if (path.len < r->path_len || memcmp(path.data, r->is.path, r->path_len) != 0)
            continue;
        if (!r->prefix && path.len != r->path_len)
            continue;
        if (!best || r->path_len > best->path_len || (r->path_len == best->path_len && !r->prefix))
            best = r;
    }
    return best;
}
