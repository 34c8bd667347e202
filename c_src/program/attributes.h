/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the program inherits beside descriptors and identity: resource limits, nice value, umask, processors, how the
 * OOM killer sees it, and that it gains no privileges.
 */
#ifndef MUONTRAP_ATTRIBUTES_H
#define MUONTRAP_ATTRIBUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"

#define RLIMITS_MOST 16u /* as many as Linux has */
#define NICE_LEAST (-20)
#define NICE_MOST 19
#define OOM_SCORE_ADJ_MOST 1000 /* and as much below 0 (proc_pid_oom_score_adj(5)) */
#define CPUS_MOST 8192u         /* CONFIG_NR_CPUS of Linux is that at most */

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

/* Adds a limit, NAME=SOFT[:HARD], in place of one of the same name. Pure, as is the next one. */
bool attributes_add_rlimit(struct attributes *attributes, const char *text, const char *option, struct failure *why);

/* Takes a list of processors such as 0,2-3 (cpuset(7), List format). */
bool attributes_set_cpus(struct attributes *attributes, const char *text, const char *option, struct failure *why);

/* In the child, before files are opened: what they are made with. */
void attributes_assume_umask(const struct attributes *attributes);

/* In the child, while it may have the privilege for it. On failure *stage and errno say which step failed, *which which
 * of the limits. */
bool attributes_assume(const struct attributes *attributes, bool is_session, enum stage *stage, unsigned *which);

/* In the child, before it executes the program. */
bool attributes_forgo_privileges(const struct attributes *attributes);

/* In the parent, whose limits are what the child's were. Returns false, as failed() does. */
bool attributes_explain(const struct attributes *attributes, enum stage stage, unsigned which, int error,
                        struct failure *why);

#endif
