/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Reads user and group ids from text. Pure.
 */
#ifndef MUONTRAP_NUMBER_H
#define MUONTRAP_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the first `size` bytes of the text are a decimal number that an id can have. 4294967295 is none, because to
 * the system calls this id, (uid_t)-1, means that the id is not to be changed. */
bool number_id(const char *text, size_t size, unsigned long *id);

#endif
