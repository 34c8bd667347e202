/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The terminal that muontrap was started from, where the program gets one of its own (--pty): it is to pass on each key
 * as it is, and is put back in order at the end, whichever process of ours is alive then.
 */
#ifndef MUONTRAP_CONSOLE_H
#define MUONTRAP_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "program/pty.h"

struct console {
    bool reads;       /* what comes at standard input is typed at the program's terminal */
    int input;        /* where it is read; -1 while it isn't */
    bool is_terminal; /* standard input is one */
    bool has_size;    /* it, or standard output or error, has one */
    struct window_size size;
    struct termios modes; /* as they were at first */
};

/* What there is at the start. */
void console_note(struct console *console);

/* Whether this process's group is the one that may read from it. What is no terminal may be read by all. */
bool console_is_ours(const struct console *console);

/* Puts it into raw mode, if it is ours. */
void console_make_raw(const struct console *console);

/* Puts it back as it was, if it is ours. */
void console_restore(const struct console *console);

/* Its size has changed: what it is now. */
bool console_measure(struct console *console);

/* The descriptors to read and write without blocking, nor making others not block for that. Standard input and output
 * themselves where there are none: a file doesn't block, and one can't have everything of a terminal that belongs to
 * another user. */
int console_input(void);
int console_output(void);

/* Writes what can be written to console_output()'s descriptor: write(2), but it doesn't wait either where the
 * descriptor is standard output itself, and blocks. */
ssize_t console_write(int fd, const void *bytes, size_t size);

/* What there is to read: read(2), but it doesn't wait. */
ssize_t console_read(const struct console *console, void *buffer, size_t size);

#endif
