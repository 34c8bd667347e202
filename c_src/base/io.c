/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

bool io_close_on_exec(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

bool io_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

/* Not pipe2(2), which POSIX has since 2024 only: we have one thread, so nothing can fork in between. */
bool io_pipe(int ends[2])
{
    return pipe(ends) == 0 && io_close_on_exec(ends[0]) && io_close_on_exec(ends[1]);
}

void io_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

void io_close_unless(int *fd, int kept)
{
    if (*fd == kept)
        *fd = -1;
    io_close(fd);
}

static bool wait_for(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};

    return poll(&ready, 1, -1) > 0 || errno == EINTR;
}

bool io_write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t written = write(fd, at, size);

        if (written >= 0) {
            at += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN) {
            if (!wait_for(fd, POLLOUT))
                return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

size_t io_read_some(int fd, void *buffer, size_t size)
{
    for (;;) {
        ssize_t got = read(fd, buffer, size);

        if (got >= 0)
            return (size_t)got;
        if (errno != EINTR && (errno != EAGAIN || !wait_for(fd, POLLIN)))
            return 0;
    }
}

uint64_t io_now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

int io_left_ms(uint64_t deadline_us)
{
    uint64_t now;

    if (deadline_us == 0)
        return -1;
    now = io_now_us();
    if (now >= deadline_us)
        return 0;
    return deadline_us - now > (uint64_t)INT_MAX * 1000u ? INT_MAX : (int)((deadline_us - now + 999u) / 1000u);
}
