/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A small vsnprintf(3): with the C library's, which brings floating point and wide characters, the text of the helper
 * would be a third larger, and each of its processes holds the text. Pure. The size is 1 at least. Knows %s, %.*s,
 * %c, %d, %u, %ld, %lu, %02x and %%; what is cut off is cut off, and the end is always a NUL.
 */
#ifndef MUONTRAP_FORMAT_H
#define MUONTRAP_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

void format_list(char *text, size_t size, const char *format, va_list args);
void format(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
