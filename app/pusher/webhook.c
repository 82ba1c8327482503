#include "app/pusher/webhook.h"

#include "app/pusher/curl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CA_BYTES_MAX = 1 << 20, KINDS_ALL = (1 << (PUSH_COUNT + 1)) - 1 };

static const char *const note_names[] = {
    [PUSH_OCCUPIED] = "channel_occupied", [PUSH_VACATED] = "channel_vacated",
    [PUSH_MEMBER_ADDED] = "member_added", [PUSH_MEMBER_REMOVED] = "member_removed",
    [PUSH_CLIENT_EVENT] = "client_event", [PUSH_CACHE_MISS] = "cache_miss",
    [PUSH_COUNT] = "subscription_count",
};

static const char no_memory[] = "does not fit into memory";

const char *push_note_name(push_note note) {
    return note_names[note];
}

void push_webhooks_free(push_webhooks *hooks) {
    for (size_t i = 0; i < hooks->count; i++) {
        free(hooks->items[i].url);
        for (char **header = hooks->items[i].headers; *header; header++)
            free(*header);
    }
    free(hooks->ca);
    free(hooks->proxy);
    *hooks = (push_webhooks) {0};
}

/* ---- settings ---- */

static bool is_url(const push_curl *curl, const char *value, const char *const *schemes) {
    bool known = false;
    for (; *schemes; schemes++)
        known = known || strncmp(value, *schemes, strlen(*schemes)) == 0;
    CURLU *url = known ? curl->url() : NULL;
    bool good = url && curl->url_set(url, CURLUPART_URL, value, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
    curl->url_cleanup(url);
    return good;
}

static bool has_user(const push_curl *curl, const char *value) {
    char *user = NULL;
    CURLU *url = curl->url();
    if (url && curl->url_set(url, CURLUPART_URL, value, 0) == CURLUE_OK)
        curl->url_get(url, CURLUPART_USER, &user, 0);
    curl->url_cleanup(url);
    bool has = user != NULL;
    curl->free(user);
    return has;
}

static const char *set_url(push_webhooks *hooks, const char *value) {
    static const char *const schemes[] = {"http://", "https://", NULL};
    const char *why;
    const push_curl *curl = push_curl_get(&why);
    if (!curl)
        return why;
    if (!is_url(curl, value, schemes))
        return "takes http://HOST/PATH or https://HOST/PATH";
    if (has_user(curl, value))
        return "takes no user in its URL: use webhook_header = Authorization: ...";
    for (size_t i = 0; i < hooks->count; i++)
        if (strcmp(hooks->items[i].url, value) == 0)
            return "is given twice";
    if (hooks->count == PUSH_WEBHOOKS_MAX)
        return "is given more than 8 times";
    char *url = strdup(value);
    if (!url)
        return no_memory;
    hooks->items[hooks->count++] = (push_webhook) {.url = url, .kinds = KINDS_ALL};
    return NULL;
}

static const char *set_events(push_webhook *hook, const char *value) {
    uint32_t kinds = 0;
    for (const char *at = value; *(at += strspn(at, " ,"));) {
        size_t len = strcspn(at, " ,"), n = 0;
        while (n <= PUSH_COUNT && (strlen(note_names[n]) != len || memcmp(note_names[n], at, len) != 0))
            n++;
        if (n > PUSH_COUNT)
            return "takes some of channel_occupied channel_vacated member_added member_removed client_event cache_miss "
                   "subscription_count";
        kinds |= 1u << n;
        at += len;
    }
    if (kinds == 0)
        return "is empty";
    hook->kinds = kinds;
    return NULL;
}

/* What makes the request a webhook is ours to say. */
static bool is_ours(const char *header, size_t name_len) {
    static const char *const ours[] = {"content-type", "content-length",     "transfer-encoding",
                                       "expect",       "connection",         "host",
                                       "x-pusher-key", "x-pusher-signature", "proxy-authorization"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strlen(ours[i]) == name_len && strncasecmp(ours[i], header, name_len) == 0)
            return true;
    return false;
}

static const char *add_header(push_webhook *hook, const char *value) {
    size_t name = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~");
    const char *text = value + name + (value[name] == ':');
    text += strspn(text, " ");
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return "has a control character";
    if (name == 0 || value[name] != ':' || *text == '\0')
        return "takes NAME: VALUE";
    if (is_ours(value, name))
        return "is one that each webhook has already, or must not have";
    size_t count = 0;
    while (hook->headers[count])
        count++;
    if (count == PUSH_WEBHOOK_HEADERS_MAX)
        return "is given more than 8 times";
    hook->headers[count] = strdup(value);
    return hook->headers[count] ? NULL : no_memory;
}

/* Read now, as who may read it is not always who makes the posts. */
static const char *read_ca(push_webhooks *hooks, const char *path) {
    if (hooks->ca)
        return "is given twice";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat is;
    ssize_t len = -1;
    if (fd >= 0 && fstat(fd, &is) == 0 && S_ISREG(is.st_mode) && is.st_size <= CA_BYTES_MAX)
        hooks->ca = malloc((size_t)is.st_size + 1);
    if (hooks->ca)
        len = read(fd, hooks->ca, (size_t)is.st_size);
    if (fd >= 0)
        close(fd);
    if (len < 0)
        return "is no file of at most 1 MiB that can be read";
    hooks->ca[len] = '\0';
    hooks->ca_len = (size_t)len;
    return strstr(hooks->ca, "-----BEGIN CERTIFICATE-----") ? NULL : "has no certificate in it (PEM)";
}

static const char *set_proxy(push_webhooks *hooks, const char *value) {
    static const char *const schemes[] = {"http://", "https://", "socks5h://", "socks5://", NULL};
    const char *why;
    const push_curl *curl = push_curl_get(&why);
    if (!curl)
        return why;
    if (hooks->proxy)
        return "is given twice";
    if (!is_url(curl, value, schemes))
        return "takes http://HOST:PORT, https://..., socks5h://... or socks5://...";
    hooks->proxy = strdup(value);
    return hooks->proxy ? NULL : no_memory;
}

bool push_webhook_setting(const char *name) {
    static const char *const names[] = {"webhook", "webhook_events", "webhook_header", "webhook_ca", "webhook_proxy"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

const char *push_webhook_set(push_webhooks *hooks, const char *name, const char *value) {
    push_webhook *last = hooks->count > 0 ? &hooks->items[hooks->count - 1] : NULL;
    if (strcmp(name, "webhook") == 0)
        return set_url(hooks, value);
    if (strcmp(name, "webhook_ca") == 0)
        return read_ca(hooks, value);
    if (strcmp(name, "webhook_proxy") == 0)
        return set_proxy(hooks, value);
    if (!last)
        return "stands behind its webhook";
    return strcmp(name, "webhook_events") == 0 ? set_events(last, value) : add_header(last, value);
}

/* ---- events ---- */

void push_webhook_event(push_text *out, push_note note, weft_text channel, weft_text text) {
    push_put_str(out, "{\"name\":\"");
    push_put_str(out, note_names[note]);
    if (note == PUSH_CLIENT_EVENT) { /* the text is the object, but for its name */
        push_put_str(out, "\",");
        push_put(out, text.data + 1, text.len - 1);
        return;
    }
    push_put_str(out, "\",\"channel\":");
    push_put_quoted(out, channel);
    if (note == PUSH_MEMBER_ADDED || note == PUSH_MEMBER_REMOVED) {
        push_put_str(out, ",\"user_id\":");
        push_put_quoted(out, text);
    } else if (note == PUSH_COUNT) {
        push_put_str(out, ",\"subscription_count\":");
        push_put_text(out, text);
    }
    push_put_str(out, "}");
}
