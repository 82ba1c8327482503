/*
 * Everything here is done once for each message in each direction, so it is tables: two base64 characters at a time
 * when writing, one when reading, and eight bytes of CRC at a time.
 */
#include "cli/bench/stamp.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_BYTES = 12, LONG_BYTES = 24, SHORT_CHECKED = 9, LONG_CHECKED = 20 };
enum { FILLER_START_BITS = 12 }; /* filler begins at one of 4,096 places */
enum { NO_DIGIT = 1 };
enum { SLACK = 1 }; /* fields are read and written in threes by words of four */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static struct tables {
    uint32_t crc[8][256];
    char pair[4096][2];
    uint32_t digit[4][256]; /* of a group of four, each at its place in the upper 24 bits; NO_DIGIT: none */
} tables;

__attribute__((constructor)) static void make_tables(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
        tables.crc[0][i] = crc;
    }
    for (size_t i = 0; i < 256; i++)
        for (size_t k = 1; k < 8; k++)
            tables.crc[k][i] = tables.crc[k - 1][i] >> 8 ^ tables.crc[0][tables.crc[k - 1][i] & 255];
    for (size_t i = 0; i < 4096; i++) {
        tables.pair[i][0] = alphabet[i >> 6];
        tables.pair[i][1] = alphabet[i & 63];
    }
    for (size_t place = 0; place < 4; place++) {
        for (size_t i = 0; i < 256; i++)
            tables.digit[place][i] = NO_DIGIT;
        for (uint32_t i = 0; i < 64; i++)
            tables.digit[place][(uint8_t)alphabet[i]] = i << (26 - 6 * place);
    }
}

uint32_t bench_crc32c(uint32_t crc, const void *data, size_t len) {
    const uint8_t *at = data;
    crc = ~crc;
    for (; len >= 8; at += 8, len -= 8) {
        uint32_t low, high;
        memcpy(&low, at, 4);
        memcpy(&high, at + 4, 4);
        low ^= crc;
        crc = tables.crc[7][low & 255] ^ tables.crc[6][low >> 8 & 255] ^ tables.crc[5][low >> 16 & 255] ^
              tables.crc[4][low >> 24] ^ tables.crc[3][high & 255] ^ tables.crc[2][high >> 8 & 255] ^
              tables.crc[1][high >> 16 & 255] ^ tables.crc[0][high >> 24];
    }
    for (; len > 0; at++, len--)
        crc = crc >> 8 ^ tables.crc[0][(crc ^ *at) & 255];
    return ~crc;
}

static void encode(const uint8_t *from, size_t bytes, char *out) {
    for (size_t i = 0; i < bytes; i += 3, out += 4) {
        uint32_t group;
        memcpy(&group, from + i, 4);
        group = be32toh(group) >> 8;
        memcpy(out, tables.pair[group >> 12], 2);
        memcpy(out + 2, tables.pair[group & 4095], 2);
    }
}

static bool decode(const uint8_t *from, uint8_t *out, size_t bytes) {
    uint32_t wrong = 0;
    for (size_t i = 0; i < bytes; i += 3, from += 4) {
        uint32_t group =
            tables.digit[0][from[0]] | tables.digit[1][from[1]] | tables.digit[2][from[2]] | tables.digit[3][from[3]];
        uint32_t ordered = htobe32(group);
        wrong |= group;
        memcpy(out + i, &ordered, 4);
    }
    return (wrong & NO_DIGIT) == 0;
}

static uint32_t check_of(const uint8_t *fields, size_t bytes, size_t len) {
    uint8_t all[LONG_CHECKED + 4];
    uint32_t length = (uint32_t)len;
    memcpy(all, fields, bytes);
    memcpy(all + bytes, &length, 4);
    return bench_crc32c(0, all, bytes + 4);
}

static const char *filler_at(const bench_stamper *s, uint32_t connection, uint32_t number) {
    uint32_t place = (connection * UINT32_C(40503) + number) * UINT32_C(2654435761);
    return s->filler + (place >> (32 - FILLER_START_BITS));
}

/* Words of three to ten letters, at random but always the same: what text compresses like. */
static void fill(char *out, size_t bytes) {
    uint32_t state = 2463534242;
    for (size_t i = 0, left = 5; i < bytes; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        out[i] = left > 0 ? "etaoinshrdlcumwf"[state >> 28] : ' ';
        left = left > 0 ? left - 1 : 3 + state % 8;
    }
}

bool bench_stamper_init(bench_stamper *s, uint32_t run, size_t size_min, size_t size_max) {
    size_t bytes = size_max + (1 << FILLER_START_BITS);
    char *filler = malloc(bytes);
    if (!filler)
        return false;
    fill(filler, bytes);
    bool is_short = size_min < BENCH_STAMP_LONG;
    *s = (bench_stamper) {.run = is_short ? run & 255 : run,
                          .is_short = is_short,
                          .number_bits = is_short ? 16 : 32,
                          .filler = filler,
                          .filler_bytes = bytes};
    return true;
}

void bench_stamper_deinit(bench_stamper *s) {
    free(s->filler);
    s->filler = NULL;
}

void bench_stamp_write(const bench_stamper *s, const bench_stamp *stamp, char *out, size_t len) {
    uint8_t fields[LONG_BYTES + SLACK] = {0};
    uint32_t number = stamp->number;
    if (s->is_short) {
        uint16_t connection = (uint16_t)stamp->connection, low = (uint16_t)number;
        uint32_t when = (uint32_t)(stamp->intended_ns >> 6);
        number = low;
        fields[0] = (uint8_t)s->run;
        memcpy(fields + 1, &connection, 2);
        memcpy(fields + 3, &low, 2);
        memcpy(fields + 5, &when, 4);
        uint32_t check = check_of(fields, SHORT_CHECKED, len);
        memcpy(fields + SHORT_CHECKED, &check, 3);
        encode(fields, SHORT_BYTES, out);
    } else {
        memcpy(fields, &s->run, 4);
        memcpy(fields + 4, &stamp->connection, 4);
        memcpy(fields + 8, &number, 4);
        memcpy(fields + 12, &stamp->intended_ns, 8);
        uint32_t check = check_of(fields, LONG_CHECKED, len);
        memcpy(fields + LONG_CHECKED, &check, 4);
        encode(fields, LONG_BYTES, out);
    }
    size_t head = s->is_short ? BENCH_STAMP_SHORT : BENCH_STAMP_LONG;
    memcpy(out + head, filler_at(s, stamp->connection, number), len - head);
}

static bool read_short(const uint8_t *fields, size_t len, uint64_t now_ns, bench_stamp *out) {
    uint16_t connection, low;
    uint32_t when, check = 0;
    memcpy(&connection, fields + 1, 2);
    memcpy(&low, fields + 3, 2);
    memcpy(&when, fields + 5, 4);
    memcpy(&check, fields + SHORT_CHECKED, 3);
    uint64_t now = now_ns >> 6;
    uint32_t ago = (uint32_t)now - when; /* the wrapped part of a time before now */
    *out = (bench_stamp) {fields[0], connection, low, ago <= now ? (now - ago) << 6 : 0};
    return check == (check_of(fields, SHORT_CHECKED, len) & 0xffffff);
}

static bool read_long(const uint8_t *fields, size_t len, bench_stamp *out) {
    uint32_t check;
    memcpy(&out->run, fields, 4);
    memcpy(&out->connection, fields + 4, 4);
    memcpy(&out->number, fields + 8, 4);
    memcpy(&out->intended_ns, fields + 12, 8);
    memcpy(&check, fields + LONG_CHECKED, 4);
    return check == check_of(fields, LONG_CHECKED, len);
}

bench_stamp_verdict bench_stamp_read(const bench_stamper *s, const void *data, size_t len, uint64_t now_ns,
                                     bench_stamp *out) {
    uint8_t fields[LONG_BYTES + SLACK];
    bench_stamp stamp;
    size_t head = s->is_short ? BENCH_STAMP_SHORT : BENCH_STAMP_LONG;
    if (len < head || len - head > s->filler_bytes - (1 << FILLER_START_BITS) ||
        !decode(data, fields, s->is_short ? SHORT_BYTES : LONG_BYTES))
        return BENCH_STAMP_CORRUPT;
    if (!(s->is_short ? read_short(fields, len, now_ns, &stamp) : read_long(fields, len, &stamp)))
        return BENCH_STAMP_CORRUPT;
    if (stamp.run != s->run)
        return BENCH_STAMP_FOREIGN;
    if (memcmp((const char *)data + head, filler_at(s, stamp.connection, stamp.number), len - head) != 0)
        return BENCH_STAMP_CORRUPT;
    *out = stamp;
    return BENCH_STAMP_GOOD;
}
