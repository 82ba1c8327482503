/*
 * What is stapled (RFC 6066 8) is looked at once, when it is loaded: a response that is about another certificate, or
 * is none, would turn away who checks it. Whether it is signed well is for them to find out.
 */
#include "base/mem.h"
#include "tls/context_impl.h"

#include <openssl/ocsp.h>
#include <stdio.h>
#include <time.h>

enum { OCSP_BYTES_MAX = 64 * 1024 };

static bool read_file(wf_tls_host *host, const char *file) {
    FILE *in = fopen(file, "re");
    if (!in)
        return false;
    host->ocsp = wf_mem_alloc(OCSP_BYTES_MAX);
    host->ocsp_len = host->ocsp ? fread(host->ocsp, 1, OCSP_BYTES_MAX, in) : 0;
    bool whole = host->ocsp_len > 0 && host->ocsp_len < OCSP_BYTES_MAX && !ferror(in);
    fclose(in);
    return whole;
}

/* When the next one is due; 0: that is not said. */
static time_t time_of(const ASN1_GENERALIZEDTIME *time) {
    struct tm tm;
    return time && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : 0;
}

/* What is said about this certificate; NULL: nothing. */
static OCSP_SINGLERESP *find(OCSP_BASICRESP *basic, const X509 *certificate) {
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *one = OCSP_resp_get0(basic, i);
        ASN1_INTEGER *serial = NULL;
        OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)OCSP_SINGLERESP_get0_id(one));
        if (serial && ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(certificate)) == 0)
            return one;
    }
    return NULL;
}

static const char *judge(wf_tls_host *host, OCSP_BASICRESP *basic) {
    OCSP_SINGLERESP *one = find(basic, SSL_CTX_get0_certificate(host->ctx));
    ASN1_GENERALIZEDTIME *next = NULL;
    if (!one)
        return "is not about this certificate";
    OCSP_single_get0_status(one, NULL, NULL, NULL, &next);
    host->ocsp_until = time_of(next);
    return NULL;
}

const char *wf_tls_load_ocsp(wf_tls_host *host, const char *file) {
    if (!read_file(host, file))
        return "is empty or over 64 KiB";
    const unsigned char *at = host->ocsp;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)host->ocsp_len);
    OCSP_BASICRESP *basic = response && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL
                                ? OCSP_response_get1_basic(response)
                                : NULL;
    const char *why = basic ? judge(host, basic) : "is no OCSP response that succeeded (DER)";
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return why;
}

int wf_tls_staple(SSL *ssl, void *arg) {
    const wf_tls_host *host = arg;
    if (!host->ocsp || (host->ocsp_until != 0 && time(NULL) >= host->ocsp_until))
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(host->ocsp, host->ocsp_len);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)host->ocsp_len); /* theirs now */
    return SSL_TLSEXT_ERR_OK;
}
