/*
 * Every head of a response is written here, and judged before its first byte is written: once a name is a
 * token and a value holds no control byte, no header can end early and begin another (response splitting).
 * The framing headers are this file's alone, so a head cannot contradict itself about the length of its body.
 */
#include "http/response.h"

#include "base/assert.h"
#include "base/status.h"
#include "http/request.h"

#include <time.h>

/* Status line, Date, Connection, Content-Length and the empty line: 142 at most. */
enum { FIXED_BYTES_MAX = 142 };

static const int64_t YEAR_10000_UNIX_S = 253402300800;

const char *wf_http_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {100, "Continue"},
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "";
}

static bool has_no_body(int status) {
    return status < 200 || status == 204 || status == 304;
}

static bool is_named(const wf_http_header_out *header, const char *name) {
    return wf_str_eq_nocase(header->name, wf_str_of(name));
}

static bool is_valid(const wf_http_response *response) {
    if (response->status < 100 || response->status > 599)
        return false;
    if (has_no_body(response->status) && response->body_bytes > 0)
        return false;
    if (response->date_unix_s < 0 || response->date_unix_s >= YEAR_10000_UNIX_S)
        return false;
    for (size_t i = 0; i < response->header_count; i++) {
        const wf_http_header_out *header = &response->headers[i];
        if (!wf_http_is_token(header->name) || !wf_http_is_value(header->value) || is_named(header, "Content-Length"))
            return false;
        if (response->has_length && is_named(header, "Transfer-Encoding"))
            return false;
        if (response->date_unix_s != 0 && is_named(header, "Date"))
            return false;
    }
    return true;
}

static char *put(char *at, wf_str s) {
    if (s.len > 0)
        memcpy(at, s.data, s.len);
    return at + s.len;
}

static char *put_text(char *at, const char *text) {
    return put(at, wf_str_of(text));
}

static char *put_two_digits(char *at, int number) {
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
    return at + 2;
}

/* IMF-fixdate (RFC 9110 5.6.7). Not strftime: its names of days and months follow the locale. */
static char *put_date(char *at, int64_t unix_s) {
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    at = put(put_text(at, "Date: "), (wf_str) {days + 3 * tm.tm_wday, 3});
    at = put_text(put_two_digits(put_text(at, ", "), tm.tm_mday), " ");
    at = put_text(put(at, (wf_str) {months + 3 * tm.tm_mon, 3}), " ");
    at = put_two_digits(put_two_digits(at, (tm.tm_year + 1900) / 100), (tm.tm_year + 1900) % 100);
    at = put_two_digits(put_text(at, " "), tm.tm_hour);
    at = put_two_digits(put_text(at, ":"), tm.tm_min);
    at = put_two_digits(put_text(at, ":"), tm.tm_sec);
    return put_text(at, " GMT\r\n");
}

static char *put_header(char *at, wf_str name, wf_str value) {
    at = put_text(put(at, name), ": ");
    return put_text(put(at, value), "\r\n");
}

static char *put_head(char *at, const wf_http_response *response) {
    at = put_text(at, "HTTP/1.1 ");
    at = put_text(at + wf_decimal(at, (uint64_t)response->status), " ");
    at = put_text(put_text(at, wf_http_status_text(response->status)), "\r\n");
    if (response->date_unix_s != 0)
        at = put_date(at, response->date_unix_s);
    if (response->close)
        at = put_text(at, "Connection: close\r\n");
    if (response->has_length && !has_no_body(response->status)) {
        at = put_text(at, "Content-Length: ");
        at = put_text(at + wf_decimal(at, response->body_bytes), "\r\n");
    }
    for (size_t i = 0; i < response->header_count; i++)
        at = put_header(at, response->headers[i].name, response->headers[i].value);
    return put_text(at, "\r\n");
}

int wf_http_response_write(wf_buf *out, const wf_http_response *response) {
    if (!is_valid(response))
        return WF_EINVAL;
    size_t bytes = FIXED_BYTES_MAX;
    for (size_t i = 0; i < response->header_count; i++)
        bytes += response->headers[i].name.len + response->headers[i].value.len + 4;
    if (wf_buf_reserve(out, bytes) < 0)
        return WF_ENOMEM;
    uint8_t *end = (uint8_t *)put_head((char *)out->data + out->len, response);
    out->len = (size_t)(end - out->data);
    wf_assert(out->len <= out->cap);
    return WF_OK;
}
