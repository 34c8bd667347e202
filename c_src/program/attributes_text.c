/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* the limits that POSIX lacks */
#include "program/attributes_text.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/format.h"
#include "base/platform.h"

/* getrlimit(2) */
static const struct limit limits[] = {
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
const struct limit *attributes_limit(const char *text)
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
    /* Which is the largest number, or larger than all. */
    return *at > from && number < (uint64_t)RLIM_INFINITY;
}

bool attributes_read_rlimit(const char *text, struct rlimit *limit)
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
    const struct limit *limit = attributes_limit(text);
    struct rlimit values;
    unsigned at = 0;

    if (!limit)
        return unknown(text, option, why);
    if (!attributes_read_rlimit(text, &values))
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "%s: the limit %s takes =SOFT or =SOFT:HARD, each a whole number of %s or infinity, not '%s'",
                      option, limit->name, limit->unit, text + strlen(limit->name));
    if (is_above(values.rlim_cur, values.rlim_max))
        return failed(why, STAGE_OPTIONS, EINVAL, "%s: the soft limit is above the hard one in '%s'", option, text);
    while (at < attributes->rlimit_count && attributes_limit(attributes->rlimits[at]) != limit)
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

    for (*cpu = 0; **at >= '0' && **at <= '9' && *cpu < PLATFORM_CPUS_MOST; ++*at)
        *cpu = *cpu * 10 + (unsigned)(**at - '0');
    return *at > from && *cpu < PLATFORM_CPUS_MOST;
}

bool attributes_read_cpus(const char *text, struct platform_cpus *cpus)
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
            cpus->words[cpu / PLATFORM_CPUS_PER_WORD] |= 1ul << cpu % PLATFORM_CPUS_PER_WORD;
    } while (*at++ == ',');
    return at[-1] == '\0';
}

bool attributes_set_cpus(struct attributes *attributes, const char *text, const char *option, struct failure *why)
{
    struct platform_cpus cpus;

    attributes->cpus = text;
    attributes->any = true;
    if (attributes_read_cpus(text, &cpus))
        return true;
    return failed(why, STAGE_OPTIONS, EINVAL,
                  "%s takes numbers of processors from 0 to %u, and ranges of them, such as 0,2-3, not '%s'", option,
                  PLATFORM_CPUS_MOST - 1, text);
}
