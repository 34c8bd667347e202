/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "containment/sweep.h"

#include "base/io.h"
#include "base/signals.h"

/* To find the dead among the dying, the kernel goes through all of them for each one, and meanwhile none can end; and
 * each signal of one's death would cost the processors, which all of them wait for, another pass over the others. So of
 * that many nobody is reaped, and no signal of a child comes, until the cgroup is empty or the rest is over. As long as
 * they become fewer, that is: who waits for the end of another that only we can reap would wait for ever. */
#define MANY 500u
#define REST_US 400000u

/* Of who enters the cgroup from elsewhere no event tells, as long as it is populated. */
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

static enum sweep again_in(struct sweeping *sweeping, unsigned us)
{
    sweeping->due = io_now_us() + us;
    return SWEEP_GOES_ON;
}

/* The cgroup first, whose members the kernel kills all at once, and then who has left it. When the tree is gone there
 * may still be somebody in it who doesn't descend from us. */
enum sweep sweep_pass(struct sweeping *sweeping, struct tree *tree, const struct cgroup *cgroup)
{
    enum sweep result;
    bool killed;

    sweeping->due = 0;
    if (!cgroup)
        return tree_sweep(tree);
    signals_hold_children(false);
    killed = cgroup_kill(cgroup);
    sweeping->populated = cgroup_populated(cgroup);
    if (killed && sweeping->populated && many_are_dying(sweeping, cgroup)) {
        tree_kill(tree);
        signals_hold_children(true);
        return again_in(sweeping, REST_US);
    }
    result = tree_sweep(tree);
    if (result == SWEEP_GOES_ON)
        return result;
    sweeping->populated = cgroup_populated(cgroup);
    if (sweeping->populated && (killed || result == SWEEP_DONE))
        return again_in(sweeping, LOOK_AGAIN_US);
    if (result == SWEEP_REFUSED && killed && ++sweeping->refused <= REFUSALS)
        return again_in(sweeping, LOOK_AGAIN_US);
    return result;
}
