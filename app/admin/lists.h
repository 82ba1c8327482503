/*
 * lists.h - what there is, as JSON.
 */
#ifndef APP_ADMIN_LISTS_H
#define APP_ADMIN_LISTS_H

#include "app/pusher/apps.h"

enum { ADMIN_PAGE_MAX = 100 };

/* {"connections":1,...} */
void admin_put_stats(push_text *out, const weft_server *server);

/* [{"id":..},..]; and one of them. Keys are told, secrets are not. */
void admin_put_apps(push_text *out, push_apps *apps);
void admin_put_app(push_text *out, push_app *app);

typedef struct admin_page {
    const char *prefix, *after; /* "" */
    uint32_t max;
    bool fullest; /* those with the most in them, else by name, those behind `after` */
} admin_page;

/* [{"name":..,"subscriptions":1},..] of the channels with somebody in them. True: there are more. */
bool admin_put_channels(push_text *out, push_app *app, const admin_page *page);

/* The same of plain rooms. */
bool admin_put_rooms(push_text *out, const admin_page *page);

/* {"id":..,"peer":..,..}, with a comma between it and another, on the connection's thread. */
void admin_put_connection(push_text *out, weft_conn *conn);

#endif
