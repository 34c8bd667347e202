/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "identity.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

static gid_t group_list[GROUPS_MOST];

/* A whole decimal number that fits an id other than (id)-1, which the system calls take for "leave it". */
static bool number(const char *text, size_t size, unsigned long *result)
{
    unsigned long long value = 0;

    if (size == 0 || size > 10)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned long long)(text[i] - '0');
    }
    if (value >= 0xffffffffULL)
        return false;
    *result = (unsigned long)value;
    return true;
}

static bool find_user(const char *given, uid_t *uid, const struct passwd **entry, struct failure *why)
{
    unsigned long value;

    if (number(given, strlen(given), &value)) {
        *uid = (uid_t)value;
        *entry = getpwuid(*uid);
    } else {
        *entry = getpwnam(given);
        if (!*entry)
            return failed(why, STAGE_UID, EINVAL,
                          "there is no user '%s' (getent passwd lists those there are; a number is taken as it is)", given);
        *uid = (*entry)->pw_uid;
    }
    if (*uid == 0)
        return failed(why, STAGE_UID, EPERM,
                      "--uid %s is root: running a program as root is never done on request (leave --uid out to keep the "
                      "user that muontrap runs as)",
                      given);
    return true;
}

static bool find_group(const char *given, size_t size, enum stage stage, gid_t *gid, struct failure *why)
{
    char name[256];
    unsigned long value;
    const struct group *entry;

    if (number(given, size, &value)) {
        *gid = (gid_t)value;
    } else {
        if (size >= sizeof name)
            return failed(why, stage, ENAMETOOLONG, "a group's name of %lu bytes is too long", (unsigned long)size);
        memcpy(name, given, size);
        name[size] = '\0';
        entry = getgrnam(name);
        if (!entry)
            return failed(why, stage, EINVAL,
                          "there is no group '%s' (getent group lists those there are; a number is taken as it is)", name);
        *gid = entry->gr_gid;
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

static bool groups_of_user(struct identity *identity, const struct passwd *entry, struct failure *why)
{
    int count = GROUPS_MOST;

    if (!entry) {
        identity->groups[0] = identity->gid;
        identity->group_count = 1;
        return true;
    }
    if (getgrouplist(entry->pw_name, identity->gid, identity->groups, &count) < 0)
        return failed(why, STAGE_GROUPS, EINVAL, "user %s is in more than %d groups: name those to use with --groups",
                      entry->pw_name, GROUPS_MOST);
    identity->group_count = (size_t)count;
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
    const struct passwd *user = NULL;

    *identity = (struct identity){.groups = group_list, .uid = getuid(), .gid = getgid()};
    if (options->uid) {
        if (!find_user(options->uid, &identity->uid, &user, why))
            return false;
        if (!user && !options->gid)
            return failed(why, STAGE_UID, EINVAL,
                          "user %s is not in the user database, so that its group is unknown: name one with --gid",
                          options->uid);
        if (!options->gid)
            identity->gid = user->pw_gid;
    }
    if (options->gid && !find_group(options->gid, strlen(options->gid), STAGE_GID, &identity->gid, why))
        return false;
    if (options->groups ? !find_groups(identity, options->groups, why)
                        : (options->uid || options->gid) && !groups_of_user(identity, user, why))
        return false;
    identity->change_uid = options->uid && (identity->uid != getuid() || identity->uid != geteuid());
    identity->change_gid = (options->uid || options->gid) && (identity->gid != getgid() || identity->gid != getegid());
    identity->change_groups = (options->uid || options->gid || options->groups) && !has_groups(identity);
    return true;
}

/* setuid(2), setgid(2): with privilege these set the real, effective and saved id, without it they may set the effective
 * id alone. So what has come of it is looked at, and that there is no way back to root is tried. */
bool identity_assume(const struct identity *identity, enum stage *stage)
{
    *stage = STAGE_GROUPS;
    if (identity->change_groups && setgroups(identity->group_count, identity->groups) < 0)
        return false;
    *stage = STAGE_GID;
    if (identity->change_gid && setgid(identity->gid) < 0)
        return false;
    *stage = STAGE_UID;
    if (identity->change_uid && setuid(identity->uid) < 0)
        return false;
    errno = EPERM;
    if (identity->change_gid && (getgid() != identity->gid || getegid() != identity->gid))
        return false;
    if (identity->change_uid && (getuid() != identity->uid || geteuid() != identity->uid || setuid(0) == 0))
        return false;
    return true;
}
