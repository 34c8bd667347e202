/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "containment/deliver.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/platform.h"
#include "launch.h"

struct delivery {
    pid_t us;
    int signal;
    int result;
};

/* One that was sent suffices for success. */
static void note(struct delivery *delivery, int result)
{
    if (result == 0)
        delivery->result = 0;
    else if (errno == EPERM && delivery->result != 0)
        delivery->result = EPERM;
}

/* When one on the way up dies while we climb, the one below it has got another parent, and we climb again. */
#define CLIMBS_MOST 4u

static bool descends_from(pid_t pid, pid_t ancestor)
{
    for (unsigned i = 0; i < CLIMBS_MOST; i++) {
        pid_t at = pid;

        do {
            at = platform_parent(at);
            if (at == ancestor)
                return true;
        } while (at > 1);
        if (at == 1)
            return false;
    }
    return false;
}

static bool is_descendant(pid_t pid, const void *context)
{
    const struct delivery *delivery = context;

    return descends_from(pid, delivery->us);
}

/* A process of the tree or the cgroup that isn't our child may end, be reaped and its number given to a stranger
 * between our look and this, if the kernel has gone through all others meanwhile. That is then one which the caller may
 * signal, too. */
static void send_to(pid_t pid, void *context)
{
    struct delivery *delivery = context;

    note(delivery, platform_kill_if(pid, delivery->signal, is_descendant, delivery));
}

static void send_to_descendant(pid_t pid, void *context)
{
    if (is_descendant(pid, context))
        send_to(pid, context);
}

/* Who is orphaned becomes our child, so that all that descends from the program descends from us, and nothing else. */
static void send_to_tree(struct delivery *delivery)
{
    if (!platform_processes(send_to_descendant, delivery))
        delivery->result = ENOSYS;
}

int deliver(const struct launch *launch, enum receiver to, int signal)
{
    struct delivery delivery = {.us = getpid(), .signal = signal, .result = ESRCH};

    switch (to) {
    case RECEIVER_PROGRAM:
        if (!launch->tree.program_ended)
            note(&delivery, platform_kill(launch->tree.program, signal));
        break;
    case RECEIVER_GROUP:
        note(&delivery, platform_kill(-launch->tree.program, signal));
        break;
    case RECEIVER_TREE:
        send_to_tree(&delivery);
        break;
    case RECEIVER_CGROUP:
        if (!launch->cgroup)
            return ENOENT;
        cgroup_each(launch->cgroup, send_to, &delivery);
        break;
    default:
        return EINVAL;
    }
    return delivery.result;
}
