/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "base/platform.h"
#include "base/rare.h"

/* Kernel headers are not there for every C library, so the numbers of newer calls stand here (asm-generic/unistd.h). */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

/* Calls `visit` with each number that an open descriptor may have, from 3 up. */
RARE static void each_possible_descriptor(void (*visit)(int fd))
{
    struct rlimit limit = {.rlim_cur = 0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = 3; (rlim_t)fd < limit.rlim_cur && fd < INT_MAX; fd++)
        visit(fd);
}

static void close_if_inherited(int fd)
{
    int flags = fd >= 3 ? fcntl(fd, F_GETFD) : -1;

    if (flags >= 0 && (flags & FD_CLOEXEC) == 0)
        (void)close(fd);
}

static int number_of(const char *name)
{
    int number = 0;

    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + (*name - '0');
    return number;
}

/* proc(5), /proc/pid/fd: the directory is read by number, so that closing one leaves no other one out. What isn't a
 * number counts as 0, which stays open. */
void platform_close_inherited(void)
{
    struct platform_listing listing;
    const char *name;
    int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0) {
        each_possible_descriptor(close_if_inherited);
        return;
    }
    platform_list(&listing, directory);
    while ((name = platform_list_next(&listing)))
        close_if_inherited(number_of(name));
    (void)close(directory);
}

/* Kernels before 5.9 have no close_range(2). A program that has just been executed has what it inherited only. */
void platform_close_all(void)
{
    if (syscall(SYS_close_range, 3u, UINT_MAX, 0u) < 0)
        platform_close_inherited();
}

/* prctl(2), PR_SET_CHILD_SUBREAPER: not inherited by fork(2), so each process that wants it asks for itself. */
bool platform_adopt_orphans(struct failure *why)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return failed(why, STAGE_SETUP, errno,
                      "cannot become a child subreaper, without which daemonised descendants escape: %s (Linux 3.4 has "
                      "it; elsewhere build with make PORTABLE=1)",
                      strerror(errno));
    return true;
}

/* prctl(2), PR_SET_PDEATHSIG: cleared by a change of credentials, so this comes after them. The parent may have died
 * before the call, and then the signal never comes. */
bool platform_die_with_parent(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent;
}

const bool platform_has_children = true;

/* proc(5), /proc/pid/task/tid/children (Linux 3.5, CONFIG_PROC_CHILDREN). We have one thread: its id is the
 * process's. */
int platform_children_open(struct failure *why)
{
    char self[24] = "";
    char own[24];
    int fd;

    /* proc(5): it shows the pid namespace of who mounted it. Another one's numbers would name strangers here. */
    format(own, sizeof own, "%ld", (long)getpid());
    if (readlink("/proc/self", self, sizeof self - 1) > 0 && strcmp(self, own) != 0) {
        failed(why, STAGE_SETUP, ESRCH,
               "/proc belongs to another pid namespace, so that descendants can't be found in it: mount it anew, with "
               "'mount -t proc proc /proc' or unshare --mount-proc");
        return -1;
    }
    fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        failed(why, STAGE_SETUP, errno,
               "cannot open /proc/thread-self/children, without which descendants can't be found: %s (mount /proc with "
               "'mount -t proc proc /proc'; the kernel needs CONFIG_PROC_CHILDREN)",
               strerror(errno));
    return fd;
}

/* The kernel's struct linux_dirent64 (getdents64(2)). opendir(3) would bring in malloc(3), which nothing else in the
 * helper uses. */
struct entry {
    uint64_t inode;
    int64_t offset; // cppcheck-suppress unusedStructMember
    uint16_t size;
    uint8_t type;
    char name[];
};

void platform_list(struct platform_listing *listing, int directory)
{
    listing->directory = directory;
    listing->at = listing->size = 0;
    (void)lseek(directory, 0, SEEK_SET);
}

static bool read_entries(struct platform_listing *listing)
{
    long size = syscall(SYS_getdents64, listing->directory, listing->bytes, sizeof listing->bytes);

    listing->at = 0;
    listing->size = size > 0 ? (size_t)size : 0;
    return size > 0;
}

const char *platform_list_next(struct platform_listing *listing)
{
    const struct entry *entry;

    if (listing->at == listing->size && !read_entries(listing))
        return NULL;
    entry = (const void *)(listing->bytes + listing->at);
    listing->at += entry->size;
    listing->inode = entry->inode;
    listing->is_directory = entry->type == DT_DIR;
    return entry->name;
}

bool platform_pids(int fd, void (*visit)(pid_t pid, void *context), void *context)
{
    char text[4096];
    uint64_t pid = 0;
    ssize_t size;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return false;
    while ((size = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < size; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                if (pid <= INT_MAX)
                    pid = pid * 10 + (uint64_t)(text[i] - '0');
            } else {
                if (pid > 0 && pid <= INT_MAX)
                    visit((pid_t)pid, context);
                pid = 0;
            }
        }
    }
    return size == 0;
}

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

/* wait4(2), getrusage(2): the peak is in kilobytes. */
int platform_reap(pid_t child, struct platform_usage *usage)
{
    struct rusage used;
    int status = 0;
    pid_t reaped;

    while ((reaped = wait4(child, &status, 0, &used)) < 0 && errno == EINTR)
        continue;
    if (reaped < 0)
        return status;
    usage->user_us += microseconds(used.ru_utime);
    usage->system_us += microseconds(used.ru_stime);
    if ((uint64_t)used.ru_maxrss * 1024u > usage->peak_bytes)
        usage->peak_bytes = (uint64_t)used.ru_maxrss * 1024u;
    return status;
}

/* Where the program begins, and where the code begins that is needed while we wait: from cold.ld, where it is used. */
extern const char program_start[] __attribute__((weak));
extern const char waiting_text[] __attribute__((weak));

/* madvise(2), MADV_DONTNEED: pages of a file are read from it again when they are touched, and what lies between its
 * segments is passed over (ENOMEM). The call is made from code that stays, and so without the C library's function. */
void platform_forget_start(void)
{
    if (waiting_text) // cppcheck-suppress knownConditionTrueFalse ; it is weak
        (void)syscall(SYS_madvise, program_start, (uintptr_t)waiting_text - (uintptr_t)program_start, MADV_DONTNEED);
}

RARE void platform_forget(void *memory, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t skipped = (page - (uintptr_t)memory % page) % page;

    if (skipped < size)
        (void)madvise((char *)memory + skipped, (size - skipped) / page * page, MADV_DONTNEED);
}

void platform_name_self(const char *name)
{
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}

/* On some 32-bit machines the calls of the plain names take ids of 16 bits. */
#ifdef SYS_setgroups32
#define CALL_SETGROUPS SYS_setgroups32
#define CALL_SETRESGID SYS_setresgid32
#define CALL_SETRESUID SYS_setresuid32
#else
#define CALL_SETGROUPS SYS_setgroups
#define CALL_SETRESGID SYS_setresgid
#define CALL_SETRESUID SYS_setresuid
#endif

/* A kernel may have no keyrings, and a container's filter of system calls not allow them. */
int platform_leave_keyring(void)
{
    if (syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL) >= 0 || errno == ENOSYS || errno == EPERM)
        return 0;
    return -1;
}

int platform_setgroups(size_t count, const gid_t *groups)
{
    return (int)syscall(CALL_SETGROUPS, count, groups);
}

int platform_setgid(gid_t gid)
{
    return (int)syscall(CALL_SETRESGID, gid, gid, gid);
}

int platform_setuid(uid_t uid)
{
    return (int)syscall(CALL_SETRESUID, uid, uid, uid);
}

/* capget(2) and capset(2), as version 3 of linux/capability.h has them: 64 bits a set, the lower 32 of each set
 * first. */
#define CAPABILITY_VERSION 0x20080522u

struct capability_header {
    uint32_t version; // cppcheck-suppress unusedStructMember
    int pid;          // cppcheck-suppress unusedStructMember ; 0: the calling process
};

struct capability_sets {
    uint32_t effective; // cppcheck-suppress unusedStructMember
    uint32_t permitted;
    uint32_t inheritable; // cppcheck-suppress unusedStructMember
};

static int get_capabilities(struct capability_sets sets[2])
{
    struct capability_header header = {.version = CAPABILITY_VERSION};

    return (int)syscall(SYS_capget, &header, sets);
}

/* The kernel keeps the ambient set within the permitted and the inheritable ones, so that this empties it. */
static int set_capabilities(uint32_t permitted, uint32_t effective)
{
    struct capability_header header = {.version = CAPABILITY_VERSION};
    const struct capability_sets sets[2] = {{.effective = effective, .permitted = permitted}};

    return (int)syscall(SYS_capset, &header, sets);
}

/* Where the call fails the answer is true: then the kernel will refuse what the capability is needed for. */
bool platform_has_capability(enum capability capability)
{
    struct capability_sets sets[2] = {{0}};

    return get_capabilities(sets) < 0 || (sets[0].permitted >> capability & 1u) != 0;
}

static uint32_t reserve; /* a bit for each that is in it */

int platform_drop_capabilities(void)
{
    reserve = 0;
    return set_capabilities(0, 0);
}

/* getauxval(3), AT_SECURE: for a user who isn't root it is set whenever permitted capabilities are not ambient ones as
 * well (security/commoncap.c). A security module may set it, too. */
bool platform_may_exceed_caller(void)
{
    return getauxval(AT_SECURE) != 0;
}

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_IS_SET 1
#endif

/* capabilities(7), "Transformation of capabilities during execve()": a file that has some empties the ambient set, and
 * nothing is in it that the process which executes the file has not had itself. */
RARE static bool are_of_caller(const struct capability_sets sets[2])
{
    for (unsigned i = 0; i < 64; i++)
        if ((sets[i / 32].permitted >> i % 32 & 1u) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) != 1)
            return false;
    return true;
}

RARE static bool reserve_capabilities(void)
{
    struct capability_sets sets[2] = {{0}};

    if (get_capabilities(sets) < 0)
        return false;
    if (are_of_caller(sets))
        return true;
    reserve = sets[0].permitted & (1u << CAPABILITY_KILL | 1u << CAPABILITY_SETGID | 1u << CAPABILITY_SETUID);
    return set_capabilities(reserve, 0) == 0;
}

bool platform_reserve_capabilities(void)
{
    return getuid() == 0 || !platform_may_exceed_caller() || reserve_capabilities();
}

bool platform_has_reserve(void)
{
    return reserve != 0;
}

void platform_use_reserve(bool in_effect)
{
    if (reserve != 0)
        (void)set_capabilities(reserve, in_effect ? reserve : 0);
}

static bool kills_by_reserve;

void platform_kill_by_reserve(bool kills)
{
    kills_by_reserve = kills;
}

void platform_give_up_reserve(void)
{
    if (reserve != 0)
        (void)platform_drop_capabilities();
}

RARE static int kill_with_reserve(pid_t to, int signal)
{
    pid_t session = to < -1 ? getsid(-to) : -1;
    bool is_ours = to > 0 || (session > 0 && session != getsid(0));
    int result;
    int error;

    if (is_ours)
        (void)set_capabilities(reserve, reserve & 1u << CAPABILITY_KILL);
    result = kill(to, signal);
    error = errno;
    platform_use_reserve(false);
    errno = error;
    return result;
}

int platform_kill(pid_t to, int signal)
{
    return reserve == 0 || !kills_by_reserve ? kill(to, signal) : kill_with_reserve(to, signal);
}

RARE static int signal_with_reserve(int process, int signal)
{
    int result;
    int error;

    (void)set_capabilities(reserve, reserve & 1u << CAPABILITY_KILL);
    result = platform_process_signal(process, signal);
    error = errno;
    platform_use_reserve(false);
    errno = error;
    return result;
}

int platform_signal_descendant(int process, int signal)
{
    return reserve == 0 || !kills_by_reserve ? platform_process_signal(process, signal)
                                             : signal_with_reserve(process, signal);
}

ssize_t platform_move(int from, int to, size_t size)
{
    return splice(from, NULL, to, NULL, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

bool platform_resize_pipe(int fd, uint32_t size)
{
    return fcntl(fd, F_SETPIPE_SZ, (int)size) >= 0 || errno == EBADF;
}

#define PAGE 4096
#define PIPE_PAGES_DEFAULT 16384u /* pipe(7) */
#define PIPE_PAGES_MOST (UINT_MAX / PAGE)

/* With larger pages a pipe, which has 16 of them, is as large as we would make it already. */
RARE unsigned platform_pipe_bytes_most(void)
{
    char text[24];
    uint64_t pages = 0;
    int fd = open("/proc/sys/fs/pipe-user-pages-soft", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text);

    if (fd >= 0)
        (void)close(fd);
    for (ssize_t i = 0; i < size && text[i] >= '0' && text[i] <= '9' && pages <= PIPE_PAGES_MOST; i++)
        pages = pages * 10 + (uint64_t)(text[i] - '0');
    if (pages == 0) /* not to be known, or no limit */
        pages = PIPE_PAGES_DEFAULT;
    if (pages > PIPE_PAGES_MOST)
        pages = PIPE_PAGES_MOST;
    return sysconf(_SC_PAGESIZE) == PAGE ? (unsigned)pages * PAGE : 0;
}

/* A socket's abstract name (unix(7)): no file is left of it, and the kernel takes it back when the socket is closed, as
 * it is when the process is killed. */
RARE int platform_take_name(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = strlen(name);
    int fd;

    if (size >= sizeof address.sun_path || (fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
        return -1;
    memcpy(address.sun_path + 1, name, size);
    if (bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* preadv2(2) with RWF_NOWAIT; where the kernel can't for this kind of file (pipes before 6.4), the plain call after
 * poll(2) said that there is something, which only another reader of the same pipe could have taken since. */
ssize_t platform_read_now(int fd, void *buffer, size_t size)
{
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    ssize_t result = syscall(SYS_preadv2, fd, &part, 1UL, -1L, -1L, RWF_NOWAIT);

    if (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
        result = read(fd, buffer, size);
    return result;
}

/* proc(5): a link in /proc/self/fd opens the file itself, also a pipe that has no name. */
RARE int platform_open_again(int fd, int flags)
{
    char path[sizeof "/proc/self/fd/" + 10];

    format(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* ioctl_tty(2): TIOCGPTPEER needs no name, which may be another file's in a container. From Linux 4.13 on. The name is
 * made here, because the C library's ptsname(3) would bring the whole of printf(3) with it. */
RARE int platform_open_terminal(int master)
{
    char name[sizeof "/dev/pts/" + 10];
    unsigned number;
#ifdef TIOCGPTPEER
    int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (terminal >= 0)
        return terminal;
#endif
    /* By syscall(2), for the C libraries differ in the type of the request. */
    if (syscall(SYS_ioctl, master, (unsigned long)TIOCGPTN, &number) < 0)
        return -1;
    format(name, sizeof name, "/dev/pts/%lu", (unsigned long)number);
    return open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* Not sigaction(3): the C libraries keep signals 32 and 33 to themselves, but a parent may have left them ignored,
 * as GNU make does. All zero is SIG_DFL, no flags and an empty mask, in whatever order the kernel has them
 * (sigaction(2)). */
void platform_default_signal(int signal)
{
    static const unsigned long action[8];

    (void)syscall(SYS_rt_sigaction, signal, action, NULL, (size_t)(_NSIG / 8));
}

/* sigprocmask(2): all ones is every signal, and the kernel leaves SIGKILL and SIGSTOP out. The C libraries' own
 * function leaves out more. */
void platform_block_signals(void)
{
    unsigned char all[_NSIG / 8];

    memset(all, 0xff, sizeof all);
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, all, NULL, sizeof all);
}

/* In the kernel's own form, which has more in it than sigaction(3) shows (SA_RESTORER), and fits into that buffer. */
void platform_share_handler(int signal, int other)
{
    unsigned long action[8];

    if (syscall(SYS_rt_sigaction, other, NULL, action, (size_t)(_NSIG / 8)) == 0)
        (void)syscall(SYS_rt_sigaction, signal, action, NULL, (size_t)(_NSIG / 8));
}

/* sigaction(2): SI_KERNEL is what the terminal's line discipline sends with. */
bool platform_signal_from_terminal(const siginfo_t *info)
{
    return info->si_code == SI_KERNEL;
}

/* sigaction(2): the codes of signals that a process has sent are 0 and below. */
bool platform_signal_from_process(const siginfo_t *info)
{
    return info->si_code <= 0;
}

/* signal(7), "Signal mask and pending signals": a thread has a set of pending signals of its own, beside the process's,
 * and of each standard signal a set has one at most. */
void platform_continue(pid_t pid)
{
    (void)syscall(SYS_tgkill, pid, pid, SIGCONT);
}

/* fcntl(2), F_SETSIG: with O_ASYNC the signal that is sent for I/O can be any. SIGCONT continues a stopped process even
 * if a handler takes it or it is ignored (signal(7)). */
bool platform_continue_at_end(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_SETSIG, SIGCONT) == 0 &&
           fcntl(fd, F_SETFL, flags | O_ASYNC) == 0;
}

const short platform_poll_shut = POLLRDHUP;

/* FNV-1a, by Fowler, Noll and Vo: it is to tell a change, and not to withstand an enemy. */
static void mix(uint64_t *hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
}

static void mix_number(uint64_t *hash, long number)
{
    mix(hash, &number, sizeof number);
}

static void mix_file(uint64_t *hash, pid_t pid, const char *name)
{
    char path[64];
    char text[512];
    ssize_t size;
    int fd;

    format(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    size = fd < 0 ? -1 : read(fd, text, sizeof text);
    mix(hash, text, size > 0 ? (size_t)size : 0);
    if (fd >= 0)
        (void)close(fd);
}

/* What every version of sched_setattr(2)'s struct has. glibc declares it and the calls from 2.41 on, musl doesn't. */
struct scheduling {
    uint32_t size; // cppcheck-suppress unusedStructMember
    uint32_t policy;
    uint64_t flags_nice_and_priority[2]; // cppcheck-suppress unusedStructMember
    uint64_t runtime;                    /* nanoseconds: for SCHED_OTHER of a slice, 0 for the usual one */
    uint64_t deadline_and_period[2];     // cppcheck-suppress unusedStructMember
};

#define SHORTEST_SLICE 100000u

static bool read_scheduling(pid_t pid, struct scheduling *now)
{
    return syscall(SYS_sched_getattr, pid, now, sizeof *now, 0) == 0;
}

/* What renice(1), chrt(1), ionice(1), taskset(1), prlimit(1), choom(1) and a write to a cgroup.procs change. */
static uint64_t inheritance(pid_t pid)
{
    uint64_t hash = 0xcbf29ce484222325u;
    struct scheduling scheduling = {0};
    unsigned long processors[16];
    long size = syscall(SYS_sched_getaffinity, pid, sizeof processors, processors);

    mix(&hash, processors, size > 0 ? (size_t)size : 0);
    if (!read_scheduling(pid, &scheduling))
        mix_number(&hash, pid); /* like no other one's */
    mix(&hash, &scheduling, sizeof scheduling);
    mix_number(&hash, syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, pid));
    for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
        uint64_t limit[2] = {0}; /* as the kernel has it, for the C libraries differ in the type of `resource` */

        (void)syscall(SYS_prlimit64, pid, resource, NULL, limit);
        mix(&hash, limit, sizeof limit);
    }
    mix_file(&hash, pid, "oom_score_adj");
    mix_file(&hash, pid, "cgroup");
    return hash;
}

static bool is_in_our_directory(pid_t pid)
{
    char path[64];
    struct stat theirs;
    struct stat ours;

    format(path, sizeof path, "/proc/%ld/cwd", (long)pid);
    return stat(path, &theirs) == 0 && stat(".", &ours) == 0 && theirs.st_dev == ours.st_dev &&
           theirs.st_ino == ours.st_ino;
}

bool platform_is_like_child_of(pid_t parent, pid_t owner)
{
    return is_in_our_directory(owner) && inheritance(getpid()) == inheritance(parent);
}

/* Where its slice is or is not the shortest. Before Linux 6.12 they have none to be asked for. */
static void change_slice(pid_t pid, bool is_shortest, uint64_t slice)
{
    struct scheduling now = {0};

    if (read_scheduling(pid, &now) && now.policy == SCHED_OTHER && (now.runtime == SHORTEST_SLICE) == is_shortest) {
        now.runtime = slice;
        (void)syscall(SYS_sched_setattr, pid, &now, 0);
    }
}

/* The kernel's Documentation/scheduler/sched-eevdf.rst: a process with shorter slices gets its turn sooner, though not
 * more of the processor, and anybody may ask for them. */
void platform_be_prompt(pid_t pid)
{
    if (setpriority(PRIO_PROCESS, (id_t)pid, -20) < 0)
        change_slice(pid, false, SHORTEST_SLICE);
}

/* sched(7): with autogroups, which setsid(2) makes, a nice value counts among the processes of one session only, and
 * each session gets the same share. So a hundred sessions leave us a hundredth whatever our nice value is, but a
 * real-time process comes before all of them. The system call, because musl's sched_setscheduler() is an ENOSYS. */
void platform_hurry(pid_t pid)
{
    const struct sched_param lowest = {.sched_priority = 1};
    long policy = syscall(SYS_sched_getscheduler, pid) & ~SCHED_RESET_ON_FORK;

    if (policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE)
        return; /* we were started so, and may have a higher one */
    if (syscall(SYS_sched_setscheduler, pid, SCHED_RR, &lowest) < 0)
        platform_be_prompt(pid);
}

RARE void platform_calm(void)
{
    struct sched_param param = {0};

    if ((syscall(SYS_sched_getscheduler, 0) & ~SCHED_RESET_ON_FORK) == SCHED_RR &&
        syscall(SYS_sched_getparam, 0, &param) == 0 && param.sched_priority == 1) {
        param.sched_priority = 0;
        (void)syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &param);
    } else if (getpriority(PRIO_PROCESS, 0) == -20) {
        (void)setpriority(PRIO_PROCESS, 0, 0);
    } else {
        change_slice(0, true, 0);
    }
}

/* sched_setaffinity(2): of processors that aren't there, or that the cpuset lacks, the kernel says nothing as long as
 * one is left. */
RARE bool platform_stay_on(const struct platform_cpus *cpus)
{
    struct platform_cpus given = {0};

    if (syscall(SYS_sched_setaffinity, 0, sizeof cpus->words, cpus->words) < 0 ||
        syscall(SYS_sched_getaffinity, 0, sizeof given.words, given.words) < 0)
        return false;
    errno = EINVAL;
    return memcmp(cpus->words, given.words, sizeof given.words) == 0;
}

/* The files of a process in /proc are root's once it has been given capabilities by its own file (proc(5)), until it is
 * made dumpable. Nobody without these capabilities may trace it for that (ptrace(2), access mode checking). */
RARE static bool write_to_self(const char *file, int number)
{
    bool closed_to_us = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0;
    char text[16];
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool written;
    int error;

    format(text, sizeof text, "%d", number);
    written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (closed_to_us)
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    errno = error;
    return written;
}

/* sched(7), The autogroup feature. Best effort: who isn't root may change it ten times a second only, all of them
 * together. */
RARE void platform_nice_session(int nice)
{
    (void)write_to_self("/proc/self/autogroup", nice);
}

RARE bool platform_adjust_oom_score(int adjustment)
{
    return write_to_self("/proc/self/oom_score_adj", adjustment);
}

RARE bool platform_no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}
