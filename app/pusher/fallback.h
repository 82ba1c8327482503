/*
 * fallback.h - xhr_streaming and xhr_polling, as pusher-js uses them where no WebSocket gets through, on the path that
 * WebSockets have too: KEY/NUMBER/RANDOM/ and
 *
 *     POST xhr_streaming   receives by an answer that goes on
 *     POST xhr             receives by an answer that waits until there is something
 *     POST xhr_send        sends: a JSON array of messages; [] is a sign of life
 */
#ifndef APP_PUSHER_FALLBACK_H
#define APP_PUSHER_FALLBACK_H

#include <weft/weft.h>

/* A route's: `apps` is a push_apps. */
void push_xhr_request(weft_request *request, void *apps);
void push_xhr_lost(void *session, void *apps);
void push_xhr_open(weft_conn *conn);
void push_xhr_closed(weft_conn *conn);

#endif
