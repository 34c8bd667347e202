/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/cgroup_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "cgroup/cgroup_files.h"
#include "options.h"

/* ---- A walk through the directories below one ---- */

/* The walk has one directory open at a time. It goes down by name and up by "..", and after going up it finds its place
 * in the directory by the inode number of the one that it comes from. */
struct walk {
    int directory;
    unsigned long depth; /* below the directory where the walk began */
    dev_t device;
    struct platform_listing listing; /* of the directory */
};

/* The program may have taken permissions away from a directory that are needed to go through it and to remove what is
 * below it: all of its owner's. */
static void restore_permissions(int directory)
{
    struct stat found;

    if (fstat(directory, &found) == 0 && (found.st_mode & S_IRWXU) != S_IRWXU)
        (void)fchmod(directory, (found.st_mode & 07777) | S_IRWXU);
}

static int open_with_permissions(int parent, const char *name)
{
    int directory = cgroup_directory(parent, name);

    if (directory < 0 && errno == EACCES && fchmodat(parent, name, S_IRWXU, 0) == 0)
        directory = cgroup_directory(parent, name);
    restore_permissions(directory);
    return directory;
}

static void walk_open(struct walk *walk, int directory)
{
    walk->directory = directory;
    platform_list(&walk->listing, directory);
}

static bool walk_begin(struct walk *walk, int directory)
{
    struct stat found;

    restore_permissions(directory);
    walk_open(walk, fcntl(directory, F_DUPFD_CLOEXEC, 3));
    walk->depth = 0;
    if (walk->directory < 0 || fstat(walk->directory, &found) < 0)
        return false;
    walk->device = found.st_dev;
    return true;
}

static void walk_end(struct walk *walk)
{
    io_close(&walk->directory);
}

/* False when that can't be opened, or when another file system is mounted there, whose directories are not cgroups. */
static bool walk_down(struct walk *walk, const char *name)
{
    int next = open_with_permissions(walk->directory, name);
    struct stat found;

    if (next < 0 || fstat(next, &found) < 0 || found.st_dev != walk->device) {
        io_close(&next);
        return false;
    }
    (void)close(walk->directory);
    walk_open(walk, next);
    walk->depth++;
    return true;
}

/* Goes up and returns the name of the directory that the walk comes from, behind which the listing goes on. When
 * somebody has removed that one meanwhile, the listing begins again and the name is "". NULL when the walk is where it
 * began, or can't go up. */
static const char *walk_up(struct walk *walk)
{
    struct stat from;
    const char *name;
    int parent;

    if (walk->depth == 0 || fstat(walk->directory, &from) < 0)
        return NULL;
    parent = cgroup_directory(walk->directory, "..");
    if (parent < 0)
        return NULL;
    (void)close(walk->directory);
    walk_open(walk, parent);
    walk->depth--;
    while ((name = cgroup_list_next(&walk->listing)))
        if (walk->listing.inode == (uint64_t)from.st_ino)
            return name;
    platform_list(&walk->listing, parent);
    return "";
}

/* ---- Killing ---- */

void cgroup_tree_each(int directory, void (*visit)(pid_t pid, void *context), void *context)
{
    struct walk walk;

    if (walk_begin(&walk, directory)) {
        (void)cgroup_processes(walk.directory, visit, context);
        do {
            const char *name;

            while ((name = cgroup_list_next(&walk.listing)))
                if (walk_down(&walk, name))
                    (void)cgroup_processes(walk.directory, visit, context);
        } while (walk_up(&walk));
    }
    walk_end(&walk);
}

static void kill_process(pid_t pid, void *context)
{
    (void)context;
    if (pid > 1)
        (void)kill(pid, SIGKILL);
}

/* Waits until the kernel tells of a change by POLLPRI, as it does for each change since cgroup.events was last read
 * (cgroup-v2.rst, "[Un]populated Notification"). It may hold back such an event for 10 ms. */
static void wait_for_change(int events)
{
    struct pollfd changed = {.fd = events, .events = POLLPRI};

    (void)poll(&changed, 1, 10);
}

/* For kernels before 5.14. A frozen process can't fork, and it can't end and leave its pid to a stranger: only SIGKILL
 * ends it. */
static void freeze_and_kill(int directory)
{
    int events = cgroup_events_open(directory);

    if (cgroup_write(directory, "cgroup.freeze", "1"))
        for (int tries = 0; tries < 100; tries++) {
            if (cgroup_events_flag(events, "frozen") || !cgroup_events_flag(events, "populated"))
                break;
            wait_for_change(events);
        }
    /* However many they are, because one that was left out would fork again when the others are dead. */
    cgroup_tree_each(directory, kill_process, NULL);
    (void)cgroup_write(directory, "cgroup.freeze", "0");
    io_close(&events);
}

bool cgroup_tree_kill(int directory, unsigned without)
{
    if ((without & WITHOUT_CGROUP_KILL) == 0 && cgroup_write(directory, "cgroup.kill", "1"))
        return true;
    freeze_and_kill(directory);
    return false;
}

/* A killed process is gone as soon as the kernel has run it. One that isn't gone in time hangs in the kernel, or this
 * user may not kill it. */
bool cgroup_tree_kill_all(int directory, unsigned without, uint64_t deadline)
{
    int events = cgroup_events_open(directory);
    bool populated;

    do {
        (void)cgroup_tree_kill(directory, without);
        populated = cgroup_events_flag(events, "populated");
        if (populated)
            wait_for_change(events);
    } while (populated && io_now_us() < deadline);
    io_close(&events);
    return !populated;
}

/* ---- Removing ---- */

static void remove_directory(int parent, const char *name)
{
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

/* Most directories have nothing below them and go at once. One that doesn't is gone through, and tried again after
 * that. */
void cgroup_tree_remove_below(int directory)
{
    struct walk walk;

    if (walk_begin(&walk, directory)) {
        const char *name;

        do {
            while ((name = cgroup_list_next(&walk.listing)))
                if (unlinkat(walk.directory, name, AT_REMOVEDIR) < 0)
                    (void)walk_down(&walk, name);
            name = walk_up(&walk);
            if (name && *name)
                remove_directory(walk.directory, name);
        } while (name);
    }
    walk_end(&walk);
}

void cgroup_tree_remove(int parent, const char *name)
{
    int directory;

    if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return;
    directory = open_with_permissions(parent, name);
    if (directory >= 0)
        cgroup_tree_remove_below(directory);
    io_close(&directory);
    remove_directory(parent, name);
}
