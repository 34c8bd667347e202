/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/cgroup_make.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "cgroup/cgroup_path.h"
#include "cgroup/cgroup_tree.h"
#include "cgroup/claim.h"
#include "cgroup/delegation.h"

#define STALE_MOST_US 10000000u /* for killing what dead helpers have left */
#define ATTEMPTS_MOST 1000      /* at making a directory that others remove */

/* ---- What can go wrong ---- */

/* A system call on the first `size` bytes of the cgroup's path has failed. */
static bool directory_failed(const char *action, const struct cgroup *cgroup, size_t size, int error,
                             struct failure *why)
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
            " (the cgroup file system is mounted read-only, as in many containers: mount -o remount,rw it, or have the "
            "container made with a writable one: " DELEGATION_UNMASK ")";
        break;
    case EAGAIN:
        remedy = " (cgroup.max.descendants or cgroup.max.depth of a cgroup above limits how many there may be)";
        break;
    default:
        remedy = "";
    }
    return failed(why, STAGE_CGROUP, error, "cannot %s the cgroup %s/%.*s: %s%s", action, cgroup->mount, (int)size,
                  cgroup->path, strerror(error), remedy);
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
                  "first (echo 1 >%s/%s/cgroup.kill; before Linux 5.14, kill those in cgroup.procs)",
                  cgroup->mount, cgroup->path, cgroup->mount, cgroup->path);
}

static bool leftovers_live(const struct cgroup *cgroup, struct failure *why)
{
    return failed(why, STAGE_CGROUP, EBUSY,
                  "processes that a dead muontrap has left in the cgroup %s/%s could not be killed within 10 s",
                  cgroup->mount, cgroup->path);
}

/* Whether the error may come of what another process does at the same time: it removes what was found here, or makes
 * what was missing. */
static bool is_race(int error)
{
    return error == ENOENT || error == ENODEV || error == EEXIST;
}

/* ---- The directories above the cgroup's own ---- */

/* Opens a directory on the way, and makes it where it is missing. One that helpers have made is locked and held until
 * our end, so that nobody removes it. But when another helper has it locked for its own program, then we run inside
 * that program's cgroup, and the directory is for that helper to remove. */
static int open_above(struct cgroup *cgroup, int parent, const char *name)
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

/* Opens the directory above the cgroup's own, with the controllers enabled all the way down. `name` becomes the name of
 * the cgroup's own directory. -1 with errno when that fails, and then the first *reached bytes of the path are the
 * directory that it failed for. */
static int open_parent(struct cgroup *cgroup, struct controllers *controllers, char name[CGROUP_PART_SIZE],
                       size_t *reached)
{
    const char *rest = cgroup->path;
    int directory = cgroup_directory(cgroup->root, ".");

    for (;;) {
        int next;

        if (directory < 0)
            return -1;
        controllers_enable(controllers, directory, *reached);
        cgroup_path_next(&rest, name);
        *reached = (size_t)(rest - cgroup->path);
        if (*rest == '\0')
            return directory;
        --*reached; /* the slash */
        next = open_above(cgroup, directory, name);
        (void)close(directory);
        directory = next;
    }
}

/* Removes the directories above that helpers have made and that nobody needs any more. */
static void remove_above(const struct cgroup *cgroup)
{
    char above[CGROUP_PATH_MOST + 1];
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

static void release_above(const struct cgroup *cgroup)
{
    for (unsigned i = 0; i < cgroup->held_count; i++)
        claim_unlock(cgroup->held[i]);
    remove_above(cgroup);
}

/* For another attempt, which holds its own. */
static void release_and_close_above(struct cgroup *cgroup)
{
    release_above(cgroup);
    while (cgroup->held_count > 0)
        io_close(&cgroup->held[--cgroup->held_count]);
}

/* ---- What dead helpers have left ---- */

/* Kills what is in a marked directory that no live helper holds, and removes the directory if a helper had made it. */
static void remove_if_stale(const struct cgroup *cgroup, int parent, const char *name)
{
    int fd = cgroup_directory(parent, name);
    enum claim claim = fd >= 0 ? claim_of(fd) : CLAIM_NONE;

    if (claim != CLAIM_NONE && claim_lock(fd, false, parent, name) &&
        cgroup_tree_kill_all(fd, cgroup->without, cgroup->deadline)) {
        if (claim == CLAIM_MADE)
            cgroup_tree_remove(parent, name);
        else
            claim_mark_used(fd, false);
    }
    io_close(&fd);
}

static void remove_stale_below(const struct cgroup *cgroup, int parent)
{
    struct platform_listing listing;
    const char *name;

    platform_list(&listing, parent);
    while ((name = cgroup_list_next(&listing)))
        remove_if_stale(cgroup, parent, name);
}

/* ---- The cgroup's own directory ---- */

static bool has_processes(int directory)
{
    int events = cgroup_events_open(directory);
    bool populated = cgroup_events_flag(events, "populated");

    io_close(&events);
    return populated;
}

static bool has_directories(int directory)
{
    struct platform_listing listing;

    platform_list(&listing, directory);
    return cgroup_list_next(&listing) != NULL;
}

/* Begins to use a locked directory that was there before. Only what a dead helper has left there may be killed: with
 * other processes in it the directory is refused. */
static bool use_existing(struct cgroup *cgroup, enum claim claim, struct failure *why)
{
    if (claim == CLAIM_USED && !cgroup_tree_kill_all(cgroup->directory, cgroup->without, cgroup->deadline))
        return leftovers_live(cgroup, why);
    if (has_processes(cgroup->directory))
        return populated_by_others(cgroup, why);
    /* On a read-only mount a process can be started in the cgroup all the same, but not be killed with it. */
    if (faccessat(cgroup->directory, "cgroup.procs", W_OK, 0) < 0 && errno == EROFS)
        return directory_failed("use", cgroup, strlen(cgroup->path), errno, why);
    cgroup->was_empty = !has_directories(cgroup->directory);
    claim_mark_used(cgroup->directory, true);
    return true;
}

enum attempt { ATTEMPT_DONE, ATTEMPT_FAILED, ATTEMPT_AGAIN };

/* The directory is made and can't be used. When it is gone already, then the name may stand for one that another helper
 * has made and locked by now. ATTEMPT_AGAIN comes with errno. */
RARE static enum attempt leave_made(bool made, int parent, const char *name)
{
    int error = errno;

    if (made && !is_race(error))
        (void)unlinkat(parent, name, AT_REMOVEDIR);
    errno = error;
    return ATTEMPT_AGAIN;
}

/* Tries once to find or to make the cgroup's own directory, and to lock it. ATTEMPT_AGAIN comes with errno. */
static enum attempt try_to_own(struct cgroup *cgroup, int parent, const char *name, struct failure *why)
{
    bool made = claim_make(parent, name);
    enum claim claim;

    if (!made && errno != EEXIST)
        return ATTEMPT_AGAIN;
    cgroup->directory = cgroup_directory(parent, name);
    if (cgroup->directory < 0)
        return leave_made(made, parent, name);
    if (!claim_lock_soon(cgroup->directory, false, parent, name)) {
        if (errno != EWOULDBLOCK)
            return leave_made(made, parent, name);
        (void)in_use(cgroup, why);
        return ATTEMPT_FAILED;
    }
    if (made) {
        cgroup->made = true;
        return ATTEMPT_DONE;
    }
    claim = claim_of(cgroup->directory);
    if (claim != CLAIM_MADE)
        return use_existing(cgroup, claim, why) ? ATTEMPT_DONE : ATTEMPT_FAILED;
    /* It belongs to a dead helper, or to one that has just made it and is about to lock it. That one finds its
     * directory removed then, and tries again as well. */
    if (!cgroup_tree_kill_all(cgroup->directory, cgroup->without, cgroup->deadline)) {
        (void)leftovers_live(cgroup, why);
        return ATTEMPT_FAILED;
    }
    cgroup_tree_remove(parent, name);
    errno = EEXIST;
    return ATTEMPT_AGAIN;
}

bool cgroup_make(struct cgroup *cgroup, struct controllers *controllers, struct failure *why)
{
    char name[CGROUP_PART_SIZE];

    for (int attempts = 0; attempts < ATTEMPTS_MOST; attempts++) {
        size_t reached = 0;
        int parent = open_parent(cgroup, controllers, name, &reached);
        enum attempt attempt = ATTEMPT_AGAIN;
        int error = errno;

        if (parent >= 0) {
            remove_stale_below(cgroup, parent);
            attempt = try_to_own(cgroup, parent, name, why);
            error = errno;
            (void)close(parent);
        }
        if (attempt == ATTEMPT_DONE)
            return true;
        io_close(&cgroup->directory);
        release_and_close_above(cgroup);
        if (attempt == ATTEMPT_FAILED)
            return false;
        if (!is_race(error))
            return directory_failed("make", cgroup, reached, error, why);
    }
    return failed(why, STAGE_CGROUP, EBUSY, "the cgroup %s/%s is removed by others as often as it is made",
                  cgroup->mount, cgroup->path);
}

static bool choose_path(struct cgroup *cgroup, struct failure *why)
{
    static struct delegation delegation;

    delegation = (struct delegation){.starter = cgroup->starter};
    cgroup->path = cgroup->auto_path;
    return delegation_find(&delegation, cgroup->mount, cgroup->root, why) && delegation_settle(&delegation, why) &&
           delegation_name(&delegation, NULL, cgroup->auto_path, why);
}

bool cgroup_open_mount(struct cgroup *cgroup, const struct options *options, struct failure *why)
{
    cgroup->path = options->group;
    cgroup->starter = options->starter > 0 ? options->starter : getppid();
    cgroup->root = cgroup->directory = cgroup->events = -1;
    cgroup->without = options->without;
    cgroup->deadline = io_now_us() + STALE_MOST_US;
    if (!options->auto_group && !cgroup_path_check(options->group, why))
        return false;
    if (!cgroup_mount_find(cgroup->mount))
        return failed(why, STAGE_CGROUP, ENODEV,
                      "no cgroup2 file system is mounted, so there are no cgroups: mount it as root with "
                      "'mount -t cgroup2 cgroup2 /sys/fs/cgroup', or do without a cgroup");
    cgroup->root = cgroup_directory(AT_FDCWD, cgroup->mount);
    if (cgroup->root < 0)
        return failed(why, STAGE_CGROUP, errno, "cannot open %s, where cgroup2 is mounted: %s", cgroup->mount,
                      strerror(errno));
    return !options->auto_group || choose_path(cgroup, why);
}

/* ---- Its end ---- */

/* Whether the directory that this helper has made is still there. The lock fails when somebody has removed it, and
 * perhaps made another one of that name; and perhaps, once, only for lack of memory. */
static bool is_there(const struct cgroup *cgroup)
{
    bool there = false;

    for (int tries = 0; tries < 2 && !there; tries++)
        there = claim_lock(cgroup->directory, false, cgroup->root, cgroup->path);
    return there;
}

/* Somebody may have put a process into it since it was empty, or may be making others below it. */
#define REMOVALS_MOST 5
#define KILL_AGAIN_US 100000u

static bool remove_made(const struct cgroup *cgroup)
{
    for (int tries = 0; is_there(cgroup); tries++) {
        if (tries == REMOVALS_MOST)
            return false;
        if (tries > 0)
            (void)cgroup_tree_kill_all(cgroup->directory, cgroup->without, io_now_us() + KILL_AGAIN_US);
        cgroup_tree_remove(cgroup->root, cgroup->path);
    }
    return true;
}

bool cgroup_remove(const struct cgroup *cgroup, struct failure *why)
{
    bool removed = true;

    if (!cgroup)
        return true;
    if (cgroup->made) {
        removed = remove_made(cgroup);
    } else {
        if (cgroup->was_empty)
            cgroup_tree_remove_below(cgroup->directory);
        claim_mark_used(cgroup->directory, false);
    }
    release_above(cgroup);
    if (!removed)
        return failed(why, STAGE_CGROUP, EBUSY,
                      "the cgroup %s/%s could not be removed: it or one below it holds a process that SIGKILL doesn't "
                      "end (state D in ps(1)), or somebody puts processes there, or makes cgroups, as fast as they are "
                      "removed; its cgroup.procs files tell which, and rmdir(1) removes it once it is empty",
                      cgroup->mount, cgroup->path);
    return true;
}

void cgroup_close(struct cgroup *cgroup)
{
    if (!cgroup)
        return;
    while (cgroup->held_count > 0)
        io_close(&cgroup->held[--cgroup->held_count]);
    io_close(&cgroup->events);
    io_close(&cgroup->directory);
    io_close(&cgroup->root);
    *cgroup = (struct cgroup){.root = -1, .directory = -1, .events = -1};
}

/* A helper that was killed when it had made only the directories above, or had removed all but these, has left them. */
static bool nothing_to_clean(const struct cgroup *cgroup)
{
    remove_above(cgroup);
    return true;
}

bool cgroup_clean(const struct options *options, struct failure *why)
{
    static struct cgroup cgroup;
    enum claim claim;

    if (!cgroup_open_mount(&cgroup, options, why))
        return false;
    cgroup.directory = cgroup_directory(cgroup.root, cgroup.path);
    if (cgroup.directory < 0) {
        if (errno == ENOENT)
            return nothing_to_clean(&cgroup);
        return failed(why, STAGE_CGROUP, errno, "cannot open the cgroup %s/%s: %s", cgroup.mount, cgroup.path,
                      strerror(errno));
    }
    if (!claim_lock_soon(cgroup.directory, false, cgroup.root, cgroup.path))
        return errno == ENOENT ? nothing_to_clean(&cgroup) : in_use(&cgroup, why);
    claim = claim_of(cgroup.directory);
    if (claim == CLAIM_NONE)
        return !has_processes(cgroup.directory) || populated_by_others(&cgroup, why);
    if (!cgroup_tree_kill_all(cgroup.directory, cgroup.without, cgroup.deadline))
        return leftovers_live(&cgroup, why);
    cgroup.made = claim == CLAIM_MADE;
    return cgroup_remove(&cgroup, why);
}
