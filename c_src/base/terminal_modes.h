/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The modes of a terminal by the names of RFC 4254, section 8, and RFC 8160. Pure.
 */
#ifndef MUONTRAP_TERMINAL_MODES_H
#define MUONTRAP_TERMINAL_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

/* Small, because each process of each launch has room for many. */
struct terminal_mode {
    uint8_t which;
    uint8_t value; /* a flag, a character, or which speed */
};

enum terminal_mode_found {
    TERMINAL_MODE_FOUND,
    TERMINAL_MODE_UNKNOWN, /* no mode has that name */
    TERMINAL_MODE_MISSING, /* one has, but this system's terminals haven't got it */
    TERMINAL_MODE_VALUE    /* it can't have that value */
};

/* Reads NAME=VALUE, the name in either case. A character is 0 to 255, and 255 is none; a flag is 0 or 1; a speed is one
 * of those that there are, in bits per second. *values becomes words for what the mode takes. */
enum terminal_mode_found terminal_mode_read(const char *text, struct terminal_mode *mode, const char **values);

void terminal_mode_apply(const struct terminal_mode *mode, struct termios *to);

/* What a terminal's user would have, so that each key gets to the program and all that it writes gets through as it is.
 */
void terminal_modes_make_raw(struct termios *to);

#endif
