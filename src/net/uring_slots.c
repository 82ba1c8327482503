/*
 * An array that only grows, with two lists through it: a slot is in one of them at most, for what is due is not free.
 */
#include "net/uring_slots.h"

#include "base/mem.h"

#include <errno.h>

void wf_uring_slots_init(wf_uring_slots *slots, size_t *held_bytes) {
    *slots = (wf_uring_slots) {.free_first = WF_NO_SLOT, .due_first = WF_NO_SLOT, .held_bytes = held_bytes};
}

void wf_uring_slots_deinit(wf_uring_slots *slots) {
    wf_mem_free(slots->list);
}

int wf_uring_slot_new(wf_uring_slots *slots, wf_sock *sock) {
    uint32_t index = slots->free_first;
    if (index != WF_NO_SLOT) {
        slots->free_first = slots->list[index].next;
    } else {
        if (slots->count == slots->cap) {
            uint32_t cap = slots->cap ? slots->cap + slots->cap / 2 : 64;
            wf_uring_slot *grown = cap > WF_SLOTS_MAX ? NULL : wf_mem_resize(slots->list, cap * sizeof *grown);
            if (!grown) {
                errno = ENOMEM;
                return WF_ESYS;
            }
            slots->list = grown;
            slots->cap = cap;
        }
        index = slots->count++;
    }
    slots->list[index] = (wf_uring_slot) {.sock = sock};
    sock->slot = index;
    return 0;
}

void wf_uring_slot_release(wf_uring_slots *slots, wf_uring_slot *slot) {
    if (slot->sock || slot->armed || slot->flags & (WF_SLOT_DUE | WF_SLOT_QUEUED))
        return;
    slot->next = slots->free_first;
    slots->free_first = (uint32_t)(slot - slots->list);
}

void wf_uring_slot_due(wf_uring_slots *slots, wf_uring_slot *slot) {
    uint32_t index = (uint32_t)(slot - slots->list);
    if (slot->flags & WF_SLOT_DUE)
        return;
    slot->flags |= WF_SLOT_DUE;
    slot->next = WF_NO_SLOT;
    if (slots->due_first == WF_NO_SLOT)
        slots->due_first = index;
    else
        slots->list[slots->due_last].next = index;
    slots->due_last = index;
    slots->due_count++;
}

wf_uring_slot *wf_uring_slot_take_due(wf_uring_slots *slots) {
    if (slots->due_first == WF_NO_SLOT)
        return NULL;
    wf_uring_slot *slot = &slots->list[slots->due_first];
    slots->due_first = slot->next;
    slots->due_count--;
    slot->flags &= (uint8_t)~WF_SLOT_DUE;
    return slot;
}

static wf_uring_spill *spill_of(wf_uring_slot *slot) {
    if (!slot->spill)
        slot->spill = wf_mem_zalloc(sizeof *slot->spill);
    return slot->spill;
}

void wf_uring_slot_fail(wf_uring_slots *slots, wf_uring_slot *slot, int sys_errno) {
    if (spill_of(slot))
        slot->spill->sys_errno = sys_errno; /* without memory the errno is ENOMEM */
    slot->flags |= WF_SLOT_FAIL_DUE;
    wf_uring_slot_due(slots, slot);
}

bool wf_uring_slot_keep(wf_uring_slots *slots, wf_uring_slot *slot, bool in, const uint8_t *data, size_t len) {
    if (spill_of(slot)) {
        wf_buf *buf = in ? &slot->spill->in : &slot->spill->out;
        size_t before = buf->cap;
        int status = wf_buf_reserve(buf, len + WF_RECV_SLACK);
        *slots->held_bytes += buf->cap - before;
        if (status == WF_OK) {
            wf_buf_append(buf, data, len);
            return true;
        }
    }
    wf_uring_slot_fail(slots, slot, ENOMEM);
    return false;
}

void wf_uring_spill_free(wf_uring_slots *slots, wf_uring_slot *slot) {
    if (!slot->spill)
        return;
    *slots->held_bytes -= slot->spill->in.cap + slot->spill->out.cap;
    wf_buf_deinit(&slot->spill->in);
    wf_buf_deinit(&slot->spill->out);
    wf_mem_free(slot->spill);
    slot->spill = NULL;
}
