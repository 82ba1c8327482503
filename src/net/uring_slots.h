/*
 * uring_slots.h - what the answers of io_uring lead to: a slot for each sock, the bytes that wait with it, and the
 * list of those that something is due of. Pure: no call to the kernel.
 *
 *      sock --slot--> list[] | sock | spill | armed |  <--user_data-- completion
 *
 * A slot is free when its sock is closed, nothing is armed, and neither a send nor a place in the list is left of it.
 */
#ifndef WF_NET_URING_SLOTS_H
#define WF_NET_URING_SLOTS_H

#include "base/buf.h"
#include "net/loop.h"

enum { WF_NO_SLOT = UINT32_MAX, WF_SLOTS_MAX = 1 << 24 };

/* slot.flags */
enum {
    WF_SLOT_QUEUED = 1,    /* a send in the arena is not submitted yet */
    WF_SLOT_DUE = 2,       /* stands in the list of due slots */
    WF_SLOT_FAIL_DUE = 4,  /* to be told when its turn comes */
    WF_SLOT_EOF_DUE = 8,   /* the peer's FIN came behind what is kept */
    WF_SLOT_SHUT_DUE = 16, /* our FIN goes behind what is unsent */
    WF_SLOT_WAITS_DUE = 32 /* that something is unsent is to be told */
};

/* Taken when needed. */
typedef struct wf_uring_spill {
    wf_buf in;     /* received while paused */
    wf_buf out;    /* accepted from the owner and not taken by the kernel */
    int sys_errno; /* with FAIL_DUE */
} wf_uring_spill;

typedef struct wf_uring_slot {
    wf_sock *sock; /* NULL: closed, or free */
    wf_uring_spill *spill;
    uint32_t next; /* in the list of free slots, or of due ones */
    uint8_t armed; /* requests that the kernel has: the loop's bits */
    uint8_t flags;
    uint16_t send_len; /* with QUEUED */
} wf_uring_slot;

typedef struct wf_uring_slots {
    wf_uring_slot *list; /* owned; moves when it grows */
    uint32_t count, cap, free_first;
    uint32_t due_first, due_last, due_count;
    size_t *held_bytes; /* counts what spills hold */
} wf_uring_slots;

void wf_uring_slots_init(wf_uring_slots *slots, size_t *held_bytes);
void wf_uring_slots_deinit(wf_uring_slots *slots); /* every sock is closed */

/* Sets sock->slot. 0; or WF_ESYS with errno ENOMEM. Other slots may move. */
int wf_uring_slot_new(wf_uring_slots *slots, wf_sock *sock);

/* Puts it among the free ones, if nobody owns it and nobody will speak of it any more. */
void wf_uring_slot_release(wf_uring_slots *slots, wf_uring_slot *slot);

/* Puts it at the end of the due ones, once; and takes the first of them: NULL when there is none. */
void wf_uring_slot_due(wf_uring_slots *slots, wf_uring_slot *slot);
wf_uring_slot *wf_uring_slot_take_due(wf_uring_slots *slots);

/* The failure is told when its turn comes. */
void wf_uring_slot_fail(wf_uring_slots *slots, wf_uring_slot *slot, int sys_errno);

/* Keeps bytes, received or to be sent, behind those that are kept, with WF_RECV_SLACK behind them. False: there was no
 * memory, and it fails. */
bool wf_uring_slot_keep(wf_uring_slots *slots, wf_uring_slot *slot, bool in, const uint8_t *data, size_t len);
void wf_uring_spill_free(wf_uring_slots *slots, wf_uring_slot *slot);

static inline bool wf_uring_has_in(const wf_uring_slot *slot) {
    return slot->spill && slot->spill->in.len > 0;
}

static inline bool wf_uring_has_out(const wf_uring_slot *slot) {
    return slot->spill && slot->spill->out.len > 0;
}

#endif
