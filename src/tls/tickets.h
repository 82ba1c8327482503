/*
 * tickets.h - the keys that session tickets are sealed with (RFC 5077, RFC 8446 4.6.1): no session is kept on the
 * server.
 *
 * A key seals for WF_TICKET_KEY_MS and opens for as long again; then it is forgotten, and with it whatever was recorded
 * under it. Shared by threads and by all certificates; survives a reload.
 */
#ifndef WF_TLS_TICKETS_H
#define WF_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

enum { WF_TICKET_KEY_MS = 6 * 3600 * 1000 };

typedef struct wf_tls_tickets wf_tls_tickets;

wf_tls_tickets *wf_tls_tickets_new(void); /* NULL: no memory */
wf_tls_tickets *wf_tls_tickets_ref(wf_tls_tickets *tickets);
void wf_tls_tickets_unref(wf_tls_tickets *tickets); /* NULL is accepted */

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb wants it, with the time as an argument. 1: done. 2: opened, and to be sealed
 * anew. 0: no such key any more. -1: failed. */
int wf_tls_tickets_seal(wf_tls_tickets *tickets, uint64_t now_ms, unsigned char name[16], unsigned char *iv,
                        EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);
int wf_tls_tickets_open(wf_tls_tickets *tickets, uint64_t now_ms, const unsigned char name[16], const unsigned char *iv,
                        EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac);

#endif
