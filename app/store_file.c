#include "app/store_file.h"

#include "app/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x77656674, VERSION = 1, BUSY_MS = 2000, PRUNED_AT_ONCE = 16 };

/* A byte far behind all that SQLite locks. */
static const off_t LOCK_AT = (off_t)1 << 60;

typedef enum statement {
    BEGIN,
    COMMIT,
    PUT_LOG,
    FORGET,
    PUT_MESSAGE,
    PRUNE_MESSAGES,
    PRUNE_LOGS,
    PAGES,
    WRITES, /* the number of those above */
    FIND_LOG = WRITES,
    READ_MESSAGES,
    STATEMENTS
} statement;

#define PRUNED "SELECT id FROM logs WHERE used < ?1 ORDER BY used LIMIT ?2"

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [PUT_LOG] = "INSERT INTO logs(name, epoch, last, used) VALUES(?1, ?2, ?3, ?4) ON CONFLICT(name) DO UPDATE SET "
                "epoch = excluded.epoch, last = excluded.last, used = excluded.used RETURNING id",
    [FORGET] = "DELETE FROM messages WHERE log = ?1 AND offset <= ?2",
    [PUT_MESSAGE] = "INSERT INTO messages(log, offset, at, kind, data) VALUES(?1, ?2, ?3, ?4, ?5)",
    [PRUNE_MESSAGES] = "DELETE FROM messages WHERE log IN (" PRUNED ")",
    [PRUNE_LOGS] = "DELETE FROM logs WHERE id IN (" PRUNED ")",
    [PAGES] = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, "
              "pragma_page_size",
    [FIND_LOG] = "SELECT id, epoch, last FROM logs WHERE name = ?1",
    [READ_MESSAGES] = "SELECT offset, at, kind, data FROM messages WHERE log = ?1 ORDER BY offset",
};

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE logs(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, "
    "last INTEGER NOT NULL, used INTEGER NOT NULL) STRICT;"
    "CREATE INDEX logs_by_use ON logs(used);"
    "CREATE TABLE messages(log INTEGER NOT NULL, offset INTEGER NOT NULL, at INTEGER NOT NULL, kind INTEGER NOT NULL, "
    "data BLOB NOT NULL, PRIMARY KEY(log, offset)) STRICT, WITHOUT ROWID;"
    "PRAGMA application_id = 0x77656674;"
    "PRAGMA user_version = 1;"
    "COMMIT";

/* The log grows while somebody else reads the file; what it took is given back when it begins anew. */
static const char writing[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304";

struct store_file {
    int lock; /* a descriptor: as long as it is open, the file is ours */
    sqlite3 *writer, *reader;
    pthread_mutex_t reading;
    sqlite3_stmt *statements[STATEMENTS];
    uint64_t bytes;
    char error[256], read_error[256]; /* of the connections, each with its thread or lock */
};

const char *store_file_error(const store_file *file) {
    return file->error;
}

static bool failed(store_file *file, sqlite3 *db, const char *doing) {
    snprintf(db && db == file->reader ? file->read_error : file->error, sizeof file->error, "cannot %s: %s", doing,
             sqlite3_errmsg(db));
    return false;
}

/* ---- open ---- */

static bool number(sqlite3 *db, const char *sql, int64_t *out) {
    sqlite3_stmt *prepared = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &prepared, NULL) == SQLITE_OK && sqlite3_step(prepared) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int64(prepared, 0);
    sqlite3_finalize(prepared);
    return ok;
}

static bool has_schema(store_file *file) {
    int64_t tables = 0, application = 0, version = 0;
    if (!number(file->writer, "SELECT count(*) FROM sqlite_schema", &tables) ||
        !number(file->writer, "PRAGMA application_id", &application) ||
        !number(file->writer, "PRAGMA user_version", &version))
        return failed(file, file->writer, "read it");
    if (tables == 0)
        return sqlite3_exec(file->writer, schema, NULL, NULL, NULL) == SQLITE_OK ||
               failed(file, file->writer, "begin it");
    if (application == APPLICATION_ID && version == VERSION)
        return true;
    snprintf(file->error, sizeof file->error,
             application == APPLICATION_ID ? "it is of another version of weft"
                                           : "it is the database of something else");
    return false;
}

static bool prepare_all(store_file *file) {
    for (int i = 0; i < STATEMENTS; i++) {
        sqlite3 *db = i < WRITES ? file->writer : file->reader;
        if (sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &file->statements[i], NULL) != SQLITE_OK)
            return failed(file, db, "read it");
    }
    return true;
}

/* A second process would count the same offsets. */
static bool lock_it(store_file *file, const char *path) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_AT, .l_len = 1};
    file->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file->lock < 0) {
        snprintf(file->error, sizeof file->error, "cannot open it: %s", strerror(errno));
        return false;
    }
    if (fcntl(file->lock, F_OFD_SETLK, &whole) == 0)
        return true;
    if (errno == EAGAIN || errno == EACCES)
        snprintf(file->error, sizeof file->error, "another process serves with it");
    else
        snprintf(file->error, sizeof file->error, "cannot lock it: %s", strerror(errno));
    return false;
}

static bool connect_to(store_file *file, const char *path, sqlite3 **out, const char *pragmas) {
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, out, flags, NULL) != SQLITE_OK)
        return failed(file, *out, "open it");
    sqlite3_busy_timeout(*out, BUSY_MS);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return sqlite3_exec(*out, pragmas, NULL, NULL, NULL) == SQLITE_OK || failed(file, *out, "open it");
}

store_file *store_file_open(const char *path, char *out_why, size_t cap) {
    store_file *file = calloc(1, sizeof *file);
    if (!file) {
        snprintf(out_why, cap, "%s: out of memory", path);
        return NULL;
    }
    pthread_mutex_init(&file->reading, NULL);
    if (lock_it(file, path) && connect_to(file, path, &file->writer, writing) && has_schema(file) &&
        connect_to(file, path, &file->reader, "PRAGMA query_only = 1") && prepare_all(file))
        return file;
    snprintf(out_why, cap, "%s: %s", path, file->error[0] ? file->error : file->read_error);
    store_file_close(file);
    return NULL;
}

void store_file_close(store_file *file) {
    if (!file)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(file->statements[i]);
    sqlite3_close(file->reader);
    sqlite3_close(file->writer);
    if (file->lock >= 0) /* behind the others: a close takes SQLite's locks away */
        close(file->lock);
    pthread_mutex_destroy(&file->reading);
    free(file);
}

/* ---- write ---- */

/* Runs one that gives no more than a row; the first column of that, when it is asked for. */
static bool run(store_file *file, statement which, const char *doing, int64_t *out) {
    sqlite3_stmt *prepared = file->statements[which];
    int got = sqlite3_step(prepared);
    if (got == SQLITE_ROW && out)
        *out = sqlite3_column_int64(prepared, 0);
    while (got == SQLITE_ROW)
        got = sqlite3_step(prepared);
    bool ok = got == SQLITE_DONE || failed(file, file->writer, doing);
    sqlite3_reset(prepared);
    return ok;
}

bool store_file_begin(store_file *file) {
    return run(file, BEGIN, "begin a transaction", NULL);
}

/* What is written to a file that nobody will find again is not stored. */
static bool in_place(store_file *file) {
    const char *path = sqlite3_db_filename(file->writer, "main");
    struct stat own, there;
    bool is = fstat(file->lock, &own) == 0 &&
              (stat(path, &there) == 0 ? own.st_dev == there.st_dev && own.st_ino == there.st_ino
                                       : errno != ENOENT && errno != ENOTDIR);
    if (is && (stat(sqlite3_filename_wal(path), &there) == 0 || errno != ENOENT))
        return true;
    snprintf(file->error, sizeof file->error, "%s was removed or replaced", is ? "its -wal file" : "it");
    return false;
}

bool store_file_commit(store_file *file) {
    return in_place(file) && run(file, COMMIT, "commit", NULL);
}

void store_file_rollback(store_file *file) {
    if (!sqlite3_get_autocommit(file->writer))
        sqlite3_exec(file->writer, "ROLLBACK", NULL, NULL, NULL);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool store_file_log(store_file *file, const char *name, const app_place *end, uint64_t outlived, int64_t *out_id) {
    sqlite3_stmt *put = file->statements[PUT_LOG], *forget = file->statements[FORGET];
    sqlite3_bind_text(put, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(put, 2, end->epoch, -1, SQLITE_STATIC);
    sqlite3_bind_int64(put, 3, (int64_t)end->offset);
    sqlite3_bind_int64(put, 4, now_ms());
    if (!run(file, PUT_LOG, "write", out_id))
        return false;
    sqlite3_bind_int64(forget, 1, *out_id);
    sqlite3_bind_int64(forget, 2, (int64_t)outlived);
    return outlived == 0 || run(file, FORGET, "delete", NULL);
}

bool store_file_message(store_file *file, int64_t log, const app_message *message) {
    sqlite3_stmt *put = file->statements[PUT_MESSAGE];
    sqlite3_bind_int64(put, 1, log);
    sqlite3_bind_int64(put, 2, (int64_t)message->offset);
    sqlite3_bind_int64(put, 3, (int64_t)message->at_ms);
    sqlite3_bind_int(put, 4, message->kind);
    sqlite3_bind_blob64(put, 5, message->len > 0 ? (const void *)message->data : "", message->len, SQLITE_STATIC);
    return run(file, PUT_MESSAGE, "write", NULL);
}

static bool measure(store_file *file) {
    int64_t bytes = 0;
    bool ok = run(file, PAGES, "measure it", &bytes);
    file->bytes = (uint64_t)bytes;
    return ok;
}

uint64_t store_file_bytes(const store_file *file) {
    return file->bytes;
}

/* Up to so many, the one written longest ago first. */
static bool prune(store_file *file, uint64_t before_ms, int count) {
    static const statement both[] = {PRUNE_MESSAGES, PRUNE_LOGS};
    for (int i = 0; i < 2; i++) {
        sqlite3_bind_int64(file->statements[both[i]], 1, (int64_t)before_ms);
        sqlite3_bind_int64(file->statements[both[i]], 2, count);
        if (!run(file, both[i], "delete", NULL))
            return false;
    }
    return true;
}

/* One by one: none goes that need not. */
static bool shrink(store_file *file, uint64_t bytes_max, bool *out_more) {
    for (int count = 0; count < PRUNED_AT_ONCE && file->bytes > bytes_max; count++) {
        if (!prune(file, INT64_MAX, 1) || !measure(file))
            return false;
        *out_more = sqlite3_changes(file->writer) > 0 && file->bytes > bytes_max;
        if (!*out_more)
            break;
    }
    return true;
}

bool store_file_prune(store_file *file, uint64_t before_ms, uint64_t bytes_max, bool *out_more) {
    *out_more = false;
    if (!measure(file))
        return false;
    if (file->bytes <= bytes_max && before_ms == 0)
        return true;
    if (!store_file_begin(file) || !prune(file, before_ms, PRUNED_AT_ONCE))
        return false;
    *out_more = sqlite3_changes(file->writer) > 0;
    return measure(file) && shrink(file, bytes_max, out_more) && store_file_commit(file);
}

/* ---- read ---- */

static bool read_messages(store_file *file, int64_t id, app_past *log, const app_place *end) {
    sqlite3_stmt *read = file->statements[READ_MESSAGES];
    app_place before = *end;
    int got;
    sqlite3_bind_int64(read, 1, id);
    for (bool first = true; (got = sqlite3_step(read)) == SQLITE_ROW; first = false) {
        app_message message = {.offset = (uint64_t)sqlite3_column_int64(read, 0),
                               .at_ms = (uint64_t)sqlite3_column_int64(read, 1),
                               .kind = sqlite3_column_int(read, 2) == WEFT_TEXT ? WEFT_TEXT : WEFT_BINARY,
                               .data = sqlite3_column_blob(read, 3),
                               .len = (size_t)sqlite3_column_bytes(read, 3)};
        before.offset = message.offset - 1;
        if (first)
            app_past_begin_at(log, &before);
        if (message.offset == 0 || message.offset > end->offset || !app_past_restore(log, &message))
            break;
    }
    sqlite3_reset(read);
    if (got == SQLITE_ROW)
        snprintf(file->read_error, sizeof file->read_error, "cannot read it: out of memory, or it makes no sense");
    else if (got != SQLITE_DONE)
        failed(file, file->reader, "read it");
    return got == SQLITE_DONE;
}

/* 1: it is there. */
static int find_log(store_file *file, const char *name, int64_t *out_id, app_place *out_end) {
    sqlite3_stmt *find = file->statements[FIND_LOG];
    sqlite3_bind_text(find, 1, name, -1, SQLITE_STATIC);
    int got = sqlite3_step(find);
    char text[APP_EPOCH_LEN + 24];
    bool sound = true;
    if (got == SQLITE_ROW) {
        const unsigned char *epoch = sqlite3_column_text(find, 1);
        snprintf(text, sizeof text, "%s:%lld", epoch ? (const char *)epoch : "",
                 (long long)sqlite3_column_int64(find, 2));
        *out_id = sqlite3_column_int64(find, 0);
        sound = app_place_parse(text, out_end);
    }
    sqlite3_reset(find);
    if (!sound)
        snprintf(file->read_error, sizeof file->read_error, "cannot read it: a log makes no sense");
    else if (got != SQLITE_ROW && got != SQLITE_DONE)
        failed(file, file->reader, "read it");
    return !sound ? -1 : got == SQLITE_ROW ? 1 : got == SQLITE_DONE ? 0 : -1;
}

/* Both in one transaction: what one says fits the other. */
bool store_file_load(store_file *file, const char *name, app_past *log) {
    int64_t id;
    app_place end;
    pthread_mutex_lock(&file->reading);
    bool ok =
        sqlite3_exec(file->reader, "BEGIN", NULL, NULL, NULL) == SQLITE_OK || failed(file, file->reader, "read it");
    int found = ok ? find_log(file, name, &id, &end) : -1;
    ok = found == 0 || (found == 1 && read_messages(file, id, log, &end));
    if (found == 1 && ok && app_past_end(log).offset != end.offset)
        app_past_begin_at(log, &end);
    if (!sqlite3_get_autocommit(file->reader))
        sqlite3_exec(file->reader, "COMMIT", NULL, NULL, NULL);
    if (!ok)
        app_log(APP_ERROR, "the store cannot be read", "log", name, "error", file->read_error, NULL);
    pthread_mutex_unlock(&file->reading);
    return ok;
}
