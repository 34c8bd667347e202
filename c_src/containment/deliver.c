/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "containment/deliver.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "launch.h"

struct delivery {
    const struct launch *launch;
    int signal;
    int result;
};

/* One that was sent suffices for success. */
static void note(struct delivery *delivery, bool sent)
{
    if (sent)
        delivery->result = 0;
    else if (errno == EPERM && delivery->result != 0)
        delivery->result = EPERM;
}

static bool is_in_tree(const struct launch *launch, pid_t pid)
{
    return tree_has(&launch->tree, pid);
}

/* Where a seccomp filter knows the one call and not the other, it is as where there is neither. */
static bool signal_process(int process, bool descends, pid_t pid, int signal)
{
    if ((descends ? platform_signal_descendant : platform_process_signal)(process, signal) == 0)
        return true;
    return errno == ENOSYS && kill(pid, signal) == 0;
}

/* A process that isn't our child may end, be reaped and its pid given to a stranger at any time. So the signal goes
 * to what the descriptor stands for. If that lives after it has been looked at, it is what was looked at. On kernels
 * before 5.3 a stranger can be hit, if the kernel has gone through all other pids meanwhile. A reserve of
 * capabilities is for our descendants alone, for others may be in the cgroup, too. */
static void send_if(bool (*is_meant)(const struct launch *launch, pid_t pid), pid_t pid, struct delivery *delivery)
{
    int process = platform_process_open(pid);

    if (process >= 0) {
        bool meant = is_meant(delivery->launch, pid);
        bool descends = meant && platform_has_reserve() && is_in_tree(delivery->launch, pid);

        if (meant && !platform_process_ended(process))
            note(delivery, signal_process(process, descends, pid, delivery->signal));
        io_close(&process);
    } else if (errno != ESRCH && is_meant(delivery->launch, pid)) {
        note(delivery, kill(pid, delivery->signal) == 0);
    }
}

/* The stop command is there, too, and is told by itself. */
static bool is_in_cgroup(const struct launch *launch, pid_t pid)
{
    return cgroup_has(launch->cgroup, pid) && (launch->tree.attached == 0 || !tree_descends_from(pid, getpid()));
}

/* Most processes are none of ours, and are looked at without being opened. */
static void send_to_descendant(pid_t pid, void *context)
{
    struct delivery *delivery = context;

    if (is_in_tree(delivery->launch, pid))
        send_if(is_in_tree, pid, delivery);
}

static void send_to_member(pid_t pid, void *context)
{
    send_if(is_in_cgroup, pid, context);
}

static void send_to_tree(struct delivery *delivery)
{
    if (!platform_processes(send_to_descendant, delivery))
        delivery->result = ENOSYS;
}

int deliver(const struct launch *launch, enum receiver to, int signal)
{
    struct delivery delivery = {.launch = launch, .signal = signal, .result = ESRCH};

    switch (to) {
    case RECEIVER_PROGRAM:
        if (!launch->tree.program_ended)
            note(&delivery, tree_signal(&launch->tree, signal) == 0);
        break;
    case RECEIVER_GROUP:
        if (launch->tree.attached > 0)
            return ENOTSUP; /* its number may be a stranger's when its leader has been reaped */
        note(&delivery, platform_kill(-launch->tree.program, signal) == 0);
        break;
    case RECEIVER_TREE:
        send_to_tree(&delivery);
        break;
    case RECEIVER_CGROUP:
        if (!launch->cgroup)
            return ENOENT;
        cgroup_each(launch->cgroup, send_to_member, &delivery);
        break;
    default:
        return EINVAL;
    }
    return delivery.result;
}
