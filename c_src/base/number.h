/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * User and group numbers as text. Pure.
 */
#ifndef MUONTRAP_NUMBER_H
#define MUONTRAP_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* A whole decimal number that is an id. (uid_t)-1 is none: the system calls take it for "leave it as it is". */
bool number_id(const char *text, size_t size, unsigned long *id);

#endif
