/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The size of the pipes that output goes through. They grow with a window that its reader has made larger than a pipe,
 * and get back to what they were.
 *
 * The kernel counts the pages that all pipes of a user may hold, and gives him pipes of 8 KB once they are too many
 * (pipe(7), /proc/sys/fs/pipe-user-pages-soft). So what all helpers of a user have grown by is never more than a fourth
 * of that, as far as they see each other: PIPES_MOST and the number of shares (pipes.c) see to it.
 */
#ifndef MUONTRAP_PIPES_H
#define MUONTRAP_PIPES_H

#include <stdbool.h>
#include <stdint.h>

#define PIPES 3                    /* that to the owner, and those of the program's stdout and stderr */
#define PIPES_LEAST 65536u         /* bytes: what a pipe has from the start (pipe(7)) */
#define PIPES_MOST (1024u * 1024u) /* bytes: what an ordinary user's may have at most (pipe(7), pipe-max-size) */
#define PIPES_AGAIN_US 1000000u    /* after the kernel or the other helpers have said no, so long until the next try */

/* All zero at first. */
struct pipes {
    uint32_t size;        /* bytes that each was grown to; 0: none was */
    int share;            /* the descriptor that stands for our share of the user's pages; 0: we have none */
    uint64_t again_at_us; /* not before that time is growing tried again */
};

/* How large they should be for a window of that size. Pure. */
uint32_t pipes_size_for(uint32_t window);

/* Doubles the size of each, if we get a share and the kernel lets us. An fd may be -1. */
void pipes_grow(struct pipes *pipes, const int fds[PIPES], uint64_t now_us);

/* Makes each that small, which is not possible while more is in it: then false, and it is to be tried again. */
bool pipes_shrink(struct pipes *pipes, const int fds[PIPES], uint32_t size);

#endif
