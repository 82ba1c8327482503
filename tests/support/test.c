#include "test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static test_case *first, **last = &first;
static jmp_buf out_of_test;
static char context[256];

void test_register(test_case *test) {
    *last = test;
    last = &test->next;
}

void test_context(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
}

void test_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "  %s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "%s%s\n", context[0] ? "\n    in " : "", context);
    va_end(args);
    longjmp(out_of_test, 1);
}

uint64_t test_random(uint64_t *state) {
    uint64_t x = *state ? *state : 0x9E3779B97F4A7C15u;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

int main(int argc, char **argv) {
    volatile int passed = 0, failed = 0;
    for (test_case *volatile test = first; test; test = test->next) {
        if (argc > 1 && !strstr(test->name, argv[1]))
            continue;
        context[0] = '\0';
        if (setjmp(out_of_test) == 0) {
            test->run();
            passed++;
        } else {
            fprintf(stderr, "FAILED %s\n", test->name);
            failed++;
        }
        test_mem_fail_at(0);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || passed == 0;
}
