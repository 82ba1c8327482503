/*
 * A certificate for trying things out: nobody vouches for it, so it is as good as its fingerprint is compared.
 */
#include "tls/context_impl.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VALID_DAYS = 90, SERIAL_BITS = 127 };

static bool add_extension(X509 *certificate, int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool set_serial(X509 *certificate) {
    BIGNUM *number = BN_new();
    bool set = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

/* Only a name that needs no escape in the extension's syntax. */
static void names(char *out, size_t cap) {
    char host[128] = "";
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    bool named = gethostname(host, sizeof host - 1) == 0 && host[0] != '\0' && host[strspn(host, letters)] == '\0';
    snprintf(out, cap, "DNS:localhost,IP:127.0.0.1,IP:::1%s%s", named ? ",DNS:" : "", named ? host : "");
}

static bool fill(X509 *certificate, EVP_PKEY *key) {
    char alternatives[256];
    names(alternatives, sizeof alternatives);
    X509_NAME *subject = X509_get_subject_name(certificate);
    const unsigned char common[] = "weft, signed by itself";
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
           X509_time_adj_ex(X509_getm_notAfter(certificate), VALID_DAYS, 0, NULL) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, common, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(certificate, NID_subject_alt_name, alternatives) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

int wf_tls_self_sign(EVP_PKEY **out_key, X509 **out_certificate) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    if (!key || !certificate || !fill(certificate, key)) {
        EVP_PKEY_free(key);
        X509_free(certificate);
        return WF_ERROR;
    }
    *out_key = key;
    *out_certificate = certificate;
    return WF_OK;
}
