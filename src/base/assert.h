/*
 * assert.h - assertions for our own bugs, on in release. Never for what a peer, a file or the network did.
 */
#ifndef WF_BASE_ASSERT_H
#define WF_BASE_ASSERT_H

/* Writes one line to stderr and aborts. */
_Noreturn void wf_assert_failed(const char *expression, const char *file, int line);

#define wf_assert(e) ((e) ? (void)0 : wf_assert_failed(#e, __FILE__, __LINE__))

#endif
