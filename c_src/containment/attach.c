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
        return failed(why, STAGE_ATTACH, error, "cannot attach to process %ld: pidfd_open(2): %s", (long)pid,
                      strerror(error));
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
    default:
        return NULL;
    }
}

static bool not_permitted(pid_t pid, int error, struct failure *why)
{
    if (error == ESRCH)
        return not_there(pid, why);
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
    unsigned moved;
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

/* What its children start before they are moved is found by the next pass, and what they start afterwards is in the
 * cgroup from the beginning. */
static void move_descendant(pid_t pid, void *context)
{
    struct move *move = context;
    int process;

    if (move->failed != 0 || !tree_descends_from(pid, move->launch->tree.attached_pid) ||
        cgroup_has(move->launch->cgroup, pid))
        return;
    process = platform_process_open(pid);
    if (process < 0)
        return;
    if (tree_descends_from(pid, move->launch->tree.attached_pid) && !platform_process_ended(process)) {
        move->moved++;
        if (!move_process(move, pid, process)) {
            move->failed = pid;
            move->error = errno;
        }
    }
    io_close(&process);
}

/* So many passes over all processes: what still makes more outside of the cgroup then forks faster than it is read. */
#define PASSES_MOST 200u

static void move_descendants(struct move *move)
{
    for (unsigned pass = 0; pass < PASSES_MOST && move->failed == 0; pass++) {
        move->moved = 0;
        (void)platform_processes(move_descendant, move);
        if (move->moved == 0)
            return;
    }
    if (move->failed == 0) {
        move->failed = move->launch->tree.attached_pid;
        move->error = EAGAIN;
    }
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

static bool not_moved(const struct move *move, struct failure *why)
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
    to.path = cgroup_place(cgroup, tree->attached_pid, home) ? home : "";
    if (!move_process(&move, tree->attached_pid, tree->attached)) {
        move.failed = tree->attached_pid;
        move.error = errno;
    } else {
        move_descendants(&move);
    }
    if (move.failed == 0)
        return true;
    cgroup_each(cgroup, move_back, &to);
    return not_moved(&move, why);
}
