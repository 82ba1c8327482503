/*
 * Slots beside a plain model: who is due, in which order, what is kept, and that a slot is another's only when nobody
 * speaks of it any more.
 */
#include "net/uring_slots.h"
#include "test.h"

#include <errno.h>

enum { SOCKS = 200, STEPS = 50000 };

static wf_uring_slots slots;
static size_t held;
static wf_sock socks[SOCKS];
static bool open_[SOCKS];

static wf_uring_slot *slot_of(int i) {
    return &slots.list[socks[i].slot];
}

static void close_sock(int i) {
    wf_uring_slot *slot = slot_of(i);
    slot->sock = NULL;
    slot->flags &= (uint8_t)~WF_SLOT_QUEUED;
    slot->armed = 0;
    wf_uring_spill_free(&slots, slot);
    wf_uring_slot_release(&slots, slot);
    open_[i] = false;
}

static void end(void) {
    for (int i = 0; i < SOCKS; i++)
        if (open_[i])
            close_sock(i);
    wf_uring_slots_deinit(&slots);
    CHECK_EQ(held, 0);
    CHECK_EQ(test_mem_live(), 0);
}

TEST(what_is_due_comes_once_and_in_order) {
    uint32_t order[SOCKS];
    size_t first = 0, last = 0;
    uint64_t random = 5;
    wf_uring_slots_init(&slots, &held);
    for (int i = 0; i < SOCKS; i++) {
        CHECK_EQ(wf_uring_slot_new(&slots, &socks[i]), 0);
        open_[i] = true;
    }
    bool listed[SOCKS] = {false};
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(test_random(&random) % SOCKS);
        if (test_random(&random) % 2) {
            wf_uring_slot_due(&slots, slot_of(i));
            if (!listed[i])
                order[last++ % SOCKS] = (uint32_t)i;
            listed[i] = true;
        } else {
            wf_uring_slot *due = wf_uring_slot_take_due(&slots);
            CHECK_EQ(due == NULL, first == last);
            if (due) {
                uint32_t expected = order[first++ % SOCKS];
                CHECK(due == slot_of((int)expected));
                listed[expected] = false;
            }
        }
        CHECK_EQ(slots.due_count, last - first);
    }
    while (wf_uring_slot_take_due(&slots))
        ;
    end();
}

TEST(a_slot_is_anothers_only_when_nobody_speaks_of_it) {
    wf_sock next;
    static const struct {
        const char *name;
        uint8_t armed, flags;
        bool is_free;
    } rows[] = {{"nothing_is_left", 0, 0, true},
                {"a_request_is_armed", 1, 0, false},
                {"a_send_is_not_submitted", 0, WF_SLOT_QUEUED, false},
                {"it_stands_in_the_list", 0, WF_SLOT_DUE, false},
                {"what_it_was_due_to_tell_is_nobodys", 0, WF_SLOT_FAIL_DUE | WF_SLOT_EOF_DUE, true}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %s", rows[i].name);
        wf_uring_slots_init(&slots, &held);
        CHECK_EQ(wf_uring_slot_new(&slots, &socks[0]), 0);
        wf_uring_slot *slot = slot_of(0);
        slot->armed = rows[i].armed;
        slot->flags = rows[i].flags;
        wf_uring_slot_release(&slots, slot); /* it has its sock */
        slot->sock = NULL;
        wf_uring_slot_release(&slots, slot);
        CHECK_EQ(wf_uring_slot_new(&slots, &next), 0);
        CHECK_EQ(next.slot == socks[0].slot, rows[i].is_free);
        wf_uring_slots_deinit(&slots);
    }
    test_context("%s", "");
}

TEST(what_is_kept_is_counted_and_stays_in_order) {
    wf_uring_slots_init(&slots, &held);
    CHECK_EQ(wf_uring_slot_new(&slots, &socks[0]), 0);
    wf_uring_slot *slot = slot_of(0);
    CHECK(!wf_uring_has_in(slot) && !wf_uring_has_out(slot));
    CHECK(wf_uring_slot_keep(&slots, slot, true, (const uint8_t *)"ab", 2));
    CHECK(wf_uring_slot_keep(&slots, slot, false, (const uint8_t *)"out", 3));
    CHECK(wf_uring_slot_keep(&slots, slot, true, (const uint8_t *)"cd", 2));
    CHECK_BYTES(slot->spill->in.data, slot->spill->in.len, "abcd", 4);
    CHECK_BYTES(slot->spill->out.data, slot->spill->out.len, "out", 3);
    CHECK(slot->spill->in.cap >= 4 + WF_RECV_SLACK);
    CHECK_EQ(held, slot->spill->in.cap + slot->spill->out.cap);
    open_[0] = true;
    end();
}

TEST(without_memory_it_fails_and_says_so) {
    for (size_t n = 1; n <= 2; n++) {
        wf_uring_slots_init(&slots, &held);
        CHECK_EQ(wf_uring_slot_new(&slots, &socks[0]), 0);
        wf_uring_slot *slot = slot_of(0);
        test_mem_fail_at(n);
        CHECK(!wf_uring_slot_keep(&slots, slot, true, (const uint8_t *)"ab", 2));
        test_mem_fail_at(0);
        CHECK(slot->flags & WF_SLOT_FAIL_DUE);
        CHECK(wf_uring_slot_take_due(&slots) == slot);
        CHECK(!slot->spill || slot->spill->sys_errno == ENOMEM);
        open_[0] = true;
        end();
    }
    wf_uring_slots_init(&slots, &held);
    test_mem_fail_at(1);
    CHECK_EQ(wf_uring_slot_new(&slots, &socks[0]), WF_ESYS);
    CHECK_EQ(errno, ENOMEM);
    test_mem_fail_at(0);
    wf_uring_slots_deinit(&slots);
}
