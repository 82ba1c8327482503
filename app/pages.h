/*
 * pages.h - the files of web/, compiled in (cmake/EmbedFiles.cmake writes the table).
 */
#ifndef APP_PAGES_H
#define APP_PAGES_H

#include <stddef.h>

typedef struct app_page {
    const char *path; /* "/" for index.html, "/chat.js" for others */
    const char *content_type;
    const char *etag; /* quoted hash of the content */
    const unsigned char *data;
    size_t len;
} app_page;

extern const app_page app_pages[];
extern const size_t app_page_count;

#endif
