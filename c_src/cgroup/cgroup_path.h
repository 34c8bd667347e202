/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The path of a cgroup, relative to where cgroup2 is mounted. Pure.
 * Promises that a path which passes the check names something below the mount, and that each of its parts is a file
 * name.
 */
#ifndef MUONTRAP_CGROUP_PATH_H
#define MUONTRAP_CGROUP_PATH_H

#include <stdbool.h>

#include "base/failure.h"

#define CGROUP_PATH_MOST 1024u /* bytes, without the NUL */
#define CGROUP_PARTS_MOST 32u  /* names between the slashes */
#define CGROUP_PART_SIZE 256u  /* bytes of one of them, with the NUL: NAME_MAX of Linux is 255 */

bool cgroup_path_check(const char *path, struct failure *why);

/* Copies the first part of a checked path, and moves *path on to the next one, or to the NUL behind the last. */
void cgroup_path_next(const char **path, char part[CGROUP_PART_SIZE]);

#endif
