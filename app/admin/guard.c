#include "app/admin/guard.h"

#include "app/log.h"
#include "app/pusher/apps.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { ADDRESSES = 256, BURST = 5, PER_SECOND = 5, ONE = 1000 };

/* How often an address may be wrong still, in thousandths, as of then. Where two share a place the newer has it: nobody
 * can choose that, for the hash is keyed. */
typedef struct patience {
    char address[56];
    uint64_t at_ms;
    uint64_t left;
} patience;

static char secret[ADMIN_SECRET_MAX + 1];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static patience patiences[ADDRESSES];

const char *admin_guard_setup(const char *text, const char *file) {
    char line[ADMIN_SECRET_MAX + 3] = "";
    if (file) {
        FILE *in = fopen(file, "r");
        if (!in)
            return strerror(errno);
        const char *got = fgets(line, sizeof line, in);
        fclose(in);
        if (!got)
            return "it is empty";
        line[strcspn(line, "\r\n")] = '\0';
        text = line;
    }
    size_t len = strlen(text);
    if (len < ADMIN_SECRET_MIN || len > ADMIN_SECRET_MAX)
        return "a secret has 16 to 256 characters";
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~') /* it stands in a header */
            return "a secret is of ASCII, without spaces";
    memcpy(secret, text, len + 1);
    return NULL;
}

static patience *of_address(const char *peer) {
    char address[sizeof patiences->address];
    const char *colon = strrchr(peer, ':');
    snprintf(address, sizeof address, "%.*s", (int)(colon ? colon - peer : 50), peer);
    patience *p = &patiences[push_hash(address, strlen(address)) % ADDRESSES];
    uint64_t now_ms = push_now_ms();
    if (strcmp(p->address, address) != 0) {
        memcpy(p->address, address, sizeof address);
        p->left = BURST * ONE;
    } else {
        p->left += (now_ms - p->at_ms) * PER_SECOND;
        p->left = p->left < BURST * ONE ? p->left : BURST * ONE;
    }
    p->at_ms = now_ms;
    return p;
}

admin_verdict admin_guard(weft_text given, const char *peer) {
    bool right = weft_text_equal_secret(given, secret);
    pthread_mutex_lock(&lock);
    patience *p = of_address(peer);
    admin_verdict verdict = p->left < ONE ? ADMIN_TOO_OFTEN : right ? ADMIN_MAY : ADMIN_WRONG;
    if (verdict == ADMIN_WRONG)
        p->left -= ONE;
    pthread_mutex_unlock(&lock);
    if (verdict == ADMIN_WRONG)
        app_log(APP_INFO, "a wrong admin secret", "peer", peer, NULL);
    return verdict;
}
