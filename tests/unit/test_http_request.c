/*
 * Each row is one input and the one outcome it must have, written out as text: the request as the application
 * will see it, or HTTP status and rule. A row is replayed whole, under every split in two, byte by byte, and
 * with every allocation failing in turn; how the bytes were cut must not show.
 */
#include "base/mem.h"
#include "http/request.h"
#include "test.h"

#include <stdio.h>
#include <time.h>

static const wf_http_limits small = {.head_bytes_max = 256, .headers_max = 6, .body_bytes_max = 32};

typedef struct row {
    const char *name;
    wf_str input;
    const char *outcome;
    size_t rest; /* bytes of input that do not belong to the request */
} row;

#define IN(text)                                                                                                       \
    { text, sizeof(text) - 1 }
#define HOST     "Host: a\r\n"
#define GET      "GET / HTTP/1.1\r\n"
#define POST     "POST / HTTP/1.1\r\n" HOST
#define CHUNKED  POST "Transfer-Encoding: chunked\r\n\r\n"
#define OVER_32  "0123456789012345678901234567890123456789"
#define FILL_224 OVER_32 OVER_32 OVER_32 OVER_32 OVER_32 "012345678901234567890123"
#define OVER_256 OVER_32 OVER_32 OVER_32 OVER_32 OVER_32 OVER_32 OVER_32

#define BAD_TARGET  "400 RFC9112/3.2: a byte in the target that may not stand there"
#define BAD_LINE    "400 RFC9112/3: the request line is not method, target and version"
#define NO_VERSION  "400 RFC9112/3: the request line does not end in an HTTP version"
#define VERSION     "505 RFC9110/15.6.6: only HTTP/1.0 and HTTP/1.1 are spoken here"
#define BEHIND      "400 RFC9112/3: bytes behind the HTTP version"
#define BAD_HEADER  "400 RFC9112/5: a header line is not name:value"
#define TWO_LENGTHS "400 RFC9112/6.3: Content-Length twice, or beside Transfer-Encoding"
#define BAD_LENGTH  "400 RFC9110/8.6: Content-Length is not a number below 2^64"
#define BAD_CODING  "501 RFC9112/6.1: a Transfer-Encoding other than one single chunked"
#define BAD_CHUNK   "400 RFC9112/7.1: a chunk that is not size, CRLF, data, CRLF"
#define BARE_CR     "400 RFC9112/2.2: a CR without LF"
#define BARE_LF     "400 RFC9112/2.2: a LF without CR"
#define NUL_BYTE    "400 RFC9110/5.5: a NUL byte"
#define CONTROL     "400 RFC9110/5.5: a control byte"
#define FOLDED      "400 RFC9112/5.2: a line that begins with white space (line folding)"
#define BAD_HOST    "400 RFC9112/3.2: the Host header is not host[:port]"
#define BIG_HEAD    "431 RFC6585/5: the headers are over the limit"
#define BIG_LINE    "414 RFC9110/15.5.15: the request line is over the limit"
#define BIG_TRAILER "431 RFC6585/5: chunk extensions or trailers are over the limit"
#define BIG_CHUNKS  "413 RFC9110/15.5.14: the chunks are over the limit for bodies"

static const row rows[] = {
    /* what is read */
    {"plain_get", IN(GET HOST "\r\n"), "GET / path=/ query= 1.1 keep [Host=a] body=", 0},
    {"nothing_yet", IN(""), "more", 0},
    {"half_a_head", IN(GET HOST), "more", 0},
    {"query_is_split_off", IN("GET /r/a?last=5&x=? HTTP/1.1\r\n" HOST "\r\n"),
     "GET /r/a?last=5&x=? path=/r/a query=last=5&x=? 1.1 keep [Host=a] body=", 0},
    {"http10_closes", IN("GET / HTTP/1.0\r\n\r\n"), "GET / path=/ query= 1.0 close [] body=", 0},
    {"http10_keep_alive", IN("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
     "GET / path=/ query= 1.0 keep [Connection=keep-alive] body=", 0},
    {"connection_close_in_a_list", IN(GET HOST "Connection: x, Close\r\n\r\n"),
     "GET / path=/ query= 1.1 close [Host=a|Connection=x, Close] body=", 0},
    {"values_are_trimmed", IN(GET HOST "X:\t b c \t\r\nEmpty:\r\nBlank:  \r\n\r\n"),
     "GET / path=/ query= 1.1 keep [Host=a|X=b c|Empty=|Blank=] body=", 0},
    {"value_bytes_over_127_pass", IN(GET HOST "X: \xc3\xa9\xff\r\n\r\n"),
     "GET / path=/ query= 1.1 keep [Host=a|X=\xc3\xa9\xff] body=", 0},
    {"value_with_colons", IN(GET HOST "X: a:b: c\r\n\r\n"), "GET / path=/ query= 1.1 keep [Host=a|X=a:b: c] body=", 0},
    {"leading_empty_lines", IN("\r\n\r\n" GET HOST "\r\n"), "GET / path=/ query= 1.1 keep [Host=a] body=", 0},
    {"host_with_port", IN(GET "Host: [::1]:8080\r\n\r\n"), "GET / path=/ query= 1.1 keep [Host=[::1]:8080] body=", 0},
    {"host_may_be_empty", IN(GET "Host:\r\n\r\n"), "GET / path=/ query= 1.1 keep [Host=] body=", 0},
    {"absolute_target", IN("GET http://A/b/c?d HTTP/1.1\r\n" HOST "\r\n"),
     "GET http://A/b/c?d path=/b/c query=d 1.1 keep [Host=a] body=", 0},
    {"absolute_target_in_http10_without_host", IN("GET http://a/ HTTP/1.0\r\n\r\n"),
     "GET http://a/ path=/ query= 1.0 close [] body=", 0},
    {"absolute_target_without_path", IN("GET http://a HTTP/1.1\r\n" HOST "\r\n"),
     "GET http://a path=/ query= 1.1 keep [Host=a] body=", 0},
    {"absolute_target_query_only", IN("GET http://a?b HTTP/1.1\r\n" HOST "\r\n"),
     "GET http://a?b path=/ query=b 1.1 keep [Host=a] body=", 0},
    {"url_inside_a_path", IN("GET /x?u=http://b/ HTTP/1.1\r\n" HOST "\r\n"),
     "GET /x?u=http://b/ path=/x query=u=http://b/ 1.1 keep [Host=a] body=", 0},
    {"asterisk_with_options", IN("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
     "OPTIONS * path=* query= 1.1 keep [Host=a] body=", 0},
    {"pipelined_bytes_stay", IN(GET HOST "\r\n" GET), "GET / path=/ query= 1.1 keep [Host=a] body=", 16},

    /* bodies */
    {"length_body", IN(POST "Content-Length: 5\r\n\r\nhel\nlGET"),
     "POST / path=/ query= 1.1 keep [Host=a|Content-Length=5] body=hel\nl", 3},
    {"length_zero", IN(POST "Content-Length: 0\r\n\r\nGET"),
     "POST / path=/ query= 1.1 keep [Host=a|Content-Length=0] body=", 3},
    {"length_at_the_limit", IN(POST "Content-Length: 32\r\n\r\n01234567890123456789012345678901"),
     "POST / path=/ query= 1.1 keep [Host=a|Content-Length=32] body=01234567890123456789012345678901", 0},
    {"body_not_whole", IN(POST "Content-Length: 5\r\n\r\nhell"), "more", 0},
    {"chunk_shorter_than_its_data", IN(CHUNKED "3\r\na\r\n\r\n00b;x=y\r\n hello world\r\n0\r\n\r\nGET"), BAD_CHUNK, 0},
    {"chunks_are_decoded", IN(CHUNKED "3\r\na\r\n\r\n00c;x=y\r\n hello world\r\n0\r\n\r\nGET"),
     "POST / path=/ query= 1.1 keep [Host=a|Transfer-Encoding=chunked] body=a\r\n hello world", 3},
    {"chunked_and_empty", IN(CHUNKED "0\r\n\r\n"),
     "POST / path=/ query= 1.1 keep [Host=a|Transfer-Encoding=chunked] body=", 0},
    {"coding_name_without_case", IN(POST "Transfer-Encoding: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
     "POST / path=/ query= 1.1 keep [Host=a|Transfer-Encoding=CHUNKED] body=x", 0},
    {"trailers_are_dropped", IN(CHUNKED "1\r\nx\r\n0\r\nHost: b\r\nContent-Length: 9\r\n\r\nGET"),
     "POST / path=/ query= 1.1 keep [Host=a|Transfer-Encoding=chunked] body=x", 3},
    {"trailers_not_whole", IN(CHUNKED "1\r\nx\r\n0\r\nHost: b\r\n"), "more", 0},
    {"many_small_chunks_cost_no_head",
     IN(CHUNKED "0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na"
                "\r\n0000001\r\na\r\n0000001\r\na\r\n01\r"
                "\na\r\n0000001\r\na\r\n"
                "0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na"
                "\r\n0000001\r\na\r\n0000001\r\na\r\n01\r"
                "\na\r\n0000001\r\na\r\n"
                "0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na\r\n0000001\r\na"
                "\r\n0000001\r\na\r\n0000001\r\na\r\n01\r"
                "\na\r\n0000001\r\na\r\n"
                "0\r\n\r\n"),
     "POST / path=/ query= 1.1 keep [Host=a|Transfer-Encoding=chunked] body=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0},
    {"upgrade_ends_the_request",
     IN(GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x80"
                 "abcd"),
     "GET / path=/ query= 1.1 keep,upgrade [Host=a|Upgrade=websocket|Connection=Upgrade] body=", 6},
    {"upgrade_with_length_has_a_body",
     IN(GET HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\nabcGET"),
     "GET / path=/ query= 1.1 keep,upgrade [Host=a|Upgrade=websocket|Connection=Upgrade|Content-Length=3] "
     "body=abc",
     3},
    {"upgrade_with_chunks_has_a_body",
     IN(GET HOST "Upgrade: x\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET"),
     "GET / path=/ query= 1.1 keep,upgrade [Host=a|Upgrade=x|Connection=Upgrade|Transfer-Encoding=chunked] "
     "body=abc",
     3},
    {"expect_continue", IN(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"),
     "POST / path=/ query= 1.1 keep,continue [Host=a|Expect=100-Continue|Content-Length=1] body=x", 0},
    {"expect_is_ignored_in_http10", IN("GET / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n"),
     "GET / path=/ query= 1.0 close [Expect=200-ok] body=", 0},

    /* the request line */
    {"no_http_at_all", IN("hello\r\n"), "400 RFC9112/3: this is no HTTP request", 0},
    {"tls_client_hello", IN("\x16\x03\x01\x02"), CONTROL, 0},
    {"unknown_method", IN("BREW / HTTP/1.1\r\n"), "501 RFC9110/9.1: this method is not known here", 0},
    {"method_with_a_digit", IN("G1T / HTTP/1.1\r\n"), "400 RFC9112/3: this is no HTTP request", 0},
    {"method_in_small_letters", IN("get / HTTP/1.1\r\n"), "400 RFC9112/3: this is no HTTP request", 0},
    {"rtsp", IN("OPTIONS * RTSP/1.0\r\n\r\n"), BAD_LINE, 0},
    {"two_spaces_before_target", IN("GET  / HTTP/1.1\r\n" HOST "\r\n"), BAD_LINE, 0},
    {"two_spaces_before_version", IN("GET /  HTTP/1.1\r\n" HOST "\r\n"), BAD_LINE, 0},
    {"tab_before_version", IN("GET /\tHTTP/1.1\r\n" HOST "\r\n"), BAD_TARGET, 0},
    {"space_behind_version", IN("GET / HTTP/1.1 \r\n"), BEHIND, 0},
    {"http09", IN("GET /\r\n\r\n"), NO_VERSION, 0},
    {"http2_version", IN("GET / HTTP/2.0\r\n" HOST "\r\n"), VERSION, 0},
    {"http12", IN("GET / HTTP/1.2\r\n" HOST "\r\n"), VERSION, 0},
    {"http3", IN("GET / HTTP/3.0\r\n" HOST "\r\n"), VERSION, 0},
    {"version_of_two_digits", IN("GET / HTTP/1.10\r\n" HOST "\r\n"), BEHIND, 0},
    {"version_in_small_letters", IN("GET / http/1.1\r\n"), NO_VERSION, 0},
    {"http2_preface", IN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
     "505 RFC9113/3.4: the HTTP/2 preface, where only HTTP/1.1 is spoken", 0},
    {"connect", IN("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
     "405 RFC9110/9.3.6: CONNECT: this server is no tunnel", 0},
    {"connect_to_a_short_port", IN("CONNECT a:8 HTTP/1.1\r\nHost: a:8\r\n\r\n"),
     "405 RFC9110/9.3.6: CONNECT: this server is no tunnel", 0},
    {"asterisk_with_get", IN("GET * HTTP/1.1\r\n" HOST "\r\n"),
     "400 RFC9112/3.2.4: the target * goes with OPTIONS alone", 0},
    {"asterisk_and_query", IN("OPTIONS *?a HTTP/1.1\r\n" HOST "\r\n"),
     "400 RFC9112/3.2.4: the target * goes with OPTIONS alone", 0},
    {"target_without_slash", IN("GET a HTTP/1.1\r\n"), BAD_TARGET, 0},
    {"asterisk_and_more", IN("GET *a HTTP/1.1\r\n" HOST "\r\n"),
     "400 RFC9112/3.2: the target is neither a path nor an absolute URI", 0},
    {"target_with_fragment", IN("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), BAD_TARGET, 0},
    {"target_over_ascii", IN("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), BAD_TARGET, 0},
    {"target_with_nul", IN("GET /\0 HTTP/1.1\r\n"), NUL_BYTE, 0},
    {"target_with_del", IN("GET /\x7f HTTP/1.1\r\n"), CONTROL, 0},
    {"absolute_target_of_another_host", IN("GET http://b/ HTTP/1.1\r\n" HOST "\r\n"),
     "400 RFC9112/3.2.2: Host differs from the target's authority", 0},
    {"absolute_target_with_user", IN("GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n"),
     "400 RFC9112/3.2.2: the target's authority is not host[:port]", 0},
    {"absolute_target_without_host", IN("GET http:/// HTTP/1.1\r\n" HOST "\r\n"),
     "400 RFC9112/3.2.2: the target's authority is not host[:port]", 0},

    /* lines and headers */
    {"bare_cr", IN(GET "Host: a\rb\r\n\r\n"), BARE_CR, 0},
    {"bare_lf_ends_a_header", IN(GET "Host: a\n\r\n"), BARE_LF, 0},
    {"bare_lf_ends_the_request_line", IN("GET / HTTP/1.1\n"), BARE_LF, 0},
    {"bare_lf_first", IN("\nGET / HTTP/1.1\r\n"), BARE_LF, 0},
    {"nul_in_a_value", IN(GET "Host: a\0b\r\n\r\n"), NUL_BYTE, 0},
    {"control_in_a_value", IN(GET "Host: a\x1b[2J\r\n\r\n"), CONTROL, 0},
    {"folded_header", IN(GET "Host: a\r\n b\r\n\r\n"), FOLDED, 0},
    {"folded_with_tab", IN(GET "Host: a\r\n\tb\r\n\r\n"), FOLDED, 0},
    {"space_before_first_header", IN(GET " Host: a\r\n\r\n"), FOLDED, 0},
    {"space_before_the_request_line", IN(" GET / HTTP/1.1\r\n"), FOLDED, 0},
    {"space_before_colon", IN(GET "Host : a\r\n\r\n"), BAD_HEADER, 0},
    {"no_colon", IN(GET "Host\r\n\r\n"), BAD_HEADER, 0},
    {"no_name", IN(GET HOST ": b\r\n\r\n"), BAD_HEADER, 0},
    {"name_over_ascii", IN(GET HOST "\xc3\xa9: b\r\n\r\n"), BAD_HEADER, 0},
    {"name_with_a_separator", IN(GET HOST "a(b): c\r\n\r\n"), BAD_HEADER, 0},
    {"no_host", IN(GET "\r\n"), "400 RFC9112/3.2: no Host header", 0},
    {"two_hosts", IN(GET HOST HOST "\r\n"), "400 RFC9112/3.2: more than one Host header", 0},
    {"two_hosts_in_http10", IN("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), "400 RFC9112/3.2: more than one Host header", 0},
    {"host_with_space", IN(GET "Host: a b\r\n\r\n"), BAD_HOST, 0},
    {"host_with_path", IN(GET "Host: a/b\r\n\r\n"), BAD_HOST, 0},
    {"host_with_bad_port", IN(GET "Host: a:65536\r\n\r\n"), BAD_HOST, 0},
    {"expect_twice", IN(POST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n"),
     "417 RFC9110/10.1.1: an Expect other than 100-continue", 0},
    {"expect_other", IN(POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx"),
     "417 RFC9110/10.1.1: an Expect other than 100-continue", 0},

    /* framing (RFC 9112 6) */
    {"length_twice", IN(POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"), TWO_LENGTHS, 0},
    {"lengths_differ", IN(POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), TWO_LENGTHS, 0},
    {"length_list", IN(POST "Content-Length: 3, 3\r\n\r\n"), BAD_LENGTH, 0},
    {"length_plus", IN(POST "Content-Length: +3\r\n\r\n"), BAD_LENGTH, 0},
    {"length_minus", IN(POST "Content-Length: -1\r\n\r\n"), BAD_LENGTH, 0},
    {"length_hex", IN(POST "Content-Length: 0x3\r\n\r\n"), BAD_LENGTH, 0},
    {"length_empty", IN(POST "Content-Length:\r\n\r\n"), BAD_LENGTH, 0},
    {"length_over_64_bits", IN(POST "Content-Length: 18446744073709551616\r\n\r\n"), BAD_LENGTH, 0},
    {"length_over_the_limit", IN(POST "Content-Length: 33\r\n\r\n"),
     "413 RFC9110/15.5.14: Content-Length is over the limit for bodies", 0},
    {"length_of_2_to_the_64_less_1", IN(POST "Content-Length: 18446744073709551615\r\n\r\n"),
     "413 RFC9110/15.5.14: Content-Length is over the limit for bodies", 0},
    {"length_and_chunked", IN(POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), TWO_LENGTHS, 0},
    {"chunked_and_length", IN(POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), TWO_LENGTHS, 0},
    {"gzip", IN(POST "Transfer-Encoding: gzip\r\n\r\n"), BAD_CODING, 0},
    {"gzip_and_chunked", IN(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), BAD_CODING, 0},
    {"chunked_and_gzip", IN(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), BAD_CODING, 0},
    {"chunked_twice", IN(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), BAD_CODING, 0},
    {"coding_like_chunked", IN(POST "Transfer-Encoding: xchunked\r\n\r\n"), BAD_CODING, 0},
    {"coding_empty", IN(POST "Transfer-Encoding:\r\n\r\n"), BAD_CODING, 0},
    {"chunked_in_http10", IN("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
     "400 RFC9112/6.1: Transfer-Encoding in HTTP/1.0", 0},
    {"chunk_size_empty", IN(CHUNKED "\r\n"), BAD_CHUNK, 0},
    {"chunk_size_with_space", IN(CHUNKED "3 \r\nabc\r\n"), BAD_CHUNK, 0},
    {"chunk_size_0x", IN(CHUNKED "0x3\r\n"), BAD_CHUNK, 0},
    {"chunk_size_negative", IN(CHUNKED "-1\r\n"), BAD_CHUNK, 0},
    {"chunk_size_over_64_bits", IN(CHUNKED "10000000000000000\r\n"), BAD_CHUNK, 0},
    {"chunk_size_2_to_the_64_less_1", IN(CHUNKED "ffffffffffffffff\r\n"), BIG_CHUNKS, 0},
    {"chunk_longer_than_its_size", IN(CHUNKED "3\r\nabcd\r\n"), BAD_CHUNK, 0},
    {"chunk_end_is_not_any_two_bytes", IN(CHUNKED "3\r\nabcXY0\r\n\r\n"), BAD_CHUNK, 0},
    {"chunk_line_bare_lf", IN(CHUNKED "3\nabc\r\n"), BARE_LF, 0},
    {"chunk_extension_bare_lf", IN(CHUNKED "3;a\nabc\r\n"), BARE_LF, 0},
    {"chunk_extension_nul", IN(CHUNKED "3;\0\r\nabc\r\n"), NUL_BYTE, 0},
    {"trailer_folded", IN(CHUNKED "0\r\na: b\r\n c\r\n\r\n"), FOLDED, 0},
    {"trailer_bare_lf", IN(CHUNKED "0\r\na: b\n\r\n"), BARE_LF, 0},
    {"trailer_without_colon", IN(CHUNKED "0\r\nab\r\n\r\n"), BAD_HEADER, 0},

    /* limits */
    {"target_over_the_limit", IN("GET /" OVER_256 " HTTP/1.1\r\n\r\n"), BIG_LINE, 0},
    {"headers_over_the_limit", IN(GET HOST "X: " OVER_256 "\r\n\r\n"), BIG_HEAD, 0},
    {"name_over_the_limit", IN(GET "x" OVER_256), BIG_HEAD, 0},
    {"head_at_the_limit", IN(GET HOST "X: " FILL_224 "\r\n\r\n"),
     "GET / path=/ query= 1.1 keep [Host=a|X=" FILL_224 "] body=", 0},
    {"head_one_over_the_limit", IN(GET HOST "X: " FILL_224 "4\r\n\r\n"), BIG_HEAD, 0},
    {"headers_at_the_limit", IN(GET HOST "b:\r\nc:\r\nd:\r\ne:\r\nf:\r\n\r\n"),
     "GET / path=/ query= 1.1 keep [Host=a|b=|c=|d=|e=|f=] body=", 0},
    {"too_many_headers", IN(GET HOST "b:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\n\r\n"), "431 RFC6585/5: too many headers", 0},
    {"chunks_over_the_limit", IN(CHUNKED "1f\r\n0123456789012345678901234567890\r\n2\r\nab\r\n"), BIG_CHUNKS, 0},
    {"chunk_extension_over_the_limit", IN(CHUNKED "1;" OVER_256), BIG_TRAILER, 0},
    {"chunk_size_of_zeros_over_the_limit",
     IN(CHUNKED "0000000000000000000000000000"
                "00000000000000000000000000000000"
                "00000000000000000000000000000000"
                "00000000000000000000000000000000"
                "00000000000000000000000000000000"
                "00000000000000000000000000000000"
                "00000000000000000000000000000000"
                "00000000000000000000000000000000"),
     BIG_TRAILER, 0},
    {"trailers_over_the_limit", IN(CHUNKED "0\r\nx: " OVER_256), BIG_TRAILER, 0},
};

/* --- replaying --- */

static void describe(const wf_http_reader *reader, int status, char *out, size_t cap) {
    if (status == WF_WANT_INPUT) {
        snprintf(out, cap, "more");
    } else if (status < 0) {
        const wf_fault *fault = wf_http_reader_fault(reader);
        CHECK_EQ(fault->status, status);
        snprintf(out, cap, "%d %s", fault->close_code, fault->rule);
    } else {
        const wf_http_request *r = wf_http_reader_request(reader);
        int n = snprintf(out, cap, "%.*s %.*s path=%.*s query=%.*s 1.%d %s%s%s [", (int)r->method.len, r->method.data,
                         (int)r->target.len, r->target.data, (int)r->path.len, r->path.data, (int)r->query.len,
                         r->query.data, r->version_minor, r->keep_alive ? "keep" : "close",
                         r->upgrade ? ",upgrade" : "", r->expects_continue ? ",continue" : "");
        for (size_t i = 0; i < r->header_count; i++)
            n += snprintf(out + n, cap - (size_t)n, "%s%.*s=%.*s", i ? "|" : "", (int)r->headers[i].name.len,
                          r->headers[i].name.data, (int)r->headers[i].value.len, r->headers[i].value.data);
        snprintf(out + n, cap - (size_t)n, "] body=%.*s", (int)r->body.len, r->body.data);
    }
}

/* Feeds len bytes in a block of exactly that size, so that a sanitizer sees the first byte read behind it. */
static int feed_exact(wf_http_reader *reader, const char *data, size_t len, size_t *out_used) {
    uint8_t *copy = len > 0 ? wf_mem_alloc(len) : NULL;
    if (len > 0 && !copy) {
        *out_used = 0;
        return WF_ENOMEM;
    }
    if (copy)
        memcpy(copy, data, len);
    int status = wf_http_reader_feed(reader, copy, len, out_used);
    wf_mem_free(copy);
    CHECK(*out_used <= len);
    CHECK(status != WF_WANT_INPUT || *out_used == len);
    return status;
}

/* The first piece has `first` bytes, every further one `step`. Answers the status and the bytes used. */
static int feed_pieces(wf_http_reader *reader, wf_str input, size_t first, size_t step, size_t *out_used) {
    size_t used = 0, piece = first;
    int status = WF_WANT_INPUT;
    while (status == WF_WANT_INPUT && used < input.len) {
        size_t left = input.len - used, taken;
        status = feed_exact(reader, input.data + used, piece < left ? piece : left, &taken);
        used += taken;
        piece = step;
    }
    *out_used = used;
    return status;
}

static void replay(const row *r, size_t first, size_t step) {
    char outcome[1024];
    size_t used, before = test_mem_live();
    test_context("row %s, first piece %zu, then %zu", r->name, first, step);
    wf_http_reader *reader = wf_http_reader_new(&small);
    CHECK(reader);
    int status = feed_pieces(reader, r->input, first, step, &used);
    describe(reader, status, outcome, sizeof outcome);
    CHECK_STR(outcome, r->outcome);
    if (status >= 0)
        CHECK_EQ(r->input.len - used, r->rest);
    size_t again = 1;
    if (status < 0) /* the fault sticks */
        CHECK(wf_http_reader_feed(reader, (const uint8_t *)"x", 1, &again) == status && again == 0);
    wf_http_reader_free(reader);
    CHECK_EQ(test_mem_live(), before);
}

static void replay_failing(const row *r, size_t step) {
    char outcome[1024];
    size_t before = test_mem_live();
    for (size_t n = 1;; n++) {
        test_context("row %s, pieces of %zu, allocation %zu fails", r->name, step, n);
        test_mem_fail_at(n);
        wf_http_reader *reader = wf_http_reader_new(&small);
        if (reader) {
            uint8_t byte = 0;
            size_t used = 0, taken;
            int status = WF_WANT_INPUT;
            while (status == WF_WANT_INPUT && used < r->input.len) {
                size_t left = r->input.len - used;
                const uint8_t *data = (const uint8_t *)r->input.data + used;
                status = wf_http_reader_feed(reader, data, step < left ? step : left, &taken);
                used += taken;
            }
            describe(reader, status, outcome, sizeof outcome);
            CHECK_STR(outcome, status == WF_ENOMEM ? "503 out of memory" : r->outcome);
            if (status == WF_ENOMEM)
                CHECK_EQ(wf_http_reader_feed(reader, &byte, 1, &taken), WF_ENOMEM);
        }
        wf_http_reader_free(reader);
        CHECK_EQ(test_mem_live(), before);
        if (test_mem_calls() < n)
            break;
    }
    test_mem_fail_at(0);
}

#define EACH_ROW(r) for (const row *r = rows; r < rows + sizeof rows / sizeof rows[0]; r++)

TEST(request_rows_whole) {
    EACH_ROW(r)
    replay(r, SIZE_MAX, 1);
}

TEST(request_rows_split_in_two) {
    EACH_ROW(r)
    for (size_t at = 1; at < r->input.len; at++)
        replay(r, at, SIZE_MAX);
}

TEST(request_rows_byte_by_byte) {
    EACH_ROW(r)
    replay(r, 1, 1);
}

TEST(request_rows_with_every_allocation_failing) {
    EACH_ROW(r) {
        replay_failing(r, SIZE_MAX);
        replay_failing(r, 1);
    }
}

/* --- several requests, and state --- */

static const char pipeline[] = "GET /1 HTTP/1.1\r\n" HOST "\r\n"
                               "POST /2 HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbody"
                               "GET /3 HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
                               "POST /4 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
                               "\r\nGET /5 HTTP/1.1\r\nConnection: close\r\n" HOST "\r\n"
                               "GET /6 HTTP/1.1\r\n" HOST "\r\nBAD";

/* The next request on a connection has a reader of its own. */
static wf_http_reader *another(wf_http_reader *done) {
    wf_http_reader_free(done);
    return wf_http_reader_new(&small);
}

/* A refused upgrade (/3) and even a "close" (/5) do not change how the bytes behind it are read. */
TEST(request_pipeline_is_read_one_by_one) {
    for (size_t step = 1; step <= sizeof pipeline; step++) {
        test_context("pieces of %zu", step);
        wf_http_reader *reader = wf_http_reader_new(&small);
        char targets[64] = "";
        size_t used = 0, length = sizeof pipeline - 1;
        int status = WF_WANT_INPUT;
        while (used < length && status >= 0) {
            size_t taken, left = length - used;
            status = feed_exact(reader, pipeline + used, step < left ? step : left, &taken);
            used += taken;
            if (status != WF_OK)
                continue;
            wf_str target = wf_http_reader_request(reader)->target;
            strncat(targets, target.data, target.len);
            reader = another(reader);
            CHECK(wf_http_reader_idle(reader));
        }
        CHECK_STR(targets, "/1/2/3/4/5/6");
        CHECK_EQ(status, WF_ERROR);
        CHECK_EQ(wf_http_reader_fault(reader)->close_code, 501);
        wf_http_reader_free(reader);
    }
}

static int feed_text(wf_http_reader *reader, const char *text) {
    size_t used;
    return feed_exact(reader, text, strlen(text), &used);
}

TEST(request_idle_until_its_first_byte) {
    wf_http_reader *reader = wf_http_reader_new(&small);
    CHECK(wf_http_reader_idle(reader));
    CHECK_EQ(feed_text(reader, "\r\n\r"), WF_WANT_INPUT);
    CHECK(wf_http_reader_idle(reader));
    CHECK_EQ(feed_text(reader, "\nG"), WF_WANT_INPUT);
    CHECK(!wf_http_reader_idle(reader));
    CHECK_EQ(feed_text(reader, "ET / HTTP/1.1\r\n"), WF_WANT_INPUT);
    CHECK(!wf_http_reader_idle(reader));
    CHECK_EQ(feed_text(reader, HOST "\r\n"), WF_OK);
    CHECK(!wf_http_reader_idle(reader));
    reader = another(reader);
    CHECK_EQ(feed_text(reader, "\x16"), WF_ERROR);
    CHECK(!wf_http_reader_idle(reader)); /* refused, although nothing was begun */
    wf_http_reader_free(reader);
    wf_http_reader_free(NULL);
}

TEST(request_wants_continue_once) {
    wf_http_reader *reader = wf_http_reader_new(&small);
    CHECK_EQ(feed_text(reader, POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r"), WF_WANT_INPUT);
    CHECK(!wf_http_reader_wants_continue(reader));
    CHECK_EQ(feed_text(reader, "\n"), WF_WANT_INPUT);
    CHECK(wf_http_reader_wants_continue(reader));
    CHECK(!wf_http_reader_wants_continue(reader));
    CHECK_EQ(feed_text(reader, "ab"), WF_OK);
    CHECK(!wf_http_reader_wants_continue(reader));
    reader = another(reader);
    CHECK_EQ(feed_text(reader, POST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\na"), WF_WANT_INPUT);
    CHECK(!wf_http_reader_wants_continue(reader)); /* the body did not wait */
    CHECK_EQ(feed_text(reader, "b"), WF_OK);
    reader = another(reader);
    CHECK_EQ(feed_text(reader, POST "Content-Length: 2\r\n\r\n"), WF_WANT_INPUT);
    CHECK(!wf_http_reader_wants_continue(reader)); /* not asked */
    wf_http_reader_free(reader);
}

TEST(request_body_without_memory_is_a_fault) {
    const wf_http_limits large = {.head_bytes_max = 8192, .headers_max = 64, .body_bytes_max = 100000};
    static char body[100000];
    size_t used;
    wf_http_reader *reader = wf_http_reader_new(&large);
    CHECK_EQ(feed_text(reader, POST "Content-Length: 100000\r\n\r\n"), WF_WANT_INPUT);
    test_mem_fail_at(1);
    CHECK_EQ(wf_http_reader_feed(reader, (uint8_t *)body, sizeof body, &used), WF_ENOMEM);
    test_mem_fail_at(0);
    CHECK_EQ(wf_http_reader_fault(reader)->close_code, 503);
    wf_http_reader_free(reader);
}

/* What no bytes bring about: llhttp ends a head that we took, for a reason we do not know or to make a pause. */
TEST(request_that_llhttp_gives_up_is_refused) {
    static const int errors[] = {1 /* HPE_INTERNAL */, 21 /* HPE_PAUSED */};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        for (size_t nth = 1; nth <= 2; nth++) {
            test_context("error %d in call %zu", errors[i], nth);
            wf_http_reader *reader = wf_http_reader_new(&small);
            test_call_fail_at("llhttp_execute", nth, errors[i]);
            int got = feed_text(reader, POST);
            CHECK_EQ(got, nth == 1 ? WF_ERROR : WF_WANT_INPUT);
            if (nth == 2)
                CHECK_EQ(feed_text(reader, "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"), WF_ERROR);
            CHECK_EQ(wf_http_reader_fault(reader)->close_code, 400);
            CHECK(!wf_http_reader_wants_continue(reader));
            test_call_fail_at(NULL, 0, 0);
            wf_http_reader_free(reader);
        }
    }
}

TEST(request_memory_follows_the_bytes) {
    const wf_http_limits large = {.head_bytes_max = 8192, .headers_max = 64, .body_bytes_max = (size_t)1 << 40};
    static const char bytes[1000];
    size_t before = test_mem_bytes(), used;
    wf_http_reader *reader = wf_http_reader_new(&large);
    CHECK_EQ(feed_text(reader, POST "Content-Length: 1099511627776\r\n\r\n"), WF_WANT_INPUT);
    size_t small_change = test_mem_bytes() - before;
    CHECK(small_change < 1024);
    for (size_t sent = 0; sent < 1000000; sent += sizeof bytes) {
        CHECK_EQ(wf_http_reader_feed(reader, (const uint8_t *)bytes, sizeof bytes, &used), WF_WANT_INPUT);
        CHECK(test_mem_bytes() - before <= (sent + sizeof bytes) * 9 / 8 + 4096 + small_change);
    }
    wf_http_reader_free(reader);
    CHECK_EQ(test_mem_bytes(), before);
}

TEST(request_views_follow_a_buffer_that_moved) {
    const wf_http_limits large = {.head_bytes_max = 8192, .headers_max = 64, .body_bytes_max = 1 << 20};
    static const char head[] = POST "Content-Length: 100000\r\n\r\n", bytes[100000];
    size_t used;
    wf_http_reader *reader = wf_http_reader_new(&large);
    CHECK_EQ(feed_text(reader, head), WF_WANT_INPUT);
    CHECK_EQ(wf_http_reader_feed(reader, (const uint8_t *)bytes, sizeof bytes, &used), WF_OK);
    const wf_http_request *request = wf_http_reader_request(reader);
    CHECK_EQ(request->body.len, sizeof bytes);
    CHECK(request->body.data == request->method.data + sizeof head - 1); /* one buffer holds both */
    CHECK(wf_str_eq(request->path, wf_str_of("/")));
    CHECK(wf_str_eq(request->headers[1].value, wf_str_of("100000")));
    wf_http_reader_free(reader);
}

/* Nanoseconds of processor time for each byte of a head of this length fed byte by byte; the best of five. */
static double cost_per_byte(size_t head_bytes) {
    const wf_http_limits huge = {.head_bytes_max = 1 << 20, .headers_max = 64, .body_bytes_max = 0};
    double best = 1e30;
    for (int round = 0; round < 5; round++) {
        size_t used;
        wf_http_reader *reader = wf_http_reader_new(&huge);
        clock_t start = clock();
        CHECK_EQ(wf_http_reader_feed(reader, (const uint8_t *)GET HOST "X: ", 28, &used), WF_WANT_INPUT);
        for (size_t i = 0; i < head_bytes; i++)
            CHECK_EQ(wf_http_reader_feed(reader, (const uint8_t *)"x", 1, &used), WF_WANT_INPUT);
        CHECK_EQ(wf_http_reader_feed(reader, (const uint8_t *)"\r\n\r\n", 4, &used), WF_OK);
        double cost = (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / (double)head_bytes;
        best = cost < best ? cost : best;
        wf_http_reader_free(reader);
    }
    return best;
}

TEST(request_cost_is_linear_byte_by_byte) {
    double of_8k = cost_per_byte(8 << 10), of_256k = cost_per_byte(256 << 10);
    test_context("%.1f ns per byte of 8 KiB, %.1f of 256 KiB", of_8k, of_256k);
    CHECK(of_256k < 4 * of_8k + 10); /* 32 times as long: quadratic would be 32 times dearer */
}
