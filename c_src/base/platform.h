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

#include "base/failure.h"

/* Closes every descriptor from 3 up: none was meant for us. */
void platform_close_inherited(void);

/* From now on orphaned descendants become children of this process (a subreaper). False where the kernel lacks it. */
bool platform_adopt_orphans(struct failure *why);

/* In a new child: be killed when the parent dies. False when the parent has died already. */
bool platform_die_with_parent(pid_t parent);

/* fork(2) for a child that goes straight on to execve(2) or _exit(2). Where vfork(2) shares the memory and holds the
 * parent meanwhile, as on Linux, that spares a small process a quarter of a launch; a function can't wrap it, for
 * its frame would be gone when the parent goes on. The child may call what it likes as long as it allocates nothing
 * and changes no state of ours. */
#if defined(__linux__) && !defined(MUONTRAP_PORTABLE)
#define platform_fork_to_exec() vfork() /* NOLINT(clang-analyzer-security.insecureAPI.vfork): see above */
#else
#define platform_fork_to_exec() fork()
#endif

/* Whether the children of this process can be listed, and all of its descendants sooner or later become children. */
extern const bool platform_has_children;

/* Prepares the list of children. Must be called by the process whose children they are. Returns a descriptor. */
int platform_children_open(struct failure *why);

/* Calls `visit` with each pid in a list of the kernel's, such as that of the children, dead or alive. Of children, one
 * that comes or goes meanwhile may be left out. False when it can't be read to its end. */
bool platform_pids(int fd, void (*visit)(pid_t pid, void *context), void *context);

/* These change the credentials of the calling process, which has one thread. The C library's functions change them in
 * all threads, with machinery that a process made by platform_fork_to_exec() must not use. On Linux platform_setgid()
 * and platform_setuid() set the real, the effective and the saved id, or fail; elsewhere they are setgid(2) and
 * setuid(2), which without privilege may set the effective id alone. */
int platform_setgroups(size_t count, const gid_t *groups);
int platform_setgid(gid_t gid);
int platform_setuid(uid_t uid);

/* Two of the capabilities that Linux divides root's privileges into, by their numbers (capabilities(7)). */
enum capability { CAPABILITY_KILL = 5, CAPABILITY_SETUID = 7 };

/* Whether this process has the capability. A system without capabilities gives it to root alone. */
bool platform_has_capability(enum capability capability);

/* Empties the process's capability sets, so that it has none and a program that it executes inherits none. The bounding
 * set, which gives nothing by itself, is left as it is. Returns 0, or -1 with errno. */
int platform_drop_capabilities(void);

/* Moves up to `size` bytes from a pipe to a descriptor without copying. Like write(2); ENOSYS or EINVAL where it
 * can't. */
ssize_t platform_move(int from, int to, size_t size);

/* read(2) that fails with EAGAIN where it would block, whatever the mode of the descriptor (which others may share). */
ssize_t platform_read_now(int fd, void *buffer, size_t size);

/* Gives the signal its default disposition, whichever it is. */
void platform_default_signal(int signal);

/* Whether the kernel, and not a process, sent the signal that a handler was told of. */
bool platform_signal_from_terminal(const siginfo_t *info);

/* That process, 0 for the calling one, is to run before others from now on, if we may have it so: it has to be faster
 * than a fork bomb. It must not fork any more, for its children would be so, too. */
void platform_hurry(pid_t pid);

#endif
