/*
 * The client's half of RFC 6455, as strict as the other half should be glad to meet.
 */
#include "client.h"
#include "sim.h"

#include <stdio.h>
#include <string.h>

static const char key[] = "dGhlIHNhbXBsZSBub25jZQ==", answer_to_key[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

void sim_ws_ask(sim_client *c, const char *path) {
    sim_client_print(c,
                     "GET %s%cid=%d HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
                     path, strchr(path, '?') ? '&' : '?', c->id, key,
                     !c->plain && sim_below(2) ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "");
}

void sim_ws_frame(sim_client *c, bool fin, int opcode, const void *data, size_t len) {
    uint8_t head[14] = {(uint8_t)((fin ? 0x80 : 0) | opcode)}, masked[1024];
    const uint8_t *from = data;
    size_t head_len = 2;
    if (len < 126) {
        head[1] = (uint8_t)(0x80 | len);
    } else {
        size_t digits = len < 65536 ? 2 : 8;
        head[1] = digits == 2 ? 0xfe : 0xff;
        for (size_t i = 0; i < digits; i++)
            head[head_len++] = (uint8_t)((uint64_t)len >> 8 * (digits - 1 - i));
    }
    uint32_t mask = (uint32_t)sim_random();
    const uint8_t *mask_bytes = (const uint8_t *)&mask;
    memcpy(head + head_len, &mask, 4);
    sim_client_put(c, head, head_len + 4);
    for (size_t at = 0; at < len; at += sizeof masked) {
        size_t part = len - at < sizeof masked ? len - at : sizeof masked;
        for (size_t i = 0; i < part; i++)
            masked[i] = from[at + i] ^ mask_bytes[i % 4];
        sim_client_put(c, masked, part);
    }
}

void sim_ws_reason(int id, char out[16]) {
    snprintf(out, 16, "from %d", id);
    if (id % 2)
        out[0] = 0;
}

int sim_ws_prepare(sim_client *c, const uint8_t *data, size_t len) {
    bool deflate = c->zip && sim_below(4);
    if (deflate)
        c->payload_len = sim_zip_deflate(c, data, len, c->payload, sizeof c->payload);
    else
        memcpy(c->payload, data, c->payload_len = len);
    return deflate ? WS_RSV1 : 0;
}

void sim_ws_close(sim_client *c, int code) {
    char payload[2 + 16] = {(char)(code >> 8), (char)code};
    sim_ws_reason(c->id, payload + 2);
    sim_ws_frame(c, true, 8, payload, code ? 2 + strlen(payload + 2) : 0);
    c->close_sent = true;
}

void sim_ws_ping(sim_client *c) {
    c->pings++;
    sim_ws_frame(c, true, 9, &c->pings, sizeof c->pings);
}

static _Noreturn void lie(const sim_client *c, const char *what, long long value) {
    sim_fail("protocol", "client %d (%s): %s (%lld)", c->id, c->model->name, what, value);
}

static size_t read_answer(sim_client *c) {
    const uint8_t *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t len = (size_t)(end - c->in) + 4;
    if (memmem(c->in, len, "HTTP/1.1 101 ", 13) == c->in &&
        memmem(c->in, len, answer_to_key, sizeof answer_to_key - 1)) {
        c->open = true;
        if (memmem(c->in, len, "permessage-deflate", 18))
            sim_zip_begin(c);
        c->forgets = memmem(c->in, len, "client_no_context_takeover", 26) != NULL;
        c->progress_ns = sim.now_ns;
        sim_trace("is open", c->id, 0, 0);
        return len;
    }
    if (!sim_client_excused(c))
        sim_fail("handshake", "client %d (%s) was answered %.12s", c->id, c->model->name, (char *)c->in);
    sim_client_leave(c);
    return 0;
}

static void read_control(sim_client *c, int opcode, const uint8_t *data, size_t len) {
    uint32_t number;
    switch (opcode) {
    case 8:
        if (len == 1)
            lie(c, "a close frame of one byte", 0);
        c->close_code = len ? data[0] << 8 | data[1] : 1005;
        sim_trace("is told close", c->id, c->close_code, 0);
        if (!c->close_sent)
            sim_ws_close(c, len ? c->close_code : 0);
        break;
    case 9:
        if (!c->close_sent)
            sim_ws_frame(c, true, 10, data, len);
        break;
    default:
        if (len != sizeof number)
            lie(c, "a pong of another length", (long long)len);
        memcpy(&number, data, sizeof number);
        if (number != c->pongs + 1 || number > c->pings)
            lie(c, "a pong that is not the next", number);
        c->pongs = number;
        break;
    }
}

static void read_data(sim_client *c, bool fin, int opcode, const uint8_t *data, size_t len) {
    static uint8_t inflated[MESSAGE_MAX];
    if ((opcode == 0) == (c->opcode == 0))
        lie(c, "a fragment out of place", opcode);
    if (opcode)
        c->opcode = opcode;
    if (len > sizeof c->assembled - c->assembled_len)
        lie(c, "a message that is too long", (long long)len);
    memcpy(c->assembled + c->assembled_len, data, len);
    c->assembled_len += len;
    if (!fin)
        return;
    opcode = c->opcode;
    data = c->assembled;
    len = c->assembled_len;
    if (c->deflated && !sim_zip_inflate(c, c->assembled, c->assembled_len, inflated, &len))
        lie(c, "a message that cannot be decompressed", (long long)c->assembled_len);
    if (c->deflated)
        data = inflated;
    c->opcode = 0;
    c->assembled_len = 0;
    sim_trace("gets", c->id, opcode, (int64_t)len);
    c->progress_ns = sim.now_ns;
    c->model->message(c, opcode, data, len);
}

size_t sim_ws_read(sim_client *c) {
    if (!c->open)
        return read_answer(c);
    if (c->in_len < 2)
        return 0;
    bool fin = c->in[0] & 0x80;
    int opcode = c->in[0] & 0x0f;
    uint64_t len = c->in[1] & 0x7f;
    size_t head_len = 2, digits = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (c->in_len < head_len + digits)
        return 0;
    if (digits)
        len = 0;
    while (digits-- > 0)
        len = len << 8 | c->in[head_len++];
    bool deflated = c->in[0] & WS_RSV1;
    if (c->in[0] & 0x30 || c->in[1] & 0x80 || (deflated && (!c->zip || opcode == 0 || opcode >= 8)))
        lie(c, "reserved bits, or a mask", c->in[0]);
    if ((opcode > 2 && opcode < 8) || opcode > 10)
        lie(c, "a reserved opcode", opcode);
    if (opcode >= 8 && (!fin || len > 125))
        lie(c, "a control frame that is cut or too long", (long long)len);
    if (len < (head_len == 4 ? 126 : head_len == 10 ? 65536 : 0))
        lie(c, "a length that is not the shortest", (long long)len);
    if (c->close_code)
        lie(c, "a frame behind the close frame", opcode);
    if (len > MESSAGE_MAX)
        lie(c, "a frame that is too long", (long long)len);
    if (c->in_len - head_len < len)
        return 0;
    if (opcode == 1 || opcode == 2)
        c->deflated = deflated;
    if (opcode >= 8)
        read_control(c, opcode, c->in + head_len, (size_t)len);
    else
        read_data(c, fin, opcode, c->in + head_len, (size_t)len);
    return head_len + (size_t)len;
}
