/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The outer process. It outlives a relay that is killed, kills what the relay leaves behind, and only then lets the
 * owner's pipes go: their end means that all is dead. It holds nothing but a wait.
 */
#ifndef MUONTRAP_KEEPER_H
#define MUONTRAP_KEEPER_H

#include "failure.h"
#include "options.h"

/* The relay's end of the tie between the two: it hangs up when the keeper dies, whatever killed it. */
struct tether {
    int fd;
};

/* Forks. Returns in the relay only; the keeper waits, cleans up and exits with the relay's status. False, in the only
 * process there is then, when it could not be set up. */
bool keeper_start(const struct options *options, struct tether *tether, struct failure *why);

/* In the relay: tells the keeper the program's pid, which is all that it can go by where orphans are not adopted. */
void keeper_tell(const struct tether *tether, int pid);

#endif
