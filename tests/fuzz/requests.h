/*
 * requests.h - a request that was read, judged by a second reading for which all its bytes lie in one block.
 */
#ifndef WF_TESTS_FUZZ_REQUESTS_H
#define WF_TESTS_FUZZ_REQUESTS_H

#include "fuzz.h"
#include "http/request.h"

/* All its parts, and where on the wire it ended. */
void fuzz_log_request(fuzz_bytes *log, const wf_http_request *request, size_t end);

/* The `len` bytes it was read from say the same: every part, the framing of the body, the limits. And the request
 * written in its plainest form is read as itself. */
void fuzz_check_request(const wf_http_request *request, const wf_http_limits *limits, const uint8_t *wire, size_t len);

#endif
