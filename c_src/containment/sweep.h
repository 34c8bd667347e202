/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The end of all that descends from this process or is in its cgroup, the same for relay and keeper.
 */
#ifndef MUONTRAP_SWEEP_H
#define MUONTRAP_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "cgroup/cgroup.h"
#include "containment/tree.h"

/* Zero to begin with. */
struct sweeping {
    uint64_t due;      /* when another pass is due in any case, as of io_now_us(); 0: when something happens */
    bool populated;    /* somebody is in the cgroup; its events will tell when nobody is any more */
    unsigned members;  /* of the cgroup that were dying at the last pass */
    unsigned children; /* that were dying at the last pass */
    unsigned refused;  /* passes in a row in which none of those that were left could be killed by us */
};

/* Reaps who is dead, and tells whether no process is left to kill, as after most programs. */
bool sweep_is_needless(struct tree *tree, const struct cgroup *cgroup);

/* One pass. SWEEP_GOES_ON: call again after the next SIGCHLD or event of the cgroup, or when it is due. */
enum sweep sweep_pass(struct sweeping *sweeping, struct tree *tree, const struct cgroup *cgroup);

#endif
