#include "app/pusher/poster.h"

#include "app/pusher/curl.h"
#include "app/pusher/sign.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Of an answer, head and body; and how many connections are kept for the next post. */
enum { ANSWER_BYTES_MAX = 64 << 10, CONNECTIONS_KEPT = 64 };

/* A post under way. */
typedef struct transfer {
    struct transfer *prev, *next;
    const push_curl *curl;
    CURL *easy;
    struct curl_slist *headers;
    void *user;
    size_t answer_bytes;
    char error[CURL_ERROR_SIZE];
} transfer;

struct push_poster {
    const push_curl *curl; /* and this: NULL before the first post */
    CURLM *multi;
    int wakes; /* an eventfd */
    transfer *first;
};

push_poster *push_poster_new(void) {
    push_poster *poster = calloc(1, sizeof *poster);
    if (!poster)
        return NULL;
    poster->wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poster->wakes >= 0)
        return poster;
    free(poster);
    return NULL;
}

static bool is_ready(push_poster *poster) {
    const char *why;
    if (poster->multi)
        return true;
    poster->curl = push_curl_get(&why);
    poster->multi = poster->curl ? poster->curl->multi_init() : NULL;
    if (poster->multi)
        poster->curl->multi_setopt(poster->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    return poster->multi != NULL;
}

static void transfer_free(transfer *t) {
    t->curl->easy_cleanup(t->easy);
    t->curl->slist_free_all(t->headers);
    free(t);
}

static void end(push_poster *poster, transfer *t) {
    poster->curl->multi_remove_handle(poster->multi, t->easy);
    *(t->prev ? &t->prev->next : &poster->first) = t->next;
    if (t->next)
        t->next->prev = t->prev;
    transfer_free(t);
}

void push_poster_free(push_poster *poster) {
    if (!poster)
        return;
    while (poster->first)
        end(poster, poster->first);
    if (poster->multi)
        poster->curl->multi_cleanup(poster->multi);
    close(poster->wakes);
    free(poster);
}

/* For head and body alike: less than `size * count` ends the transfer. */
static size_t pass_over(char *data, size_t size, size_t count, void *user) {
    transfer *t = user;
    (void)data;
    t->answer_bytes += size * count;
    return t->answer_bytes <= ANSWER_BYTES_MAX ? size * count : 0;
}

/* What libcurl takes as variable arguments, with its type. */
static bool set_text(const transfer *t, CURLoption option, const char *text) {
    return t->curl->easy_setopt(t->easy, option, text) == CURLE_OK;
}

static bool set_number(const transfer *t, CURLoption option, long number) {
    return t->curl->easy_setopt(t->easy, option, number) == CURLE_OK;
}

static bool set_size(const transfer *t, CURLoption option, curl_off_t size) {
    return t->curl->easy_setopt(t->easy, option, size) == CURLE_OK;
}

static bool set_pointer(const transfer *t, CURLoption option, void *pointer) {
    return t->curl->easy_setopt(t->easy, option, pointer) == CURLE_OK;
}

static bool set_callback(const transfer *t, CURLoption option, curl_write_callback callback) {
    return t->curl->easy_setopt(t->easy, option, callback) == CURLE_OK;
}

static bool add_header(transfer *t, const char *line) {
    struct curl_slist *longer = t->curl->slist_append(t->headers, line);
    if (longer)
        t->headers = longer;
    return longer != NULL;
}

static bool set_headers(transfer *t, const push_post *post) {
    char hex[PUSH_SHA256_HEX], signature[32 + PUSH_SHA256_HEX], key[192];
    if (!push_hmac_hex(post->secret, post->body->data, post->body->len, hex))
        return false;
    snprintf(key, sizeof key, "X-Pusher-Key: %s", post->key);
    snprintf(signature, sizeof signature, "X-Pusher-Signature: %s", hex);
    bool ok = add_header(t, "Content-Type: application/json") && add_header(t, "Expect:") && add_header(t, key) &&
              add_header(t, signature);
    for (char *const *header = post->hook->headers; ok && *header; header++)
        ok = add_header(t, *header);
    return ok && set_pointer(t, CURLOPT_HTTPHEADER, t->headers);
}

static bool set_options(transfer *t, const push_post *post) {
    const push_webhooks *hooks = post->hooks;
    struct curl_blob ca = {hooks->ca, hooks->ca_len, CURL_BLOB_COPY};
    bool ok = set_text(t, CURLOPT_URL, post->hook->url) && set_text(t, CURLOPT_PROTOCOLS_STR, "http,https") &&
              set_text(t, CURLOPT_PROXY, hooks->proxy ? hooks->proxy : "") && set_text(t, CURLOPT_NOPROXY, "") &&
              set_text(t, CURLOPT_USERAGENT, "weft") &&
              set_size(t, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body->len) &&
              set_pointer(t, CURLOPT_POSTFIELDS, post->body->data) && set_number(t, CURLOPT_SSL_VERIFYPEER, 1) &&
              set_number(t, CURLOPT_SSL_VERIFYHOST, 2) && set_number(t, CURLOPT_NOSIGNAL, 1) &&
              set_number(t, CURLOPT_TIMEOUT_MS, hooks->timeout_ms) && set_number(t, CURLOPT_FOLLOWLOCATION, 0);
    if (ok && hooks->ca)
        ok = set_pointer(t, CURLOPT_CAINFO_BLOB, &ca) && set_text(t, CURLOPT_CAPATH, NULL);
    set_number(t, CURLOPT_QUICK_EXIT, 1); /* who looks up a name is not waited for */
    return ok && set_pointer(t, CURLOPT_ERRORBUFFER, t->error) && set_pointer(t, CURLOPT_PRIVATE, t) &&
           set_callback(t, CURLOPT_WRITEFUNCTION, pass_over) && set_pointer(t, CURLOPT_WRITEDATA, t) &&
           set_callback(t, CURLOPT_HEADERFUNCTION, pass_over) && set_pointer(t, CURLOPT_HEADERDATA, t);
}

bool push_poster_begin(push_poster *poster, const push_post *post, void *user) {
    transfer *t = is_ready(poster) && !post->body->failed ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return false;
    t->user = user;
    t->curl = poster->curl;
    t->easy = t->curl->easy_init();
    if (!t->easy || !set_options(t, post) || !set_headers(t, post) ||
        t->curl->multi_add_handle(poster->multi, t->easy) != CURLM_OK) {
        transfer_free(t);
        return false;
    }
    t->next = poster->first;
    if (t->next)
        t->next->prev = t;
    poster->first = t;
    return true;
}

void push_poster_work(push_poster *poster, int wait_ms) {
    int ignored;
    uint64_t times;
    if (poster->multi) { /* a post that has just begun does not wait */
        struct curl_waitfd wakes = {.fd = poster->wakes, .events = CURL_WAIT_POLLIN};
        poster->curl->multi_poll(poster->multi, &wakes, 1, wait_ms, &ignored);
    } else {
        poll(&(struct pollfd) {.fd = poster->wakes, .events = POLLIN}, 1, wait_ms);
    }
    ssize_t unused = read(poster->wakes, &times, sizeof times);
    (void)unused;
    if (poster->multi)
        poster->curl->multi_perform(poster->multi, &ignored);
}

/* Once the status is there it decides: the rest of an answer may be cut, or never come. */
static void judge(const transfer *t, CURLcode result, push_posted *out) {
    long status = 0;
    t->curl->easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    *out = (push_posted) {.user = t->user, .status = (int)status};
    if (status == 0)
        snprintf(out->error, sizeof out->error, "%.150s", t->error[0] ? t->error : t->curl->easy_strerror(result));
    else if (status < 200 || status > 299)
        snprintf(out->error, sizeof out->error, "it answered %ld", status);
}

bool push_poster_next(push_poster *poster, push_posted *out) {
    const push_curl *curl = poster->curl;
    CURLMsg *message;
    int left;
    while (poster->multi && (message = curl->multi_info_read(poster->multi, &left))) {
        transfer *t = NULL;
        if (message->msg != CURLMSG_DONE || curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t) != CURLE_OK)
            continue;
        judge(t, message->data.result, out);
        end(poster, t);
        return true;
    }
    return false;
}

void push_poster_wake(push_poster *poster) {
    ssize_t unused = write(poster->wakes, &(uint64_t) {1}, sizeof(uint64_t)); /* a full counter wakes as well */
    (void)unused;
}
