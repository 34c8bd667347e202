/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The controllers that a cgroup is to have. They are gathered from the options, enabled from the root down as far as
 * permissions allow, and checked in the end. For each that is missing then, the message names the directory where it
 * could not be enabled, and why.
 */
#ifndef MUONTRAP_CONTROLLERS_H
#define MUONTRAP_CONTROLLERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/failure.h"
#include "cgroup/legacy.h"
#include "options.h"

/* v2 has eight of them (cgroup-v2.rst, "Controllers"), and a newer kernel may have more. */
#define CONTROLLERS_MOST 16u

struct controllers {
    unsigned count;
    struct controller {
        const char *name; /* in v2 */
        int error;    /* why it could not be enabled, in the first directory where that failed; 0: it failed in none */
        size_t level; /* that directory: the first bytes of the cgroup's path */
    } list[CONTROLLERS_MOST];
};

/* Gathers the controllers of --controller, and those that the settings need. */
bool controllers_gather(struct controllers *controllers, const struct options *options, const struct settings *settings,
                        struct failure *why);

/* Enables them for the cgroups below that directory, which the first `level` bytes of the path name. */
void controllers_enable(struct controllers *controllers, int directory, size_t level);

/* Whether the cgroup itself holds processes, so that no controllers can be enabled for the cgroups below it. */
bool controllers_inhabited(int directory);

/* Whether the cgroup has all of them; else the failure is filled. */
bool controllers_check(const struct controllers *controllers, int directory, const char *mount, const char *path,
                       struct failure *why);

#endif
