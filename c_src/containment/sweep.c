/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "containment/sweep.h"

#include "base/io.h"
#include "base/signals.h"

/* waitid(2) goes through all children to find a dead one, and while it does, none of the others can end. With thousands
 * of dying children, reaping each one at its SIGCHLD would take most of the processors' time. So when that many are
 * dying nobody is reaped, and SIGCHLD is held back, until the cgroup is empty or this time is over. This goes on only
 * while they become fewer, because a process may be waiting for the end of another one that only we can reap. */
#define MANY 500u
#define REST_US 400000u

/* No event tells of a process that enters the cgroup from elsewhere while the cgroup is populated, so the cgroup is
 * checked again after this time. */
#define LOOK_AGAIN_US 10000u

/* Up to Linux 6.18 the cgroup is empty a moment before the last of its processes is a zombie, and until then kill(2)
 * refuses one of another user. */
#define REFUSALS 10u

static bool many_are_dying(struct sweeping *sweeping, const struct cgroup *cgroup)
{
    unsigned before = sweeping->members;

    return cgroup_members(cgroup, &sweeping->members) && sweeping->members >= MANY &&
           (before == 0 || sweeping->members < before);
}

static enum sweep again_in(struct sweeping *sweeping, uint64_t us)
{
    sweeping->due = io_now_us() + us;
    return SWEEP_GOES_ON;
}

/* A pass goes through all children, of which the kernel ends few meanwhile. So with this many the next one is not due
 * at the SIGCHLD of the first that has died, but when as much time has passed as this one has taken, and no more than
 * that. Unless they don't become fewer: then somebody forks. */
#define CROWD 100u
#define CROWD_REST_US 20000u

static enum sweep let_die(struct sweeping *sweeping, uint64_t us)
{
    signals_hold_children(true);
    return again_in(sweeping, us < CROWD_REST_US ? us : CROWD_REST_US);
}

static enum sweep sweep_tree(struct sweeping *sweeping, struct tree *tree)
{
    uint64_t began = io_now_us();
    unsigned before = sweeping->children;
    struct left left = {0};
    enum sweep result = tree_sweep(tree, &left);

    sweeping->children = left.dying;
    if (result != SWEEP_GOES_ON)
        return result;
    if (left.dying >= CROWD && left.dying < before)
        return let_die(sweeping, io_now_us() - began);
    return left.dead ? again_in(sweeping, 0) : SWEEP_GOES_ON;
}

bool sweep_is_needless(struct tree *tree, const struct cgroup *cgroup)
{
    return tree_is_over(tree) && (!cgroup || !cgroup_populated(cgroup));
}

/* The cgroup comes first, because the kernel kills all of its members at once; then the processes that have left it are
 * killed one by one. When no descendant is left, the cgroup may still hold a process that doesn't descend from us. */
enum sweep sweep_pass(struct sweeping *sweeping, struct tree *tree, const struct cgroup *cgroup)
{
    enum sweep result;
    bool killed;

    if (sweeping->due != 0)
        signals_hold_children(false);
    sweeping->due = 0;
    if (!cgroup)
        return sweep_tree(sweeping, tree);
    killed = cgroup_kill(cgroup);
    sweeping->populated = cgroup_populated(cgroup);
    if (killed && sweeping->populated && many_are_dying(sweeping, cgroup)) {
        tree_kill(tree);
        signals_hold_children(true);
        return again_in(sweeping, REST_US);
    }
    result = sweep_tree(sweeping, tree);
    if (result == SWEEP_GOES_ON)
        return result;
    sweeping->populated = cgroup_populated(cgroup);
    if (sweeping->populated && (killed || result == SWEEP_DONE))
        return again_in(sweeping, LOOK_AGAIN_US);
    if (result == SWEEP_REFUSED && killed && ++sweeping->refused <= REFUSALS)
        return again_in(sweeping, LOOK_AGAIN_US);
    return result;
}
