#include "faults.h"

#include "sim.h"
#include "test.h"

/* Per million calls, at most. What kills a connection is rarer: there must be something left to be killed. */
static const uint32_t rate_max[FAULT_COUNT] = {
    [FAULT_SHORT_READ] = 500000,  [FAULT_SHORT_WRITE] = 500000,   [FAULT_READ_AGAIN] = 200000,
    [FAULT_WRITE_AGAIN] = 200000, [FAULT_INTERRUPTED] = 200000,   [FAULT_FEW_EVENTS] = 500000,
    [FAULT_MEANWHILE] = 300000,   [FAULT_RESET] = 4000,           [FAULT_PIPE] = 4000,
    [FAULT_SEND_NOBUFS] = 4000,   [FAULT_ACCEPT] = 200000,        [FAULT_ABORTED] = 100000,
    [FAULT_CTL] = 50000,          [FAULT_NO_DESCRIPTORS] = 50000, [FAULT_NO_MEMORY] = 2000,
    [FAULT_MULTI_ENDS] = 300000,  [FAULT_NO_BUFFERS] = 200000,
};

/* In how many of a hundred seeds the kind is there at all. An allocation that failed excuses much, hence seldom. */
static const uint32_t present[FAULT_COUNT] = {
    [FAULT_SHORT_READ] = 60,  [FAULT_SHORT_WRITE] = 60,    [FAULT_READ_AGAIN] = 50, [FAULT_WRITE_AGAIN] = 50,
    [FAULT_INTERRUPTED] = 40, [FAULT_FEW_EVENTS] = 50,     [FAULT_MEANWHILE] = 50,  [FAULT_RESET] = 30,
    [FAULT_PIPE] = 30,        [FAULT_SEND_NOBUFS] = 20,    [FAULT_ACCEPT] = 20,     [FAULT_ABORTED] = 20,
    [FAULT_CTL] = 15,         [FAULT_NO_DESCRIPTORS] = 20, [FAULT_NO_MEMORY] = 25,  [FAULT_MULTI_ENDS] = 40,
    [FAULT_NO_BUFFERS] = 30,
};

static uint32_t rates[FAULT_COUNT];
static uint64_t until_ns;
static bool armed;
static uint32_t memory_faults;

static int refuse(void) {
    if (!sim_happens(FAULT_NO_MEMORY))
        return 0;
    memory_faults++;
    sim_trace("no memory", memory_faults, 0, 0);
    return 1;
}

void sim_faults_begin(void) {
    armed = false;
    memory_faults = 0;
    for (int i = 0; i < FAULT_COUNT; i++)
        rates[i] = sim_below(100) < present[i] ? sim_log_between(rate_max[i] / 200 + 1, rate_max[i]) : 0;
    until_ns = (uint64_t)sim_between(500, 20000) * SIM_MS;
    test_mem_fail_when(refuse);
}

void sim_faults_arm(void) {
    armed = true;
}

bool sim_faulty(void) {
    return armed && sim.now_ns < until_ns;
}

bool sim_happens(sim_fault fault) {
    if (!sim_faulty() || !sim_chance(rates[fault]))
        return false;
    sim.deeds++;
    return true;
}

uint32_t sim_memory_faults(void) {
    return memory_faults;
}
