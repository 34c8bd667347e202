/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _XOPEN_SOURCE 700
#include "program/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/rare.h"
#include "launch.h"
#include "program/pty.h"

/* Else the kernel lets the program write 2 GB to a file and no more, and existing larger files can't be opened. */
_Static_assert(sizeof(off_t) >= 8, "compile with -D_FILE_OFFSET_BITS=64, as the Makefile does");

void stdio_none(struct stdio *stdio)
{
    *stdio = (struct stdio){.program = {0, 1, 2},
                            .null = -1,
                            .terminal = -1,
                            .master = -1,
                            .relay_stdin = -1,
                            .relay_stdout = -1,
                            .relay_stderr = -1};
}

void stdio_close(struct stdio *stdio)
{
    for (int fd = 0; fd < 3; fd++)
        if (stdio->program[fd] > 2 && stdio->program[fd] != stdio->null && stdio->program[fd] != stdio->terminal &&
            (fd != 2 || !stdio->stderr_is_stdout))
            io_close(&stdio->program[fd]);
    io_close(&stdio->terminal);
    io_close(&stdio->null);
}

void stdio_abandon(struct stdio *stdio)
{
    stdio_close(stdio);
    io_close(&stdio->master);
    io_close(&stdio->relay_stdin);
    io_close(&stdio->relay_stdout);
    io_close(&stdio->relay_stderr);
}

/* A pipe or terminal is its maker's, and so a program that runs as another user could not open /dev/stdout. Should that
 * not be permitted, it can use its descriptors all the same. */
static bool give(int fd, const struct identity *identity)
{
    return !identity->change_uid || fchown(fd, identity->uid, (gid_t)-1) == 0;
}

/* chown(2) takes root or CAP_CHOWN. A pipe may be open to all instead: it has no name but by the descriptors of those
 * who have it open (proc(5), /proc/pid/fd), which are the user's own, and ours. */
static void give_pipe(int fd, const struct identity *identity)
{
    if (!give(fd, identity) && fchmod(fd, 0666) < 0)
        errno = 0;
}

/* One end of a pipe becomes the program's descriptor, and the other one is for us. */
static bool relayed(struct stdio *stdio, const struct identity *identity, int fd, int *our_end, struct failure *why)
{
    int theirs = fd == STDIN_FILENO ? 0 : 1;
    int ends[2];

    if (!io_pipe(ends))
        return failed(why, STAGE_SETUP, errno, "cannot make a pipe for the program's %s: %s (raise ulimit -n)",
                      fd == STDIN_FILENO ? "input" : "output", strerror(errno));
    give_pipe(ends[theirs], identity);
    stdio->program[fd] = ends[theirs];
    *our_end = ends[1 - theirs];
    /* Only our end: the flag belongs to the open file description, and each end of a pipe has its own. */
    if (!io_nonblocking(*our_end))
        return failed(why, STAGE_SETUP, errno, "cannot make a pipe non-blocking: %s", strerror(errno));
    return true;
}

/* The master three times, because what is read there, what is written, and the terminal end at different times. */
RARE static bool open_terminal(struct stdio *stdio, const struct launch *launch, struct failure *why)
{
    const struct console *console = &launch->console;

    if (!pty_open(&stdio->master, &stdio->terminal, &launch->options, console->has_size ? &console->size : NULL,
                  console->is_terminal ? &console->modes : NULL, why))
        return false;
    (void)give(stdio->terminal, &launch->identity);
    // cppcheck-suppress duplicateAssignExpression ; one by one
    stdio->program[0] = stdio->program[1] = stdio->program[2] = stdio->terminal;
    stdio->relay_stdin = fcntl(stdio->master, F_DUPFD_CLOEXEC, 3);
    stdio->relay_stdout = fcntl(stdio->master, F_DUPFD_CLOEXEC, 3);
    if (stdio->relay_stdin < 0 || stdio->relay_stdout < 0)
        return failed(why, STAGE_PTY, errno, "cannot duplicate a pseudo-terminal's descriptor: %s (raise ulimit -n)",
                      strerror(errno));
    return true;
}

bool stdio_open(struct stdio *stdio, const struct launch *launch, struct failure *why)
{
    const struct options *options = &launch->options;

    stdio_none(stdio);
    stdio->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (stdio->null < 0)
        return failed(why, STAGE_SETUP, errno, "cannot open /dev/null: %s", strerror(errno));
    if (options->pty) {
        if (!open_terminal(stdio, launch, why))
            return false;
    } else if (options->stdin_mode == STDIN_RELAY) {
        if (!relayed(stdio, &launch->identity, STDIN_FILENO, &stdio->relay_stdin, why))
            return false;
    } else if (launch->null_stdin) {
        stdio->program[0] = stdio->null;
    }
    if (options->stdout_mode == OUTPUT_NULL)
        stdio->program[1] = stdio->null;
    else if (options->stdout_mode == OUTPUT_RELAY &&
             !relayed(stdio, &launch->identity, STDOUT_FILENO, &stdio->relay_stdout, why))
        return false;
    if (options->stderr_mode == OUTPUT_NULL)
        stdio->program[2] = stdio->null;
    else if (options->stderr_mode == OUTPUT_INHERIT)
        stdio->program[2] = 2;
    else if (options->stderr_mode == OUTPUT_STDOUT) {
        stdio->program[2] = stdio->program[1];
        stdio->stderr_is_stdout = true;
    } else if (options->stderr_mode == OUTPUT_RELAY &&
               !relayed(stdio, &launch->identity, STDERR_FILENO, &stdio->relay_stderr, why))
        return false;
    return true;
}

/* ---- In the new process: no memory is allocated, nothing is printed. ---- */

static bool opened(struct stdio *stdio, int fd, const char *path, int flags, mode_t mode)
{
    return (stdio->program[fd] = open(path, flags | O_NOCTTY | O_CLOEXEC, mode)) >= 0;
}

/* What is typed on the terminal comes from our own. */
static int stdin_of(const struct stdio *stdio, const struct options *options)
{
    bool is_typed = options->pty && (options->stdin_mode == STDIN_AUTO || options->stdin_mode == STDIN_INHERIT);

    return is_typed ? STDIN_FILENO : stdio->program[STDIN_FILENO];
}

/* It would be emptied before the program reads it. */
static bool is_stdin(const struct stdio *stdio, const struct options *options, const char *path)
{
    struct stat in;
    struct stat out;

    return fstat(stdin_of(stdio, options), &in) == 0 && S_ISREG(in.st_mode) && stat(path, &out) == 0 &&
           in.st_dev == out.st_dev && in.st_ino == out.st_ino;
}

static bool opened_output(struct stdio *stdio, const struct options *options, int fd, const struct output_file *file)
{
    if (!file->append && is_stdin(stdio, options, file->path)) {
        errno = STDIO_IS_STDIN;
        return false;
    }
    return opened(stdio, fd, file->path, O_WRONLY | O_CREAT | (file->append ? O_APPEND : O_TRUNC), file->mode);
}

/* Here, and not where stdio_open() is, for a FIFO waits for its other end, and a file server may be dead. */
RARE static bool open_files(struct stdio *stdio, const struct options *options, enum stage *stage)
{
    *stage = STAGE_STDIN;
    if (options->stdin_mode == STDIN_FILE && !opened(stdio, STDIN_FILENO, options->stdin_file, O_RDONLY, 0))
        return false;
    *stage = STAGE_STDOUT;
    if (options->stdout_mode == OUTPUT_FILE && !opened_output(stdio, options, STDOUT_FILENO, &options->stdout_file))
        return false;
    if (stdio->stderr_is_stdout)
        stdio->program[2] = stdio->program[1];
    *stage = STAGE_STDERR;
    return options->stderr_mode != OUTPUT_FILE || opened_output(stdio, options, STDERR_FILENO, &options->stderr_file);
}

bool stdio_install(struct stdio *stdio, const struct options *options, enum stage *stage)
{
    /* 2 before 1: stderr may go to our own stdout, which 1 is until it is replaced. */
    static const int order[] = {2, 1, 0};

    if (stdio->terminal >= 0) {
        *stage = STAGE_TERMINAL;
        if (!pty_control(stdio->terminal))
            return false;
    }
    if ((options->stdin_mode == STDIN_FILE || options->stdout_mode == OUTPUT_FILE ||
         options->stderr_mode == OUTPUT_FILE) &&
        !open_files(stdio, options, stage))
        return false;
    *stage = STAGE_SPAWN;
    for (int i = 0; i < 3; i++) {
        int fd = order[i];

        if (stdio->program[fd] != fd && dup2(stdio->program[fd], fd) < 0)
            return false;
    }
    return true;
}
