/*
 * A peer that sends and does not read for a while: echoes and pongs pile up at the endpoint, and the socket takes no
 * more. When it is read from again everything must be there, and the answer to the close frame at the end: control
 * frames need room of their own, and an endpoint may stop reading but may not forget (RFC 6455 5.5).
 */
#include "case.h"

#include <stdlib.h>
#include <string.h>

enum { LATE_MS = 400 };

static void echoes(suite *s) {
    static const struct {
        size_t len;
        int count;
    } rows[] = {{100, 5000}, {4000, 1000}, {60000, 100}};
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++)
        for (int pings = 0; pings < 3; pings++) {
            static const char *const with[] = {"", ", a ping at the end", ", a ping after each hundred"};
            conf_case *c = case_begin(s, "slow reader", "RFC6455/5.5", LEVEL_MUST, "%d echoes of %zu bytes unread%s",
                                      rows[n].count, rows[n].len, with[pings]);
            c->needs_http = true;
            c->reads_late_ms = LATE_MS;
            c->pongs_may_be_left_out = true;
            char *payload = malloc(rows[n].len);
            if (!payload)
                abort();
            memset(payload, 's', rows[n].len);
            int sent = 0;
            for (int i = 0; i < rows[n].count; i++) {
                memcpy(payload, &(uint32_t) {0x20202020u + (uint32_t)(i % 64)}, 4);
                case_frame(c, FIN | TEXT, payload, rows[n].len);
                if (pings == 2 ? i % 100 == 99 : pings == 1 && i == rows[n].count - 1) {
                    case_frame(c, FIN | PING, &sent, sizeof sent);
                    sent++;
                }
            }
            case_close(c, 1000, "", 0);
            for (int i = 0; i < sent; i++)
                case_expect_pong(c, &i, sizeof i);
            for (int i = 0; i < rows[n].count; i++) {
                memcpy(payload, &(uint32_t) {0x20202020u + (uint32_t)(i % 64)}, 4);
                case_expect_message(c, TEXT, payload, rows[n].len);
            }
            free(payload);
            case_expect_close(c, 1000);
            case_end(s, c);
        }
}

/* Pings without end, none of the answers read: the last is answered, and then the close frame. */
static void pings(suite *s) {
    static const int counts[] = {100, 3000, 30000};
    for (size_t n = 0; n < 3; n++) {
        conf_case *c =
            case_begin(s, "slow reader", "RFC6455/5.5.3", LEVEL_STRICT, "%d pings, and no answer read", counts[n]);
        uint8_t payload[125] = {0};
        c->needs_http = true;
        c->reads_late_ms = LATE_MS;
        c->pongs_may_be_left_out = true;
        for (int i = 0; i < counts[n]; i++) {
            memcpy(payload, &i, sizeof i);
            case_frame(c, FIN | PING, payload, sizeof payload);
        }
        case_close(c, 3456, "enough", 6);
        for (int i = 0; i < counts[n]; i++) {
            memcpy(payload, &i, sizeof i);
            case_expect_pong(c, payload, sizeof payload);
        }
        case_expect_close(c, 3456);
        case_end(s, c);
    }
}

/* The violation is there while the answers are not yet read: its close code must come for all that. */
static void violations(suite *s) {
    static const struct {
        const char *name, *payload;
        unsigned first;
        int code;
    } rows[] = {
        {"a reserved bit", "x", 0xa1, 1002}, {"bad UTF-8", "\xff", 0x81, 1007}, {"an unknown opcode", "x", 0x83, 1002}};
    for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
        conf_case *c =
            case_begin(s, "slow reader", "RFC6455/7.1.7", LEVEL_SHOULD, "%s behind 3 MB unread", rows[n].name);
        c->needs_http = true;
        c->reads_late_ms = LATE_MS;
        c->answers_may_be_lost = true;
        char payload[10000];
        memset(payload, 'v', sizeof payload);
        for (int i = 0; i < 300; i++)
            case_frame(c, FIN | BINARY, payload, sizeof payload);
        case_frame(c, rows[n].first, rows[n].payload, 1);
        for (int i = 0; i < 300; i++)
            case_expect_message(c, BINARY, payload, sizeof payload);
        case_expect_close(c, rows[n].code);
        case_end(s, c);
    }
}

void cases_slow(suite *s) {
    echoes(s);
    pings(s);
    violations(s);
}
