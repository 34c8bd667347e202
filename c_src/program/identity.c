/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "program/identity.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/platform.h"
#include "program/users.h"

static gid_t group_list[GROUPS_MOST];

/* The user, by name or number; *known: it is in the database, else only its uid is set. */
static bool find_user(const char *given, struct user *user, bool *known, struct failure *why)
{
    unsigned long value;

    if (number_id(given, strlen(given), &value)) {
        *known = users_by_uid((uid_t)value, user);
        user->uid = (uid_t)value;
    } else if (!(*known = users_by_name(given, user))) {
        return failed(why, STAGE_UID, EINVAL,
                      "there is no user '%s' (getent passwd lists those there are; a number is taken as it is)", given);
    }
    if (user->uid == 0)
        return failed(
            why, STAGE_UID, EPERM,
            "--uid %s is root: running a program as root is never done on request (leave --uid out to keep the "
            "user that muontrap runs as)",
            given);
    return true;
}

static bool find_group(const char *given, size_t size, enum stage stage, gid_t *gid, struct failure *why)
{
    unsigned long value;

    if (number_id(given, size, &value)) {
        *gid = (gid_t)value;
    } else {
        char name[USERS_NAME_MOST];

        if (size >= sizeof name)
            return failed(why, stage, ENAMETOOLONG, "a group's name of %lu bytes is too long", (unsigned long)size);
        memcpy(name, given, size);
        name[size] = '\0';
        if (!users_group_by_name(name, gid))
            return failed(why, stage, EINVAL,
                          "there is no group '%s' (getent group lists those there are; a number is taken as it is)",
                          name);
    }
    if (*gid == 0)
        return failed(why, stage, EPERM, "group %.*s is root's: a program is never put into it on request", (int)size,
                      given);
    return true;
}

static bool find_groups(struct identity *identity, const char *list, struct failure *why)
{
    while (*list) {
        size_t size = strcspn(list, ",");

        if (identity->group_count == GROUPS_MOST)
            return failed(why, STAGE_GROUPS, EINVAL, "--groups takes %d groups at most", GROUPS_MOST);
        if (!find_group(list, size, STAGE_GROUPS, &identity->groups[identity->group_count++], why))
            return false;
        list += size;
        if (*list == ',')
            list++;
    }
    return true;
}

static bool groups_of_user(struct identity *identity, const struct user *user, bool known, struct failure *why)
{
    identity->group_count = 1;
    identity->groups[0] = identity->gid;
    if (known)
        identity->group_count = users_groups(user, identity->gid, identity->groups, GROUPS_MOST);
    if (identity->group_count > GROUPS_MOST)
        return failed(why, STAGE_GROUPS, EINVAL, "user %s is in more than %d groups: name those to use with --groups",
                      user->name, GROUPS_MOST);
    return true;
}

/* An ordinary user may ask for what it is already, and then there is nothing to change (and nothing it may change). */
static bool has_groups(const struct identity *identity)
{
    static gid_t now[65536];
    int count = getgroups(65536, now);

    for (int i = 0; i < count; i++) {
        bool wanted = now[i] == identity->gid && identity->change_gid;

        for (size_t j = 0; j < identity->group_count; j++)
            wanted = wanted || identity->groups[j] == now[i];
        if (!wanted)
            return false;
    }
    for (size_t j = 0; j < identity->group_count; j++) {
        bool there = identity->groups[j] == getegid();

        for (int i = 0; i < count; i++)
            there = there || now[i] == identity->groups[j];
        if (!there)
            return false;
    }
    return count >= 0;
}

bool identity_resolve(struct identity *identity, const struct options *options, struct failure *why)
{
    struct user user;
    bool known = false;

    *identity = (struct identity){.groups = group_list, .uid = getuid(), .gid = getgid()};
    if (options->uid) {
        if (!find_user(options->uid, &user, &known, why))
            return false;
        if (!known)
            user.gid = identity->gid;
        if (!known && !options->gid)
            return failed(why, STAGE_UID, EINVAL,
                          "user %s is not in the user database, so that its group is unknown: name one with --gid",
                          options->uid);
        identity->uid = user.uid;
        identity->gid = user.gid;
    }
    if (options->gid && !find_group(options->gid, strlen(options->gid), STAGE_GID, &identity->gid, why))
        return false;
    if (options->groups ? !find_groups(identity, options->groups, why)
                        : (options->uid || options->gid) && !groups_of_user(identity, &user, known, why))
        return false;
    identity->change_uid = options->uid && (identity->uid != getuid() || identity->uid != geteuid());
    identity->change_gid = (options->uid || options->gid) && (identity->gid != getgid() || identity->gid != getegid());
    identity->change_groups = (options->uid || options->gid || options->groups) && !has_groups(identity);
    return true;
}

/* setuid(2), setgid(2): with privilege these set the real, effective and saved id, without it they may set the
 * effective id alone. So what has come of it is looked at, and that there is no way back to root is tried. */
bool identity_assume(const struct identity *identity, enum stage *stage)
{
    *stage = STAGE_GROUPS;
    if (identity->change_groups && platform_setgroups(identity->group_count, identity->groups) < 0)
        return false;
    *stage = STAGE_GID;
    if (identity->change_gid && platform_setgid(identity->gid) < 0)
        return false;
    errno = EPERM;
    if (identity->change_gid && (getgid() != identity->gid || getegid() != identity->gid))
        return false;
    *stage = STAGE_UID;
    if (identity->change_uid && platform_setuid(identity->uid) < 0)
        return false;
    errno = EPERM;
    if (identity->change_uid && (getuid() != identity->uid || geteuid() != identity->uid || platform_setuid(0) == 0))
        return false;
    return true;
}
