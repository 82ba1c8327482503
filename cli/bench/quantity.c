/*
 * Numbers are decimal digits with at most one point, and a unit from a short list; nothing else that strtod would take.
 */
#include "cli/bench/quantity.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct unit {
    const char *name;
    double factor;
} unit;

static bool parse(const char *text, const unit *units, double *out) {
    if ((text[0] < '0' || text[0] > '9') && text[0] != '.')
        return false;
    size_t digits = strspn(text, "0123456789.");
    char number[BENCH_TEXT];
    if (digits >= sizeof number)
        return false;
    memcpy(number, text, digits);
    number[digits] = '\0';
    char *end;
    double value = strtod(number, &end);
    if (*end != '\0' || end == number)
        return false;
    for (; units->name; units++) {
        if (strcmp(text + digits, units->name) == 0) {
            *out = value * units->factor;
            return true;
        }
    }
    return false;
}

bool bench_parse_count(const char *text, double *out) {
    static const unit units[] = {{"", 1}, {"k", 1e3}, {"K", 1e3}, {"M", 1e6}, {NULL, 0}};
    return parse(text, units, out);
}

bool bench_parse_time(const char *text, double *out_ns) {
    static const unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {NULL, 0}};
    return parse(text, units, out_ns);
}

bool bench_parse_bytes(const char *text, uint64_t *out) {
    static const unit units[] = {{"", 1},       {"B", 1},        {"k", 0x1p10}, {"K", 0x1p10},   {"KiB", 0x1p10},
                                 {"M", 0x1p20}, {"MiB", 0x1p20}, {"G", 0x1p30}, {"GiB", 0x1p30}, {NULL, 0}};
    double value;
    if (!parse(text, units, &value) || value > 0x1p53)
        return false;
    *out = (uint64_t)value;
    return true;
}

bool bench_parse_span(const char *text, uint32_t *out_min, uint32_t *out_max) {
    char first[BENCH_TEXT];
    const char *dots = strstr(text, "..");
    size_t len = dots ? (size_t)(dots - text) : strlen(text);
    uint64_t low, high;
    if (len >= sizeof first)
        return false;
    memcpy(first, text, len);
    first[len] = '\0';
    if (!bench_parse_bytes(first, &low))
        return false;
    high = low;
    if ((dots && !bench_parse_bytes(dots + 2, &high)) || low > high || high > UINT32_MAX)
        return false;
    *out_min = (uint32_t)low;
    *out_max = (uint32_t)high;
    return true;
}

/* Three digits that count, and no more than the unit has. */
static const char *with_unit(char *out, double value, const char *name) {
    int places = value == floor(value) && value < 1000 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
    snprintf(out, BENCH_TEXT, "%.*f %s", places, value, name);
    return out;
}

const char *bench_time_text(char *out, double ns) {
    return ns < 1e3       ? with_unit(out, ns, "ns")
           : ns < 999.5e3 ? with_unit(out, ns / 1e3, "us")
           : ns < 999.5e6 ? with_unit(out, ns / 1e6, "ms")
                          : with_unit(out, ns / 1e9, "s");
}

const char *bench_count_text(char *out, double value) {
    char digits[BENCH_TEXT];
    snprintf(digits, sizeof digits, "%.*f", value < 100 && value != floor(value) ? 1 : 0, value);
    size_t whole = strcspn(digits, "."), at = 0;
    for (size_t i = 0; digits[i] && at < BENCH_TEXT - 2; i++) {
        if (i > 0 && i < whole && (whole - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *bench_bytes_text(char *out, double bytes) {
    return bytes < 1024     ? with_unit(out, bytes, "B")
           : bytes < 0x1p20 ? with_unit(out, bytes / 0x1p10, "KiB")
           : bytes < 0x1p30 ? with_unit(out, bytes / 0x1p20, "MiB")
                            : with_unit(out, bytes / 0x1p30, "GiB");
}
