/*
 * handshakes.h - the rules of the opening handshake once more, slowly: from the RFCs' words, over copies that end in
 * NUL.
 */
#ifndef WF_TESTS_FUZZ_HANDSHAKES_H
#define WF_TESTS_FUZZ_HANDSHAKES_H

#include "fuzz.h"
#include "http/upgrade.h"

/* The n-th element of a comma separated list, trimmed, empty ones counted: false behind the last. */
bool slow_element(wf_str list, size_t n, wf_str *out);

/* Header lines of this name, given in lower case. */
size_t slow_count(const wf_http_request *request, const char *name);

bool slow_has_token(const wf_http_request *request, const char *name, const char *token);
bool slow_host_split(wf_str authority, wf_str *out_host, unsigned *out_port);
wf_refusal slow_refusal(const wf_http_request *request);
bool slow_origin_ok(const wf_http_request *request, const char *const *allowed, size_t count);
bool slow_pick_protocol(const wf_http_request *request, const char *const *supported, size_t count, wf_str *out_picked);

/* The decoded bytes, or WF_ERROR. */
int slow_percent_decode(wf_str in, fuzz_bytes *out);
bool slow_query_find(wf_str query, const char *name, wf_str *out_value);

#endif
