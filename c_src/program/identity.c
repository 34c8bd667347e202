/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "program/identity.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/number.h"
#include "base/platform.h"
#include "base/rare.h"
#include "program/permission.h"
#include "program/users.h"

/* Looks up a user by name or number. A number that is not in the database sets the uid alone, and *known to false. */
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

/* Looks up a group by the name or number in the first `size` bytes of the text. */
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

/* Looks up the groups of a list that is separated by commas. */
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

/* The groups of a user that was not given --groups: those of the database, or the primary group alone when the user is
 * not in it. */
static bool find_groups_of_user(struct identity *identity, const struct user *user, bool known, struct failure *why)
{
    identity->group_count = 1;
    identity->groups[0] = identity->gid;
    if (known)
        identity->group_count = users_groups(user, identity->gid, identity->groups, GROUPS_MOST);
    if (identity->group_count == 0)
        return failed(why, STAGE_GROUPS, EIO, "the groups of user %s can't be read (name them with --groups)",
                      user->name);
    if (identity->group_count > GROUPS_MOST)
        return failed(why, STAGE_GROUPS, EINVAL, "user %s is in more than %d groups: name those to use with --groups",
                      user->name, GROUPS_MOST);
    return true;
}

static bool contains(const gid_t *groups, size_t count, gid_t gid)
{
    for (size_t i = 0; i < count; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

#define PRESENT_MOST 65536 /* NGROUPS_MAX of Linux */
static gid_t present[PRESENT_MOST];

RARE bool identity_has_group(gid_t gid)
{
    int count = getgroups(PRESENT_MOST, present);

    return gid == getgid() || contains(present, count < 0 ? 0 : (size_t)count, gid);
}

/* Whether the process has those groups already, so that setgroups(2), which an ordinary user may not call, is not
 * needed. A group that is the process's gid and remains it need not be among the supplementary groups as well. */
static bool has_groups(const struct identity *identity)
{
    int result = getgroups(PRESENT_MOST, present);
    size_t count = result < 0 ? 0 : (size_t)result;

    for (size_t i = 0; i < count; i++)
        if (!contains(identity->groups, identity->group_count, present[i]))
            return false;
    for (size_t i = 0; i < identity->group_count; i++) {
        gid_t wanted = identity->groups[i];

        if (!contains(present, count, wanted) && (identity->change_gid || wanted != identity->gid))
            return false;
    }
    return result >= 0;
}

/* kill(2) reaches processes of another user only with CAP_KILL, so that without it a program could be started as
 * another user with CAP_SETUID, and never be stopped. Who lacks CAP_SETUID, too, is refused by setuid(2). */
static bool check_killable(const struct identity *identity, struct failure *why)
{
    if (!identity->change_uid || identity->uid == getuid() || identity->uid == geteuid() ||
        platform_has_capability(CAPABILITY_KILL) || !platform_has_capability(CAPABILITY_SETUID))
        return true;
    return failed(why, STAGE_UID, EPERM,
                  "muontrap may start a program as user %lu, but not stop it: that takes root or CAP_KILL (setcap "
                  "cap_setuid,cap_setgid,cap_kill+ep gives it to muontrap's file)",
                  (unsigned long)identity->uid);
}

/* What --setenv has said stays. */
static void set_unless_set(struct options *options, const char *variable)
{
    for (unsigned i = 0; i < options->setenv_count; i++)
        if (options_same_variable(options->setenv[i], variable))
            return;
    options->setenv[options->setenv_count++] = variable;
}

/* A directory that is none, as / for many a system user, and a shell that lets nobody in are of no use to a program. */
static bool is_home(const char *path)
{
    return path[0] == '/' && path[1] != '\0';
}

static bool is_login_shell(const char *path)
{
    const char *name = strrchr(path, '/');

    return path[0] == '/' && name && strcmp(name, "/nologin") != 0 && strcmp(name, "/false") != 0;
}

/* What a login sets, with which a program finds its files and not those of the user that we run as. As systemd's User=
 * has it (systemd.exec(5), "Environment Variables in Spawned Processes"): what the user database doesn't know is not
 * set. */
static void set_login_variables(struct options *options, const struct user *user, bool known)
{
    static char variables[LOGIN_MOST + 1][USERS_PATH_MOST + 8];
    const char *values[LOGIN_MOST + 1] = {NULL};

    if (known) {
        values[1] = is_home(user->home) ? user->home : NULL;
        values[2] = values[3] = user->name;
        values[4] = is_login_shell(user->shell) ? user->shell : NULL;
    }
    for (unsigned i = 1; i <= LOGIN_MOST; i++) {
        if ((options->keepenv & 1u << i) != 0)
            continue;
        format(variables[i], sizeof variables[i], values[i] ? "%s=%s" : "%s", login_variables[i], values[i]);
        set_unless_set(options, variables[i]);
    }
}

/* Another identity than ours has been asked for. */
RARE static bool resolve(struct identity *identity, struct options *options, struct failure *why)
{
    bool is_root = getuid() == 0 || geteuid() == 0; /* execve(2) gives capabilities back to either */
    struct user user;
    bool known = false;

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
        set_login_variables(options, &user, known);
    }
    if (options->gid && !find_group(options->gid, strlen(options->gid), STAGE_GID, &identity->gid, why))
        return false;
    if (options->groups ? !find_groups(identity, options->groups, why)
                        : !find_groups_of_user(identity, &user, known, why))
        return false;
    identity->change_uid = options->uid && (identity->uid != getuid() || identity->uid != geteuid());
    identity->change_gid = (options->uid || options->gid) && (identity->gid != getgid() || identity->gid != getegid());
    identity->change_groups = !has_groups(identity);
    identity->drop_capabilities = identity->change_uid || !is_root;
    return check_killable(identity, why) && permission_check(identity, options, known ? &user : NULL, why);
}

bool identity_resolve(struct identity *identity, struct options *options, struct failure *why)
{
    *identity = (struct identity){.groups = identity->groups,
                                  .uid = getuid(),
                                  .gid = getgid(),
                                  .drop_capabilities = platform_has_reserve()};
    return (!options->uid && !options->gid && !options->groups) || resolve(identity, options, why);
}

/* Whether the process can become that user, or that group. Success has changed it already, so that it must end then. */
static bool can_become_user(uid_t uid)
{
    return uid != getuid() && platform_setuid(uid) == 0;
}

static bool can_become_group(gid_t gid)
{
    return gid != getgid() && platform_setgid(gid) == 0;
}

/* A key counts for who makes it, and root may have more of them than others (keyrings(7)). */
static bool change_user(uid_t uid)
{
    bool is_root = getuid() == 0;

    if ((is_root && platform_leave_keyring() < 0) || platform_setuid(uid) < 0)
        return false;
    errno = EPERM;
    return getuid() == uid && geteuid() == uid && (is_root || platform_leave_keyring() == 0);
}

/* capabilities(7): only a change from root to an ordinary user takes the capabilities away. An ordinary user that has
 * CAP_SETUID would keep it, and with it the way to every other user. */
bool identity_assume(const struct identity *identity, enum stage *stage)
{
    const uid_t former_uids[] = {0, getuid(), geteuid()};
    const gid_t former_gids[] = {0, getgid(), getegid()};

    platform_use_reserve(identity_changes(identity));
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
    if (identity->change_uid && !change_user(identity->uid))
        return false;
    if (!identity->drop_capabilities)
        return true;
    *stage = STAGE_SPAWN;
    if (platform_drop_capabilities() < 0)
        return false;
    for (size_t i = 0; i < sizeof former_uids / sizeof former_uids[0]; i++) {
        bool user = identity->change_uid && can_become_user(former_uids[i]);

        if (user || (identity->change_gid && can_become_group(former_gids[i]))) {
            *stage = user ? STAGE_UID : STAGE_GID;
            errno = EPERM;
            return false;
        }
    }
    return true;
}
