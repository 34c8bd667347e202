/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Small things about descriptors and time that more than one module needs. They set errno and report nothing.
 */
#ifndef MUONTRAP_IO_H
#define MUONTRAP_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pipe whose ends are closed on exec. */
bool io_pipe(int ends[2]);

bool io_close_on_exec(int fd);
bool io_nonblocking(int fd);

/* Closes it unless it is -1, and makes it -1. */
void io_close(int *fd);

/* The same, but leaves that one open. */
void io_close_unless(int *fd, int kept);

/* Writes all of it, waiting as long as that takes. */
bool io_write_all(int fd, const void *bytes, size_t size);

/* Reads what there is, waiting until there is something. 0 at the end, and on an error. */
size_t io_read_some(int fd, void *buffer, size_t size);

/* The monotonic clock in microseconds. */
uint64_t io_now_us(void);

/* How long poll(2) has to wait until that time, in milliseconds; for ever, -1, when it is 0. */
int io_left_ms(uint64_t deadline_us);

#endif
