/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * muontrap --check: prints what this machine has of what a program in a cgroup needs, one line for each point, and
 * below each point that is missing the commands that mend it.
 */
#ifndef MUONTRAP_CHECK_H
#define MUONTRAP_CHECK_H

#include "options.h"

/* The cgroup that --check examines without --group, where that is not given by what --group auto would use. */
#define CHECK_PATH "muontrap/check"

/* Each line begins with "ok: " or "missing: ", and each command with four spaces. `users` says as whom programs may be
 * run, and is a line of its own. Returns the exit status: 0 when a program could be started with these options, else
 * 1. */
int check_run(struct options *options, const char *users);

#endif
