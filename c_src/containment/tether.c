/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "containment/tether.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/io.h"

bool tether_open(int ends[2], struct failure *why)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && io_close_on_exec(ends[0]) && io_close_on_exec(ends[1]))
        return true;
    return failed(why, STAGE_SETUP, errno, "cannot make a socket pair: %s (raise ulimit -n)", strerror(errno));
}

void tether_tell(int fd, enum tether_kind kind, int value)
{
    const struct tether_message message = {.kind = kind, .value = value};

    (void)send(fd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool tether_read(int fd, struct tether_message *message)
{
    return recv(fd, message, sizeof *message, MSG_DONTWAIT) == (ssize_t)sizeof *message;
}
