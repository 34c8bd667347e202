/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What only some kernels have: linux.c has it all, portable.c does with POSIX what can be done with POSIX.
 * Nothing else in the helper makes a call that POSIX lacks.
 */
#ifndef MUONTRAP_PLATFORM_H
#define MUONTRAP_PLATFORM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "failure.h"

/* Closes every descriptor from 3 up: none was meant for us. */
void platform_close_inherited(void);

/* From now on orphaned descendants become children of this process (a subreaper). False where the kernel lacks it. */
bool platform_adopt_orphans(struct failure *why);

/* In a new child: be killed when the parent dies. False when the parent has died already. */
bool platform_die_with_parent(pid_t parent);

/* Whether the children of this process can be listed, and all of its descendants sooner or later become children. */
extern const bool platform_has_children;

/* Prepares the list of children. Must be called by the process whose children they are. Returns a descriptor. */
int platform_children_open(struct failure *why);

/* Calls `visit` with the pid of each child, dead or alive. A child that comes or goes meanwhile may be left out. */
void platform_children(int fd, void (*visit)(pid_t child, void *context), void *context);

/* Moves up to `size` bytes from a pipe to a descriptor without copying. Like write(2); ENOSYS or EINVAL where it can't. */
ssize_t platform_move(int from, int to, size_t size);

/* read(2) that fails with EAGAIN where it would block, whatever the mode of the descriptor (which others may share). */
ssize_t platform_read_now(int fd, void *buffer, size_t size);

/* Whether the kernel, and not a process, sent the signal that a handler was told of. */
bool platform_signal_from_terminal(const siginfo_t *info);

/* This process wants to run before others from now on, if it may: it has to be faster than a fork bomb. */
void platform_hurry(void);

#endif
