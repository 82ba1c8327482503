/*
 * What a client keeps to go on with: only what was verified, of the same origin, and no longer than it holds.
 */
#include "tls_help.h"

#include "base/clock.h"
#include "tls/sessions.h"

static wf_tls_context *server, *client;
static pair files;

static void begin_with(pair p, wf_tls_client_options options) {
    files = p;
    wf_tls_certificate certificate = {files.cert, files.key, NULL};
    server =
        wf_tls_server_context(&(wf_tls_server_options) {.certificates = &certificate, .count = 1}, why, sizeof why);
    client = wf_tls_client_context(&options, why, sizeof why);
    CHECK(server && client);
}

static void begin(size_t sessions_max) {
    pair p = make_pair();
    begin_with(p, (wf_tls_client_options) {.ca_file = p.cert, .sessions_max = sessions_max});
}

static void end(void) {
    wf_tls_context_free(server);
    wf_tls_context_free(client);
    remove_pair(&files);
    CHECK_EQ(test_mem_live(), 0);
}

static void connect_to(const char *host, unsigned port) {
    memset(&e, 0, sizeof e);
    e.tls[0] = wf_tls_accept(server, &e.shared[0]);
    e.tls[1] = wf_tls_connect(client, &e.shared[1], host, port, false);
    CHECK(e.tls[0] && e.tls[1]);
}

/* "new", "resumed"; "refused". It breaks off without a word, as networks do. */
static const char *visit(const char *host, unsigned port) {
    connect_to(host, port);
    settle(1 << 20);
    bool ready = wf_tls_ready(e.tls[1]), resumed = wf_tls_resumed(e.tls[1]);
    if (ready) {
        CHECK_EQ(wf_tls_resumed(e.tls[0]), resumed);
        seal(0, "well", 4);
        settle(1 << 20);
        CHECK_BYTES(e.got[1], e.got_len[1], "well", 4);
        CHECK_EQ(wf_tls_verify_error(e.tls[1]), X509_V_OK);
    }
    close_ends();
    return !ready ? "refused" : resumed ? "resumed" : "new";
}

static void speak_at_most(int version) {
    wf_tls_set *set = wf_tls_set_take(client);
    CHECK_EQ(SSL_CTX_set_max_proto_version(set->hosts[0].ctx, version), 1);
    wf_tls_set_unref(set);
}

TEST(the_same_origin_goes_on) {
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        test_context("version %d", versions[i]);
        begin(8);
        speak_at_most(versions[i]);
        CHECK_STR(visit("localhost", 443), "new");
        for (int k = 0; k < 3; k++)
            CHECK_STR(visit("localhost", 443), "resumed");
        CHECK_STR(visit("localhost", 444), "new");
        CHECK_STR(visit("127.0.0.1", 443), "new");
        CHECK_STR(visit("localhost", 443), "resumed");
        end();
    }
    test_context("%s", "");
}

TEST(none_are_kept_when_none_are_wanted) {
    begin(0);
    CHECK_STR(visit("localhost", 443), "new");
    CHECK_STR(visit("localhost", 443), "new");
    end();
}

/* Two at once, and one ticket: with TLS 1.3 it is the first one's (RFC 8446 C.4). */
static void check_two_at_once(int version, bool second_resumes) {
    wf_tls_shared shared[2] = {0};
    begin(8);
    speak_at_most(version);
    CHECK_STR(visit("localhost", 443), "new");
    wf_tls *first = wf_tls_connect(client, &shared[0], "localhost", 443, false); /* has taken it */
    CHECK_STR(visit("localhost", 443), second_resumes ? "resumed" : "new");
    wf_tls_free(first);
    wf_tls_shared_deinit(&shared[0]);
    end();
}

TEST(a_ticket_is_used_once) {
    check_two_at_once(TLS1_3_VERSION, false);
    check_two_at_once(TLS1_2_VERSION, true);
}

TEST(the_oldest_make_room) {
    begin(2);
    for (unsigned port = 1; port <= 3; port++)
        CHECK_STR(visit("localhost", port), "new");
    CHECK_STR(visit("localhost", 3), "resumed");
    CHECK_STR(visit("localhost", 2), "resumed");
    CHECK_STR(visit("localhost", 1), "new");
    end();
}

/* The server has forgotten its keys: it is as if there had been no ticket. */
TEST(a_server_that_knows_it_no_more_begins_anew) {
    begin(8);
    CHECK_STR(visit("localhost", 443), "new");
    wf_tls_context *before = server;
    wf_tls_certificate certificate = {files.cert, files.key, NULL};
    server =
        wf_tls_server_context(&(wf_tls_server_options) {.certificates = &certificate, .count = 1}, why, sizeof why);
    wf_tls_context_free(before);
    CHECK_STR(visit("localhost", 443), "new");
    CHECK_STR(visit("localhost", 443), "resumed");
    end();
}

/* ---- nothing is believed that was not verified ---- */

TEST(a_certificate_that_is_refused_leaves_nothing) {
    pair p = make_pair();
    begin_with(p, (wf_tls_client_options) {.sessions_max = 8}); /* of the system's authorities it has none */
    CHECK_STR(visit("localhost", 443), "refused");
    CHECK_STR(visit("localhost", 443), "refused");
    end();
}

TEST(what_an_insecure_client_keeps_is_its_own) {
    pair p = make_pair();
    begin_with(p, (wf_tls_client_options) {.insecure = true, .sessions_max = 8});
    wf_tls_context *trusting = client;
    CHECK_STR(visit("localhost", 443), "new");
    CHECK_STR(visit("localhost", 443), "resumed");
    client = wf_tls_client_context(&(wf_tls_client_options) {.sessions_max = 8}, why, sizeof why);
    CHECK_STR(visit("localhost", 443), "refused");
    wf_tls_context_free(trusting);
    end();
}

TEST(a_certificate_that_has_run_out_is_shown_again) {
    EVP_PKEY *key;
    X509 *cert;
    pair p = make_pair();
    CHECK_EQ(wf_tls_self_sign(&key, &cert), WF_OK);
    X509_gmtime_adj(X509_getm_notAfter(cert), -1);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    write_files(&p, key, cert);
    begin_with(p, (wf_tls_client_options) {.insecure = true, .sessions_max = 8});
    CHECK_STR(visit("localhost", 443), "new");
    CHECK_STR(visit("localhost", 443), "new");
    end();
}

/* A day after the certificate was looked at it is looked at again, however often the session was renewed since. */
TEST(renewing_does_not_prolong) {
    begin(8);
    uint64_t verified_ms, before_ms = wf_clock_ms();
    CHECK_STR(visit("localhost", 443), "new");
    uint64_t after_ms = wf_clock_ms();
    usleep(5000);
    for (int i = 0; i < 3; i++)
        CHECK_STR(visit("localhost", 443), "resumed");
    wf_tls_set *set = wf_tls_set_take(client);
    SSL_SESSION *session = wf_tls_sessions_take(set->sessions, "localhost:443", after_ms, &verified_ms);
    CHECK(session && verified_ms >= before_ms && verified_ms <= after_ms);
    wf_tls_sessions_put(set->sessions, "localhost:443", verified_ms, session);
    uint64_t too_late_ms = verified_ms + WF_SESSION_VERIFIED_MS_MAX;
    CHECK(!wf_tls_sessions_take(set->sessions, "localhost:443", too_late_ms, &verified_ms));
    wf_tls_set_unref(set);
    CHECK_STR(visit("localhost", 443), "new");
    end();
}

TEST(without_memory_it_begins_anew) {
    for (size_t n = 1;; n++) {
        begin(8);
        connect_to("localhost", 443);
        test_mem_fail_at(n);
        for (int i = 0; i < 20 && e.result[0] >= 0 && e.result[1] >= 0; i++)
            carry(i % 2, 1 << 20);
        bool reached = test_mem_calls() >= n;
        test_mem_fail_at(0);
        close_ends();
        const char *next = visit("localhost", 443);
        CHECK(strcmp(next, "new") == 0 || strcmp(next, "resumed") == 0);
        end();
        if (!reached)
            break;
    }
}
