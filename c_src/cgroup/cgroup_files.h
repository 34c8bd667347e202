/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The files of the cgroup2 file system: where it is mounted, and small reads and writes below it. These functions set
 * errno and report nothing.
 */
#ifndef MUONTRAP_CGROUP_FILES_H
#define MUONTRAP_CGROUP_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup/cgroup_path.h"
#include "cgroup/cgroup_text.h"

struct platform_listing;

/* Calls `visit` for each line of /proc/self/mountinfo (proc(5)) until it returns false. False when it can't be read. */
bool cgroup_mounts(bool (*visit)(const char *line, void *context), void *context);

/* Finds where a cgroup2 file system is mounted, and prefers a mount that can be written. False, with ENODEV, when there
 * is none. */
bool cgroup_mount_find(char mount[CGROUP_MOUNT_MOST]);

/* Finds this process's own cgroup, relative to that mount: "" for the one that is mounted there. False, with ENOENT,
 * when it is not below. */
bool cgroup_find_own(const char *mount, char own[CGROUP_PATH_MOST + 1]);

/* The same of another process. ESRCH when there is none, or it can't be looked at. */
bool cgroup_find_of(const char *mount, pid_t pid, char path[CGROUP_PATH_MOST + 1]);

/* Whether that directory is the root of the whole tree, and not of a cgroup namespace or of a part that is mounted. It
 * may hold processes beside the cgroups below it. */
bool cgroup_is_whole_tree(int root);

/* Opens a directory, closed on exec. -1 when it can't be opened. */
int cgroup_directory(int at, const char *name);

/* Reads a whole small file as text. What doesn't fit is cut off. */
bool cgroup_read(int directory, const char *file, char *text, size_t size);

/* Writes the value with one write(2), as the kernel wants it. */
bool cgroup_write(int directory, const char *file, const char *value);

/* Reads a file and finds the number behind the key as cgroup_number_of() does. */
bool cgroup_number(int directory, const char *file, const char *key, uint64_t *number);

/* The same in an open file. poll(2) tells of a change since the descriptor was last read, so that a file which is
 * watched has to be read by the descriptor that is watched. */
bool cgroup_number_in(int fd, const char *key, uint64_t *number);

/* The CPU time in microseconds, from cpu.stat. */
bool cgroup_cpu_time(int directory, uint64_t *user_us, uint64_t *system_us);

/* Opens cgroup.events of the cgroup, whose changes poll(2) tells with POLLPRI. -1 when it can't be opened. */
int cgroup_events_open(int directory);

/* Whether that flag of cgroup.events ("populated", "frozen") is set. False, too, when it can't be read: then the cgroup
 * has been removed, and holds nothing. */
bool cgroup_events_flag(int events, const char *key);

/* Calls `visit` for each process in the cgroup itself. False when the list can't be read to its end. */
bool cgroup_processes(int directory, void (*visit)(pid_t pid, void *context), void *context);

/* The name of the next directory in a listing, which is good until the next call. NULL when there is no more. The
 * directory may be removed. */
const char *cgroup_list_next(struct platform_listing *listing);

#endif
