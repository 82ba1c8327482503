#include "app/pusher/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Older ones wait for their lookups when they end, and name schemes in another way. */
enum { VERSION_MIN = 0x075700 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static push_curl curl;
static char why[256]; /* empty: it is there */

/* What a symbol is called, and where its address goes. */
static const struct function {
    const char *name;
    void *at;
} functions[] = {
#define FUNCTION(name) {"curl_" #name, &curl.name},
    PUSH_CURL_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

static bool find_all(void *library) {
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        void *found = dlsym(library, functions[i].name);
        if (!found)
            return false;
        memcpy(functions[i].at, &found, sizeof found);
    }
    return true;
}

static void load(void) {
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library || !find_all(library))
        snprintf(why, sizeof why, "needs libcurl, which cannot be loaded: %.200s", dlerror());
    else if (curl.version_info(CURLVERSION_NOW)->version_num < VERSION_MIN)
        snprintf(why, sizeof why, "needs libcurl 7.87 or newer");
    else if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(why, sizeof why, "needs libcurl, which does not start: is memory out?");
}

const push_curl *push_curl_get(const char **out_why) {
    pthread_once(&once, load);
    *out_why = why;
    return why[0] ? NULL : &curl;
}
