/*
 * The keys stand under a lock for as long as it takes to take a reference. A token is looked at once, when a request
 * shows it; from then on there is only a time at which a connection ends.
 *
 * That time is somewhere in the leeway behind `exp`, at random: tokens that were made together would else end
 * together, and so would come back.
 */
#include "app/room_auth.h"

#include "app/log.h"
#include "app/room.h"
#include "app/routes.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/rand.h>

enum { TICK_MS = APP_EXPIRY_MS, ENDS_IN_TICK = 8192 };

#define EXPIRED "it has expired"

static struct {
    const app_config *config;
    weft_server *server;
    pthread_mutex_t lock;
    jwt_keys *keys; /* under the lock once it runs; NULL: tokens are not looked at */
    app_expiry expiry;
    atomic_bool reloads;
    bool by_thread;
} auth = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- keys ---- */

static bool judges_tokens(void) {
    return auth.config->jwt_keys_file != NULL;
}

static void count_keys(const jwt_keys *keys, char count[2][24]) {
    size_t passed_over;
    snprintf(count[0], sizeof count[0], "%zu", jwt_keys_count(keys, &passed_over));
    snprintf(count[1], sizeof count[1], "%zu", passed_over);
}

bool room_auth_open(const app_config *config, char *why, size_t cap) {
    char problem[256], count[2][24];
    auth.config = config;
    if (!judges_tokens())
        return true;
    auth.keys = jwt_keys_read(config->jwt_keys_file, problem, sizeof problem);
    if (!auth.keys) {
        snprintf(why, cap, "--jwt-keys: cannot use %s: %s", config->jwt_keys_file, problem);
        return false;
    }
    count_keys(auth.keys, count);
    app_log(APP_DEBUG, "keys for tokens loaded", "keys", count[0], "passed_over", count[1], NULL);
    return true;
}

void room_auth_free(void) {
    jwt_keys_unref(auth.keys);
    auth.keys = NULL;
}

static void reload(void) {
    char why[256], count[2][24];
    const char *file = auth.config->jwt_keys_file;
    jwt_keys *keys = jwt_keys_read(file, why, sizeof why);
    if (!keys) {
        app_log(APP_ERROR, "keys for tokens stay as they were", "file", file, "error", why, NULL);
        return;
    }
    count_keys(keys, count);
    pthread_mutex_lock(&auth.lock);
    jwt_keys *old = auth.keys;
    auth.keys = keys;
    pthread_mutex_unlock(&auth.lock);
    jwt_keys_unref(old);
    app_log(APP_INFO, "keys for tokens loaded", "keys", count[0], "passed_over", count[1], NULL);
}

void room_auth_reload(void) {
    atomic_store(&auth.reloads, true);
}

void room_auth_reload_asked(void) {
    if (atomic_exchange(&auth.reloads, false) && judges_tokens())
        reload();
}

void room_auth_reload_by_thread(void) {
    auth.by_thread = true;
}

static jwt_keys *keys_now(void) {
    pthread_mutex_lock(&auth.lock);
    jwt_keys *keys = jwt_keys_ref(auth.keys);
    pthread_mutex_unlock(&auth.lock);
    return keys;
}

/* ---- refusals (RFC 6750 3) ---- */

/* `error` NULL: nothing was shown. */
static void refuse(weft_request *request, int status, const char *error, const char *why) {
    char origin[ROOM_ORIGIN_BYTES], challenge[320] = "Bearer", text[320];
    weft_header headers[5] = {
        {"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-store"}, {"WWW-Authenticate", challenge}};
    if (error)
        snprintf(challenge, sizeof challenge, "Bearer error=\"%s\", error_description=\"%s\"", error, why);
    snprintf(text, sizeof text, "%s%s\n", status == 401 && error ? "this token is not good here: " : "", why);
    size_t count = 3 + room_cors(request, origin, headers + 3);
    app_log_request_with(request, status, "why", why);
    weft_request_reply_with(request, status, headers, count, (weft_text) {text, strlen(text)});
}

static bool invalid(weft_request *request, const char *why) {
    refuse(request, 401, "invalid_token", why);
    return false;
}

void room_auth_expired(weft_request *request) {
    invalid(request, EXPIRED);
}

/* ---- a pass ---- */

static uint64_t ms_of(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t room_auth_now_ms(void) {
    return ms_of(CLOCK_MONOTONIC);
}

/* As a bearer, or as ?token= for browsers, which cannot set headers. WEFT_OK; WEFT_ESTALE: there is none; others: it is
 * none. */
static int token_of(const weft_request *request, char param[JWT_TOKEN_MAX + 1], weft_text *out) {
    static const char scheme[] = "Bearer ";
    weft_text header = weft_request_header(request, "Authorization");
    if (header.len >= sizeof scheme - 1 && strncasecmp(header.data, scheme, sizeof scheme - 1) == 0) {
        *out = (weft_text) {header.data + sizeof scheme - 1, header.len - (sizeof scheme - 1)};
        return WEFT_OK;
    }
    int got = weft_request_param(request, "token", param, JWT_TOKEN_MAX + 1);
    if (got == WEFT_OK)
        *out = (weft_text) {param, strlen(param)};
    return got;
}

/* Somewhere in its last moments; one that is let in within them has what is left of these. */
static uint64_t end_of(uint64_t left_ms) {
    uint64_t window = left_ms < JWT_LEEWAY_MS ? left_ms : JWT_LEEWAY_MS;
    uint32_t chance = 0;
    RAND_bytes((unsigned char *)&chance, sizeof chance);
    return room_auth_now_ms() + left_ms - window * chance / UINT32_MAX;
}

static const char *judge(weft_text token, room_pass *out) {
    jwt_rules rules = {auth.config->jwt_issuer, auth.config->jwt_audience, auth.config->jwt_endless,
                       ms_of(CLOCK_REALTIME)};
    jwt_keys *keys = keys_now();
    const char *why = jwt_verify(keys, token, &rules, &out->token);
    jwt_keys_unref(keys);
    if (why)
        return why;
    out->ends_ms = out->token.ends_ms > 0 ? end_of(out->token.ends_ms - rules.now_ms) : 0;
    why = room_rights_judge(out->token.claims);
    if (why)
        room_pass_free(out);
    return why;
}

bool room_pass_of(weft_request *request, room_pass *out) {
    const char *secret = auth.config->token;
    char param[JWT_TOKEN_MAX + 1];
    weft_text token;
    *out = (room_pass) {.all = !secret && !judges_tokens()};
    if (out->all)
        return true;
    int got = token_of(request, param, &token);
    if (got == WEFT_ESTALE) {
        refuse(request, 401, NULL, "a token is needed: ?token=... or Authorization: Bearer ...");
        return false;
    }
    if (got != WEFT_OK)
        return invalid(request, got == WEFT_ELIMIT ? "it is longer than 4096 bytes" : "its escapes are broken");
    out->all = secret && weft_text_equal_secret(token, secret);
    if (out->all)
        return true;
    const char *why = judges_tokens() ? judge(token, out) : "it is another one";
    return !why || invalid(request, why);
}

void room_pass_free(room_pass *pass) {
    jwt_free(&pass->token);
}

bool room_pass_may(const room_pass *pass, room_right right, const char *name) {
    return pass->all || room_rights_have(pass->token.claims, right, name);
}

bool room_pass_need(weft_request *request, const room_pass *pass, room_right right, const char *name) {
    if (room_pass_may(pass, right, name))
        return true;
    refuse(request, 403, "insufficient_scope",
           right == ROOM_JOIN ? "this token does not let you join this room"
                              : "this token does not let you publish in this room");
    return false;
}

const char *room_pass_subject(const room_pass *pass) {
    return pass->token.subject;
}

/* ---- the end of its time ---- */

static bool end(void *unused, weft_handle who) {
    (void)unused;
    return weft_handle_close(auth.server, who, ROOM_CLOSE_EXPIRED, "the token has expired") != WEFT_ENOMEM;
}

static void tick(weft_server *server, void *unused) {
    (void)server;
    (void)unused;
    app_expiry_turn(&auth.expiry, room_auth_now_ms(), ENDS_IN_TICK, end, NULL);
    if (!auth.by_thread)
        room_auth_reload_asked();
}

bool room_auth_setup(weft_server *server) {
    auth.server = server;
    app_expiry_init(&auth.expiry, room_auth_now_ms());
    return !judges_tokens() || weft_server_every(server, TICK_MS, tick, NULL) == WEFT_OK;
}

/* ---- what a connection keeps of it ---- */

struct room_bearer {
    uint64_t ends_ms; /* 0: never */
    app_expiry_item expiry;
    bool named;
    char subject[];
};

bool room_bearer_new(const room_pass *pass, room_bearer **out) {
    const char *subject = room_pass_subject(pass);
    *out = NULL;
    if (!subject && pass->ends_ms == 0)
        return true;
    room_bearer *bearer = calloc(1, sizeof *bearer + (subject ? strlen(subject) : 0) + 1);
    if (!bearer)
        return false;
    bearer->ends_ms = pass->ends_ms;
    bearer->named = subject != NULL;
    if (subject)
        strcpy(bearer->subject, subject);
    *out = bearer;
    return true;
}

void room_bearer_free(room_bearer *bearer) {
    if (bearer && bearer->expiry.who) /* it was opened */
        app_expiry_remove(&auth.expiry, &bearer->expiry);
    free(bearer);
}

void room_bearer_opened(room_bearer *bearer, weft_handle who) {
    if (bearer && bearer->ends_ms > 0)
        app_expiry_add(&auth.expiry, &bearer->expiry, who, bearer->ends_ms);
}

const char *room_bearer_subject(const room_bearer *bearer) {
    return bearer && bearer->named ? bearer->subject : NULL;
}
