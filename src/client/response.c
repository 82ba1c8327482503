/*
 * The application's view of the server's answer: it is the reader's, under another name.
 */
#include "client/client_impl.h"

static const wf_http_reply *reply_of(const weft_response *response) {
    return (const wf_http_reply *)response;
}

static weft_text text_of(wf_str s) {
    return (weft_text) {s.data, s.len};
}

int weft_response_status(const weft_response *response) {
    return reply_of(response)->status;
}

weft_text weft_response_header(const weft_response *response, const char *name) {
    const wf_http_reply *reply = reply_of(response);
    const wf_str *value = wf_http_headers_find(reply->headers, reply->header_count, wf_str_of(name), NULL);
    return value ? text_of(*value) : (weft_text) {NULL, 0};
}

bool weft_response_header_at(const weft_response *response, size_t index, weft_text *out_name, weft_text *out_value) {
    const wf_http_reply *reply = reply_of(response);
    if (index >= reply->header_count)
        return false;
    *out_name = text_of(reply->headers[index].name);
    *out_value = text_of(reply->headers[index].value);
    return true;
}

weft_text weft_response_body(const weft_response *response) {
    return text_of(reply_of(response)->body);
}
