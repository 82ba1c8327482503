/*
 * The table of protocol cases for a receiving session. A row is read aloud by its name; the last column is
 * the clause of RFC 6455 that decides it, or the limit of ours.
 */
#include "cases.h"

#define S WF_WS_SERVER
#define C WF_WS_CLIENT

/* Four bytes of masking key, all zero: behind raw heads. */
#define KEY "00000000"

static const char not_masked[] = "RFC6455/5.1: client frame is not masked",
                  is_masked[] = "RFC6455/5.1: server frame is masked",
                  reserved_bit[] = "RFC6455/5.2: reserved bit set with no extension negotiated",
                  unknown_opcode[] = "RFC6455/5.2: unknown opcode",
                  top_bit[] = "RFC6455/5.2: top bit of the length is set",
                  not_shortest[] = "RFC6455/5.2: length is not in its shortest form",
                  of_nothing[] = "RFC6455/5.4: continuation of nothing",
                  inside_another[] = "RFC6455/5.4: new message inside a fragmented one",
                  control_in_fragments[] = "RFC6455/5.5: fragmented control frame",
                  control_too_long[] = "RFC6455/5.5: control frame over 125 bytes",
                  close_of_one_byte[] = "RFC6455/5.5.1: close payload of one byte",
                  bad_reason[] = "RFC6455/5.5.1: close reason is not UTF-8",
                  bad_code[] = "RFC6455/7.4: close code that may not travel",
                  not_utf8[] = "RFC6455/8.1: text is not UTF-8", too_big[] = "message over message_bytes_max",
                  empties[] = "empty fragments over empty_fragments_max";

const session_case session_cases[] = {
    /* ---- masking, RFC 6455 5.1, 5.3 ---- */
    {"masked_text_is_unmasked", S, "=818537fa213d7f9f4d5158", .out = "T:'Hello'"},
    {"unmasked_text_reaches_a_client", C, "=810548656c6c6f", .out = "T:'Hello'"},
    {"unmasked_client_frame_is_refused", S, "=810548656c6c6f", .out = "!1002", .rule = not_masked},
    {"unmasked_client_ping_is_refused", S, "=8900", .out = "!1002", .rule = not_masked},
    {"unmasked_client_close_is_refused", S, "=880203e8", .out = "!1002", .rule = not_masked},
    {"unmasked_second_fragment_is_refused", S, "01:'a' =800162", .out = "!1002", .rule = not_masked},
    {"masked_server_frame_is_refused", C, "=818537fa213d7f9f4d5158", .out = "!1002", .rule = is_masked},
    {"masked_server_pong_is_refused", C, "=8a80" KEY, .out = "!1002", .rule = is_masked},
    {"masked_server_close_is_refused", C, "=888000000000", .out = "!1002", .rule = is_masked},
    {"zero_key_is_a_key", S, "=8185" KEY "48656c6c6f", .out = "T:'Hello'"},
    {"keys_change_between_fragments", S, "=0182010203044967 =8083aabbccddc6d7a3", .out = "T:'Hello'"},
    {"mask_goes_on_over_the_whole_payload", S, "82:<00>*13", .out = "B:<00>*13"},

    /* ---- reserved bits and opcodes, 5.2 ---- */
    {"rsv1_is_refused", S, "c1:'a'", .out = "!1002", .rule = reserved_bit},
    {"rsv2_is_refused", S, "a1:'a'", .out = "!1002", .rule = reserved_bit},
    {"rsv3_is_refused", S, "91:'a'", .out = "!1002", .rule = reserved_bit},
    {"rsv1_of_a_server_is_refused", C, "c2:'a'", .out = "!1002", .rule = reserved_bit},
    {"rsv_on_a_ping_is_refused", S, "c9:", .out = "!1002", .rule = reserved_bit},
    {"rsv_on_a_continuation_is_refused", S, "01:'a' c0:'b'", .out = "!1002", .rule = reserved_bit},
    {"rsv_on_a_close_is_refused", S, "98:<03e8>", .out = "!1002", .rule = reserved_bit},
    {"opcode_3_is_refused", S, "83:'a'", .out = "!1002", .rule = unknown_opcode},
    {"opcode_7_is_refused", S, "87:", .out = "!1002", .rule = unknown_opcode},
    {"opcode_11_is_refused", S, "8b:", .out = "!1002", .rule = unknown_opcode},
    {"opcode_15_is_refused", C, "8f:'a'", .out = "!1002", .rule = unknown_opcode},
    {"opcode_5_inside_a_message_is_refused", S, "02:'a' 85:'b'", .out = "!1002", .rule = unknown_opcode},
    {"refused_frame_hides_nothing_before_it", S, "81:'one' 89:'p' 83:", .out = "T:'one' P:'p' !1002",
     .rule = unknown_opcode},

    /* ---- lengths, 5.2 ---- */
    {"empty_text", S, "81:", .out = "T:", .takes_no_memory = true},
    {"empty_binary", C, "82:", .out = "B:", .takes_no_memory = true},
    {"length_1", S, "82:'a'", .out = "B:'a'", .takes_no_memory = true},
    {"length_125", S, "82:'a'*125", .out = "B:'a'*125", .takes_no_memory = true},
    {"length_126", S, "82:'a'*126", .out = "B:'a'*126", .takes_no_memory = true},
    {"length_127", C, "81:'a'*127", .out = "T:'a'*127", .takes_no_memory = true},
    {"length_65535", S, "81:'a'*65535", .out = "T:'a'*65535", .takes_no_memory = true},
    {"length_65536", S, "82:'abcdefg'*9362<0102>", .out = "B:'abcdefg'*9362<0102>", .takes_no_memory = true},
    {"length_65536_of_a_server", C, "81:'a'*65536", .out = "T:'a'*65536", .takes_no_memory = true},
    {"lengths_in_fragments", S, "02:'a'*125 00:'b'*126 00:'c'*127 00: 80:'d'*300",
     .out = "B:'a'*125'b'*126'c'*127'd'*300"},
    {"long_lengths_in_fragments", C, "01:'a'*65535 00:'b'*65536 80:'c'", .out = "T:'a'*65535'b'*65536'c'"},
    {"length_0_in_16_bits_is_refused", S, "=82fe0000" KEY, .out = "!1002", .rule = not_shortest},
    {"length_125_in_16_bits_is_refused", S, "=82fe007d" KEY, .out = "!1002", .rule = not_shortest},
    {"length_126_in_16_bits_is_right", S, "=82fe007e" KEY, .out = ""},
    {"length_0_in_64_bits_is_refused", C, "=827f0000000000000000", .out = "!1002", .rule = not_shortest},
    {"length_125_in_64_bits_is_refused", S, "=82ff000000000000007d" KEY, .out = "!1002", .rule = not_shortest},
    {"length_126_in_64_bits_is_refused", S, "=82ff000000000000007e" KEY, .out = "!1002", .rule = not_shortest},
    {"length_65535_in_64_bits_is_refused", S, "=82ff000000000000ffff" KEY, .out = "!1002", .rule = not_shortest},
    {"length_65536_in_64_bits_is_right", S, "=82ff0000000000010000" KEY, .out = ""},
    {"long_form_in_a_later_fragment_is_refused", S, "02:'a' =80fe0001" KEY, .out = "!1002", .rule = not_shortest},

/* ---- length arithmetic ---- */
/* clang-format off */
#define HUGE_LENGTH(name_, length_)                                                                           \
    {name_ "_is_over_the_limit", S, "=82ff" length_ KEY, .out = "!1009", .rule = too_big,                    \
     .takes_no_memory = true},                                                                               \
    {name_ "_later_is_over_the_limit", S, "02:'abc' =80ff" length_ KEY, .out = "!1009", .rule = too_big},    \
    {name_ "_later_and_not_last_is_over_the_limit", C, "01:'abc' 00:'d' =007f" length_, .out = "!1009",      \
     .rule = too_big},                                                                                       \
    {name_ "_with_no_limit_takes_no_memory", S, "=82ff" length_ KEY, .out = "",                              \
     .message_bytes_max = UINT64_MAX, .takes_no_memory = true},                                              \
    {name_ "_with_no_limit_takes_what_comes", S, "02:'abc' =00ff" length_ KEY "616263", .out = "",           \
     .message_bytes_max = UINT64_MAX}
    /* clang-format on */
    HUGE_LENGTH("length_2_31_less_1", "000000007fffffff"),
    HUGE_LENGTH("length_2_31", "0000000080000000"),
    HUGE_LENGTH("length_2_31_and_1", "0000000080000001"),
    HUGE_LENGTH("length_2_32_less_1", "00000000ffffffff"),
    HUGE_LENGTH("length_2_32", "0000000100000000"),
    HUGE_LENGTH("length_2_32_and_1", "0000000100000001"),
    HUGE_LENGTH("length_2_62", "4000000000000000"),
    HUGE_LENGTH("length_2_63_less_1", "7fffffffffffffff"),
#undef HUGE_LENGTH
    {"length_2_63_is_refused", S, "=82ff8000000000000000" KEY, .out = "!1002", .rule = top_bit,
     .message_bytes_max = UINT64_MAX, .takes_no_memory = true},
    {"length_2_63_of_a_server_is_refused", C, "=827f8000000000000000", .out = "!1002", .rule = top_bit,
     .message_bytes_max = UINT64_MAX},
    {"length_2_63_later_is_refused", S, "02:'abc' =80ff8000000000000000" KEY, .out = "!1002", .rule = top_bit,
     .message_bytes_max = UINT64_MAX},
    {"length_2_64_less_1_is_refused", S, "=82ffffffffffffffffff" KEY, .out = "!1002", .rule = top_bit,
     .message_bytes_max = UINT64_MAX},
    {"length_2_64_less_1_later_is_refused", S, "02:'abc' =00ffffffffffffffffff" KEY, .out = "!1002", .rule = top_bit,
     .message_bytes_max = UINT64_MAX},
    {"length_2_64_less_3_does_not_wrap_the_sum", C, "02:'abc' =807ffffffffffffffffd", .out = "!1002", .rule = top_bit},

    /* ---- fragments, 5.4 ---- */
    {"two_fragments_are_one_message", S, "01:'Hel' 80:'lo'", .out = "T:'Hello'"},
    {"many_fragments_are_one_message", C, "02:'a' 00:'b' 00:'c' 00:'d' 80:'e'", .out = "B:'abcde'"},
    {"empty_fragments_around_content", S, "01: 00:'a' 00: 80:", .out = "T:'a'"},
    {"only_empty_fragments", S, "02: 00: 80:", .out = "B:"},
    {"whole_message_in_the_last_fragment_is_not_copied", S, "01: 80:'abc'", .out = "T:'abc'", .takes_no_memory = true},
    {"continuation_of_nothing_is_refused", S, "80:'a'", .out = "!1002", .rule = of_nothing},
    {"unfinished_continuation_of_nothing_is_refused", C, "00:'a'", .out = "!1002", .rule = of_nothing},
    {"continuation_of_a_finished_message_is_refused", S, "01:'a' 80:'b' 80:'c'", .out = "T:'ab' !1002",
     .rule = of_nothing},
    {"continuation_of_a_whole_message_is_refused", S, "81:'a' 80:'b'", .out = "T:'a' !1002", .rule = of_nothing},
    {"text_inside_a_text_is_refused", S, "01:'a' 81:'b'", .out = "!1002", .rule = inside_another},
    {"binary_inside_a_text_is_refused", S, "01:'a' 02:'b'", .out = "!1002", .rule = inside_another},
    {"text_inside_a_binary_is_refused", C, "02:'a' 01:'b'", .out = "!1002", .rule = inside_another},
    {"text_after_an_empty_fragment_is_refused", S, "02: 81:'b'", .out = "!1002", .rule = inside_another},
    {"messages_follow_one_another", S, "01:'a' 80:'b' 82:'c' 02:'d' 80:'e' 81:", .out = "T:'ab' B:'c' B:'de' T:"},

    /* ---- control frames, 5.5 ---- */
    {"empty_ping", S, "89:", .out = "P:", .takes_no_memory = true},
    {"ping_with_payload", S, "89:'Hello'", .out = "P:'Hello'", .takes_no_memory = true},
    {"ping_of_125", C, "89:'a'*125", .out = "P:'a'*125", .takes_no_memory = true},
    {"ping_is_not_text", S, "89:<ff00c0>", .out = "P:<ff00c0>"},
    {"unsolicited_pong_is_accepted", S, "8a:'x'", .out = "O:'x'", .takes_no_memory = true},
    {"ten_pings_in_a_row", S, "89:'0' 89:'1' 89:'2' 89:'3' 89:'4' 89:'5' 89:'6' 89:'7' 89:'8' 89:'9'",
     .out = "P:'0' P:'1' P:'2' P:'3' P:'4' P:'5' P:'6' P:'7' P:'8' P:'9'", .takes_no_memory = true},
    {"control_over_125_is_refused", S, "89:'a'*126", .out = "!1002", .rule = control_too_long},
    {"pong_over_125_is_refused", C, "8a:'a'*126", .out = "!1002", .rule = control_too_long},
    {"close_over_125_is_refused", S, "88:<03e8>'a'*124", .out = "!1002", .rule = control_too_long},
    {"ping_with_64_bit_length_is_refused", S, "=89ff0000000000010000" KEY, .out = "!1002", .rule = control_too_long},
    {"ping_of_5_in_16_bits_is_refused", S, "=89fe0005" KEY "6161616161", .out = "!1002", .rule = control_too_long},
    {"fragmented_ping_is_refused", S, "09:'a' 80:'b'", .out = "!1002", .rule = control_in_fragments},
    {"fragmented_pong_is_refused", S, "0a:", .out = "!1002", .rule = control_in_fragments},
    {"fragmented_close_is_refused", C, "08:<03e8>", .out = "!1002", .rule = control_in_fragments},
    {"continuation_of_a_ping_is_refused", S, "89:'a' 80:'b'", .out = "P:'a' !1002", .rule = of_nothing},
    {"ping_between_fragments", S, "01:'Hel' 89:'p' 80:'lo'", .out = "P:'p' T:'Hello'"},
    {"many_controls_between_fragments", C, "02:'a' 89:'1' 8a:'2' 00:'b' 89: 80:'c'", .out = "P:'1' O:'2' P: B:'abc'"},
    {"ping_inside_a_character", S, "01:<e2> 89:<ff> 00:<82> 8a: 80:<ac>", .out = "P:<ff> O: T:<e282ac>"},
    {"ping_does_not_change_the_kind", S, "02:<ff> 89:'t' 80:<fe>", .out = "P:'t' B:<fffe>"},

    /* ---- text, 8.1 ---- */
    {"all_widths_of_utf8", S, "81:<00>'k'<c2a9e282acf09d849e>", .out = "T:<00>'k'<c2a9e282acf09d849e>"},
    {"edges_of_utf8", S, "81:<7fc280dfbfe0a080ed9fbfee8080efbfbff0908080f48fbfbf>",
     .out = "T:<7fc280dfbfe0a080ed9fbfee8080efbfbff0908080f48fbfbf>"},
    {"character_split_over_fragments", S, "01:<f0> 00:<9f> 00: 00:<98> 80:<80>", .out = "T:<f09f9880>"},
    {"lone_continuation_byte_is_refused", S, "81:'a'<80>", .out = "!1007", .rule = not_utf8},
    {"overlong_slash_is_refused", S, "81:<c0af>", .out = "!1007", .rule = not_utf8},
    {"overlong_three_is_refused", C, "81:<e09fbf>", .out = "!1007", .rule = not_utf8},
    {"overlong_four_is_refused", S, "81:<f08fbfbf>", .out = "!1007", .rule = not_utf8},
    {"surrogate_is_refused", S, "81:<eda080>", .out = "!1007", .rule = not_utf8},
    {"above_10ffff_is_refused", S, "81:<f4908080>", .out = "!1007", .rule = not_utf8},
    {"byte_fe_is_refused", S, "81:'abc'<fe>'def'", .out = "!1007", .rule = not_utf8},
    {"text_cut_inside_a_character_is_refused", S, "81:'a'<e282>", .out = "!1007", .rule = not_utf8},
    {"fragments_cut_inside_a_character_are_refused", S, "01:<e2> 80:<82>", .out = "!1007", .rule = not_utf8},
    {"unfinished_character_before_an_empty_end_is_refused", S, "01:<e282> 80:", .out = "!1007", .rule = not_utf8},
    {"character_broken_by_the_next_fragment_is_refused", S, "01:<e282> 80:'a'", .out = "!1007", .rule = not_utf8},
    {"bad_text_in_a_first_fragment_is_refused_at_once", S, "01:<ff>", .out = "!1007", .rule = not_utf8},
    {"bad_text_in_an_unfinished_frame_is_refused_at_once", S, "=81fe0400" KEY "ff", .out = "!1007", .rule = not_utf8},
    {"binary_is_not_text", S, "82:<fffec080>", .out = "B:<fffec080>"},
    {"text_state_does_not_leak_into_the_next", S, "01:<e2> 80:<82ac> 81:'a'", .out = "T:<e282ac> T:'a'"},

    /* ---- close, 5.5.1, 7.4 ---- */
    {"close_without_a_code", S, "88:", .out = "C1005:", .takes_no_memory = true},
    {"close_of_one_byte_is_refused", S, "88:<03>", .out = "!1002", .rule = close_of_one_byte},
    {"close_1000", S, "88:<03e8>", .out = "C1000:"},
    {"close_with_a_reason", C, "88:<03e9>'going'", .out = "C1001:'going'", .takes_no_memory = true},
    {"close_with_a_reason_of_123", S, "88:<03e8>'r'*123", .out = "C1000:'r'*123"},
    {"close_4999", S, "88:<1387>'mine'", .out = "C4999:'mine'"},
    {"close_1005_may_not_travel", S, "88:<03ed>", .out = "!1002", .rule = bad_code},
    {"close_1006_may_not_travel", C, "88:<03ee>", .out = "!1002", .rule = bad_code},
    {"close_1015_may_not_travel", S, "88:<03f7>", .out = "!1002", .rule = bad_code},
    {"close_999_is_refused", S, "88:<03e7>", .out = "!1002", .rule = bad_code},
    {"close_1016_is_refused", S, "88:<03f8>", .out = "!1002", .rule = bad_code},
    {"close_2999_is_refused", S, "88:<0bb7>", .out = "!1002", .rule = bad_code},
    {"close_5000_is_refused", S, "88:<1388>", .out = "!1002", .rule = bad_code},
    {"close_reason_is_utf8", S, "88:<03e8c3a9>", .out = "C1000:<c3a9>"},
    {"close_reason_not_utf8_is_refused", S, "88:<03e8>'a'<ff>", .out = "!1007", .rule = bad_reason},
    {"close_reason_cut_inside_a_character_is_refused", S, "88:<03e8e282>", .out = "!1007", .rule = bad_reason},
    {"data_after_close_is_passed_over", S, "88:<03e8> 81:'late' 89:'late'", .out = "C1000:"},
    {"garbage_after_close_is_passed_over", C, "88: =ffffffffffff", .out = "C1005:"},
    {"second_close_is_passed_over", S, "88:<03e8> 88:<03e9>", .out = "C1000:"},
    {"close_inside_a_fragmented_message", S, "01:'a' 88:<03e8> 80:'b'", .out = "C1000:"},
    {"close_inside_a_character", S, "01:<e2> 88:<03e8>", .out = "C1000:"},
    {"data_after_a_fault_is_passed_over", S, "83: 81:'late' 88:<03e8>", .out = "!1002", .rule = unknown_opcode},

    /* ---- limits ---- */
    {"message_at_the_limit", S, "82:'a'*16", .out = "B:'a'*16", .message_bytes_max = 16},
    {"message_over_the_limit_is_refused", S, "82:'a'*17", .out = "!1009", .rule = too_big, .message_bytes_max = 16,
     .takes_no_memory = true},
    {"fragments_at_the_limit", S, "02:'a'*8 80:'b'*8", .out = "B:'a'*8'b'*8", .message_bytes_max = 16},
    {"fragments_over_the_limit_are_refused", S, "02:'a'*8 80:'b'*9", .out = "!1009", .rule = too_big,
     .message_bytes_max = 16},
    {"first_fragment_over_the_limit_is_refused", C, "02:'a'*17", .out = "!1009", .rule = too_big,
     .message_bytes_max = 16, .takes_no_memory = true},
    {"empty_end_at_the_limit", S, "01:'a'*16 80:", .out = "T:'a'*16", .message_bytes_max = 16},
    {"one_byte_after_the_limit_is_refused", S, "01:'a'*16 00: 80:'b'", .out = "!1009", .rule = too_big,
     .message_bytes_max = 16},
    {"the_limit_is_of_each_message", S, "82:'a'*16 01:'b'*16 80: 82:'c'*16", .out = "B:'a'*16 T:'b'*16 B:'c'*16",
     .message_bytes_max = 16},
    {"control_frames_are_not_under_the_limit", S, "01:'a'*16 89:'p'*100 80:", .out = "P:'p'*100 T:'a'*16",
     .message_bytes_max = 16},
    {"empty_fragments_at_the_limit", S, "01: 00: 00: 80:'a'", .out = "T:'a'", .empty_fragments_max = 3},
    {"empty_fragments_over_the_limit_are_refused", S, "01: 00: 00: 00: 80:", .out = "!1008", .rule = empties,
     .empty_fragments_max = 3},
    {"empty_fragments_among_full_ones_count", S, "01:'a' 00: 00:'b' 00: 00: 00: 80:", .out = "!1008", .rule = empties,
     .empty_fragments_max = 3},
    {"empty_fragments_are_counted_per_message", C,
     "02: 00: 00: 80: 01: 00: 00: 80:", .out = "B: T:", .empty_fragments_max = 3},
    {"full_fragments_are_not_counted", S, "02:'a' 00:'b' 00:'c' 00:'d' 00:'e' 80:", .out = "B:'abcde'",
     .empty_fragments_max = 1},
};

const size_t session_case_count = sizeof session_cases / sizeof *session_cases;
