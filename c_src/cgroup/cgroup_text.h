/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads the text of the kernel's files about cgroups: the lines of mountinfo, and the files of the cgroup2 file system.
 * Pure. Assumes nothing of the text but that it ends with a NUL.
 */
#ifndef MUONTRAP_CGROUP_TEXT_H
#define MUONTRAP_CGROUP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_MOUNT_MOST 256u /* bytes of a mount point's name */

/* Whether that line of /proc/self/mountinfo (proc(5)) stands for a cgroup2 file system. `mount` becomes its mount point
 * then. */
bool cgroup_mount_of(const char *line, char mount[CGROUP_MOUNT_MOST]);

/* Which cgroup is mounted there, which such a line tells: "/" but where only a part of the tree is seen. False when it
 * is too long. */
bool cgroup_mounted_of(const char *line, char *cgroup, size_t size);

/* Finds a process's own cgroup of version 2 in the text of its /proc/pid/cgroup. False when it has none, or when it is
 * too long. */
bool cgroup_own_of(const char *text, char *cgroup, size_t size);

/* Whether the line stands for a cgroup v1 hierarchy with that controller. `mount` becomes its mount point then. */
bool cgroup_v1_mount_of(const char *line, const char *controller, char mount[CGROUP_MOUNT_MOST]);

/* Finds the number behind that key in the text of a flat keyed file (cgroup-v2.rst, "Format"), or at the beginning of
 * the text when the key is empty. False when there is no such number. */
bool cgroup_number_of(const char *text, const char *key, uint64_t *number);

/* Whether the text has that word. Words are separated by spaces or line ends; the one that is looked for must not be
 * empty. */
bool cgroup_has_word(const char *text, const char *word);

#endif
