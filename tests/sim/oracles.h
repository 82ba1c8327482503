/*
 * oracles.h - what must hold in every run, whoever the clients are.
 */
#ifndef WF_TESTS_SIM_ORACLES_H
#define WF_TESTS_SIM_ORACLES_H

#include <stdint.h>

void sim_oracles_begin(void);
void sim_oracle_turn(void); /* the server is about to wait */
void sim_oracle_ends_by(uint64_t at_ns);
void sim_oracles_end(void); /* the server has been freed */

#endif
