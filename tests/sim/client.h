/*
 * client.h - the clients: each a connection, a pace, and a model of the protocol that says what to send and what must
 * come.
 */
#ifndef WF_TESTS_SIM_CLIENT_H
#define WF_TESTS_SIM_CLIENT_H

#include "pipe.h"

#include <weft/weft.h>

enum { WS_RSV1 = 0x40 }; /* beside an opcode */
enum { CLIENTS_MAX = 24, MESSAGE_MAX = 70000, CLIENT_BYTES_MAX = MESSAGE_MAX + 8192 };

typedef struct sim_client sim_client;
typedef struct sim_zip sim_zip;

/* What a kind of client does. message, waits and closed may be NULL. */
typedef struct sim_model {
    const char *name;
    void (*begin)(sim_client *c);
    /* Nothing waits to be written: write more, or say with c->quiet that there is nothing for now. */
    void (*speak)(sim_client *c);
    /* Bytes came, they are in c->in: uses some of them and answers how many. */
    size_t (*read)(sim_client *c);
    /* Opened, and a message came. */
    void (*message)(sim_client *c, int opcode, const uint8_t *data, size_t len);
    /* The stream has ended, all that came before was read. */
    void (*ended)(sim_client *c, sim_end end);
    /* Something must come, and come soon. */
    bool (*waits)(const sim_client *c);
    /* The application was told of its end; nothing had been done to it that excuses what is said. */
    void (*closed)(sim_client *c, const weft_close_info *info);
} sim_model;

struct sim_client {
    const sim_model *model;
    int id;
    sim_pipe *pipe; /* NULL: not yet, or no more */
    bool connected, over, hurt, hurried;
    uint64_t silent_ns;   /* since when it neither reads nor writes; UINT64_MAX: it does */
    uint64_t progress_ns; /* when bytes last went, or came that were not a control frame */
    uint64_t next_ns;     /* when it acts; UINT64_MAX: when it is stirred */

    /* The pace. */
    uint32_t delay_us_max, write_max, read_max;

    uint8_t out[CLIENT_BYTES_MAX], in[CLIENT_BYTES_MAX], assembled[MESSAGE_MAX];
    uint8_t payload[CLIENT_BYTES_MAX]; /* of message `sent`, as it goes */
    size_t out_at, out_len, in_len, assembled_len;
    bool quiet;

    /* The WebSocket (ws.c). */
    bool open, close_sent;
    int opcode;     /* of the message that has begun; 0: none has */
    int close_code; /* that came; 0: none yet */
    uint32_t pings, pongs;
    bool deflated; /* the message that has begun is */
    bool forgets;  /* its compressor does, between messages */
    bool plain;    /* it does not offer permessage-deflate */
    sim_zip *zip;  /* that was agreed on */

    /* The models'. */
    uint32_t total, sent, received;
    uint64_t owed; /* bytes of messages that are to come back */
    size_t payload_len;
    size_t fragment_at; /* of message `sent`: bytes that went */
    bool opcode_sent;   /* and its first fragment did */
    uint64_t pause_until_ns;
    bool slow, stays;          /* the server said so; its messages are sent */
    uint32_t cursor, close_at; /* in a room's log */
    int room;
    uint32_t budget;
    int ending;
    const void *row;
    int body; /* how a body that goes on is laid out */
    bool body_ended;
    size_t body_at; /* bytes of message `received` */
};

void sim_clients_begin(void);
void sim_clients_act(void);       /* all that are due */
void sim_clients_meanwhile(void); /* one, in the middle of the server's turn */
uint64_t sim_clients_next_ns(void);
void sim_clients_check(void);
void sim_clients_end(void); /* the server is gone */
void sim_client_stir(int id);
void sim_client_stir_all(int id);                 /* and whoever shares a connection with it */
void sim_client_hurry(int id);                    /* it acts now, and knows that it had to */
void sim_client_rest(sim_client *c, uint32_t ms); /* it acts again by then, stirred or not */
sim_client *sim_client_of(int id);                /* NULL: none */

/* A fault was done to it, or the server is being ended: it may break off, but never lie. */
bool sim_client_excused(const sim_client *c);
uint64_t sim_client_takes(const sim_client *c, uint32_t ms); /* bytes it reads in this time, at least */
uint64_t sim_client_gives(const sim_client *c, uint32_t ms); /* and writes */
void sim_client_fall_silent(sim_client *c);
void sim_client_leave(sim_client *c); /* lets go of the stream */

void sim_client_put(sim_client *c, const void *data, size_t len);
void sim_client_print(sim_client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Message n of a client: the same bytes whoever asks. Answers its length; kind is text or binary. */
size_t sim_message(int client, uint32_t n, int *out_opcode, uint8_t *out);

/* ws.c */
void sim_ws_ask(sim_client *c, const char *path);
void sim_ws_frame(sim_client *c, bool fin, int opcode, const void *data, size_t len);
int sim_ws_prepare(sim_client *c, const uint8_t *data, size_t len); /* into payload; WS_RSV1 when it was compressed */
void sim_ws_close(sim_client *c, int code);                         /* the reason says who it is */
void sim_ws_reason(int id, char out[16]);
void sim_ws_ping(sim_client *c);
size_t sim_ws_read(sim_client *c);

/* zip.c */
void sim_zip_begin(sim_client *c);
void sim_zip_end(sim_client *c); /* none: nothing happens */
size_t sim_zip_deflate(sim_client *c, const uint8_t *data, size_t len, uint8_t *out, size_t cap);
bool sim_zip_inflate(sim_client *c, const uint8_t *data, size_t len, uint8_t *out, size_t *out_len); /* MESSAGE_MAX */

#endif
