/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Who the program runs as: names looked up before there is a child, credentials changed in it.
 * Promises that after identity_assume() the process is that user, group and groups, and cannot go back.
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
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t *groups; /* one static array: there is one identity in a helper */
};

/* Looks up --uid, --gid and --groups. A user without --gid brings its primary group, one without --groups its
 * supplementary groups: never would root's stay with it. */
bool identity_resolve(struct identity *identity, const struct options *options, struct failure *why);

/* In the child: groups, gid, uid, in that order, each checked. On failure *stage and errno say where. */
bool identity_assume(const struct identity *identity, enum stage *stage);

#endif
