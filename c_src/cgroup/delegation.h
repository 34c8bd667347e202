/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What --group auto stands for: a new cgroup in the one that this process is in, if that was delegated to it.
 *
 * Controllers can be enabled for what is below a cgroup only when the cgroup itself holds no process (cgroup-v2.rst,
 * "No Internal Process Constraint"). So this process, and what else is in its cgroup, moves to a leaf first, as
 * systemd's documentation of delegation asks (https://systemd.io/CGROUP_DELEGATION):
 *
 *     its cgroup            no process any more
 *     |- muontrap.vm        what was in it: the shell or the VM, and this process
 *     `- muontrap           the base
 *        `- 3f0c5a9be1d7    a program
 *
 * In a cgroup namespace, a container's mostly, "its cgroup" is the namespace's root.
 */
#ifndef MUONTRAP_DELEGATION_H
#define MUONTRAP_DELEGATION_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/failure.h"
#include "cgroup/cgroup_path.h"

#define DELEGATION_LEAF "muontrap.vm"
#define DELEGATION_BASE "muontrap"

/* What makes a container's cgroups writable: podman-run(1), --security-opt. */
#define DELEGATION_UNMASK "podman run --user root --security-opt unmask=/sys/fs/cgroup IMAGE"

struct delegation {
    pid_t starter; /* who started muontrap; 0: this process's parent */
    const char *mount;
    int root;                        /* the directory where it is */
    bool settled;                    /* it holds no process, or is the root of the whole tree, which may */
    char path[CGROUP_PATH_MOST + 1]; /* relative to the mount, "" for what is mounted there */
};

/* Finds the cgroup that was delegated to this process, and changes nothing. `mount` is where cgroup2 is mounted, and
 * `root` that directory. False with the failure filled when there is none. */
bool delegation_find(struct delegation *delegation, const char *mount, int root, struct failure *why);

/* Moves the processes of that cgroup to the leaf, those that may be moved. */
bool delegation_settle(const struct delegation *delegation, struct failure *why);

/* Fills in the path of a cgroup below the base, of that name or, with NULL, of one that nobody else has. False when it
 * would be too long. */
bool delegation_name(const struct delegation *delegation, const char *name, char path[CGROUP_PATH_MOST + 1],
                     struct failure *why);

/* Whether the processes in the cgroup of that path may be moved, as far as systemd is concerned. Where it is in charge,
 * it leaves alone what is below a unit's cgroup only when that was delegated. */
bool delegation_permits(int root, const char *path, struct failure *why);

/* Writes the commands with which root moves the process that has started muontrap into the cgroup of that directory, so
 * that what the process starts from then on is there, too. A VM starts its programs by a process of its own
 * (erl_child_setup), and both are moved. */
void delegation_move_command(char *text, size_t size, const char *directory, pid_t starter);

/* Whether this process sees the file systems of a container. */
bool delegation_in_container(int root);

#endif
