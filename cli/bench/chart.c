/*
 * A chart is a box in which the plot has fixed margins. Each axis knows its range and where its ticks
 * are; all else is mapping points into the plot. Above a few hundred points nothing more is seen, so lines are
 * thinned by keeping the highest of each group: peaks are what one looks for.
 */
#include "cli/bench/chart.h"

#include "cli/bench/quantity.h"

#include <math.h>

enum { LEFT = 70, RIGHT = 34, TOP = 34, BOTTOM = 34, POINTS = 400, HOVERS = 120 };

typedef struct axis {
    bench_axis_kind kind;
    double low, high; /* in what is plotted: logarithms where it is logarithmic */
    double from, to;  /* pixels */
    double across[2]; /* where the plot begins and ends in the other direction */
} axis;

static double plotted(bench_axis_kind kind, double value) {
    return kind == BENCH_AXIS_LATENCY ? log10(value < 1 ? 1 : value) : value;
}

static double pixel(const axis *a, double value) {
    double share = (plotted(a->kind, value) - a->low) / (a->high - a->low);
    return a->from + share * (a->to - a->from);
}

/* 1, 2 or 5 times a power of ten, so that about `count` of them fit. */
static double nice_step(double range, double count) {
    double raw = range / count, power = pow(10, floor(log10(raw))), first = raw / power;
    return power * (first <= 1 ? 1 : first <= 2 ? 2 : first <= 5 ? 5 : 10);
}

static axis make_axis(const bench_chart *c, bool is_x) {
    double right = c->width - RIGHT, bottom = c->height - BOTTOM;
    axis a = is_x ? (axis) {c->x, INFINITY, -INFINITY, LEFT, right, {TOP, bottom}}
                  : (axis) {c->y, INFINITY, -INFINITY, bottom, TOP, {LEFT, right}};
    for (size_t i = 0; i < c->line_count; i++) {
        const bench_line *line = &c->lines[i];
        for (size_t k = 0; k < line->count; k++) {
            double value = plotted(a.kind, is_x ? line->x[k] : line->y[k]);
            a.low = fmin(a.low, value);
            a.high = fmax(a.high, value);
        }
    }
    if (a.kind == BENCH_AXIS_LATENCY) {
        a.low = isfinite(a.low) ? floor(a.low * 3) / 3 : 3;
        a.high = fmax(isfinite(a.high) ? ceil(a.high * 3) / 3 : 6, a.low + 1);
        return a;
    }
    a.low = 0;
    a.high = a.high > 0 && isfinite(a.high) ? a.high : 1;
    if (a.kind == BENCH_AXIS_COUNT)
        a.high = ceil(a.high * 1.02 / nice_step(a.high, 4)) * nice_step(a.high, 4);
    return a;
}

static const char *tick_text(const axis *a, double value, char *out) {
    switch (a->kind) {
    case BENCH_AXIS_LATENCY:
        return bench_time_text(out, value);
    case BENCH_AXIS_PERCENTILE: {
        int nines = (int)lround(value);
        snprintf(out, BENCH_TEXT, "%.*f %%", nines > 2 ? nines - 2 : 0, 100 * (1 - pow(10, -value)));
        return out;
    }
    case BENCH_AXIS_SECONDS:
        snprintf(out, BENCH_TEXT, "%g s", value);
        return out;
    default:
        return bench_count_text(out, value);
    }
}

static void tick(FILE *out, const axis *a, bool is_x, double value) {
    char text[BENCH_TEXT];
    double at = pixel(a, value);
    if (at < fmin(a->from, a->to) - 0.5 || at > fmax(a->from, a->to) + 0.5)
        return;
    const char *label = tick_text(a, value, text);
    if (is_x)
        fprintf(out, "<path class='grid' d='M%.1f %.0fV%.0f'/><text x='%.1f' y='%.0f' class='mid'>%s</text>\n", at,
                a->across[0], a->across[1], at, a->across[1] + 18, label);
    else
        fprintf(out, "<path class='grid' d='M%.0f %.1fH%.0f'/><text x='%.0f' y='%.1f' class='end'>%s</text>\n",
                a->across[0], at, a->across[1], a->across[0] - 8, at + 4, label);
}

static void ticks(FILE *out, const axis *a, bool is_x) {
    static const double parts[] = {1, 2, 5};
    if (a->kind == BENCH_AXIS_PERCENTILE) {
        for (double nines = 0; nines <= a->high; nines++)
            tick(out, a, is_x, nines);
        tick(out, a, is_x, log10(2));
    } else if (a->kind == BENCH_AXIS_LATENCY) {
        size_t each = a->high - a->low > 3 ? 1 : 3; /* only the powers of ten when they are many */
        for (int power = (int)floor(a->low); power <= (int)ceil(a->high); power++)
            for (size_t i = 0; i < each; i++)
                tick(out, a, is_x, parts[i] * pow(10, power));
    } else {
        double step = nice_step(a->high, is_x ? 8 : 4);
        for (int i = 0; i <= 20 && i * step <= a->high * 1.001; i++)
            tick(out, a, is_x, i * step);
    }
}

/* The highest of `group` points from `first`. */
static size_t highest(const bench_line *line, size_t first, size_t group) {
    size_t best = first;
    for (size_t i = first; i < line->count && i < first + group; i++)
        if (!(line->y[best] >= line->y[i])) /* also when the best is a gap */
            best = i;
    return best;
}

static void draw(FILE *out, const bench_chart *c, size_t index, const axis *x, const axis *y) {
    const bench_line *line = &c->lines[index];
    size_t group = (line->count + POINTS - 1) / POINTS;
    if (line->count == 0)
        return;
    bool is_on = false; /* the pen */
    fprintf(out, "<path class='line l%zu' d='", index);
    for (size_t i = 0; i < line->count; i += group) {
        size_t k = highest(line, i, group);
        if (isnan(line->y[k])) {
            is_on = false;
            continue;
        }
        double at = pixel(x, line->x[k]), up = pixel(y, line->y[k]);
        if (!is_on)
            fprintf(out, "M%.1f %.1fh0", at, up);
        else if (c->steps)
            fprintf(out, "H%.1fV%.1f", at, up);
        else
            fprintf(out, "L%.1f %.1f", at, up);
        is_on = true;
    }
    fputs("'/>\n", out);
}

/* Points that are not seen and say their values when one points at them. */
static void hovers(FILE *out, const bench_chart *c, const axis *x, const axis *y) {
    char a[BENCH_TEXT], b[BENCH_TEXT];
    for (size_t i = 0; i < c->line_count; i++) {
        const bench_line *line = &c->lines[i];
        size_t group = (line->count + HOVERS - 1) / HOVERS;
        for (size_t at = 0; at < line->count; at += group) {
            size_t k = highest(line, at, group);
            if (isnan(line->y[k]))
                continue;
            if (x->kind == BENCH_AXIS_PERCENTILE)
                snprintf(a, sizeof a, "%.6g %%", 100 * (1 - pow(10, -line->x[k])));
            else
                snprintf(a, sizeof a, "%.1f s", line->x[k]);
            fprintf(out, "<circle class='l%zu' cx='%.1f' cy='%.1f' r='6'><title>%s: %s at %s</title></circle>\n", i,
                    pixel(x, line->x[k]), pixel(y, line->y[k]), line->name, tick_text(y, line->y[k], b), a);
        }
    }
}

void bench_chart_write(const bench_chart *c, FILE *out) {
    axis x = make_axis(c, true), y = make_axis(c, false);
    fprintf(out, "<svg viewBox='0 0 %d %d' role='img' aria-label='%s'>\n", c->width, c->height, c->title);
    fprintf(out, "<text x='%d' y='20' class='title'>%s</text>\n", LEFT, c->title);
    for (size_t i = 0; i < c->line_count && c->line_count > 1; i++) {
        double at = c->width - RIGHT - 64.0 * (double)(c->line_count - i);
        fprintf(out, "<path class='line l%zu' d='M%.0f 16h18'/><text x='%.0f' y='20'>%s</text>\n", i, at, at + 24,
                c->lines[i].name);
    }
    ticks(out, &x, true);
    ticks(out, &y, false);
    for (size_t i = c->line_count; i-- > 0;)
        draw(out, c, i, &x, &y);
    hovers(out, c, &x, &y);
    fputs("</svg>\n", out);
}
