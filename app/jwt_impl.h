/*
 * jwt_impl.h - what jwt.c and jwt_keys.c share.
 */
#ifndef APP_JWT_IMPL_H
#define APP_JWT_IMPL_H

#include "app/jwt.h"

#include <stdatomic.h>

#include <jose/cfg.h>

typedef struct jwt_key {
    json_t *jwk;     /* what its kind needs and `alg`, nothing else */
    const char *alg; /* the one it is for */
    char *kid;       /* NULL: it has none */
} jwt_key;

struct jwt_keys {
    atomic_uint refs;
    size_t count, passed_over;
    jwt_key list[JWT_KEYS_MAX];
};

/* A configuration of libjose that prints nothing; jose_cfg_decref. NULL: memory is out. Each is one call's own, for it
 * counts its references without care for threads. */
jose_cfg_t *jwt_silent(void);

#endif
