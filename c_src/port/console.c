/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _XOPEN_SOURCE 700
#include "port/console.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/platform.h"
#include "base/terminal_modes.h"

void console_note(struct console *console)
{
    console->is_terminal = tcgetattr(STDIN_FILENO, &console->modes) == 0;
    (void)console_measure(console);
}

bool console_measure(struct console *console)
{
    struct window_size size;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (!pty_size(fd, &size))
            continue;
        console->size = size;
        console->has_size = true;
        return true;
    }
    return false;
}

/* POSIX, Base Definitions, 11.1.4, keeps background processes from their controlling terminal alone. One that isn't
 * ours has no foreground for us: tcgetpgrp(3p) fails then. */
bool console_is_ours(const struct console *console)
{
    int error = errno;
    pid_t foreground = console->is_terminal ? tcgetpgrp(STDIN_FILENO) : -1;

    errno = error;
    return foreground < 0 || foreground == getpgrp();
}

/* At once: output that nobody lets through must not hold us up. */
static void set_modes(const struct console *console, const struct termios *modes)
{
    if (console->is_terminal && console_is_ours(console))
        (void)tcsetattr(STDIN_FILENO, TCSANOW, modes);
}

void console_make_raw(const struct console *console)
{
    struct termios raw = console->modes;

    terminal_modes_make_raw(&raw);
    set_modes(console, &raw);
}

void console_restore(const struct console *console)
{
    set_modes(console, &console->modes);
}

/* O_NONBLOCK belongs to the open file description, which we share with whoever has started us. */
static int open_again(int fd, int flags)
{
    struct stat found;
    int again = -1;

    if (fstat(fd, &found) == 0 && (S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode)))
        again = platform_open_again(fd, flags);
    return again >= 0 ? again : fd;
}

int console_input(void)
{
    return open_again(STDIN_FILENO, O_RDONLY);
}

int console_output(void)
{
    return open_again(STDOUT_FILENO, O_WRONLY);
}

/* How much can be written without waiting when poll(2) has said that there is room: PIPE_BUF bytes to a pipe (pipe(7)),
 * and of a terminal it can only be said of one. */
static size_t writable(mode_t mode, size_t size)
{
    size_t most = S_ISFIFO(mode) ? PIPE_BUF : 1;

    return S_ISREG(mode) || size < most ? size : most;
}

ssize_t console_write(int fd, const void *bytes, size_t size)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    struct stat found = {.st_mode = 0};
    ssize_t sent;

    if (fd != STDOUT_FILENO)
        return write(fd, bytes, size);
    sent = send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0 || errno != ENOTSOCK)
        return sent;
    if (poll(&ready, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    (void)fstat(fd, &found);
    return write(fd, bytes, writable(found.st_mode, size));
}

/* A file that isn't in memory yet is one that would block, and that no poll(2) waits for. */
ssize_t console_read(const struct console *console, void *buffer, size_t size)
{
    ssize_t result = platform_read_now(console->input, buffer, size);
    struct stat found;

    if (result < 0 && errno == EAGAIN && fstat(console->input, &found) == 0 && S_ISREG(found.st_mode))
        result = read(console->input, buffer, size);
    return result;
}
