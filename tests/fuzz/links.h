/*
 * links.h - one link in a world without a kernel: its loop, its peer, its application and its clock.
 *
 *      peer: wire ---[cut]---> link ---> fake_net.out ---> links_judge
 *                               |^
 *                       events  v|  answers, sends, publishes
 *                           application
 */
#ifndef WF_TESTS_FUZZ_LINKS_H
#define WF_TESTS_FUZZ_LINKS_H

#include "fake_net.h"
#include "link/link.h"

enum { WORLD_START_MS = 1000000, WORLD_ANSWER_BYTES_MAX = 70000, WORLD_SEND_BYTES_MAX = 70000 };

/* What the application does about messages. */
typedef enum world_reply { REPLY_NOTHING, REPLY_ECHO, REPLY_TWICE, REPLY_PUBLISH, REPLY_CLOSE, REPLIES } world_reply;

typedef struct world {
    struct wf_loop loop;
    wf_link_env env;
    wf_link_http http;
    wf_link_limits limits;
    wf_link link;
    wf_pmd_params agreed; /* when `deflates` */
    wf_codec peer_codec;
    wf_deflate peer_deflate; /* the peer's, when `deflates` */
    wf_deflate shared;       /* as a topic has it: no context */
    bool deflates;

    fuzz_bytes wire; /* what the peer has sent; delivered up to `delivered` */
    size_t delivered;
    bool peer_fin, fin_told;
    fuzz_cuts cuts;

    bool accepts, answers, keeps_alive; /* what is done about requests; neither of the first two: later */
    world_reply reply;
    size_t answer_bytes;

    fuzz_bytes log; /* of events */
    bool accepted, ended;
    bool excused; /* something happened that may cut the output short */
    bool pressed; /* something was refused for the budget: when, depends on when the kernel took what came before */
    size_t memory_before;     /* without anything */
    atomic_size_t blob_bytes; /* of published messages alive */
} world;

/* Choices are taken from the front of the input. */
void world_init(world *w, fuzz_input *in, fuzz_cuts cuts);

/* Checks that nothing is left. */
void world_deinit(world *w);

/* Runs the loop until nothing happens any more. */
void world_settle(world *w);

/* Time goes on, and what is due happens. */
void world_pass(world *w, uint64_t ms);

/* The application answers the request that waits, if one does. */
void world_answer(world *w, bool accepts, bool close);
int world_publish(world *w, uint8_t opcode, const void *data, size_t len, bool as_is);

/* Everybody goes on as he should, until the link is over. */
void world_finish(world *w);

/* Reads what was sent, all of it: responses, then frames. Its log leaves out what may depend on cuts: 100 Continue. */
void links_judge(const world *w, fuzz_bytes *log);

#endif
