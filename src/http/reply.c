/*
 * A head is gathered under the line guard until its empty line, then cut and judged as a whole. A 101 ends there. For
 * the body of anything else the head is shown to llhttp, which knows where bodies end.
 *
 *     bytes.data                          body_at          len
 *        |HTTP/1.1 403 Forbidden CRLF CRLF|body, de-chunked..|
 */
#include "http/reply.h"

#include "base/assert.h"
#include "base/mem.h"
#include "http/guard.h"
#include "http/head.h"

#include <errno.h>
#include <llhttp.h>

typedef enum phase { PHASE_HEAD, PHASE_BODY, PHASE_DONE } phase;

struct wf_http_reply_reader {
    wf_http_limits limits;
    wf_fault fault;
    phase phase;
    bool of_connect;
    wf_http_guard guard;
    size_t head_bytes; /* of all heads so far */
    wf_buf bytes;
    size_t body_at;
    llhttp_t parser;
    wf_http_reply reply;
};

static int refuse(wf_http_reply_reader *reader, const char *rule) {
    return wf_fault_set(&reader->fault, WF_ERROR, 0, rule);
}

static int out_of_memory(wf_http_reply_reader *reader) {
    return wf_fault_set(&reader->fault, WF_ENOMEM, 0, "out of memory");
}

/* RFC 9112 4: HTTP-version SP 3DIGIT [SP reason]. Some leave out the last space with the reason. */
static bool cut_status_line(wf_str line, wf_http_reply *reply) {
    if (line.len < 12 || memcmp(line.data, "HTTP/1.", 7) != 0 || line.data[8] != ' ')
        return false;
    if ((line.data[7] != '0' && line.data[7] != '1') || (line.len > 12 && line.data[12] != ' '))
        return false;
    reply->version_minor = line.data[7] - '0';
    reply->status = 0;
    for (int i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return false;
        reply->status = reply->status * 10 + (line.data[i] - '0');
    }
    return reply->status >= 100;
}

/* Into views; again when the body has moved the bytes. */
static bool cut_head(wf_http_reply_reader *reader) {
    wf_str rest = {(const char *)reader->bytes.data, reader->body_at}, line;
    bool good = wf_http_head_line(&rest, &line) && cut_status_line(line, &reader->reply);
    wf_http_head_fields(&rest, reader->reply.headers, reader->reply.header_count);
    return good;
}

static void finish(wf_http_reply_reader *reader) {
    cut_head(reader);
    reader->reply.body =
        (wf_str) {(const char *)reader->bytes.data + reader->body_at, reader->bytes.len - reader->body_at};
    reader->phase = PHASE_DONE;
}

static const char no_status_line[] = "RFC9112/4: the answer does not begin with an HTTP/1.x status line";

static int judge_head(wf_http_reply_reader *reader) {
    reader->body_at = reader->bytes.len;
    size_t count = reader->guard.lines - 1;
    if (count > reader->reply.header_count) {
        wf_http_header *headers = wf_mem_resize(reader->reply.headers, count * sizeof *headers);
        if (!headers)
            return out_of_memory(reader);
        reader->reply.headers = headers;
    }
    reader->reply.header_count = count;
    if (!cut_head(reader))
        return refuse(reader, no_status_line);
    for (size_t i = 0; i < count; i++) {
        wf_str name = reader->reply.headers[i].name;
        if (!wf_http_is_token(name) || name.data[name.len] != ':') /* without one CR stands there */
            return refuse(reader, "RFC9112/5: a header line is not name:value");
    }
    return WF_OK;
}

static int on_body(llhttp_t *parser, const char *at, size_t len) {
    wf_http_reply_reader *reader = parser->data;
    size_t room = reader->limits.body_bytes_max - (reader->bytes.len - reader->body_at);
    if (wf_buf_append(&reader->bytes, at, len < room ? len : room) < 0)
        return out_of_memory(reader);
    return len < room ? 0 : HPE_PAUSED; /* enough was read */
}

static int on_message_complete(llhttp_t *parser) {
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_body = on_body, .on_message_complete = on_message_complete};

/* Shows bytes to llhttp. Whatever it stops for, the answer is read as far as it can be. */
static void show(wf_http_reply_reader *reader, const uint8_t *data, size_t len) {
    if (llhttp_execute(&reader->parser, (const char *)data, len) != HPE_OK && reader->fault.status == 0)
        finish(reader);
}

static int end_of_head(wf_http_reply_reader *reader) {
    if (judge_head(reader) < 0)
        return reader->fault.status;
    if (reader->reply.status == 101 || (reader->of_connect && reader->reply.status / 100 == 2)) {
        finish(reader);
    } else if (reader->reply.status < 200) { /* RFC 9110 15.2: any number of interim answers */
        reader->bytes.len = 0;
        reader->guard = (wf_http_guard) {0};
    } else {
        llhttp_init(&reader->parser, HTTP_RESPONSE, &settings);
        reader->parser.data = reader;
        reader->phase = PHASE_BODY;
        show(reader, reader->bytes.data, reader->body_at);
    }
    return reader->fault.status;
}

static const char *vet_head_byte(wf_http_reply_reader *reader, uint8_t byte) {
    wf_http_guard *guard = &reader->guard;
    if (++reader->head_bytes > reader->limits.head_bytes_max)
        return "head_bytes_max: the head of the answer is over the limit";
    if (guard->len == 0 && byte != '\r' && !guard->cr && guard->lines > reader->limits.headers_max)
        return "headers_max: the answer has too many headers";
    return wf_http_guard_byte(guard, byte);
}

/* What is no HTTP shows at once: its head may never end. */
static bool begins_well(const wf_http_reply_reader *reader, const uint8_t *data, size_t len) {
    static const char beginning[] = "HTTP/1.";
    size_t at = reader->bytes.len, end = at + len;
    if (end > sizeof beginning - 1)
        end = sizeof beginning - 1;
    return at >= end || memcmp(data, beginning + at, end - at) == 0;
}

static int feed_head(wf_http_reply_reader *reader, const uint8_t *data, size_t len, size_t *out_used) {
    const char *rule = begins_well(reader, data, len) ? NULL : no_status_line;
    size_t run = 0;
    while (run < len && !reader->guard.ended && !rule) {
        size_t room = reader->limits.head_bytes_max - reader->head_bytes, left = len - run;
        size_t plain =
            wf_http_guard_run(&reader->guard, data + run, left < room ? left : room, reader->limits.headers_max);
        reader->head_bytes += plain;
        run += plain;
        if (run < len && !(rule = vet_head_byte(reader, data[run])))
            run++;
    }
    *out_used = run;
    if (wf_buf_append(&reader->bytes, data, run) < 0)
        return out_of_memory(reader);
    if (rule)
        return refuse(reader, rule);
    return reader->guard.ended ? end_of_head(reader) : WF_OK;
}

int wf_http_reply_feed(wf_http_reply_reader *reader, const uint8_t *data, size_t len, size_t *out_used) {
    wf_assert(reader->phase != PHASE_DONE || reader->fault.status != 0);
    size_t used = 0;
    int status = reader->fault.status;
    while (status == WF_OK && used < len && reader->phase != PHASE_DONE) {
        size_t step = len - used;
        if (reader->phase == PHASE_HEAD)
            feed_head(reader, data + used, len - used, &step);
        else
            show(reader, data + used, step);
        used += step;
        status = reader->fault.status;
    }
    *out_used = used;
    return status == WF_OK && reader->phase != PHASE_DONE ? WF_WANT_INPUT : status;
}

bool wf_http_reply_has_head(const wf_http_reply_reader *reader) {
    return reader->phase == PHASE_BODY;
}

int wf_http_reply_end(wf_http_reply_reader *reader) {
    if (reader->fault.status == 0 && reader->phase == PHASE_HEAD) {
        reader->fault.sys_errno = ECONNRESET; /* no rule of HTTP is broken: it may be there again soon */
        return refuse(reader, reader->head_bytes == 0 ? "RFC6455/4.1: the connection ended without an answer"
                                                      : "RFC6455/4.1: the connection ended within the answer's head");
    }
    if (reader->phase == PHASE_BODY && reader->fault.status == 0)
        finish(reader);
    return reader->fault.status;
}

wf_http_reply_reader *wf_http_reply_reader_new(const wf_http_limits *limits) {
    wf_http_reply_reader *reader = wf_mem_zalloc(sizeof *reader);
    if (reader)
        reader->limits = *limits;
    return reader;
}

void wf_http_reply_reader_free(wf_http_reply_reader *reader) {
    if (!reader)
        return;
    wf_buf_deinit(&reader->bytes);
    wf_mem_free(reader->reply.headers);
    wf_mem_free(reader);
}

void wf_http_reply_of_connect(wf_http_reply_reader *reader) {
    reader->of_connect = true;
}

bool wf_http_reply_is_whole(const wf_http_reply_reader *reader) {
    return reader->phase == PHASE_DONE;
}

const wf_http_reply *wf_http_reply_of(const wf_http_reply_reader *reader) {
    wf_assert(reader->phase == PHASE_DONE);
    return &reader->reply;
}

const wf_fault *wf_http_reply_fault(const wf_http_reply_reader *reader) {
    return &reader->fault;
}
