#include "oracles.h"

#include "client.h"
#include "kernel.h"
#include "sim.h"
#include "test.h"

enum {
    IDLE_TURNS_MAX = 8,
    /* Calls a run may cost: for each thing that a client or a fault did, each connection, each second. Some twice as
     * many as are needed, seen over many seeds. */
    CALLS_BASE = 100,
    CALLS_PER_DEED = 5,
    CALLS_PER_CONNECTION = 30,
    CALLS_PER_S = 60,
};

static uint64_t last_ns, last_deeds, last_bytes, ends_by_ns;
static int idle_turns;

void sim_oracles_begin(void) {
    last_ns = last_deeds = last_bytes = 0;
    idle_turns = 0;
    ends_by_ns = UINT64_MAX;
}

void sim_oracle_ends_by(uint64_t at_ns) {
    ends_by_ns = at_ns;
}

void sim_oracle_turn(void) {
    bool moved = sim.now_ns != last_ns || sim.deeds != last_deeds || sim.bytes != last_bytes;
    idle_turns = moved ? 0 : idle_turns + 1;
    if (idle_turns > IDLE_TURNS_MAX)
        sim_fail("spin", "%d turns in which nothing happened", idle_turns);
    if (sim.now_ns > ends_by_ns)
        sim_fail("bounded end", "the server should have ended at %.6f s", (double)ends_by_ns / 1e9);
    sim_clients_check();
    last_ns = sim.now_ns;
    last_deeds = sim.deeds;
    last_bytes = sim.bytes;
}

void sim_oracles_end(void) {
    if (sim_kernel_descriptors() != 0)
        sim_fail("descriptors", "%d are open at the end", sim_kernel_descriptors());
    if (test_mem_live() != 0)
        sim_fail("memory", "%zu blocks, %zu bytes are alive at the end", test_mem_live(), test_mem_bytes());
    uint64_t bound = CALLS_BASE + sim.deeds * CALLS_PER_DEED + sim.connections * CALLS_PER_CONNECTION +
                     sim.now_ns / 1000000000u * CALLS_PER_S;
    if (sim.calls > bound)
        sim_fail("work", "%llu calls for %llu deeds and %llu connections: more than %llu",
                 (unsigned long long)sim.calls, (unsigned long long)sim.deeds, (unsigned long long)sim.connections,
                 (unsigned long long)bound);
}
