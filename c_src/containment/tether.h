/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The tie between keeper and relay. A socket pair: what they tell each other over it, and that each end hangs up when
 * the process at the other one dies, whatever has killed it. And a page that both have: what the keeper has to know
 * when the relay has been killed, and at no other time, lies there without waking it. The relay's children have it too,
 * until they execute something.
 */
#ifndef MUONTRAP_TETHER_H
#define MUONTRAP_TETHER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/failure.h"
#include "cgroup/cgroup_path.h"
#include "program/child.h"

/* What the relay leaves to the keeper. */
struct bequest {
    volatile pid_t program;            /* all that it can go by where orphans are not adopted; 0 while there is none */
    volatile pid_t stopper;            /* the same of the stop command */
    volatile bool launched;            /* a launch has begun whose end has not been told */
    volatile bool other_user;          /* a program has come with a launch frame that runs as another user */
    volatile bool raw;                 /* the terminal that we were started from is to be put back in order */
    char cgroup[CGROUP_PATH_MOST + 1]; /* the program's, when it came with a launch frame; empty without one */
    struct child_message not_run;      /* to the relay itself: why the stop command could not be executed */
    atomic_int decision;               /* the relay's and its child's, see enum decision */
};

/* The relay's end. */
struct tether {
    int fd;
    pid_t keeper;
    pid_t parent; /* the keeper's */
    struct bequest *bequest;
};

enum tether_kind {
    TETHER_STOPPED,   /* to the keeper: job control has stopped the program by that signal; stop likewise */
    TETHER_CONTINUED, /* to the keeper: the program goes on; 1: because of what the keeper has told. To the relay:
                       * somebody has sent the keeper a SIGCONT, which has continued it from that stop, by its number;
                       * 0: from none */
    TETHER_ANSWERED,  /* to the keeper: so many TETHER_CONTINUED of its own are answered by what was told before this */
    TETHER_KEYS, /* to the relay: of enum terminal_key, those whose signals the keeper got before it forked the relay */
    TETHER_END_BY /* to the keeper: end by that signal when the relay has ended */
};

struct tether_message {
    enum tether_kind kind;
    int value;
};

/* Makes both ends, closed by exec, and the page. */
bool tether_open(int ends[2], struct bequest **bequest, struct failure *why);

/* Tells the other side. False when that is dead, which will be noticed otherwise, or has too much to read. */
bool tether_tell(int fd, enum tether_kind kind, int value);

/* Whether the other side is dead. */
bool tether_has_hung_up(int fd);

/* Reads the next message of the other side. False when there is none. */
bool tether_read(int fd, struct tether_message *message);

#endif
