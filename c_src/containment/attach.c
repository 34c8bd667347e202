/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "containment/attach.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "containment/tree.h"
#include "launch.h"

/* ---- Which process ---- */

static bool not_there(pid_t pid, struct failure *why)
{
    return failed(why, STAGE_ATTACH, ESRCH,
                  "cannot attach to process %ld: there is no such process, or it has ended (ps -p %ld shows it; the "
                  "number of a thread is none of a process)",
                  (long)pid, (long)pid);
}

static bool not_opened(pid_t pid, int error, struct failure *why)
{
    switch (error) {
    case ESRCH:
    case EINVAL: /* a thread that leads no process, before Linux 6.9 */
    case ENOENT: /* the same since then */
        return not_there(pid, why);
    case ENOSYS:
        return failed(why, STAGE_ATTACH, error,
                      "cannot attach to process %ld: this system has no pidfd_open(2), without which another process "
                      "could be hit (Linux has it from 5.3 on)",
                      (long)pid);
    default:
        return failed(
            why, STAGE_ATTACH, error,
            "cannot attach to process %ld: pidfd_open(2): %s (EPERM is that of a seccomp filter, as containers "
            "have it: allow the call there)",
            (long)pid, strerror(error));
    }
}

/* NULL for one that may be stopped. What it says holds for the process that the descriptor stands for only if that one
 * still lives afterwards. */
static const char *reason_to_refuse(pid_t pid)
{
    if (pid == 1)
        return "it is the init, on which all processes depend";
    if (tree_descends_from(getpid(), pid))
        return "muontrap itself descends from it, and so does what has started muontrap";
    switch (platform_kind(pid)) {
    case PLATFORM_KERNEL_THREAD:
        return "it is a thread of the kernel's, which can't be signalled";
    case PLATFORM_HELPER:
        return "it is a helper of MuonTrap's: attach to its program, or stop it by its owner";
    case PLATFORM_HIDDEN:
        return "what it is can't be looked at in /proc (proc(5), hidepid)";
    default:
        return NULL;
    }
}

static bool not_permitted(pid_t pid, int error, struct failure *why)
{
    if (error != EPERM)
        return not_opened(pid, error, why);
    return failed(why, STAGE_ATTACH, error,
                  "cannot attach to process %ld: it may not be signalled: %s (it runs as another user; that takes root "
                  "or CAP_KILL)",
                  (long)pid, strerror(error));
}

bool attach_open(struct launch *launch, struct failure *why)
{
    pid_t pid = (pid_t)launch->options.attach;
    int process = platform_process_open(pid);
    const char *refused;

    if (process < 0)
        return not_opened(pid, errno, why);
    refused = reason_to_refuse(pid);
    if (platform_process_ended(process))
        return not_there(pid, why);
    if (refused)
        return failed(why, STAGE_ATTACH, EINVAL, "cannot attach to process %ld: %s", (long)pid, refused);
    if (platform_process_signal(process, 0) < 0)
        return not_permitted(pid, errno, why);
    launch->tree.attached = process;
    launch->tree.attached_pid = pid;
    return true;
}

/* ---- Into the cgroup ---- */

struct move {
    const struct launch *launch;
    bool settled; /* this pass has found nobody to move, and nobody who was gone when it came to that */
    pid_t failed; /* the first one that could not be moved; 0 while there is none */
    int error;
};

/* A process's pid is its own for as long as it isn't reaped, and so for as long as it lives. If it lives no more when
 * its pid has been written to the cgroup, a stranger that has got the pid may have been moved. That one goes where its
 * parent is, where it has been made. */
static void return_stranger(const struct cgroup *cgroup, pid_t pid)
{
    char path[CGROUP_PATH_MOST + 1];

    if (cgroup_has(cgroup, pid) && cgroup_place(cgroup, platform_parent(pid), path))
        cgroup_move_back(cgroup, pid, path);
}

static bool move_process(const struct move *move, pid_t pid, int process)
{
    bool moved = cgroup_move(move->launch->cgroup, pid);
    int error = errno;

    if (moved && platform_process_ended(process))
        return_stranger(move->launch->cgroup, pid);
    errno = error;
    return moved || error == ESRCH;
}

static void fail_to_move(struct move *move, pid_t pid, int error)
{
    move->failed = pid;
    move->error = error;
}

/* What its children start before they are moved is found by the next pass, and what they start afterwards is in the
 * cgroup from the beginning. That it descends from the process counts only while both live. */
static void move_descendant(pid_t pid, void *context)
{
    struct move *move = context;
    const struct tree *tree = &move->launch->tree;
    int process;

    if (move->failed != 0 || !tree_has(tree, pid) || cgroup_has(move->launch->cgroup, pid))
        return;
    move->settled = false;
    process = platform_process_open(pid);
    if (process < 0) {
        if (errno != ESRCH)
            fail_to_move(move, pid, errno);
        return;
    }
    if (tree_has(tree, pid) && !platform_process_ended(process) && !move_process(move, pid, process))
        fail_to_move(move, pid, errno);
    io_close(&process);
}

/* So many passes over all processes: what still makes more outside of the cgroup then forks faster than it is read. */
#define PASSES_MOST 50u

/* Two settled passes in a row, because one who comes and goes while the list is read may be left out of it. */
static void move_descendants(struct move *move)
{
    unsigned settled = 0;

    for (unsigned pass = 0; pass < PASSES_MOST && settled < 2 && move->failed == 0; pass++) {
        move->settled = true;
        if (!platform_processes(move_descendant, move))
            fail_to_move(move, move->launch->tree.attached_pid, errno);
        settled = move->settled ? settled + 1 : 0;
    }
    if (settled < 2 && move->failed == 0)
        fail_to_move(move, move->launch->tree.attached_pid, EAGAIN);
}

struct return_to {
    const struct cgroup *cgroup;
    const char *path;
};

static void move_back(pid_t pid, void *context)
{
    const struct return_to *to = context;

    cgroup_move_back(to->cgroup, pid, to->path);
}

static bool not_moved(const struct move *move, const char *home, struct failure *why)
{
    const struct cgroup *cgroup = move->launch->cgroup;
    const char *remedy = "";

    if (move->error == EACCES || move->error == EPERM)
        remedy =
            " (an ordinary user may do so only when he may write the cgroup.procs of the one that both the process "
            "and that cgroup lie in; root may)";
    else if (move->error == EBUSY || move->error == EOPNOTSUPP)
        remedy = " (its cgroup.subtree_control enables controllers for cgroups below it, and then it may hold no "
                 "process: give the path of one that has nothing below)";
    else if (move->error == EAGAIN)
        remedy = " (its descendants fork faster than they can be moved)";
    if (cgroup_populated(cgroup))
        return failed(
            why, STAGE_ATTACH, move->error,
            "cannot move process %ld into the cgroup %s/%s: %s%s; and those that were moved stay there, for they "
            "can't go back to %s/%s, which may have been removed when it was empty",
            (long)move->failed, cgroup->mount, cgroup->path, strerror(move->error), remedy, cgroup->mount, home);
    return failed(why, STAGE_ATTACH, move->error, "cannot move process %ld into the cgroup %s/%s: %s%s",
                  (long)move->failed, cgroup->mount, cgroup->path, strerror(move->error), remedy);
}

/* The process itself comes first, so that it has no more children elsewhere. */
bool attach_move(const struct launch *launch, struct failure *why)
{
    const struct tree *tree = &launch->tree;
    const struct cgroup *cgroup = launch->cgroup;
    struct move move = {.launch = launch};
    char home[CGROUP_PATH_MOST + 1];
    struct return_to to = {.cgroup = cgroup};

    if (!cgroup)
        return true;
    if (!cgroup_place(cgroup, tree->attached_pid, home))
        return failed(why, STAGE_ATTACH, errno,
                      "cannot move process %ld into the cgroup %s/%s: in which one it is now can't be told from "
                      "/proc/%ld/cgroup, and so not where it would go back to",
                      (long)tree->attached_pid, cgroup->mount, cgroup->path, (long)tree->attached_pid);
    to.path = home;
    if (move_process(&move, tree->attached_pid, tree->attached))
        move_descendants(&move);
    else
        fail_to_move(&move, tree->attached_pid, errno);
    if (move.failed == 0)
        return true;
    cgroup_each(cgroup, move_back, &to);
    return not_moved(&move, home, why);
}
