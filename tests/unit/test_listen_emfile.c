/*
 * Accepting without descriptors. The limit is lowered in a child process; its checks end it with a line
 * number.
 */
#include "net/backend.h"
#include "net_help.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

enum { CLIENTS = 8, FILLERS_MAX = 256 };

static wf_loop *loop;
static wf_sock listener;
static wf_address address;
static int clients[CLIENTS], fillers[FILLERS_MAX], filler_count;

static void need(bool condition, int line) {
    if (condition)
        return;
    fprintf(stderr, "  child: line %d, errno %d\n", line, errno);
    _exit(1);
}

#define NEED(e) need(e, __LINE__)

static void prepare(const char *where) {
    const char *why;
    loop = wf_loop_new(0);
    NEED(loop && wf_address_parse(where, &address, &why) == 0);
    int fd = wf_listen_open(&address, true, 64);
    NEED(fd >= 0 && wf_listen_adopt(loop, &listener, fd) == 0);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void connect_client(int i) {
    NEED(connect(clients[i], (struct sockaddr *)&address.storage, address.len) == 0);
}

static void use_up_descriptors(void) {
    struct rlimit limit = {.rlim_cur = 64, .rlim_max = 64};
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (filler_count < FILLERS_MAX && (fillers[filler_count] = dup(0)) >= 0)
        filler_count++;
    NEED(errno == EMFILE && filler_count > 4);
}

static int turned_away(void) {
    int count = 0;
    char byte;
    for (int i = 0; i < CLIENTS; i++) {
        ssize_t got = recv(clients[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
        count += got == 0 || (got < 0 && errno == ECONNRESET);
    }
    return count;
}

/* Runs the loop for a while; returns how many were accepted (and closed again). */
static int run_for(int64_t ms, int *out_turns) {
    uint64_t until_ms = wf_clock_ms() + (uint64_t)ms, now_ms;
    int accepted = 0;
    wf_loop_event event;
    *out_turns = 0;
    while ((now_ms = wf_clock_ms()) < until_ms && *out_turns < 100000) {
        NEED(wf_loop_wait(loop, (int64_t)(until_ms - now_ms)) == 0);
        ++*out_turns;
        while (wf_loop_next(loop, &event) == WF_OK) {
            NEED(event.kind == WF_LOOP_ACCEPTED && event.sock == &listener);
            close(event.fd);
            accepted++;
        }
    }
    return accepted;
}

static void one_is_turned_away_per_rest(void) {
    int turns;
    for (int i = 0; i < CLIENTS; i++)
        connect_client(i);
    use_up_descriptors();
    NEED(turned_away() == 0);
    uint64_t cpu_before_us = cpu_us();
    NEED(run_for(50, &turns) == 0);
    NEED(turned_away() == 1);
    NEED(dup(0) < 0 && errno == EMFILE); /* the spare is held again */
    NEED(run_for(200, &turns) == 0);
    NEED(turned_away() >= 2 && turned_away() <= 4);
    NEED(turns < 20 && cpu_us() - cpu_before_us < 20000);
    int gone = turned_away();
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    uint64_t begin_ms = wf_clock_ms();
    NEED(run_for(150, &turns) == CLIENTS - gone);
    NEED(wf_clock_ms() - begin_ms < 1000);
    wf_sock_close(loop, &listener);
    wf_loop_free(loop);
    _exit(0);
}

static void nobody_waiting_is_no_reason_to_rest(void) {
    int turns;
    connect_client(0);
    use_up_descriptors();
    close(fillers[0]);
    wf_loop_event event;
    NEED(wf_loop_wait(loop, PATIENCE_MS) == 0);
    NEED(wf_loop_next(loop, &event) == WF_OK && event.kind == WF_LOOP_ACCEPTED);
    NEED(wf_loop_next(loop, &event) == WF_WANT_INPUT); /* EMFILE, with an empty queue */
    close(event.fd);
    connect_client(1);
    NEED(run_for(40, &turns) == 1);
    NEED(turned_away() == 2); /* closed by us, both after they were accepted */
    _exit(0);
}

static void pause_and_resume_keep_the_rest(void) {
    int turns;
    for (int i = 0; i < CLIENTS; i++)
        connect_client(i);
    use_up_descriptors();
    NEED(run_for(30, &turns) == 0);
    NEED(turned_away() == 1);
    wf_sock_pause(loop, &listener);
    wf_sock_resume(loop, &listener);
    NEED(run_for(30, &turns) == 0);
    NEED(turned_away() == 1 && turns < 10);
    wf_sock_pause(loop, &listener);
    NEED(run_for(150, &turns) == 0);
    NEED(turned_away() == 1 && turns < 10); /* the rest ended, the pause did not */
    wf_sock_resume(loop, &listener);
    NEED(run_for(30, &turns) == 0);
    NEED(turned_away() == 2);
    _exit(0);
}

static void a_lost_spare_is_taken_back(void) {
    int turns;
    for (int i = 0; i < CLIENTS; i++)
        connect_client(i);
    close(loop->acceptor.spare_fd); /* as when another thread took its place */
    loop->acceptor.spare_fd = -1;
    use_up_descriptors();
    NEED(run_for(50, &turns) == 0);
    NEED(turned_away() == 0 && turns < 10);
    close(fillers[0]);
    NEED(run_for(100, &turns) == 0);
    NEED(turned_away() == 1);
    _exit(0);
}

static void in_child(void (*run)(void), const char *where) {
    fflush(NULL);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(10);
        prepare(where);
        run();
    }
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(without_descriptors_one_peer_is_turned_away_per_rest) {
    in_child(one_is_turned_away_per_rest, "127.0.0.1:0");
}

TEST(without_descriptors_a_unix_peer_is_turned_away_too) {
    char text[64];
    snprintf(text, sizeof text, "unix:@weft-emfile-%d", (int)getpid());
    in_child(one_is_turned_away_per_rest, text);
}

TEST(the_last_descriptor_is_used_without_a_rest) {
    in_child(nobody_waiting_is_no_reason_to_rest, "127.0.0.1:0");
}

TEST(a_rest_outlasts_pause_and_resume) {
    in_child(pause_and_resume_keep_the_rest, "127.0.0.1:0");
}

TEST(a_spare_that_was_lost_is_opened_again_after_the_rest) {
    in_child(a_lost_spare_is_taken_back, "127.0.0.1:0");
}
