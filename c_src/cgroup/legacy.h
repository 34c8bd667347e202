/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Translates controllers and settings of cgroup v1 to v2. Pure: it knows the rules, and nothing of this machine.
 * Promises that a key is [a-z0-9_.]+ and none of those that muontrap contains the program with. Controllers and
 * settings of v2 pass unchanged, whether they are known here or not, because newer kernels have new ones. Their values
 * are not checked here, but by the kernel.
 */
#ifndef MUONTRAP_LEGACY_H
#define MUONTRAP_LEGACY_H

#include <stdbool.h>

#include "base/failure.h"

#define SETTINGS_MOST 64u  /* --set options */
#define CONTROLLER_SIZE 32 /* bytes, with the NUL: include/linux/cgroup-defs.h, MAX_CGROUP_TYPE_NAMELEN */
#define KEY_SIZE 64        /* bytes, with the NUL: twice as long as the longest that there is */

struct setting {
    char controller[CONTROLLER_SIZE]; /* the one that has to be enabled for it; "" when none has to */
    char key[KEY_SIZE];               /* the name of the file that the value is written to */
    const char *value;                /* points into the text that was given, or to `computed` */
    char computed[72];                /* "MAJOR:MINOR wiops=VALUE" with numbers of 19 digits takes 66 */
};

struct settings {
    unsigned count;
    struct setting list[SETTINGS_MOST];
};

/* The controller of v2 that has to be enabled for what a controller of v1 or v2 does. Returns the name as given when
 * v2 has it or may have it, "" when v2 has it in its core, and NULL, with the failure filled, when v2 has dropped it
 * or when it is no controller's name. */
const char *legacy_controller(const char *name, struct failure *why);

/* Turns the KEY=VALUE texts that were given with --set into settings of v2, in the same order. Where several settings
 * of v1 become one of v2, it takes the place of the last of them. `settings` and `given` must not be moved afterwards,
 * for the values point into them. */
bool legacy_translate(struct settings *settings, const char *const given[], unsigned count, struct failure *why);

#endif
