/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sweep.h"

#include "io.h"
#include "signals.h"

/* A pass that took as long as this, in microseconds, is followed by a rest of so many times as long, without the
 * signals of children. Thousands die as fast as the processors get to them, and the death of each would cost them
 * another pass over all. */
#define LONG_PASS_US 1000u
#define RESTS 16u

/* The kernel has killed whoever is in the cgroup. Who has left it is looked for at once, but nobody is reaped before it
 * is empty: to find the dead among thousands that are still dying the kernel goes through all of them for each, and
 * meanwhile none can end. */
static enum sweep wait_for_dying(struct tree *tree, uint64_t begun, uint64_t *rest_until)
{
    uint64_t now;

    tree_kill(tree);
    now = io_now_us();
    if (now - begun >= LONG_PASS_US) {
        *rest_until = now + RESTS * (now - begun);
        signals_hold_children(true);
    }
    return SWEEP_GOES_ON;
}

/* The cgroup first, whose members the kernel kills all at once, and then who has left it. When the tree is gone there
 * may still be somebody in it who doesn't descend from us, and of whose end its events tell. */
enum sweep sweep_pass(struct tree *tree, const struct cgroup *cgroup, uint64_t *rest_until)
{
    uint64_t begun = io_now_us();
    bool killed;
    enum sweep result;

    *rest_until = 0;
    if (!cgroup)
        return tree_sweep(tree);
    signals_hold_children(false);
    killed = cgroup_kill(cgroup);
    if (killed && cgroup_populated(cgroup))
        return wait_for_dying(tree, begun, rest_until);
    result = tree_sweep(tree);
    /* What isn't ours to kill the kernel has killed with the cgroup, and it has only been found before it was dead. */
    if (result == SWEEP_REFUSED && killed)
        result = tree_sweep(tree);
    return result == SWEEP_DONE && cgroup_populated(cgroup) ? SWEEP_GOES_ON : result;
}
