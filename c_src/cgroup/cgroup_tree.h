/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Kills the processes in a cgroup and in all that are nested below it, and removes these directories.
 * Promises to need no more stack and descriptors for a thousand levels than for one. Assumes that a directory of
 * cgroup2 keeps its parent, which the kernel guarantees: there is no rename(2) in that file system.
 */
#ifndef MUONTRAP_CGROUP_TREE_H
#define MUONTRAP_CGROUP_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Calls `visit` with each process in the cgroup and below. */
void cgroup_tree_each(int directory, void (*visit)(pid_t pid, void *context), void *context);

/* Kills all processes in the cgroup and below. True when the kernel did it by cgroup.kill, which reaches processes of
 * every user; else each was sent SIGKILL, which some may not be. `without` is of enum without (options.h). */
bool cgroup_tree_kill(int directory, unsigned without);

/* Kills until no process is left in the cgroup and below. False when some still are at the deadline, which is one of
 * io_now_us(). */
bool cgroup_tree_kill_all(int directory, unsigned without, uint64_t deadline);

/* Removes all directories below that one, the deepest first. Those that hold a process stay, and those above them. */
void cgroup_tree_remove_below(int directory);

/* The same for the directory of that name, which is removed as well. */
void cgroup_tree_remove(int parent, const char *name);

#endif
