/*
 * Every head of a response is written here, and judged before its first byte is written: once a name is a
 * token and a value holds no control byte, no header can end early and begin another (response splitting).
 * The framing headers are this file's alone, so a head cannot contradict itself about the length of its body.
 */
#include "http/response.h"

#include "base/status.h"
#include "http/request.h"

#include <stdio.h>
#include <time.h>

enum { FIXED_BYTES_MAX = 256 }; /* status line, Date, Connection, Content-Length and the empty line */

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

static void write_two(char *out, int number) {
    out[0] = (char)('0' + number / 10);
    out[1] = (char)('0' + number % 10);
}

/* IMF-fixdate (RFC 9110 5.6.7). Not strftime: its names of days and months follow the locale. */
static void write_date(char *out, int64_t unix_s) {
    static const char form[] = "Date: Sun, 00 Jan 0000 00:00:00 GMT\r\n";
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    memcpy(out, form, sizeof form);
    memcpy(out + 6, days + 3 * tm.tm_wday, 3);
    write_two(out + 11, tm.tm_mday);
    memcpy(out + 14, months + 3 * tm.tm_mon, 3);
    write_two(out + 18, (tm.tm_year + 1900) / 100);
    write_two(out + 20, tm.tm_year % 100);
    write_two(out + 23, tm.tm_hour);
    write_two(out + 26, tm.tm_min);
    write_two(out + 29, tm.tm_sec);
}

/* Where there is room. */
static void put(wf_buf *out, const char *text, size_t len) {
    if (len > 0)
        memcpy(out->data + out->len, text, len);
    out->len += len;
}

static void put_str(wf_buf *out, const char *text) {
    put(out, text, strlen(text));
}

int wf_http_response_write(wf_buf *out, const wf_http_response *response) {
    if (!is_valid(response))
        return WF_EINVAL;
    char date[64] = "", length[64] = "";
    if (response->date_unix_s != 0)
        write_date(date, response->date_unix_s);
    if (response->has_length && !has_no_body(response->status))
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", response->body_bytes);

    size_t bytes = FIXED_BYTES_MAX;
    for (size_t i = 0; i < response->header_count; i++)
        bytes += response->headers[i].name.len + response->headers[i].value.len + 4;
    if (wf_buf_reserve(out, bytes) < 0)
        return WF_ENOMEM;

    /* Nothing below can fail: there is room. */
    char status[] = {'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ', 0, 0, 0, ' '};
    for (int i = 0, digits = response->status; i < 3; i++, digits /= 10)
        status[11 - i] = (char)('0' + digits % 10);
    put(out, status, sizeof status);
    put_str(out, wf_http_status_text(response->status));
    put(out, "\r\n", 2);
    put_str(out, date);
    put_str(out, response->close ? "Connection: close\r\n" : "");
    put_str(out, length);
    for (size_t i = 0; i < response->header_count; i++) {
        const wf_http_header_out *header = &response->headers[i];
        put(out, header->name.data, header->name.len);
        put(out, ": ", 2);
        put(out, header->value.data, header->value.len);
        put(out, "\r\n", 2);
    }
    put(out, "\r\n", 2);
    return WF_OK;
}
