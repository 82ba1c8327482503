/*
 * room_rights.h - the claim of a token that says what its bearer may do in which rooms:
 *
 *     "rooms": {"join": ["lobby", "team-*"], "publish": "lobby"}
 *
 * Each is a name, a prefix that ends in '*', or an array of these. To join is to hear, by whatever transport; to
 * publish is to say something. Neither comes with the other, and what is not named is not allowed.
 */
#ifndef APP_ROOM_RIGHTS_H
#define APP_ROOM_RIGHTS_H

#include <stdbool.h>

#include <jansson.h>

typedef enum room_right { ROOM_JOIN, ROOM_PUBLISH } room_right;

enum { ROOM_PATTERNS_MAX = 64 }; /* for each right */

/* NULL: the claim can be understood, or is not there. Else what is wrong, as jwt_verify says it. */
const char *room_rights_judge(const json_t *claims);

/* Of claims that were judged. */
bool room_rights_have(const json_t *claims, room_right right, const char *room);

#endif
