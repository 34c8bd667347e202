/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * faulty ARG...: executes the helper that TORTURE_HELPER names, as it is shipped, and has system calls of its processes
 * fail, take their time, or do less than they were asked for, as TORTURE_CALLS says: entries separated by commas, each
 *
 *     NAME:FIRST:EVERY:WHAT
 *
 * From the FIRST such call on, counting from 1 and over all processes of the helper, each EVERYth one, or with 0 that
 * one alone. WHAT is e<errno>, d<us> (it is delayed), or s<bytes> (it reads, writes or moves no more than that).
 *
 * The kernel asks for each such call by seccomp_unotify(2). It is a process of its own that answers, which is nobody's
 * child of those here and leaves when the last of the helper and of what it has started is gone. Only the helper's own
 * processes are meddled with.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES_MOST 16
#define SHORT_MOST 65536u
#define MESSAGE_MOST 64u /* bytes: what the helper reads in such pieces has been written in one piece, and comes so */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *name;
    int number;
} calls[] = {
    {"read", SYS_read},     {"write", SYS_write},   {"splice", SYS_splice},
#ifdef SYS_poll
    {"poll", SYS_poll},     {"fork", SYS_fork},     {"pipe", SYS_pipe},
    {"open", SYS_open},
#endif
    {"ppoll", SYS_ppoll},   {"clone", SYS_clone},   {"clone3", SYS_clone3},
    {"pipe2", SYS_pipe2},   {"openat", SYS_openat}, {"mkdirat", SYS_mkdirat},
    {"waitid", SYS_waitid}, {"wait4", SYS_wait4},   {"socketpair", SYS_socketpair},
    {"execve", SYS_execve}, {"kill", SYS_kill},     {"fcntl", SYS_fcntl},
};

static struct entry {
    int number;
    unsigned first;
    unsigned every;
    char what;
    unsigned value;
    unsigned seen;
} entries[ENTRIES_MOST];
static size_t count;

static int number_of(const char *name)
{
    for (size_t i = 0; i < COUNT(calls); i++)
        if (strcmp(calls[i].name, name) == 0)
            return calls[i].number;
    return -1;
}

static bool parse(char *text)
{
    for (char *part = strtok(text, ","); part != NULL && count < ENTRIES_MOST; part = strtok(NULL, ",")) {
        struct entry *entry = &entries[count];
        char name[32];

        if (sscanf(part, "%31[^:]:%u:%u:%c%u", name, &entry->first, &entry->every, &entry->what, &entry->value) != 5)
            return false;
        entry->number = number_of(name);
        if (entry->number >= 0) /* else this machine has no such call */
            count++;
    }
    return true;
}

/* ---- Answering ---- */

/* The helper's processes, and those that are about to become a program. */
static bool is_helper(pid_t pid)
{
    char path[64], target[4096];
    ssize_t size;
    const char *name;

    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    size = readlink(path, target, sizeof target - 1);
    if (size < 0)
        return false;
    target[size] = '\0';
    name = strrchr(target, '/');
    return name != NULL && strncmp(name, "/muontrap", 9) == 0;
}

static int fetch(pid_t pid, int fd)
{
    int process = (int)syscall(SYS_pidfd_open, pid, 0);
    int copy = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, fd, 0);

    if (process >= 0)
        (void)close(process);
    return copy;
}

static bool is_ready(int fd, short events)
{
    struct pollfd file = {.fd = fd, .events = events};

    return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 || poll(&file, 1, 0) > 0;
}

/* Does a part of it in the caller's place. False when that can't be, or could have to wait. */
static bool do_less(const struct seccomp_notif *call, unsigned most, int64_t *result, int *error)
{
    static char buffer[SHORT_MOST];
    pid_t pid = (pid_t)call->pid;
    bool splices = call->data.nr == SYS_splice, writes = call->data.nr == SYS_write;
    int fd = fetch(pid, (int)call->data.args[0]), other = splices ? fetch(pid, (int)call->data.args[2]) : -1;
    struct iovec here = {.iov_base = buffer, .iov_len = most};
    struct iovec there = {.iov_base = (void *)(uintptr_t)call->data.args[1], .iov_len = most};
    ssize_t done = -1;
    bool can = fd >= 0 && call->data.args[splices ? 4 : 2] > most && is_ready(fd, writes ? POLLOUT : POLLIN);

    if (can && splices)
        can = other >= 0 && call->data.args[1] == 0 && call->data.args[3] == 0;
    if (can && writes)
        can = process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)most;
    if (can) {
        errno = 0;
        done = splices  ? splice(fd, NULL, other, NULL, most, SPLICE_F_NONBLOCK | (unsigned)call->data.args[5])
               : writes ? write(fd, buffer, most)
                        : read(fd, buffer, most);
        *error = done < 0 ? errno : 0;
        *result = done;
    }
    if (can && done > 0 && !writes && !splices) {
        here.iov_len = there.iov_len = (size_t)done;
        if (process_vm_writev(pid, &here, 1, &there, 1, 0) != done)
            *error = EFAULT;
    }
    if (fd >= 0)
        (void)close(fd);
    if (other >= 0)
        (void)close(other);
    return can;
}

static const struct entry *due(int number)
{
    const struct entry *found = NULL;

    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &entries[i];

        if (entry->number != number)
            continue;
        entry->seen++;
        if (entry->seen == entry->first ||
            (entry->every > 0 && entry->seen > entry->first && (entry->seen - entry->first) % entry->every == 0))
            found = entry;
    }
    return found;
}

static bool blocks_signals(pid_t pid)
{
    char path[64], line[256];
    unsigned long long blocked = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
            break;
    if (file != NULL)
        (void)fclose(file);
    return (blocked & 1ull << (SIGCHLD - 1)) != 0;
}

/* Whether this is something that the kernel might do. Only what waits is interrupted, and only by a signal that isn't
 * blocked; only what doesn't wait is told that there is nothing for now, which is never so of the helper's own pipes;
 * nothing that is read or written at once (regular files, files of the kernel's, what fits into a pipe whole) is
 * cut. */
static bool is_possible(const struct seccomp_notif *call, const struct entry *entry)
{
    bool again = entry->what == 'e' && entry->value == EAGAIN,
         interrupted = entry->what == 'e' && entry->value == EINTR;
    bool writes = call->data.nr == SYS_write, waits;
    struct stat found = {0};
    int fd;

    if (interrupted && blocks_signals((pid_t)call->pid))
        return false;
    if ((!again && !interrupted && entry->what != 's') || (call->data.nr != SYS_read && !writes))
        return true;
    fd = fetch((pid_t)call->pid, (int)call->data.args[0]);
    if (fd < 0 || fstat(fd, &found) < 0)
        return false;
    waits = (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
    (void)close(fd);
    if (!S_ISFIFO(found.st_mode) && !S_ISSOCK(found.st_mode) && !S_ISCHR(found.st_mode))
        return false;
    if (interrupted)
        return waits;
    if (again)
        return !waits && writes && call->data.args[0] == STDOUT_FILENO;
    return call->data.args[2] > (writes ? PIPE_BUF : MESSAGE_MOST);
}

static void answer(const struct seccomp_notif *call, struct seccomp_notif_resp *reply)
{
    const struct entry *entry = is_helper((pid_t)call->pid) ? due(call->data.nr) : NULL;
    int64_t result = 0;
    int error = 0;

    *reply = (struct seccomp_notif_resp){.id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    if (entry == NULL || !is_possible(call, entry))
        return;
    if (entry->what == 'd') {
        struct timespec time = {.tv_sec = entry->value / 1000000, .tv_nsec = (long)(entry->value % 1000000) * 1000};

        (void)nanosleep(&time, NULL);
    } else if (entry->what == 'e') {
        *reply = (struct seccomp_notif_resp){.id = call->id, .error = -(int)entry->value, .val = -1};
    } else if (entry->what == 's' && do_less(call, entry->value, &result, &error)) {
        *reply = (struct seccomp_notif_resp){.id = call->id, .error = -error, .val = error ? -1 : result};
    }
    if (reply->error != 0)
        reply->val = 0;
}

static _Noreturn void serve(int listener)
{
    for (;;) {
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        struct seccomp_notif call = {0};
        struct seccomp_notif_resp reply;

        if (poll(&ready, 1, -1) < 0 && errno != EINTR)
            _exit(1);
        /* Nobody is left who would ask. POLLERR says only that a signal came while the kernel looked; without us each
         * of these calls would fail with ENOSYS. */
        if ((ready.revents & (POLLIN | POLLHUP)) == POLLHUP)
            _exit(0);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
            continue; /* it has been killed since */
        answer(&call, &reply);
        (void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply);
    }
}

/* ---- Starting ---- */

static int receive_listener(int from)
{
    char byte, space[CMSG_SPACE(sizeof(int))];
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    const struct cmsghdr *header;
    int fd = -1;

    if (recvmsg(from, &message, 0) <= 0 || (header = CMSG_FIRSTHDR(&message)) == NULL)
        _exit(1);
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
}

static bool send_listener(int to, int fd)
{
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    return sendmsg(to, &message, 0) > 0;
}

/* All that the plan names is asked for. */
static int install(void)
{
    struct sock_filter filter[ENTRIES_MOST + 3];
    struct sock_fprog program = {.filter = filter};
    unsigned length = 0;
    int listener;

    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < count; i++)
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)entries[i].number,
                                                        (uint8_t)(count - i), 0);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    program.len = (unsigned short)length;
    listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                            SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
    return listener;
}

static void start_server(int ends[2])
{
    pid_t between = fork();

    if (between < 0)
        _exit(125);
    if (between > 0) {
        (void)waitpid(between, NULL, 0);
        return;
    }
    if (fork() != 0)
        _exit(0);
    (void)setsid();
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_IGN);
    for (char **variable = environ; *variable != NULL; variable++) /* the mark of a program, which this is none of */
        memset(*variable, 0, strlen(*variable));
    for (int fd = 0; fd < 1024; fd++)
        if (fd != ends[1])
            (void)close(fd);
    serve(receive_listener(ends[1]));
}

int main(int argc, char *argv[])
{
    const char *helper = getenv("TORTURE_HELPER");
    char *plan = getenv("TORTURE_CALLS");
    int ends[2], listener;

    (void)argc;
    if (helper == NULL)
        return 125;
    if (plan != NULL && (plan = strdup(plan)) != NULL && parse(plan) && count > 0) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
            return 125;
        start_server(ends);
        listener = install();
        if (listener < 0 || !send_listener(ends[0], listener))
            return 125;
        (void)close(listener);
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
    argv[0] = (char *)(uintptr_t)helper;
    (void)execv(helper, argv);
    return 126;
}
