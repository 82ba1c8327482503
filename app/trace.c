/*
 * One lock for all onlookers, held while a line is written or a heap changes hands: both are short, and taken by nobody
 * while nobody looks.
 */
#include "app/trace.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { LINES_MAX = 1000, BYTES_MAX = 256 << 10, DATA_MAX = 2048 };

atomic_uint app_onlookers;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static app_onlooker *first;

static bool is(const char *wanted, weft_text given) {
    return wanted[0] == '\0' || push_text_equal(push_str(wanted), given);
}

static weft_text text_or_none(const char *str) {
    return str ? push_str(str) : (weft_text) {NULL, 0};
}

static bool wants(const app_onlooker *o, const app_happening *h) {
    return is(o->filter.app, text_or_none(h->app)) && is(o->filter.channel, h->channel) &&
           is(o->filter.who, text_or_none(h->who));
}

static void put(push_text *out, const char *name, weft_text value) {
    if (!value.data)
        return;
    push_put_str(out, ",\"");
    push_put_str(out, name);
    push_put_str(out, "\":");
    push_put_quoted(out, value);
}

/* Cut between two characters; what is no text is told by its length. */
static void put_data(push_text *out, weft_text data) {
    if (!data.data)
        return;
    if (!weft_utf8_valid(data.data, data.len)) {
        push_put_str(out, ",\"binary\":");
        push_put_number(out, data.len);
        return;
    }
    size_t len = data.len;
    if (len > DATA_MAX) {
        for (len = DATA_MAX; len > 0 && ((unsigned char)data.data[len] & 0xc0) == 0x80;)
            len--;
        push_put_str(out, ",\"cut\":");
        push_put_number(out, data.len);
    }
    put(out, "data", (weft_text) {data.data, len});
}

static void put_line(push_text *out, const app_happening *h) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    push_put_str(out, "{\"at\":");
    push_put_number(out, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
    put(out, "what", push_str(h->what));
    put(out, "app", text_or_none(h->app));
    put(out, "who", text_or_none(h->who));
    put(out, "channel", h->channel);
    put(out, "name", h->name);
    put_data(out, h->data);
    push_put_str(out, "},");
}

static void tell(app_onlooker *o, const app_happening *h) {
    size_t at = o->lines.len;
    if (o->count < LINES_MAX && at < BYTES_MAX) {
        put_line(&o->lines, h);
        if (!o->lines.failed) {
            o->count++;
            return;
        }
        o->lines.len = at; /* memory is out: a whole line less */
        o->lines.failed = false;
    }
    o->missed++;
}

void app_trace(const app_happening *h) {
    pthread_mutex_lock(&lock);
    for (app_onlooker *o = first; o; o = o->next)
        if (wants(o, h))
            tell(o, h);
    pthread_mutex_unlock(&lock);
}

static void clear(app_onlooker *o) {
    push_text_free(&o->lines);
    o->count = 0;
    o->missed = 0;
}

void app_onlooker_begin(app_onlooker *o, const app_trace_filter *filter) {
    pthread_mutex_lock(&lock);
    clear(o);
    o->filter = *filter;
    if (!o->looks) {
        o->looks = true;
        o->next = first;
        first = o;
        atomic_fetch_add(&app_onlookers, 1);
    }
    pthread_mutex_unlock(&lock);
}

void app_onlooker_end(app_onlooker *o) {
    pthread_mutex_lock(&lock);
    if (o->looks) {
        app_onlooker **at = &first;
        while (*at != o)
            at = &(*at)->next;
        *at = o->next;
        o->looks = false;
        atomic_fetch_sub(&app_onlookers, 1);
    }
    clear(o);
    pthread_mutex_unlock(&lock);
}

bool app_onlooker_take(app_onlooker *o, push_text *out_lines, uint64_t *out_missed) {
    pthread_mutex_lock(&lock);
    bool some = o->count > 0 || o->missed > 0;
    *out_lines = o->lines;
    *out_missed = o->missed;
    o->lines = (push_text) {0};
    o->count = 0;
    o->missed = 0;
    pthread_mutex_unlock(&lock);
    return some;
}
