/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sends a signal to the program, to what runs with it, or to all that it has started.
 */
#ifndef MUONTRAP_DELIVER_H
#define MUONTRAP_DELIVER_H

struct launch;

/* Whom a signal is for. The numbers are part of the protocol: docs/protocol.md lists them. */
enum receiver {
    RECEIVER_PROGRAM = 0,
    RECEIVER_GROUP = 1,  /* the program's process group */
    RECEIVER_TREE = 2,   /* all that descends from it, and itself */
    RECEIVER_CGROUP = 3, /* all in its cgroup */
    RECEIVERS
};

/* Sends the signal. 0 when one process at least has got it; else an errno: ESRCH when there is none, EPERM when none
 * may be sent it, ENOENT without a cgroup, ENOSYS where the system can't tell who they are. */
int deliver(const struct launch *launch, enum receiver to, int signal);

#endif
