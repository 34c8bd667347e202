/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * POSIX alone, but for flock(2), which all have: containment is by process group, and a descendant that leaves the
 * group leaves the containment.
 */
#define _GNU_SOURCE     /* POLLRDHUP, where there is one */
#define _DEFAULT_SOURCE /* setgroups(2), which is not in POSIX, but in each of its systems */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/platform.h"

/* There may be more, but a shell or a VM opens the lowest free ones. */
#define CLOSE_MOST 4096

static long open_most(void)
{
    long most = sysconf(_SC_OPEN_MAX);

    return most < 0 || most > CLOSE_MOST ? CLOSE_MOST : most;
}

void platform_close_all(void)
{
    for (int fd = 3; fd < open_most(); fd++)
        (void)close(fd);
}

void platform_close_inherited(void)
{
    for (int fd = 3; fd < open_most(); fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
            (void)close(fd);
    }
}

bool platform_adopt_orphans(struct failure *why)
{
    (void)why;
    return true;
}

bool platform_die_with_parent(pid_t parent)
{
    return getppid() == parent;
}

const bool platform_has_children = false;

int platform_children_open(struct failure *why)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        failed(why, STAGE_SETUP, errno, "cannot open /dev/null");
    return fd;
}

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

int platform_reap(pid_t child, struct platform_usage *usage)
{
    struct rusage used;
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (getrusage(RUSAGE_CHILDREN, &used) == 0)
        *usage = (struct platform_usage){.user_us = microseconds(used.ru_utime),
                                         .system_us = microseconds(used.ru_stime),
                                         .peak_bytes = (uint64_t)used.ru_maxrss * 1024u};
    return status;
}

void platform_forget_start(void)
{
}

void platform_forget(void *memory, size_t size)
{
    (void)memory;
    (void)size;
}

void platform_name_self(const char *name)
{
    (void)name;
}

bool platform_pids(int fd, void (*visit)(pid_t pid, void *context), void *context)
{
    (void)fd;
    (void)visit;
    (void)context;
    return false;
}

bool platform_processes(void (*visit)(pid_t pid, void *context), void *context)
{
    (void)visit;
    (void)context;
    return false;
}

pid_t platform_parent(pid_t pid)
{
    (void)pid;
    return 0;
}

int platform_process_open(pid_t pid)
{
    (void)pid;
    errno = ENOSYS;
    return -1;
}

bool platform_process_ended(int process)
{
    (void)process;
    return true;
}

int platform_process_signal(int process, int signal)
{
    (void)process;
    (void)signal;
    errno = ENOSYS;
    return -1;
}

enum platform_kind platform_kind(pid_t pid)
{
    (void)pid;
    return PLATFORM_ORDINARY;
}

bool platform_name(pid_t pid, char name[PLATFORM_NAME_MOST])
{
    (void)pid;
    name[0] = '\0';
    return false;
}

bool platform_lock(int fd, bool wait)
{
    return flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) == 0;
}

void platform_unlock(int fd)
{
    (void)flock(fd, LOCK_UN);
}

void platform_lock_holders(int fd, void (*visit)(pid_t pid, void *context), void *context)
{
    (void)fd;
    (void)visit;
    (void)context;
}

int platform_leave_keyring(void)
{
    return 0;
}

int platform_setgroups(size_t count, const gid_t *groups)
{
    return setgroups(count, groups);
}

int platform_setgid(gid_t gid)
{
    return setgid(gid);
}

int platform_setuid(uid_t uid)
{
    return setuid(uid);
}

bool platform_has_capability(enum capability capability)
{
    (void)capability;
    return geteuid() == 0;
}

int platform_drop_capabilities(void)
{
    return 0;
}

bool platform_may_exceed_caller(void)
{
    return getuid() != geteuid() || getgid() != getegid();
}

bool platform_reserve_capabilities(void)
{
    return true;
}

bool platform_has_reserve(void)
{
    return false;
}

void platform_use_reserve(bool in_effect)
{
    (void)in_effect;
}

void platform_kill_by_reserve(bool kills)
{
    (void)kills;
}

void platform_give_up_reserve(void)
{
}

int platform_kill(pid_t to, int signal)
{
    return kill(to, signal);
}

int platform_signal_descendant(int process, int signal)
{
    return platform_process_signal(process, signal);
}

ssize_t platform_move(int from, int to, size_t size)
{
    (void)from;
    (void)to;
    (void)size;
    errno = ENOSYS;
    return -1;
}

bool platform_resize_pipe(int fd, uint32_t size)
{
    (void)fd;
    (void)size;
    return false;
}

unsigned platform_pipe_bytes_most(void)
{
    return 0;
}

int platform_take_name(const char *name)
{
    (void)name;
    return -1;
}

ssize_t platform_read_now(int fd, void *buffer, size_t size)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    if (poll(&ready, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return read(fd, buffer, size);
}

/* Of a terminal alone, which has a name. */
int platform_open_again(int fd, int flags)
{
    char name[256] = "";

    return ttyname_r(fd, name, sizeof name) == 0 ? open(name, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
}

int platform_open_terminal(int master)
{
    const char *name = ptsname(master);

    return name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
}

void platform_default_signal(int signal)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(signal, &action, NULL);
}

void platform_block_signals(void)
{
    sigset_t all;

    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
}

void platform_share_handler(int signal, int other)
{
    struct sigaction action;

    if (sigaction(other, NULL, &action) == 0)
        (void)sigaction(signal, &action, NULL);
}

/* POSIX, <signal.h>: SI_USER is kill(2)'s code and SI_QUEUE sigqueue(3)'s; Linux has negative ones for its further
 * calls. What else there is comes from the system. */
bool platform_signal_from_terminal(const siginfo_t *info)
{
    return info->si_code != SI_USER && info->si_code != SI_QUEUE && info->si_code >= 0;
}

bool platform_signal_from_process(const siginfo_t *info)
{
    return !platform_signal_from_terminal(info);
}

void platform_continue(pid_t pid)
{
    (void)kill(pid, SIGCONT);
}

bool platform_continue_at_end(int fd)
{
    (void)fd;
    return true;
}

#ifdef POLLRDHUP
const short platform_poll_shut = POLLRDHUP;
#else
const short platform_poll_shut = 0;
#endif

bool platform_is_like_child_of(pid_t parent, pid_t owner)
{
    (void)parent;
    (void)owner;
    return false;
}

void platform_be_prompt(pid_t pid)
{
    (void)setpriority(PRIO_PROCESS, (id_t)pid, -20);
}

void platform_hurry(pid_t pid)
{
    (void)pid;
}

void platform_calm(void)
{
}

bool platform_stay_on(const struct platform_cpus *cpus)
{
    (void)cpus;
    errno = ENOSYS;
    return false;
}

void platform_nice_session(int nice)
{
    (void)nice;
}

bool platform_adjust_oom_score(int adjustment)
{
    (void)adjustment;
    errno = ENOSYS;
    return false;
}

bool platform_no_new_privileges(void)
{
    errno = ENOSYS;
    return false;
}
