/*
 * test.h - the whole of our test framework: named tests, checks that say what they saw, and a closing count.
 *
 *     TEST(buf_keeps_what_is_appended) { CHECK_EQ(buf.len, 3); }
 *     int main(int argc, char **argv) { return test_main(argc, argv); }    // provided by test.c
 *
 * A failed check ends its test, not the run. `./test_x NAME` runs the tests whose name contains NAME.
 */
#ifndef WF_TESTS_TEST_H
#define WF_TESTS_TEST_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
} test_case;

void test_register(test_case *test);
_Noreturn void test_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A context line ("row 12: ping_between_fragments, split at 3") printed with the next failure; "" clears it. */
void test_context(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define TEST(name_)                                                                                                    \
    static void name_(void);                                                                                           \
    static test_case name_##_case = {#name_, name_, NULL};                                                             \
    __attribute__((constructor)) static void name_##_register(void) {                                                  \
        test_register(&name_##_case);                                                                                  \
    }                                                                                                                  \
    static void name_(void)

#define CHECK(e) ((e) ? (void)0 : test_fail(__FILE__, __LINE__, "%s is false", #e))

#define CHECK_EQ(a, b)                                                                                                 \
    do {                                                                                                               \
        long long a_ = (long long)(a), b_ = (long long)(b);                                                            \
        if (a_ != b_)                                                                                                  \
            test_fail(__FILE__, __LINE__, "%s is %lld, not %s = %lld", #a, a_, #b, b_);                                \
    } while (0)

#define CHECK_STR(a, b)                                                                                                \
    do {                                                                                                               \
        const char *a_ = (a), *b_ = (b);                                                                               \
        if (!a_ || !b_ || strcmp(a_, b_) != 0)                                                                         \
            test_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #a, a_ ? a_ : "(null)", b_ ? b_ : "(null)");     \
    } while (0)

#define CHECK_BYTES(a, a_len, b, b_len)                                                                                \
    do {                                                                                                               \
        CHECK_EQ(a_len, b_len);                                                                                        \
        if ((b_len) > 0 && memcmp((a), (b), (b_len)) != 0)                                                             \
            test_fail(__FILE__, __LINE__, "bytes of %s differ from %s", #a, #b);                                       \
    } while (0)

/* From mem_faulty.c: the n-th allocation from now fails (1 = the next), 0 = none. */
void test_mem_fail_at(size_t n);
void test_mem_fail_when(int (*refuse)(void)); /* asked at each one; NULL: none */
size_t test_mem_calls(void);                  /* allocations tried since the last test_mem_fail_at */
size_t test_mem_live(void);                   /* blocks alive */
size_t test_mem_bytes(void);                  /* bytes alive */

/* From calls_faulty.c: the n-th call of this function from now fails (1 = the next, 0 = each) with this error: in
 * errno, or as its answer where errors are answered. NULL: none. */
void test_call_fail_at(const char *name, size_t n, int error);

/* Rings that are made from now on have so many entries (powers of two), so that they run over soon. 0: as they are. */
void test_uring_entries(unsigned requests, unsigned completions);

/* A small repeatable generator (xorshift); never for security. */
uint64_t test_random(uint64_t *state);

#endif
