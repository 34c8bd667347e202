/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What /proc tells of other processes (proc(5)): the part of platform.h that few launches need.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"

static pid_t pid_of(const char *name)
{
    pid_t pid = 0;

    for (; *name >= '0' && *name <= '9' && pid < 100000000; name++)
        pid = pid * 10 + (*name - '0');
    return *name == '\0' ? pid : 0;
}

bool platform_processes(void (*visit)(pid_t pid, void *context), void *context)
{
    struct platform_listing listing;
    const char *name;
    int directory = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0)
        return false;
    platform_list(&listing, directory);
    while ((name = platform_list_next(&listing)))
        if (pid_of(name) > 0)
            visit(pid_of(name), context);
    (void)close(directory);
    return true;
}

/* Reads the beginning of /proc/pid/file. False when it can't be read. */
static bool read_file(pid_t pid, const char *file, char *text, size_t size)
{
    char path[64];
    ssize_t got;
    int fd;

    format(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    got = read(fd, text, size - 1);
    (void)close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* /proc/pid/stat: "pid (name) state parent ...", and the name may have parentheses and spaces in it. */
pid_t platform_parent(pid_t pid)
{
    char text[256];
    const char *at;
    pid_t parent = 0;

    if (!read_file(pid, "stat", text, sizeof text))
        return 0;
    at = strrchr(text, ')');
    if (!at || strlen(at) < 5)
        return 0;
    for (at += 4; *at >= '0' && *at <= '9'; at++)
        parent = parent * 10 + (*at - '0');
    return parent;
}

bool platform_name(pid_t pid, char name[PLATFORM_NAME_MOST])
{
    if (!read_file(pid, "comm", name, PLATFORM_NAME_MOST))
        return false;
    name[strcspn(name, "\n")] = '\0';
    for (char *at = name; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
    return true;
}

bool platform_lock(int fd, bool wait)
{
    return flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) == 0;
}

/* proc(5), /proc/pid/fdinfo: a descriptor whose description holds a lock has a line for it. */
static bool holds_lock(pid_t pid, const char *fd)
{
    char file[32];
    char text[512];

    format(file, sizeof file, "fdinfo/%s", fd);
    return read_file(pid, file, text, sizeof text) && strstr(text, "\nlock:") != NULL;
}

struct search {
    struct stat wanted;
    void (*visit)(pid_t pid, void *context);
    void *context;
};

static void visit_holder(pid_t pid, void *context)
{
    const struct search *search = context;
    struct platform_listing listing;
    struct stat found;
    const char *name;
    char path[32];
    int directory;
    bool holds = false;

    format(path, sizeof path, "/proc/%ld/fd", (long)pid);
    directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return;
    platform_list(&listing, directory);
    while (!holds && (name = platform_list_next(&listing)))
        holds = fstatat(directory, name, &found, 0) == 0 && found.st_dev == search->wanted.st_dev &&
                found.st_ino == search->wanted.st_ino && holds_lock(pid, name);
    (void)close(directory);
    if (holds)
        search->visit(pid, search->context);
}

void platform_lock_holders(int fd, void (*visit)(pid_t pid, void *context), void *context)
{
    struct search search = {.visit = visit, .context = context};

    if (fstat(fd, &search.wanted) == 0)
        (void)platform_processes(visit_holder, &search);
}
