/*
 * curl.h - libcurl, loaded when the first webhook is named and not before: with its libraries it would take most of the
 * program's start and of an idle server's memory. Its functions are called as curl->easy_init() for curl_easy_init();
 * their types are those that curl/curl.h declares.
 */
#ifndef APP_PUSHER_CURL_H
#define APP_PUSHER_CURL_H

#include <curl/curl.h>

#define PUSH_CURL_FUNCTIONS(DO)                                                                                        \
    DO(easy_cleanup)                                                                                                   \
    DO(easy_getinfo)                                                                                                   \
    DO(easy_init)                                                                                                      \
    DO(easy_setopt)                                                                                                    \
    DO(easy_strerror)                                                                                                  \
    DO(free)                                                                                                           \
    DO(global_init)                                                                                                    \
    DO(multi_add_handle)                                                                                               \
    DO(multi_cleanup)                                                                                                  \
    DO(multi_info_read)                                                                                                \
    DO(multi_init)                                                                                                     \
    DO(multi_perform)                                                                                                  \
    DO(multi_poll)                                                                                                     \
    DO(multi_remove_handle)                                                                                            \
    DO(multi_setopt)                                                                                                   \
    DO(slist_append)                                                                                                   \
    DO(slist_free_all)                                                                                                 \
    DO(url)                                                                                                            \
    DO(url_cleanup)                                                                                                    \
    DO(url_get)                                                                                                        \
    DO(url_set)                                                                                                        \
    DO(version_info)

typedef struct push_curl {
#define PUSH_CURL_MEMBER(name) __typeof__(curl_##name) *name;
    PUSH_CURL_FUNCTIONS(PUSH_CURL_MEMBER)
#undef PUSH_CURL_MEMBER
} push_curl;

/* From any thread; it is loaded once, and stays. NULL: it cannot be had, and *out_why says why. */
const push_curl *push_curl_get(const char **out_why);

#endif
