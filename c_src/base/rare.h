/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * RARE marks a function that most launches never run. The compiler puts it apart from the others, and cold.ld keeps it
 * out of the pages that every launch touches.
 */
#ifndef MUONTRAP_RARE_H
#define MUONTRAP_RARE_H

#define RARE __attribute__((cold, noinline))

#endif
