#include "cli/exits.h"

#include <errno.h>
#include <signal.h>

static const struct {
    int code;
    const char *text;
} texts[] = {
    {CLI_EXIT_OK, "well: closed with 1000, or by the peer with 1001 or no code"},
    {CLI_EXIT_FAILED, "not what was expected, or stdout cannot be written"},
    {CLI_EXIT_USAGE, "usage, or input that cannot be sent"},
    {CLI_EXIT_DNS, "no such host"},
    {CLI_EXIT_CONNECT, "cannot connect"},
    {CLI_EXIT_HTTP, "the server answered something other than 101"},
    {CLI_EXIT_TIMEOUT, "timeout"},
    {CLI_EXIT_TLS, "no TLS came of it"},
    {CLI_EXIT_CERTIFICATE, "a certificate that is not good"},
    {CLI_EXIT_ABNORMAL, "closed with no close frame (1006), or no answer"},
    {CLI_EXIT_PROTOCOL, "broken protocol (1002, 1007)"},
    {CLI_EXIT_CLOSED_1XXX, "closed by the peer with another code below 3000"},
    {CLI_EXIT_CLOSED_OTHER, "closed by the peer with 3000 to 4999"},
    {CLI_EXIT_INVALID, "bench: the client was the limit, so the run says nothing (INVALID)"},
    {CLI_EXIT_SIGNAL + SIGINT, "SIGINT"},
    {CLI_EXIT_SIGNAL + SIGTERM, "SIGTERM"},
};

const char *cli_exit_text(size_t i, int *out_code) {
    if (i >= sizeof texts / sizeof texts[0])
        return NULL;
    *out_code = texts[i].code;
    return texts[i].text;
}

int cli_exit_of_dial(const weft_dial_failure *failure) {
    if (failure->sys_errno == ETIMEDOUT)
        return CLI_EXIT_TIMEOUT;
    if (failure->phase == WEFT_DIAL_RESOLVE)
        return CLI_EXIT_DNS;
    if (failure->phase == WEFT_DIAL_CONNECT)
        return CLI_EXIT_CONNECT;
    if (failure->phase == WEFT_DIAL_PROXY)
        return failure->response ? CLI_EXIT_HTTP : CLI_EXIT_CONNECT;
    if (failure->phase == WEFT_DIAL_TLS)
        return failure->verify_error ? CLI_EXIT_CERTIFICATE : CLI_EXIT_TLS;
    if (failure->response && weft_response_status(failure->response) != 101)
        return CLI_EXIT_HTTP;
    return failure->rule && !failure->sys_errno ? CLI_EXIT_PROTOCOL : CLI_EXIT_ABNORMAL;
}

int cli_exit_of_close(const weft_close_info *info) {
    if (info->sys_errno == ETIMEDOUT)
        return CLI_EXIT_TIMEOUT;
    if (info->code == WEFT_CLOSE_ABNORMAL)
        return CLI_EXIT_ABNORMAL;
    if (info->rule)
        return CLI_EXIT_PROTOCOL;
    if (!info->by_peer && info->clean)
        return CLI_EXIT_OK;
    switch (info->code) {
    case WEFT_CLOSE_NORMAL:
    case WEFT_CLOSE_GOING_AWAY:
    case WEFT_CLOSE_NO_STATUS:
        return CLI_EXIT_OK;
    case WEFT_CLOSE_PROTOCOL_ERROR:
    case WEFT_CLOSE_INVALID_DATA:
        return CLI_EXIT_PROTOCOL;
    default:
        return info->code >= 3000 ? CLI_EXIT_CLOSED_OTHER : CLI_EXIT_CLOSED_1XXX;
    }
}
