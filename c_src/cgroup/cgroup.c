/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "cgroup/claim.h"
#include "cgroup/controllers.h"

#define PATH_LONGEST 1024u      /* bytes */
#define STALE_MOST_US 10000000u /* for killing what dead helpers have left */
#define SHOWN_MOST 300          /* bytes of a wrong one, so that there is room for the words */

/* ---- Killing and removing what is in a directory ---- */

static int open_events(int directory)
{
    return openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
}

/* False, too, when it can't be read: then the directory has been removed, and nobody is in it. */
static bool says(int events, const char *key)
{
    uint64_t value = 0;

    return cgroup_number_in(events, key, &value) && value != 0;
}

static bool is_populated(int directory)
{
    int events = open_events(directory);
    bool populated = says(events, "populated");

    io_close(&events);
    return populated;
}

/* The kernel tells of a change since the last read of cgroup.events by POLLPRI (cgroup-v2.rst, "[Un]populated
 * Notification"), and may hold such news back for 10 ms. */
static void wait_for_news(int events, int ms)
{
    struct pollfd changed = {.fd = events, .events = POLLPRI};

    (void)poll(&changed, 1, ms);
}

static bool members(int directory, void (*visit)(pid_t pid, void *context), void *context)
{
    int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && platform_pids(fd, visit, context);

    io_close(&fd);
    return whole;
}

static void kill_member(pid_t pid, void *context)
{
    (void)context;
    if (pid > 1)
        (void)kill(pid, SIGKILL);
}

static bool kill_each(int directory, const char *name, void *context)
{
    int fd = cgroup_directory(directory, name);

    (void)context;
    if (fd >= 0) {
        (void)members(fd, kill_member,
                      NULL); /* however many: who is passed over forks again when the others are dead */
        cgroup_children(fd, kill_each, NULL);
        (void)close(fd);
    }
    return true;
}

/* Visits that with as many descriptors as there can be, for it takes one for each level of what is nested. The limit
 * is the program's, too, and so is put back. */
static void at_any_depth(bool (*visit)(int directory, const char *name, void *context), int directory, const char *name)
{
    struct rlimit limit;
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;

    if (known)
        (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max});
    (void)visit(directory, name, NULL);
    if (known)
        (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Before Linux 5.14. What is frozen can't fork, and its pid can't become a stranger's: it ends by nothing but a
 * kill. */
static void freeze_and_kill(int directory)
{
    int events = open_events(directory);

    if (cgroup_write(directory, "cgroup.freeze", "1"))
        for (int tries = 0; !says(events, "frozen") && says(events, "populated") && tries < 100; tries++)
            wait_for_news(events, 10);
    at_any_depth(kill_each, directory, ".");
    (void)cgroup_write(directory, "cgroup.freeze", "0");
    io_close(&events);
}

/* Whether the kernel has killed all that is there, whoever's it is. */
static bool kill_all(int directory, unsigned without)
{
    if ((without & WITHOUT_CGROUP_KILL) == 0 && cgroup_write(directory, "cgroup.kill", "1"))
        return true;
    freeze_and_kill(directory);
    return false;
}

/* Those who are killed are gone as soon as the kernel has run them. What isn't in time hangs in the kernel, or is
 * not ours to kill. */
static bool empty(int directory, const struct cgroup *cgroup)
{
    int events = open_events(directory);
    bool populated;

    do {
        (void)kill_all(directory, cgroup->without);
        populated = says(events, "populated");
        if (populated)
            wait_for_news(events, 10);
    } while (populated && io_now_us() < cgroup->deadline);
    io_close(&events);
    return !populated;
}

static bool remove_below(int directory, const char *name, void *context)
{
    int fd = cgroup_directory(directory, name);

    if (fd < 0 && errno == EACCES && fchmodat(directory, name, 0755, 0) == 0)
        fd = cgroup_directory(directory, name); /* its maker had closed it to himself */
    (void)context;
    if (fd >= 0) {
        cgroup_children(fd, remove_below, NULL);
        (void)close(fd);
    }
    (void)unlinkat(directory, name, AT_REMOVEDIR);
    return true;
}

static bool remove_at_any_depth(int directory, const char *name, void *context)
{
    (void)context;
    at_any_depth(remove_below, directory, name);
    return true;
}

/* ---- What dead helpers have left ---- */

/* What nobody holds any more is killed; and removed, where it was made. */
static bool remove_stale(int parent, const char *name, void *context)
{
    const struct cgroup *cgroup = context;
    int fd = cgroup_directory(parent, name);
    enum claim claim = fd >= 0 ? claim_of(fd) : CLAIM_NONE;

    if (claim != CLAIM_NONE && claim_lock(fd, false, parent, name) && empty(fd, cgroup)) {
        if (claim == CLAIM_MADE)
            at_any_depth(remove_below, parent, name);
        else
            claim_used(fd, false);
    }
    io_close(&fd);
    return true;
}

/* ---- Making it ---- */

static bool bad_path(const char *path, const char *why_not, struct failure *why)
{
    return failed(why, STAGE_CGROUP, EINVAL,
                  "'%.*s' is no cgroup's path: %s; it is relative to where cgroup2 is mounted, as in mygroup/test",
                  SHOWN_MOST, path, why_not);
}

bool cgroup_check_path(const char *path, struct failure *why)
{
    unsigned parts = 0;

    if (path[0] == '\0')
        return bad_path(path, "it is empty", why);
    if (path[0] == '/')
        return bad_path(path, "it begins with a slash", why);
    if (strlen(path) > PATH_LONGEST)
        return bad_path(path, "it is too long", why);
    for (const char *at = path;; at++) {
        size_t size = strcspn(at, "/");

        if (++parts > PARTS_MOST)
            return bad_path(path, "it has more than 32 parts", why);
        if (size == 0)
            return bad_path(path, "a part of it is empty", why);
        if (size > 255)
            return bad_path(path, "a part of it is longer than 255 bytes", why);
        if (at[0] == '.' && (size == 1 || (size == 2 && at[1] == '.')))
            return bad_path(path, "it has . or .. in it", why);
        at += size;
        if (*at == '\0')
            return true;
    }
}

static bool cannot(const char *what, const struct cgroup *cgroup, size_t size, int error, struct failure *why)
{
    const char *remedy;

    switch (error) {
    case EACCES:
    case EPERM:
        remedy =
            " (an administrator makes one for you: sudo cgcreate -a $USER -t $USER -g memory,cpu,pids:NAME, and then "
            "NAME/... is a path that you may use)";
        break;
    case EROFS:
        remedy =
            " (the cgroup file system is mounted read-only, as in many containers: mount -o remount,rw it, or run the "
            "container with a writable one)";
        break;
    case EAGAIN:
        remedy = " (cgroup.max.descendants or cgroup.max.depth of a cgroup above limits how many there may be)";
        break;
    default:
        remedy = "";
    }
    return failed(why, STAGE_CGROUP, error, "cannot %s the cgroup %s/%.*s: %s%s", what, cgroup->mount, (int)size,
                  cgroup->path, strerror(error), remedy);
}

/* The next part of the path as text of its own; `at` moves behind it. */
static void next_part(const char **at, char part[256])
{
    size_t size = strcspn(*at, "/");

    format(part, 256, "%.*s", (int)size, *at);
    *at += size + ((*at)[size] == '/');
}

/* A directory on the way, made where it isn't there. One that was made by a helper is held until our end; another
 * helper's program may live in it, if we are one of its, and then it is that helper's. */
static int open_part(struct cgroup *cgroup, int parent, const char *name)
{
    int fd = cgroup_directory(parent, name);

    if (fd < 0 && errno == ENOENT && claim_make(parent, name))
        fd = cgroup_directory(parent, name);
    if (fd < 0 || claim_of(fd) != CLAIM_MADE)
        return fd;
    if (!claim_lock_soon(fd, true, parent, name)) {
        if (errno == EWOULDBLOCK)
            return fd;
        io_close(&fd);
        errno = ENOENT;
        return -1;
    }
    cgroup->held[cgroup->held_count++] = fd;
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* The directory above the cgroup's own, made where it isn't there, with the controllers enabled all the way down. -1
 * with errno, and how far it came in *reached. */
static int open_parent(struct cgroup *cgroup, struct controllers *controllers, char name[256], size_t *reached)
{
    const char *at = cgroup->path;
    int directory = cgroup_directory(cgroup->root, ".");

    for (;;) {
        int next;

        if (directory < 0)
            return -1;
        controllers_enable(controllers, directory, *reached);
        next_part(&at, name);
        *reached = (size_t)(at - cgroup->path);
        if (*at == '\0')
            return directory;
        --*reached;
        next = open_part(cgroup, directory, name);
        (void)close(directory);
        directory = next;
    }
}

/* Removes the directories above that were made and that nobody needs. */
static void remove_parents(const struct cgroup *cgroup)
{
    char above[PATH_LONGEST + 1];
    char *slash;

    format(above, sizeof above, "%s", cgroup->path);
    while ((slash = strrchr(above, '/'))) {
        int fd;

        *slash = '\0';
        fd = cgroup_directory(cgroup->root, above);
        if (fd >= 0 && claim_of(fd) == CLAIM_MADE && claim_lock(fd, false, cgroup->root, above))
            (void)unlinkat(cgroup->root, above, AT_REMOVEDIR);
        io_close(&fd);
    }
}

static void let_go(const struct cgroup *cgroup)
{
    for (unsigned i = 0; i < cgroup->held_count; i++)
        claim_unlock(cgroup->held[i]);
    remove_parents(cgroup);
}

static void drop_held(struct cgroup *cgroup)
{
    let_go(cgroup);
    while (cgroup->held_count > 0)
        io_close(&cgroup->held[--cgroup->held_count]);
}

static bool not_bare(int directory, const char *name, void *context)
{
    bool *bare = context;

    (void)directory;
    (void)name;
    *bare = false;
    return false;
}

static bool in_use(const struct cgroup *cgroup, struct failure *why)
{
    return failed(why, STAGE_CGROUP, EBUSY,
                  "the cgroup %s/%s is in use by another muontrap, which lives: give each program a path of its own",
                  cgroup->mount, cgroup->path);
}

static bool populated_by_others(const struct cgroup *cgroup, struct failure *why)
{
    return failed(why, STAGE_CGROUP, EBUSY,
                  "the cgroup %s/%s holds processes already, which are left alone: give a path of its own, or end them "
                  "first (echo 1 >%s/%s/cgroup.kill)",
                  cgroup->mount, cgroup->path, cgroup->mount, cgroup->path);
}

static bool cannot_empty(const struct cgroup *cgroup, struct failure *why)
{
    return failed(why, STAGE_CGROUP, EBUSY,
                  "processes that a dead muontrap has left in the cgroup %s/%s could not be killed within 10 s",
                  cgroup->mount, cgroup->path);
}

/* One that was there before us, locked: to be used when nobody is in it but who was left by a dead helper. */
static bool use(struct cgroup *cgroup, enum claim claim, struct failure *why)
{
    if (claim == CLAIM_USED && !empty(cgroup->directory, cgroup))
        return cannot_empty(cgroup, why);
    if (is_populated(cgroup->directory))
        return populated_by_others(cgroup, why);
    /* A process can be made in it all the same, but not be killed with it. */
    if (faccessat(cgroup->directory, "cgroup.procs", W_OK, 0) < 0 && errno == EROFS)
        return cannot("use", cgroup, strlen(cgroup->path), errno, why);
    cgroup->bare = true;
    cgroup_children(cgroup->directory, not_bare, &cgroup->bare);
    claim_used(cgroup->directory, true);
    return true;
}

/* Whether such an error may be somebody else's doing, who removes what was found here, or makes what was not. */
static bool worth_another_try(int error)
{
    return error == ENOENT || error == ENODEV || error == EEXIST;
}

enum found { FOUND, FAILED, AGAIN };

/* The directory, found or made, and locked. */
static enum found take(struct cgroup *cgroup, int parent, const char *name, struct failure *why)
{
    bool made = claim_make(parent, name);
    enum claim claim;

    if (!made && errno != EEXIST)
        return AGAIN;
    cgroup->directory = cgroup_directory(parent, name);
    if (cgroup->directory < 0) {
        int error = errno;

        if (made)
            (void)unlinkat(parent, name, AT_REMOVEDIR);
        errno = error;
        return AGAIN;
    }
    if (!claim_lock_soon(cgroup->directory, false, parent, name)) {
        if (errno != EWOULDBLOCK)
            return AGAIN;
        (void)in_use(cgroup, why);
        return FAILED;
    }
    if (made) {
        cgroup->made = true;
        return FOUND;
    }
    claim = claim_of(cgroup->directory);
    if (claim != CLAIM_MADE)
        return use(cgroup, claim, why) ? FOUND : FAILED;
    /* A dead helper's, or one that its maker is about to lock, who will have to try again, too. */
    if (!empty(cgroup->directory, cgroup)) {
        (void)cannot_empty(cgroup, why);
        return FAILED;
    }
    at_any_depth(remove_below, parent, name);
    errno = EEXIST;
    return AGAIN;
}

/* Until there is a directory that is ours. */
static bool find_or_make(struct cgroup *cgroup, struct controllers *controllers, struct failure *why)
{
    char name[256];

    for (int tries = 0; tries < 1000; tries++) {
        size_t reached = 0;
        int parent = open_parent(cgroup, controllers, name, &reached);
        enum found found = AGAIN;
        int error = errno;

        if (parent >= 0) {
            cgroup_children(parent, remove_stale, cgroup);
            found = take(cgroup, parent, name, why);
            error = errno;
            (void)close(parent);
        }
        if (found == FOUND)
            return true;
        io_close(&cgroup->directory);
        drop_held(cgroup);
        if (found == FAILED)
            return false;
        if (!worth_another_try(error))
            return cannot("make", cgroup, reached, error, why);
    }
    return failed(why, STAGE_CGROUP, EBUSY, "the cgroup %s/%s is removed by others as often as it is made",
                  cgroup->mount, cgroup->path);
}

static bool cannot_set(const struct cgroup *cgroup, const struct setting *setting, int error, struct failure *why)
{
    const char *remedy = "";

    switch (error) {
    case ENOENT:
        remedy =
            " (this kernel doesn't have that file, or only in a cgroup with another controller or below the root: ls "
            "shows what there is)";
        break;
    case EINVAL:
    case ERANGE:
    case EOPNOTSUPP:
        remedy = " (the kernel doesn't take that value: cgroup-v2.rst of its documentation says which it does)";
        break;
    case EACCES:
    case EPERM:
        remedy = " (the file belongs to somebody else: chown it, or have cgcreate -a $USER make the cgroup)";
        break;
    default:
        break;
    }
    return failed(why, STAGE_CGROUP, error, "cannot set %s/%s/%s to '%s': %s%s", cgroup->mount, cgroup->path,
                  setting->key, setting->value, strerror(error), remedy);
}

static bool apply(const struct cgroup *cgroup, const struct settings *settings, struct failure *why)
{
    for (unsigned i = 0; i < settings->count; i++)
        if (!cgroup_write(cgroup->directory, settings->list[i].key, settings->list[i].value))
            return cannot_set(cgroup, &settings->list[i], errno, why);
    return true;
}

/* A process that is made in one that is frozen doesn't run, not even as far as execve(2), and whoever waits for that
 * waits for ever. */
static bool check_frozen(const struct cgroup *cgroup, struct failure *why)
{
    if (!says(cgroup->events, "frozen"))
        return true;
    return failed(why, STAGE_CGROUP, EBUSY,
                  "the cgroup %s/%s is frozen, and nothing would run in it: echo 0 >cgroup.freeze, there or above",
                  cgroup->mount, cgroup->path);
}

static void note_figures(struct cgroup *cgroup)
{
    (void)cgroup_number(cgroup->directory, "memory.events", "oom_kill", &cgroup->oom_kills);
    (void)cgroup_number(cgroup->directory, "cpu.stat", "user_usec", &cgroup->user_us);
    (void)cgroup_number(cgroup->directory, "cpu.stat", "system_usec", &cgroup->system_us);
}

static bool find_root(struct cgroup *cgroup, const struct options *options, struct failure *why)
{
    cgroup->path = options->group;
    cgroup->root = cgroup->directory = cgroup->events = -1;
    cgroup->without = options->without;
    cgroup->deadline = io_now_us() + STALE_MOST_US;
    if (!cgroup_check_path(options->group, why))
        return false;
    if (!cgroup_mount_find(cgroup->mount))
        return failed(why, STAGE_CGROUP, ENODEV,
                      "no cgroup2 file system is mounted, so there are no cgroups: mount it as root with "
                      "'mount -t cgroup2 cgroup2 /sys/fs/cgroup', or do without a cgroup");
    cgroup->root = cgroup_directory(AT_FDCWD, cgroup->mount);
    if (cgroup->root < 0)
        return failed(why, STAGE_CGROUP, errno, "cannot open %s, where cgroup2 is mounted: %s", cgroup->mount,
                      strerror(errno));
    return true;
}

bool cgroup_open(struct cgroup *cgroup, const struct options *options, struct failure *why)
{
    static struct settings settings;
    struct controllers controllers;
    struct failure ignored;

    if (!find_root(cgroup, options, why) || !legacy_translate(&settings, options->sets, options->set_count, why) ||
        !controllers_gather(&controllers, options, &settings, why))
        return false;
    if (!find_or_make(cgroup, &controllers, why))
        return false;
    cgroup->events = open_events(cgroup->directory);
    if (check_frozen(cgroup, why) &&
        controllers_check(&controllers, cgroup->directory, cgroup->mount, cgroup->path, why) &&
        apply(cgroup, &settings, why)) {
        note_figures(cgroup);
        return true;
    }
    (void)cgroup_remove(cgroup, &ignored);
    return false;
}

/* ---- A child inside ---- */

/* clone3(2) of Linux 5.3, with CLONE_INTO_CGROUP of 5.7: the process is made where it belongs, for half of what
 * moving it costs. The kernel's headers are not there for every C library. */
enum clone_argument { CLONE_FLAGS, CLONE_EXIT_SIGNAL = 4, CLONE_CGROUP = 10, CLONE_ARGUMENTS };
#define INTO_CGROUP 0x200000000u
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

static pid_t clone_into(const struct cgroup *cgroup)
{
    uint64_t arguments[CLONE_ARGUMENTS] =
        {[CLONE_FLAGS] = INTO_CGROUP, [CLONE_EXIT_SIGNAL] = SIGCHLD, [CLONE_CGROUP] = (uint64_t)cgroup->directory};

    errno = ENOSYS;
    if ((cgroup->without & WITHOUT_CLONE_INTO_CGROUP) != 0)
        return -1;
    return (pid_t)syscall(SYS_clone3, arguments, sizeof arguments);
}

/* Kernels before 5.3 don't have the call, those before 5.7 don't know so long a struct, and some containers' seccomp
 * filters forbid it. */
pid_t cgroup_fork(const struct cgroup *cgroup, bool *inside)
{
    pid_t pid = *inside ? clone_into(cgroup) : -1;

    *inside = *inside && (pid >= 0 || (errno != ENOSYS && errno != E2BIG && errno != EINVAL && errno != EPERM));
    return *inside ? pid : fork();
}

bool cgroup_enter(const struct cgroup *cgroup)
{
    return cgroup_write(cgroup->directory, "cgroup.procs", "0");
}

bool cgroup_explain(const struct cgroup *cgroup, int error, struct failure *why)
{
    const char *remedy = "";

    switch (error) {
    case EACCES:
    case EPERM:
        remedy =
            " (an ordinary user may start a process in another cgroup only when he may write the cgroup.procs of the "
            "one that both lie in: have root move the shell or the VM that starts muontrap into a cgroup of the same "
            "delegated tree)";
        break;
    case EBUSY:
    case EOPNOTSUPP:
        remedy =
            " (its cgroup.subtree_control enables controllers for cgroups below it, and then it may hold no process: "
            "give the path of one that has nothing below)";
        break;
    default:
        break;
    }
    return failed(why, STAGE_CGROUP, error, "cannot start a process in the cgroup %s/%s: %s%s", cgroup->mount,
                  cgroup->path, strerror(error), remedy);
}

/* ---- Its end ---- */

bool cgroup_kill(const struct cgroup *cgroup)
{
    return !cgroup_populated(cgroup) || kill_all(cgroup->directory, cgroup->without);
}

bool cgroup_populated(const struct cgroup *cgroup)
{
    return cgroup && says(cgroup->events, "populated");
}

static void count(pid_t pid, void *context)
{
    unsigned *number = context;

    (void)pid;
    (*number)++;
}

bool cgroup_members(const struct cgroup *cgroup, unsigned *number)
{
    *number = 0;
    return cgroup && members(cgroup->directory, count, number);
}

/* cgroup-v2.rst, "PID Interface Files": pids.events counts the forks that pids.max has refused. */
bool cgroup_forked(const struct cgroup *cgroup, uint64_t *forked)
{
    uint64_t refused;
    unsigned number;

    if (!cgroup_members(cgroup, &number))
        return false;
    *forked = number;
    if (cgroup_number(cgroup->directory, "pids.events", "max", &refused))
        *forked += refused;
    return true;
}

void cgroup_figures(const struct cgroup *cgroup, struct ending *ending)
{
    uint64_t now;

    if (!cgroup)
        return;
    if (cgroup_number(cgroup->directory, "memory.events", "oom_kill", &now))
        ending->oom_killed = now > cgroup->oom_kills;
    if (cgroup_number(cgroup->directory, "cpu.stat", "user_usec", &now))
        ending->user_us = now - cgroup->user_us;
    if (cgroup_number(cgroup->directory, "cpu.stat", "system_usec", &now))
        ending->system_us = now - cgroup->system_us;
    /* Of one that was there before it is the peak of what was in it before, too. */
    if (cgroup->made && cgroup_number(cgroup->directory, "memory.peak", "", &now))
        ending->peak_bytes = now;
}

bool cgroup_remove(const struct cgroup *cgroup, struct failure *why)
{
    bool there = true;

    if (!cgroup)
        return true;
    if (cgroup->made) {
        /* Unless somebody has removed it, and perhaps made another one in its place. */
        if (claim_lock(cgroup->directory, false, cgroup->root, cgroup->path))
            at_any_depth(remove_below, cgroup->root, cgroup->path);
        there = claim_lock(cgroup->directory, false, cgroup->root, cgroup->path);
    } else {
        if (cgroup->bare)
            cgroup_children(cgroup->directory, remove_at_any_depth, NULL);
        claim_used(cgroup->directory, false);
    }
    let_go(cgroup);
    if (cgroup->made && there)
        return failed(why, STAGE_CGROUP, EBUSY,
                      "the cgroup %s/%s could not be removed: somebody has put a process into it, or made another one "
                      "below it",
                      cgroup->mount, cgroup->path);
    return true;
}

bool cgroup_clean(const struct options *options, struct failure *why)
{
    static struct cgroup cgroup;
    enum claim claim;

    if (!find_root(&cgroup, options, why))
        return false;
    cgroup.directory = cgroup_directory(cgroup.root, cgroup.path);
    if (cgroup.directory < 0) {
        if (errno == ENOENT)
            return true;
        return failed(why, STAGE_CGROUP, errno, "cannot open the cgroup %s/%s: %s", cgroup.mount, cgroup.path,
                      strerror(errno));
    }
    if (!claim_lock_soon(cgroup.directory, false, cgroup.root, cgroup.path))
        return errno == ENOENT || in_use(&cgroup, why);
    claim = claim_of(cgroup.directory);
    if (claim == CLAIM_NONE)
        return !is_populated(cgroup.directory) || populated_by_others(&cgroup, why);
    if (!empty(cgroup.directory, &cgroup))
        return cannot_empty(&cgroup, why);
    cgroup.made = claim == CLAIM_MADE;
    return cgroup_remove(&cgroup, why);
}
