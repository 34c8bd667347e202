/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who uses a hierarchy of cgroup v1, for --check. Its root, where every process is that nobody has put elsewhere, does
 * not count.
 */
#ifndef MUONTRAP_V1_USERS_H
#define MUONTRAP_V1_USERS_H

struct v1_users {
    unsigned cgroups;   /* below the root */
    unsigned inhabited; /* of them, those that hold processes */
    unsigned named;     /* of these, those that `names` has */
    char names[512];    /* as "path (pid name, pid name), path (pid name)" */
};

void v1_users_find(struct v1_users *users, const char *mount);

#endif
