/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The user and group database. users_nss.c asks the C library, which asks the services that nsswitch.conf(5) names.
 * users_files.c reads /etc/passwd and /etc/group itself, for a static program, which can't load these services.
 */
#ifndef MUONTRAP_USERS_H
#define MUONTRAP_USERS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#define USERS_NAME_MOST 256  /* bytes of a name, with the NUL */
#define USERS_PATH_MOST 1024 /* bytes of a path, with the NUL */

struct user {
    char name[USERS_NAME_MOST];
    uid_t uid;
    gid_t gid;
    char home[USERS_PATH_MOST]; /* "" when the entry has none */
    char shell[USERS_PATH_MOST];
};

/* Too long a path is none. */
static inline void users_copy_path(char path[USERS_PATH_MOST], const char *from)
{
    size_t size = from ? strlen(from) : 0;

    path[0] = '\0';
    if (size < USERS_PATH_MOST)
        memcpy(path, from ? from : "", size + 1);
}

/* Each looks up one entry of the database. False when there is no such entry. */
bool users_by_name(const char *name, struct user *user);
bool users_by_uid(uid_t uid, struct user *user);
bool users_group_by_name(const char *name, gid_t *gid);

/* Fills in the groups of the user, with the primary group first. Returns their number, or `most` + 1 when there are
 * more than that, or 0 when the database can't be read. */
size_t users_groups(const struct user *user, gid_t primary, gid_t *groups, size_t most);

#endif
