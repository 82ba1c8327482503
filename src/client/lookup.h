/*
 * lookup.h - looking up names off the loop: the system's resolver blocks, so threads of their own call it.
 *
 *      client: start --> queue --> thread: getaddrinfo --> done --> wake --> client: take
 *
 * The threads are made when they are first needed, and are waited for by nobody: each owns what it works on, and the
 * last to leave turns out the light. So giving up a lookup, or the client, never waits for a name server.
 *
 * Who asks for what is being looked up already joins that lookup: a thousand dials of one host are one question. No
 * answer is kept for later.
 */
#ifndef WF_CLIENT_LOOKUP_H
#define WF_CLIENT_LOOKUP_H

#include "net/address.h"
#include "net/loop.h"

enum {
    WF_HOST_BYTES_MAX = 253, /* RFC 1035 2.3.4 */
    WF_ADDRESSES_MAX = 16,
    WF_LOOKUP_THREADS_MAX = 4, /* so that one slow name server does not keep every name waiting */
    WF_LOOKUPS_MAX = 4096      /* names waiting at once */
};

/* Where to connect to. */
typedef struct wf_addresses {
    wf_address list[WF_ADDRESSES_MAX];
    size_t count;
} wf_addresses;

typedef struct wf_lookup wf_lookup;
typedef struct wf_asker wf_asker;

/* One of those who wait for a lookup; embedded where it belongs. */
struct wf_asker {
    void *owner;
    wf_lookup *lookup; /* NULL: waits for none */
    wf_asker *next, **place;
};

struct wf_lookup {
    wf_lookup *next;
    wf_asker *askers; /* the last first; NULL: all have given it up */
    char host[WF_HOST_BYTES_MAX + 1];
    unsigned port;
    bool done;
    int error; /* of getaddrinfo; 0: found */
    int sys_errno;
    wf_addresses found;
};

typedef struct wf_lookups wf_lookups;

/* NULL when memory is out. The loop is woken when a lookup is done, and must live until wf_lookups_close. */
wf_lookups *wf_lookups_new(wf_loop *loop);

/* Gives up all that is under way. NULL is accepted. */
void wf_lookups_close(wf_lookups *lookups);

/* `host` is NUL-terminated, at most WF_HOST_BYTES_MAX. 0; or WF_ENOMEM, WF_ELIMIT: WF_LOOKUPS_MAX wait already, WF_ESYS
 * with errno: no thread could be made. */
int wf_lookups_start(wf_lookups *lookups, const char *host, unsigned port, wf_asker *asker);

/* The next that is done, the caller's to free (wf_mem_free) when all its askers have left; NULL: none. */
wf_lookup *wf_lookups_take(wf_lookups *lookups);

/* One that waits for what was taken, which has left it then; NULL: none is left. */
wf_asker *wf_lookup_next_asker(wf_lookup *lookup);

/* It waits no more; the others do. O(1), but for the last: O(names waiting). */
void wf_lookups_give_up(wf_lookups *lookups, wf_asker *asker);

/* What getaddrinfo answers, now, on this thread. Its error; 0: found. */
int wf_look_up(const char *host, unsigned port, wf_addresses *out_found);

/* The errno that says about the same as an error of getaddrinfo: ENOENT: there is no such name. */
int wf_lookup_errno(int error);

#endif
