/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whose a cgroup's directory is: marks that say that a helper has made it or uses it, and locks that say that one
 * lives. A mark without a lock is a dead helper's.
 *
 * A made directory has the sticky bit from its first moment on, which cgroups have no other use for, and one that
 * was there before gets the set-user-ID bit while it is used. A helper holds an exclusive flock(2) on its program's
 * directory, and a shared one on each made directory above it; keeper and relay share them, and they end with the
 * last of the two. Only directories of our own user are ever taken for marked.
 */
#ifndef MUONTRAP_CLAIM_H
#define MUONTRAP_CLAIM_H

#include <stdbool.h>

enum claim { CLAIM_NONE, CLAIM_MADE, CLAIM_USED };

/* mkdirat(2) with the mark. */
bool claim_make(int parent, const char *name);

/* What marks it. */
enum claim claim_of(int directory);

/* Marks it as used, or as no longer used. */
void claim_used(int directory, bool used);

/* Locks it, unless another holds a lock against that; and it is still the directory of that name then: a lock on one
 * that was removed protects nothing. */
bool claim_lock(int directory, bool shared, int parent, const char *name);

void claim_unlock(int directory);

/* Locks it, but waits a moment for whoever is about to start, or to remove what somebody has left. */
bool claim_lock_soon(int directory, bool shared, int parent, const char *name);

#endif
