/*
 * store_file.h - the file of a store: what SQLite is told. Two connections to it: one writes, on one thread; one reads,
 * under a lock, and never waits for the other.
 *
 *     logs      id, name, epoch, last (offset), used (ms since 1970)
 *     messages  log, offset, at (ms since 1970), kind, data
 */
#ifndef APP_STORE_FILE_H
#define APP_STORE_FILE_H

#include "app/history.h"

typedef struct store_file store_file;

enum { STORE_NAME_MAX = 400 };

/* NULL: why. Makes what is not there. */
store_file *store_file_open(const char *path, char *out_why, size_t cap);
void store_file_close(store_file *file); /* NULL is accepted */

/* Where one returns false, store_file_error tells why; the transaction is then to be rolled back. */
const char *store_file_error(const store_file *file);

bool store_file_begin(store_file *file);
bool store_file_commit(store_file *file);
void store_file_rollback(store_file *file);

/* A log is there, and now ends here; up to `outlived` it has forgotten its messages. */
bool store_file_log(store_file *file, const char *name, const app_place *end, uint64_t outlived, int64_t *out_id);
bool store_file_message(store_file *file, int64_t log, const app_message *message);

/* Deletes some of the logs that were last written before then, or as long as the file has more bytes than it may. */
bool store_file_prune(store_file *file, uint64_t before_ms, uint64_t bytes_max, bool *out_more);
uint64_t store_file_bytes(const store_file *file); /* as of the last prune */

/* Fills a log from what is stored under this name, if there is something. Any thread. */
bool store_file_load(store_file *file, const char *name, app_past *log);

#endif
