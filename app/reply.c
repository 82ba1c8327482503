/*
 * Answers to plain requests, each logged where it is given.
 */
#include "app/log.h"
#include "app/routes.h"

#include <stdio.h>
#include <string.h>

static void copy(char *out, size_t cap, weft_text text) {
    size_t len = text.len < cap - 1 ? text.len : cap - 1;
    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
}

void app_log_request(const weft_request *request, int status) {
    app_log_request_with(request, status, NULL, NULL);
}

void app_log_request_with(const weft_request *request, int status, const char *name, const char *value) {
    if (!app_log_wants(APP_DEBUG))
        return;
    char method[16], path[512], code[16];
    copy(method, sizeof method, weft_request_method(request));
    copy(path, sizeof path, weft_request_path(request));
    snprintf(code, sizeof code, "%d", status);
    app_log(APP_DEBUG, "request", "peer", weft_request_peer(request), "method", method, "path", path, "status", code,
            name, value, NULL);
}

void app_reply_with(weft_request *request, int status, const weft_header *headers, size_t header_count,
                    weft_text body) {
    if (weft_request_reply_with(request, status, headers, header_count, body) == WEFT_ENOMEM)
        weft_request_reply_with(request, 503, NULL, 0, (weft_text) {NULL, 0});
}

void app_reply(weft_request *request, int status, const char *content_type, const void *body, size_t len) {
    weft_header header = {"Content-Type", content_type};
    app_log_request(request, status);
    app_reply_with(request, status, &header, content_type != NULL, (weft_text) {body, len});
}

void app_reply_text(weft_request *request, int status, const char *text) {
    app_reply(request, status, "text/plain; charset=utf-8", text, strlen(text));
}

bool app_want_get(weft_request *request, const char *allow) {
    weft_text method = weft_request_method(request);
    if ((method.len == 3 && memcmp(method.data, "GET", 3) == 0) ||
        (method.len == 4 && memcmp(method.data, "HEAD", 4) == 0))
        return true;
    static const char text[] = "this method is not for this path\n";
    weft_header headers[] = {{"Content-Type", "text/plain; charset=utf-8"}, {"Allow", allow}};
    app_log_request(request, 405);
    weft_request_reply_with(request, 405, headers, 2, (weft_text) {text, sizeof text - 1});
    return false;
}
