/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The functions of cgroup.h and check.h on systems without cgroups. What asks for a cgroup fails.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "cgroup/check.h"
#include "port/report.h"

static bool no_cgroups(struct failure *why)
{
    return failed(
        why, STAGE_CGROUP, ENOSYS,
        "this muontrap was built without cgroups, which only Linux has (a build there, without PORTABLE=1, has "
        "them): do without --group, --check and --clean");
}

bool cgroup_open(struct cgroup *cgroup, const struct options *options, struct failure *why)
{
    (void)cgroup;
    (void)options;
    return no_cgroups(why);
}

void cgroup_close(struct cgroup *cgroup)
{
    (void)cgroup;
}

bool cgroup_clean(const struct options *options, struct failure *why)
{
    (void)options;
    return no_cgroups(why);
}

int check_run(struct options *options, const char *users)
{
    struct failure why;

    (void)users;
    (void)no_cgroups(&why);
    report_failure(options, &why);
    return 1;
}

pid_t cgroup_fork(const struct cgroup *cgroup, bool *inside)
{
    (void)cgroup;
    *inside = false;
    return fork();
}

bool cgroup_enter(const struct cgroup *cgroup)
{
    return !cgroup;
}

bool cgroup_explain(const struct cgroup *cgroup, int error, struct failure *why)
{
    (void)cgroup;
    (void)error;
    return no_cgroups(why);
}

bool cgroup_kill(const struct cgroup *cgroup)
{
    (void)cgroup;
    return true;
}

void cgroup_each(const struct cgroup *cgroup, void (*visit)(pid_t pid, void *context), void *context)
{
    (void)cgroup;
    (void)visit;
    (void)context;
}

bool cgroup_has(const struct cgroup *cgroup, pid_t pid)
{
    (void)cgroup;
    (void)pid;
    return false;
}

bool cgroup_move(const struct cgroup *cgroup, pid_t pid)
{
    (void)cgroup;
    (void)pid;
    errno = ENOTSUP;
    return false;
}

bool cgroup_place(const struct cgroup *cgroup, pid_t pid, char path[CGROUP_PATH_MOST + 1])
{
    (void)cgroup;
    (void)pid;
    path[0] = '\0';
    return false;
}

void cgroup_move_back(const struct cgroup *cgroup, pid_t pid, const char *path)
{
    (void)cgroup;
    (void)pid;
    (void)path;
}

bool cgroup_populated(const struct cgroup *cgroup)
{
    (void)cgroup;
    return false;
}

bool cgroup_members(const struct cgroup *cgroup, unsigned *number)
{
    (void)cgroup;
    *number = 0;
    return false;
}

bool cgroup_forked(const struct cgroup *cgroup, uint64_t *forked)
{
    (void)cgroup;
    *forked = 0;
    return false;
}

void cgroup_figures(const struct cgroup *cgroup, struct ending *ending)
{
    (void)cgroup;
    (void)ending;
}

bool cgroup_remove(const struct cgroup *cgroup, struct failure *why)
{
    (void)cgroup;
    (void)why;
    return true;
}
