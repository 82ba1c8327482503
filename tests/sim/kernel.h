/*
 * kernel.h - the simulated kernel, as the clients and the oracles see it. The server sees system calls.
 *
 * A stream is one TCP connection. Each direction is a ring of bytes of a size drawn per run: what the network and both
 * sockets' buffers hold together.
 */
#ifndef WF_TESTS_SIM_KERNEL_H
#define WF_TESTS_SIM_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sim_stream sim_stream;

void sim_kernel_begin(void);
int sim_kernel_descriptors(void); /* open ones */

uint32_t sim_ring_bytes(void); /* of each direction of each stream */

/* The listening socket is there. */
bool sim_listening(void);

/* `who` is told by sim_client_stir when something changes. NULL: refused. */
sim_stream *sim_connect(int who);

size_t sim_stream_write(sim_stream *s, const uint8_t *data, size_t len); /* bytes that fitted */
size_t sim_stream_read(sim_stream *s, uint8_t *out, size_t cap);         /* bytes that were there */
size_t sim_stream_readable(const sim_stream *s);

typedef enum sim_end { SIM_END_NONE, SIM_END_FIN, SIM_END_RESET } sim_end;
sim_end sim_stream_end(const sim_stream *s); /* behind what is readable */

void sim_stream_fin(sim_stream *s);
void sim_stream_reset(sim_stream *s);
void sim_stream_let_go(sim_stream *s); /* close(): FIN, and a reset to whatever comes. s is no more. */

/* Something was done to the connection that excuses its early end: a fault, or a lack of memory while it lived. */
bool sim_stream_hurt(const sim_stream *s);
bool sim_stream_given_up(const sim_stream *s); /* the server has closed it, or it was reset */

#endif
