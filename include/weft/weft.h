/*
 * weft/weft.h - all of it.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include <weft/blocking.h>
#include <weft/client.h>
#include <weft/conn.h>
#include <weft/limits.h>
#include <weft/request.h>
#include <weft/retry.h>
#include <weft/server.h>
#include <weft/stats.h>
#include <weft/status.h>
#include <weft/tls.h>

#endif
