/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The path of a cgroup, relative to where cgroup2 is mounted. Pure.
 * Promises that a path which passes the check names something below the mount, and that each of its parts is a file
 * name; and knows which part of a path is a unit of systemd's.
 */
#ifndef MUONTRAP_CGROUP_PATH_H
#define MUONTRAP_CGROUP_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/failure.h"

#define CGROUP_PATH_MOST 1024u /* bytes, without the NUL */
#define CGROUP_PARTS_MOST 32u  /* names between the slashes */
#define CGROUP_PART_SIZE 256u  /* bytes of one of them, with the NUL: NAME_MAX of Linux is 255 */

bool cgroup_path_check(const char *path, struct failure *why);

/* Copies the first part of a checked path, and moves *path on to the next one, or to the NUL behind the last. */
void cgroup_path_next(const char **path, char part[CGROUP_PART_SIZE]);

/* The path below `root` of a cgroup that has this path in the whole tree, both with a slash before: "" when it is that
 * very cgroup, NULL when it is not below it. */
const char *cgroup_path_below(const char *root, const char *cgroup);

/* A unit of systemd's that a cgroup is of. */
struct cgroup_unit {
    size_t end;          /* the first bytes of the path that are the unit's own cgroup */
    size_t name;         /* where in these its name begins */
    const char *manager; /* "UID.service..." when the systemd of that user manages it; NULL when the system's does */
};

/* Whether the cgroup is of such a unit, and of which: the innermost, which is the one that may be delegated. */
bool cgroup_path_unit(const char *path, struct cgroup_unit *unit);

#endif
