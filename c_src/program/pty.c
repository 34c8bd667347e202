/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* TIOCSCTTY, TIOCSWINSZ: no part of POSIX before 2024, but of all its systems */
#include "program/pty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "options.h"

/* What the terminals that there once were had, and programs take for the size of one that doesn't say. */
#define ROWS_DEFAULT 24u
#define COLUMNS_DEFAULT 80u

static bool cannot_open(int error, struct failure *why)
{
    return failed(
        why, STAGE_PTY, error,
        "cannot open a pseudo-terminal: %s (devpts has to be mounted at /dev/pts, and /dev/ptmx to be writable; "
        "/proc/sys/kernel/pty/max says how many there may be, ulimit -n how many files)",
        strerror(error));
}

static bool set_modes(int terminal, const struct options *options, const struct termios *model, struct failure *why)
{
    struct termios modes;

    if (!model && options->pty_mode_count == 0)
        return true;
    if (model)
        modes = *model;
    else if (tcgetattr(terminal, &modes) < 0)
        return failed(why, STAGE_PTY, errno, "cannot get the modes of a pseudo-terminal: %s", strerror(errno));
    for (unsigned i = 0; i < options->pty_mode_count; i++)
        terminal_mode_apply(&options->pty_modes[i], &modes);
    if (tcsetattr(terminal, TCSANOW, &modes) < 0)
        return failed(why, STAGE_PTY, errno, "cannot set the modes of a pseudo-terminal: %s", strerror(errno));
    return true;
}

static struct window_size size_of(const struct options *options, const struct window_size *otherwise)
{
    if (options->pty_rows > 0)
        return (struct window_size){.rows = options->pty_rows, .columns = options->pty_columns};
    return otherwise ? *otherwise : (struct window_size){.rows = ROWS_DEFAULT, .columns = COLUMNS_DEFAULT};
}

bool pty_open(int *master, int *terminal, const struct options *options, const struct window_size *size,
              const struct termios *modes, struct failure *why)
{
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    if (*master < 0 || !io_close_on_exec(*master) || !io_nonblocking(*master) || grantpt(*master) < 0 ||
        unlockpt(*master) < 0)
        return cannot_open(errno, why);
    *terminal = platform_open_terminal(*master);
    if (*terminal < 0)
        return cannot_open(errno, why);
    if (!set_modes(*terminal, options, modes, why))
        return false;
    if (!pty_resize(*master, size_of(options, size)))
        return failed(why, STAGE_PTY, errno, "cannot set the size of a pseudo-terminal: %s", strerror(errno));
    return true;
}

bool pty_control(int terminal)
{
    return ioctl(terminal, TIOCSCTTY, 0) == 0;
}

bool pty_resize(int master, struct window_size size)
{
    const struct winsize window = {.ws_row = size.rows, .ws_col = size.columns};

    return ioctl(master, TIOCSWINSZ, &window) == 0;
}

bool pty_size(int terminal, struct window_size *size)
{
    struct winsize window;

    if (ioctl(terminal, TIOCGWINSZ, &window) < 0 || window.ws_row == 0 || window.ws_col == 0)
        return false;
    *size = (struct window_size){.rows = window.ws_row, .columns = window.ws_col};
    return true;
}

static bool is_character(const struct termios *modes, int which, uint8_t byte)
{
    return modes->c_cc[which] == byte && byte != _POSIX_VDISABLE;
}

/* Whether the line that is being typed is empty after that byte. */
static bool begins_line(const struct termios *modes, uint8_t last)
{
    if (last == 0 || last == '\n' || is_character(modes, VEOL, last) || is_character(modes, VEOF, last) ||
        is_character(modes, VKILL, last))
        return true;
    if (last == '\r' && (modes->c_iflag & ICRNL) != 0)
        return true;
    return (modes->c_lflag & ISIG) != 0 && (modes->c_lflag & NOFLSH) == 0 &&
           (is_character(modes, VINTR, last) || is_character(modes, VQUIT, last) || is_character(modes, VSUSP, last));
}

/* termios(3), VLNEXT: the next character is taken as it is. */
static bool quotes(const struct termios *modes, uint8_t byte)
{
#ifdef VLNEXT
    return (modes->c_lflag & IEXTEN) != 0 && is_character(modes, VLNEXT, byte);
#else
    (void)modes;
    (void)byte;
    return false;
#endif
}

/* POSIX, Base Definitions, 11.1.9: EOF passes on at once what has been typed of a line, and where that is nothing, a
 * read returns no bytes, which is the end. One too many is an end again, which harms nobody. */
size_t pty_end_of_input(int master, const uint8_t last[2], uint8_t bytes[END_OF_INPUT_MOST])
{
    struct termios modes;

    if (tcgetattr(master, &modes) < 0 || (modes.c_lflag & ICANON) == 0 || modes.c_cc[VEOF] == _POSIX_VDISABLE)
        return 0;
    memset(bytes, modes.c_cc[VEOF], END_OF_INPUT_MOST);
    if (quotes(&modes, last[1]))
        return 3;
    return begins_line(&modes, last[1]) && !quotes(&modes, last[0]) ? 1 : 2;
}
