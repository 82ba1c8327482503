#include "app/pusher/poster.h"

#include "app/pusher/sign.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of an answer, head and body; and how many connections are kept for the next post. */
enum { ANSWER_BYTES_MAX = 64 << 10, CONNECTIONS_KEPT = 64 };

/* A post under way. */
typedef struct transfer {
    struct transfer *prev, *next;
    CURL *easy;
    struct curl_slist *headers;
    void *user;
    size_t answer_bytes;
    char error[CURL_ERROR_SIZE];
} transfer;

struct push_poster {
    CURLM *multi;
    transfer *first;
};

push_poster *push_poster_new(void) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return NULL;
    push_poster *poster = calloc(1, sizeof *poster);
    if (poster)
        poster->multi = curl_multi_init();
    if (poster && poster->multi) {
        curl_multi_setopt(poster->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
        return poster;
    }
    free(poster);
    curl_global_cleanup();
    return NULL;
}

static void transfer_free(transfer *t) {
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    free(t);
}

static void end(push_poster *poster, transfer *t) {
    curl_multi_remove_handle(poster->multi, t->easy);
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
    curl_multi_cleanup(poster->multi);
    curl_global_cleanup();
    free(poster);
}

/* For head and body alike: less than `size * count` ends the transfer. */
static size_t pass_over(char *data, size_t size, size_t count, void *user) {
    transfer *t = user;
    (void)data;
    t->answer_bytes += size * count;
    return t->answer_bytes <= ANSWER_BYTES_MAX ? size * count : 0;
}

static bool add_header(transfer *t, const char *line) {
    struct curl_slist *longer = curl_slist_append(t->headers, line);
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
    return ok && curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK;
}

static bool set_options(transfer *t, const push_post *post) {
    CURL *easy = t->easy;
    const push_webhooks *hooks = post->hooks;
    struct curl_blob ca = {hooks->ca, hooks->ca_len, CURL_BLOB_COPY};
    long time_ms = (long)hooks->timeout_ms;
    bool ok = curl_easy_setopt(easy, CURLOPT_URL, post->hook->url) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_PROXY, hooks->proxy ? hooks->proxy : "") == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_USERAGENT, "weft") == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->body->len) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_POSTFIELDS, post->body->data) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, time_ms) == CURLE_OK &&
              curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    if (ok && hooks->ca)
        ok = curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &ca) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* who looks up a name is not waited for */
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, pass_over);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, pass_over);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    return ok;
}

bool push_poster_begin(push_poster *poster, const push_post *post, void *user) {
    transfer *t = post->body->failed ? NULL : calloc(1, sizeof *t);
    if (!t)
        return false;
    t->user = user;
    t->easy = curl_easy_init();
    if (!t->easy || !set_options(t, post) || !set_headers(t, post) ||
        curl_multi_add_handle(poster->multi, t->easy) != CURLM_OK) {
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
    curl_multi_poll(poster->multi, NULL, 0, wait_ms, &ignored); /* one that has just begun does not wait */
    curl_multi_perform(poster->multi, &ignored);
}

/* Once the status is there it decides: the rest of an answer may be cut, or never come. */
static void judge(const transfer *t, CURLcode result, push_posted *out) {
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    *out = (push_posted) {.user = t->user, .status = (int)status};
    if (status == 0)
        snprintf(out->error, sizeof out->error, "%.150s", t->error[0] ? t->error : curl_easy_strerror(result));
    else if (status < 200 || status > 299)
        snprintf(out->error, sizeof out->error, "it answered %ld", status);
}

bool push_poster_next(push_poster *poster, push_posted *out) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(poster->multi, &left))) {
        transfer *t = NULL;
        if (message->msg != CURLMSG_DONE || curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t) != CURLE_OK)
            continue;
        judge(t, message->data.result, out);
        end(poster, t);
        return true;
    }
    return false;
}

void push_poster_wake(push_poster *poster) {
    curl_multi_wakeup(poster->multi);
}
