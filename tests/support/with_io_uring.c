/*
 * with_io_uring PROGRAM [ARG...] - runs a test on the loop over io_uring. Where there is none (not built, not in this
 * kernel, not allowed) it says why and ends with 77, which ctest counts as skipped.
 */
#include "net/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SKIPPED = 77 };

int main(int argc, char **argv) {
    wf_loop *loop = wf_loop_new_on(WF_LOOP_URING, 0);
    if (!loop) {
        printf("skipped: no io_uring here: %s\n", strerror(errno));
        return SKIPPED;
    }
    wf_loop_free(loop);
    if (argc < 2 || setenv("WEFT_BACKEND", "io_uring", 1) < 0)
        return 2;
    execvp(argv[1], argv + 1);
    fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
    return 2;
}
