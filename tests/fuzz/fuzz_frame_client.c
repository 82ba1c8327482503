/*
 * The receiving half of a client. An input is two bytes of choices (frames_run.c), then wire bytes or a list of frames.
 */
#include "frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_frames(WF_WS_CLIENT, data, size);
}
