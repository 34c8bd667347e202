/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What /proc tells of other processes (proc(5)): the part of platform.h that few launches need.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

/* The number that the text begins with; 0 when it begins with none, or one that is too large to be a pid or flags. */
static uint32_t number_at(const char *at)
{
    uint64_t number = 0;

    for (; *at >= '0' && *at <= '9' && number <= UINT32_MAX; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return number <= UINT32_MAX ? (uint32_t)number : 0;
}

/* /proc/pid/stat: "pid (name) state parent ...", and the name may have parentheses and spaces in it. */
pid_t platform_parent(pid_t pid)
{
    char text[256];
    const char *at;
    uint32_t parent;

    if (!read_file(pid, "stat", text, sizeof text))
        return 0;
    at = strrchr(text, ')');
    if (!at || strlen(at) < 5)
        return 0;
    parent = number_at(at + 4);
    return parent <= INT_MAX ? (pid_t)parent : 0;
}

/* Kernel headers are not there for every C library. These are the numbers of asm-generic/unistd.h, which MIPS and Alpha
 * count otherwise: there is no call with the number -1. */
#if defined(__mips__) || defined(__alpha__)
#define GENERIC(number) -1
#else
#define GENERIC(number) (number)
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal GENERIC(424)
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open GENERIC(434)
#endif

int platform_process_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0u);
}

/* pidfd_open(2), "Use cases for PID file descriptors": it can be read when the process has ended, a zombie or not. */
bool platform_process_ended(int process)
{
    struct pollfd ended = {.fd = process, .events = POLLIN};

    return poll(&ended, 1, 0) > 0;
}

int platform_process_signal(int process, int signal)
{
    return (int)syscall(SYS_pidfd_send_signal, process, signal, NULL, 0u);
}

/* /proc/pid/stat: the ninth field has the kernel's flags of the process, of which this one says that it is a thread of
 * the kernel's (linux/sched.h). */
#define PF_KTHREAD 0x00200000u

static bool is_kernel_thread(const char *stat)
{
    const char *at = strrchr(stat, ')');

    for (int field = 2; field < 9 && at; field++)
        at = strchr(at + 1, ' ');
    return at && (number_at(at + 1) & PF_KTHREAD) != 0;
}

static bool is_called_helper(pid_t pid)
{
    static const char *const names[] = {"muontrap-keeper", "muontrap-relay", "muontrap-idle"};
    char name[PLATFORM_NAME_MOST];

    if (!platform_name(pid, name))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool executes_our_file(pid_t pid)
{
    char path[40];
    struct stat theirs;
    struct stat ours;

    format(path, sizeof path, "/proc/%ld/exe", (long)pid);
    return stat(path, &theirs) == 0 && stat("/proc/self/exe", &ours) == 0 && theirs.st_dev == ours.st_dev &&
           theirs.st_ino == ours.st_ino;
}

enum platform_kind platform_kind(pid_t pid)
{
    char stat[512];

    if (!read_file(pid, "stat", stat, sizeof stat))
        return PLATFORM_HIDDEN;
    if (is_kernel_thread(stat))
        return PLATFORM_KERNEL_THREAD;
    return is_called_helper(pid) || executes_our_file(pid) ? PLATFORM_HELPER : PLATFORM_ORDINARY;
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

void platform_unlock(int fd)
{
    (void)flock(fd, LOCK_UN);
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

/* The lock first: a file that has none is not asked for, because it may be on a server that doesn't answer. */
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
        holds = holds_lock(pid, name) && fstatat(directory, name, &found, 0) == 0 &&
                found.st_dev == search->wanted.st_dev && found.st_ino == search->wanted.st_ino;
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
