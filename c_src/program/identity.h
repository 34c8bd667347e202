/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The user and groups that the program runs as. identity_resolve() looks them up while there is no child yet, and
 * identity_assume() makes the child's process that user.
 * Promises that after identity_assume() the process has that user, group and groups, that it can't return to the user
 * and group it had, and that it has no capability; unless no identity was asked for, or it stays root. Of a reserve
 * (platform.h) nothing is left in any case.
 */
#ifndef MUONTRAP_IDENTITY_H
#define MUONTRAP_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/failure.h"
#include "options.h"

#define GROUPS_MOST 1024

struct identity {
    bool change_groups;
    bool change_gid;
    bool change_uid;
    bool drop_capabilities;
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t *groups; /* room for GROUPS_MOST, which the caller provides */
};

/* Whether it is another one than the process has. */
static inline bool identity_changes(const struct identity *identity)
{
    return identity->change_uid || identity->change_gid || identity->change_groups;
}

/* Whether the process has that group, be it its gid or a supplementary one. */
bool identity_has_group(gid_t gid);

/* Looks up --uid, --gid and --groups. Without --gid a user gets its primary group, and without --groups its
 * supplementary groups, so that no group of root's is left to it. HOME, USER, LOGNAME and SHELL become the user's in
 * the options, unless these set or keep them. Fails where the program could be started as that user but not be
 * killed, and where permission.c says that it may not be. */
bool identity_resolve(struct identity *identity, struct options *options, struct failure *why);

/* In the child: sets groups, gid and uid, in that order, drops the capabilities and checks the result. On failure
 * *stage and errno say which step failed, and the process must not execute the program. */
bool identity_assume(const struct identity *identity, enum stage *stage);

#endif
