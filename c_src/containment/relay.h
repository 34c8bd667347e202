/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The inner process: the program's parent. One poll(2) loop and one table of states by events.
 * Promises that when it returns no descendant is alive, and that in a port the owner has been told how the program
 * ended, after every byte that it wrote.
 */
#ifndef MUONTRAP_RELAY_H
#define MUONTRAP_RELAY_H

#include "base/failure.h"
#include "cgroup/cgroup.h"
#include "containment/keeper.h"
#include "containment/tree.h"
#include "options.h"
#include "program/child.h"

struct relay_setup {
    const struct options *options;
    const struct tether *tether;
    const struct tree *tree; /* with the program in it */
    const struct child *child;
    const struct cgroup *cgroup; /* with the program in it; NULL: none was asked for */
    int signals;                 /* as of signals_open() */
    bool lifeline;               /* without --port: the end of standard input means stop */
};

/* Runs until all is over. Returns the status to exit with. */
int relay_run(const struct relay_setup *setup);

#endif
