/*
 * Every interval of every worker goes through gather(). Totals take it at once; a sample of the course of the run is
 * made of an interval when a later one needs its place, which is long after all workers have told of it.
 */
#include "cli/bench/monitor.h"

#include "cli/bench/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 50, START_AHEAD_MS = 20 };

/* ---- intervals ---- */

static void make_sample(bench_monitor *m, bench_pending *p) {
    bench_report *r = m->report;
    if (!p->is_used)
        return;
    if (r->sample_count == m->sample_cap) {
        size_t cap = m->sample_cap ? m->sample_cap * 2 : 128;
        bench_sample *grown = realloc(r->samples, cap * sizeof *grown);
        if (!grown)
            return;
        r->samples = grown;
        m->sample_cap = cap;
    }
    double cpu = p->index + 1 < m->server_marks ? m->server_cpu[p->index + 1] - m->server_cpu[p->index] : 0;
    r->samples[r->sample_count++] = (bench_sample) {
        .at_s = (double)(p->end_ns - m->run->workers[0].measure_ns) / 1e9,
        .seconds = (double)p->longest_ns / 1e9,
        .done = p->done,
        .faults = p->faults,
        .p50_ns = bench_hist_at(&p->latency, 0.5),
        .p90_ns = bench_hist_at(&p->latency, 0.9),
        .p99_ns = bench_hist_at(&p->latency, 0.99),
        .max_ns = p->latency.max,
        .server_cpu_s = cpu,
    };
    bench_hist_clear(&p->latency);
    p->is_used = false;
    p->end_ns = p->longest_ns = p->done = p->faults = 0;
}

static uint64_t faults_of(const bench_interval *i) {
    uint64_t sum = 0;
    for (size_t k = 0; k < BENCH_FAULTS; k++)
        sum += i->faults[k];
    return sum;
}

static void add_to_sample(bench_monitor *m, const bench_interval *i) {
    bench_pending *p = &m->pending[i->index % BENCH_PENDING];
    uint64_t length = i->end_ns - i->start_ns;
    if (p->is_used && p->index != i->index)
        make_sample(m, p);
    p->is_used = true;
    p->index = i->index;
    p->end_ns = i->end_ns > p->end_ns ? i->end_ns : p->end_ns;
    p->longest_ns = length > p->longest_ns ? length : p->longest_ns;
    p->done += i->done;
    p->faults += faults_of(i);
    bench_hist_merge(&p->latency, &i->latency);
}

static void add_to_totals(bench_monitor *m, const bench_interval *i, uint32_t worker) {
    bench_report *r = m->report;
    bench_hist_merge(&r->latency, &i->latency);
    bench_hist_merge(&r->lag, &i->lag);
    bench_hist_merge(&r->connect, &i->connect);
    bench_hist_merge(&r->last, &i->last);
    bench_hist_merge(&r->spread, &i->spread);
    for (size_t k = 0; k < BENCH_FAULTS; k++)
        r->faults[k] += i->faults[k];
    r->sent += i->sent;
    r->complete += i->complete;
    r->delayed += i->delayed;
    if (!i->is_measured)
        return;
    r->done += i->done;
    r->payload_out += i->payload_out;
    r->payload_in += i->payload_in;
    r->wire_out += i->wire_out;
    r->wire_in += i->wire_in;
    m->measured_ns[worker] += i->end_ns - i->start_ns;
    m->cpu_ns[worker] += i->cpu_ns;
    m->wait_ns[worker] += i->wait_ns;
}

static void gather(bench_monitor *m) {
    for (uint32_t n = 0; n < m->run->config->threads; n++) {
        bench_worker *w = &m->run->workers[n];
        bench_interval *i;
        while ((i = bench_ring_take(&w->exchange.full)) != NULL) {
            add_to_totals(m, i, n);
            if (i->is_measured)
                add_to_sample(m, i);
            bench_live_add(&m->live, i);
            bench_interval_clear(i);
            bench_ring_put(&w->exchange.empty, i);
        }
    }
}

/* ---- the server ---- */

static void mark_server(bench_monitor *m, const bench_use *use) {
    if (m->server_marks == m->server_cap) {
        size_t cap = m->server_cap ? m->server_cap * 2 : 128;
        double *grown = realloc(m->server_cpu, cap * sizeof *grown);
        if (!grown)
            return;
        m->server_cpu = grown;
        m->server_cap = cap;
    }
    m->server_cpu[m->server_marks++] = (double)use->cpu_ns / 1e9;
}

/* When an interval is over, or the run has left RUN, and what it used till then. */
static void watch_server(bench_monitor *m, uint64_t now, bool is_over) {
    const bench_config *c = m->run->config;
    uint64_t start = atomic_load(&m->run->start_ns);
    if (m->is_server_over || start == BENCH_NEVER)
        return;
    uint64_t next = start + c->warmup_ns + m->server_marks * c->interval_ns;
    if (now < next && !is_over)
        return;
    bench_use use = bench_use_read(&m->server);
    bench_server_use *s = &m->report->server;
    m->is_server_over = is_over || !use.known;
    if (!use.known)
        return;
    if (m->server_marks == 0)
        m->server_first = use;
    while (now >= next) {
        mark_server(m, &use);
        next += c->interval_ns;
    }
    s->known = m->server_first.known;
    s->cpu_s = (double)(use.cpu_ns - m->server_first.cpu_ns) / 1e9;
    s->rss_end = use.rss;
    s->anon_end = use.anon;
}

/* ---- phases ---- */

static bool all_reached(const bench_run *run, bench_phase phase) {
    for (uint32_t n = 0; n < run->config->threads; n++)
        if (atomic_load_explicit(&run->workers[n].shown_phase, memory_order_acquire) < phase)
            return false;
    return true;
}

static void wake_all(bench_run *run) {
    for (uint32_t n = 0; n < run->config->threads; n++)
        weft_client_wake(run->workers[n].client);
}

static void start_when_ready(bench_monitor *m, uint64_t now) {
    if (m->is_started || !all_reached(m->run, BENCH_READY))
        return;
    m->ready_ns = m->ready_ns ? m->ready_ns : now;
    if (now < m->ready_ns + m->run->config->settle_ns)
        return;
    m->is_started = true;
    bench_use use = bench_use_read(&m->server);
    m->report->server.rss_open = m->run->traffic->keeps_connections ? use.rss : 0;
    m->report->server.anon_open = m->run->traffic->keeps_connections ? use.anon : 0;
    uint64_t opened = 0;
    for (uint32_t n = 0; n < m->run->config->threads; n++)
        opened += atomic_load_explicit(&m->run->workers[n].opened, memory_order_acquire);
    if (opened == 0 && m->run->traffic->keeps_connections)
        atomic_store(&m->run->is_stopping, true);
    else
        atomic_store_explicit(&m->run->start_ns, now + START_AHEAD_MS * BENCH_MS, memory_order_release);
    wake_all(m->run);
}

/* The memory at the end is that of a server that has come to rest. */
static void end_rest(bench_monitor *m, uint64_t now) {
    if (m->run->config->settle_ns == 0 || !all_reached(m->run, BENCH_REST) || atomic_load(&m->run->has_rested))
        return;
    m->rest_ns = m->rest_ns ? m->rest_ns : now;
    if (now < m->rest_ns + m->run->config->settle_ns)
        return;
    bench_use use = bench_use_read(&m->server);
    if (use.known) {
        m->report->server.rss_end = use.rss;
        m->report->server.anon_end = use.anon;
    }
    atomic_store_explicit(&m->run->has_rested, true, memory_order_release);
    wake_all(m->run);
}

static uint64_t until_tick(const bench_monitor *m, uint64_t now) {
    uint64_t start = atomic_load(&m->run->start_ns), tick = now + TICK_MS * BENCH_MS;
    if (m->is_server_over || start == BENCH_NEVER)
        return tick;
    uint64_t next = start + m->run->config->warmup_ns + m->server_marks * m->run->config->interval_ns;
    return next > now && next < tick ? next : tick;
}

/* Sleeps; the number of a signal that came meanwhile, or 0. */
static int sleep_or_signal(const sigset_t *signals, uint64_t wait_ns) {
    struct timespec wait = {(time_t)(wait_ns / BENCH_SECOND), (long)(wait_ns % BENCH_SECOND)};
    int got = sigtimedwait(signals, NULL, &wait);
    return got > 0 ? got : 0;
}

static int watch(bench_monitor *m, const sigset_t *signals) {
    int signals_seen = 0;
    while (!all_reached(m->run, BENCH_OVER)) {
        uint64_t now = bench_now();
        start_when_ready(m, now);
        gather(m);
        watch_server(m, now, all_reached(m->run, m->run->config->duration_ns > 0 ? BENCH_DRAIN : BENCH_REST));
        end_rest(m, now);
        bench_live_draw(&m->live, m->run, now);
        now = bench_now();
        int got = sleep_or_signal(signals, until_tick(m, now) - now);
        if (got == 0)
            continue;
        if (signals_seen++ > 0)
            return 128 + got;
        m->report->interrupted = true;
        atomic_store(&m->run->is_stopping, true);
        wake_all(m->run);
    }
    return 0;
}

/* ---- the end ---- */

/* What was left of the time when the last whole interval was over may be next to nothing, and its rate anything. */
static void merge_sliver(bench_report *r, double interval_s) {
    if (r->sample_count < 2 || r->samples[r->sample_count - 1].seconds > interval_s / 4)
        return;
    const bench_sample *last = &r->samples[--r->sample_count];
    bench_sample *before = &r->samples[r->sample_count - 1];
    before->at_s = last->at_s;
    before->seconds += last->seconds;
    before->done += last->done;
    before->faults += last->faults;
    before->max_ns = last->max_ns > before->max_ns ? last->max_ns : before->max_ns;
    before->server_cpu_s += last->server_cpu_s;
}

static int by_time(const void *a, const void *b) {
    double one = ((const bench_sample *)a)->at_s, other = ((const bench_sample *)b)->at_s;
    return (one > other) - (one < other);
}

static void sum_up(bench_monitor *m) {
    const bench_config *c = m->run->config;
    bench_report *r = m->report;
    uint64_t longest = 0, last_done = 0;
    gather(m);
    for (uint32_t i = 0; i < BENCH_PENDING; i++)
        make_sample(m, &m->pending[i]);
    if (r->sample_count > 0) /* one that stood still has made room for later ones before it was over */
        qsort(r->samples, r->sample_count, sizeof *r->samples, by_time);
    for (uint32_t n = 0; n < c->threads; n++) {
        const bench_worker *w = &m->run->workers[n];
        longest = m->measured_ns[n] > longest ? m->measured_ns[n] : longest;
        last_done = w->last_done_ns > last_done ? w->last_done_ns : last_done;
        double busy = m->measured_ns[n] > 0 ? (double)m->cpu_ns[n] / (double)m->measured_ns[n] : 0;
        r->client.busiest = busy > r->client.busiest ? busy : r->client.busiest;
        double waited = m->measured_ns[n] > 0 ? (double)m->wait_ns[n] / (double)m->measured_ns[n] : 0;
        r->client.waited = waited > r->client.waited ? waited : r->client.waited;
        r->client.cpu_s += (double)m->cpu_ns[n] / 1e9;
        r->opened += atomic_load(&w->opened);
        for (size_t k = 0; k < w->examples.count && k < BENCH_NOTES; k++)
            bench_note(&r->examples, "%s", w->examples.text[k]);
    }
    uint64_t measure = m->run->workers[0].measure_ns;
    bool by_count = c->duration_ns == 0 && last_done > measure && measure != BENCH_NEVER;
    r->seconds = (double)(by_count ? last_done - measure : longest) / 1e9;
    while (c->duration_ns == 0 && r->sample_count > 0 && r->samples[r->sample_count - 1].done == 0)
        r->sample_count--;
    merge_sliver(r, (double)c->interval_ns / 1e9);
}

int bench_monitor_run(bench_monitor *m) {
    const bench_config *c = m->run->config;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    m->server = (bench_use_of) {c->pids, c->pid_count, c->cgroup};
    bench_use before = bench_use_read(&m->server);
    m->is_server_over = !before.known;
    m->report->server.rss_before = m->run->traffic->keeps_connections ? before.rss : 0;
    m->report->server.anon_before = m->run->traffic->keeps_connections ? before.anon : 0;
    m->pending = calloc(BENCH_PENDING, sizeof *m->pending);
    m->measured_ns = calloc(c->threads, sizeof *m->measured_ns);
    m->cpu_ns = calloc(c->threads, sizeof *m->cpu_ns);
    m->wait_ns = calloc(c->threads, sizeof *m->wait_ns);
    bool ok = m->pending && m->measured_ns && m->cpu_ns && m->wait_ns;
    uint32_t started = 0;
    while (ok && started < c->threads && (ok = bench_worker_start(&m->run->workers[started])))
        started++;
    int left = 0;
    if (ok) {
        left = watch(m, &signals);
        bench_live_end(&m->live);
    } else {
        fprintf(stderr, "weft: cannot start the threads: %s\n", strerror(errno));
        left = 1;
    }
    if (left != 0)
        return left; /* the process ends, and with it the threads */
    for (uint32_t n = 0; n < started; n++)
        pthread_join(m->run->workers[n].thread, NULL);
    sum_up(m);
    free(m->pending);
    free(m->measured_ns);
    free(m->cpu_ns);
    free(m->wait_ns);
    free(m->server_cpu);
    return 0;
}
