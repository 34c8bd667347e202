/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What only some kernels have: linux.c has it all, portable.c does with POSIX what can be done with POSIX.
 * Nothing else in the helper makes a call that POSIX lacks.
 */
#ifndef MUONTRAP_PLATFORM_H
#define MUONTRAP_PLATFORM_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/failure.h"

/* Closes every descriptor from 3 up. */
void platform_close_all(void);

/* Closes those from 3 up that exec would pass on: what we open ourselves is closed by exec, so they are those that we
 * were started with. */
void platform_close_inherited(void);

/* From now on orphaned descendants become children of this process (a subreaper). False where the kernel lacks it. */
bool platform_adopt_orphans(struct failure *why);

/* In a new child: be killed when the parent dies. False when the parent has died already. */
bool platform_die_with_parent(pid_t parent);

/* Whether the children of this process can be listed, and all of its descendants sooner or later become children. */
extern const bool platform_has_children;

/* Prepares the list of children. Must be called by the process whose children they are. Returns a descriptor. */
int platform_children_open(struct failure *why);

/* Calls `visit` with each pid in a list of the kernel's, such as that of the children, dead or alive. Of children, one
 * that comes or goes meanwhile may be left out. False when it can't be read to its end. */
bool platform_pids(int fd, void (*visit)(pid_t pid, void *context), void *context);

/* Calls `visit` with each process that there is. False where there is no list of them. */
bool platform_processes(void (*visit)(pid_t pid, void *context), void *context);

/* That process's parent; 0 when there is no such process. */
pid_t platform_parent(pid_t pid);

/* A descriptor that stands for that process, and for no other one when its pid has passed to another (pidfd_open(2));
 * -1 with errno, which is ENOSYS where the system has nothing like that. It is closed by exec. */
int platform_process_open(pid_t pid);

/* Whether it has ended, reaped or not. poll(2) tells of that by POLLIN. */
bool platform_process_ended(int process);

/* As kill(2). */
int platform_process_signal(int process, int signal);

/* What a process is that isn't a program like others. */
enum platform_kind { PLATFORM_ORDINARY, PLATFORM_KERNEL_THREAD, PLATFORM_HELPER, PLATFORM_HIDDEN };

/* Whether it is a thread of the kernel's, or executes the same file as this process, or is called as a helper is, or
 * can't be looked at (proc(5), hidepid), or isn't there. */
enum platform_kind platform_kind(pid_t pid);

#define PLATFORM_NAME_MOST 16 /* bytes of a process's name, with the NUL */

/* The name by which the kernel knows that process, with ? in place of what isn't printable. False when there is no such
 * process. */
bool platform_name(pid_t pid, char name[PLATFORM_NAME_MOST]);

/* Takes the lock of that open file, which belongs to the open file description, as flock(2) does. Waits for it if told
 * to; else it fails with EWOULDBLOCK while another has it. */
bool platform_lock(int fd, bool wait);

/* Lets go of it, for all who have the same description. */
void platform_unlock(int fd);

/* Calls `visit` with each process that holds the lock of that open file, by the same description or another one, as far
 * as this user may know. */
void platform_lock_holders(int fd, void (*visit)(pid_t pid, void *context), void *context);

/* What processes have used. */
struct platform_usage {
    uint64_t user_us; /* CPU time in user mode */
    uint64_t system_us;
    uint64_t peak_bytes; /* the largest resident set of any one of them */
};

/* Waits for the end of that child, as waitpid(2) does but for EINTR, and adds what it has used, and its own children as
 * far as it has waited for them. Where the system tells that only of all children that there ever were, it is that. */
int platform_reap(pid_t child, struct platform_usage *usage);

/* The name by which the kernel knows this process from now on, as ps(1) shows it: up to 15 bytes. */
void platform_name_self(const char *name);

/* Gives back the memory of the code that was needed until now and is not while this process waits. What is needed again
 * comes back by itself. It does nothing where the code doesn't lie for that, as in a dynamic helper (cold.ld). */
void platform_forget_start(void);

/* Gives back what lies in whole pages of that memory, whose contents are lost. It does nothing where that can't be.
 * For memory of the process alone, as static memory is: what others have mapped too would be theirs still. */
void platform_forget(void *memory, size_t size);

/* What is in a directory, one name after the other. */
struct platform_listing {
    int directory;
    size_t at;         /* where the next entry begins in `bytes` */
    size_t size;       /* of what `bytes` holds */
    uint64_t inode;    /* of the name that was returned last */
    bool is_directory; /* which is a directory's */
    _Alignas(8) char bytes[1024];
};

/* Begins a listing at the first name. */
void platform_list(struct platform_listing *listing, int directory);

/* The next name, which is good until the next call. NULL when there is no more, or the directory can't be read. */
const char *platform_list_next(struct platform_listing *listing);

/* Leaves the session's keyring (keyrings(7)) to who has it, and takes an empty one, as far as there are any. -1 with
 * errno when that fails, as with EDQUOT where the user's quota of keys is used up. */
int platform_leave_keyring(void);

/* These change the credentials of the calling process, which has one thread. The C library's functions change them in
 * all threads, with machinery that a process which is about to execute a program must not use. On Linux
 * platform_setgid() and platform_setuid() set the real, the effective and the saved id, or fail; elsewhere they are
 * setgid(2) and setuid(2), which without privilege may set the effective id alone. */
int platform_setgroups(size_t count, const gid_t *groups);
int platform_setgid(gid_t gid);
int platform_setuid(uid_t uid);

/* Some of the capabilities that Linux divides root's privileges into, by their numbers (capabilities(7)). */
enum capability { CAPABILITY_KILL = 5, CAPABILITY_SETGID = 6, CAPABILITY_SETUID = 7 };

/* Whether this process has the capability, be it in effect or in reserve. A system without capabilities gives it to
 * root alone. */
bool platform_has_capability(enum capability capability);

/* Empties the process's capability sets, so that it has none and a program that it executes inherits none. The bounding
 * set, which gives nothing by itself, is left as it is. Returns 0, or -1 with errno. */
int platform_drop_capabilities(void);

/* Whether executing this program may have given the process more than its caller has: another user or group by a
 * set-user-ID file, or capabilities. */
bool platform_may_exceed_caller(void);

/* If this process has capabilities that its caller lacks, because they are its file's (setcap(8)), those of `enum
 * capability` are kept in reserve from now on, where they have no effect, and all others are given up. False with errno
 * when that fails. */
bool platform_reserve_capabilities(void);

/* Whether there are some in reserve, here or in a process that was forked. */
bool platform_has_reserve(void);

/* Puts what is in reserve into effect, or out of effect again. Without a reserve nothing changes. */
void platform_use_reserve(bool in_effect);

/* Whether CAP_KILL of the reserve is to be used from now on for what descends from this process: not while a program
 * runs as our caller does, who may not be given more than that user has. */
void platform_kill_by_reserve(bool kills);

/* Gives up what is in reserve, for good. Capabilities that the caller has as well are left as they are. */
void platform_give_up_reserve(void);

/* kill(2) of a child of this process that has not been reaped or, by the negative number, of the process group that
 * such a child leads or led. A reserve is used for it; but not for a group in this process's own session, which others
 * may have joined who don't descend from us. */
int platform_kill(pid_t to, int signal);

/* As platform_process_signal(), for one of this process's descendants: a reserve is used for it. */
int platform_signal_descendant(int process, int signal);

/* Moves up to `size` bytes from a pipe to a descriptor without copying. Like write(2); ENOSYS or EINVAL where it
 * can't. */
ssize_t platform_move(int from, int to, size_t size);

/* Gives the pipe room for that many bytes, a power of two. False where that may not be, or while more is in it. What is
 * no pipe stays as it is. */
bool platform_resize_pipe(int fd, uint32_t size);

/* How many bytes of room all pipes of an ordinary user may have together before the kernel gives new ones less; 0 where
 * pipes can't be resized in pages of 4 KB. */
unsigned platform_pipe_bytes_most(void);

/* Takes a name that one process of this machine (of this network namespace) can have at a time. Returns a descriptor
 * that it goes with, or -1. */
int platform_take_name(const char *name);

/* read(2) that fails with EAGAIN where it would block, whatever the mode of the descriptor (which others may share). */
ssize_t platform_read_now(int fd, void *buffer, size_t size);

/* Opens what that descriptor is open on a second time, without blocking, as far as this process may. */
int platform_open_again(int fd, int flags);

/* The terminal to a pseudo-terminal's master. It doesn't become this process's. */
int platform_open_terminal(int master);

/* Gives the signal its default disposition, whichever it is. */
void platform_default_signal(int signal);

/* Blocks every signal that can be blocked, also those that the C library keeps to itself. */
void platform_block_signals(void);

/* Gives the signal the handler of another one, also where the C library keeps that signal to itself. */
void platform_share_handler(int signal, int other);

/* Whether the terminal's driver has sent the signal that a handler was told of; whether a process has. */
bool platform_signal_from_terminal(const siginfo_t *info);
bool platform_signal_from_process(const siginfo_t *info);

/* Sends SIGCONT to the keeper's or the relay's only thread, so that it isn't merged with one that another process has
 * sent to the process, which can't be told from it then. Where the system can't, it may be. */
void platform_continue(pid_t pid);

/* Has the kernel continue this process, should it be stopped, when the last writer of that pipe has closed it or died.
 * Where the system can't, it does nothing. */
bool platform_continue_at_end(int fd);

/* The event by which poll(2) tells that the writing half of a socket's other end was shut; 0 where it tells that only
 * as something to read. */
extern const short platform_poll_shut;

/* Whether a child of this process would find what it would find as a child of `parent`, as far as somebody can change
 * that from outside: priorities, limits, processors, cgroup, how the OOM killer sees it; and whether both this process
 * and `owner` are in the same directory. False where it can't be told. */
bool platform_is_like_child_of(pid_t parent, pid_t owner);

/* That process, 0 for the calling one, is to get its turn soon from now on whenever it wakes, as far as we may have it
 * so. It must not fork any more, for its children would be so, too. */
void platform_be_prompt(pid_t pid);

/* And it is to run before all others, if we may have it so: it has to be faster than a fork bomb. */
void platform_hurry(pid_t pid);

/* In a new child of one that may have hurried: run as others do. */
void platform_calm(void);

/* A set of processors, a bit for each as the kernel has them: number 0 is the lowest bit of the first word. */
#define PLATFORM_CPUS_MOST 8192u /* CONFIG_NR_CPUS of Linux is that at most */
#define PLATFORM_CPUS_PER_WORD (8 * sizeof(unsigned long))
struct platform_cpus {
    unsigned long words[PLATFORM_CPUS_MOST / PLATFORM_CPUS_PER_WORD];
};

/* In a new child: run on these processors. False with EINVAL when it may not run on all of them. */
bool platform_stay_on(const struct platform_cpus *cpus);

/* In a new child that leads a session: have the session rank among others by that nice value, where the kernel compares
 * sessions. */
void platform_nice_session(int nice);

/* In a new child: how willingly the OOM killer takes it, from -1000 to 1000. */
bool platform_adjust_oom_score(int adjustment);

/* In a new child: gain no privileges by what it executes. */
bool platform_no_new_privileges(void);

#endif
