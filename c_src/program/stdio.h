/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What becomes the program's standard input, output and error: what we were started with, /dev/null, a pipe to the
 * relay, a terminal, or a file.
 */
#ifndef MUONTRAP_STDIO_H
#define MUONTRAP_STDIO_H

#include <errno.h>
#include <stdbool.h>

#include "base/failure.h"

struct launch;
struct options;

/* The descriptors that become the program's 0, 1 and 2 (itself where it stays), and our ends of pipes and terminal. */
struct stdio {
    int program[3];
    int null;
    int terminal; /* -1 without one */
    int master;   /* its other end, which stays open as long as the program lives: without it the terminal hangs up */
    bool stderr_is_stdout;
    int relay_stdin;  /* where its input is to be written, -1 where it is not relayed */
    int relay_stdout; /* where its output is to be read, -1 where it is not relayed */
    int relay_stderr;
};

/* Nothing is open, and nothing is relayed. */
void stdio_none(struct stdio *stdio);

/* Opens what can't take long. False, with the failure filled, leaves what is open for stdio_close(). */
bool stdio_open(struct stdio *stdio, const struct launch *launch, struct failure *why);

/* Closes all but our ends. */
void stdio_close(struct stdio *stdio);

/* Closes our ends as well, of a program that has not been started. */
void stdio_abandon(struct stdio *stdio);

/* The errno, which open(2) doesn't know, of an output file that standard input is as well. */
#define STDIO_IS_STDIN EDEADLK

/* In the new process, in a session of its own where it has a terminal: the files are opened, and all becomes 0, 1 and
 * 2. False, with errno, and *stage says what it was that failed. */
bool stdio_install(struct stdio *stdio, const struct options *options, enum stage *stage);

#endif
