/*
 * The backend: a server that publishes by the HTTP API, one request after the other on one connection, and ends the
 * connections of a user now and then. What is acknowledged has gone to each of its channels, once.
 */
#include "sim.h"
#include "world.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH_MAX = 4, EVENT_CHANNELS_MAX = 4, PAUSE_MS = 100, REQUEST_WITHIN_MS = 2000 };

typedef struct backend {
    uint32_t first, last; /* events of the request that is under way; last < first: none */
    bool waits;
} backend;

static backend backends[CLIENTS_MAX];

/* ---- requests ---- */

static void to_hex(const uint8_t *bytes, size_t len, char *out) {
    for (size_t i = 0; i < len; i++)
        sprintf(out + 2 * i, "%02x", bytes[i]);
}

void world_sign(const char *text, char out_hex[65]) {
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    HMAC(EVP_sha256(), WORLD_SECRET, (int)strlen(WORLD_SECRET), (const uint8_t *)text, strlen(text), bytes, &len);
    to_hex(bytes, len, out_hex);
}

void backend_ask(sim_client *c, const char *method, const char *rest, const char *params, const char *body) {
    char query[512], text[1024], hex[65], md5[80] = "";
    uint8_t bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (body) {
        EVP_Digest(body, strlen(body), bytes, &len, EVP_md5(), NULL);
        strcpy(md5, "&body_md5=");
        to_hex(bytes, len, md5 + strlen(md5));
    }
    snprintf(query, sizeof query, "auth_key=%s&auth_timestamp=%lld&auth_version=1.0%s%s%s", WORLD_KEY,
             (long long)time(NULL), md5, params[0] ? "&" : "", params);
    snprintf(text, sizeof text, "%s\n/apps/%s/%s\n%s", method, WORLD_APP, rest, query);
    world_sign(text, hex);
    sim_client_print(c, "%s /apps/%s/%s?%s&auth_signature=%s HTTP/1.1\r\nHost: sim\r\n", method, WORLD_APP, rest, query,
                     hex);
    if (body)
        sim_client_print(c, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", strlen(body));
    else
        sim_client_print(c, "\r\n");
    if (body)
        sim_client_put(c, body, strlen(body));
}

size_t backend_read(sim_client *c, void (*answered)(sim_client *c, int status, const char *body, size_t len)) {
    const uint8_t *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    const uint8_t *length = memmem(c->in, c->in_len, "Content-Length: ", 16);
    int status = c->in_len > 12 ? atoi((const char *)c->in + 9) : 0;
    if (!end || (!length && status != 204))
        return 0;
    size_t head_len = (size_t)(end - c->in) + 4, len = status == 204 ? 0 : strtoul((const char *)length + 16, NULL, 10);
    if (c->in_len - head_len < len)
        return 0;
    sim_trace("is answered", c->id, status, (int64_t)len);
    c->progress_ns = sim.now_ns;
    c->received++;
    if (status != 200 && status != 204 && sim_client_excused(c))
        c->ending = WORLD_REFUSED;
    else
        answered(c, status, (const char *)end + 4, len);
    return head_len + len;
}

/* ---- what it asks ---- */

static void begin(sim_client *c) {
    backends[c->id] = (backend) {.first = 1};
    c->total = sim_log_between(1, 60);
    c->budget = sim_log_between(1, 2000);
    c->ending = (int)sim_below(4);
    c->next_ns = (uint64_t)sim_below(world_busy_ms()) * SIM_MS;
    c->delay_us_max = c->delay_us_max > 2000 ? 2000 : c->delay_us_max; /* a request has 10 s */
    c->read_max = c->write_max = CLIENT_BYTES_MAX;
}

/* A new event, to some channels; half of them leave somebody out. */
static json_t *new_event(sim_client *c, uint32_t *out_number, uint32_t channels_max) {
    char name[32], text[8192];
    uint32_t number = *out_number = truth_event_new(c->id);
    truth_event *event = &truth_events[number];
    json_t *json = json_object(), *channels = json_array();
    snprintf(name, sizeof name, "event-%u", number);
    truth_event_text(number, text);
    for (uint32_t n = 1 + sim_below(channels_max); n > 0; n--) {
        int channel = (int)sim_below(CHANNELS);
        bool encrypted = strncmp(truth_channel_name(channel), "private-encrypted-", 18) == 0;
        if (event->meant & 1u << channel || (encrypted && event->meant))
            continue;
        event->meant |= 1u << channel;
        json_array_append_new(channels, json_string(truth_channel_name(channel)));
        if (encrypted)
            break;
    }
    snprintf(event->except, sizeof event->except, "%s",
             sim_below(2) ? chatter_socket_id((int)sim_below(CLIENTS_MAX)) : "");
    json_object_set_new(json, "name", json_string(name));
    json_object_set_new(json, "data", json_string(text));
    if (event->except[0])
        json_object_set_new(json, "socket_id", json_string(event->except));
    if (channels_max > 1)
        json_object_set(json, "channels", channels);
    else
        json_object_set(json, "channel", json_array_get(channels, 0));
    json_decref(channels);
    return json;
}

static void post(sim_client *c, const char *rest, json_t *json) {
    char *body = json_dumps(json, sim_below(2) ? JSON_COMPACT : JSON_ENSURE_ASCII);
    backend_ask(c, "POST", rest, "", body);
    free(body);
    json_decref(json);
}

static void publish_batch(sim_client *c, backend *b) {
    json_t *batch = json_array();
    uint32_t count = 1 + sim_below(BATCH_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number;
        json_array_append_new(batch, new_event(c, &number, 1));
        b->first = i == 0 ? number : b->first;
        b->last = number;
    }
    post(c, "batch_events", json_pack("{s:o}", "batch", batch));
}

static void act(sim_client *c) {
    backend *b = &backends[c->id];
    char rest[128];
    *b = (backend) {.first = 1, .waits = true};
    uint32_t what = sim_below(40);
    if (what == 0) {
        static const char *const escaped[USERS] = {"anna", "bo%22b", "7", "otto", "%C3%A9va", "x"};
        snprintf(rest, sizeof rest, "users/%s/terminate_connections", escaped[sim_below(USERS)]);
        backend_ask(c, "POST", rest, "", NULL);
    } else if (what < 15) {
        publish_batch(c, b);
    } else {
        json_t *event = new_event(c, &b->first, sim_below(2) ? 1 : EVENT_CHANNELS_MAX);
        b->last = b->first;
        post(c, "events", event);
    }
    c->sent++;
}

static void speak(sim_client *c) {
    const backend *b = &backends[c->id];
    c->quiet = true;
    if (b->waits || world_now() != WORLD_BUSY)
        return;
    if (sim.now_ns < c->pause_until_ns) {
        sim_client_rest(c, PAUSE_MS);
    } else if (c->sent < c->total) {
        act(c);
        c->pause_until_ns = sim.now_ns + (uint64_t)sim_below(c->budget) * SIM_MS;
        c->quiet = false;
    } else if (c->ending == 0) {
        sim_pipe_fin(c->pipe);
    }
}

static void answered(sim_client *c, int status, const char *body, size_t len) {
    backend *b = &backends[c->id];
    if (!b->waits || status != 200)
        sim_fail("api", "client %d is answered %d, %.*s", c->id, status, (int)len, body);
    if (len != 2 || memcmp(body, "{}", 2) != 0)
        sim_fail("api", "client %d is answered %.*s", c->id, (int)len, body);
    for (uint32_t n = b->first; n <= b->last; n++)
        if (truth_events[n].went != truth_events[n].meant)
            sim_fail("api", "event %u was acknowledged, and has not gone to all its channels", n);
    b->waits = false;
}

static size_t read_some(sim_client *c) {
    return backend_read(c, answered);
}

/* An idle connection may be closed. */
static void ended(sim_client *c, sim_end end) {
    if (!sim_client_excused(c) && (end != SIM_END_FIN || backends[c->id].waits))
        sim_fail("api", "client %d: ended by %d after %u of %u answers", c->id, (int)end, c->received, c->sent);
}

static bool waits(const sim_client *c) {
    return backends[c->id].waits;
}

const sim_model world_backend = {"backend", begin, speak, read_some, NULL, ended, waits, NULL};
