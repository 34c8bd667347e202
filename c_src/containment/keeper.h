/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The outer process. It outlives a relay that is killed, kills what the relay leaves behind, and only then lets the
 * owner's pipes go: their end means that all is dead. It holds nothing but a wait.
 *
 * It may be the first process of a pid namespace: then it reaps every orphan. Children that it had before it became the
 * keeper, as a shell has that replaces itself by exec, are left alone.
 */
#ifndef MUONTRAP_KEEPER_H
#define MUONTRAP_KEEPER_H

#include <stdbool.h>

#include "base/failure.h"
#include "containment/tether.h"
#include "launch.h"

/* Forks. Returns in the relay only; the keeper waits, cleans up, also the launch's cgroup if there is one, and ends
 * with the relay's status. False, in the only process there is then, when it could not be set up. */
bool keeper_start(struct launch *launch, struct tether *tether, struct failure *why);

#endif
