/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The emulated half of what makes up for a gap in qemu-user: QEMU answers PR_SET_CHILD_SUBREAPER with EINVAL, and
 * without it the helper doesn't run. Linked into the helper with -Wl,--wrap, this asks for PR_SET_IO_FLUSHER in its
 * place, which the helper doesn't use and QEMU passes on, and host.c makes of that what was meant. Everything else is
 * passed on as it is.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap___prctl_time64(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);

int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    return (int)syscall(SYS_prctl, option == PR_SET_CHILD_SUBREAPER ? PR_SET_IO_FLUSHER : option, a, b, c, d);
}

/* glibc's name of it where times have 64 bits on request. */
int __wrap___prctl_time64(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    return __wrap_prctl(option, a, b, c, d);
}
