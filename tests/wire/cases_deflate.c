/*
 * The table of cases with permessage-deflate agreed on (RFC 7692). Unless a row says otherwise the peer keeps its
 * context, in a window of 32 KiB. Compressed payloads are given as bytes: f248cdc9c90700 is "Hello", f200110000 is
 * the same again.
 */
#include "cases.h"

#define S WF_WS_SERVER
#define C WF_WS_CLIENT

/* 100,000, 20,000 and 1,000 times one letter. */
#define A_100000_BEGIN                                                                                                 \
    "ecc13101000000c2a0aceb5fc21a1e40010000000000000000000000000000000000000000000000000000000000000000"
#define A_100000_END                                                                                                   \
    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"               \
    "000000000000000000000000000000af06"
#define A_100000 A_100000_BEGIN A_100000_END
#define A_1000   "4a4c1c05a360140c770000"
#define A_1001   "4a4c1c05a360140c7b0000"

/* Three bytes from 32,768 bytes back. */
#define BACK_32768 "<02deff0f00>"

static const char mark[] = "RFC7692/6.1: compressed mark on a control frame or a later fragment",
                  bits[] = "RFC6455/5.2: reserved bit set that no extension uses",
                  corrupt[] = "RFC7692/7.2.2: compressed data is corrupt", utf8[] = "RFC6455/8.1: text is not UTF-8",
                  inside_another[] = "RFC6455/5.4: new message inside a fragmented one",
                  too_big[] = "message over message_bytes_max", empties[] = "empty fragments over empty_fragments_max";

const session_case deflate_cases[] = {
    /* ---- what is compressed, RFC 7692 6, 7.2.3 ---- */
    {"compressed_text_is_inflated", S, "c1:<f248cdc9c90700>", .out = "T:'Hello'"},
    {"compressed_text_reaches_a_client", C, "c1:<f248cdc9c90700>", .out = "T:'Hello'"},
    {"compressed_binary_is_inflated", S, "c2:<f248cdc9c90700>", .out = "B:'Hello'"},
    {"plain_text_beside_it_is_legal", S, "81:'Hello'", .out = "T:'Hello'", .takes_no_memory = true},
    {"plain_between_compressed_leaves_the_context", S, "c1:<f248cdc9c90700> 81:'Hi' c1:<f200110000>",
     .out = "T:'Hello' T:'Hi' T:'Hello'"},
    {"a_message_refers_to_the_one_before", S, "c1:<f248cdc9c90700> c1:<f200110000>", .out = "T:'Hello' T:'Hello'"},
    {"a_message_of_a_server_refers_to_the_one_before", C, "c1:<f248cdc9c90700> c1:<f200110000>",
     .out = "T:'Hello' T:'Hello'"},
    {"a_reference_over_the_whole_window", S, "c2:<000080ff7f>'abc''x'*32765<00> c2:" BACK_32768,
     .out = "B:'abc''x'*32765 B:'abc'"},
    {"a_reference_over_the_whole_window_of_a_server", C, "c2:<000080ff7f>'abc''x'*32765<00> c2:" BACK_32768,
     .out = "B:'abc''x'*32765 B:'abc'"},
    {"a_reference_over_what_was_said_and_one_byte_more", S, "c2:<00ff7f0080>'abc''x'*32764<00> c2:" BACK_32768,
     .out = "B:'abc''x'*32764 !1007", .rule = corrupt},
    {"without_takeover_it_may_not", S, "c1:<f248cdc9c90700> c1:<f200110000>", .out = "T:'Hello' !1007", .rule = corrupt,
     .no_takeover = true},
    {"without_takeover_each_by_itself", S, "c1:<f248cdc9c90700> c1:<f248cdc9c90700>", .out = "T:'Hello' T:'Hello'",
     .no_takeover = true},
    {"a_stored_block", S, "c1:<000500faff48656c6c6f00>", .out = "T:'Hello'"},
    {"two_blocks", S, "c1:<f24805000000ffffcac9c90700>", .out = "T:'Hello'"},
    {"a_last_block", S, "c1:<f348cdc9c9070000>", .out = "T:'Hello'"},
    {"a_last_block_with_nothing_behind", S, "c1:<f348cdc9c90700>", .out = "T:'Hello'"},
    {"a_last_block_and_then_another_message", S, "c1:<f348cdc9c9070000> c1:<f200110000>", .out = "T:'Hello' T:'Hello'"},
    {"blocks_behind_a_last_one_refer_back", S, "c1:<cbcf4b5548cc4b51c887d20042a70100>",
     .out = "T:'one and one and one and one and '"},
    {"an_empty_message", S, "c1:<00>", .out = "T:"},
    {"an_empty_message_of_no_bytes_at_all", S, "c1:", .out = "T:"},
    {"an_empty_message_of_two_blocks", S, "c2:<000000ffff00>", .out = "B:"},
    {"an_empty_last_block", S, "c2:<0300>", .out = "B:"},
    {"an_empty_message_leaves_the_context", S, "c1:<f248cdc9c90700> c1:<00> c1: c1:<f200110000>",
     .out = "T:'Hello' T: T: T:'Hello'"},
    {"much_from_little", S, "c2:<" A_100000 ">", .out = "B:'a'*100000"},
    {"the_end_that_is_left_off_may_stand_there", S, "c1:<f248cdc9c907000000ffff00>", .out = "T:'Hello'"},

    /* ---- fragments ---- */
    {"fragments", S, "41:<f248> 00:<cd> 80:<c9c90700>", .out = "T:'Hello'"},
    {"empty_fragments_between", S, "41: 00:<f248cdc9> 00: 80:<c90700>", .out = "T:'Hello'"},
    {"an_empty_last_fragment", S, "41:<f248cdc9c90700> 80:", .out = "T:'Hello'"},
    {"nothing_in_fragments", S, "41: 00: 80:", .out = "T:"},
    {"a_ping_between_fragments", S, "41:<f248cd> 89:'p' 80:<c9c90700>", .out = "P:'p' T:'Hello'"},
    {"fragments_and_then_the_context", S, "41:<f248> 80:<cdc9c90700> c1:<f200110000>", .out = "T:'Hello' T:'Hello'"},
    {"a_close_ends_a_begun_message", S, "41:<f248cd> 88:<03e8>", .out = "C1000:"},

    /* ---- marks, 6.1, RFC 6455 5.2 ---- */
    {"mark_on_a_later_fragment", S, "41:<f248> c0:<cdc9c90700>", .out = "!1002", .rule = mark},
    {"mark_on_a_later_fragment_of_plain", S, "01:'a' c0:'b'", .out = "!1002", .rule = mark},
    {"mark_on_a_ping", S, "c9:'p'", .out = "!1002", .rule = mark},
    {"mark_on_a_pong", C, "ca:'p'", .out = "!1002", .rule = mark},
    {"mark_on_a_close", S, "c8:<03e8>", .out = "!1002", .rule = mark},
    {"rsv2", S, "a1:'a'", .out = "!1002", .rule = bits},
    {"rsv3", S, "91:'a'", .out = "!1002", .rule = bits},
    {"rsv1_with_rsv2", S, "e1:<00>", .out = "!1002", .rule = bits},
    {"rsv1_with_rsv3", C, "d1:<00>", .out = "!1002", .rule = bits},
    {"a_new_message_inside", S, "41:<f248> c1:<f248cdc9c90700>", .out = "!1002", .rule = inside_another},

    /* ---- corrupt data, 7.2.2 ---- */
    {"no_such_block", S, "c1:<07>", .out = "!1007", .rule = corrupt},
    {"a_stored_block_that_contradicts_itself", S, "c1:<000500000048656c6c6f00>", .out = "!1007", .rule = corrupt},
    {"cut_off_in_a_block", S, "c1:<f248cdc9>", .out = "!1007", .rule = corrupt},
    {"cut_off_in_a_stored_block", S, "c2:<000a00f5ff48>", .out = "!1007", .rule = corrupt},
    {"cut_off_in_the_lengths_of_a_stored_block", S, "41:<f248cdc9c907> 80:<000a>", .out = "!1007", .rule = corrupt},
    {"a_reference_to_before_the_first_message", S, "c1:<f200110000>", .out = "!1007", .rule = corrupt},
    {"garbage_behind_good", S, "c1:<f248cdc9c90700> c1:<ffffffff>", .out = "T:'Hello' !1007", .rule = corrupt},

    /* ---- text is judged inflated, RFC 6455 8.1 ---- */
    {"text_is_not_utf8", S, "c1:<fa9f48320000>", .out = "!1007", .rule = utf8},
    {"text_is_not_utf8_and_goes_on", S, "41:<fa9f4832> 00:<00>", .out = "!1007", .rule = utf8},
    {"a_character_is_cut_by_the_end", S, "c1:<3a0c00>", .out = "!1007", .rule = utf8},
    {"a_character_in_fragments", S, "41:<7ad4> 80:<b4a6b4281f00>",
     .out = "T:'\xe2\x82\xac"
            "uro'"},
    {"bytes_are_not_judged", S, "c2:<fa9f48320000>", .out = "B:<ff>'a'*50"},

    /* ---- limits ---- */
    {"as_long_as_allowed", S, "c1:<" A_1000 ">", .out = "T:'a'*1000", .message_bytes_max = 1000},
    {"one_byte_longer", S, "c1:<" A_1001 ">", .out = "!1009", .rule = too_big, .message_bytes_max = 1000},
    {"longer_before_it_is_corrupt", S, "c2:<4a4c043e>", .out = "!1009", .rule = too_big, .message_bytes_max = 1},
    {"a_bomb", S, "c2:<" A_100000 ">", .out = "!1009", .rule = too_big, .message_bytes_max = 99999},
    {"a_bomb_in_fragments", S, "42:<" A_100000_BEGIN "> 00:<" A_100000_END ">", .out = "!1009", .rule = too_big,
     .message_bytes_max = 500},
    {"a_bomb_over_two_messages", S, "c2:<" A_1000 "> c2:<" A_1001 ">", .out = "B:'a'*1000 !1009", .rule = too_big,
     .message_bytes_max = 1000},
    {"more_on_the_wire_than_could_be_needed", S, "c2:<00>*3000", .out = "!1009", .rule = too_big,
     .message_bytes_max = 100},
    {"more_on_the_wire_in_fragments", S, "42:<000000ffff>*200 00:<000000ffff>*100", .out = "!1009", .rule = too_big,
     .message_bytes_max = 20},
    {"blocks_of_nothing_within_it", S, "c2:<000000ffff>*200<00>", .out = "B:", .message_bytes_max = 20},
    {"blocks_of_nothing_where_there_is_no_limit", S, "c2:<000000ffff>*300<00>",
     .out = "B:", .message_bytes_max = INT64_MAX},
    {"too_many_empty_fragments", S, "41: 00: 00: 00:", .out = "!1008", .rule = empties, .empty_fragments_max = 3},
};

const size_t deflate_case_count = sizeof deflate_cases / sizeof *deflate_cases;
