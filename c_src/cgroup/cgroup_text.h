/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel says of cgroups in text: the lines of mountinfo, and the files of the cgroup2 file system. Pure:
 * assumes nothing of the text but that it ends.
 */
#ifndef MUONTRAP_CGROUP_TEXT_H
#define MUONTRAP_CGROUP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_MOUNT_MOST 256u /* bytes of a mount point's name */

/* Whether that line of /proc/self/mountinfo (proc(5)) is of a cgroup2 file system; its mount point then. */
bool cgroup_mount_of(const char *line, char mount[CGROUP_MOUNT_MOST]);

/* Whether it is of a cgroup v1 hierarchy with that controller; its mount point then. */
bool cgroup_v1_mount_of(const char *line, const char *controller, char mount[CGROUP_MOUNT_MOST]);

/* The number behind that key of a flat keyed file (cgroup-v2.rst, "Format"), or the file's only value when the key is
 * empty. False where there is no such number. */
bool cgroup_number_of(const char *text, const char *key, uint64_t *number);

/* Whether one of the words in the text, which are separated by spaces or line ends, is that one, which is not
 * empty. */
bool cgroup_has_word(const char *text, const char *word);

#endif
