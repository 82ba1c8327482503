/*
 * The options of `weft connect`.
 */
#include "cli/commands.h"
#include "cli/shared.h"

#include "cli/connect/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(connect_options, member)

static const cli_option options[] = {
    {"binary", 'b', CLI_FLAG, AT(binary), NULL, "send binary messages; text is the default", .standard = NULL},
    {"text", 't', CLI_FLAG, AT(text), NULL, "send text messages", .rare = true},
    {"execute", 'x', CLI_LIST, AT(texts), "TEXT", "send it first, repeatable", .standard = NULL},
    {"header", 'H', CLI_LIST, AT(headers), "LINE", "'Name: value' in the handshake, repeatable", .standard = NULL},
    {"subprotocol", 's', CLI_LIST, AT(subprotocols), "NAME", "ask for it, repeatable", .standard = NULL},
    {"origin", 0, CLI_TEXT, AT(origin), "ORIGIN", "the Origin header", .standard = NULL},
    {"auth", 0, CLI_TEXT, AT(auth), "USER:PASSWORD", "who we are (basic authentication)", .rare = true},
    {"location", 'L', CLI_FLAG, AT(follow), NULL, "go where the server sends us, up to 10 times", .rare = true},
    {"one", '1', CLI_FLAG, AT(one), NULL, "leave after one message", .standard = NULL},
    {"send-only", 'u', CLI_FLAG, AT(only_send), NULL, "only send: print nothing", .standard = NULL},
    {"receive-only", 'U', CLI_FLAG, AT(only_receive), NULL, "only receive: read no input", .standard = NULL},
    {"exit-on-eof", 'E', CLI_FLAG, AT(exit_on_eof), NULL, "leave when the input ends, not waiting for answers",
     .standard = NULL},
    {"wait", 'w', CLI_DURATION, AT(wait_ms), "TIME", "from the end of the input, or \"never\" [until answers cease]",
     .never = true},
    {"no-close", 0, CLI_FLAG, AT(no_close), NULL, "the end of the input closes nothing: the peer does",
     .standard = NULL},
    {"expect", 0, CLI_TEXT, AT(expect_text), "N", "exit 1 unless N messages came", .standard = NULL},
    {"separator", 0, CLI_TEXT, AT(separator), "TEXT", "parts the messages, in and out [a newline]", .rare = true},
    {"null", '0', CLI_FLAG, AT(nul), NULL, "a NUL byte parts the messages", .standard = NULL},
    {"close-code", 0, CLI_NUMBER, AT(close_code), "CODE", "to close with", .standard = "1000", .min = 1000, .max = 4999,
     .rare = true},
    {"close-reason", 0, CLI_TEXT, AT(close_reason), "TEXT", "to close with", .rare = true},
    {"reconnect", 0, CLI_TEXT, AT(reconnect), "[=MAX]",
     "connect again when it breaks, MAX times in a row; -x is sent again", .bare = "4294967294"},
    {"ping-interval", 0, CLI_DURATION, AT(ping_interval_ms), "TIME", "silence after which to ping, or \"never\"",
     .standard = "never", .min = 10, .never = true},
    {"ping-timeout", 0, CLI_DURATION, AT(ping_timeout_ms), "TIME", "for the pong", .standard = "8s", .min = 10,
     .rare = true},
    {"show-ping-pong", 'P', CLI_FLAG, AT(show_pongs), NULL, "tell of each ping and pong, and of round trips",
     .standard = NULL},
    {"no-compress", 0, CLI_FLAG, AT(no_compress), NULL, "do not offer permessage-deflate", .rare = true},
    {"message-max", 0, CLI_SIZE, AT(message_max), "SIZE", "longest message, in and out", .standard = "64M", .min = 1,
     .max = 1 << 30, .rare = true},
    {"connect-timeout", 0, CLI_DURATION, AT(connect_timeout_ms), "TIME", "to connect, and again for the handshake",
     .standard = "10s", .min = 1, .rare = true},
    {"proxy", 0, CLI_TEXT, AT(proxy), "URL", "go through http://, socks5h:// or socks5://[user:password@]host[:port]",
     .rare = true},
    {"http2", 0, CLI_FLAG, AT(http2), NULL, "HTTP/2, where TLS agrees on it; of ws:// the server must speak it",
     .rare = true},
    CLI_TLS_OPTIONS(AT(tls)),
    {"json", 0, CLI_FLAG, AT(json), NULL, "print each event as a line of JSON", .standard = NULL},
    {"raw", 0, CLI_FLAG, AT(raw), NULL, "the peer's bytes as they are, on a terminal too", .rare = true},
    CLI_COLOR_OPTION(AT(color)),
    {"verbose", 'v', CLI_COUNT, AT(verbose), NULL, "tell how it opens and closes", .standard = NULL},
    {"quiet", 'q', CLI_FLAG, AT(quiet), NULL, "no words on stderr: the exit code tells", .standard = NULL},
};

const cli_command cli_connect = {
    .name = "connect",
    .summary = "talk to a WebSocket server: lines to messages, messages to lines",
    .examples = "  echo hi | weft connect ws://127.0.0.1:9001/echo     prints the answer\n"
                "  weft connect ws://127.0.0.1:9001/rooms/a            by hand; Ctrl-D ends\n"
                "  weft connect wss://example.com/feed -U > feed.log   only receive\n"
                "  weft connect URL -x '{\"op\":\"ping\"}' -1 < /dev/null  ask once\n"
                "  weft connect URL --expect 3 < lines                 in CI\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operand = "URL",
    .operands = AT(urls),
    .notes =
        "The end of the input: what comes is printed until the peer closes or --wait is over. Without --wait that\n"
        "  is half a second after the last answer, or three seconds when none comes (ten with --expect).\n"
        "On a terminal: /ping [TEXT], /close [CODE [REASON]], /frame (one frame by hand) and /help are commands;\n"
        "  // sends a line that begins with a slash.\n"
        "  What the peer sends is escaped there, and binary is a hexdump; --raw gives it as it is.\n"
        "Without --proxy: https_proxy, http_proxy and all_proxy in the environment say which, and no_proxy to whom "
        "not;\n"
        "  --proxy none asks nobody.\n"
        "Ctrl-C: the first closes and waits one second, the second leaves.\n",
    .leaves_as_client = true,
};

static const char *check(const connect_options *o) {
    bool sent = o->close_code <= 1003 || (o->close_code >= 1007 && o->close_code <= 1014) || o->close_code >= 3000;
    if (o->urls.count != 1)
        return o->urls.count == 0 ? "connect needs the URL of a server" : "connect takes one URL";
    if (o->text && o->binary)
        return "--text and --binary are one too many";
    if (o->only_send && o->only_receive)
        return "--send-only and --receive-only leave nothing to do";
    if (o->only_send && (o->one || o->expects))
        return "--send-only hears no message to count";
    if (o->separator && o->nul)
        return "--separator and --null are one too many";
    if (o->separator && !o->separator[0])
        return "--separator is empty";
    if (!sent)
        return "--close-code is 1000 to 1003, 1007 to 1014 or 3000 to 4999";
    if (o->close_reason &&
        (strlen(o->close_reason) > 123 || !weft_utf8_valid(o->close_reason, strlen(o->close_reason))))
        return "--close-reason is at most 123 bytes of UTF-8";
    for (size_t i = 0; i < o->texts.count && !o->binary; i++)
        if (!weft_utf8_valid(o->texts.items[i], strlen(o->texts.items[i])))
            return "--execute is not UTF-8, as text must be: send it with --binary";
    return NULL;
}

static bool read_number(const char *text, uint32_t *out) {
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value < UINT32_MAX;
}

int connect_settings_read(int argc, char **argv, connect_options *o) {
    int got = cli_parse(&cli_connect, argc, argv, o);
    if (got != 0)
        return got > 0 ? -1 : CLI_EXIT_USAGE;
    cli_tls_environment(&o->tls);
    o->expects = o->expect_text != NULL;
    if (o->reconnect && !read_number(o->reconnect, &o->reconnect_max))
        return cli_usage(&cli_connect, "--reconnect takes a number");
    if (o->expects && !read_number(o->expect_text, &o->expect))
        return cli_usage(&cli_connect, "--expect takes a number");
    const char *problem = check(o);
    return problem ? cli_usage(&cli_connect, "%s", problem) : 0;
}
