/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* setpriority(2) */
#include "program/attributes.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/platform.h"

/* The C libraries differ in the type of a limit's number. */
#ifdef __GLIBC__
typedef __rlimit_resource_t resource;
#else
typedef int resource;
#endif

/* ---- In the child: no memory is allocated, nothing is printed. ---- */

void attributes_assume_umask(const struct attributes *attributes)
{
    if (attributes->sets_umask)
        (void)umask(attributes->umask);
}

static bool assume_rlimits(const struct attributes *attributes, unsigned *which)
{
    for (*which = 0; *which < attributes->rlimit_count; ++*which) {
        const char *text = attributes->rlimits[*which];
        struct rlimit values;

        if (!attributes_read_rlimit(text, &values) ||
            setrlimit((resource)attributes_limit(text)->resource, &values) < 0)
            return false;
    }
    return true;
}

bool attributes_assume(const struct attributes *attributes, bool is_session, enum stage *stage, unsigned *which)
{
    struct platform_cpus cpus;

    *stage = STAGE_CPUS;
    if (attributes->cpus && (!attributes_read_cpus(attributes->cpus, &cpus) || !platform_stay_on(&cpus)))
        return false;
    *stage = STAGE_NICE;
    if (attributes->sets_nice) {
        if (setpriority(PRIO_PROCESS, 0, attributes->nice) < 0)
            return false;
        if (is_session)
            platform_nice_session(attributes->nice);
    }
    *stage = STAGE_OOM_SCORE_ADJ;
    if (attributes->sets_oom_score_adj && !platform_adjust_oom_score(attributes->oom_score_adj))
        return false;
    *stage = STAGE_RLIMIT;
    return assume_rlimits(attributes, which);
}

bool attributes_forgo_privileges(const struct attributes *attributes)
{
    return !attributes->no_new_privileges || platform_no_new_privileges();
}

/* ---- In the parent. ---- */

/* The number may be larger than an unsigned long, which is all that format() knows. */
static const char *shown(rlim_t value, char text[24])
{
    char *at = text + 23;

    if (value == RLIM_INFINITY)
        return "infinity";
    *at = '\0';
    do
        *--at = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    return at;
}

static bool rlimit_failed(const char *text, int error, struct failure *why)
{
    const struct limit *limit = attributes_limit(text);
    struct rlimit in_force = {0};
    char soft[24];
    char hard[24];

    (void)getrlimit((resource)limit->resource, &in_force);
    return failed(why, STAGE_RLIMIT, error, "cannot set the limit %s: %s (%s:%s %s are in force; %s)", text,
                  strerror(error), shown(in_force.rlim_cur, soft), shown(in_force.rlim_max, hard), limit->unit,
                  error == EPERM && limit->resource == RLIMIT_NOFILE
                      ? "more takes root or CAP_SYS_RESOURCE, and no more than /proc/sys/fs/nr_open"
                      : "more than the hard limit takes root or CAP_SYS_RESOURCE");
}

bool attributes_explain(const struct attributes *attributes, enum stage stage, unsigned which, int error,
                        struct failure *why)
{
    const char *words = strerror(error);

    if (error == ENOSYS)
        return failed(why, stage, error, "--%s can't be had: this system has nothing of the kind",
                      stage == STAGE_CPUS            ? "cpus"
                      : stage == STAGE_OOM_SCORE_ADJ ? "oom-score-adj"
                                                     : "no-new-privs");
    switch (stage) {
    case STAGE_RLIMIT:
        return rlimit_failed(attributes->rlimits[which], error, why);
    case STAGE_NICE:
        return failed(why, stage, error,
                      "cannot set the nice value to %d: %s (below what it is takes root, CAP_SYS_NICE or a limit nice)",
                      attributes->nice, words);
    case STAGE_CPUS:
        return failed(
            why, stage, error,
            "cannot run it on the processors %.*s: %s (/sys/devices/system/cpu/online says which there are, and "
            "cpuset.cpus.effective which of them a cgroup has)",
            200, attributes->cpus, error == EINVAL ? "not all of them may be used" : words);
    case STAGE_OOM_SCORE_ADJ:
        return failed(why, stage, error,
                      "cannot set oom_score_adj to %d: %s (below what it is takes root or CAP_SYS_RESOURCE)",
                      attributes->oom_score_adj, words);
    default:
        return failed(why, stage, error, "cannot keep it from new privileges: %s", words);
    }
}
