/*
 * hub_help.h - a hub with a few subscribers, whose queues are read as text.
 */
#ifndef WF_TESTS_HUB_HELP_H
#define WF_TESTS_HUB_HELP_H

#include "hub/hub.h"
#include "test.h"

enum { PEOPLE = 5, BUDGET = 100000 };

typedef struct fixture {
    wf_outq_pool pool;
    wf_hub hub;
    wf_outq q[PEOPLE];
    wf_subscriber who[PEOPLE];
    size_t live_before; /* blocks of memory */
} fixture;

static const wf_history_rule rules[] = {
    {"quiet/none/", 0, 0}, {"few/", 3, 1000}, {"small/", 100, 50}, {"many/", 40, 100000}, {"few/never/", 9, 9},
};

static inline void fixture_init(fixture *f, const wf_hub_config *config) {
    memset(f, 0, sizeof *f);
    f->live_before = test_mem_live();
    wf_hub_init(&f->hub, config);
    wf_hub_set_rules(&f->hub, rules, sizeof rules / sizeof *rules);
    f->hub.now_ms = 1000000;
    for (int i = 0; i < PEOPLE; i++) {
        wf_outq_init(&f->q[i], &f->pool, BUDGET, WF_SLOW_CLOSE);
        f->who[i].count_max = 128;
    }
}

/* Subscribes and joins at once. */
static inline int subscribe(fixture *f, int who, wf_str name, size_t replay) {
    uint32_t number = 0;
    int got = wf_hub_subscribe(&f->hub, &f->who[who], name, &number);
    if (got == WF_OK && number != 0)
        wf_hub_join(&f->hub, &f->who[who], number, &f->q[who], replay);
    return got;
}

static inline void fixture_deinit(fixture *f) {
    for (int i = 0; i < PEOPLE; i++) {
        wf_hub_leave_all(&f->hub, &f->who[i]);
        wf_hub_check(&f->hub);
        CHECK(f->who[i].count == 0);
        wf_outq_ready_remove(&f->q[i]);
        wf_outq_deinit(&f->q[i]);
    }
    wf_hub_deinit(&f->hub);
    wf_outq_pool_deinit(&f->pool);
    CHECK_EQ(test_mem_live(), f->live_before);
}

/* Takes all that waits for one subscriber. */
static inline const char *received(fixture *f, int who) {
    static char text[BUDGET * 2];
    struct iovec ranges[64];
    size_t used = 0;
    for (int count; (count = wf_outq_gather(&f->q[who], ranges, 64)) > 0;) {
        size_t before = used;
        for (int i = 0; i < count; i++) {
            memcpy(text + used, ranges[i].iov_base, ranges[i].iov_len);
            used += ranges[i].iov_len;
        }
        wf_outq_taken(&f->q[who], used - before);
    }
    text[used] = '\0';
    return text;
}

static inline void count_topic(void *context, wf_str name, uint32_t subscribers, uint64_t messages) {
    (void)name, (void)subscribers, (void)messages;
    ++*(size_t *)context;
}

static inline size_t topics(fixture *f) {
    size_t count = 0;
    wf_hub_look(&f->hub, count_topic, &count);
    return count;
}

#endif
