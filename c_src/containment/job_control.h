/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Job control (POSIX, System Interfaces, 2.4 and Shell Command Language, 2.11): the keeper is what a shell waits for.
 * It stops when job control has stopped the program, and the program is continued when somebody continues the keeper.
 * The relay never stops, because its deadlines, the lifeline and the tether have to stay watched.
 *
 * Promises that no continuation is lost, however close it follows the stop, and that a keeper which is stopped is
 * continued when the relay dies (in a portable build: only when somebody continues it).
 */
#ifndef MUONTRAP_JOB_CONTROL_H
#define MUONTRAP_JOB_CONTROL_H

#include <stdbool.h>

#include "base/failure.h"
#include "containment/relay.h"

/* Before the relay is forked: makes the pipe whose end continues the keeper. The relay has to keep the writing end
 * until it dies, and to close the other one; the keeper the other way round. */
bool job_control_open(int ends[2], struct failure *why);

/* In the relay: the keeper is to stop by that signal of job control. */
void job_control_stop_keeper(struct relay *relay, int signal);

/* In the relay: the program may have been stopped, or continued. */
void job_control_follow_program(struct relay *relay);

/* In the relay: the program is to be ended, or has ended, so that the keeper must not stay stopped. */
void job_control_continue_keeper(struct relay *relay);

/* In the relay: it has got a SIGCONT, and so has the whole process group. */
void job_control_note_continuation(struct relay *relay);

/* In the relay: reaps children, and takes note of what job control has done to the program. As tree_reap(). */
bool job_control_reap(struct relay *relay);

/* In the relay: somebody has continued the keeper, and the program is meant, unless it has been continued already. */
void job_control_follow_keeper(struct relay *relay);

#endif
