/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* getgrouplist(3) */
#include <grp.h>
#include <pwd.h>
#include <string.h>

#include "program/users.h"

static bool copy_entry(const struct passwd *entry, struct user *user)
{
    if (!entry || strlen(entry->pw_name) >= sizeof user->name)
        return false;
    memcpy(user->name, entry->pw_name, strlen(entry->pw_name) + 1);
    user->uid = entry->pw_uid;
    user->gid = entry->pw_gid;
    users_copy_path(user->home, entry->pw_dir);
    users_copy_path(user->shell, entry->pw_shell);
    return true;
}

bool users_by_name(const char *name, struct user *user)
{
    return copy_entry(getpwnam(name), user);
}

bool users_by_uid(uid_t uid, struct user *user)
{
    return copy_entry(getpwuid(uid), user);
}

bool users_group_by_name(const char *name, gid_t *gid)
{
    const struct group *entry = getgrnam(name);

    if (!entry)
        return false;
    *gid = entry->gr_gid;
    return true;
}

size_t users_groups(const struct user *user, gid_t primary, gid_t *groups, size_t most)
{
    int count = (int)most;

    return getgrouplist(user->name, primary, groups, &count) < 0 ? most + 1 : (size_t)count;
}
