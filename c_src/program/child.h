/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The program's start: a new process with nothing of ours but descriptors 0, 1 and 2, that dies when its parent does.
 * Promises that it either executes the program, or never ran anything and the failure says at which stage and why.
 */
#ifndef MUONTRAP_CHILD_H
#define MUONTRAP_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/failure.h"
#include "cgroup/cgroup.h"
#include "options.h"
#include "program/identity.h"

struct child {
    pid_t pid;
    int stdout_fd; /* where its output is to be read, -1 where it is not relayed */
    int stderr_fd;
};

/* Whether the program shares our session and process group, as the job that a shell made of us. Not in a port, and not
 * where a group of its own is all that contains it, unless it is to read from the terminal. */
bool child_shares_group(const struct options *options, bool lifeline);

/* Starts the program as the options say, in the cgroup if there is one; `lifeline`: standard input is ours, so the
 * program gets /dev/null. */
bool child_spawn(struct child *child, const struct options *options, const struct identity *identity,
                 const struct cgroup *cgroup, bool lifeline, struct failure *why);

/* Exit statuses as of env(1), nohup(1) and timeout(1) (POSIX, Utilities). */
#define EXIT_MUONTRAP_FAILED 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

/* The status to exit with after that failure. */
int child_exit_status_of(const struct failure *why);

#endif
