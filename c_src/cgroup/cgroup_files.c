/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/cgroup_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io.h"

#define CGROUP2_MAGIC 0x63677270ul /* linux/magic.h */

/* What is listed may be hidden by a later mount on the same place. */
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
    bool goes_on = true;
    int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0)
        return false;
    while (goes_on && (size = read(fd, text + have, sizeof text - 1 - have)) > 0) {
        char *line = text;
        char *end;

        text[have + (size_t)size] = '\0';
        while (goes_on && (end = strchr(line, '\n'))) {
            *end = '\0';
            goes_on = visit(line, context);
            line = end + 1;
        }
        have = strlen(line);
        memmove(text, line, have);
        if (have == sizeof text - 1)
            have = 0; /* of such a line the beginning is skipped, which leaves something that is no line of ours */
    }
    (void)close(fd);
    return true;
}

/* Goes on as long as a better mount can come. */
static bool consider(const char *line, void *context)
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
    if (!cgroup_mounts(consider, mount))
        return false;
    errno = ENODEV;
    return mount[0] != '\0';
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

bool cgroup_number(int directory, const char *file, const char *key, uint64_t *number)
{
    int fd = openat(directory, file, O_RDONLY | O_CLOEXEC);
    bool there = fd >= 0 && cgroup_number_in(fd, key, number);

    io_close(&fd);
    return there;
}

/* The kernel's struct linux_dirent64 (getdents64(2)). opendir(3) would need memory of malloc(3), which else nothing in
 * the helper uses. */
struct entry {
    uint64_t inode; // cppcheck-suppress unusedStructMember
    int64_t offset; // cppcheck-suppress unusedStructMember
    uint16_t size;
    uint8_t type;
    char name[];
};

void cgroup_children(int directory, bool (*visit)(int directory, const char *name, void *context), void *context)
{
    _Alignas(struct entry) char bytes[1024];
    long size;

    (void)lseek(directory, 0, SEEK_SET);
    while ((size = syscall(SYS_getdents64, directory, bytes, sizeof bytes)) > 0) {
        for (long at = 0; at < size;) {
            const struct entry *entry = (const void *)(bytes + at);

            at += entry->size;
            if (entry->type == DT_DIR && strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0 &&
                !visit(directory, entry->name, context))
                return;
        }
    }
}
