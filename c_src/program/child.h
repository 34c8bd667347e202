/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The program's start: a new process with nothing of ours but its descriptors 0, 1 and 2 (from a shell also those that
 * we were started with), that dies when its parent does. Promises that it either executes the program, or never ran
 * anything and the failure says at which stage and why. The start never waits: what the new process does until then can
 * take as long as a dead file server does.
 */
#ifndef MUONTRAP_CHILD_H
#define MUONTRAP_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/failure.h"
#include "program/stdio.h"

struct launch;
struct options;

/* At which stage a new process could not become what it was made for; no stage (0) that it is alive. */
struct child_message {
    enum stage stage;
    int error;
    unsigned which; /* of several things of that stage */
};

/* Whether the new process may execute the program. Whoever decides first has decided, so that it is never said of a
 * program which has run that it hasn't. */
enum decision {
    UNDECIDED,
    EXECUTES, /* by the new process: it executes the program, now or in a moment */
    CANCELLED /* by its parent: it never will */
};

struct child {
    pid_t pid;
    int verdict_fd;       /* where the new process tells what has become of it; -1 once that is known */
    bool born_inside;     /* it was made in its cgroup, and need not enter it */
    bool is_alive;        /* it has told so, which only one in a cgroup does */
    atomic_int *decision; /* of enum decision, in memory that is shared with the new process; NULL without one */
    struct stdio stdio;
    char **environment; /* the program's; NULL while there is none of its own */
    size_t environment_size;
};

/* Whether the program shares our session and process group, as the job that a shell made of us. Not in a port, and not
 * where a group of its own is all that contains it, unless it is to read from the terminal. */
bool child_shares_group(const struct launch *launch);

/* Makes the process that is to become the program, as the launch says. The verdict comes later. False with the failure
 * filled when there is no process. `decision` is in memory that is shared across fork(2). */
bool child_start(struct launch *launch, atomic_int *decision, struct failure *why);

/* Keeps the new process from executing the program. False when it is too late for that. */
bool child_cancel(const struct child *child);

enum verdict {
    VERDICT_PENDING,
    VERDICT_RUNS,  /* the program runs */
    VERDICT_FAILED /* it does not, and the failure says why; the process is a zombie, or about to be one */
};

/* Reads what the new process has told so far, when verdict_fd can be read. It may make the process a second time. */
enum verdict child_verdict(struct launch *launch, struct failure *why);

/* Runs the stop command, as the program is run: as the same user, in the same directory, cgroup and environment, but
 * with CHILD_PID, in a session of its own, with /dev/null as its input and our standard error as its output. Returns
 * its pid, -1 with errno when there is no process. `message`, in memory that is shared across fork(2), gets no stage,
 * and when the command couldn't be executed so, the stage before the process ends. */
pid_t child_run_stop_command(struct launch *launch, struct child_message *message);

/* Fills the failure with what that message says. */
void child_explain_stop_command(struct launch *launch, const struct child_message *message, struct failure *why);

/* Frees what only the start needs, after the verdict or when nobody waits for it any more. */
void child_started(struct child *child);

/* Closes what is the program's alone of the descriptors that we were started with, from 3 up. In a port they have been
 * closed before. */
void child_close_inherited(const struct launch *launch);

/* Exit statuses as of env(1), nohup(1) and timeout(1) (POSIX, Utilities). */
#define EXIT_MUONTRAP_FAILED 125
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127

/* The status to exit with when the launch was cancelled: as of a program that was stopped as soon as it ran. */
int child_exit_status_of_cancelled(const struct options *options);

/* The status to exit with after that failure. */
int child_exit_status_of(const struct failure *why);

#endif
