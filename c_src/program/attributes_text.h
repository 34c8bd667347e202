/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the program inherits beside descriptors and identity, as the options say it. Pure.
 */
#ifndef MUONTRAP_ATTRIBUTES_TEXT_H
#define MUONTRAP_ATTRIBUTES_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"

struct platform_cpus;
struct rlimit;

#define RLIMITS_MOST 16u /* as many as Linux has */
#define NICE_LEAST (-20)
#define NICE_MOST 19
#define OOM_SCORE_ADJ_MOST 1000 /* and as much below 0 (proc_pid_oom_score_adj(5)) */

/* As the options give them. What is text has been checked. */
struct attributes {
    bool any; /* is given */
    bool sets_nice;
    bool sets_umask;
    bool sets_oom_score_adj;
    bool no_new_privileges;
    int8_t nice;
    int16_t oom_score_adj;
    uint16_t umask;
    uint16_t rlimit_count;
    const char *cpus; /* NULL where not given */
    const char *rlimits[RLIMITS_MOST];
};

/* Adds a limit, NAME=SOFT[:HARD], in place of one of the same name. */
bool attributes_add_rlimit(struct attributes *attributes, const char *text, const char *option, struct failure *why);

/* Takes a list of processors such as 0,2-3 (cpuset(7), List format). */
bool attributes_set_cpus(struct attributes *attributes, const char *text, const char *option, struct failure *why);

/* A resource limit by its name. */
struct limit {
    const char *name;
    const char *unit; /* of its values, in the plural */
    int resource;     /* as of getrlimit(2) */
};

/* That of NAME=...; NULL when there is none. */
const struct limit *attributes_limit(const char *text);

/* The values of NAME=SOFT[:HARD]. */
bool attributes_read_rlimit(const char *text, struct rlimit *limit);

/* The processors of a list. */
bool attributes_read_cpus(const char *text, struct platform_cpus *cpus);

#endif
