/*
 * Defaults are filled in here, once, and nowhere else. Zero is "the default", WEFT_NONE is "no limit" or
 * "never".
 */
#include "server/server_impl.h"

#include <sys/resource.h>
#include <unistd.h>

static void fill(uint32_t *value, uint32_t standard) {
    if (*value == 0)
        *value = standard;
}

static uint32_t descriptors(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 8 * 1024 * 1024)
        return 8 * 1024 * 1024;
    return (uint32_t)limit.rlim_cur;
}

static void fill_limits(weft_limits *limits, const weft_limits *standard) {
    fill(&limits->message_bytes_max, standard->message_bytes_max);
    fill(&limits->queue_bytes_max, standard->queue_bytes_max);
    if (limits->slow_policy == WEFT_SLOW_DEFAULT)
        limits->slow_policy = standard->slow_policy;
    fill(&limits->ping_interval_ms, standard->ping_interval_ms);
    fill(&limits->ping_timeout_ms, standard->ping_timeout_ms);
    fill(&limits->message_timeout_ms, standard->message_timeout_ms);
    fill(&limits->send_timeout_ms, standard->send_timeout_ms);
    fill(&limits->close_timeout_ms, standard->close_timeout_ms);
    fill(&limits->pings_per_second, standard->pings_per_second);
    fill(&limits->empty_fragments_max, standard->empty_fragments_max);
    fill(&limits->topics_max, standard->topics_max);
}

static const weft_limits standard_limits = {
    .message_bytes_max = 1024 * 1024,
    .queue_bytes_max = 1024 * 1024,
    .slow_policy = WEFT_SLOW_CLOSE,
    .ping_interval_ms = 25000,
    .ping_timeout_ms = 8000,
    .message_timeout_ms = 30000,
    .send_timeout_ms = 30000,
    .close_timeout_ms = 5000,
    .pings_per_second = 10,
    .empty_fragments_max = 1024,
    .topics_max = 128,
};

static bool bits_ok(uint32_t bits) {
    return bits >= WF_WINDOW_BITS_MIN && bits <= WF_WINDOW_BITS_MAX;
}

static int resolve_deflate(weft_deflate *deflate, const weft_deflate *standard) {
    if (deflate->mode == WEFT_DEFLATE_DEFAULT && standard)
        *deflate = *standard;
    if (deflate->mode == WEFT_DEFLATE_DEFAULT)
        deflate->mode = WEFT_DEFLATE_OFF;
    fill(&deflate->window_bits, 12);
    fill(&deflate->client_window_bits, 12);
    fill(&deflate->message_bytes_min, deflate->mode == WEFT_DEFLATE_DEDICATED ? 32 : 128);
    bool good = bits_ok(deflate->window_bits) && bits_ok(deflate->client_window_bits) &&
                deflate->mode <= WEFT_DEFLATE_DEDICATED;
    return good ? WF_OK : WF_EINVAL;
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
    if (config->struct_size != sizeof *config || resolve_deflate(&config->deflate, NULL) < 0 ||
        config->backend > WEFT_BACKEND_IO_URING)
        return WF_EINVAL;
    fill(&config->workers, 1);
    if (config->workers == WEFT_NONE) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        config->workers = online > 0 ? (uint32_t)online : 1;
    }
    if (config->workers > 255)
        config->workers = 255;
    uint32_t fds = descriptors();
    uint32_t own = 128 + 8 * config->workers; /* loops, listeners, and those that are told 503 */
    fill(&config->connections_max, fds > 2 * own ? fds - own : fds / 2);
    if (config->connections_max > 8 * 1024 * 1024)
        config->connections_max = 8 * 1024 * 1024;
    uint32_t tenth = config->connections_max / 10;
    fill(&config->half_open_max, tenth > 64 ? tenth : 64);
    fill(&config->head_bytes_max, 8 * 1024);
    fill(&config->headers_max, 64);
    fill(&config->body_bytes_max, 1024 * 1024);
    fill(&config->handshake_timeout_ms, 10000);
    fill(&config->answer_timeout_ms, 30000);
    fill(&config->keep_alive_ms, 15000);
    fill(&config->backlog, 4096);
    if (config->memory_bytes_max == WEFT_NONE)
        config->memory_bytes_max = UINT64_MAX;
    if (config->memory_bytes_max == 0) {
        long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
        config->memory_bytes_max = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : UINT64_C(1) << 30;
    }
    fill_limits(&config->limits, &standard_limits);
    return WF_OK;
}

void wf_server_http(const weft_config *config, wf_link_http *out_http) {
    *out_http = (wf_link_http) {
        .limits = {config->head_bytes_max, config->headers_max, config->body_bytes_max},
        .handshake_timeout_ms = config->handshake_timeout_ms,
        .answer_timeout_ms = config->answer_timeout_ms,
        .keep_alive_ms = config->keep_alive_ms,
        .send_timeout_ms = config->limits.send_timeout_ms,
    };
}

int wf_route_limits(const weft_route *route, const weft_config *server, wf_link_limits *out_limits,
                    uint32_t *out_topics) {
    weft_limits limits = route->limits;
    weft_deflate deflate = route->deflate;
    fill_limits(&limits, &server->limits);
    if (resolve_deflate(&deflate, &server->deflate) < 0)
        return WF_EINVAL;
    *out_limits = (wf_link_limits) {
        .ws = {limits.message_bytes_max == WEFT_NONE ? INT64_MAX : limits.message_bytes_max,
               limits.empty_fragments_max},
        .pmd = pmd_config(&deflate),
        .intervals = {limits.ping_interval_ms, limits.ping_timeout_ms, limits.message_timeout_ms,
                      limits.send_timeout_ms},
        .queue_bytes_max = limits.queue_bytes_max,
        .slow_policy = (wf_slow_policy)limits.slow_policy,
        .close_timeout_ms = limits.close_timeout_ms,
        .pings_per_second = limits.pings_per_second,
    };
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
