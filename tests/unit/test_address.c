/*
 * Addresses as text: each good form with the text it comes back as, each bad one with the reason given.
 */
#include "base/status.h"
#include "net/address.h"
#include "test.h"

#include <netinet/in.h>
#include <sys/un.h>

#define NAME_100 "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
    const char *text, *formatted;
    int family;
} good[] = {
    {"127.0.0.1:9001", "127.0.0.1:9001", AF_INET},
    {"0.0.0.0:0", "0.0.0.0:0", AF_INET},
    {"255.255.255.255:65535", "255.255.255.255:65535", AF_INET},
    {"localhost:80", "127.0.0.1:80", AF_INET},
    {"LocalHost:80", "127.0.0.1:80", AF_INET},
    {"127.0.0.1:00080", "127.0.0.1:80", AF_INET},
    {"[::1]:9001", "[::1]:9001", AF_INET6},
    {"[::]:9001", "[::]:9001", AF_INET6},
    {"[2001:DB8::0:1]:1", "[2001:db8::1]:1", AF_INET6},
    {"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1", AF_INET6},
    {"[1111:2222:3333:4444:5555:6666:7777:8888]:65535", "[1111:2222:3333:4444:5555:6666:7777:8888]:65535", AF_INET6},
    {"unix:/run/weft.sock", "unix:/run/weft.sock", AF_UNIX},
    {"unix:relative", "unix:relative", AF_UNIX},
    {"unix:@weft", "unix:@weft", AF_UNIX},
    {"unix:@a:b@c", "unix:@a:b@c", AF_UNIX},
    {"unix:" NAME_100 "1234567", "unix:" NAME_100 "1234567", AF_UNIX},
    {"unix:@" NAME_100 "123456", "unix:@" NAME_100 "123456", AF_UNIX},
};

static const char *const bad_port = "port is not a number from 0 to 65535";
static const char *const no_port = "port is missing: write host:port";
static const char *const bad_host = "host is neither an IP address nor localhost";
static const char *const bad_ipv6 = "what stands in brackets is not an IPv6 address";

static const struct {
    const char *text;
    const char *const *why;
    const char *why_text; /* where `why` is NULL */
} bad[] = {
    {"", NULL, "address is empty"},
    {":", &bad_port, NULL},
    {"*:", &bad_port, NULL},
    {":x", &bad_port, NULL},
    {":-1", &bad_port, NULL},
    {":+1", &bad_port, NULL},
    {": 1", &bad_port, NULL},
    {":1 ", &bad_port, NULL},
    {":65536", &bad_port, NULL},
    {":000080", &bad_port, NULL},
    {":99999999999999999999", &bad_port, NULL},
    {"65536", &bad_port, NULL},
    {"80x", &bad_port, NULL},
    {"127.0.0.1:", &bad_port, NULL},
    {"127.0.0.1:http", &bad_port, NULL},
    {"127.0.0.1:80/", &bad_port, NULL},
    {"127.0.0.1", &no_port, NULL},
    {"localhost", &no_port, NULL},
    {"*", &no_port, NULL},
    {"/run/weft.sock", &no_port, NULL},
    {"@name", &no_port, NULL},
    {"example.com:80", &bad_host, NULL},
    {"127.0.0:80", &bad_host, NULL},
    {"127.0.0.256:80", &bad_host, NULL},
    {"127.0.0.1.1:80", &bad_host, NULL},
    {"0x7f.0.0.1:80", &bad_host, NULL},
    {" 127.0.0.1:80", &bad_host, NULL},
    {"127.0.0.1 :80", &bad_host, NULL},
    {"localhostx:80", &bad_host, NULL},
    {"255.255.255.255255.255.255.255:80", &bad_host, NULL},
    {"**:80", &bad_host, NULL},
    {"http://127.0.0.1:80", NULL, "an IPv6 address needs brackets: [::1]:9001"},
    {"::1:80", NULL, "an IPv6 address needs brackets: [::1]:9001"},
    {"::", NULL, "an IPv6 address needs brackets: [::1]:9001"},
    {"[::1", NULL, "closing bracket is missing"},
    {"[", NULL, "closing bracket is missing"},
    {"[::1]", NULL, "port is missing: write [host]:port"},
    {"[::1]80", NULL, "port is missing: write [host]:port"},
    {"[::1]:", &bad_port, NULL},
    {"[::1]:65536", &bad_port, NULL},
    {"[]:80", &bad_ipv6, NULL},
    {"[127.0.0.1]:80", &bad_ipv6, NULL},
    {"[::g]:80", &bad_ipv6, NULL},
    {"[1:2:3:4:5:6:7:8:9]:80", &bad_ipv6, NULL},
    {"[::1%lo]:80", &bad_ipv6, NULL},
    {"[" NAME_100 "]:80", &bad_ipv6, NULL},
    {"unix:", NULL, "unix socket has no name"},
    {"unix:@", NULL, "unix socket has no name"},
    {"unix:" NAME_100 "12345678", NULL, "unix socket name is over 107 bytes"},
    {"unix:@" NAME_100 "1234567", NULL, "unix socket name is over 107 bytes"},
};

TEST(each_good_form_comes_back_as_text) {
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        test_context("%s", good[i].text);
        wf_address address, again;
        const char *why = NULL;
        char text[WF_ADDRESS_TEXT_BYTES];
        CHECK_EQ(wf_address_parse(good[i].text, &address, &why), 0);
        CHECK_EQ(address.storage.ss_family, good[i].family);
        CHECK(why == NULL);
        wf_address_format(&address, text, sizeof text);
        CHECK_STR(text, good[i].formatted);
        CHECK_EQ(wf_address_parse(text, &again, &why), 0);
        CHECK_BYTES((char *)&again.storage, again.len, (char *)&address.storage, address.len);
    }
}

TEST(each_bad_form_says_why_and_changes_nothing) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        test_context("\"%s\"", bad[i].text);
        wf_address address = {.len = 77};
        const char *why = NULL;
        CHECK_EQ(wf_address_parse(bad[i].text, &address, &why), WF_EINVAL);
        CHECK_STR(why, bad[i].why ? *bad[i].why : bad[i].why_text);
        CHECK_EQ(address.len, 77);
    }
}

TEST(a_port_alone_means_all_addresses) {
    static const char *const forms[] = {"9001", ":9001", "*:9001"};
    for (size_t i = 0; i < 3; i++) {
        test_context("%s", forms[i]);
        wf_address address;
        const char *why;
        char text[WF_ADDRESS_TEXT_BYTES];
        CHECK_EQ(wf_address_parse(forms[i], &address, &why), 0);
        wf_address_format(&address, text, sizeof text);
        CHECK_STR(text, address.storage.ss_family == AF_INET6 ? "[::]:9001" : "0.0.0.0:9001");
    }
}

TEST(a_short_buffer_cuts_the_text_and_ends_it) {
    static const char *const forms[] = {"127.0.0.1:9001", "[::1]:9001", "unix:/run/weft.sock", "unix:@weft"};
    for (size_t i = 0; i < 4; i++) {
        wf_address address;
        const char *why;
        CHECK_EQ(wf_address_parse(forms[i], &address, &why), 0);
        for (size_t cap = 1; cap <= strlen(forms[i]) + 1; cap++) {
            test_context("%s in %zu bytes", forms[i], cap);
            char text[64];
            memset(text, '#', sizeof text);
            wf_address_format(&address, text, cap);
            CHECK_EQ(strlen(text), cap - 1);
            CHECK(memcmp(text, forms[i], cap - 1) == 0);
            CHECK_EQ(text[cap], '#');
        }
    }
}

TEST(odd_addresses_have_a_text_too) {
    char text[WF_ADDRESS_TEXT_BYTES];
    wf_address none = {0};
    wf_address_format(&none, text, sizeof text);
    CHECK_STR(text, "?");

    wf_address unnamed = {.storage.ss_family = AF_UNIX, .len = sizeof(sa_family_t)};
    wf_address_format(&unnamed, text, sizeof text);
    CHECK_STR(text, "unix:");

    wf_address escapes;
    const char *why;
    CHECK_EQ(wf_address_parse("unix:/tmp/a\x1b[2J\nb\x7f", &escapes, &why), 0);
    wf_address_format(&escapes, text, sizeof text);
    CHECK_STR(text, "unix:/tmp/a?[2J?b?");

    /* A path that fills the field has no NUL of its own. */
    wf_address full = {.storage.ss_family = AF_UNIX, .len = sizeof(struct sockaddr_un)};
    struct sockaddr_un *un = (struct sockaddr_un *)&full.storage;
    memset(un->sun_path, 'p', sizeof un->sun_path);
    wf_address_format(&full, text, sizeof text);
    CHECK_EQ(strlen(text), 5 + sizeof un->sun_path);
}
