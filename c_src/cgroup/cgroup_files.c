/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/cgroup_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"

#define CGROUP2_MAGIC 0x63677270ul /* linux/magic.h */

/* A mount point of the list may be hidden by a later mount on the same place, so the file system itself is asked. */
static bool is_cgroup2(const char *mount, bool *writable)
{
    struct statfs found;

    if (statfs(mount, &found) < 0 || (unsigned long)found.f_type != CGROUP2_MAGIC)
        return false;
    *writable = (found.f_flags & ST_RDONLY) == 0;
    return true;
}

bool cgroup_mounts(bool (*visit)(const char *line, void *context), void *context)
{
    static char text[4096]; /* the kernel's limit for a path is the longest part of a line */
    size_t have = 0;
    bool wanted = true;
    bool skips = false; /* what comes up to the next newline is the rest of a line that didn't fit */
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0)
        return false;
    while (wanted && (size = read(fd, text + have, sizeof text - 1 - have)) > 0) {
        char *line = text;
        char *end;

        text[have + (size_t)size] = '\0';
        while (wanted && (end = strchr(line, '\n'))) {
            *end = '\0';
            wanted = skips || visit(line, context);
            skips = false;
            line = end + 1;
        }
        have = strlen(line);
        memmove(text, line, have);
        if (have == sizeof text - 1) {
            have = 0;
            skips = true;
        }
    }
    (void)close(fd);
    return true;
}

/* Keeps the first mount, or the first one that can be written. The search ends with that. */
static bool keep_best_mount(const char *line, void *context)
{
    char candidate[CGROUP_MOUNT_MOST];
    char *mount = context;
    bool writable;

    if (!cgroup_mount_of(line, candidate) || !is_cgroup2(candidate, &writable))
        return true;
    if (writable || mount[0] == '\0')
        memcpy(mount, candidate, sizeof candidate);
    return !writable;
}

bool cgroup_mount_find(char mount[CGROUP_MOUNT_MOST])
{
    mount[0] = '\0';
    if (!cgroup_mounts(keep_best_mount, mount))
        return false;
    errno = ENODEV;
    return mount[0] != '\0';
}

/* A mount, and the cgroup that is mounted there. */
struct mounted {
    const char *mount;
    char cgroup[CGROUP_PATH_MOST + 2];
};

/* Of several mounts on the same place it is the last that is seen. */
static bool keep_mounted(const char *line, void *context)
{
    struct mounted *mounted = context;
    char point[CGROUP_MOUNT_MOST];

    if (cgroup_mount_of(line, point) && strcmp(point, mounted->mount) == 0 &&
        !cgroup_mounted_of(line, mounted->cgroup, sizeof mounted->cgroup))
        mounted->cgroup[0] = '\0';
    return true;
}

/* Which cgroup is mounted there; "" when that can't be told. */
static void find_mounted(struct mounted *mounted)
{
    mounted->cgroup[0] = '\0';
    if (!cgroup_mounts(keep_mounted, mounted))
        mounted->cgroup[0] = '\0';
}

/* The place of a process below that mount, out of the file that tells of it. */
static bool find(const struct mounted *mounted, const char *file, char path[CGROUP_PATH_MOST + 1])
{
    char cgroup[CGROUP_PATH_MOST + 2];
    char text[4096];
    const char *below = NULL;

    errno = ESRCH;
    if (!cgroup_read(AT_FDCWD, file, text, sizeof text))
        return false;
    if (mounted->cgroup[0] == '/' && cgroup_own_of(text, cgroup, sizeof cgroup))
        below = cgroup_path_below(mounted->cgroup, cgroup);
    errno = ENOENT;
    if (below)
        memmove(path, below, strlen(below) + 1);
    return below != NULL;
}

bool cgroup_find_own(const char *mount, char own[CGROUP_PATH_MOST + 1])
{
    struct mounted mounted = {.mount = mount};

    find_mounted(&mounted);
    if (find(&mounted, "/proc/self/cgroup", own))
        return true;
    errno = ENOENT;
    return false;
}

/* It may be asked of thousands of processes, and machines with containers have hundreds of mounts. */
bool cgroup_find_of(const char *mount, pid_t pid, char path[CGROUP_PATH_MOST + 1])
{
    static char known[CGROUP_MOUNT_MOST];
    static struct mounted mounted = {.mount = known};
    char file[40];

    if (strcmp(known, mount) != 0) {
        format(known, sizeof known, "%s", mount);
        find_mounted(&mounted);
    }
    format(file, sizeof file, "/proc/%ld/cgroup", (long)pid);
    return find(&mounted, file, path);
}

/* cgroup-v2.rst, "Core Interface Files": cgroup.events exists on non-root cgroups. */
bool cgroup_is_whole_tree(int root)
{
    return faccessat(root, "cgroup.events", F_OK, 0) < 0 && errno == ENOENT;
}

int cgroup_directory(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static bool read_all(int fd, char *text, size_t size)
{
    size_t have = 0;
    ssize_t got = 0;

    while (have < size - 1 && (got = read(fd, text + have, size - 1 - have)) > 0)
        have += (size_t)got;
    text[have] = '\0';
    return got >= 0;
}

bool cgroup_read(int directory, const char *file, char *text, size_t size)
{
    int fd = openat(directory, file, O_RDONLY | O_CLOEXEC);
    bool whole;

    text[0] = '\0';
    if (fd < 0)
        return false;
    whole = read_all(fd, text, size);
    (void)close(fd);
    return whole;
}

bool cgroup_write(int directory, const char *file, const char *value)
{
    int fd = openat(directory, file, O_WRONLY | O_CLOEXEC);
    ssize_t written;
    int error;

    if (fd < 0)
        return false;
    written = write(fd, value, strlen(value));
    error = errno;
    io_close(&fd);
    errno = error;
    return written >= 0;
}

bool cgroup_number_in(int fd, const char *key, uint64_t *number)
{
    char text[1024];

    return lseek(fd, 0, SEEK_SET) == 0 && read_all(fd, text, sizeof text) && cgroup_number_of(text, key, number);
}

bool cgroup_cpu_time(int directory, uint64_t *user_us, uint64_t *system_us)
{
    char text[1024];

    return cgroup_read(directory, "cpu.stat", text, sizeof text) && cgroup_number_of(text, "user_usec", user_us) &&
           cgroup_number_of(text, "system_usec", system_us);
}

bool cgroup_number(int directory, const char *file, const char *key, uint64_t *number)
{
    int fd = openat(directory, file, O_RDONLY | O_CLOEXEC);
    bool found = fd >= 0 && cgroup_number_in(fd, key, number);

    io_close(&fd);
    return found;
}

int cgroup_events_open(int directory)
{
    return openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
}

bool cgroup_events_flag(int events, const char *key)
{
    uint64_t value = 0;

    return cgroup_number_in(events, key, &value) && value != 0;
}

bool cgroup_processes(int directory, void (*visit)(pid_t pid, void *context), void *context)
{
    int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    bool whole = fd >= 0 && platform_pids(fd, visit, context);

    io_close(&fd);
    return whole;
}

const char *cgroup_list_next(struct platform_listing *listing)
{
    const char *name;

    while ((name = platform_list_next(listing)))
        if (listing->is_directory && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            return name;
    return NULL;
}
