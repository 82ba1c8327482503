/*
 * The timer wheel: single deadlines as a table, then a random run beside a model that keeps nothing but an
 * array of deadlines. The model is asked after every step whether anything came early, got lost, or would be
 * told late.
 */
#include "base/clock.h"
#include "base/timer.h"
#include "test.h"

#define RANGE (UINT64_C(1) << 24) /* what the four levels reach */

static wf_timers wheel; /* 6 KiB: not on the stack */

/* Follows wait_ms to the first timer that is due; counts the waits that brought nothing. */
static wf_timer *sleep_until_due(int *out_early_wakes) {
    *out_early_wakes = 0;
    for (int turns = 0; turns < 100000; turns++) {
        wf_timer *timer = wf_timers_next(&wheel);
        if (timer)
            return timer;
        int64_t wait_ms = wf_timers_wait_ms(&wheel);
        CHECK(wait_ms > 0);
        wf_timers_advance(&wheel, wheel.now_ms + (uint64_t)wait_ms);
        wf_timers_check(&wheel);
        *out_early_wakes += !wf_timers_wait_ms(&wheel) ? 0 : 1;
    }
    test_fail(__FILE__, __LINE__, "nothing was ever due");
}

static const struct {
    const char *name;
    uint64_t now_ms, delay_ms;
    int64_t wait_ms; /* the first answer */
    int early_wakes;
} delays[] = {
    {"next_tick", 0, 1, 1, 0},
    {"last_slot_of_level_0", 0, 63, 63, 0},
    {"first_of_level_1", 0, 64, 64, 0},
    {"between_two_slots_of_level_1", 0, 65, 64, 1},
    {"last_of_level_1", 0, 4095, 4032, 1},
    {"first_of_level_2", 0, 4096, 4096, 0},
    {"over_a_level_0_edge", 63, 1, 1, 0},
    {"over_a_level_0_edge_and_in", 60, 5, 4, 1},
    {"over_all_edges_at_once", RANGE - 1, 1, 1, 0},
    {"over_all_edges_and_in", RANGE - 1, 2, 1, 1},
    {"ping_interval", 1000, 25000, 23576, 2},
    {"last_in_reach", 0, RANGE - 1, 63 << 18, 3},
    {"first_out_of_reach", 0, RANGE, RANGE, 0},
    {"three_stretches_away", 5, 3 * RANGE + 4096 + 64 + 1, RANGE - 5, 5},
    {"a_clock_far_from_zero", UINT64_C(0x123456789abcdef), 777, 529, 2},
};

TEST(each_delay_is_kept_to_the_millisecond) {
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        test_context("%s", delays[i].name);
        wf_timer timer = {0};
        wf_timers_init(&wheel, delays[i].now_ms);
        wf_timers_add(&wheel, &timer, delays[i].now_ms + delays[i].delay_ms);
        wf_timers_check(&wheel);
        CHECK_EQ(wf_timers_wait_ms(&wheel), delays[i].wait_ms);
        int early_wakes;
        CHECK(sleep_until_due(&early_wakes) == &timer);
        CHECK_EQ(wheel.now_ms, delays[i].now_ms + delays[i].delay_ms);
        CHECK_EQ(early_wakes, delays[i].early_wakes);
        CHECK(!wf_timer_armed(&timer));
        CHECK_EQ(wheel.count, 0);
        CHECK_EQ(wf_timers_wait_ms(&wheel), -1);
    }
}

TEST(each_delay_is_kept_when_the_clock_jumps_over_it) {
    static const uint64_t jumps[] = {0, 1, 63, 64, 4096, RANGE - 1, RANGE, 5 * RANGE + 17};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        for (size_t j = 0; j < sizeof jumps / sizeof *jumps; j++) {
            test_context("%s and %llu beyond", delays[i].name, (unsigned long long)jumps[j]);
            wf_timer timer = {0};
            uint64_t deadline_ms = delays[i].now_ms + delays[i].delay_ms;
            wf_timers_init(&wheel, delays[i].now_ms);
            wf_timers_add(&wheel, &timer, deadline_ms);
            wf_timers_advance(&wheel, deadline_ms - 1);
            wf_timers_check(&wheel);
            CHECK(wf_timers_next(&wheel) == NULL);
            CHECK_EQ(wf_timers_wait_ms(&wheel), 1);
            wf_timers_advance(&wheel, deadline_ms + jumps[j]);
            wf_timers_check(&wheel);
            CHECK(wf_timers_next(&wheel) == &timer);
        }
    }
}

TEST(a_deadline_that_has_passed_is_due_at_once) {
    wf_timer past = {0}, present = {0};
    wf_timers_init(&wheel, 1000);
    wf_timers_add(&wheel, &past, 3);
    wf_timers_add(&wheel, &present, 1000);
    CHECK_EQ(wf_timers_wait_ms(&wheel), 0);
    CHECK(wf_timers_next(&wheel) == &past);
    CHECK(wf_timers_next(&wheel) == &present);
    CHECK(wf_timers_next(&wheel) == NULL);
}

TEST(the_clock_never_goes_back) {
    wf_timer timer = {0};
    wf_timers_init(&wheel, 1000);
    wf_timers_advance(&wheel, 10);
    CHECK_EQ(wheel.now_ms, 1000);
    wf_timers_add(&wheel, &timer, 999);
    CHECK(wf_timers_next(&wheel) == &timer);
}

TEST(a_cancelled_timer_stays_silent_even_when_it_was_due) {
    wf_timer waiting = {0}, due = {0}, never_armed = {0};
    wf_timers_init(&wheel, 0);
    wf_timers_add(&wheel, &waiting, 500);
    wf_timers_add(&wheel, &due, 0);
    wf_timers_cancel(&wheel, &never_armed);
    wf_timers_cancel(&wheel, &waiting);
    wf_timers_cancel(&wheel, &due);
    wf_timers_cancel(&wheel, &due);
    wf_timers_check(&wheel);
    CHECK_EQ(wheel.count, 0);
    CHECK_EQ(wf_timers_wait_ms(&wheel), -1);
    wf_timers_advance(&wheel, 1000);
    CHECK(wf_timers_next(&wheel) == NULL);
}

TEST(arming_again_moves_the_deadline) {
    wf_timer timer = {0};
    wf_timers_init(&wheel, 0);
    wf_timers_add(&wheel, &timer, 10);
    wf_timers_add(&wheel, &timer, 100000);
    wf_timers_check(&wheel);
    CHECK_EQ(wheel.count, 1);
    wf_timers_advance(&wheel, 99999);
    CHECK(wf_timers_next(&wheel) == NULL);
    wf_timers_add(&wheel, &timer, 99999);
    CHECK(wf_timers_next(&wheel) == &timer);
}

TEST(a_deadline_at_the_end_of_time_waits_for_ever) {
    wf_timer timer = {0};
    wf_timers_init(&wheel, 0);
    wf_timers_add(&wheel, &timer, UINT64_MAX);
    CHECK_EQ(wf_timers_wait_ms(&wheel), RANGE);
    wf_timers_advance(&wheel, UINT64_MAX - 1);
    wf_timers_check(&wheel);
    CHECK(wf_timers_next(&wheel) == NULL);
    CHECK_EQ(wf_timers_wait_ms(&wheel), 1);
    wf_timers_advance(&wheel, UINT64_MAX);
    CHECK(wf_timers_next(&wheel) == &timer);
}

enum { MODEL_TIMERS = 150, MODEL_STEPS = 40000 };

static struct {
    wf_timer timers[MODEL_TIMERS];
    uint64_t deadline_ms[MODEL_TIMERS];
    bool armed[MODEL_TIMERS];
} model;

/* Mostly near, sometimes huge: a random number of random bits. */
static uint64_t random_span(uint64_t *state) {
    unsigned bits = (unsigned)(test_random(state) % 30);
    return test_random(state) & ((UINT64_C(1) << bits) - 1);
}

static uint64_t model_first_deadline(void) {
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < MODEL_TIMERS; i++)
        if (model.armed[i] && model.deadline_ms[i] < first)
            first = model.deadline_ms[i];
    return first;
}

static void model_take_due(void) {
    wf_timer *timer;
    while ((timer = wf_timers_next(&wheel))) {
        size_t i = (size_t)(timer - model.timers);
        CHECK(model.armed[i]);
        CHECK(model.deadline_ms[i] <= wheel.now_ms);
        model.armed[i] = false;
    }
    CHECK(model_first_deadline() > wheel.now_ms); /* nothing lost */
}

static void model_check(void) {
    wf_timers_check(&wheel);
    size_t armed = 0;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        CHECK_EQ(wf_timer_armed(&model.timers[i]), model.armed[i]);
        armed += model.armed[i];
    }
    CHECK_EQ(wheel.count, armed);
    uint64_t first = model_first_deadline();
    int64_t wait_ms = wf_timers_wait_ms(&wheel);
    CHECK_EQ(wait_ms == -1, armed == 0);
    if (armed > 0 && first > wheel.now_ms)
        CHECK(wait_ms > 0 && (uint64_t)wait_ms <= first - wheel.now_ms); /* never late */
    if (armed > 0 && first <= wheel.now_ms)
        CHECK_EQ(wait_ms, 0);
}

TEST(a_random_run_agrees_with_the_model) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        uint64_t state = seed;
        memset(&model, 0, sizeof model);
        wf_timers_init(&wheel, random_span(&state));
        for (int step = 0; step < MODEL_STEPS; step++) {
            test_context("seed %d, step %d", (int)seed, step);
            size_t i = test_random(&state) % MODEL_TIMERS;
            switch (test_random(&state) % 8) {
            default: /* arm or re-arm; a sixteenth of them in the past */
                model.deadline_ms[i] = wheel.now_ms + random_span(&state);
                if (test_random(&state) % 16 == 0)
                    model.deadline_ms[i] = wheel.now_ms - (wheel.now_ms > 100 ? 100 : 0);
                model.armed[i] = true;
                wf_timers_add(&wheel, &model.timers[i], model.deadline_ms[i]);
                break;
            case 4:
                model.armed[i] = false;
                wf_timers_cancel(&wheel, &model.timers[i]);
                break;
            case 5: /* what is due is sometimes left lying until later */
                wf_timers_advance(&wheel, wheel.now_ms + random_span(&state));
                if (test_random(&state) % 4)
                    model_take_due();
                break;
            case 6: /* as a loop does it */
                if (wf_timers_wait_ms(&wheel) >= 0)
                    wf_timers_advance(&wheel, wheel.now_ms + (uint64_t)wf_timers_wait_ms(&wheel));
                model_take_due();
                break;
            case 7:
                model_take_due();
                break;
            }
            model_check();
        }
    }
}

TEST(the_clock_runs_on_in_both_units) {
    uint64_t ns = wf_clock_ns(), ms = wf_clock_ms();
    CHECK(ms >= ns / 1000000 && ms <= ns / 1000000 + 10000);
    CHECK(wf_clock_ns() >= ns);
}
