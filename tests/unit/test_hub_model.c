/*
 * Topics in a random run beside a model of plain arrays that keeps for each name its subscribers, its past
 * and its place among the vacant. After each step every queue must hold what the model delivered, and the
 * hub's own look at its topics must be the model's.
 */
#include "hub_help.h"

#include <stdlib.h>

enum { NAMES = 12, PAST_MAX = 64 };

static const char *const names[NAMES] = {"a",       "b",       "few/1",  "few/2",  "few/3",  "small/1",
                                         "small/2", "small/3", "many/1", "many/2", "many/3", "quiet/none/1"};

typedef struct note {
    unsigned id;
    size_t len;
} note;

typedef struct past_topic {
    bool exists, joined[PEOPLE];
    uint32_t waits[PEOPLE]; /* the number of a join that is to come; 0: none is */
    note past[PAST_MAX];
    size_t past_count;
    uint64_t messages, vacant_order, vacant_since_ms;
} past_topic;

typedef struct model {
    fixture f;
    past_topic topics[NAMES];
    note expected[PEOPLE][PAST_MAX * 2];
    size_t expected_count[PEOPLE];
    uint64_t order;
    unsigned last_id;
} model;

static uint32_t subscribers(const past_topic *t) {
    uint32_t count = 0;
    for (int i = 0; i < PEOPLE; i++)
        count += t->joined[i];
    return count;
}

static const wf_history_rule *rule_of(const past_topic *t, const model *m) {
    const char *name = names[t - m->topics];
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strncmp(name, rules[i].prefix, strlen(rules[i].prefix)) == 0)
            return rules[i].messages_max ? &rules[i] : NULL;
    return NULL;
}

static size_t past_bytes(const past_topic *t) {
    size_t bytes = 0;
    for (size_t i = 0; i < t->past_count; i++)
        bytes += t->past[i].len;
    return bytes;
}

static void drop_first(past_topic *t) {
    t->past_count--;
    memmove(t->past, t->past + 1, t->past_count * sizeof *t->past);
}

static void become_vacant(model *m, past_topic *t) {
    t->vacant_order = ++m->order;
    t->vacant_since_ms = m->f.hub.now_ms;
}

/* The vacant topic to be forgotten next, unless it is `spared`. */
static past_topic *longest_vacant(model *m, const past_topic *spared) {
    past_topic *first = NULL;
    for (past_topic *t = m->topics; t < m->topics + NAMES; t++)
        if (t->exists && subscribers(t) == 0 && (!first || t->vacant_order < first->vacant_order))
            first = t;
    return first == spared ? NULL : first;
}

static void trim(model *m, past_topic *spared) {
    const wf_hub_config *config = &m->f.hub.config;
    for (;;) {
        size_t bytes = 0, vacant = 0;
        for (past_topic *t = m->topics; t < m->topics + NAMES; t++) {
            bytes += past_bytes(t);
            vacant += t->exists && subscribers(t) == 0;
        }
        past_topic *first = longest_vacant(m, spared);
        if ((bytes > config->history_bytes_max || vacant > config->vacant_max) && first)
            *first = (past_topic) {0};
        else if (bytes > config->history_bytes_max && spared && spared->past_count > 0)
            drop_first(spared);
        else
            return;
    }
}

static void forget_if_idle(past_topic *t) {
    if (subscribers(t) == 0 && t->past_count == 0)
        *t = (past_topic) {0};
}

static void expect(model *m, int who, note it) {
    CHECK(m->expected_count[who] < PAST_MAX * 2);
    m->expected[who][m->expected_count[who]++] = it;
}

static void model_publish(model *m, past_topic *t, int except, size_t len) {
    const wf_history_rule *rule = rule_of(t, m);
    note it = {++m->last_id, len};
    wf_blob *blob = wf_blob_new(len, NULL);
    CHECK(blob != NULL);
    memset(blob->data, 'a' + (int)(it.id % 26), len);
    size_t want = 0;
    if (t->exists || rule) {
        t->messages++;
        t->exists = true;
        for (int i = 0; i < PEOPLE; i++) {
            if (t->joined[i] && t->waits[i] == 0 && i != except) {
                expect(m, i, it);
                want++;
            }
        }
        if (subscribers(t) == 0)
            become_vacant(m, t);
        if (rule && len <= rule->bytes_max) {
            while (t->past_count >= rule->messages_max || past_bytes(t) + len > rule->bytes_max)
                drop_first(t);
            t->past[t->past_count++] = it;
        }
        trim(m, t);
        forget_if_idle(t);
    }
    CHECK_EQ(wf_hub_publish(&m->f.hub, wf_str_of(names[t - m->topics]), blob, except < 0 ? NULL : &m->f.q[except]),
             want);
    wf_blob_unref(blob);
}

/* Subscribes; or joins, when it has subscribed. */
static void model_join(model *m, past_topic *t, int who, size_t replay) {
    if (!t->joined[who] || t->waits[who] == 0) {
        uint32_t number;
        CHECK_EQ(wf_hub_subscribe(&m->f.hub, &m->f.who[who], wf_str_of(names[t - m->topics]), &number), WF_OK);
        CHECK_EQ(number != 0, !t->joined[who]);
        t->exists = t->joined[who] = true;
        t->waits[who] = number;
        return;
    }
    wf_hub_join(&m->f.hub, &m->f.who[who], t->waits[who], &m->f.q[who], replay);
    t->waits[who] = 0;
    for (size_t i = replay < t->past_count ? t->past_count - replay : 0; i < t->past_count; i++)
        expect(m, who, t->past[i]);
}

static void model_part(model *m, past_topic *t, int who) {
    wf_hub_unsubscribe(&m->f.hub, &m->f.who[who], wf_str_of(names[t - m->topics]));
    if (!t->joined[who])
        return;
    t->joined[who] = false;
    t->waits[who] = 0;
    if (subscribers(t) == 0) {
        become_vacant(m, t);
        forget_if_idle(t);
        trim(m, NULL);
    }
}

static void model_sweep(model *m, uint64_t pass_ms) {
    m->f.hub.now_ms += pass_ms;
    wf_hub_sweep(&m->f.hub);
    for (past_topic *t = m->topics; t < m->topics + NAMES; t++)
        if (t->exists && subscribers(t) == 0 && m->f.hub.now_ms - t->vacant_since_ms > m->f.hub.config.vacant_ms)
            *t = (past_topic) {0};
}

static void check_topic(void *context, wf_str name, uint32_t count, uint64_t messages) {
    model *m = context;
    for (past_topic *t = m->topics; t < m->topics + NAMES; t++) {
        if (wf_str_eq(wf_str_of(names[t - m->topics]), name)) {
            CHECK(t->exists);
            CHECK_EQ(count, subscribers(t));
            CHECK_EQ(messages, t->messages);
            return;
        }
    }
    test_fail(__FILE__, __LINE__, "an unknown topic");
}

static void check_model(model *m) {
    size_t exist = 0, bytes = 0;
    for (int who = 0; who < PEOPLE; who++) {
        const char *got = received(&m->f, who);
        for (size_t i = 0; i < m->expected_count[who]; i++) {
            note it = m->expected[who][i];
            for (size_t j = 0; j < it.len; j++)
                CHECK_EQ(*got++, 'a' + (int)(it.id % 26));
        }
        CHECK_EQ(*got, '\0');
        m->expected_count[who] = 0;
    }
    wf_hub_check(&m->f.hub);
    wf_hub_look(&m->f.hub, check_topic, m);
    for (past_topic *t = m->topics; t < m->topics + NAMES; t++) {
        exist += t->exists;
        bytes += past_bytes(t);
    }
    CHECK_EQ(topics(&m->f), exist);
    CHECK_EQ(m->f.hub.history_bytes, bytes);
}

TEST(hub_is_what_arrays_of_names_are) {
    static const wf_hub_config tight = {.history_bytes_max = 400, .vacant_max = 4, .vacant_ms = 500};
    uint64_t seed = 41;
    model *m = calloc(1, sizeof *m);
    CHECK(m != NULL);
    fixture_init(&m->f, &tight);
    for (int step = 0; step < 30000; step++) {
        uint64_t r = test_random(&seed);
        past_topic *t = &m->topics[(r >> 8) % NAMES];
        int who = (int)((r >> 16) % PEOPLE);
        test_context("step %d", step);
        switch (r % 8) {
        case 0:
        case 1:
            model_join(m, t, who, (r >> 24) % 8);
            break;
        case 2:
        case 3:
            model_part(m, t, who);
            break;
        case 4:
            model_sweep(m, (r >> 24) % 200);
            break;
        default:
            model_publish(m, t, (r >> 24) % 2 ? who : -1, 1 + (r >> 32) % 60);
        }
        check_model(m);
    }
    fixture_deinit(&m->f);
    free(m);
}
