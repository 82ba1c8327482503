#include "app/pusher/dead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *push_dead_open(push_dead *dead, const char *path, uint64_t bytes_max) {
    struct stat is;
    *dead = (push_dead) {.fd = -1, .bytes_max = bytes_max};
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return strerror(errno);
    if (fstat(fd, &is) < 0 || !S_ISREG(is.st_mode)) {
        close(fd);
        return "it is no regular file";
    }
    dead->fd = fd;
    return NULL;
}

void push_dead_close(push_dead *dead) {
    if (dead->fd >= 0)
        close(dead->fd);
    dead->fd = -1;
}

static void put_field(push_text *lines, const char *name, weft_text value) {
    push_put_str(lines, ",\"");
    push_put_str(lines, name);
    push_put_str(lines, "\":");
    push_put_quoted(lines, value);
}

void push_dead_line(push_text *lines, const push_dead_post *post, uint64_t wall_ms) {
    char time[64];
    struct tm parts;
    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, &parts);
    size_t len = strftime(time, sizeof time, "{\"time\":\"%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(time + len, sizeof time - len, ".%03uZ\"", (unsigned)(wall_ms % 1000));
    push_put_str(lines, time);
    put_field(lines, "app", push_str(post->app));
    put_field(lines, "url", push_str(post->url));
    push_put_str(lines, ",\"status\":");
    push_put_number(lines, (uint64_t)post->status);
    put_field(lines, "error", push_str(post->error));
    put_field(lines, "body", post->body);
    push_put_str(lines, "}\n");
}

const char *push_dead_write(const push_dead *dead, weft_text lines) {
    struct stat is;
    if (dead->fd < 0)
        return "there is no --webhook-dead file";
    if (fstat(dead->fd, &is) < 0)
        return strerror(errno);
    if (is.st_nlink == 0)
        return "the file has been deleted: it is opened at the start alone";
    if ((uint64_t)is.st_size + lines.len > dead->bytes_max)
        return "the file is as long as it may get (--webhook-dead-max): move its lines elsewhere and empty it";
    ssize_t wrote;
    do
        wrote = write(dead->fd, lines.data, lines.len);
    while (wrote < 0 && errno == EINTR);
    const char *why = wrote < 0 ? strerror(errno) : "the disk is full";
    if (wrote == (ssize_t)lines.len)
        return fsync(dead->fd) < 0 ? strerror(errno) : NULL;
    if (wrote > 0 && ftruncate(dead->fd, is.st_size) < 0) /* no half of a line */
        why = strerror(errno);
    return why;
}
