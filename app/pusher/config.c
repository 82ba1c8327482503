#include "app/pusher/config.h"

#include "app/ini_file.h"
#include "app/pusher/names.h"
#include "app/pusher/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SECTION "app "

enum { KEY_BYTES_MAX = 128 };

typedef enum setting_kind { NUMBER, SWITCH } setting_kind;

/* What a line of a section may be, but for id, key and secret. */
static const struct setting {
    const char *name;
    setting_kind kind;
    size_t offset;
    uint32_t standard, min, max;
    const char *help;
} settings_known[] = {
#define AT(member) offsetof(push_settings, member)
    {"enabled", SWITCH, AT(enabled), 1, 0, 0, "false: clients are closed with 4003, and the API answers 403"},
    {"require_tls", SWITCH, AT(require_tls), 0, 0, 0, "true: clients that come without TLS are closed with 4000"},
    {"client_events", SWITCH, AT(client_events), 0, 0, 0,
     "clients of private and presence channels may trigger client-... events"},
    {"subscription_count", SWITCH, AT(subscription_count), 0, 0, 0, "clients are told how many subscribe"},
    {"connections", NUMBER, AT(limits.connections), 100000, 1, UINT32_MAX - 1, "of the app; over: 4004"},
    {"channels", NUMBER, AT(limits.channels), 100, 1, 10000, "that a connection may be in"},
    {"app_channels", NUMBER, AT(limits.app_channels), 200000, 1, UINT32_MAX - 1, "with somebody in them"},
    {"members", NUMBER, AT(limits.members), 100, 1, 100000, "of a presence channel"},
    {"member_bytes", NUMBER, AT(limits.member_bytes), 1024, 16, 64 << 10, "of a member's channel_data"},
    {"event_bytes", NUMBER, AT(limits.event_bytes), 10240, 16, 8 << 20,
     "of an event's data; over: 413, of clients 4301"},
    {"event_channels", NUMBER, AT(limits.event_channels), 100, 1, 10000, "that one event may name"},
    {"batch_events", NUMBER, AT(limits.batch_events), 10, 1, 1000, "in one request"},
    {"client_events_second", NUMBER, AT(limits.client_events_second), 10, 1, 100000, "of a connection; over: 4301"},
    {"subscriptions_second", NUMBER, AT(limits.subscriptions_second), 10, 1, 100000,
     "of a connection; at once twice channels, and at least 100"},
    {"watchlist", NUMBER, AT(limits.watchlist), 100, 1, 1000, "users that a user may watch"},
    {"history_messages", NUMBER, AT(limits.history_messages), 100, 1, 1000000,
     "kept of each channel that history names"},
    {"history_bytes", NUMBER, AT(limits.history_bytes), 1 << 20, 1 << 10, 1 << 30, "the same in bytes"},
    {"history_seconds", NUMBER, AT(limits.history_seconds), 0, 0, UINT32_MAX,
     "the same in time; 0 is as long as there is room"},
    {"cached_channels", NUMBER, AT(limits.cached_channels), 10000, 1, UINT32_MAX - 1,
     "cache channels whose last event is kept"},
    {"webhook_grace_ms", NUMBER, AT(webhooks.grace_ms), 3000, 0, 600000,
     "before an end is told, in case it is taken back"},
    {"webhook_timeout_ms", NUMBER, AT(webhooks.timeout_ms), 10000, 10, 600000, "for an answer"},
    {"webhook_batch_ms", NUMBER, AT(webhooks.rules.batch_ms), 50, 0, 60000, "what comes within it is one post"},
    {"webhook_batch_events", NUMBER, AT(webhooks.rules.batch_events), 10, 1, 1000, "of one post"},
    {"webhook_queue_events", NUMBER, AT(webhooks.rules.queue_events), 10000, 1, 10000000, "that wait for a URL"},
    {"webhook_queue_bytes", NUMBER, AT(webhooks.rules.queue_bytes), 16 << 20, 1024, 1 << 30, "the same in bytes"},
    {"webhook_retry_first_ms", NUMBER, AT(webhooks.rules.retry_first_ms), 1000, 1, 60000,
     "the first wait of a post that failed, at most; each next is longer"},
    {"webhook_retry_max_ms", NUMBER, AT(webhooks.rules.retry_max_ms), 300000, 1, 86400000,
     "after it a post is given up"},
#undef AT
};

enum { KNOWN = sizeof settings_known / sizeof settings_known[0] };

/* ---- life ---- */

static void settings_free(push_settings *s) {
    for (size_t i = 0; i < s->key_count; i++) {
        free(s->keys[i].key);
        free(s->keys[i].secret);
    }
    push_webhooks_free(&s->webhooks);
    free(s->history);
    free(s->name);
    free(s->id);
    free(s);
}

static push_settings *settings_new(const char *name) {
    push_settings *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->name = strdup(name);
    for (size_t i = 0; i < KNOWN; i++) {
        void *at = (char *)s + settings_known[i].offset;
        if (settings_known[i].kind == NUMBER)
            *(uint32_t *)at = settings_known[i].standard;
        else if (settings_known[i].kind == SWITCH)
            *(bool *)at = settings_known[i].standard;
    }
    if (s->name)
        return s;
    settings_free(s);
    return NULL;
}

push_settings *push_settings_ref(push_settings *settings) {
    atomic_fetch_add_explicit(&settings->refs, 1, memory_order_relaxed);
    return settings;
}

void push_settings_unref(push_settings *settings) {
    if (settings && atomic_fetch_sub_explicit(&settings->refs, 1, memory_order_acq_rel) == 1)
        settings_free(settings);
}

void push_settings_unref_all(push_settings *list) {
    while (list) {
        push_settings *next = list->next;
        list->next = NULL; /* who holds it still may list it again */
        push_settings_unref(list);
        list = next;
    }
}

const char *push_settings_secret(const push_settings *settings, weft_text key) {
    for (size_t i = 0; i < settings->key_count; i++)
        if (push_text_equal(key, push_str(settings->keys[i].key)))
            return settings->keys[i].secret;
    return NULL;
}

/* ---- values ---- */

static bool plain_word(const char *text, size_t max) {
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len <= max && text[len] == '\0';
}

static const char *set_switch(const char *value, bool *out) {
    static const char *const words[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
    for (size_t i = 0; i < 8; i++) {
        if (strcmp(value, words[i]) == 0) {
            *out = i < 4;
            return NULL;
        }
    }
    return "takes true or false";
}

static const char *set_number(const struct setting *known, const char *value, uint32_t *out) {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0')
        return "takes a number";
    if (errno != 0 || number < known->min || number > known->max)
        return "is out of range";
    *out = (uint32_t)number;
    return NULL;
}

static const char *set_string(const char *value, char **out) {
    if (*out)
        return "is given twice";
    *out = strdup(value);
    return *out ? NULL : "does not fit into memory";
}

/* Keys and secrets alternate: each secret belongs to the key before it. */
static const char *set_key(push_settings *s, const char *value) {
    if (!plain_word(value, KEY_BYTES_MAX))
        return "takes up to 128 letters, digits, _ and -";
    if (push_settings_secret(s, push_str(value)))
        return "is given twice";
    if (s->key_count > 0 && !s->keys[s->key_count - 1].secret)
        return "follows a key without its secret";
    if (s->key_count == PUSH_KEYS_MAX)
        return "is given more than 8 times";
    s->keys[s->key_count] = (push_key) {strdup(value), NULL};
    return s->keys[s->key_count].key && ++s->key_count ? NULL : "does not fit into memory";
}

static const char *set_secret(push_settings *s, const char *value) {
    if (s->key_count == 0 || s->keys[s->key_count - 1].secret)
        return "stands behind its key";
    if (value[0] == '\0')
        return "is empty";
    return set_string(value, &s->keys[s->key_count - 1].secret);
}

/* NULL, or what is wrong. */
static const char *set(push_settings *s, const char *name, const char *value) {
    if (strcmp(name, "id") == 0)
        return plain_word(value, PUSH_APP_ID_MAX) ? set_string(value, &s->id) : "takes up to 32 digits or letters";
    if (strcmp(name, "key") == 0)
        return set_key(s, value);
    if (strcmp(name, "secret") == 0)
        return set_secret(s, value);
    if (strcmp(name, "history") == 0)
        return set_string(value, &s->history);
    if (push_webhook_setting(name))
        return push_webhook_set(&s->webhooks, name, value);
    for (size_t i = 0; i < KNOWN; i++) {
        const struct setting *known = &settings_known[i];
        void *at = (char *)s + known->offset;
        if (strcmp(name, known->name) == 0)
            return known->kind == SWITCH ? set_switch(value, at) : set_number(known, value, at);
    }
    return "is no setting of an app";
}

/* ---- the file ---- */

typedef struct reading {
    push_settings *first, *last;
    char problem[192];
} reading;

static bool wrong(reading *r, const char *name, const char *what) {
    if (r->problem[0] == '\0')
        snprintf(r->problem, sizeof r->problem, "%.60s %s", name, what);
    return false;
}

/* What only the end of a section can tell. */
static bool complete(reading *r) {
    const push_settings *s = r->last;
    if (!s)
        return true;
    if (!s->id || s->key_count == 0)
        return wrong(r, s->name, "needs an id, a key and a secret");
    if (!s->keys[s->key_count - 1].secret)
        return wrong(r, s->name, "has a key without its secret");
    return true;
}

static push_settings *named(push_settings *list, const char *name) {
    while (list && strcmp(list->name, name) != 0)
        list = list->next;
    return list;
}

static int on_line(void *context, const char *section, const char *name, const char *value) {
    reading *r = context;
    if (strncmp(section, SECTION, sizeof SECTION - 1) != 0)
        return 1;
    const char *app = section + sizeof SECTION - 1;
    if (!r->last || strcmp(r->last->name, app) != 0) {
        if (!complete(r))
            return 0;
        if (named(r->first, app))
            return wrong(r, app, "is there twice");
        push_settings *s = settings_new(app);
        if (!s)
            return wrong(r, app, "does not fit into memory");
        *(r->last ? &r->last->next : &r->first) = s;
        r->last = s;
    }
    const char *problem = set(r->last, name, value);
    return problem ? wrong(r, name, problem) : 1;
}

static bool shares_a_key(const push_settings *a, const push_settings *b) {
    for (size_t i = 0; i < a->key_count; i++)
        if (push_settings_secret(b, push_str(a->keys[i].key)))
            return true;
    return false;
}

/* Apps are found by id and by key. */
static bool all_differ(reading *r) {
    for (const push_settings *a = r->first; a; a = a->next)
        for (const push_settings *b = a->next; b; b = b->next)
            if (strcmp(a->id, b->id) == 0 || shares_a_key(a, b))
                return wrong(r, b->name, "has the id or a key of another app");
    return true;
}

bool push_settings_read(const char *path, push_settings **out_list, char *out_why, size_t cap) {
    reading r = {0};
    const char *form;
    FILE *file = fopen(path, "r");
    int line = file ? app_ini_parse(file, on_line, &r, &form) : -1;
    int saved = errno;
    if (file)
        fclose(file);
    if (line < 0)
        snprintf(out_why, cap, "cannot read %s: %s", path, strerror(saved));
    else if (line > 0)
        snprintf(out_why, cap, "%s, line %d: %s", path, line, r.problem[0] ? r.problem : form);
    else if (!complete(&r) || !all_differ(&r))
        snprintf(out_why, cap, "%s: app %s", path, r.problem);
    if (line == 0 && r.problem[0] == '\0') {
        *out_list = r.first;
        return true;
    }
    push_settings_unref_all(r.first);
    return false;
}

push_settings *push_settings_make(const char *name, const push_line *lines, size_t count, char *out_why, size_t cap) {
    reading r = {.first = settings_new(name)};
    r.last = r.first;
    bool ok = r.first || wrong(&r, name, "does not fit into memory");
    for (size_t i = 0; i < count && ok; i++) {
        const char *problem = set(r.first, lines[i].name, lines[i].value);
        ok = !problem || wrong(&r, lines[i].name, problem);
    }
    if (ok && complete(&r))
        return r.first;
    snprintf(out_why, cap, "%s", r.problem);
    push_settings_unref(r.first);
    return NULL;
}

bool push_settings_differ(push_settings *list, char *out_why, size_t cap) {
    reading r = {.first = list};
    if (all_differ(&r))
        return true;
    snprintf(out_why, cap, "%s", r.problem);
    return false;
}

push_settings *push_settings_random(void) {
    uint32_t random[11];
    char text[48];
    push_settings *s = settings_new("development");
    if (!s || getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        goto failed;
    snprintf(text, sizeof text, "%u", 100000 + random[0] % 900000);
    if (set(s, "id", text))
        goto failed;
    snprintf(text, sizeof text, "%08x%08x%04x", random[1], random[2], random[3] & 0xffff);
    if (set(s, "key", text))
        goto failed;
    snprintf(text, sizeof text, "%08x%08x%08x%08x", random[4], random[5], random[6], random[7]);
    if (set(s, "secret", text))
        goto failed;
    s->client_events = s->subscription_count = true;
    return s;
failed:
    push_settings_unref(s);
    return NULL;
}

/* ---- as a file ---- */

/* What a section may say beside settings_known: `name = example`, and what that is. */
static const struct {
    const char *line, *help;
} others_known[] = {
    {"history = news- private-chat-", "channels that keep their events, by prefix with spaces between, or *"},
    {"webhook = https://backend.example/pusher", "it is told what happens; repeatable, each with what follows it"},
    {"webhook_events = member_added, member_removed", "only these of channel_occupied, channel_vacated, member_added, "
                                                      "member_removed, client_event, cache_miss, subscription_count"},
    {"webhook_header = Authorization: Bearer 5ecr3t", "repeatable"},
    {"webhook_ca = /etc/weft/backend-ca.pem", "authorities in place of the system's"},
    {"webhook_proxy = http://proxy.example:3128", "or https://, socks5h://, socks5://"},
};

bool push_settings_print(FILE *out) {
    push_settings *s = push_settings_random();
    if (!s)
        return false;
    fprintf(out, "[app %s]\nid = %s\nkey = %s\nsecret = %s\n", s->name, s->id, s->keys[0].key, s->keys[0].secret);
    push_settings_unref(s);
    for (size_t i = 0; i < KNOWN; i++) {
        const struct setting *known = &settings_known[i];
        fprintf(out, "\n# %s\n#%s = ", known->help, known->name);
        if (known->kind == SWITCH)
            fprintf(out, "%s\n", known->standard ? "true" : "false");
        else
            fprintf(out, "%u\n", known->standard);
    }
    for (size_t i = 0; i < sizeof others_known / sizeof others_known[0]; i++)
        fprintf(out, "\n# %s\n#%s\n", others_known[i].help, others_known[i].line);
    return ferror(out) == 0;
}
