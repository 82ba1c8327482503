/*
 * Two ends of TLS and no socket between them: bytes are carried by hand, in pieces of every size, and now and then
 * wrong.
 */
#include "tls/tickets.h"
#include "tls_help.h"

#include <openssl/ocsp.h>
#include <openssl/x509_vfy.h>

TEST(whatever_the_pieces_both_ends_understand) {
    static const size_t steps[] = {1, 2, 3, 5, 7, 64, 1000, 1 << 20};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        test_context("in steps of %zu", steps[i]);
        open_default();
        CHECK(!wf_tls_ready(e.tls[0]) && !wf_tls_ready(e.tls[1]));
        settle(steps[i]);
        CHECK(wf_tls_ready(e.tls[0]) && wf_tls_ready(e.tls[1]));
        CHECK_STR(wf_tls_version(e.tls[0]), "TLSv1.3");
        seal(0, "to the client", 13);
        seal(1, "to the server", 13);
        settle(steps[i]);
        CHECK_BYTES(e.got[1], e.got_len[1], "to the client", 13);
        CHECK_BYTES(e.got[0], e.got_len[0], "to the server", 13);
        close_ends();
    }
    test_context("%s", "");
}

TEST(ranges_are_joined_and_long_ones_are_cut) {
    static uint8_t bytes[300000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i + i / 251);
    static const size_t cuts[] = {0, 1, 0, 13, 16384, 20000, 16383, 100000, 16385, 5};
    open_default();
    settle(1 << 20);
    struct iovec ranges[11];
    size_t at = 0, count = sizeof cuts / sizeof cuts[0];
    for (size_t i = 0; i < count; i++) {
        ranges[i] = (struct iovec) {bytes + at, cuts[i]};
        at += cuts[i];
    }
    ranges[count++] = (struct iovec) {bytes + at, sizeof bytes - at};
    /* As the link does it: what was taken is cut from the front. */
    for (size_t first = 0; first < count;) {
        int64_t taken = wf_tls_seal(e.tls[0], ranges + first, (int)(count - first));
        CHECK(taken > 0 && taken <= WF_TLS_SEAL_BYTES + 16384);
        settle(1 << 20);
        for (; first < count && (size_t)taken >= ranges[first].iov_len; first++)
            taken -= (int64_t)ranges[first].iov_len;
        if (first < count) {
            ranges[first].iov_base = (uint8_t *)ranges[first].iov_base + taken;
            ranges[first].iov_len -= (size_t)taken;
        }
    }
    CHECK_BYTES(e.got[1], e.got_len[1], bytes, sizeof bytes);
    close_ends();
}

TEST(small_ranges_share_a_record) {
    open_default();
    settle(1 << 20);
    struct iovec ranges[64], out;
    for (size_t i = 0; i < 64; i++)
        ranges[i] = (struct iovec) {(void *)"sixteen bytes   ", 16};
    CHECK_EQ(wf_tls_seal(e.tls[0], ranges, 64), 64 * 16);
    CHECK(wf_tls_sealed(e.tls[0], &out));
    CHECK(out.iov_len < 64 * 16 + 64); /* one head and one tag */
    close_ends();
}

TEST(at_rest_nothing_is_held) {
    open_default();
    settle(1 << 20);
    CHECK_EQ(e.shared[0].bytes, 0);
    seal(0, "x", 1);
    CHECK_EQ(e.shared[0].bytes, wf_tls_waiting(e.tls[0]));
    CHECK(e.shared[0].spare.data == NULL);
    settle(1 << 20);
    CHECK_EQ(e.shared[0].bytes, 0);
    CHECK(e.shared[0].spare.data != NULL); /* for the next one */
    size_t blocks = test_mem_live();
    seal(0, "y", 1);
    settle(1 << 20);
    CHECK_EQ(test_mem_live(), blocks);
    close_ends();
}

/* RFC 6066 4: what was one record becomes many. */
TEST(a_peer_of_small_fragments_gets_all) {
    static char much[100000];
    wf_tls_context *server = wf_tls_server_context(&(wf_tls_server_options) {.self_signed = true}, why, sizeof why);
    wf_tls_context *client = wf_tls_client_context(&(wf_tls_client_options) {.insecure = true}, why, sizeof why);
    wf_tls_set *set = wf_tls_set_take(client);
    CHECK_EQ(SSL_CTX_set_tlsext_max_fragment_length(set->hosts[0].ctx, TLSEXT_max_fragment_length_512), 1);
    wf_tls_set_unref(set);
    memset(much, 'x', sizeof much);
    open_ends(server, client, "localhost");
    settle(1 << 20);
    seal(0, much, sizeof much);
    settle(1 << 20);
    CHECK_BYTES(e.got[1], e.got_len[1], much, sizeof much);
    close_ends();
}

static SSL *asking;

static void on_info(const SSL *ssl, int where, int value) {
    (void)where, (void)value;
    asking = (SSL *)(uintptr_t)ssl;
}

/* RFC 8446 4.6.3: each key update may ask for one in answer. Who takes none is not kept for ever. */
TEST(answers_that_nobody_takes_have_a_bound) {
    wf_tls_context *server = wf_tls_server_context(&(wf_tls_server_options) {.self_signed = true}, why, sizeof why);
    wf_tls_context *client = wf_tls_client_context(&(wf_tls_client_options) {.insecure = true}, why, sizeof why);
    wf_tls_set *set = wf_tls_set_take(client);
    SSL_CTX_set_info_callback(set->hosts[0].ctx, on_info);
    wf_tls_set_unref(set);
    open_ends(server, client, "localhost");
    settle(1 << 20);
    int got = WF_OK;
    size_t most = 0;
    for (int i = 0; i < 20000 && got == WF_OK; i++) {
        struct iovec range;
        uint8_t *plain;
        size_t len;
        CHECK(SSL_key_update(asking, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(asking) == 1);
        CHECK(wf_tls_sealed(e.tls[1], &range));
        got = wf_tls_open(e.tls[0], range.iov_base, range.iov_len, &plain, &len);
        wf_tls_sent(e.tls[1], range.iov_len);
        if (wf_tls_waiting(e.tls[0]) > most)
            most = wf_tls_waiting(e.tls[0]);
    }
    CHECK_EQ(got, WF_ERROR);
    CHECK_STR(wf_tls_rule(e.tls[0]), "the peer makes TLS answer and takes no answers");
    CHECK(most > WF_TLS_SEAL_BYTES && most < 3 * (size_t)WF_TLS_SEAL_BYTES);
    close_ends();
}

TEST(an_end_is_told_and_told_once) {
    open_default();
    CHECK(!wf_tls_seal_end(e.tls[0])); /* there was no handshake yet */
    settle(1 << 20);
    seal(0, "last words", 10);
    CHECK(wf_tls_seal_end(e.tls[0]));
    CHECK(!wf_tls_seal_end(e.tls[0]));
    CHECK(!wf_tls_ready(e.tls[0]));
    struct iovec range = {(void *)"x", 1};
    CHECK_EQ(wf_tls_seal(e.tls[0], &range, 1), WF_ERROR);
    settle(1 << 20);
    CHECK_EQ(e.result[1], WF_ECLOSED);
    CHECK_BYTES(e.got[1], e.got_len[1], "last words", 10);
    close_ends();
}

TEST(a_flipped_bit_is_found) {
    static const uint8_t zeros[100];
    for (size_t at = 5; at < 120; at++) {
        test_context("bit of byte %zu", at);
        open_default();
        settle(1 << 20);
        seal(1, zeros, sizeof zeros);
        struct iovec range;
        CHECK(wf_tls_sealed(e.tls[1], &range));
        uint8_t bytes[256];
        size_t len = range.iov_len;
        CHECK(len < sizeof bytes);
        memcpy(bytes, range.iov_base, len);
        wf_tls_sent(e.tls[1], len);
        if (at < len) {
            bytes[at] ^= 1;
            take(0, bytes, len);
            CHECK_EQ(e.result[0], WF_ERROR);
            CHECK_EQ(e.got_len[0], 0);
            CHECK(wf_tls_rule(e.tls[0]) != NULL);
            CHECK(wf_tls_waiting(e.tls[0]) > 0); /* the alert */
            take(0, bytes, len);
            CHECK_EQ(e.result[0], WF_ERROR); /* and it stays so */
        }
        close_ends();
    }
    test_context("%s", "");
}

TEST(what_is_no_tls_is_refused) {
    static const char *const rows[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "SSH-2.0-OpenSSH\r\n",
                                       "\x16\x03\x01\xff\xff"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %zu", i);
        open_default();
        take(0, (const uint8_t *)rows[i], strlen(rows[i]));
        CHECK_EQ(e.result[0], WF_ERROR);
        CHECK(wf_tls_rule(e.tls[0]) != NULL && !wf_tls_ready(e.tls[0]));
        close_ends();
    }
    test_context("%s", "");
}

TEST(a_client_asks_who_it_is) {
    pair ours = make_pair(), other = make_pair();
    wf_tls_certificate certificate = {ours.cert, ours.key, NULL};
    wf_tls_server_options server = {.certificates = &certificate, .count = 1};
    const struct {
        const char *name, *host;
        wf_tls_client_options client;
        long verify_error;
    } rows[] = {
        {"its_own_authority", "localhost", {.ca_file = ours.cert}, X509_V_OK},
        {"an_address", "127.0.0.1", {.ca_file = ours.cert}, X509_V_OK},
        {"another_address", "127.0.0.2", {.ca_file = ours.cert}, X509_V_ERR_IP_ADDRESS_MISMATCH},
        {"another_name", "example.org", {.ca_file = ours.cert}, X509_V_ERR_HOSTNAME_MISMATCH},
        {"another_authority", "localhost", {.ca_file = other.cert}, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT},
        {"the_system", "localhost", {0}, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT},
        {"whoever", "example.org", {.insecure = true}, X509_V_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %s", rows[i].name);
        open_ends(wf_tls_server_context(&server, why, sizeof why),
                  wf_tls_client_context(&rows[i].client, why, sizeof why), rows[i].host);
        settle(1 << 20);
        CHECK_EQ(wf_tls_verify_error(e.tls[1]), rows[i].verify_error);
        CHECK_EQ(wf_tls_ready(e.tls[1]), rows[i].verify_error == X509_V_OK);
        if (rows[i].verify_error)
            CHECK_STR(wf_tls_rule(e.tls[1]), X509_verify_cert_error_string(rows[i].verify_error));
        close_ends();
    }
    test_context("%s", "");
    remove_pair(&ours);
    remove_pair(&other);
}

TEST(the_name_is_sent_and_an_address_is_not) {
    static const struct {
        const char *host, *sent;
    } rows[] = {{"example.org", "example.org"}, {"127.0.0.1", NULL}, {"::1", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %s", rows[i].host);
        open_ends(wf_tls_server_context(&(wf_tls_server_options) {.self_signed = true}, why, sizeof why),
                  wf_tls_client_context(&(wf_tls_client_options) {.insecure = true}, why, sizeof why), rows[i].host);
        struct iovec hello;
        CHECK(wf_tls_sealed(e.tls[1], &hello));
        CHECK_EQ(memmem(hello.iov_base, hello.iov_len, rows[i].host, strlen(rows[i].host)) != NULL,
                 rows[i].sent != NULL);
        close_ends();
    }
    test_context("%s", "");
}

TEST(required_means_required) {
    pair server_pair = make_pair();
    wf_tls_certificate certificate = {server_pair.cert, server_pair.key, NULL};
    wf_tls_server_options server = {.certificates = &certificate, .count = 1, .client_ca_file = server_pair.cert};
    open_ends(wf_tls_server_context(&server, why, sizeof why),
              wf_tls_client_context(&(wf_tls_client_options) {.insecure = true}, why, sizeof why), "localhost");
    settle(1 << 20);
    CHECK(!wf_tls_ready(e.tls[0]));
    CHECK_EQ(e.result[0], WF_ERROR);
    CHECK_STR(wf_tls_rule(e.tls[0]), "peer did not return a certificate");
    CHECK_EQ(e.result[1], WF_ERROR); /* it is told by an alert */
    close_ends();
    remove_pair(&server_pair);
}

TEST(a_reload_is_for_newcomers_and_a_broken_file_changes_nothing) {
    pair p = make_pair();
    wf_tls_certificate certificate = {p.cert, p.key, NULL};
    wf_tls_server_options options = {.certificates = &certificate, .count = 1};
    char before[WF_TLS_FINGERPRINT_BYTES], after[WF_TLS_FINGERPRINT_BYTES];
    open_ends(wf_tls_server_context(&options, why, sizeof why),
              wf_tls_client_context(&(wf_tls_client_options) {.insecure = true}, why, sizeof why), "localhost");
    wf_tls_fingerprint(e.context[0], before);
    CHECK_EQ(strlen(before), 95);

    FILE *broken = fopen(p.key, "w");
    CHECK(broken && fputs("no key", broken) >= 0 && fclose(broken) == 0);
    CHECK_EQ(wf_tls_reload(e.context[0], why, sizeof why), WF_ERROR);
    CHECK(strstr(why, p.key) != NULL);
    wf_tls_fingerprint(e.context[0], after);
    CHECK_STR(after, before);

    write_pair(&p);
    CHECK_EQ(wf_tls_reload(e.context[0], why, sizeof why), WF_OK);
    wf_tls_fingerprint(e.context[0], after);
    CHECK(strcmp(after, before) != 0);
    settle(1 << 20); /* begun with the old one */
    CHECK(wf_tls_ready(e.tls[0]) && wf_tls_ready(e.tls[1]));
    close_ends();
    remove_pair(&p);
}

TEST(files_that_are_no_good_are_named) {
    pair a = make_pair(), b = make_pair();
    const struct {
        const char *name;
        wf_tls_certificate certificate;
        const char *client_ca, *why;
    } rows[] = {
        {"no_chain", {"/nowhere/c.pem", a.key, NULL}, NULL, "cannot read the certificate /nowhere/c.pem: No such file"},
        {"no_key", {a.cert, "/nowhere/k.pem", NULL}, NULL, "cannot read the key /nowhere/k.pem: No such file"},
        {"a_key_for_a_certificate", {a.key, a.key, NULL}, NULL, "the certificate "},
        {"the_other_key", {a.cert, b.key, NULL}, NULL, "key values mismatch"},
        {"no_ca", {a.cert, a.key, NULL}, "/nowhere/ca.pem", "cannot read the client CA /nowhere/ca.pem"},
        {"a_key_for_a_ca", {a.cert, a.key, NULL}, a.key, "the client CA "},
        {"no_ocsp", {a.cert, a.key, "/nowhere/o"}, NULL, "cannot read the OCSP response /nowhere/o"},
        {"empty_ocsp", {a.cert, a.key, "/dev/null"}, NULL, "the OCSP response /dev/null is empty"},
        {"a_key_for_ocsp", {a.cert, a.key, a.key}, NULL, "is no OCSP response that succeeded (DER)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_context("row %s: %s", rows[i].name, why);
        wf_tls_server_options options = {
            .certificates = &rows[i].certificate, .count = 1, .client_ca_file = rows[i].client_ca};
        CHECK(wf_tls_server_context(&options, why, sizeof why) == NULL);
        CHECK(strstr(why, rows[i].why) != NULL);
    }
    test_context("%s", "");
    remove_pair(&a);
    remove_pair(&b);
}

/* ---- OCSP ---- */

/* "It is good", said of a pair by itself; the next word is due in so many seconds. */
static void write_ocsp(const char *file, const pair *p, long next_s) {
    FILE *in = fopen(p->cert, "r"), *key_in = fopen(p->key, "r"), *out = fopen(file, "w");
    X509 *cert = PEM_read_X509(in, NULL, NULL, NULL);
    EVP_PKEY *key = PEM_read_PrivateKey(key_in, NULL, NULL, NULL);
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, cert, cert);
    ASN1_TIME *now = X509_gmtime_adj(NULL, -7200), *next = X509_gmtime_adj(NULL, next_s);
    CHECK(OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, now, next_s ? next : NULL) != NULL);
    CHECK_EQ(OCSP_basic_sign(basic, cert, key, EVP_sha256(), NULL, 0), 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *bytes = NULL;
    int len = i2d_OCSP_RESPONSE(response, &bytes);
    CHECK(len > 0 && fwrite(bytes, 1, (size_t)len, out) == (size_t)len);
    OPENSSL_free(bytes);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(now);
    ASN1_TIME_free(next);
    X509_free(cert);
    EVP_PKEY_free(key);
    fclose(in);
    fclose(key_in);
    fclose(out);
}

static long stapled;

static int on_stapled(SSL *ssl, void *unused) {
    const unsigned char *response;
    (void)unused;
    stapled = SSL_get_tlsext_status_ocsp_resp(ssl, &response);
    return 1;
}

/* How many bytes a client gets stapled that asks; -1: none. */
static long staple(const pair *p, const char *file) {
    wf_tls_certificate certificate = {p->cert, p->key, file};
    wf_tls_context *server =
        wf_tls_server_context(&(wf_tls_server_options) {.certificates = &certificate, .count = 1}, why, sizeof why);
    wf_tls_context *client = wf_tls_client_context(&(wf_tls_client_options) {.insecure = true}, why, sizeof why);
    wf_tls_set *set = wf_tls_set_take(client);
    SSL_CTX_set_tlsext_status_type(set->hosts[0].ctx, TLSEXT_STATUSTYPE_ocsp);
    SSL_CTX_set_tlsext_status_cb(set->hosts[0].ctx, on_stapled);
    wf_tls_set_unref(set);
    open_ends(server, client, "localhost");
    settle(1 << 20);
    CHECK(wf_tls_ready(e.tls[1]));
    close_ends();
    return stapled;
}

TEST(a_response_is_stapled_until_the_next_is_due) {
    pair ours = make_pair(), other = make_pair();
    char file[64];
    snprintf(file, sizeof file, "%s/ocsp", ours.folder);
    write_ocsp(file, &ours, 3600);
    CHECK(staple(&ours, file) > 100);
    write_ocsp(file, &ours, 0); /* it does not say */
    CHECK(staple(&ours, file) > 100);
    write_ocsp(file, &ours, -3600);
    CHECK_EQ(staple(&ours, file), -1);
    CHECK_EQ(staple(&ours, NULL), -1);
    write_ocsp(file, &other, 3600);
    wf_tls_certificate certificate = {ours.cert, ours.key, file};
    CHECK(!wf_tls_server_context(&(wf_tls_server_options) {.certificates = &certificate, .count = 1}, why, sizeof why));
    CHECK(strstr(why, "ocsp is not about this certificate") != NULL);
    unlink(file);
    remove_pair(&ours);
    remove_pair(&other);
}

/* What OpenSSL needs is its own; of ours each block may be missing. */
TEST(without_memory_it_fails_and_leaks_nothing) {
    wf_tls_server_options server = {.self_signed = true};
    wf_tls_client_options client = {.insecure = true, .sessions_max = 1};
    size_t before = test_mem_live();
    for (size_t n = 1; n < 100; n++) {
        memset(&e, 0, sizeof e);
        e.context[0] = wf_tls_server_context(&server, why, sizeof why);
        e.context[1] = wf_tls_client_context(&client, why, sizeof why);
        test_mem_fail_at(n);
        e.tls[0] = wf_tls_accept(e.context[0], &e.shared[0]);
        e.tls[1] = wf_tls_connect(e.context[1], &e.shared[1], "localhost", 443, false);
        bool all = e.tls[0] && e.tls[1];
        for (int i = 0; i < 20 && all; i++)
            carry(i % 2, 1 << 20);
        struct iovec range = {(void *)"x", 1};
        for (int i = 0; i < 2 && all; i++)
            if (wf_tls_ready(e.tls[i]))
                wf_tls_seal(e.tls[i], &range, 1);
        bool done = test_mem_calls() < n;
        test_mem_fail_at(0);
        close_ends();
        CHECK_EQ(test_mem_live(), before);
        if (done)
            return;
    }
    CHECK(!"there is no end of allocations");
}

/* ---- tickets ---- */

static wf_tls_tickets *tickets;
static unsigned char name[16], iv[EVP_MAX_IV_LENGTH];

static int ticket(bool seals, uint64_t now_ms) {
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    int got = seals ? wf_tls_tickets_seal(tickets, now_ms, name, iv, cipher, mac)
                    : wf_tls_tickets_open(tickets, now_ms, name, iv, cipher, mac);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(hmac);
    EVP_CIPHER_CTX_free(cipher);
    return got;
}

TEST(a_ticket_key_seals_for_one_term_and_opens_for_two) {
    const uint64_t term = WF_TICKET_KEY_MS;
    unsigned char first[16];
    tickets = wf_tls_tickets_new();
    CHECK_EQ(ticket(false, 1000), 0); /* nobody's */
    CHECK_EQ(ticket(true, 1000), 1);
    memcpy(first, name, sizeof first);
    CHECK_EQ(ticket(false, 1000 + term - 1), 1);
    CHECK_EQ(ticket(false, 1000 + term), 2); /* to be sealed anew */
    CHECK_EQ(ticket(true, 1000 + term), 1);
    CHECK(memcmp(first, name, sizeof first) != 0);
    memcpy(name, first, sizeof first);
    CHECK_EQ(ticket(false, 1000 + 2 * term - 1), 2);
    CHECK_EQ(ticket(false, 1000 + 2 * term), 0);
    wf_tls_tickets_unref(tickets);
}

TEST(a_server_that_slept_long_forgets_all_keys) {
    tickets = wf_tls_tickets_new();
    CHECK_EQ(ticket(true, 1000), 1);
    CHECK_EQ(ticket(false, 1000 + 10 * (uint64_t)WF_TICKET_KEY_MS), 0);
    wf_tls_tickets_unref(tickets);
}
