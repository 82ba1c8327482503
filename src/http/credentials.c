#include "http/credentials.h"

#include "http/request.h"

#include <openssl/evp.h>

/* RFC 6750 2.1: b64token. */
static bool is_token68(const char *text) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    size_t len = strspn(text, letters);
    return len > 0 && text[len + strspn(text + len, "=")] == '\0';
}

/* RFC 7617 2: no control bytes at all, and the user has no colon, so the first one ends it. */
static const char *judge_basic(const char *text) {
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            return "RFC7617/2: user or password has a control byte in it";
    return strchr(text, ':') ? NULL : "user and password are not \"user:password\"";
}

const char *wf_credentials_judge(const wf_credentials *credentials) {
    if (credentials->user_password && credentials->bearer_token)
        return "a password and a token: only one can be sent";
    if (credentials->bearer_token && !is_token68(credentials->bearer_token))
        return "RFC6750/2.1: the token has a byte that none may have";
    return credentials->user_password ? judge_basic(credentials->user_password) : NULL;
}

/* In threes of bytes, so that only the last piece is padded. */
static int write_base64(wf_buf *out, const char *text) {
    enum { PIECE = 48 };
    size_t left = strlen(text);
    int status = 0;
    while (left > 0) {
        unsigned char piece[PIECE / 3 * 4 + 1];
        size_t len = left < PIECE ? left : PIECE;
        int written = EVP_EncodeBlock(piece, (const unsigned char *)text, (int)len);
        status |= wf_buf_append(out, piece, (size_t)written);
        text += len;
        left -= len;
    }
    return status;
}

int wf_credentials_write(wf_buf *out, const char *name, const wf_credentials *credentials) {
    if (credentials->bearer_token)
        return wf_buf_append_str(out, name) | wf_buf_append_str(out, ": Bearer ") |
               wf_buf_append_str(out, credentials->bearer_token) | wf_buf_append_str(out, "\r\n");
    if (credentials->user_password)
        return wf_buf_append_str(out, name) | wf_buf_append_str(out, ": Basic ") |
               write_base64(out, credentials->user_password) | wf_buf_append_str(out, "\r\n");
    return 0;
}
