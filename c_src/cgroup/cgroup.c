/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "cgroup/cgroup_make.h"
#include "cgroup/cgroup_tree.h"
#include "cgroup/controllers.h"
#include "cgroup/delegation.h"

static bool setting_failed(const struct cgroup *cgroup, const struct setting *setting, int error, struct failure *why)
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

static bool write_settings(const struct cgroup *cgroup, const struct settings *settings, struct failure *why)
{
    for (unsigned i = 0; i < settings->count; i++)
        if (!cgroup_write(cgroup->directory, settings->list[i].key, settings->list[i].value))
            return setting_failed(cgroup, &settings->list[i], errno, why);
    return true;
}

/* A process that is made in a frozen cgroup doesn't run, not even as far as execve(2), and the helper would wait for
 * that for ever. */
static bool check_not_frozen(const struct cgroup *cgroup, struct failure *why)
{
    if (!cgroup_events_flag(cgroup->events, "frozen"))
        return true;
    return failed(why, STAGE_CGROUP, EBUSY,
                  "the cgroup %s/%s is frozen, and nothing would run in it: echo 0 >cgroup.freeze, there or above",
                  cgroup->mount, cgroup->path);
}

/* cgroup_figures() subtracts these from what it finds in the end. */
static void read_first_figures(struct cgroup *cgroup)
{
    cgroup->oom_kills = cgroup->user_us = cgroup->system_us = 0;
    if (cgroup->made)
        return;
    (void)cgroup_number(cgroup->directory, "memory.events", "oom_kill", &cgroup->oom_kills);
    (void)cgroup_cpu_time(cgroup->directory, &cgroup->user_us, &cgroup->system_us);
}

bool cgroup_open(struct cgroup *cgroup, const struct options *options, struct failure *why)
{
    static struct settings settings;
    struct controllers controllers;
    struct failure ignored;

    if (!cgroup_open_mount(cgroup, options, why) ||
        !legacy_translate(&settings, options->sets, options->set_count, why) ||
        !controllers_gather(&controllers, options, &settings, why))
        return false;
    if (!cgroup_make(cgroup, &controllers, why))
        return false;
    cgroup->events = cgroup_events_open(cgroup->directory);
    if (check_not_frozen(cgroup, why) &&
        controllers_check(&controllers, cgroup->directory, cgroup->mount, cgroup->path, why) &&
        write_settings(cgroup, &settings, why)) {
        read_first_figures(cgroup);
        return true;
    }
    (void)cgroup_remove(cgroup, &ignored);
    return false;
}

/* ---- A child in the cgroup ---- */

/* clone3(2), which Linux has since 5.3, with CLONE_INTO_CGROUP, which it has since 5.7, makes the process inside the
 * cgroup. That takes half the time of making it outside and moving it. Not every C library comes with the kernel's
 * headers, so the numbers stand here. */
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

/* Falls back to fork(2) on the errors of kernels before 5.3, which don't have the call, of those before 5.7, which
 * don't know so long a struct, and of the seccomp filters of some containers, which forbid it. */
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

/* cgroup-v2.rst, "Delegation Containment". */
static bool not_permitted(const struct cgroup *cgroup, int error, struct failure *why)
{
    char move[128];

    delegation_move_command(move, sizeof move, "$C", cgroup->starter);
    return failed(why, STAGE_CGROUP, error,
                  "cannot start a process in the cgroup %s/%s: %s (an ordinary user may do so only when he may write "
                  "the cgroup.procs of the one that both lie in: have what starts muontrap moved into a cgroup of the "
                  "same delegated tree: sudo sh -c 'C=%s/%.*s/callers; mkdir -p $C && %s')",
                  cgroup->mount, cgroup->path, strerror(error), cgroup->mount, (int)strcspn(cgroup->path, "/"),
                  cgroup->path, move);
}

bool cgroup_explain(const struct cgroup *cgroup, int error, struct failure *why)
{
    const char *remedy = "";

    switch (error) {
    case EACCES:
    case EPERM:
        return not_permitted(cgroup, error, why);
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

/* ---- Its processes and figures ---- */

bool cgroup_kill(const struct cgroup *cgroup)
{
    return !cgroup_populated(cgroup) || cgroup_tree_kill(cgroup->directory, cgroup->without);
}

bool cgroup_populated(const struct cgroup *cgroup)
{
    return cgroup && cgroup_events_flag(cgroup->events, "populated");
}

void cgroup_each(const struct cgroup *cgroup, void (*visit)(pid_t pid, void *context), void *context)
{
    cgroup_tree_each(cgroup->directory, visit, context);
}

struct wanted {
    pid_t pid;
    bool found;
};

static void compare_process(pid_t pid, void *context)
{
    struct wanted *wanted = context;

    wanted->found = wanted->found || pid == wanted->pid;
}

/* The list of all that are in the cgroup costs more, but tells it also where this process's own view of the tree begins
 * elsewhere (cgroup_namespaces(7)). */
bool cgroup_has(const struct cgroup *cgroup, pid_t pid)
{
    char path[CGROUP_PATH_MOST + 1];
    size_t size = strlen(cgroup->path);
    struct wanted wanted = {.pid = pid};

    if (cgroup_find_of(cgroup->mount, pid, path))
        return strncmp(path, cgroup->path, size) == 0 && (path[size] == '\0' || path[size] == '/');
    if (errno == ESRCH)
        return false;
    cgroup_each(cgroup, compare_process, &wanted);
    return wanted.found;
}

static bool write_process(int directory, pid_t pid)
{
    char number[24];

    format(number, sizeof number, "%ld", (long)pid);
    return cgroup_write(directory, "cgroup.procs", number);
}

bool cgroup_move(const struct cgroup *cgroup, pid_t pid)
{
    return write_process(cgroup->directory, pid);
}

bool cgroup_place(const struct cgroup *cgroup, pid_t pid, char path[CGROUP_PATH_MOST + 1])
{
    return cgroup_find_of(cgroup->mount, pid, path);
}

void cgroup_move_back(const struct cgroup *cgroup, pid_t pid, const char *path)
{
    int directory = cgroup_directory(cgroup->root, path[0] == '\0' ? "." : path);

    if (directory >= 0)
        (void)write_process(directory, pid);
    io_close(&directory);
}

static void count_process(pid_t pid, void *context)
{
    unsigned *number = context;

    (void)pid;
    (*number)++;
}

bool cgroup_members(const struct cgroup *cgroup, unsigned *number)
{
    *number = 0;
    return cgroup && cgroup_processes(cgroup->directory, count_process, number);
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
    uint64_t user_us;
    uint64_t system_us;

    if (!cgroup)
        return;
    if (cgroup_number(cgroup->directory, "memory.events", "oom_kill", &now))
        ending->oom_killed = now > cgroup->oom_kills;
    if (cgroup_cpu_time(cgroup->directory, &user_us, &system_us)) {
        ending->user_us = user_us - cgroup->user_us;
        ending->system_us = system_us - cgroup->system_us;
    }
    /* In a cgroup that was there before, the peak may be that of an earlier program. */
    if (cgroup->made && cgroup_number(cgroup->directory, "memory.peak", "", &now))
        ending->peak_bytes = now;
}
