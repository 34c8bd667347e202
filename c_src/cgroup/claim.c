/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool claim_make(int parent, const char *name)
{
    return mkdirat(parent, name, S_ISVTX | 0755) == 0;
}

enum claim claim_of(int directory)
{
    struct stat found;

    if (fstat(directory, &found) < 0 || found.st_uid != geteuid())
        return CLAIM_NONE;
    if ((found.st_mode & S_ISVTX) != 0)
        return CLAIM_MADE;
    return (found.st_mode & S_ISUID) != 0 ? CLAIM_USED : CLAIM_NONE;
}

void claim_mark_used(int directory, bool used)
{
    struct stat found;

    if (fstat(directory, &found) == 0)
        (void)fchmod(directory, (found.st_mode & 01777) | (used ? S_ISUID : 0));
}

/* Whether the open directory is the one that the name stands for. */
static bool has_name(int directory, int parent, const char *name)
{
    struct stat open;
    struct stat named;

    return fstat(directory, &open) == 0 && fstatat(parent, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           open.st_ino == named.st_ino && open.st_dev == named.st_dev;
}

bool claim_lock(int directory, bool shared, int parent, const char *name)
{
    if (flock(directory, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0)
        return false;
    errno = ENOENT;
    return has_name(directory, parent, name);
}

void claim_unlock(int directory)
{
    (void)flock(directory, LOCK_UN);
}

bool claim_lock_soon(int directory, bool shared, int parent, const char *name)
{
    for (int tries = 0; tries < 200; tries++) {
        if (claim_lock(directory, shared, parent, name))
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        (void)poll(NULL, 0, 10);
    }
    errno = EWOULDBLOCK;
    return false;
}
