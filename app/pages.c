/*
 * The pages of web/, compiled in. Each is revalidated by its ETag, so a new build is seen at the next load
 * and an unchanged file costs a 304.
 */
#include "app/pages.h"

#include "app/routes.h"

#include <string.h>

static const char content_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self' "
    "data: blob:; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#define CONSOLE "/console"

/* It speaks with a secret: nothing but its own files, and no text may ever become markup. */
static const char console_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src data:; base-uri "
    "'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

static bool is_console(const char *path) {
    return strncmp(path, CONSOLE, sizeof CONSOLE - 1) == 0;
}

/* Modules for pages of others, who import them from here. */
static bool is_public(const char *path) {
    return strncmp(path, "/weft", 5) == 0;
}

static bool is_known(const weft_request *request, const char *etag) {
    weft_text known = weft_request_header(request, "If-None-Match");
    if (known.len == 1 && known.data[0] == '*')
        return true;
    /* Weak comparison in a list (RFC 9110 13.1.2): ours is a quoted hash, so to stand in the list is to be an
     * element. */
    return known.data && memmem(known.data, known.len, etag, strlen(etag)) != NULL;
}

static void on_page(weft_request *request, void *user) {
    const app_page *page = user;
    if (!app_want_get(request, "GET, HEAD"))
        return;
    int status = is_known(request, page->etag) ? 304 : 200;
    weft_header headers[] = {
        {"Content-Type", page->content_type},
        {"ETag", page->etag},
        {"Cache-Control", "no-cache"},
        {"Content-Security-Policy", is_console(page->path) ? console_policy : content_policy},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Access-Control-Allow-Origin", "*"},
    };
    size_t count = sizeof headers / sizeof headers[0] - !is_public(page->path);
    app_log_request(request, status);
    weft_request_reply_with(request, status, headers, count,
                            (weft_text) {(const char *)page->data, status == 304 ? 0 : page->len});
}

static void on_nothing(weft_request *request, void *user) {
    (void)user;
    app_reply_text(request, 404, "there is nothing here\n");
}

int app_pages_add(weft_server *server, const app_config *config) {
    weft_route nothing = {WEFT_ROUTE_INIT, .path = "/*", .request = on_nothing};
    int got = weft_server_route(server, &nothing);
    for (size_t i = 0; i < app_page_count && got == WEFT_OK; i++) {
        const char *path = app_pages[i].path;
        if (is_console(path) && !app_has_console(config))
            continue;
        if (strcmp(path, CONSOLE ".html") == 0)
            path = CONSOLE;
        weft_route route = {WEFT_ROUTE_INIT, .path = path, .request = on_page, .user = (void *)&app_pages[i]};
        got = weft_server_route(server, &route);
    }
    return got;
}
