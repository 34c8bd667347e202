/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A small vsnprintf(3). The C library's would make the helper's code a third larger, for it brings floating point and
 * wide characters, and each of the two processes holds that code in memory. Pure. Knows %s, %.*s, %c, %d, %u, %ld,
 * %lu, %02x and %%. Text that doesn't fit is cut off, and a NUL always ends it. Assumes that the size is at least 1.
 */
#ifndef MUONTRAP_FORMAT_H
#define MUONTRAP_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

void format_list(char *text, size_t size, const char *format, va_list args);
void format(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
