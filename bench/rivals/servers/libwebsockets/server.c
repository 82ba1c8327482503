/*
 * libwebsockets on its libev loop. Its own is poll(), which pays for every connection on every turn; on libuv it is
 * slower.
 * server PORT off|takeover|no-takeover: whether contexts live on is for the client's offer to say.
 *
 * As its documentation wants it, writing happens in the WRITEABLE callback alone, one message each time.
 */
#include <libwebsockets.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVE_BYTES (64 * 1024)

struct message {
    size_t bytes, room;
    unsigned readers;
    bool binary;
    unsigned char head[LWS_PRE]; /* the payload follows */
};

struct waiting {
    struct message *message;
    struct waiting *next;
};

struct session {
    struct lws *wsi;
    struct session *next, *previous; /* in the room */
    struct message *arriving;
    struct waiting *first, *last;
    bool in_room;
};

static struct session *room;

static void release(struct message *message) {
    if (message->readers == 0 || --message->readers == 0)
        free(message);
}

static void enqueue(struct session *session, struct message *message) {
    struct waiting *waiting = malloc(sizeof *waiting);
    if (waiting == NULL)
        abort();
    *waiting = (struct waiting) {.message = message};
    message->readers++;
    if (session->first == NULL)
        session->first = waiting;
    else
        session->last->next = waiting;
    session->last = waiting;
    lws_callback_on_writable(session->wsi);
}

static void dequeue(struct session *session) {
    struct waiting *waiting = session->first;
    session->first = waiting->next;
    release(waiting->message);
    free(waiting);
}

static void on_established(struct session *session, struct lws *wsi) {
    char path[16] = "";
    lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI);
    *session = (struct session) {.wsi = wsi, .in_room = strcmp(path, "/room") == 0};
    if (!session->in_room)
        return;
    session->next = room;
    if (room != NULL)
        room->previous = session;
    room = session;
}

static void on_closed(struct session *session) {
    while (session->first != NULL)
        dequeue(session);
    free(session->arriving);
    if (!session->in_room)
        return;
    if (session->next != NULL)
        session->next->previous = session->previous;
    if (session->previous != NULL)
        session->previous->next = session->next;
    else
        room = session->next;
}

static void on_message(struct session *session, struct message *message) {
    if (!session->in_room) {
        enqueue(session, message);
        return;
    }
    message->readers = 1;
    for (struct session *member = room; member != NULL; member = member->next)
        if (member != session)
            enqueue(member, message);
    release(message);
}

static void on_receive(struct session *session, struct lws *wsi, const void *in, size_t bytes) {
    struct message *message = session->arriving;
    size_t used = message != NULL ? message->bytes : 0;
    if (message == NULL || message->room < used + bytes) {
        size_t room_bytes = message != NULL ? 2 * (used + bytes) : bytes + lws_remaining_packet_payload(wsi);
        message = realloc(message, sizeof *message + room_bytes);
        if (message == NULL)
            abort();
        message->room = room_bytes;
    }
    memcpy((unsigned char *)(message + 1) + used, in, bytes);
    message->bytes = used + bytes;
    session->arriving = message;
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
        return;
    session->arriving = NULL;
    message->readers = 0;
    message->binary = lws_frame_is_binary(wsi);
    on_message(session, message);
}

/* Returns -1 when the connection is over. */
static int on_writeable(struct session *session, struct lws *wsi) {
    if (session->first == NULL)
        return 0;
    struct message *message = session->first->message;
    int n = lws_write(wsi, (unsigned char *)(message + 1), message->bytes,
                      message->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    if (n < (int)message->bytes)
        return -1;
    dequeue(session);
    if (session->first != NULL)
        lws_callback_on_writable(wsi);
    return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t bytes) {
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED: on_established(user, wsi); break;
    case LWS_CALLBACK_CLOSED: on_closed(user); break;
    case LWS_CALLBACK_RECEIVE: on_receive(user, wsi, in, bytes); break;
    case LWS_CALLBACK_SERVER_WRITEABLE: return on_writeable(user, wsi);
    default: break;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "default", .callback = callback, .per_session_data_size = sizeof(struct session),
     .rx_buffer_size = RECEIVE_BYTES},
    {.name = NULL},
};

static const struct lws_extension extensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
    {NULL, NULL, NULL},
};

static void on_signal(void *loop, int signal) {
    (void)loop;
    (void)signal;
    exit(0);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context_creation_info info = {
        .port = atoi(argv[1]),
        .iface = "127.0.0.1",
        .protocols = protocols,
        .extensions = strcmp(argv[2], "off") == 0 ? NULL : extensions,
        .pt_serv_buf_size = RECEIVE_BYTES,
        .signal_cb = on_signal,
        .gid = -1,
        .uid = -1,
        .options = LWS_SERVER_OPTION_LIBEV | LWS_SERVER_OPTION_VALIDATE_UTF8,
    };
    struct lws_context *context = lws_create_context(&info);
    if (context == NULL)
        return 1;
    while (lws_service(context, 0) >= 0)
        ;
    lws_context_destroy(context);
    return 0;
}
