/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "files.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define OPENED_MOST 64u

int __real_open(const char *path, int flags, ...);
int __real_openat(int directory, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *buffer, size_t size);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int directory, const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *buffer, size_t size);

static struct {
    const char *path;
    const void *bytes;
    size_t size;
    size_t piece;
} files[FILES_MOST];

static unsigned count;

/* A number may have been another file's since, so it counts only while it is the file that was made. */
static struct {
    int fd;
    size_t piece;
    ino_t inode;
} opened[OPENED_MOST];

static unsigned opened_count;

static ino_t inode_of(int fd)
{
    struct stat found;

    return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

void files_give(const char *path, const void *bytes, size_t size, size_t piece)
{
    if (count == FILES_MOST)
        abort();
    files[count].path = path;
    files[count].bytes = bytes;
    files[count].size = size;
    files[count++].piece = piece;
}

bool files_take_back(void)
{
    bool closed = true;

    for (unsigned i = 0; i < opened_count; i++)
        closed = closed && inode_of(opened[i].fd) != opened[i].inode;
    count = opened_count = 0;
    return closed;
}

/* -1 when the path is none of ours. */
static int open_given(const char *path)
{
    for (unsigned i = 0; i < count; i++) {
        int fd;

        if (strcmp(files[i].path, path) != 0)
            continue;
        fd = memfd_create("given", MFD_CLOEXEC);
        if (fd < 0 || opened_count == OPENED_MOST ||
            write(fd, files[i].bytes, files[i].size) != (ssize_t)files[i].size || lseek(fd, 0, SEEK_SET) < 0)
            abort();
        opened[opened_count].fd = fd;
        opened[opened_count].inode = inode_of(fd);
        opened[opened_count++].piece = files[i].piece;
        return fd;
    }
    return -1;
}

static mode_t mode_of(int flags, va_list args)
{
    return flags & O_CREAT ? (mode_t)va_arg(args, int) : 0;
}

int __wrap_open(const char *path, int flags, ...)
{
    int fd = open_given(path);
    va_list args;

    va_start(args, flags);
    if (fd < 0)
        fd = __real_open(path, flags, mode_of(flags, args));
    va_end(args);
    return fd;
}

int __wrap_openat(int directory, const char *path, int flags, ...)
{
    int fd = open_given(path);
    va_list args;

    va_start(args, flags);
    if (fd < 0)
        fd = __real_openat(directory, path, flags, mode_of(flags, args));
    va_end(args);
    return fd;
}

/* The last that was opened under that number. */
static size_t piece_of(int fd)
{
    for (unsigned i = opened_count; i-- > 0;)
        if (opened[i].fd == fd)
            return opened[i].piece;
    return 0;
}

ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
    size_t piece = opened_count > 0 ? piece_of(fd) : 0;

    return __real_read(fd, buffer, piece > 0 && piece < size ? piece : size);
}
