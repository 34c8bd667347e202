/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The other half of guest.c: a library that QEMU loads (LD_PRELOAD).
 */
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int prctl(int option, ...)
{
    va_list rest;
    unsigned long arguments[4];

    va_start(rest, option);
    for (int i = 0; i < 4; i++)
        arguments[i] = va_arg(rest, unsigned long);
    va_end(rest);
    return (int)syscall(SYS_prctl, option == PR_SET_IO_FLUSHER ? PR_SET_CHILD_SUBREAPER : option, arguments[0],
                        arguments[1], arguments[2], arguments[3]);
}
