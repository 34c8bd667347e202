/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What cgroup v1 calls a controller or a setting, as v2 calls it. Pure: knows the rules, not the machine.
 * Promises that a key is [a-z0-9_.]+ and none of those that muontrap contains the program with. What v2 has passes
 * unchanged, whether it is known here or not: new kernels have new controllers and files. The kernel judges the values.
 */
#ifndef MUONTRAP_LEGACY_H
#define MUONTRAP_LEGACY_H

#include <stdbool.h>

#include "base/failure.h"

#define SETTINGS_MOST 64u  /* --set options */
#define CONTROLLER_SIZE 32 /* bytes, with the NUL: include/linux/cgroup-defs.h, MAX_CGROUP_TYPE_NAMELEN */
#define KEY_SIZE 64        /* bytes, with the NUL: twice as long as the longest that there is */

struct setting {
    char controller[CONTROLLER_SIZE]; /* that has to be enabled for it; "" when none has to */
    char key[KEY_SIZE];               /* the file's name */
    const char *value;                /* to be written to it: a part of what was given, or computed */
    char computed[72];                /* 66 are needed: "MAJOR:MINOR wiops=VALUE" with numbers of 19 digits */
};

struct settings {
    unsigned count;
    struct setting list[SETTINGS_MOST];
};

/* The controller that has to be enabled in v2 for what that one does in v1 or v2: "" when v2 has it in its core, or the
 * name as given when v2 has it or may have it. NULL, with the failure filled, for one that v2 has dropped. */
const char *legacy_controller(const char *name, struct failure *why);

/* Turns what was given with --set, each KEY=VALUE, into what is to be written, in that order. Where keys of v1 become a
 * single one, it stands in the place of the last. `settings` and `given` must stay where they are. */
bool legacy_translate(struct settings *settings, const char *const given[], unsigned count, struct failure *why);

#endif
