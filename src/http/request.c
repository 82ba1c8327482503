/*
 * The reader joins two parsers over the same bytes. llhttp knows the grammar of HTTP and the framing of
 * bodies. Before it stands a line guard, a few lines of code that know one thing: the head is lines of
 * printable bytes, each ended by CRLF. The guard closes what llhttp leaves open (folded lines, control bytes)
 * and finds the empty line that ends the head, so that llhttp is never shown a byte of what comes behind.
 *
 *     bytes.data                        body_at            len
 *        |POST /api HTTP/1.1 .. CRLF CRLF|body, de-chunked..|
 *          appended as it comes, cut      appended by
 *          into views at its end          llhttp's callback
 *
 * In the head each run of bytes is vetted by the guard, appended, and shown to llhttp where it lies. In a
 * body, data is shown in runs as long as the length allows, and the framing of chunks byte by byte, under the
 * guard again. So the place where every rule is broken is known to the byte, and the outcome cannot depend on
 * how the bytes were cut into reads. Each byte is looked at once by guard and llhttp, once or twice more when
 * the head is cut: linear.
 */
#include "http/request.h"

#include "base/assert.h"
#include "base/mem.h"
#include "http/guard.h"
#include "http/head.h"

#include <llhttp.h>

enum {
    CHUNK_LINE_BYTES = 24, /* framing a chunk may cost without being charged to the head */
    LAST_CHUNK_BYTES = 2,  /* the same, behind the last chunk: the closing CRLF */
    ENOMEM_HTTP_STATUS = 503
};

typedef enum phase { PHASE_HEAD, PHASE_BODY, PHASE_DONE } phase;

struct wf_http_reader {
    wf_http_limits limits;
    wf_fault fault;
    phase phase;
    wf_http_guard guard;
    llhttp_t parser;

    wf_buf bytes;
    size_t body_at;
    size_t header_cap; /* slots of request.headers */
    wf_http_request request;

    uint64_t body_left;   /* bytes of the body, or of this chunk, still to come */
    size_t framing_free;  /* bytes of chunk framing not charged yet */
    size_t framing_bytes; /* those that were: they count as head */
    bool body_begun;
    bool continue_taken;
};

static int refuse(wf_http_reader *reader, int http_status, const char *rule) {
    return wf_fault_set(&reader->fault, WF_ERROR, http_status, rule);
}

static int out_of_memory(wf_http_reader *reader) {
    return wf_fault_set(&reader->fault, WF_ENOMEM, ENOMEM_HTTP_STATUS, "out of memory");
}

/* --- llhttp's side --- */

static wf_str head_bytes(const wf_http_reader *reader) {
    return (wf_str) {(const char *)reader->bytes.data, reader->body_at};
}

static int make_header_slots(wf_http_reader *reader, size_t count) {
    if (count <= reader->header_cap)
        return WF_OK;
    wf_http_header *headers = wf_mem_resize(reader->request.headers, count * sizeof *headers);
    if (!headers)
        return out_of_memory(reader);
    reader->request.headers = headers;
    reader->header_cap = count;
    return WF_OK;
}

static int judge_head(wf_http_reader *reader) {
    wf_http_head head;
    size_t count = reader->guard.lines - 1;
    if (make_header_slots(reader, count) < 0)
        return WF_ENOMEM;
    reader->body_at = reader->bytes.len;
    reader->request.header_count = count;
    wf_http_head_cut(head_bytes(reader), &reader->request, &head);
    if (wf_http_head_check(&reader->request, &head, &reader->fault) < 0)
        return WF_ERROR;
    bool chunked = reader->parser.flags & F_CHUNKED;
    if (!chunked && reader->parser.content_length > reader->limits.body_bytes_max)
        return refuse(reader, 413, "RFC9110/15.5.14: Content-Length is over the limit for bodies");
    reader->body_left = chunked ? 0 : reader->parser.content_length;
    reader->framing_free = CHUNK_LINE_BYTES;
    reader->phase = PHASE_BODY;
    return WF_OK;
}

static int on_headers_complete(llhttp_t *parser) {
    return judge_head(parser->data) < 0 ? -1 : 0;
}

static int on_chunk_header(llhttp_t *parser) {
    wf_http_reader *reader = parser->data;
    size_t room = reader->limits.body_bytes_max - (reader->bytes.len - reader->body_at);
    if (parser->content_length > room) {
        refuse(reader, 413, "RFC9110/15.5.14: the chunks are over the limit for bodies");
        return -1;
    }
    reader->body_left = parser->content_length;
    reader->framing_free = parser->content_length > 0 ? CHUNK_LINE_BYTES : LAST_CHUNK_BYTES;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len) {
    wf_http_reader *reader = parser->data;
    if (wf_buf_append(&reader->bytes, at, len) < 0) {
        out_of_memory(reader);
        return -1;
    }
    return 0;
}

static int on_message_complete(llhttp_t *parser) {
    wf_http_reader *reader = parser->data;
    wf_http_head head;
    if (reader->bytes.len > reader->body_at) /* again: the body may have moved the bytes */
        wf_http_head_cut(head_bytes(reader), &reader->request, &head);
    reader->request.body =
        (wf_str) {(const char *)reader->bytes.data + reader->body_at, reader->bytes.len - reader->body_at};
    reader->phase = PHASE_DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* What llhttp refused at `at`, in our words. */
static int refused_by_llhttp(wf_http_reader *reader, llhttp_errno_t error, const char *at) {
    const llhttp_t *parser = &reader->parser;
    switch (error) {
    case HPE_INVALID_METHOD:
        if (*at >= 'A' && *at <= 'Z')
            return refuse(reader, 501, "RFC9110/9.1: this method is not known here");
        return refuse(reader, 400, "RFC9112/3: this is no HTTP request");
    case HPE_INVALID_URL:
        return refuse(reader, 400, "RFC9112/3.2: a byte in the target that may not stand there");
    case HPE_INVALID_VERSION:
        if (parser->http_major == 1 && parser->http_minor <= 1)
            return refuse(reader, 400, "RFC9112/3: bytes behind the HTTP version");
        return refuse(reader, 505, "RFC9110/15.6.6: only HTTP/1.0 and HTTP/1.1 are spoken here");
    case HPE_INVALID_CONSTANT:
        return refuse(reader, 400, "RFC9112/3: the request line does not end in an HTTP version");
    case HPE_INVALID_HEADER_TOKEN:
        return refuse(reader, 400, "RFC9112/5: a header line is not name:value");
    case HPE_INVALID_CONTENT_LENGTH:
        return refuse(reader, 400, "RFC9110/8.6: Content-Length is not a number below 2^64");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse(reader, 400, "RFC9112/6.3: Content-Length twice, or beside Transfer-Encoding");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(reader, 501, "RFC9112/6.1: a Transfer-Encoding other than one single chunked");
    default:
        if (reader->phase == PHASE_BODY)
            return refuse(reader, 400, "RFC9112/7.1: a chunk that is not size, CRLF, data, CRLF");
        return refuse(reader, 400, "RFC9112: this is no HTTP request");
    }
}

/* Shows bytes to llhttp. It takes all of them, or there is a fault. */
static int parse(wf_http_reader *reader, const char *data, size_t len) {
    llhttp_errno_t error = llhttp_execute(&reader->parser, data, len);
    if (reader->fault.status != 0)
        return reader->fault.status;
    if (error == HPE_OK)
        return WF_OK;
    const char *at = llhttp_get_error_pos(&reader->parser);
    if (error == HPE_PAUSED && at == data + len)
        return WF_OK;
    return refused_by_llhttp(reader, error, at);
}

/* --- our side --- */

/* One byte of the head against the limits and the guard. 0, or the HTTP status with *out_rule. */
static int vet_head_byte(wf_http_reader *reader, uint8_t byte, size_t head_len, const char **out_rule) {
    wf_http_guard *guard = &reader->guard;
    if (head_len >= reader->limits.head_bytes_max) {
        *out_rule = guard->lines == 0 ? "RFC9110/15.5.15: the request line is over the limit"
                                      : "RFC6585/5: the headers are over the limit";
        return guard->lines == 0 ? 414 : 431;
    }
    if (guard->len == 0 && byte != '\r' && !guard->cr && guard->lines > reader->limits.headers_max) {
        *out_rule = "RFC6585/5: too many headers";
        return 431;
    }
    *out_rule = wf_http_guard_byte(guard, byte);
    return *out_rule ? 400 : 0;
}

static int feed_head(wf_http_reader *reader, const uint8_t *data, size_t len, size_t *out_used) {
    const char *rule = NULL;
    int http_status = 0;
    size_t before = reader->bytes.len, room = reader->limits.head_bytes_max - before, run = 0;
    while (run < len && !reader->guard.ended) {
        size_t left = (len < room ? len : room) - run;
        run += wf_http_guard_run(&reader->guard, data + run, left, reader->limits.headers_max);
        if (run == len)
            break;
        http_status = vet_head_byte(reader, data[run], before + run, &rule);
        if (http_status != 0)
            break;
        run++;
    }
    *out_used = run;
    if (wf_buf_append(&reader->bytes, data, run) < 0)
        return out_of_memory(reader);
    if (run > 0 && parse(reader, (const char *)reader->bytes.data + before, run) < 0)
        return reader->fault.status;
    if (http_status != 0)
        return refuse(reader, http_status, rule);
    /* The two agree where a head ends, but for one: llhttp wants the HTTP/2 preface to go on behind its empty
     * line. */
    if (reader->guard.ended && reader->phase == PHASE_HEAD)
        return refuse(reader, 505, "RFC9113/3.4: the HTTP/2 preface, where only HTTP/1.1 is spoken");
    return WF_OK;
}

/* One byte of chunk size, chunk extension, trailer, or of the CRLF around them. */
static int feed_framing(wf_http_reader *reader, uint8_t byte) {
    const char *rule = wf_http_guard_byte(&reader->guard, byte);
    if (rule)
        return refuse(reader, 400, rule);
    if (reader->framing_free > 0)
        reader->framing_free--;
    else if (++reader->framing_bytes > reader->limits.head_bytes_max - reader->body_at)
        return refuse(reader, 431, "RFC6585/5: chunk extensions or trailers are over the limit");
    char shown = (char)byte;
    return parse(reader, &shown, 1);
}

static int feed_body(wf_http_reader *reader, const uint8_t *data, size_t len, size_t *out_used) {
    reader->body_begun = true;
    if (reader->body_left == 0) {
        *out_used = 1;
        return feed_framing(reader, data[0]);
    }
    size_t run = len < reader->body_left ? len : (size_t)reader->body_left;
    *out_used = run;
    reader->body_left -= run;
    return parse(reader, (const char *)data, run);
}

int wf_http_reader_feed(wf_http_reader *reader, const uint8_t *data, size_t len, size_t *out_used) {
    wf_assert(reader->phase != PHASE_DONE || reader->fault.status != 0);
    size_t used = 0;
    int status = reader->fault.status;
    while (status == WF_OK && used < len && reader->phase != PHASE_DONE) {
        size_t step = 0;
        status = reader->phase == PHASE_HEAD ? feed_head(reader, data + used, len - used, &step)
                                             : feed_body(reader, data + used, len - used, &step);
        used += step;
    }
    *out_used = used;
    if (status == WF_OK && reader->phase != PHASE_DONE)
        return WF_WANT_INPUT;
    return status;
}

/* --- lifetime --- */

static void begin(wf_http_reader *reader) {
    llhttp_init(&reader->parser, HTTP_REQUEST, &settings);
    reader->parser.data = reader;
    reader->phase = PHASE_HEAD;
}

wf_http_reader *wf_http_reader_new(const wf_http_limits *limits) {
    wf_http_reader *reader = wf_mem_zalloc(sizeof *reader);
    if (!reader)
        return NULL;
    reader->limits = *limits;
    begin(reader);
    return reader;
}

static void release(wf_http_reader *reader) {
    wf_buf_deinit(&reader->bytes);
    wf_mem_free(reader->request.headers);
}

void wf_http_reader_free(wf_http_reader *reader) {
    if (!reader)
        return;
    release(reader);
    wf_mem_free(reader);
}

const wf_http_request *wf_http_reader_request(const wf_http_reader *reader) {
    wf_assert(reader->phase == PHASE_DONE);
    return &reader->request;
}

const wf_fault *wf_http_reader_fault(const wf_http_reader *reader) {
    return &reader->fault;
}

bool wf_http_reader_wants_continue(wf_http_reader *reader) {
    bool wants = reader->phase == PHASE_BODY && reader->request.expects_continue && !reader->body_begun &&
                 !reader->continue_taken && reader->fault.status == 0;
    reader->continue_taken |= wants;
    return wants;
}

wf_str wf_http_reader_head(const wf_http_reader *reader) {
    return (wf_str) {(const char *)reader->bytes.data, reader->bytes.len};
}

bool wf_http_reader_idle(const wf_http_reader *reader) {
    return reader->phase == PHASE_HEAD && reader->fault.status == 0 && reader->guard.lines == 0 &&
           reader->guard.len == 0;
}
