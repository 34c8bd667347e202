/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The program's cgroup: found or made, limited, entered, killed and removed. Each function takes NULL for a program
 * without a cgroup, and does nothing then.
 */
#ifndef MUONTRAP_CGROUP_H
#define MUONTRAP_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/failure.h"
#include "cgroup/cgroup_files.h"
#include "cgroup/cgroup_path.h"
#include "options.h"
#include "port/protocol.h"

struct cgroup {
    char mount[CGROUP_MOUNT_MOST];
    const char *path;                     /* relative to the mount */
    char auto_path[CGROUP_PATH_MOST + 1]; /* which is this with --group auto */
    pid_t starter;                        /* whatever has started muontrap */
    int root;                             /* the mount's directory */
    int directory;                        /* the cgroup's own, locked */
    int events;                           /* its cgroup.events, whose changes poll(2) tells with POLLPRI */
    bool made;                            /* by this helper, which removes it in the end */
    bool
        was_empty; /* it was there before, with no directory below: those that are there in the end are the program's */
    unsigned held_count; /* directories above it that helpers have made, locked so that none is removed meanwhile */
    int held[CGROUP_PARTS_MOST];
    uint64_t deadline;  /* for killing what dead helpers have left, in microseconds as of io_now_us() */
    unsigned without;   /* kernel features not to use, of enum without */
    uint64_t oom_kills; /* these three as they were when it was opened */
    uint64_t user_us;
    uint64_t system_us;
};

/* Finds or makes the cgroup that the options ask for, enables its controllers and writes its settings. Before that it
 * kills and removes what dead helpers have left beside it. False with the failure filled; nothing that was made is left
 * behind then. */
bool cgroup_open(struct cgroup *cgroup, const struct options *options, struct failure *why);

/* fork(2). With *inside true the kernel makes the child in the cgroup, if it can, and *inside says then whether it did.
 * Otherwise the child has to call cgroup_enter() before anything else. Some kernels, 6.18 among them, at once kill a
 * child that is made inside when the cgroup, or that of the caller, was killed some time before: cgroup.kill counts how
 * often it was written, and these kernels compare the count of the one cgroup with that of the other. */
pid_t cgroup_fork(const struct cgroup *cgroup, bool *inside);
bool cgroup_enter(const struct cgroup *cgroup);

/* Fills the failure with why a child could not be started in the cgroup. Returns false. */
bool cgroup_explain(const struct cgroup *cgroup, int error, struct failure *why);

/* Kills all processes in it and below it. True when the kernel has done so by cgroup.kill, which spares no user's: then
 * they die without anything more being done. */
bool cgroup_kill(const struct cgroup *cgroup);

/* Whether a live process is in it or below it. */
bool cgroup_populated(const struct cgroup *cgroup);

/* Calls `visit` with each process in it and below it. */
void cgroup_each(const struct cgroup *cgroup, void (*visit)(pid_t pid, void *context), void *context);

/* Whether that process is in it or below it. */
bool cgroup_has(const struct cgroup *cgroup, pid_t pid);

/* Moves a process into it. False with errno. */
bool cgroup_move(const struct cgroup *cgroup, pid_t pid);

/* Where that process is, as a path relative to the mount. False when it can't be told. */
bool cgroup_place(const struct cgroup *cgroup, pid_t pid, char path[CGROUP_PATH_MOST + 1]);

/* Moves it to such a place, where one that was moved has come from. */
void cgroup_move_back(const struct cgroup *cgroup, pid_t pid, const char *path);

/* Counts the processes in it, without those below it. False when they can't be counted. */
bool cgroup_members(const struct cgroup *cgroup, unsigned *number);

/* Counts the processes in it and the forks that its limit has refused: a fork bomb makes this grow, whatever the limit
 * is. False when they can't be counted. */
bool cgroup_forked(const struct cgroup *cgroup, uint64_t *forked);

/* The descriptor by which poll(2) tells with POLLPRI that cgroup_populated() may have changed; -1 without a cgroup.
 * This function and the next are inline, because every launch calls them and most launches run nothing else of
 * cgroups, which therefore lies apart in memory (cold.ld). */
static inline int cgroup_events(const struct cgroup *cgroup)
{
    return cgroup ? cgroup->events : -1;
}

/* The path relative to the mount; "" without a cgroup. */
static inline const char *cgroup_path(const struct cgroup *cgroup)
{
    return cgroup ? cgroup->path : "";
}

/* Fills in what the program used in it, and whether the kernel's OOM killer struck. To be called before it is
 * removed. */
void cgroup_figures(const struct cgroup *cgroup, struct ending *ending);

/* Removes it with all directories below, if this helper has made it. Of a cgroup that was there before, it removes what
 * is below, if nothing was there before. */
bool cgroup_remove(const struct cgroup *cgroup, struct failure *why);

/* Closes what was opened for it, and makes it ready to be opened again. */
void cgroup_close(struct cgroup *cgroup);

/* Kills what a dead helper has left in the cgroup that the options name, and removes that cgroup and the empty ones
 * above it that helpers had made. */
bool cgroup_clean(const struct options *options, struct failure *why);

#endif
