/*
 * Messages as JSON and as server-sent events.
 */
#include "app/envelope.h"
#include "test.h"

#include <stdlib.h>

static app_text text;

static const char *envelope(weft_kind kind, const void *data, size_t len) {
    app_text_free(&text);
    app_envelope(&text, &(app_message) {7, kind, data, len, 0});
    CHECK(!text.failed);
    return text.data;
}

#define TEXT(s) envelope(WEFT_TEXT, s, sizeof(s) - 1)

TEST(text_is_a_string_of_json) {
    CHECK_STR(TEXT(""), "{\"offset\":7,\"data\":\"\"}");
    CHECK_STR(TEXT("hello"), "{\"offset\":7,\"data\":\"hello\"}");
    CHECK_STR(TEXT("a\"b\\c/d"), "{\"offset\":7,\"data\":\"a\\\"b\\\\c/d\"}");
    CHECK_STR(TEXT("\b\t\n\f\r"), "{\"offset\":7,\"data\":\"\\b\\t\\n\\f\\r\"}");
    CHECK_STR(envelope(WEFT_TEXT, "\0\x01\x1f\x7f", 4), "{\"offset\":7,\"data\":\"\\u0000\\u0001\\u001f\x7f\"}");
    CHECK_STR(TEXT("\xe2\x9c\x93 \xf0\x9f\x8e\x89"), "{\"offset\":7,\"data\":\"\xe2\x9c\x93 \xf0\x9f\x8e\x89\"}");
}

TEST(binary_is_base64) {
    CHECK_STR(envelope(WEFT_BINARY, "", 0), "{\"offset\":7,\"base64\":\"\"}");
    CHECK_STR(envelope(WEFT_BINARY, "f", 1), "{\"offset\":7,\"base64\":\"Zg==\"}");
    CHECK_STR(envelope(WEFT_BINARY, "fo", 2), "{\"offset\":7,\"base64\":\"Zm8=\"}");
    CHECK_STR(envelope(WEFT_BINARY, "foo", 3), "{\"offset\":7,\"base64\":\"Zm9v\"}");
    CHECK_STR(envelope(WEFT_BINARY, "foobar", 6), "{\"offset\":7,\"base64\":\"Zm9vYmFy\"}");
    CHECK_STR(envelope(WEFT_BINARY, "\xff\xfe\xfb", 3), "{\"offset\":7,\"base64\":\"//77\"}");
}

TEST(events_have_the_place_as_their_id) {
    app_place place = {"0123456789abcdef", 6};
    app_text json = {0}, event = {0};
    app_envelope_place(&json, &place, true);
    app_event(&event, &place, "joined", &json);
    CHECK_STR(event.data, "id: 0123456789abcdef:6\nevent: joined\n"
                          "data: {\"epoch\":\"0123456789abcdef\",\"offset\":6,\"recovered\":true}\n\n");
    app_text_free(&json);
    app_text_free(&event);
    app_envelope(&json, &(app_message) {7, WEFT_TEXT, (const uint8_t *)"two\nlines", 9, 0});
    app_event(&event, &(app_place) {"0123456789abcdef", 7}, NULL, &json);
    CHECK_STR(event.data, "id: 0123456789abcdef:7\ndata: {\"offset\":7,\"data\":\"two\\nlines\"}\n\n");
    app_text_free(&json);
    app_text_free(&event);
}

TEST(a_text_that_failed_stays_so) {
    app_text json = {.failed = true}, event = {0};
    app_text_add(&json, "x", 1);
    app_text_base64(&json, "x", 1);
    CHECK_EQ(json.len, 0);
    app_event(&event, &(app_place) {"0123456789abcdef", 7}, NULL, &json);
    CHECK(event.failed);
    app_text_free(&event);
    app_text_free(&text);
}
