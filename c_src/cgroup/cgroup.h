/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The program's cgroup: found or made, limited, entered, killed and removed. A pointer to one is NULL where none was
 * asked for, and everything here takes that and does nothing.
 */
#ifndef MUONTRAP_CGROUP_H
#define MUONTRAP_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/failure.h"
#include "cgroup/cgroup_files.h"
#include "options.h"
#include "port/protocol.h"

#define PARTS_MOST 32u /* of a path */

struct cgroup {
    char mount[CGROUP_MOUNT_MOST];
    const char *path;    /* relative to the mount */
    int root;            /* the mount's directory */
    int directory;       /* the cgroup's own, locked */
    int events;          /* its cgroup.events, which poll(2) tells of with POLLPRI */
    bool made;           /* by us, and so removed by us */
    unsigned held_count; /* directories above it that helpers have made, which none may remove meanwhile */
    int held[PARTS_MOST];
    uint64_t deadline;  /* for what dead helpers have left, in microseconds as of io_now_us() */
    bool bare;          /* there before, with nothing nested: what is nested later is the program's */
    unsigned without;   /* of enum without */
    uint64_t oom_kills; /* these three as they were before */
    uint64_t user_us;
    uint64_t system_us;
};

/* Whether the path is one that a cgroup below the mount can have. */
bool cgroup_check_path(const char *path, struct failure *why);

/* Finds or makes the cgroup that the options ask for, enables its controllers and writes its settings. What dead
 * helpers have left beside it is killed and removed first. False with the failure filled; nothing is left behind
 * then. */
bool cgroup_open(struct cgroup *cgroup, const struct options *options, struct failure *why);

/* fork(2). With `*inside` the child is born in the cgroup, where the kernel can do that; `*inside` says then whether
 * it was. Else the child has to call cgroup_enter() first. Some kernels (6.18 is one) kill a child that is born
 * inside at once when the cgroup, or that of the caller, was killed some time before: cgroup.kill counts how often
 * it was written, and they compare the count of the one with that of the other. */
pid_t cgroup_fork(const struct cgroup *cgroup, bool *inside);
bool cgroup_enter(const struct cgroup *cgroup);

/* What went wrong when a child could not enter it. */
bool cgroup_explain(const struct cgroup *cgroup, int error, struct failure *why);

/* Kills all that is in it and below. True when the kernel has done so, whoever's they are: they are as good as dead. */
bool cgroup_kill(const struct cgroup *cgroup);

/* Whether a live process is in it or below. */
bool cgroup_populated(const struct cgroup *cgroup);

/* How many processes are in it, those below it not among them. False when that can't be had. */
bool cgroup_members(const struct cgroup *cgroup, unsigned *number);

/* As many, and how often it was refused one more: what a fork bomb makes grow, whatever its limit is. */
bool cgroup_forked(const struct cgroup *cgroup, uint64_t *forked);

/* Descriptor by which poll(2) tells with POLLPRI when that may have changed; -1 without a cgroup. Here, as is the next,
 * because every launch asks, and the rest is what most launches never run (cold.ld). */
static inline int cgroup_events(const struct cgroup *cgroup)
{
    return cgroup ? cgroup->events : -1;
}

/* "" without a cgroup. */
static inline const char *cgroup_path(const struct cgroup *cgroup)
{
    return cgroup ? cgroup->path : "";
}

/* What the program used in it, and whether the kernel's OOM killer struck: to be asked before it is removed. */
void cgroup_figures(const struct cgroup *cgroup, struct ending *ending);

/* Removes it, if it was made here, with what is nested in it. Of one that was there what the program has nested in it,
 * if nothing was before. */
bool cgroup_remove(const struct cgroup *cgroup, struct failure *why);

/* Kills what a dead helper has left in the cgroup that the options name, and removes it, if a helper had made it. */
bool cgroup_clean(const struct options *options, struct failure *why);

#endif
