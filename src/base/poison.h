/*
 * poison.h - memory that is ours and not in use, for AddressSanitizer: whoever touches it is reported, as after a free.
 * Without the sanitizer it costs nothing.
 */
#ifndef WF_BASE_POISON_H
#define WF_BASE_POISON_H

#include <stddef.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WF_POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WF_POISONS 1
#endif

#ifdef WF_POISONS
void __asan_poison_memory_region(const volatile void *ptr, size_t size);
void __asan_unpoison_memory_region(const volatile void *ptr, size_t size);
#define WF_POISON(ptr, size)   __asan_poison_memory_region((ptr), (size))
#define WF_UNPOISON(ptr, size) __asan_unpoison_memory_region((ptr), (size))
#else
#define WF_POISON(ptr, size)   ((void)(ptr), (void)(size))
#define WF_UNPOISON(ptr, size) ((void)(ptr), (void)(size))
#endif

#endif
