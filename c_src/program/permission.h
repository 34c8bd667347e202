/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What a helper with the capabilities of its file may do with them: whoever may execute that file could be anybody
 * otherwise. Which users and groups a caller may ask for stands in a file that only root can write (docs/users.md).
 * A helper whose capabilities are its caller's own, as root's are, asks nobody.
 */
#ifndef MUONTRAP_PERMISSION_H
#define MUONTRAP_PERMISSION_H

#include <stdbool.h>

#include "base/failure.h"
#include "base/platform.h"
#include "options.h"
#include "program/identity.h"
#include "program/users.h"

/* What permission_settle() does where there is anything to do. */
bool permission_put_aside(struct failure *why);

/* First of all: puts capabilities of the helper's file in reserve. False, without any privilege left, for a helper that
 * is set-user-ID or set-group-ID: it is to run nothing. Every launch calls it, and few have it do anything. */
static inline bool permission_settle(struct failure *why)
{
    return !platform_may_exceed_caller() || permission_put_aside(why);
}

/* Whether the process may become what was resolved, if it is by a reserve that it can: whether the file lets its caller
 * do so. `user` is the entry of --uid in the user database, NULL when it has none there, or no --uid was given. */
bool permission_check(const struct identity *identity, const struct options *options, const struct user *user,
                      struct failure *why);

/* Who this helper may run programs as, for --check. */
#define PERMISSION_WORDS_MOST 1024
void permission_describe(char words[PERMISSION_WORDS_MOST]);

#endif
