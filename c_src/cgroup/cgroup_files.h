/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The files of the cgroup2 file system: where it is mounted, and small reads and writes below it. They set errno and
 * report nothing.
 */
#ifndef MUONTRAP_CGROUP_FILES_H
#define MUONTRAP_CGROUP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cgroup/cgroup_text.h"

/* Calls `visit` for each line of /proc/self/mountinfo (proc(5)) until it returns false. False when it can't be read. */
bool cgroup_mounts(bool (*visit)(const char *line, void *context), void *context);

/* Where a cgroup2 file system is mounted, best where it can be written. ENODEV when there is none. */
bool cgroup_mount_find(char mount[CGROUP_MOUNT_MOST]);

/* A directory, closed on exec; -1 when it can't be opened. */
int cgroup_directory(int at, const char *name);

/* A whole small file as text; what doesn't fit is cut off. */
bool cgroup_read(int directory, const char *file, char *text, size_t size);

/* Writes the value with one write(2), as the kernel wants it. */
bool cgroup_write(int directory, const char *file, const char *value);

/* cgroup_number_of() what such a file says. */
bool cgroup_number(int directory, const char *file, const char *key, uint64_t *number);

/* The same of an open file. With a file that poll(2) watches it has to be this: what was read is no news any more. */
bool cgroup_number_in(int fd, const char *key, uint64_t *number);

/* Calls `visit` for each directory in that one, until it returns false. It may remove the one that it is called for. */
void cgroup_children(int directory, bool (*visit)(int directory, const char *name, void *context), void *context);

#endif
