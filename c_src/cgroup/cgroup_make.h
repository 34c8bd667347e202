/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The directory of the program's cgroup. cgroup_make() finds or makes it and locks it; cgroup_remove() and
 * cgroup_clean() (cgroup.h) remove it. What dead helpers have left in the same place or beside it is killed and
 * removed on the way.
 */
#ifndef MUONTRAP_CGROUP_MAKE_H
#define MUONTRAP_CGROUP_MAKE_H

#include <stdbool.h>

#include "cgroup/cgroup.h"
#include "cgroup/controllers.h"

/* Checks the path that the options name, and opens the directory where cgroup2 is mounted. */
bool cgroup_open_mount(struct cgroup *cgroup, const struct options *options, struct failure *why);

/* Finds or makes the directory and those above it, with the controllers enabled from the top down, and locks it. The
 * mount has to be open. False with the failure filled; nothing that was made is left behind then. */
bool cgroup_make(struct cgroup *cgroup, struct controllers *controllers, struct failure *why);

#endif
