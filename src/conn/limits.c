/*
 * Defaults of what a connection may take, filled in here and nowhere else. Zero is "the default", WEFT_NONE is "no
 * limit" or "never".
 */
#include "conn/conn.h"

#include "ws/close.h"

static const weft_limits standard_limits = {
    .message_bytes_max = 1024 * 1024,
    .queue_bytes_max = 1024 * 1024,
    .slow_policy = WEFT_SLOW_CLOSE,
    .ping_interval_ms = 25000,
    .ping_timeout_ms = 8000,
    .ping_timeout_code = 1008,
    .message_timeout_ms = 30000,
    .send_timeout_ms = 30000,
    .close_timeout_ms = 5000,
    .pings_per_second = 10,
    .empty_fragments_max = 1024,
    .topics_max = 128,
};

void wf_fill(uint32_t *value, uint32_t standard) {
    if (*value == 0)
        *value = standard;
}

void wf_limits_fill(weft_limits *limits, const weft_limits *standard) {
    if (!standard)
        standard = &standard_limits;
    wf_fill(&limits->message_bytes_max, standard->message_bytes_max);
    wf_fill(&limits->queue_bytes_max, standard->queue_bytes_max);
    if (limits->slow_policy == WEFT_SLOW_DEFAULT)
        limits->slow_policy = standard->slow_policy;
    wf_fill(&limits->ping_interval_ms, standard->ping_interval_ms);
    wf_fill(&limits->ping_timeout_ms, standard->ping_timeout_ms);
    wf_fill(&limits->ping_timeout_code, standard->ping_timeout_code);
    wf_fill(&limits->message_timeout_ms, standard->message_timeout_ms);
    wf_fill(&limits->send_timeout_ms, standard->send_timeout_ms);
    wf_fill(&limits->close_timeout_ms, standard->close_timeout_ms);
    wf_fill(&limits->pings_per_second, standard->pings_per_second);
    wf_fill(&limits->empty_fragments_max, standard->empty_fragments_max);
    wf_fill(&limits->topics_max, standard->topics_max);
}

static bool bits_ok(uint32_t bits) {
    return bits >= WF_WINDOW_BITS_MIN && bits <= WF_WINDOW_BITS_MAX;
}

int wf_deflate_fill(weft_deflate *deflate, const weft_deflate *standard, uint32_t peer_window_bits) {
    if (deflate->mode == WEFT_DEFLATE_DEFAULT && standard)
        *deflate = *standard;
    if (deflate->mode == WEFT_DEFLATE_DEFAULT)
        deflate->mode = WEFT_DEFLATE_OFF;
    wf_fill(&deflate->window_bits, 12);
    wf_fill(&deflate->client_window_bits, peer_window_bits);
    wf_fill(&deflate->message_bytes_min, deflate->mode == WEFT_DEFLATE_DEDICATED ? 32 : 128);
    bool good = bits_ok(deflate->window_bits) && bits_ok(deflate->client_window_bits) &&
                deflate->mode <= WEFT_DEFLATE_DEDICATED;
    return good ? WF_OK : WF_EINVAL;
}

wf_link_limits wf_limits_of_link(const weft_limits *limits) {
    bool may_travel = limits->ping_timeout_code < 5000 && wf_close_code_ok((int)limits->ping_timeout_code);
    return (wf_link_limits) {
        .ws = {limits->message_bytes_max == WEFT_NONE ? INT64_MAX : limits->message_bytes_max,
               limits->empty_fragments_max},
        .intervals = {limits->ping_interval_ms, limits->ping_timeout_ms, limits->message_timeout_ms,
                      limits->send_timeout_ms},
        .queue_bytes_max = limits->queue_bytes_max,
        .slow_policy = (wf_slow_policy)limits->slow_policy,
        .close_timeout_ms = limits->close_timeout_ms,
        .ping_timeout_code = may_travel ? (int)limits->ping_timeout_code : 1008,
        .pings_per_second = limits->pings_per_second,
    };
}
