/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * muontrap --check: says on standard output, one line a point, what there is for a program in a cgroup, and below
 * what is missing the commands that mend it.
 */
#ifndef MUONTRAP_CHECK_H
#define MUONTRAP_CHECK_H

#include "options.h"

/* What --check looks at without --group. */
#define CHECK_PATH "muontrap/check"

/* Each line begins with "ok: " or "missing: ", and each command with four spaces. Returns the status to exit with: 0
 * when a program could be started so, and 1 when it couldn't. */
int check_run(struct options *options);

#endif
