/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Signals as readable bytes: handlers leave a note and wake poll(2) through a pipe, so that no signal is lost and none
 * is waited for with a race. Keeper and relay each open their own; between signals_block() and then, signals wait.
 */
#ifndef MUONTRAP_SIGNALS_H
#define MUONTRAP_SIGNALS_H

#include <stdbool.h>

#include "base/failure.h"

/* Blocks what signals_open() will handle. `keep_ignored`: when SIGHUP, SIGINT or SIGQUIT arrives ignored, as under
 * nohup(1) or in the background of a shell without job control, it stays so, for us and for the program.
 * `shared_terminal`: what the terminal sends to our process group reaches the program too. */
void signals_block(bool keep_ignored, bool shared_terminal);

/* Makes the pipe, anew in a new process, and installs the handlers. Returns the descriptor to poll, -1 with the failure
 * filled. */
int signals_open(struct failure *why);

/* From now on the handlers run. */
void signals_unblock(void);

/* What has come since the last call. */
struct signals {
    bool child; /* a child has changed its state */
    bool stop;  /* TERM, HUP, INT or QUIT, but not the terminal's INT or QUIT, which the program gets as well */
};
struct signals signals_take(void);

/* Holds the signals of children back, and drops what has come and not been taken; or lets them come again. For a time
 * when thousands of them would tell nothing new. */
void signals_hold_children(bool hold);

/* Stops this process by the signal of job control that has stopped another, so that whoever waits for us sees the same
 * signal. Returns when it has been continued. */
void signals_stop(int signal);

/* In a new child that is about to execute a program: default dispositions, nothing blocked. */
void signals_reset(void);

#endif
