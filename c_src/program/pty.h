/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A pseudo-terminal: the program has the terminal, and the relay its other end, the master. What the program writes to
 * the terminal is read at the master, and what is written there is what somebody would type.
 */
#ifndef MUONTRAP_PTY_H
#define MUONTRAP_PTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "base/failure.h"

struct options;

struct window_size {
    uint16_t rows;
    uint16_t columns;
};

/* Opens one of the size and modes that the options say, and else of that size and those modes (NULL: what the system
 * gives to a new one). The terminal doesn't become ours. */
bool pty_open(int *master, int *terminal, const struct options *options, const struct window_size *size,
              const struct termios *modes, struct failure *why);

/* In a session that has none: makes it the controlling terminal, with this process's group in the foreground. */
bool pty_control(int terminal);

/* The kernel tells the processes in the terminal's foreground by SIGWINCH. */
bool pty_resize(int master, struct window_size size);

/* The size of any terminal. False when it is none, or has none. */
bool pty_size(int terminal, struct window_size *size);

#define END_OF_INPUT_MOST 3u

/* What has to be typed for a reader of the terminal to see the end of the input, after what ended with these two bytes
 * (0 where there was nothing). Returns how many bytes that is: 0 when the terminal is not in canonical mode, in which
 * there is no such end. */
size_t pty_end_of_input(int master, const uint8_t last[2], uint8_t bytes[END_OF_INPUT_MOST]);

#endif
