/*
 * conformance [--jobs N] [--filter TEXT] [--without TEXT] [--limit BYTES] [--require-deflate] [--list] [--tsv]
 *             URL
 *
 * Runs the suite against an echo service, whoever wrote it: a line for each failure, counts for each category, and
 * the sum. The exit code is 1 when a case failed.
 */
#include "socket.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CATEGORIES_MAX = 32 };

typedef struct tally {
    const char *category;
    int passed, failed, skipped;
} tally;

typedef struct options {
    bool list, tsv, require_deflate;
    tally tallies[CATEGORIES_MAX];
    size_t tally_count;
} options;

static tally *tally_of(options *o, const char *category) {
    for (size_t i = 0; i < o->tally_count; i++)
        if (strcmp(o->tallies[i].category, category) == 0)
            return &o->tallies[i];
    if (o->tally_count == CATEGORIES_MAX)
        abort();
    o->tallies[o->tally_count].category = category;
    return &o->tallies[o->tally_count++];
}

static void report(void *context, const judge *j) {
    options *o = context;
    const conf_case *c = j->c;
    tally *t = tally_of(o, c->category);
    bool skipped = j->verdict == DECLINED && !o->require_deflate, failed = j->verdict != PASSED && !skipped;
    const char *why = j->verdict == DECLINED ? "the offer was declined" : j->why;
    t->passed += j->verdict == PASSED;
    t->skipped += skipped;
    t->failed += failed;
    if (o->tsv)
        printf("%s\t%s\t%s\t%s\t%s\t%s\n",
               failed    ? "fail"
               : skipped ? "skip"
                         : "pass",
               c->category, c->name, level_name(c->level), c->clause, failed || skipped ? why : "");
    else if (failed)
        printf("FAILED %s: %s [%s %s]: %s\n", c->category, c->name, level_name(c->level), c->clause, why);
}

static void list(void *runner, conf_case *c) {
    tally_of(runner, c->category)->passed++;
    printf("%s: %s [%s %s]\n", c->category, c->name, level_name(c->level), c->clause);
    case_free(c);
}

static int print_sum(const options *o) {
    int passed = 0, failed = 0, skipped = 0;
    for (size_t i = 0; i < o->tally_count; i++) {
        const tally *t = &o->tallies[i];
        if (!o->tsv)
            printf("%-16s %5d passed, %d failed, %d skipped\n", t->category, t->passed, t->failed, t->skipped);
        passed += t->passed;
        failed += t->failed;
        skipped += t->skipped;
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0 || passed == 0;
}

static _Noreturn void usage(void) {
    fputs("usage: conformance [--jobs N] [--filter TEXT] [--without TEXT] [--limit BYTES] [--require-deflate] [--list] "
          "[--tsv] ws://HOST:PORT/PATH\n",
          stderr);
    exit(2);
}

/* Splits ws://HOST:PORT/PATH in place and finds the address. */
static void read_url(char *url, suite *s, socket_runner *r) {
    if (strncmp(url, "ws://", 5) != 0)
        usage();
    char *authority = url + 5, *slash = strchr(authority, '/');
    static char host_and_port[256], path[1024];
    snprintf(path, sizeof path, "%s", slash ? slash : "/");
    if (slash)
        *slash = '\0';
    snprintf(host_and_port, sizeof host_and_port, "%s", authority);
    s->path = path;
    s->host = host_and_port;
    char *colon = strrchr(authority, ':'), *host = authority;
    if (colon)
        *colon = '\0';
    if (*host == '[') {
        host++;
        host[strcspn(host, "]")] = '\0';
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, colon ? colon + 1 : "80", &hints, &found) != 0) {
        fprintf(stderr, "conformance: no address for %s\n", host);
        exit(2);
    }
    memcpy(&r->address, found->ai_addr, found->ai_addrlen);
    r->address_len = found->ai_addrlen;
    freeaddrinfo(found);
}

int main(int argc, char **argv) {
    options o = {0};
    socket_runner runner = {.jobs_max = 32, .patience_ms = 10000, .report = report, .context = &o};
    suite s = {.masks = true,
               .has_http = true,
               .host = "localhost",
               .path = "/",
               .limit = 16 << 20,
               .runner = &runner,
               .take = socket_take};
    char *url = NULL;
    for (int i = 1; i < argc; i++) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--list") == 0)
            o.list = true;
        else if (strcmp(argv[i], "--tsv") == 0)
            o.tsv = true;
        else if (strcmp(argv[i], "--require-deflate") == 0)
            o.require_deflate = true;
        else if (argv[i][0] != '-' && !url)
            url = argv[i];
        else if (!value)
            usage();
        else if (strcmp(argv[i], "--jobs") == 0 && atoi(value) >= 1 && atoi(value) <= JOBS_MAX)
            runner.jobs_max = (size_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--filter") == 0)
            s.filter = argv[++i];
        else if (strcmp(argv[i], "--without") == 0)
            s.without = argv[++i];
        else if (strcmp(argv[i], "--limit") == 0)
            s.limit = strtoull(argv[++i], NULL, 10);
        else
            usage();
    }
    if (!url && !o.list)
        usage();
    if (url)
        read_url(url, &s, &runner);
    if (o.list) {
        s.take = list;
        s.runner = &o;
    }
    suite_run(&s);
    socket_finish(&runner);
    return print_sum(&o);
}
