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

/* IMF-fixdate (RFC 9110 5.6.7). Not strftime: its names of days and months follow the locale. */
static void print_date(char *out, size_t cap, int64_t unix_s) {
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t seconds = (time_t)unix_s;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    snprintf(out, cap, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n", days + 3 * tm.tm_wday, tm.tm_mday,
             months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

int wf_http_response_write(wf_buf *out, const wf_http_response *response) {
    if (!is_valid(response))
        return WF_EINVAL;
    char date[64] = "", length[64] = "";
    if (response->date_unix_s != 0)
        print_date(date, sizeof date, response->date_unix_s);
    if (response->has_length && !has_no_body(response->status))
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", response->body_bytes);

    size_t bytes = FIXED_BYTES_MAX;
    for (size_t i = 0; i < response->header_count; i++)
        bytes += response->headers[i].name.len + response->headers[i].value.len + 4;
    if (wf_buf_reserve(out, bytes) < 0)
        return WF_ENOMEM;

    /* Nothing below can fail: there is room. */
    wf_buf_printf(out, "HTTP/1.1 %d %s\r\n%s%s%s", response->status, wf_http_status_text(response->status), date,
                  response->close ? "Connection: close\r\n" : "", length);
    for (size_t i = 0; i < response->header_count; i++) {
        const wf_http_header_out *header = &response->headers[i];
        wf_buf_append(out, header->name.data, header->name.len);
        wf_buf_append(out, ": ", 2);
        wf_buf_append(out, header->value.data, header->value.len);
        wf_buf_append(out, "\r\n", 2);
    }
    wf_buf_append(out, "\r\n", 2);
    return WF_OK;
}
