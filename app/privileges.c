/*
 * A key that only root can read must be read again when it changes, and nobody else shall be able to. Capabilities
 * belong to threads: the one that looks after the certificates keeps the right to read, and those that talk to peers
 * do not.
 */
#include "app/privileges.h"

#include "app/log.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint32_t kept_capability; /* a mask; 0: none */

/* A unix socket is for a proxy beside us, which is seldom the same user: anyone on this machine may connect, as they
 * may to a loopback port. It becomes ours to be, so that it can be removed where the folder allows it. */
static void open_socket_files(const char *const *addresses, const struct passwd *owner) {
    for (size_t i = 0; addresses[i]; i++) {
        const char *path = addresses[i] + strlen("unix:");
        if (strncmp(addresses[i], "unix:", strlen("unix:")) != 0 || path[0] == '@')
            continue;
        if (chmod(path, 0666) < 0 || (owner && chown(path, owner->pw_uid, owner->pw_gid) < 0))
            app_log(APP_ERROR, "the socket may not be reachable", "path", path, "error", strerror(errno), NULL);
    }
}

/* Another user's files can be read with one of these; a container may have taken the first. */
static const unsigned readers[] = {CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE};

static void keep_capabilities(uint32_t kept) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};
    syscall(SYS_capset, &head, data); /* of this thread alone; that there are none to keep is no matter */
}

static uint32_t reading_capability(void) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};
    if (syscall(SYS_capget, &head, data) < 0)
        return 0;
    for (size_t i = 0; i < sizeof readers / sizeof readers[0]; i++)
        if (data[0].permitted & CAP_TO_MASK(readers[i]))
            return CAP_TO_MASK(readers[i]);
    return 0;
}

void app_read_no_more(void) {
    if (kept_capability)
        keep_capabilities(0);
}

bool app_drop_privileges(const app_config *config, bool reads_keys) {
    const char *user = config->user;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (geteuid() != 0) {
        open_socket_files(config->listen, NULL);
        open_socket_files(config->listen_plain, NULL);
        if (user)
            app_log(APP_ERROR, "--user needs root", "user", user, NULL);
        return user == NULL;
    }
    const char *name = user ? user : "nobody";
    struct passwd *who = getpwnam(name);
    if (!who) {
        app_log(APP_ERROR, "no such user", "user", name, NULL);
        return false;
    }
    open_socket_files(config->listen, who);
    open_socket_files(config->listen_plain, who);
    if (who->pw_uid == 0)
        return true;
    kept_capability = reads_keys ? reading_capability() : 0;
    prctl(PR_SET_KEEPCAPS, kept_capability != 0, 0, 0, 0);
    if (setgroups(0, NULL) < 0 || setgid(who->pw_gid) < 0 || setuid(who->pw_uid) < 0) {
        app_log(APP_ERROR, "cannot become user", "user", name, "error", strerror(errno), NULL);
        return false;
    }
    if (kept_capability)
        keep_capabilities(kept_capability);
    app_log(APP_DEBUG, "privileges dropped", "user", name, NULL);
    return true;
}
