/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The controllers that a cgroup is to have: gathered, enabled from the root down as far as permissions allow, and
 * checked in the end, with the place and the reason where one stopped.
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
        const char *name; /* v2's */
        int error;        /* of the first level where it could not be enabled; 0: nowhere */
        size_t level;     /* that level: so many bytes of the cgroup's path */
    } list[CONTROLLERS_MOST];
};

/* Those of -c, and those that settings name. */
bool controllers_gather(struct controllers *controllers, const struct options *options, const struct settings *settings,
                        struct failure *why);

/* Enables them for the cgroups below that directory, which is so many bytes into the path. */
void controllers_enable(struct controllers *controllers, int directory, size_t level);

/* Whether processes in the cgroup itself keep controllers from being enabled for what is below it. */
bool controllers_inhabited(int directory);

/* Whether the cgroup has them all. */
bool controllers_check(const struct controllers *controllers, int directory, const char *mount, const char *path,
                       struct failure *why);

#endif
