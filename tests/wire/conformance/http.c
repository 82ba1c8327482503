/*
 * Responses are searched as text: a head is short, and a judge that shares no parser with the judged sees more.
 */
#include "http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void http_request(bytes *out, const suite *s, const char *lines) {
    bytes_print(out,
                "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Key: " HTTP_KEY "\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                s->path, s->host, lines);
}

void http_offer(bytes *out, const pmd_offer *offer) {
    bytes_print(out, "Sec-WebSocket-Extensions: permessage-deflate");
    if (offer->server_no_takeover)
        bytes_print(out, "; server_no_context_takeover");
    if (offer->client_no_takeover)
        bytes_print(out, "; client_no_context_takeover");
    if (offer->server_bits)
        bytes_print(out, "; server_max_window_bits=%d", offer->server_bits);
    if (offer->client_bits)
        bytes_print(out, "; client_max_window_bits");
    if (offer->client_bits > 0)
        bytes_print(out, "=%d", offer->client_bits);
    bytes_print(out, "\r\n");
}

int http_header(const http_response *response, const char *name, const char **out_value, size_t *out_len) {
    const char *at = memchr(response->head, '\n', response->head_len), *end = response->head + response->head_len;
    size_t name_len = strlen(name);
    int count = 0;
    while (at && end - ++at > 2) {
        const char *line_end = memchr(at, '\r', (size_t)(end - at));
        if ((size_t)(line_end - at) > name_len && at[name_len] == ':' && strncasecmp(at, name, name_len) == 0) {
            const char *value = at + name_len + 1;
            while (*value == ' ' || *value == '\t')
                value++;
            *out_value = value;
            *out_len = (size_t)(line_end - value);
            count++;
        }
        at = memchr(line_end, '\n', (size_t)(end - line_end));
    }
    return count;
}

int http_take(const bytes *in, size_t *at, bool has_body, http_response *out_response) {
    const char *head = (const char *)in->data + *at, *value;
    size_t have = in->len - *at, len;
    if (have > 0 && memcmp(head, "HTTP/1.1 ", have < 9 ? have : 9) != 0)
        return -1;
    const char *end = have > 0 ? memmem(head, have, "\r\n\r\n", 4) : NULL;
    if (!end)
        return 0;
    *out_response = (http_response) {atoi(head + 9), head, (size_t)(end - head) + 4};
    size_t body = has_body && http_header(out_response, "Content-Length", &value, &len) == 1 ? (size_t)atoi(value) : 0;
    if (have - out_response->head_len < body)
        return 0;
    *at += out_response->head_len + body;
    return 1;
}

static bool contains_nocase(const char *text, size_t len, const char *part, size_t part_len) {
    for (size_t i = 0; i + part_len <= len; i++)
        if (strncasecmp(text + i, part, part_len) == 0)
            return true;
    return false;
}

static bool is_one_of(const char *text, size_t len, const char *list) {
    for (; *list; list += strcspn(list, "|"), list += *list == '|')
        if (strcspn(list, "|") == len && memcmp(text, list, len) == 0)
            return true;
    return false;
}

const char *http_judge_lines(const http_response *response, const char *lines) {
    static char why[240];
    char name[80], part[120];
    for (const char *at = lines; *at; at += strcspn(at, "\n"), at += *at == '\n') {
        int width = (int)strcspn(at, "\n");
        const char *value = "";
        size_t len = 0;
        char kind = *at == '!' || *at == '?' ? *at : ' ';
        part[0] = '\0';
        sscanf(at + (kind != ' '), "%79[^:\n]: %119[^\n]", name, part);
        int count = http_header(response, name, &value, &len);
        bool good = kind == '!'   ? count == 0
                    : kind == '?' ? count == 0 || (count == 1 && is_one_of(value, len, part))
                                  : count == 1 && contains_nocase(value, len, part, strlen(part));
        if (good)
            continue;
        snprintf(why, sizeof why, "the answer does not meet \"%.*s\": %d there, \"%.*s\"", width, at, count, (int)len,
                 value);
        return why;
    }
    return NULL;
}

/* ---- permessage-deflate ---- */

/* One parameter of the answer, in the only forms RFC 7692 7.1 gives it. */
static bool read_param(const char *text, size_t len, pmd_offer *out) {
    static const char server_bits[] = "server_max_window_bits=", client_bits[] = "client_max_window_bits=";
    char param[64];
    snprintf(param, sizeof param, "%.*s", (int)len, text);
    if (strcmp(param, "server_no_context_takeover") == 0 && !out->server_no_takeover)
        return out->server_no_takeover = true;
    if (strcmp(param, "client_no_context_takeover") == 0 && !out->client_no_takeover)
        return out->client_no_takeover = true;
    int *bits = strncmp(param, server_bits, sizeof server_bits - 1) == 0   ? &out->server_bits
                : strncmp(param, client_bits, sizeof client_bits - 1) == 0 ? &out->client_bits
                                                                           : NULL;
    if (!bits || *bits)
        return false;
    *bits = atoi(param + sizeof server_bits - 1);
    char again[64];
    snprintf(again, sizeof again, "%.*s%d", (int)sizeof server_bits - 1, param, *bits);
    return strcmp(param, again) == 0 && *bits >= 8 && *bits <= 15;
}

static bool read_answer(const char *text, size_t len, pmd_offer *out) {
    for (int n = 0;; n++) {
        const char *end = memchr(text, ';', len);
        size_t part = end ? (size_t)(end - text) : len, trimmed = part;
        while (trimmed > 0 && text[trimmed - 1] == ' ')
            trimmed--;
        if (n == 0 ? trimmed != 18 || memcmp(text, "permessage-deflate", 18) != 0 : !read_param(text, trimmed, out))
            return false;
        if (!end)
            return true;
        text += part + 1;
        len -= part + 1;
        while (len > 0 && *text == ' ') {
            text++;
            len--;
        }
    }
}

static int or_15(int bits) {
    return bits > 0 ? bits : 15;
}

agreement http_agree(const pmd_offer *offer, const pmd_offer *answer) {
    int client_offered = or_15(offer->client_bits), client_answered = or_15(answer->client_bits);
    return (agreement) {
        .on = true,
        .sends_takeover = !offer->client_no_takeover && !answer->client_no_takeover,
        .reads_takeover = !answer->server_no_takeover,
        .sends_bits = client_offered < client_answered ? client_offered : client_answered,
        .reads_bits = or_15(answer->server_bits),
    };
}

const char *http_judge_extensions(const http_response *response, const conf_case *c, agreement *out_agreed) {
    const char *value;
    size_t len;
    int count = http_header(response, "Sec-WebSocket-Extensions", &value, &len);
    if (count == 0)
        return NULL;
    if (count > 1 || c->outcome == OFFER_NONE)
        return "an extension was chosen that was not offered";
    if (c->outcome == OFFER_MUST_BE_DECLINED)
        return "an offer was accepted that must be declined";
    pmd_offer answer = {0};
    if (!read_answer(value, len, &answer))
        return "the answer to the offer is malformed";
    if (c->offer.server_bits && (answer.server_bits == 0 || answer.server_bits > c->offer.server_bits))
        return "server_max_window_bits is not granted";
    if (c->offer.server_no_takeover && !answer.server_no_takeover)
        return "server_no_context_takeover is not granted";
    if (answer.client_bits && c->offer.client_bits == 0)
        return "client_max_window_bits is asked of a client that does not know it";
    if (c->offer.client_bits > 0 && answer.client_bits > c->offer.client_bits)
        return "client_max_window_bits is over the offer";
    *out_agreed = http_agree(&c->offer, &answer);
    return NULL;
}
