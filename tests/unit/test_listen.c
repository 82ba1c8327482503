/*
 * Listening: what an accepted connection is like, whose address it is, stale and live unix sockets, a
 * thousand connections, and life without descriptors (in a child process of its own, where the limit is low).
 */
#include "net/backend.h"
#include "net_help.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static wf_loop *loop;
static wf_sock listener;
static wf_address address;

static wf_address address_of(const char *text) {
    wf_address parsed;
    const char *why = NULL;
    if (wf_address_parse(text, &parsed, &why) < 0)
        test_fail(__FILE__, __LINE__, "%s: %s", text, why);
    return parsed;
}

static void open_listener(const char *text, int backlog) {
    loop = wf_loop_new(0);
    CHECK(loop != NULL);
    address = address_of(text);
    int fd = wf_listen_open(&address, true, backlog);
    CHECK(fd >= 0);
    CHECK_EQ(wf_listen_adopt(loop, &listener, fd), 0);
}

static void close_listener(void) {
    wf_sock_close(loop, &listener);
    wf_loop_free(loop);
}

static int connect_to(const wf_address *where) {
    int fd = socket(where->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&where->storage, where->len), 0);
    return fd;
}

static int accept_one(void) {
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
    CHECK(event.sock == &listener);
    CHECK(event.fd >= 0);
    return event.fd;
}

/* A fresh directory for socket files; its name lives until the next call. */
static const char *fresh_path(const char *name, char *out_text, size_t cap) {
    static char dir[64];
    snprintf(dir, sizeof dir, "/tmp/weft-listen-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    snprintf(out_text, cap, "unix:%s/%s", dir, name);
    return out_text + strlen("unix:");
}

static void remove_path(const char *path) {
    char dir[64];
    unlink(path);
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    CHECK_EQ(rmdir(dir), 0);
}

/* ---- accepting ---- */

TEST(an_accepted_connection_is_ready_to_use) {
    static const char *const forms[] = {"127.0.0.1:0", "[::1]:0", ":0", "localhost:0"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        test_context("%s", forms[i]);
        open_listener(forms[i], 4);
        char text[WF_ADDRESS_TEXT_BYTES];
        wf_address_format(&address, text, sizeof text);
        CHECK(strcmp(strrchr(text, ':'), ":0") != 0); /* the port that was chosen */
        CHECK(fcntl(listener.fd, F_GETFD) & FD_CLOEXEC);
        int client = connect_to(&address), fd = accept_one(), on = 0;
        socklen_t len = sizeof on;
        CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
        CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
        CHECK(on);
        wf_sock sock;
        CHECK_EQ(wf_sock_adopt(loop, &sock, fd), 0);
        CHECK_EQ(send(client, "hi", 2, 0), 2);
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        CHECK(event.sock == &sock);
        wf_sock_close(loop, &sock);
        close(client);
        close_listener();
    }
}

TEST(all_addresses_include_those_of_ipv4) {
    open_listener(":0", 4);
    wf_address ipv4 = address_of("127.0.0.1:0");
    struct sockaddr_in *in = (struct sockaddr_in *)&ipv4.storage;
    in->sin_port = ((struct sockaddr_in6 *)&address.storage)->sin6_port; /* the same place in both families */
    int client = connect_to(&ipv4);
    close(accept_one());
    close(client);
    close_listener();
}

TEST(a_foreign_listening_socket_is_made_fit) {
    wf_address where = address_of("127.0.0.1:0");
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 0;
    CHECK_EQ(bind(fd, (struct sockaddr *)&where.storage, where.len), 0);
    CHECK_EQ(listen(fd, 4), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&where.storage, &where.len), 0);
    loop = wf_loop_new(0);
    CHECK_EQ(wf_listen_adopt(loop, &listener, fd), 0);
    int client = connect_to(&where), taken = accept_one(); /* and does not block behind it */
    socklen_t len = sizeof on;
    CHECK_EQ(getsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    CHECK(on);
    check_silent(loop);
    close(client);
    close(taken);
    close_listener();
}

TEST(at_most_64_connections_a_turn) {
    enum { CLIENTS = 100 };
    int clients[CLIENTS];
    open_listener("127.0.0.1:0", CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(&address);
    int turns[2] = {0, 0};
    for (int turn = 0; turn < 2; turn++) {
        wf_loop_event event;
        CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
        while (wf_loop_next(loop, &event) == WF_OK) {
            CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
            close(event.fd);
            turns[turn]++;
        }
    }
    CHECK_EQ(turns[0], 64);
    CHECK_EQ(turns[1], CLIENTS - 64);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close_listener();
}

TEST(a_paused_listener_leaves_them_waiting) {
    open_listener("127.0.0.1:0", 4);
    wf_sock_pause(loop, &listener);
    int client = connect_to(&address);
    check_silent(loop);
    wf_sock_resume(loop, &listener);
    close(accept_one());
    close(client);
    close_listener();
}

TEST(a_listener_paused_or_closed_in_a_turn_gives_no_more_of_it) {
    for (int closed = 0; closed < 2; closed++) {
        open_listener("127.0.0.1:0", 4);
        int clients[2] = {connect_to(&address), connect_to(&address)};
        wf_loop_event event;
        CHECK_EQ(wf_loop_wait(loop, PATIENCE_MS), 0);
        CHECK_EQ(wf_loop_next(loop, &event), WF_OK);
        close(event.fd);
        if (closed)
            wf_sock_close(loop, &listener);
        else
            wf_sock_pause(loop, &listener);
        CHECK_EQ(wf_loop_next(loop, &event), WF_WANT_INPUT);
        check_silent(loop);
        for (int i = 0; i < 2; i++)
            close(clients[i]);
        close_listener();
    }
}

TEST(a_broken_listener_fails_once) {
    open_listener("127.0.0.1:0", 4);
    CHECK_EQ(shutdown(listener.fd, SHUT_RDWR), 0);
    wf_loop_event event = next_event(loop);
    CHECK_EQ(event.kind, WF_LOOP_FAILED);
    CHECK_EQ(event.sys_errno, EINVAL);
    check_silent(loop);
    wf_sock_resume(loop, &listener);
    check_silent(loop);
    close_listener();
}

TEST(a_listener_that_gets_no_memory_is_not_adopted) {
    loop = wf_loop_new(0);
    address = address_of("127.0.0.1:0");
    int fd = wf_listen_open(&address, true, 4);
    size_t live = test_mem_live();
    test_mem_fail_at(1);
    CHECK_EQ(wf_listen_adopt(loop, &listener, fd), WF_ESYS);
    CHECK_EQ(errno, ENOMEM);
    CHECK_EQ(test_mem_live(), live);
    CHECK_EQ(wf_listen_adopt(loop, &listener, fd), 0);
    wf_sock more[9]; /* as many as make the list grow twice, closed out of order */
    for (int i = 0; i < 9; i++)
        CHECK_EQ(wf_listen_adopt(loop, &more[i], dup(fd)), 0);
    CHECK_EQ(loop->acceptor.count, 10);
    for (int i = 0; i < 9; i++)
        wf_sock_close(loop, &more[i * 2 % 9]);
    CHECK_EQ(loop->acceptor.count, 1);
    CHECK(loop->acceptor.listeners[0] == &listener);
    int client = connect_to(&address);
    close(accept_one());
    close(client);
    close_listener();
}

TEST(a_thousand_connections_are_served) {
    enum { CLIENTS = 1000 };
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    static int clients[CLIENTS];
    static wf_sock socks[CLIENTS];
    open_listener("127.0.0.1:0", 128);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(&address);
        CHECK_EQ(wf_sock_adopt(loop, &socks[i], accept_one()), 0);
    }
    for (int i = 0; i < CLIENTS; i++)
        CHECK_EQ(send(clients[i], &i, sizeof i, 0), sizeof i);
    for (int i = 0; i < CLIENTS; i++) {
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_RECEIVED);
        CHECK(event.sock >= socks && event.sock < socks + CLIENTS);
        struct iovec range = {event.data, event.len};
        CHECK_EQ(wf_sock_send(loop, event.sock, &range, 1), sizeof i);
    }
    for (int i = 0; i < CLIENTS; i++) {
        int answer = -1;
        CHECK_EQ(recv(clients[i], &answer, sizeof answer, MSG_WAITALL), sizeof answer);
        CHECK_EQ(answer, i);
        close(clients[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        wf_loop_event event = next_event(loop);
        CHECK_EQ(event.kind, WF_LOOP_EOF);
        wf_sock_close(loop, event.sock);
    }
    check_silent(loop);
    close_listener();
}

/* ---- whose address is it? ---- */

TEST(an_address_in_use_is_refused_also_where_it_would_be_shared) {
    for (int shared = 0; shared < 2; shared++) {
        int on = 1, theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        wf_address taken = address_of("127.0.0.1:0"), all = address_of(":0");
        CHECK_EQ(setsockopt(theirs, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
        if (shared)
            CHECK_EQ(setsockopt(theirs, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
        CHECK_EQ(bind(theirs, (struct sockaddr *)&taken.storage, taken.len), 0);
        CHECK_EQ(listen(theirs, 4), 0);
        CHECK_EQ(getsockname(theirs, (struct sockaddr *)&taken.storage, &taken.len), 0);
        ((struct sockaddr_in6 *)&all.storage)->sin6_port = ((struct sockaddr_in *)&taken.storage)->sin_port;
        CHECK_EQ(wf_listen_open(&taken, true, 4), -1);
        CHECK_EQ(errno, EADDRINUSE);
        CHECK_EQ(wf_listen_open(&all, true, 4), -1);
        CHECK_EQ(errno, EADDRINUSE);
        close(theirs);
        int fd = wf_listen_open(&taken, true, 4);
        CHECK(fd >= 0);
        close(fd);
    }
}

TEST(the_sockets_of_one_server_share_their_address) {
    static const char *const forms[] = {"127.0.0.1:0", "[::1]:0", ":0"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        wf_address where = address_of(forms[i]);
        int first = wf_listen_open(&where, true, 4);
        int second = wf_listen_open(&where, false, 4);
        CHECK(first >= 0 && second >= 0);
        CHECK_EQ(wf_listen_open(&where, true, 4), -1); /* another server */
        CHECK_EQ(errno, EADDRINUSE);
        close(first);
        close(second);
    }
}

TEST(a_restart_takes_its_address_back_at_once) {
    open_listener("127.0.0.1:0", 4);
    int client = connect_to(&address), fd = accept_one();
    shutdown(fd, SHUT_WR); /* closed first on this side: TIME_WAIT */
    close(client);
    close(fd);
    close_listener();
    int again = wf_listen_open(&address, true, 4);
    CHECK(again >= 0);
    close(again);
}

TEST(an_unknown_family_is_refused) {
    wf_address none = {0};
    CHECK_EQ(wf_listen_open(&none, true, 4), -1);
    CHECK_EQ(errno, EAFNOSUPPORT);
}

/* ---- unix ---- */

TEST(a_unix_path_serves_and_is_replaced_only_when_stale) {
    char text[128];
    const char *path = fresh_path("weft.sock", text, sizeof text);
    open_listener(text, 4);
    int client = connect_to(&address);
    close(accept_one());
    close(client);
    wf_address same = address_of(text);
    CHECK_EQ(wf_listen_open(&same, true, 4), -1);
    CHECK_EQ(errno, EADDRINUSE);
    client = connect_to(&address); /* the live one is unharmed */
    close(accept_one());
    close(client);
    close_listener();
    CHECK_EQ(access(path, F_OK), 0); /* stale now */
    open_listener(text, 4);
    client = connect_to(&address);
    close(accept_one());
    close(client);
    close_listener();
    remove_path(path);
}

TEST(a_unix_socket_with_a_full_queue_is_alive) {
    char text[128];
    const char *path = fresh_path("weft.sock", text, sizeof text);
    wf_address where = address_of(text);
    int fd = wf_listen_open(&where, true, 0), clients[8], count = 0;
    CHECK(fd >= 0);
    for (int refused = 0; !refused && count < 8; count++) {
        clients[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        refused = connect(clients[count], (struct sockaddr *)&where.storage, where.len) < 0;
    }
    CHECK(count < 8);
    CHECK_EQ(wf_listen_open(&where, true, 4), -1);
    CHECK_EQ(errno, EADDRINUSE);
    while (count-- > 0)
        close(clients[count]);
    close(fd);
    remove_path(path);
}

TEST(what_is_no_socket_is_never_removed) {
    char text[128];
    const char *path = fresh_path("precious", text, sizeof text);
    wf_address where = address_of(text);
    struct stat status;
    for (int kind = 0; kind < 3; kind++) {
        test_context("%s", kind == 0 ? "file" : kind == 1 ? "directory" : "dangling link");
        if (kind == 0)
            close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
        else
            CHECK_EQ(kind == 1 ? mkdir(path, 0700) : symlink("nowhere", path), 0);
        CHECK_EQ(wf_listen_open(&where, true, 4), -1);
        CHECK_EQ(errno, EEXIST);
        CHECK_EQ(lstat(path, &status), 0);
        CHECK_EQ(kind == 1 ? rmdir(path) : unlink(path), 0);
    }
    int fd = wf_listen_open(&where, true, 4);
    CHECK(fd >= 0);
    close(fd);
    remove_path(path);
}

TEST(unix_names_that_cannot_be_are_refused) {
    wf_address where = address_of("unix:/tmp/no/such/directory/weft.sock");
    CHECK_EQ(wf_listen_open(&where, true, 4), -1);
    CHECK_EQ(errno, ENOENT);
    where.len = sizeof(struct sockaddr_un);
    memset(((struct sockaddr_un *)&where.storage)->sun_path, 'p', sizeof((struct sockaddr_un *)0)->sun_path);
    CHECK_EQ(wf_listen_open(&where, true, 4), -1);
    CHECK_EQ(errno, ENAMETOOLONG);
}

TEST(an_abstract_name_serves_and_is_free_after_the_close) {
    char text[64];
    snprintf(text, sizeof text, "unix:@weft-listen-%d", (int)getpid());
    for (int round = 0; round < 2; round++) {
        open_listener(text, 4);
        int client = connect_to(&address), fd = accept_one();
        CHECK_EQ(send(client, "x", 1, 0), 1);
        wf_address same = address_of(text);
        CHECK_EQ(wf_listen_open(&same, true, 4), -1);
        CHECK_EQ(errno, EADDRINUSE);
        close(client);
        close(fd);
        close_listener();
    }
}

TEST(two_loops_share_one_unix_socket) {
    char text[64];
    snprintf(text, sizeof text, "unix:@weft-shared-%d", (int)getpid());
    open_listener(text, 64);
    wf_loop *other = wf_loop_new(0);
    wf_sock other_listener;
    CHECK_EQ(wf_listen_adopt(other, &other_listener, dup(listener.fd)), 0);
    for (int i = 0; i < 20; i++) {
        int client = connect_to(&address);
        wf_loop_event event = event_within(i % 2 ? loop : other, PATIENCE_MS);
        CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
        close(event.fd);
        close(client);
    }
    check_silent(loop);
    wf_sock_close(loop,
                  &listener); /* the other loop's descriptor keeps the socket, and this loop hears no more of it */
    int client = connect_to(&address);
    check_silent(loop);
    wf_loop_event event = event_within(other, PATIENCE_MS);
    CHECK_EQ(event.kind, WF_LOOP_ACCEPTED);
    close(event.fd);
    close(client);
    wf_sock_close(other, &other_listener);
    wf_loop_free(other);
    close_listener();
}
