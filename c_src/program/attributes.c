/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* the limits that POSIX lacks */
#include "program/attributes.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/format.h"
#include "base/platform.h"

/* getrlimit(2) */
static const struct limit {
    const char *name;
    const char *unit;
    int resource;
} limits[] = {
    {"as", "bytes", RLIMIT_AS},
    {"core", "bytes", RLIMIT_CORE},
    {"cpu", "seconds", RLIMIT_CPU},
    {"data", "bytes", RLIMIT_DATA},
    {"fsize", "bytes", RLIMIT_FSIZE},
#ifdef RLIMIT_LOCKS
    {"locks", "locks", RLIMIT_LOCKS},
#endif
#ifdef RLIMIT_MEMLOCK
    {"memlock", "bytes", RLIMIT_MEMLOCK},
#endif
#ifdef RLIMIT_MSGQUEUE
    {"msgqueue", "bytes", RLIMIT_MSGQUEUE},
#endif
#ifdef RLIMIT_NICE
    {"nice", "levels below 20", RLIMIT_NICE},
#endif
    {"nofile", "descriptors", RLIMIT_NOFILE},
#ifdef RLIMIT_NPROC
    {"nproc", "processes", RLIMIT_NPROC},
#endif
#ifdef RLIMIT_RSS
    {"rss", "bytes", RLIMIT_RSS},
#endif
#ifdef RLIMIT_RTPRIO
    {"rtprio", "levels", RLIMIT_RTPRIO},
#endif
#ifdef RLIMIT_RTTIME
    {"rttime", "microseconds", RLIMIT_RTTIME},
#endif
#ifdef RLIMIT_SIGPENDING
    {"sigpending", "signals", RLIMIT_SIGPENDING},
#endif
    {"stack", "bytes", RLIMIT_STACK},
};

#define LIMITS (sizeof limits / sizeof limits[0])

/* That of NAME=...; NULL when there is none. */
static const struct limit *limit_of(const char *text)
{
    size_t size = strcspn(text, "=");

    for (size_t i = 0; i < LIMITS; i++)
        if (strlen(limits[i].name) == size && memcmp(limits[i].name, text, size) == 0)
            return &limits[i];
    return NULL;
}

static bool read_value(const char **at, rlim_t *value)
{
    const char *from = *at;
    uint64_t number = 0;

    if (strncmp(*at, "infinity", 8) == 0) {
        *at += 8;
        *value = RLIM_INFINITY;
        return true;
    }
    for (; **at >= '0' && **at <= '9'; ++*at) {
        unsigned digit = (unsigned)(**at - '0');

        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = (rlim_t)number;
    /* The largest number is what RLIM_INFINITY is. */
    return *at > from && (uint64_t)*value == number && *value != RLIM_INFINITY;
}

/* SOFT[:HARD] behind the =. */
static bool read_limit(const char *text, struct rlimit *limit)
{
    const char *at = text + strcspn(text, "=");

    if (*at++ != '=' || !read_value(&at, &limit->rlim_cur))
        return false;
    limit->rlim_max = limit->rlim_cur;
    if (*at == ':' && (++at, !read_value(&at, &limit->rlim_max)))
        return false;
    return *at == '\0';
}

/* RLIM_INFINITY need not be the largest number (POSIX, sys/resource.h). */
static bool is_above(rlim_t a, rlim_t b)
{
    return b != RLIM_INFINITY && (a == RLIM_INFINITY || a > b);
}

static bool unknown(const char *text, const char *option, struct failure *why)
{
    char names[LIMITS * 12] = "";

    for (size_t i = 0; i < LIMITS; i++)
        format(names + strlen(names), sizeof names - strlen(names), "%s%s", i > 0 ? ", " : "", limits[i].name);
    return failed(why, STAGE_OPTIONS, EINVAL, "%s: no limit of this system is called '%.*s'; there are %s", option,
                  (int)strcspn(text, "="), text, names);
}

bool attributes_add_rlimit(struct attributes *attributes, const char *text, const char *option, struct failure *why)
{
    const struct limit *limit = limit_of(text);
    struct rlimit values;
    unsigned at = 0;

    if (!limit)
        return unknown(text, option, why);
    if (!read_limit(text, &values))
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "%s: the limit %s takes =SOFT or =SOFT:HARD, each a whole number of %s or infinity, not '%s'",
                      option, limit->name, limit->unit, text + strlen(limit->name));
    if (is_above(values.rlim_cur, values.rlim_max))
        return failed(why, STAGE_OPTIONS, EINVAL, "%s: the soft limit is above the hard one in '%s'", option, text);
    while (at < attributes->rlimit_count && limit_of(attributes->rlimits[at]) != limit)
        at++;
    attributes->rlimits[at] = text;
    if (at == attributes->rlimit_count)
        attributes->rlimit_count++;
    attributes->any = true;
    return true;
}

static bool read_cpu(const char **at, unsigned *cpu)
{
    const char *from = *at;

    for (*cpu = 0; **at >= '0' && **at <= '9' && *cpu < CPUS_MOST; ++*at)
        *cpu = *cpu * 10 + (unsigned)(**at - '0');
    return *at > from && *cpu < CPUS_MOST;
}

static bool read_cpus(const char *text, struct platform_cpus *cpus)
{
    const char *at = text;

    memset(cpus, 0, sizeof *cpus);
    do {
        unsigned first;
        unsigned last;

        if (!read_cpu(&at, &first))
            return false;
        last = first;
        if (*at == '-' && (++at, !read_cpu(&at, &last) || last < first))
            return false;
        for (unsigned cpu = first; cpu <= last; cpu++)
            cpus->bytes[cpu / 8] |= (uint8_t)(1u << cpu % 8);
    } while (*at++ == ',');
    return at[-1] == '\0';
}

bool attributes_set_cpus(struct attributes *attributes, const char *text, const char *option, struct failure *why)
{
    struct platform_cpus cpus;

    attributes->cpus = text;
    attributes->any = true;
    return read_cpus(text, &cpus) ||
           failed(why, STAGE_OPTIONS, EINVAL,
                  "%s takes numbers of processors from 0 to %u, and ranges of them, such as 0,2-3, not '%s'", option,
                  CPUS_MOST - 1, text);
}

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

        if (!read_limit(text, &values) || setrlimit(limit_of(text)->resource, &values) < 0)
            return false;
    }
    return true;
}

bool attributes_assume(const struct attributes *attributes, bool is_session, enum stage *stage, unsigned *which)
{
    struct platform_cpus cpus;

    *stage = STAGE_CPUS;
    if (attributes->cpus && (!read_cpus(attributes->cpus, &cpus) || !platform_stay_on(&cpus)))
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

static const char *shown(rlim_t value, char text[24])
{
    if (value == RLIM_INFINITY)
        return "infinity";
    format(text, 24, "%lu", (unsigned long)value);
    return text;
}

static bool rlimit_failed(const char *text, int error, struct failure *why)
{
    const struct limit *limit = limit_of(text);
    struct rlimit in_force = {0};
    char soft[24];
    char hard[24];

    (void)getrlimit(limit->resource, &in_force);
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
            "cannot run it on the processors %s: %s (/sys/devices/system/cpu/online says which there are, and "
            "cpuset.cpus.effective which of them a cgroup has)",
            attributes->cpus, error == EINVAL ? "not all of them may be used" : words);
    case STAGE_OOM_SCORE_ADJ:
        return failed(why, stage, error,
                      "cannot set oom_score_adj to %d: %s (below what it is takes root or CAP_SYS_RESOURCE)",
                      attributes->oom_score_adj, words);
    default:
        return failed(why, stage, error, "cannot keep it from new privileges: %s", words);
    }
}
