#include "slow_inflate.h"

enum { SYMBOLS_MAX = 288, BITS_MAX = 15, REACH_MAX = 32768 };

typedef struct reader {
    const uint8_t *data;
    size_t at, data_len; /* in bits */
    size_t from;         /* where in *out what may be referred to begins */
    fuzz_bytes *out;
    slow_inflate result;
} reader;

/* The next bit, -1 at the end: the tail's once the data is used up. */
static int take_bit(reader *r) {
    static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};
    size_t at = r->at;
    if (at < r->data_len) {
        r->at++;
        return r->data[at / 8] >> at % 8 & 1;
    }
    at -= r->data_len;
    if (at >= 8 * sizeof tail)
        return -1;
    r->at++;
    return tail[at / 8] >> at % 8 & 1;
}

/* A number of so many bits, the lowest first; -1: it is cut. */
static int take_bits(reader *r, int count) {
    int number = 0;
    for (int i = 0; i < count; i++) {
        int bit = take_bit(r);
        if (bit < 0)
            return -1;
        number |= bit << i;
    }
    return number;
}

/* ---- Huffman codes, RFC 1951 3.2.2: canonical, so the lengths say all ---- */

typedef struct codes {
    uint8_t bits[SYMBOLS_MAX]; /* 0: not used */
    size_t count;
    int by_bits[BITS_MAX + 1];      /* how many have so many bits */
    uint16_t in_order[SYMBOLS_MAX]; /* symbols by their codes */
} codes;

static void order_codes(codes *c) {
    size_t placed = 0;
    for (int bits = 1; bits <= BITS_MAX; bits++) {
        size_t before = placed;
        for (size_t i = 0; i < c->count; i++)
            if (c->bits[i] == bits)
                c->in_order[placed++] = (uint16_t)i;
        c->by_bits[bits] = (int)(placed - before);
    }
}

/* How much of the space of codes is used, in units of the longest; complete is 2^15. */
static unsigned space_used(const codes *c, size_t *out_symbols) {
    unsigned used = 0;
    *out_symbols = 0;
    for (size_t i = 0; i < c->count; i++) {
        used += c->bits[i] ? 1u << (BITS_MAX - c->bits[i]) : 0;
        *out_symbols += c->bits[i] > 0;
    }
    return used;
}

/* The next symbol; -1: cut, -2: no symbol has these bits. */
static int take_symbol(reader *r, const codes *c) {
    int code = 0, first = 0, passed = 0; /* `first` is the first code of this length, `passed` are the shorter ones */
    for (int length = 1; length <= BITS_MAX; length++) {
        int bit = take_bit(r);
        if (bit < 0)
            return -1;
        code = code << 1 | bit;
        if (code - first < c->by_bits[length])
            return c->in_order[passed + code - first];
        passed += c->by_bits[length];
        first = (first + c->by_bits[length]) << 1;
    }
    return -2;
}

/* ---- blocks ---- */

static bool corrupt(reader *r) {
    r->result.corrupt = true;
    return false;
}

static bool put_match(reader *r, size_t length, size_t distance) {
    if (distance > r->out->len - r->from || distance > REACH_MAX)
        return corrupt(r);
    r->result.far = distance > r->result.far ? distance : r->result.far;
    for (; length > 0; length--) {
        uint8_t byte = r->out->data[r->out->len - distance];
        fuzz_put(r->out, &byte, 1);
    }
    return true;
}

/* A length or distance from its symbol: `plain` symbols without extra bits, then one bit more every `per_step`; each
 * begins where the one before ends. False: cut. */
static bool take_number(reader *r, int symbol, int plain, int per_step, int base, size_t *out) {
    for (int i = 0; i < symbol; i++)
        base += i < plain ? 1 : 1 << ((i - plain) / per_step + 1);
    int extra = symbol < plain ? 0 : (symbol - plain) / per_step + 1;
    int more = take_bits(r, extra);
    *out = (size_t)(base + more);
    return more >= 0;
}

static bool read_compressed(reader *r, const codes *literals, const codes *distances) {
    for (;;) {
        int symbol = take_symbol(r, literals);
        size_t length, distance;
        if (symbol < 0 || symbol > 285)
            return corrupt(r);
        if (symbol == 256)
            return true;
        if (symbol < 256) {
            fuzz_put(r->out, &(uint8_t) {(uint8_t)symbol}, 1);
            continue;
        }
        length = 258;
        if (symbol < 285 && !take_number(r, symbol - 257, 8, 4, 3, &length))
            return corrupt(r);
        symbol = take_symbol(r, distances);
        if (symbol < 0 || symbol > 29 || !take_number(r, symbol, 4, 2, 1, &distance) || !put_match(r, length, distance))
            return corrupt(r);
    }
}

static bool read_stored(reader *r) {
    r->at = (r->at + 7) / 8 * 8;
    int length = take_bits(r, 16), inverse = take_bits(r, 16);
    if (length < 0 || inverse < 0 || length != (inverse ^ 0xffff))
        return corrupt(r);
    for (; length > 0; length--) {
        int byte = take_bits(r, 8);
        if (byte < 0)
            return corrupt(r);
        fuzz_put(r->out, &(uint8_t) {(uint8_t)byte}, 1);
    }
    return true;
}

/* RFC 1951 3.2.7: the lengths of both sets of codes, coded themselves. */
static bool read_lengths(reader *r, const codes *meta, size_t count, uint8_t *lengths) {
    for (size_t n = 0; n < count;) {
        int symbol = take_symbol(r, meta), times = 1;
        uint8_t length = (uint8_t)symbol;
        if (symbol < 0)
            return corrupt(r);
        if (symbol >= 16) {
            int more = take_bits(r, symbol == 16 ? 2 : symbol == 17 ? 3 : 7);
            if (more < 0 || (symbol == 16 && n == 0))
                return corrupt(r);
            times = more + (symbol == 18 ? 11 : 3);
            length = symbol == 16 ? lengths[n - 1] : 0;
        }
        if ((size_t)times > count - n)
            return corrupt(r);
        while (times-- > 0)
            lengths[n++] = length;
    }
    return true;
}

/* Too many codes are corrupt. Too few are as well, but for one distance alone or none; who finds that out, and when,
 * differs. */
static bool judge_codes(reader *r, codes *c, bool distances) {
    size_t symbols;
    order_codes(c);
    unsigned used = space_used(c, &symbols);
    bool few_enough = distances && (symbols == 0 || (symbols == 1 && used == 1u << (BITS_MAX - 1)));
    r->result.grey |= used < 1u << BITS_MAX && !few_enough;
    return used > 1u << BITS_MAX ? corrupt(r) : true;
}

static bool read_dynamic(reader *r) {
    static const uint8_t order[] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    codes meta = {.count = 19}, literals = {0}, distances = {0};
    uint8_t lengths[SYMBOLS_MAX + 32] = {0};
    int hlit = take_bits(r, 5), hdist = take_bits(r, 5), hclen = take_bits(r, 4);
    if (hlit < 0 || hdist < 0 || hclen < 0)
        return corrupt(r);
    if (hlit > 29 || hdist > 29) { /* symbols that do not exist */
        r->result.grey = true;
        return corrupt(r);
    }
    literals.count = (size_t)hlit + 257;
    distances.count = (size_t)hdist + 1;
    for (int i = 0; i < hclen + 4; i++) {
        int bits = take_bits(r, 3);
        if (bits < 0)
            return corrupt(r);
        meta.bits[order[i]] = (uint8_t)bits;
    }
    if (!judge_codes(r, &meta, false) || !read_lengths(r, &meta, literals.count + distances.count, lengths))
        return false;
    memcpy(literals.bits, lengths, literals.count);
    memcpy(distances.bits, lengths + literals.count, distances.count);
    if (literals.bits[256] == 0) { /* without an end the block cannot be right, but who says so when may differ */
        r->result.grey = true;
        return corrupt(r);
    }
    return judge_codes(r, &literals, false) && judge_codes(r, &distances, true) &&
           read_compressed(r, &literals, &distances);
}

static bool read_fixed(reader *r) {
    codes literals = {.count = 288}, distances = {.count = 30};
    for (size_t i = 0; i < 288; i++)
        literals.bits[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    memset(distances.bits, 5, 30);
    order_codes(&literals);
    order_codes(&distances);
    return read_compressed(r, &literals, &distances);
}

slow_inflate slow_inflate_message(const uint8_t *data, size_t len, size_t history, fuzz_bytes *out) {
    reader r = {.data = data, .data_len = 8 * len, .from = out->len - history, .out = out};
    bool good = true;
    while (good && r.at != r.data_len && r.at != r.data_len + 32) {
        int final = take_bits(&r, 1), type = take_bits(&r, 2);
        good = type == 0   ? read_stored(&r)
               : type == 1 ? read_fixed(&r)
               : type == 2 ? read_dynamic(&r)
                           : corrupt(&r); /* or the head is cut */
        if (final == 1)
            r.at = (r.at + 7) / 8 * 8;
    }
    return r.result;
}
