/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What is called of the modules below the models and has no effect there. Neither cgroups nor other users are in them.
 */
#include <poll.h>

#include "base/platform.h"
#include "base/signals.h"
#include "cgroup/cgroup.h"
#include "launch.h"
#include "program/child.h"
#include "program/identity.h"

const bool platform_has_children = true;
const short platform_poll_shut = POLLRDHUP;

bool platform_adopt_orphans(struct failure *why)
{
    (void)why;
    return true;
}

bool platform_name(pid_t pid, char name[PLATFORM_NAME_MOST])
{
    (void)pid;
    (void)name;
    return false;
}

void platform_name_self(const char *name)
{
    (void)name;
}

void platform_forget(void *memory, size_t size)
{
    (void)memory;
    (void)size;
}

void platform_be_prompt(pid_t pid)
{
    (void)pid;
}

void platform_hurry(pid_t pid)
{
    (void)pid;
}

void platform_block_signals(void)
{
}

void signals_unblock(void)
{
}

void signals_ignore_continuation_by(pid_t peer)
{
    (void)peer;
}

bool identity_resolve(struct identity *identity, struct options *options, struct failure *why)
{
    (void)identity;
    (void)options;
    (void)why;
    return true;
}

bool cgroup_populated(const struct cgroup *cgroup)
{
    (void)cgroup;
    return false;
}

bool cgroup_members(const struct cgroup *cgroup, unsigned *number)
{
    (void)cgroup;
    (void)number;
    return false;
}

bool cgroup_remove(const struct cgroup *cgroup, struct failure *why)
{
    (void)cgroup;
    (void)why;
    return true;
}

void stdio_none(struct stdio *stdio)
{
    *stdio = (struct stdio){.master = -1,
                            .null = -1,
                            .terminal = -1,
                            .relay_stdin = -1,
                            .relay_stdout = -1,
                            .relay_stderr = -1};
}

void child_close_inherited(const struct launch *of)
{
    (void)of;
}

int child_exit_status_of(const struct failure *why)
{
    (void)why;
    return 127;
}

int child_exit_status_of_cancelled(const struct options *options)
{
    (void)options;
    return 143;
}

/* There are no capabilities. */
void platform_kill_by_reserve(bool kills)
{
    (void)kills;
}

/* For a signal frame to the whole tree, which this owner doesn't send. */
bool platform_processes(void (*visit)(pid_t pid, void *context), void *context)
{
    (void)visit;
    (void)context;
    return false;
}
