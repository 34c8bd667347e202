/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nothing of this is run before a window has grown past PIPES_LEAST, and so all of it is RARE.
 */
#define _POSIX_C_SOURCE 200809L
#include "port/pipes.h"

#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"

#define PART 4u /* of the pages that the user's pipes may have, this part may go to growth */
#define NAME_MOST 64

RARE uint32_t pipes_size_for(uint32_t window)
{
    uint32_t size = PIPES_LEAST;

    while (size < window && size < PIPES_MOST)
        size *= 2;
    return size;
}

/* A share is a name that only one process at a time can have, and has no longer than it lives. There are so many names
 * that all who have one may grow all their pipes to PIPES_MOST. The kernel counts by the real user id. */
RARE static int take_share(void)
{
    unsigned shares = platform_pipe_bytes_most() / PART / (PIPES * PIPES_MOST);
    int share = -1;

    for (unsigned i = 0; i < shares && share < 0; i++) {
        char name[NAME_MOST];

        format(name, sizeof name, "muontrap/pipes/%lu/%u", (unsigned long)getuid(), i);
        share = platform_take_name(name);
    }
    return share;
}

RARE static bool resize(const int fds[PIPES], uint32_t size)
{
    bool all = true;

    for (int i = 0; i < PIPES; i++)
        all = (fds[i] < 0 || platform_resize_pipe(fds[i], size)) && all;
    return all;
}

RARE void pipes_grow(struct pipes *pipes, const int fds[PIPES], uint64_t now_us)
{
    uint32_t next = pipes->size ? pipes->size * 2 : PIPES_LEAST * 2;

    if (now_us < pipes->again_at_us)
        return;
    pipes->again_at_us = now_us + PIPES_AGAIN_US;
    if (pipes->share == 0) {
        int share = take_share();

        if (share < 0)
            return;
        pipes->share = share;
    }
    pipes->size = next;
    if (resize(fds, next))
        pipes->again_at_us = 0;
    else
        (void)pipes_shrink(pipes, fds, next / 2); /* EPERM: the user's pages are needed elsewhere */
}

RARE bool pipes_shrink(struct pipes *pipes, const int fds[PIPES], uint32_t size)
{
    if (pipes->size <= size)
        return true;
    if (!resize(fds, size))
        return false;
    pipes->size = size;
    if (size == PIPES_LEAST) {
        io_close(&pipes->share);
        pipes->size = 0;
        pipes->share = 0;
    }
    return true;
}
