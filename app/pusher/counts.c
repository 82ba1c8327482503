#include "app/pusher/counts.h"

const int push_codes[PUSH_CODES] = {4000, 4001, 4003, 4004, 4005, 4006, 4007, 4008, 4009, 4100, 4200, 4201, 4301, 4302};

const char *push_denial_name(push_denial denial) {
    static const char *const names[PUSH_DENIALS] = {"AuthError", "InvalidChannel", "LimitReached"};
    return names[denial];
}

static void count(atomic_ullong *counter) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void push_count_code(push_counts *counts, int code) {
    for (int i = 0; i < PUSH_CODES; i++)
        if (push_codes[i] == code)
            count(&counts->codes[i]);
}

void push_count_denied(push_counts *counts, push_denial denial) {
    count(&counts->denied[denial]);
}

void push_count_answer(push_counts *counts, int status) {
    count(&counts->api[status < 400 ? 0 : status < 500 ? 1 : 2]);
}
