/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The outer process. It outlives a relay that is killed, kills what the relay leaves behind, and only then lets the
 * owner's pipes go: their end means that all is dead. It holds nothing but a wait.
 */
#ifndef MUONTRAP_KEEPER_H
#define MUONTRAP_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/failure.h"
#include "cgroup/cgroup.h"
#include "options.h"

/* The relay's end of the tie between the two: it hangs up when the keeper dies, whatever killed it. */
struct tether {
    int fd;
    pid_t keeper;
};

/* What they tell each other over it. */
enum tether_kind {
    TETHER_PROGRAM,  /* to the keeper: the program's pid, all that it can go by where orphans are not adopted */
    TETHER_STOPPED,  /* to the keeper: job control has stopped the program by that signal; stop likewise */
    TETHER_CONTINUED /* to the relay: whoever waits for us has continued us */
};

struct tether_message {
    enum tether_kind kind;
    int value;
};

/* Forks. Returns in the relay only; the keeper waits, cleans up, also the cgroup if there is one, and exits with the
 * relay's status. False, in the only process there is then, when it could not be set up. */
bool keeper_start(const struct options *options, const struct cgroup *cgroup, struct tether *tether,
                  struct failure *why);

/* Tells the other side. That it has died meanwhile will be noticed otherwise. */
void tether_tell(int fd, enum tether_kind kind, int value);

/* Whether the other side has told something that was not taken yet. */
bool tether_take(int fd, struct tether_message *message);

#endif
