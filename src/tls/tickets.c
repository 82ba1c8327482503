#include "tls/tickets.h"

#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

typedef struct ticket_key {
    unsigned char name[16], aes[32], hmac[32];
    uint64_t made_ms;
    bool there;
} ticket_key;

struct wf_tls_tickets {
    atomic_uint refs;
    pthread_mutex_t lock;
    ticket_key keys[2]; /* the one that seals, and the one before it */
};

wf_tls_tickets *wf_tls_tickets_new(void) {
    wf_tls_tickets *tickets = wf_mem_zalloc(sizeof *tickets);
    if (!tickets)
        return NULL;
    atomic_init(&tickets->refs, 1);
    pthread_mutex_init(&tickets->lock, NULL);
    return tickets;
}

wf_tls_tickets *wf_tls_tickets_ref(wf_tls_tickets *tickets) {
    atomic_fetch_add_explicit(&tickets->refs, 1, memory_order_relaxed);
    return tickets;
}

void wf_tls_tickets_unref(wf_tls_tickets *tickets) {
    if (!tickets || atomic_fetch_sub_explicit(&tickets->refs, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&tickets->lock);
    OPENSSL_cleanse(tickets->keys, sizeof tickets->keys);
    wf_mem_free(tickets);
}

/* Forgets what is too old, and sees to it that there is a key to seal with. */
static bool turn_keys(wf_tls_tickets *tickets, uint64_t now_ms) {
    ticket_key *newest = &tickets->keys[0], *before = &tickets->keys[1];
    if (!newest->there || now_ms - newest->made_ms >= WF_TICKET_KEY_MS) {
        *before = *newest;
        newest->there = false;
        if (RAND_bytes(newest->name, sizeof newest->name) != 1 || RAND_bytes(newest->aes, sizeof newest->aes) != 1 ||
            RAND_bytes(newest->hmac, sizeof newest->hmac) != 1)
            return false;
        newest->made_ms = now_ms;
        newest->there = true;
    }
    if (before->there && now_ms - before->made_ms >= 2 * (uint64_t)WF_TICKET_KEY_MS) {
        OPENSSL_cleanse(before, sizeof *before);
        before->there = false;
    }
    return true;
}

static bool set_mac(EVP_MAC_CTX *mac, unsigned char hmac[32]) {
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac, 32),
                           OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

int wf_tls_tickets_seal(wf_tls_tickets *tickets, uint64_t now_ms, unsigned char name[16], unsigned char *iv,
                        EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac) {
    pthread_mutex_lock(&tickets->lock);
    bool there = turn_keys(tickets, now_ms);
    ticket_key key = tickets->keys[0];
    pthread_mutex_unlock(&tickets->lock);
    bool sealed = there && RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 &&
                  EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.aes, iv, NULL) == 1 && set_mac(mac, key.hmac);
    memcpy(name, key.name, sizeof key.name);
    OPENSSL_cleanse(&key, sizeof key);
    return sealed ? 1 : -1;
}

int wf_tls_tickets_open(wf_tls_tickets *tickets, uint64_t now_ms, const unsigned char name[16], const unsigned char *iv,
                        EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac) {
    ticket_key key = {.there = false};
    int answer = 0;
    pthread_mutex_lock(&tickets->lock);
    if (turn_keys(tickets, now_ms)) {
        for (int i = 0; i < 2 && answer == 0; i++) {
            if (tickets->keys[i].there && memcmp(tickets->keys[i].name, name, sizeof key.name) == 0) {
                key = tickets->keys[i];
                answer = i + 1;
            }
        }
    }
    pthread_mutex_unlock(&tickets->lock);
    if (answer > 0 &&
        (!set_mac(mac, key.hmac) || EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.aes, iv, NULL) != 1))
        answer = -1;
    OPENSSL_cleanse(&key, sizeof key);
    return answer;
}
