#include "http/date.h"

enum { DATE_BYTES = 29 };

static int number(const char *text, int digits) {
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = 10 * value + (text[i] - '0');
    }
    return value;
}

/* 1 to 12; 0: none. */
static int month_of(const char *name) {
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++)
        if (memcmp(name, names + 3 * i, 3) == 0)
            return i + 1;
    return 0;
}

/* Days from 1970-01-01, of a year that begins with March: so the leap day is the last of its year. */
static int64_t days_of(int year, int month, int day) {
    int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * (int64_t)y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

bool wf_http_date_parse(wf_str text, int64_t *out_unix_s) {
    const char *t = text.data;
    static const char form[] = "..., .. ... .... ..:..:.. GMT";
    if (text.len != DATE_BYTES)
        return false;
    for (int i = 0; i < DATE_BYTES; i++)
        if (form[i] != '.' && form[i] != t[i])
            return false;
    int day = number(t + 5, 2), month = month_of(t + 8), year = number(t + 12, 4);
    int hour = number(t + 17, 2), minute = number(t + 20, 2), second = number(t + 23, 2);
    if (day < 1 || day > 31 || month == 0 || year < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60)
        return false;
    *out_unix_s = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}
