/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Signals as readable bytes: a handler leaves a note and wakes poll(2) through a pipe, so that no signal is lost and
 * waiting for one has no race. The keeper and the relay each open a pipe of their own. From signals_block() until
 * signals_unblock() every signal waits.
 */
#ifndef MUONTRAP_SIGNALS_H
#define MUONTRAP_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/failure.h"

#define SIGNALS_STOP 4u    /* TERM, HUP, INT and QUIT */
#define SIGNALS_PASSED 64u /* so many are returned by one call of signals_take() at most */

/* Which of the signals that mean stop arrived ignored, as under nohup(1) or in the background of a shell without job
 * control, and therefore stay ignored, by us and by the program. */
struct signals_kept {
    bool ignored[SIGNALS_STOP];
};

/* Blocks what signals_open() will handle. With `keep_ignored`, SIGHUP, SIGINT and SIGQUIT are noted in *kept when they
 * arrived ignored. */
void signals_block(struct signals_kept *kept, bool keep_ignored);

/* Makes the pipe, anew in a new process, and installs the handlers. Returns the descriptor to poll, -1 with the failure
 * filled. */
int signals_open(const struct signals_kept *kept, struct failure *why);

/* The same in a process that was forked by one which has called signals_open(), and so has the handlers already. */
int signals_reopen(struct failure *why);

/* From now on SIGWINCH is among the signals that are passed on, in this process alone. */
void signals_take_resizes(void);

/* From now on the handlers run. */
void signals_unblock(void);

/* The keys of the terminal that interrupt: their signals reach every process of the foreground process group. */
enum terminal_key { TERMINAL_INTERRUPT = 1, TERMINAL_QUIT = 2 };

/* What has come since the last call. */
struct signals {
    bool child;                     /* a child has changed its state */
    bool stop;                      /* TERM, HUP, INT or QUIT, but not the INT or QUIT of the terminal's keys */
    bool continued;                 /* somebody has sent SIGCONT */
    unsigned keys;                  /* of enum terminal_key: the terminal has sent their signals */
    unsigned passed_count;          /* of all other signals that would end a process: how many were sent to us */
    uint8_t passed[SIGNALS_PASSED]; /* and which, in their order */
};
struct signals signals_take(void);

/* Holds the signals of children back, and forgets that one has come; or lets them come again. This is for a time when
 * thousands of them would tell nothing new. */
void signals_hold_children(bool hold);

/* A SIGCONT that this process sends us is not told: it only wakes us. */
void signals_ignore_continuation_by(pid_t peer);

/* Stops this process by the signal of job control that has stopped another one, so that whoever waits for this process
 * sees the same signal. But it doesn't when a signal has come that was not taken yet, or when one of the two
 * descriptors can be read or has hung up. What arrives later at the first one has to be followed by a SIGCONT, and at
 * the second one be followed by a SIGCONT of the kernel's (platform_continue_at_end()): that calls the stop off however
 * close it comes. SIGSTOP can't be held back so, and is not for this. Returns when the process has been continued, or
 * at once: whether it was to stop. */
bool signals_stop(int signal, int news, int end);

/* Lets the signals of the terminal's keys come, and tells which of them have come from there, of enum terminal_key. */
unsigned signals_unblock_keys(void);

/* Whether the signal of such a key is blocked and has come. */
bool signals_key_is_pending(void);

/* Ends this process by that signal, so that whoever waits for it sees the signal. Where that can't be, as in a pid
 * namespace's first process, it exits with 128 and the signal's number. */
_Noreturn void signals_end_by(int signal);

/* In a new child that is about to execute a program, whose parent has called signals_open(): no signal is blocked, and
 * the program will find the default dispositions but for what is kept. A signal that comes before does what it would do
 * to the program. */
void signals_leave_to_program(void);

/* No handler runs any more: default dispositions, and no signal blocked. */
void signals_reset(void);

#endif
