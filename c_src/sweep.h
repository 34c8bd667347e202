/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The end of all that descends from this process or is in its cgroup, the same for relay and keeper.
 */
#ifndef MUONTRAP_SWEEP_H
#define MUONTRAP_SWEEP_H

#include <stdint.h>

#include "cgroup.h"
#include "tree.h"

/* One pass. SWEEP_GOES_ON: call again after the next SIGCHLD or event of the cgroup, and at the time that `*rest_until`
 * has then, as of io_now_us(), unless it is 0. */
enum sweep sweep_pass(struct tree *tree, const struct cgroup *cgroup, uint64_t *rest_until);

#endif
