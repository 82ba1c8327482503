/*
 * Invariant: under_way attempts are open, all of them among the first `begun`. While there are addresses left, next_ms
 * is the time of the next attempt, so that a step is all there is to do when it has come.
 */
#include "client/race.h"

#include "base/mem.h"
#include "net/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

wf_race *wf_race_new(wf_loop *loop, const wf_address *addresses, size_t count, const wf_address *local) {
    wf_race *race = wf_mem_zalloc(sizeof *race + count * sizeof race->attempts[0]);
    if (!race)
        return NULL;
    race->loop = loop;
    race->addresses = addresses;
    race->local = local;
    race->count = count;
    for (size_t i = 0; i < count; i++)
        race->attempts[i] = (wf_attempt) {.sock = WF_SOCK_INIT, .race = race};
    return race;
}

static void close_all(wf_race *race) {
    for (size_t i = 0; i < race->begun; i++)
        wf_sock_close(race->loop, &race->attempts[i].sock);
    race->under_way = 0;
}

void wf_race_free(wf_race *race) {
    if (!race)
        return;
    close_all(race);
    wf_mem_free(race);
}

static bool begin(wf_race *race, size_t at) {
    int fd = wf_dial_open(&race->addresses[at], race->local);
    if (fd >= 0 && wf_sock_adopt_connecting(race->loop, &race->attempts[at].sock, fd) == 0)
        return true;
    int why = errno;
    if (fd >= 0)
        close(fd);
    if (why != EAFNOSUPPORT || race->sys_errno == 0) { /* an address that is none for us says less than any other */
        race->failed_last = at;
        race->sys_errno = why;
    }
    return false;
}

int wf_race_step(wf_race *race, uint64_t now_ms) {
    while (race->begun < race->count && (race->under_way == 0 || race->next_ms <= now_ms)) {
        race->next_ms = now_ms + WF_RACE_DELAY_MS;
        if (begin(race, race->begun++))
            race->under_way++;
        else
            race->next_ms = now_ms;
    }
    if (race->begun == race->count)
        race->next_ms = UINT64_MAX;
    return race->under_way > 0 ? WF_OK : WF_ERROR;
}

int wf_race_event(wf_race *race, const wf_loop_event *event, uint64_t now_ms, int *out_fd, size_t *out_at) {
    size_t at = (size_t)((wf_attempt *)event->sock - race->attempts);
    int sys_errno = event->sys_errno;
    if (event->kind == WF_LOOP_SENT) {
        int fd = fcntl(event->sock->fd, F_DUPFD_CLOEXEC, 0); /* the loop lets go of none */
        sys_errno = errno;
        if (fd >= 0) {
            close_all(race);
            *out_fd = fd;
            *out_at = at;
            return WF_OK;
        }
    }
    wf_sock_close(race->loop, event->sock);
    race->under_way--;
    race->failed_last = at;
    race->sys_errno = sys_errno;
    race->next_ms = race->begun < race->count ? now_ms : UINT64_MAX; /* the next at once */
    return wf_race_step(race, now_ms) == WF_OK ? WF_WANT_INPUT : WF_ERROR;
}

void wf_addresses_interleave(wf_address *addresses, size_t count) {
    for (size_t i = 1; i < count; i++) {
        size_t other = i;
        while (other < count && addresses[other].storage.ss_family == addresses[i - 1].storage.ss_family)
            other++;
        if (other == count)
            return;
        wf_address moved = addresses[other];
        memmove(&addresses[i + 1], &addresses[i], (other - i) * sizeof moved);
        addresses[i] = moved;
    }
}
