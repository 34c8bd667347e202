/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Files in memory, for parsers that open what they read by its path. All of the program's calls of open(2), openat(2)
 * and read(2) come here (--wrap of ld(1)).
 */
#ifndef MUONTRAP_FUZZ_FILES_H
#define MUONTRAP_FUZZ_FILES_H

#include <stdbool.h>
#include <stddef.h>

#define FILES_MOST 8u

/* From now on that path has these bytes, of which a read gives `piece` at most (0: no limit). The path and the bytes
 * have to stay. */
void files_give(const char *path, const void *bytes, size_t size, size_t piece);

/* Takes all of them back. True when every descriptor that has been opened of them was closed. */
bool files_take_back(void);

#endif
