/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* MAP_ANONYMOUS, in POSIX since 2024 */
#include "containment/tether.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/io.h"

bool tether_open(int ends[2], struct bequest **bequest, struct failure *why)
{
    void *memory = mmap(NULL, sizeof **bequest, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return failed(why, STAGE_SETUP, errno, "cannot get memory that two processes share: %s", strerror(errno));
    *bequest = memory; /* of zeros */
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && io_close_on_exec(ends[0]) && io_close_on_exec(ends[1]))
        return true;
    return failed(why, STAGE_SETUP, errno, "cannot make a socket pair: %s (raise ulimit -n)", strerror(errno));
}

bool tether_tell(int fd, enum tether_kind kind, int value)
{
    const struct tether_message message = {.kind = kind, .value = value};

    return send(fd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof message;
}

bool tether_has_hung_up(int fd)
{
    struct pollfd tether = {.fd = fd, .events = 0};

    return fd < 0 || (poll(&tether, 1, 0) > 0 && (tether.revents & (POLLHUP | POLLERR)) != 0);
}

bool tether_read(int fd, struct tether_message *message)
{
    return recv(fd, message, sizeof *message, MSG_DONTWAIT) == (ssize_t)sizeof *message;
}
