/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Which helper a cgroup's directory belongs to. A mark on the directory says that a helper has made it or uses it, and
 * a lock says that this helper lives. A marked directory without a lock belongs to a helper that is dead.
 *
 * A directory that a helper makes has the sticky bit from its first moment on, for which cgroups have no other use.
 * One that was there before gets the set-user-ID bit while it is used. A helper holds an exclusive flock(2) on the
 * directory of its program's cgroup, and a shared one on each directory above it that a helper has made. Keeper and
 * relay share these locks, which end with the last of the two. Directories of other users are never taken for marked.
 */
#ifndef MUONTRAP_CLAIM_H
#define MUONTRAP_CLAIM_H

#include <stdbool.h>

enum claim { CLAIM_NONE, CLAIM_MADE, CLAIM_USED };

/* Makes the directory, marked as CLAIM_MADE. */
bool claim_make(int parent, const char *name);

/* The mark of an open directory. */
enum claim claim_of(int directory);

/* Sets or takes away the mark CLAIM_USED. */
void claim_mark_used(int directory, bool used);

/* Locks the open directory, exclusively or shared. False with EWOULDBLOCK when another helper's lock is in the way, and
 * with ENOENT when the directory is no longer the one of that name: a lock on a removed directory protects nothing. */
bool claim_lock(int directory, bool shared, int parent, const char *name);

void claim_unlock(int directory);

/* The same as claim_lock(), but waits up to 2 s for another helper that is about to start, or to remove what a dead one
 * has left. */
bool claim_lock_soon(int directory, bool shared, int parent, const char *name);

#endif
