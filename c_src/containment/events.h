/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The relay's sources of events: the descriptors that it waits for, and the signals. They post events and read what has
 * come; what is to be done about it is the relay's table's to say.
 */
#ifndef MUONTRAP_EVENTS_H
#define MUONTRAP_EVENTS_H

#include "containment/relay.h"

/* Waits until something happens, or the deadline has passed, and posts it. */
void events_wait(struct relay *relay);

/* Takes the signals that have come, and posts what they mean. */
void events_read_signals(struct relay *relay);

/* From now on what comes at the terminal that we were started from is typed at the program's. */
void events_take_console(struct relay *relay);

#endif
