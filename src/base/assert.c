#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void wf_assert_failed(const char *expression, const char *file, int line) {
    fprintf(stderr, "weft: bug: %s is false at %s:%d\n", expression, file, line);
    abort();
}
