/*
 * What a connection waits for is a function of a few times: here it is a table. The ping bucket is asked
 * beside the sum it stands for.
 */
#include "link/deadlines.h"
#include "test.h"

static const wf_intervals usual = {
    .ping_interval_ms = 25000, .ping_timeout_ms = 8000, .message_timeout_ms = 30000, .send_timeout_ms = 31000};
static const wf_intervals none = {WF_NEVER, WF_NEVER, WF_NEVER, WF_NEVER};

static const struct {
    const char *name;
    wf_deadlines d;
    const wf_intervals *intervals;
    wf_due due;
    uint64_t at_ms;
} rows[] = {
    {"nothing_at_all", {0}, &usual, WF_DUE_NOTHING, 0},
    {"handshake_must_end", {.until_ms = 500}, &usual, WF_DUE_STAGE, 500},
    {"bytes_do_not_move_the_handshake", {.until_ms = 500, .input_ms = 499}, &usual, WF_DUE_STAGE, 500},
    {"a_stage_ends_whatever_the_intervals", {.until_ms = 500}, &none, WF_DUE_STAGE, 500},
    {"no_heartbeat_before_open", {.input_ms = 100}, &usual, WF_DUE_NOTHING, 0},
    {"ping_after_silence", {.open = true, .input_ms = 100}, &usual, WF_DUE_PING, 25100},
    {"no_ping_when_switched_off", {.open = true, .input_ms = 100}, &none, WF_DUE_NOTHING, 0},
    {"pong_is_awaited", {.open = true, .input_ms = 100, .ping_ms = 25100}, &usual, WF_DUE_PONG, 33100},
    {"other_bytes_are_no_pong", {.open = true, .input_ms = 30000, .ping_ms = 25100}, &usual, WF_DUE_PONG, 33100},
    {"a_message_that_goes_on_delays_the_pong",
     {.open = true, .input_ms = 30000, .message_ms = 30000, .ping_ms = 25100},
     &usual,
     WF_DUE_PONG,
     38000},
    {"no_second_ping_while_one_is_out_and_pongs_are_not_awaited",
     {.open = true, .ping_ms = 1000},
     &(const wf_intervals) {25000, WF_NEVER, WF_NEVER, WF_NEVER},
     WF_DUE_NOTHING,
     0},
    {"a_begun_message_must_go_on",
     {.open = true, .in_message = true, .message_ms = 200, .input_ms = 9000},
     &usual,
     WF_DUE_MESSAGE,
     30200},
    {"ping_comes_before_a_stalled_message",
     {.open = true, .in_message = true, .message_ms = 9000, .input_ms = 9000},
     &usual,
     WF_DUE_PING,
     34000},
    {"no_message_no_message_timeout", {.open = true, .message_ms = 200, .input_ms = 9000}, &usual, WF_DUE_PING, 34000},
    {"output_must_go_on", {.sending = true, .output_ms = 1000}, &usual, WF_DUE_SEND, 32000},
    {"output_must_go_on_in_an_open_one_too",
     {.open = true, .input_ms = 20000, .sending = true, .output_ms = 1000},
     &usual,
     WF_DUE_SEND,
     32000},
    {"output_at_rest_has_no_deadline", {.output_ms = 1000}, &usual, WF_DUE_NOTHING, 0},
    {"while_reading_rests_only_the_gate_counts",
     {.open = true, .until_ms = 700, .ping_ms = 1, .in_message = true, .message_ms = 1},
     &usual,
     WF_DUE_GATE,
     700},
    {"while_reading_rests_output_still_counts",
     {.open = true, .until_ms = 70000, .sending = true, .output_ms = 1000},
     &usual,
     WF_DUE_SEND,
     32000},
    {"silence_is_not_counted_while_reading_rests",
     {.open = true, .resting = true, .input_ms = 100},
     &usual,
     WF_DUE_NOTHING,
     0},
    {"a_pong_is_not_awaited_while_reading_rests",
     {.open = true, .resting = true, .input_ms = 100, .ping_ms = 25100},
     &usual,
     WF_DUE_NOTHING,
     0},
    {"a_message_need_not_go_on_while_reading_rests",
     {.open = true, .resting = true, .in_message = true, .message_ms = 200},
     &usual,
     WF_DUE_NOTHING,
     0},
    {"a_gate_opens_while_reading_rests", {.open = true, .resting = true, .until_ms = 700}, &usual, WF_DUE_GATE, 700},
    {"a_stage_ends_while_reading_rests", {.resting = true, .until_ms = 500}, &usual, WF_DUE_STAGE, 500},
    {"output_must_go_on_while_reading_rests",
     {.open = true, .resting = true, .sending = true, .output_ms = 1000, .ping_ms = 1},
     &usual,
     WF_DUE_SEND,
     32000},
    {"output_that_goes_on_delays_the_pong",
     {.open = true, .input_ms = 100, .ping_ms = 25100, .sending = true, .output_ms = 30000},
     &usual,
     WF_DUE_PONG,
     38000},
    {"output_stuck_since_before_the_ping_does_not_delay_the_pong",
     {.open = true, .input_ms = 100, .ping_ms = 25100, .sending = true, .output_ms = 24000},
     &usual,
     WF_DUE_PONG,
     33100},
    {"output_that_is_done_does_not_delay_the_pong",
     {.open = true, .input_ms = 100, .ping_ms = 25100, .output_ms = 30000},
     &usual,
     WF_DUE_PONG,
     33100},
    {"a_closing_one_has_no_heartbeat",
     {.until_ms = 90000, .ping_ms = 1, .in_message = true, .message_ms = 1},
     &usual,
     WF_DUE_STAGE,
     90000},
    {"the_earliest_wins",
     {.open = true, .input_ms = 100, .sending = true, .output_ms = 50000},
     &usual,
     WF_DUE_PING,
     25100},
    {"what_is_past_is_still_told",
     {.open = true, .input_ms = 0, .message_ms = 0, .in_message = true},
     &(const wf_intervals) {WF_NEVER, WF_NEVER, 0, WF_NEVER},
     WF_DUE_MESSAGE,
     0},
};

static uint32_t moved(uint32_t kept_ms, uint64_t by_ms) {
    return kept_ms ? wf_time_kept(kept_ms + by_ms) : 0;
}

/* Wherever the clock stands: also where its low half is about to begin anew. */
TEST(each_state_is_due_when_it_says) {
    static const uint64_t clocks[] = {0, UINT32_MAX - 20000ull, UINT32_MAX - 500ull, UINT64_C(1) << 60, INT32_MAX};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t k = 0; k < sizeof clocks / sizeof *clocks; k++) {
            uint64_t at_ms = 12345, by = clocks[k];
            wf_deadlines d = rows[i].d;
            test_context("%s, %llu later", rows[i].name, (unsigned long long)by);
            d.until_ms = moved(d.until_ms, by);
            d.input_ms += (uint32_t)by;
            d.message_ms += (uint32_t)by;
            d.output_ms += (uint32_t)by;
            d.ping_ms = moved(d.ping_ms, by);
            CHECK_EQ(wf_deadlines_next(&d, rows[i].intervals, by + 10000, &at_ms), rows[i].due);
            CHECK(at_ms == (rows[i].due == WF_DUE_NOTHING ? 12345 : by + rows[i].at_ms));
        }
    }
}

TEST(a_burst_of_pings_is_free_and_then_it_waits) {
    wf_deadlines d;
    wf_deadlines_ping_init(&d, 1000);
    for (int i = 1; i < WF_PING_BURST; i++)
        CHECK_EQ(wf_deadlines_ping_take(&d, 10, 1000), 0);
    CHECK_EQ(wf_deadlines_ping_take(&d, 10, 1000), 100);
    CHECK_EQ(wf_deadlines_ping_take(&d, 10, 1000), 100); /* nobody owes more than one */
    CHECK_EQ(wf_deadlines_ping_take(&d, 10, 1050), 100);
}

TEST(the_wait_that_is_told_is_enough) {
    static const uint32_t rates[] = {1, 3, 7, 10, 999, 1000, 5000, 1000000};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        wf_deadlines d;
        uint64_t now_ms = 5, started_ms = 5, taken = 0;
        test_context("%u per second", rates[i]);
        wf_deadlines_ping_init(&d, now_ms);
        for (; taken < 500; taken++) {
            uint32_t wait_ms = wf_deadlines_ping_take(&d, rates[i], now_ms);
            CHECK(wait_ms <= 1000 / rates[i] + 1);
            now_ms += wait_ms;
            /* never more than the burst and what the time gave */
            CHECK((taken + 1 - WF_PING_BURST) * 1000 <= (now_ms - started_ms) * rates[i] || taken < WF_PING_BURST);
        }
        CHECK((now_ms - started_ms) * rates[i] <= (500 - WF_PING_BURST + 1) * 1000 + 500 * (uint64_t)rates[i]);
    }
}

TEST(an_idle_time_fills_the_bucket_and_no_more) {
    wf_deadlines d;
    wf_deadlines_ping_init(&d, 0);
    for (int i = 0; i < WF_PING_BURST; i++)
        wf_deadlines_ping_take(&d, 10, 0);
    CHECK_EQ(wf_deadlines_ping_take(&d, 10, UINT64_C(1) << 30), 0);
    for (int i = 2; i < WF_PING_BURST; i++)
        CHECK_EQ(wf_deadlines_ping_take(&d, 10, UINT64_C(1) << 30), 0);
    CHECK_EQ(wf_deadlines_ping_take(&d, 10, UINT64_C(1) << 30), 100);
}

TEST(a_rate_of_never_is_no_limit) {
    wf_deadlines d;
    wf_deadlines_ping_init(&d, 0);
    for (int i = 0; i < 10000; i++)
        CHECK_EQ(wf_deadlines_ping_take(&d, WF_NEVER, 0), 0);
}
