/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <termios.h>

/* ---- The calls ---- */

static const struct name names[] = {
#ifdef SYS_arch_prctl
    {SYS_arch_prctl, "arch_prctl", DETAIL_NONE, 0},
#endif
#ifdef SYS_open /* newer machines have only those of which the name ends in -at */
    {SYS_open, "open", DETAIL_PATH, 0},
    {SYS_stat, "stat", DETAIL_PATH, 0},
    {SYS_readlink, "readlink", DETAIL_PATH, 0},
    {SYS_access, "access", DETAIL_PATH, 0},
    {SYS_mkdir, "mkdir", DETAIL_PATH, 0},
    {SYS_rmdir, "rmdir", DETAIL_PATH, 0},
    {SYS_unlink, "unlink", DETAIL_PATH, 0},
    {SYS_pipe, "pipe", DETAIL_NONE, 0},
    {SYS_dup2, "dup2", DETAIL_NONE, 0},
    {SYS_poll, "poll", DETAIL_POLL, 0},
    {SYS_fork, "fork", DETAIL_NONE, 0},
    {SYS_vfork, "vfork", DETAIL_NONE, 0},
    {SYS_getpgrp, "getpgrp", DETAIL_NONE, 0},
#endif
    {SYS_brk, "brk", DETAIL_NONE, 0},
    {SYS_capget, "capget", DETAIL_NONE, 0},
    {SYS_capset, "capset", DETAIL_NONE, 0},
    {SYS_chdir, "chdir", DETAIL_PATH, 0},
    {SYS_clone, "clone", DETAIL_NONE, 0},
    {SYS_clone3, "clone3", DETAIL_NONE, 0},
    {SYS_close, "close", DETAIL_FILE, 0},
    {SYS_close_range, "close_range", DETAIL_NONE, 0},
    {SYS_dup3, "dup3", DETAIL_NONE, 0},
    {SYS_execve, "execve", DETAIL_PATH, 0},
    {SYS_exit, "exit", DETAIL_NONE, 0},
    {SYS_exit_group, "exit_group", DETAIL_NONE, 0},
    {SYS_faccessat, "faccessat", DETAIL_PATH_AT, 0},
    {SYS_fchmod, "fchmod", DETAIL_FILE, 0},
    {SYS_fchmodat, "fchmodat", DETAIL_PATH_AT, 0},
    {SYS_fchown, "fchown", DETAIL_FILE, 0},
    {SYS_fcntl, "fcntl", DETAIL_VALUE, 1},
    {SYS_flock, "flock", DETAIL_VALUE, 1},
    {SYS_fstat, "fstat", DETAIL_FILE, 0},
    {SYS_getcwd, "getcwd", DETAIL_NONE, 0},
    {SYS_getdents64, "getdents64", DETAIL_FILE, 0},
    {SYS_getegid, "getegid", DETAIL_NONE, 0},
    {SYS_geteuid, "geteuid", DETAIL_NONE, 0},
    {SYS_getgid, "getgid", DETAIL_NONE, 0},
    {SYS_getgroups, "getgroups", DETAIL_NONE, 0},
    {SYS_getpgid, "getpgid", DETAIL_NONE, 0},
    {SYS_getpid, "getpid", DETAIL_NONE, 0},
    {SYS_getppid, "getppid", DETAIL_NONE, 0},
    {SYS_getpriority, "getpriority", DETAIL_NONE, 0},
    {SYS_getresgid, "getresgid", DETAIL_NONE, 0},
    {SYS_getresuid, "getresuid", DETAIL_NONE, 0},
    {SYS_getsid, "getsid", DETAIL_NONE, 0},
    {SYS_gettid, "gettid", DETAIL_NONE, 0},
    {SYS_getuid, "getuid", DETAIL_NONE, 0},
    {SYS_getxattr, "getxattr", DETAIL_PATH, 0},
    {SYS_fgetxattr, "fgetxattr", DETAIL_FILE, 0},
    {SYS_ioctl, "ioctl", DETAIL_VALUE, 1},
    {SYS_ioprio_get, "ioprio_get", DETAIL_NONE, 0},
    {SYS_keyctl, "keyctl", DETAIL_NONE, 0},
    {SYS_kill, "kill", DETAIL_KILL, 0},
    {SYS_lseek, "lseek", DETAIL_FILE, 0},
    {SYS_madvise, "madvise", DETAIL_NONE, 0},
    {SYS_mkdirat, "mkdirat", DETAIL_PATH_AT, 0},
    {SYS_mmap, "mmap", DETAIL_NONE, 0},
    {SYS_mprotect, "mprotect", DETAIL_NONE, 0},
    {SYS_munmap, "munmap", DETAIL_NONE, 0},
    {SYS_newfstatat, "newfstatat", DETAIL_PATH_AT, 0},
    {SYS_openat, "openat", DETAIL_PATH_AT, 0},
    {SYS_pidfd_open, "pidfd_open", DETAIL_NONE, 0},
    {SYS_pidfd_send_signal, "pidfd_send_signal", DETAIL_VALUE, 1},
    {SYS_pipe2, "pipe2", DETAIL_NONE, 0},
    {SYS_ppoll, "poll", DETAIL_NONE, 0},
    {SYS_prctl, "prctl", DETAIL_VALUE, 0},
    {SYS_preadv2, "preadv2", DETAIL_FILE, 0},
    {SYS_prlimit64, "prlimit64", DETAIL_NONE, 0},
    {SYS_read, "read", DETAIL_TRANSFER, 0},
    {SYS_readlinkat, "readlinkat", DETAIL_PATH_AT, 0},
    {SYS_readv, "readv", DETAIL_FILE, 0},
    {SYS_recvfrom, "recvfrom", DETAIL_NONE, 0},
    {SYS_restart_syscall, "restart_syscall", DETAIL_NONE, 0},
    {SYS_rt_sigaction, "rt_sigaction", DETAIL_NONE, 0},
    {SYS_rt_sigpending, "rt_sigpending", DETAIL_NONE, 0},
    {SYS_rt_sigprocmask, "rt_sigprocmask", DETAIL_NONE, 0},
    {SYS_rt_sigreturn, "rt_sigreturn", DETAIL_NONE, 0},
    {SYS_sched_getaffinity, "sched_getaffinity", DETAIL_NONE, 0},
    {SYS_sched_getattr, "sched_getattr", DETAIL_NONE, 0},
    {SYS_sched_getparam, "sched_getparam", DETAIL_NONE, 0},
    {SYS_sched_getscheduler, "sched_getscheduler", DETAIL_NONE, 0},
    {SYS_sched_setaffinity, "sched_setaffinity", DETAIL_NONE, 0},
    {SYS_sched_setattr, "sched_setattr", DETAIL_NONE, 0},
    {SYS_sched_setscheduler, "sched_setscheduler", DETAIL_NONE, 0},
    {SYS_sched_yield, "sched_yield", DETAIL_NONE, 0},
    {SYS_sendto, "sendto", DETAIL_NONE, 0},
    {SYS_set_tid_address, "set_tid_address", DETAIL_NONE, 0},
    {SYS_setgroups, "setgroups", DETAIL_NONE, 0},
    {SYS_setpgid, "setpgid", DETAIL_NONE, 0},
    {SYS_setpriority, "setpriority", DETAIL_NONE, 0},
    {SYS_setresgid, "setresgid", DETAIL_NONE, 0},
    {SYS_setresuid, "setresuid", DETAIL_NONE, 0},
    {SYS_setsid, "setsid", DETAIL_NONE, 0},
    {SYS_socket, "socket", DETAIL_NONE, 0},
    {SYS_bind, "bind", DETAIL_NONE, 0},
    {SYS_socketpair, "socketpair", DETAIL_NONE, 0},
    {SYS_splice, "splice", DETAIL_NONE, 0},
    {SYS_statfs, "statfs", DETAIL_PATH, 0},
    {SYS_tgkill, "tgkill", DETAIL_NONE, 0},
    {SYS_umask, "umask", DETAIL_NONE, 0},
    {SYS_unlinkat, "unlinkat", DETAIL_PATH_AT, 0},
    {SYS_wait4, "wait4", DETAIL_WAIT, 2},
    {SYS_waitid, "waitid", DETAIL_WAIT, 3},
    {SYS_write, "write", DETAIL_TRANSFER, 0},
    {SYS_writev, "writev", DETAIL_FILE, 0},
};

const struct name *name_of_call(long number)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].number == number)
            return &names[i];
    return NULL;
}

#define VALUE(call, value)                                                                                             \
    {                                                                                                                  \
        call, (long)(value), #value                                                                                    \
    }

static const struct {
    long call;
    long value;
    const char *text;
} values[] = {
    VALUE(SYS_fcntl, F_GETFD),
    VALUE(SYS_fcntl, F_SETFD),
    VALUE(SYS_fcntl, F_GETFL),
    VALUE(SYS_fcntl, F_SETFL),
    VALUE(SYS_fcntl, F_SETOWN),
    VALUE(SYS_fcntl, F_SETPIPE_SZ),
    VALUE(SYS_fcntl, F_DUPFD_CLOEXEC),
    VALUE(SYS_fcntl, F_SETSIG),
    VALUE(SYS_flock, 1),
    VALUE(SYS_flock, 2),
    VALUE(SYS_flock, 5),
    VALUE(SYS_flock, 6),
    VALUE(SYS_flock, 8),
    VALUE(SYS_ioctl, FIONREAD),
    VALUE(SYS_ioctl, TCGETS),
    VALUE(SYS_ioctl, TCSETS),
    VALUE(SYS_ioctl, TIOCGPTN),
    VALUE(SYS_ioctl, TIOCGPTPEER),
    VALUE(SYS_ioctl, TIOCGWINSZ),
    VALUE(SYS_ioctl, TIOCSCTTY),
    VALUE(SYS_ioctl, TIOCSPTLCK),
    VALUE(SYS_ioctl, TIOCSWINSZ),
    VALUE(SYS_ioctl, TIOCGPGRP),
    VALUE(SYS_pidfd_send_signal, 0),
    VALUE(SYS_pidfd_send_signal, 9),
    VALUE(SYS_pidfd_send_signal, 15),
    VALUE(SYS_pidfd_send_signal, 18),
    VALUE(SYS_prctl, PR_SET_CHILD_SUBREAPER),
    VALUE(SYS_prctl, PR_SET_NAME),
    VALUE(SYS_prctl, PR_SET_PDEATHSIG),
    VALUE(SYS_prctl, PR_GET_DUMPABLE),
    VALUE(SYS_prctl, PR_SET_DUMPABLE),
    VALUE(SYS_prctl, PR_SET_NO_NEW_PRIVS),
};

const char *name_of_value(long call, long value)
{
    static char number[24];

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (values[i].call == call && values[i].value == value)
            return values[i].text;
    (void)snprintf(number, sizeof number, "%ld", value);
    return number;
}

/* ---- How each is made to fail ---- */

#define NEVER_FAILS "by its manual page it can't fail"
#define WRONG_ARGUMENTS "it fails only for arguments that are wrong, and they are always the same"
#define C_LIBRARY "the C library's own, before main()"

static const struct row rows[] = {
    {.pattern = "*:getpid", .excuse = NEVER_FAILS},
    {.pattern = "*:getppid", .excuse = NEVER_FAILS},
    {.pattern = "*:gettid", .excuse = NEVER_FAILS},
    {.pattern = "*:get*uid", .excuse = NEVER_FAILS},
    {.pattern = "*:get*gid", .excuse = NEVER_FAILS},
    {.pattern = "*:getpgrp", .excuse = NEVER_FAILS},
    {.pattern = "*:umask", .excuse = NEVER_FAILS},
    {.pattern = "*:exit*", .excuse = NEVER_FAILS},
    {.pattern = "*:rt_sigreturn", .excuse = NEVER_FAILS},
    {.pattern = "*:sched_yield", .excuse = NEVER_FAILS},
    {.pattern = "*:set_tid_address", .excuse = NEVER_FAILS},
    {.pattern = "*:arch_prctl", .excuse = C_LIBRARY},
    {.pattern = "*:rt_sigaction", .excuse = WRONG_ARGUMENTS},
    {.pattern = "*:rt_sigpending", .excuse = WRONG_ARGUMENTS},
    {.pattern = "*:rt_sigprocmask", .excuse = WRONG_ARGUMENTS},
    {.pattern = "*:fcntl(F_GETFD)",
     .excuse = "it fails only for a descriptor that isn't open, and is called to find out which are"},
    {.pattern = "*:fcntl(F_SETFD)", .errors = {EBADF}},
    {.pattern = "*:fcntl(F_GETFL)", .errors = {EBADF}},
    {.pattern = "*:fcntl(F_SETFL)", .errors = {EPERM, EBADF}},
    {.pattern = "*:fcntl(F_SETOWN)", .errors = {EINVAL}},
    {.pattern = "*:fcntl(F_SETSIG)", .errors = {EINVAL}},
    {.pattern = "*:fcntl(F_SETPIPE_SZ)", .errors = {EPERM, EBUSY, ENOMEM}},
    {.pattern = "*:fcntl(F_DUPFD_CLOEXEC)", .errors = {EMFILE}},
    {.pattern = "*:close(*)", .errors = {EIO, EINTR, ENOSPC, EDQUOT}, .performed = true},
    {.pattern = "*:close_range", .errors = {ENOSYS, EPERM, ENOMEM, EMFILE}},
    {.pattern = "*:mmap", .errors = {ENOMEM, EAGAIN, EPERM, ENFILE}},
    {.pattern = "*:munmap", .errors = {EINVAL, ENOMEM}},
    {.pattern = "*:madvise", .errors = {EAGAIN, EBADF, EINVAL, EIO, EPERM}},
    {.pattern = "*:socketpair", .errors = {EMFILE, ENFILE, EAFNOSUPPORT, EOPNOTSUPP, EPROTONOSUPPORT, ENOMEM}},
    {.pattern = "*:socket", .errors = {EMFILE, ENFILE, EACCES, EAFNOSUPPORT, ENOBUFS, ENOMEM}},
    {.pattern = "*:bind", .errors = {EADDRINUSE, EACCES, ENOMEM}},
    {.pattern = "*:pipe", .errors = {EMFILE, ENFILE}},
    {.pattern = "*:dup2", .errors = {EMFILE, EBUSY, EINTR, EBADF}},
    {.pattern = "*:fork", .errors = {EAGAIN, ENOMEM, ENOSYS}},
    {.pattern = "*:clone", .errors = {EAGAIN, ENOMEM, ENOSYS}},
    {.pattern = "*:clone3",
     .errors = {ENOSYS, EAGAIN, ENOMEM, EPERM, EINVAL, E2BIG, EACCES, EBUSY, EOPNOTSUPP, ENOSPC, EEXIST}},
    {.pattern = "*:execve(*)",
     .errors = {EACCES, ENOENT, E2BIG, ENOMEM, EAGAIN, EINVAL, EIO, EISDIR, ELIBBAD, ELOOP, EMFILE, ENFILE, ENOEXEC,
                ENOTDIR, EPERM, ETXTBSY}},
    {.pattern = "*:open*(*)",
     .errors = {EMFILE, EACCES, ENOENT, ENFILE, ENOMEM, EINTR, ELOOP, ENODEV, ENOTDIR, ENXIO, EPERM, EROFS, EOVERFLOW,
                ENOSPC, EBUSY}},
    {.pattern = "*:*stat*(*)", .errors = {ENOENT, EACCES, ENOMEM, ELOOP, ENOTDIR, EOVERFLOW, EIO, ENOSYS}},
    {.pattern = "*:readlink*(*)", .errors = {ENOENT, EACCES, EIO, EINVAL, ELOOP, ENOMEM, ENOTDIR}},
    {.pattern = "*:faccessat(*)", .errors = {EACCES, ENOENT, EIO, ELOOP, ENOMEM, ENOTDIR, EROFS}},
    {.pattern = "*:mkdirat(*)",
     .errors = {EACCES, EEXIST, ENOSPC, EDQUOT, ELOOP, EMLINK, ENOENT, ENOMEM, ENOTDIR, EPERM, EROFS, EAGAIN}},
    {.pattern = "*:unlinkat(*)", .errors = {EBUSY, EACCES, EIO, ENOENT, ENOMEM, ENOTEMPTY, EPERM, EROFS}},
    {.pattern = "*:fchmod*(*)", .errors = {EPERM, EIO, ENOENT, ENOMEM, EROFS}},
    {.pattern = "*:fchown(*)", .errors = {EPERM, EIO, EROFS}},
    {.pattern = "*:*getxattr(*)", .errors = {ENODATA, ENOTSUP, ERANGE, EACCES, EPERM}},
    {.pattern = "*:chdir(*)", .errors = {EACCES, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR}},
    {.pattern = "*:lseek(*)", .errors = {ESPIPE, EINVAL, ENXIO}},
    {.pattern = "*:getdents64(*)", .errors = {ENOENT, EINVAL, ENOTDIR}},
    {.pattern = "*:flock(2)", .errors = {ENOLCK, EINTR, EBADF}},
    {.pattern = "*:flock(*)", .errors = {ENOLCK, EWOULDBLOCK, EBADF}},
    {.pattern = "*:ioctl(FIONREAD)", .errors = {EINVAL, ENOTTY}},
    {.pattern = "*:ioctl(TIOCGPTPEER)", .errors = {ENOTTY, EINVAL, EIO, EMFILE, ENOMEM}},
    {.pattern = "*:ioctl(*)", .errors = {EINVAL, ENOTTY, EIO, EPERM}},
    {.pattern = "*:read(notes)", .errors = {EAGAIN, EINTR, EIO}},
    {.pattern = "*:read(*)", .errors = {EINTR, EIO, EAGAIN, EINVAL}},
    {.pattern = "*:preadv2(stdin)", .errors = {EOPNOTSUPP, EINTR, EAGAIN, EIO, ENOSYS, ENOMEM}},
    {.pattern = "*:readv(*)", .errors = {EINTR, EIO, EAGAIN}},
    {.pattern = "*:write(notes)",
     .excuse = "a pipe takes a byte without waiting unless it is full, and then it can be "
               "read already, which is all that the byte is for"},
    {.pattern = "*:write(stdout)", .errors = {EAGAIN, EINTR}, .gone = {EPIPE, EIO, ENOSPC}},
    {.pattern = "*:write(pipe)", .errors = {EINTR, EAGAIN, EPIPE}},
    {.pattern = "*:write(*)",
     .errors = {ENOSPC, EIO, EINTR, EAGAIN, EDQUOT, EFBIG, EINVAL, EPERM, EPIPE, EACCES, EBUSY, ENOMEM}},
    {.pattern = "*:splice", .errors = {EINVAL, EAGAIN, ENOMEM, EINTR, ENOSYS}, .gone = {EPIPE}},
    {.pattern = "*:sendto", .errors = {EAGAIN, ECONNRESET, EINTR, ENOBUFS, ENOMEM, EPIPE}},
    {.pattern = "*:recvfrom", .errors = {EAGAIN, EINTR, ENOMEM, ECONNREFUSED}},
    {.pattern = "*:poll(*)", .errors = {EINTR, ENOMEM, EAGAIN}},
    {.pattern = "*:poll", .errors = {EINTR, ENOMEM, EAGAIN}},
    {.pattern = "*:restart_syscall", .errors = {EINTR}}, /* a poll(2) that a signal without a handler has interrupted */
    {.pattern = "*:wait*(WNOHANG)",
     .excuse = "it doesn't wait, and so nothing interrupts it (waitpid(2)); ECHILD would "
               "be untrue"},
    {.pattern = "*:waitid(*)", .errors = {EINTR}},
    {.pattern = "*:wait4(*)", .errors = {EINTR}},
    {.pattern = "*:kill(*)", .errors = {EPERM}, .may_force = true},
    {.pattern = "*:tgkill", .errors = {EPERM, EAGAIN}},
    {.pattern = "*:pidfd_open", .errors = {EMFILE, ENFILE, ENOSYS, ENODEV, ENOMEM, ESRCH, EINVAL}},
    {.pattern = "*:pidfd_send_signal(*)", .errors = {EPERM, ENOSYS}, .may_force = true},
    {.pattern = "*:prctl(PR_SET_NAME)", .errors = {EPERM}},
    {.pattern = "*:prctl(*)", .errors = {EINVAL, EPERM, EACCES}},
    {.pattern = "*:prlimit64", .errors = {EPERM, EINVAL, ESRCH}},
    {.pattern = "*:sched_get*", .errors = {EPERM, ESRCH, EINVAL}},
    {.pattern = "*:sched_set*", .errors = {EPERM, EINVAL, ESRCH}},
    {.pattern = "*:getpriority", .errors = {ESRCH, EINVAL}},
    {.pattern = "*:setpriority", .errors = {EACCES, EPERM, ESRCH}},
    {.pattern = "*:ioprio_get", .errors = {EPERM, ESRCH}},
    {.pattern = "*:setsid", .errors = {EPERM}},
    {.pattern = "*:setpgid", .errors = {EPERM, EACCES, ESRCH}},
    {.pattern = "*:setgroups", .errors = {EPERM, ENOMEM, EINVAL}},
    {.pattern = "*:getgroups", .errors = {EINVAL, EPERM}},
    {.pattern = "*:setresgid", .errors = {EPERM, EAGAIN, EINVAL}},
    {.pattern = "*:setresuid", .errors = {EPERM, EAGAIN, EINVAL}},
    {.pattern = "*:keyctl", .errors = {EDQUOT, ENOMEM, ENOSYS, EPERM}},
    {.pattern = "*:capget", .errors = {EPERM, EINVAL}},
    {.pattern = "*:capset", .errors = {EPERM, EINVAL}},
};

const struct row *row_of_call(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (fnmatch(rows[i].pattern, name, 0) == 0)
            return &rows[i];
    return NULL;
}

const char *name_of_error(int error)
{
    const char *name = strerrorname_np(error);

    return name ? name : "?";
}
