/*
 * zips.h - messages through permessage-deflate, for the fuzzers inflate and deflate.
 */
#ifndef WF_TESTS_FUZZ_ZIPS_H
#define WF_TESTS_FUZZ_ZIPS_H

#include "fuzz.h"
#include "ws/inflate.h"

/* A message as it stands on the wire, uncompressed by one connection's inflater, which is fed pieces in blocks of
 * their exact size. Puts the outcome into the log: 'M' with the plain bytes, or '!' with WF_FULL or WF_ERROR. False:
 * it is over. */
bool zips_inflate(wf_inflate *inflate, const fuzz_input *message, fuzz_cuts *cuts, uint64_t bytes_max, fuzz_bytes *log);

/* Calls run for each library that was built in, and first for the best of each size, which is NULL. */
void zips_each_library(void (*run)(const char *library, void *user), void *user);
void zips_codec_init(wf_codec *codec, const char *library);

#endif
