/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A process that somebody else has started, in the program's place (--attach). It is signalled by a descriptor that
 * stands for it (pidfd_open(2)), never by its pid, which may pass to a stranger when its parent has reaped it.
 */
#ifndef MUONTRAP_ATTACH_H
#define MUONTRAP_ATTACH_H

#include <stdbool.h>

#include "base/failure.h"

struct launch;

/* Opens the process that the options name. False, with the failure filled, when it isn't there, may not be signalled,
 * or is one that must not be stopped: the init, a thread of the kernel's, a helper, or this process or one that it
 * descends from. To be called before there is a second process of the helper's, which is to have the descriptor too. */
bool attach_open(struct launch *launch, struct failure *why);

/* Moves it with all that descends from it into the launch's cgroup, if there is one. When that fails, it is where it
 * was before, and what had been moved of its descendants is there as well; or the failure says that it couldn't go
 * back. */
bool attach_move(const struct launch *launch, struct failure *why);

#endif
