/*
 * The whole of `weft serve` in this process, and each of its allocations failing in turn: whatever a client is doing
 * then, it is told or its connection ends, what was acknowledged is there, and the next one is served as if nothing
 * had been. Only the server's threads fail, not the client's, which is this one; and not what jansson takes, whose
 * lexer asserts that its text could grow.
 */
#include "app/app.h"
#include "app/pusher/sign.h"
#include "client.h"
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MAX = 400, SLOW_MS = 10000, GAP_MS = 40 };

#define ADMIN  "0123456789abcdef"
#define BEARER "Authorization: Bearer " ADMIN "\r\n"
#define KEY    "278d425bdf160c739803"
#define SECRET "7ad3773142a6692b25b8"

/* ---- memory that can be out ---- */

static atomic_int fails_at; /* the n-th allocation from now on; 0: none; -1: it has failed */
static _Thread_local bool spared;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

static bool refused(void) {
    bool hit = !spared && atomic_load(&fails_at) > 0 && atomic_fetch_sub(&fails_at, 1) == 1;
    if (hit)
        atomic_store(&fails_at, -1);
    return hit;
}

void *__wrap_malloc(size_t size) {
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return refused() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text) {
    return refused() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len) {
    return refused() ? NULL : __real_strndup(text, len);
}

static sqlite3_mem_methods sqlite_has;

static void *sqlite_malloc(int size) {
    return refused() ? NULL : sqlite_has.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size) {
    return refused() ? NULL : sqlite_has.xRealloc(old, size);
}

/* ---- the server ---- */

static char folder[64], store[96], config_file[96], address[64];
static int said[2]; /* a pipe: where it listens */
static pthread_t server;

static void write_config(void) {
    FILE *out = fopen(config_file, "w");
    CHECK(out != NULL);
    fprintf(out, "[app shop]\nid = 42\nkey = " KEY "\nsecret = " SECRET "\nclient_events = true\nhistory = kept-\n");
    CHECK_EQ(fclose(out), 0);
}

static void *serve(void *unused) {
    (void)unused;
    static const char *const listen[] = {"127.0.0.1:0", NULL}, *const none[] = {NULL};
    app_config config = {.listen = listen,
                         .listen_plain = none,
                         .origins = none,
                         .admin_secret = ADMIN,
                         .config_file = config_file,
                         .threads = 1,
                         .message_bytes_max = 65536,
                         .drain_ms = 2000,
                         .history_messages = 100,
                         .history_bytes = 1 << 20,
                         .store_file = store,
                         .store_bytes = 1 << 30,
                         .ready_fd = said[1],
                         .verbosity = -2};
    return (void *)(intptr_t)app_serve(&config);
}

static void begin(void) {
    spared = true;
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_has);
    sqlite3_mem_methods methods = sqlite_has;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    CHECK_EQ(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    snprintf(folder, sizeof folder, "/tmp/weft-memory-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(store, sizeof store, "%s/store", folder);
    snprintf(config_file, sizeof config_file, "%s/ini", folder);
    write_config();
    CHECK_EQ(pipe(said), 0);
    CHECK_EQ(pthread_create(&server, NULL, serve, NULL), 0);
    char line[100] = "";
    CHECK(read(said[0], line, sizeof line - 1) > 0);
    CHECK_EQ(sscanf(line, "http://%63s", address), 1);
}

static void end(void) {
    void *code;
    kill(getpid(), SIGTERM);
    CHECK_EQ(pthread_join(server, &code), 0);
    CHECK_EQ((intptr_t)code, APP_EXIT_OK);
    CHECK_EQ(test_mem_live(), 0);
    close(said[0]);
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"store", "store-wal", "store-shm", "ini"};
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

/* ---- plays: 0, or the line at which something was not as it is when there is memory ---- */

static client c = {.fd = -1}, other = {.fd = -1}, third = {.fd = -1};
static int round_number;
static char kept[64]; /* what was acknowledged and has to be there; "": nothing */

#define WANT(e)                                                                                                        \
    do {                                                                                                               \
        if (!(e))                                                                                                      \
            return __LINE__;                                                                                           \
    } while (0)

/* Memory being out, what is published may be missing: a gap in offsets that the next would show. */
static int patience_ms(void) {
    return atomic_load(&fails_at) == 0 ? SLOW_MS : GAP_MS;
}

/* Whether the next that comes has this in it. */
static bool hears(client *who, const char *part) {
    const char *words = client_next_within(who, patience_ms());
    return strncmp(words, "text", 4) == 0 && memmem(who->data, who->data_len, part, strlen(part)) != NULL;
}

#define HEARS(client_, part) WANT(hears(client_, part))

static int ask(const char *method, const char *path, const char *headers, const char *body) {
    client_close(&c);
    if (!client_connect(&c, address, 0))
        return 0;
    client_print(&c, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n%s\r\n%s", method, path, strlen(body),
                 headers, body);
    return client_answer(&c);
}

/* Signed, as an SDK does it. */
static int ask_api(const char *method, const char *path, const char *body) {
    char md5[PUSH_MD5_HEX], query[300], text[700], signature[PUSH_SHA256_HEX], target[700];
    if (!push_md5_hex(body, strlen(body), md5))
        return 0;
    snprintf(query, sizeof query, "auth_key=" KEY "&auth_timestamp=%lld&auth_version=1.0%s%s", (long long)time(NULL),
             *body ? "&body_md5=" : "", *body ? md5 : "");
    int len = snprintf(text, sizeof text, "%s\n%s\n%s", method, path, query);
    if (!push_hmac_hex(SECRET, text, (size_t)len, signature))
        return 0;
    snprintf(target, sizeof target, "%s?%s&auth_signature=%s", path, query, signature);
    return ask(method, target, "", body);
}

static int play_room(void) {
    WANT(client_open(&c, address, "/rooms/a?recover=&acks=1&here=1&as=ann", NULL) == 101);
    HEARS(&c, "epoch");
    HEARS(&c, "here");
    char text[64], wanted[80];
    kept[0] = '\0';
    snprintf(text, sizeof text, "said %d", round_number);
    snprintf(wanted, sizeof wanted, "text %s", text);
    WANT(client_open(&other, address, "/rooms/a?last=1", NULL) == 101);
    client_next_within(&other, patience_ms());
    WANT(client_text(&c, text));
    bool acked = false, came = false;
    for (int i = 0; i < 6 && !(acked && came); i++) {
        const char *words = client_next_within(&c, patience_ms());
        acked |= strstr(words, "ack") != NULL;
        came |= strstr(words, text) != NULL;
        if (strncmp(words, "text", 4) != 0)
            break;
    }
    if (acked)
        memcpy(kept, text, sizeof kept);
    WANT(acked && came);
    bool heard = false; /* behind what may still have been on its way to the disk */
    for (int i = 0; i < 4 && !heard; i++)
        heard = strcmp(client_next_within(&other, patience_ms()), wanted) == 0;
    WANT(heard);
    return 0;
}

static int has_kept(void) {
    if (!kept[0])
        return 0;
    WANT(ask("GET", "/rooms/a/history?limit=3", "", "") == 200);
    WANT(strstr(c.body, kept) != NULL);
    return 0;
}

static int play_post(void) {
    char text[64];
    kept[0] = '\0';
    snprintf(text, sizeof text, "posted %d", round_number);
    WANT(ask("POST", "/rooms/a", "", text) == 204);
    memcpy(kept, text, sizeof kept);
    return has_kept();
}

static int play_poll(void) {
    char next[80], path[120];
    WANT(ask("GET", "/rooms/polled?poll=", "", "") == 200);
    const char *at = strstr(c.body, "\"next\":\"");
    WANT(at && sscanf(at, "\"next\":\"%79[^\"]", next) == 1);
    snprintf(path, sizeof path, "/rooms/polled?poll=%s", next);
    WANT(client_connect(&other, address, 0) && client_ask(&other, path, NULL, false));
    WANT(ask("POST", "/rooms/polled", "", "news") == 204);
    WANT(client_answer(&other) == 200 && strstr(other.body, "news"));
    return 0;
}

/* Reads until this has come, raw. */
static bool reads(const client *from, const char *part) {
    char text[4096] = "";
    for (size_t len = 0; len < sizeof text - 1 && !strstr(text, part) && !strstr(text, "HTTP/1.1 5");) {
        struct pollfd readable = {from->fd, POLLIN, 0};
        ssize_t got = poll(&readable, 1, patience_ms()) == 1 ? read(from->fd, text + len, sizeof text - 1 - len) : 0;
        if (got <= 0)
            return false;
        len += (size_t)got;
        text[len] = '\0';
    }
    return strstr(text, part) != NULL;
}

static int play_events(void) {
    WANT(client_connect(&other, address, 0));
    WANT(client_ask(&other, "/rooms/streamed", "Accept: text/event-stream\r\n", false));
    WANT(reads(&other, "joined"));
    WANT(ask("POST", "/rooms/streamed", "", "news") == 204);
    WANT(ask("POST", "/rooms/streamed", "", "more") == 204); /* what the first could not tell is a gap in offsets */
    WANT(reads(&other, "more"));
    return 0;
}

#define ID "socket_id\\\":\\\""

static int greet(client *who, char id[40]) {
    WANT(client_open(who, address, "/app/" KEY "?protocol=7&client=js", NULL) == 101);
    HEARS(who, "connection_established");
    const char *at = memmem(who->data, who->data_len, ID, sizeof ID - 1);
    WANT(at && sscanf(at, ID "%39[0-9.]", id) == 1);
    return 0;
}

static int join(client *who, const char *id, const char *channel, const char *data) {
    char text[300], escaped[200] = "", signature[PUSH_SHA256_HEX];
    int len = snprintf(text, sizeof text, "%s:%s%s%s", id, channel, data ? ":" : "", data ? data : "");
    WANT(push_hmac_hex(SECRET, text, (size_t)len, signature));
    for (size_t i = 0; data && *data; data++) {
        if (*data == '"')
            escaped[i++] = '\\';
        escaped[i++] = *data;
    }
    snprintf(text, sizeof text,
             "{\"event\":\"pusher:subscribe\",\"data\":{\"channel\":\"%s\",\"auth\":\"" KEY ":%s\"%s%s%s}}", channel,
             signature, *escaped ? ",\"channel_data\":\"" : "", escaped, *escaped ? "\"" : "");
    WANT(client_text(who, text));
    HEARS(who, "subscription_succeeded");
    return 0;
}

#define DO(call)                                                                                                       \
    do {                                                                                                               \
        int got_ = (call);                                                                                             \
        if (got_)                                                                                                      \
            return got_;                                                                                               \
    } while (0)

static int play_channels(void) {
    char one[40], two[40];
    DO(greet(&other, one));
    DO(join(&other, one, "presence-p", "{\"user_id\":\"1\"}"));
    DO(join(&other, one, "kept-a", NULL));
    DO(greet(&third, two));
    DO(join(&third, two, "presence-p", "{\"user_id\":\"2\"}"));
    HEARS(&other, "member_added");
    WANT(client_text(&third, "{\"event\":\"client-x\",\"channel\":\"presence-p\",\"data\":{}}"));
    HEARS(&other, "client-x");
    WANT(ask_api("POST", "/apps/42/events", "{\"name\":\"e\",\"channel\":\"kept-a\",\"data\":\"d\"}") == 200);
    HEARS(&other, "kept-a");
    WANT(ask_api("GET", "/apps/42/channels/presence-p/users", "") == 200);
    WANT(strstr(c.body, "\"1\"") && strstr(c.body, "\"2\""));
    WANT(client_text(&third, "{\"event\":\"pusher:unsubscribe\",\"data\":{\"channel\":\"presence-p\"}}"));
    HEARS(&other, "member_removed");
    return 0;
}

static int play_api(void) {
    WANT(ask_api("POST", "/apps/42/batch_events",
                 "{\"batch\":[{\"name\":\"e\",\"channel\":\"x\",\"data\":\"d\"},"
                 "{\"name\":\"e\",\"channel\":\"kept-b\",\"data\":\"d\"}]}") == 200);
    WANT(ask_api("GET", "/apps/42/channels", "") == 200);
    WANT(ask_api("GET", "/apps/42/channels/kept-b/history", "") == 200);
    return 0;
}

static int play_session(void) {
    char path[120];
    static int number;
    snprintf(path, sizeof path, "/pusher/app/" KEY "/1/%08d/xhr?protocol=7&version=8", ++number);
    WANT(ask("POST", path, "", "") == 200 && strstr(c.body, "connection_established"));
    snprintf(path, sizeof path, "/pusher/app/" KEY "/1/%08d/xhr_send", number);
    WANT(ask("POST", path, "",
             "[\"{\\\"event\\\":\\\"pusher:subscribe\\\",\\\"data\\\":{\\\"channel\\\":\\\"x\\\"}}\"]") == 204);
    snprintf(path, sizeof path, "/pusher/app/" KEY "/1/%08d/xhr?protocol=7&version=8", number);
    WANT(ask("POST", path, "", "") == 200 && strstr(c.body, "subscription_succeeded"));
    return 0;
}

static int play_admin(void) {
    WANT(ask("GET", "/admin/stats", BEARER, "") == 200);
    WANT(ask("GET", "/admin/connections", BEARER, "") == 200);
    WANT(ask("GET", "/admin/rooms", BEARER, "") == 200);
    WANT(ask("POST", "/admin/apps", BEARER, "{\"id\":\"7\",\"key\":\"k7k7k7k7\",\"secret\":\"s7s7s7s7\"}") == 201);
    WANT(ask("GET", "/admin/apps", BEARER, "") == 200 && strstr(c.body, "k7k7k7k7"));
    WANT(ask("PUT", "/admin/apps/7", BEARER, "{\"key\":\"k8k8k8k8\",\"secret\":\"s7s7s7s7\"}") == 200);
    WANT(ask("DELETE", "/admin/apps/7", BEARER, "") / 100 == 2);
    WANT(client_open(&other, address, "/admin/stream", NULL) == 101);
    WANT(client_text(&other, "{\"secret\":\"" ADMIN "\"}"));
    HEARS(&other, "{");
    return 0;
}

/* What a play that was cut short has left: its app may be there. */
static int forget_app(void) {
    ask("DELETE", "/admin/apps/7", BEARER, "");
    return 0;
}

static int play_reload(void) {
    kill(getpid(), SIGHUP);
    char id[40];
    return greet(&other, id);
}

static int nobody_is_left(void) {
    uint64_t until = client_now_ms() + SLOW_MS;
    do {
        WANT(ask_api("GET", "/apps/42/channels", "") == 200);
        if (!strstr(c.body, "presence-p") && ask("GET", "/rooms", "", "") == 200 && !strstr(c.body, "\"members\":1") &&
            !strstr(c.body, "\"members\":2"))
            return 0;
        client_sleep_ms(10);
    } while (client_now_ms() < until);
    return __LINE__;
}

static void leave(void) {
    client_close(&third);
    client_close(&c);
    client_close(&other);
}

/* With each allocation failing in turn, until it needs no more; `after` is what must hold behind each. */
static void replay(const char *name, int (*play)(void), int (*after)(void)) {
    int n = 1;
    CHECK_EQ(play(), 0);
    leave();
    for (bool over = false; !over && n < ROUNDS_MAX; n++) {
        test_context("%s, allocation %d", name, n);
        round_number++;
        uint64_t began = client_now_ms();
        atomic_store(&fails_at, n);
        play();
        over = atomic_exchange(&fails_at, 0) > 0;
        CHECK(client_now_ms() < began + SLOW_MS); /* told, or ended: not left waiting */
        leave();
        if (after)
            CHECK_EQ(after(), 0);
        leave();
        round_number++;
        CHECK_EQ(play(), 0);
        leave();
    }
    CHECK(n > 2);
    CHECK_EQ(nobody_is_left(), 0);
    test_context("%s", "");
}

TEST(each_allocation_fails_once) {
    begin();
    CHECK_EQ(ask("POST", "/rooms/a", "", "first"), 204); /* who plays room is told of one before */
    leave();
    replay("room", play_room, has_kept);
    replay("post", play_post, has_kept);
    replay("poll", play_poll, NULL);
    replay("events", play_events, NULL);
    replay("channels", play_channels, nobody_is_left);
    replay("api", play_api, NULL);
    replay("session", play_session, NULL);
    replay("admin", play_admin, forget_app);
    replay("reload", play_reload, NULL);
    end();
}
