/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the owner sends for the program's standard input, under a window of its own: the owner sends no more than has
 * been granted, and what has been granted finds room here. So what the program doesn't read holds up no other frame.
 * Promises never to block, and to know how much of it the program has taken.
 */
#ifndef MUONTRAP_INPUT_H
#define MUONTRAP_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/pipes.h"

#define INPUT_WINDOW_LEAST 65536u
#define INPUT_WINDOW_MOST 1048576u /* bytes */

struct input {
    int fd;           /* the program's pipe or terminal; -1 when nobody reads it any more, or it has got its end */
    bool relayed;     /* the owner may send some */
    bool is_terminal; /* that of --pty, and not a pipe */
    bool ending;      /* nothing follows */
    bool ended;       /* and that has been typed at the terminal */
    uint8_t last[2];  /* the last bytes that were written; 0: there were fewer */
    bool no_splice;
    bool blocked;        /* the pipe is full: go on when poll(2) says POLLOUT */
    bool lost;           /* nobody reads it any more, and the owner has not been told yet */
    uint32_t window;     /* how much may be on its way or lie here */
    uint32_t granted;    /* bytes that the owner may still send */
    uint32_t owed;       /* bytes for which there is room again, and that have not been granted yet */
    uint64_t granted_us; /* when that was granted, as of io_now_us() */
    uint64_t taken;      /* bytes that have gone into the pipe, and, once it is lost, out of it */
    size_t at;           /* where in bytes[], which begins anew at its end, lies what is to be written */
    size_t count;        /* how much that is */
    uint8_t *bytes;      /* INPUT_WINDOW_MOST of them */
    struct pipes pipes;  /* that from the owner and the program's, as far as they have grown */
};

/* There is none until it is opened; of one from before the pipes stay. All zero at first. Inline, because each launch
 * comes by here, and most have no use for the rest. */
static inline void input_init(struct input *input, uint8_t bytes[INPUT_WINDOW_MOST])
{
    *input = (struct input){.fd = -1, .pipes = input->pipes};
    input->bytes = bytes;
}

/* From now on it goes into that pipe, or to that terminal. */
void input_open(struct input *input, int fd, bool is_terminal);

/* The owner may send some. */
void input_relay(struct input *input);

/* Whether the owner may send so many bytes more; then they are counted. */
bool input_take(struct input *input, uint32_t size);

/* Moves up to so many bytes of what has been counted from that pipe to the program, without a copy. Returns how many
 * that was, 0 where it can't. */
size_t input_move(struct input *input, int from, size_t most);

/* Where what has been counted is to be put, and how much of it at once; 0 when it is to be thrown away. */
uint8_t *input_room(struct input *input, size_t *most);

/* So much has been put there. */
void input_put(struct input *input, size_t size);

/* The same for what lies elsewhere. */
void input_copy(struct input *input, const uint8_t *bytes, size_t size);

/* Nothing follows: when all has been written, the pipe is closed, and at a terminal the end of the input is typed. */
void input_end(struct input *input);

/* Writes what can be written now. */
void input_pump(struct input *input);

/* How many bytes to grant the owner now; 0 for none. They count as granted. The pipes grow with the window. */
uint32_t input_grant(struct input *input, uint64_t now_us);

/* Makes the pipe from the owner as small as it was at first, unless more is in it: pipes.size is 0 then. */
void input_give_back_pipes(struct input *input);

/* Nobody reads it any more: what the program has not taken is thrown away. */
void input_lose(struct input *input);

/* Once it is over: gives back the memory that it has taken, in whole pages, so that less than a page is left at each
 * end. */
void input_forget(const struct input *input);

#endif
