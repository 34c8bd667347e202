/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Signals by their names. Pure.
 */
#ifndef MUONTRAP_SIGNAL_NAME_H
#define MUONTRAP_SIGNAL_NAME_H

#include <stddef.h>

/* The signal that the first `size` bytes of the text name: as of kill(1), in either case, with or without SIG, or its
 * number. -1 when they name none. */
int signal_by_name(const char *text, size_t size);

/* Its name without SIG; NULL for one that has none, such as a real-time signal. */
const char *signal_name(int signal);

#endif
