/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "names.h"

#ifdef __x86_64__
const bool tracer_works_here = true;

/* ptrace(2): a call whose number is none fails with ENOSYS and does nothing else, and what it returns can be changed
 * at its end. */
static void skip_call(pid_t pid)
{
    struct user_regs_struct registers;

    (void)ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    registers.orig_rax = ~0ull;
    (void)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

static void set_result(pid_t pid, long result)
{
    struct user_regs_struct registers;

    (void)ptrace(PTRACE_GETREGS, pid, NULL, &registers);
    registers.rax = (unsigned long long)result;
    (void)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}
#else
const bool tracer_works_here = false;

static void skip_call(pid_t pid)
{
    (void)pid;
}

static void set_result(pid_t pid, long result)
{
    (void)pid;
    (void)result;
}
#endif

static struct process *find(struct tracer *tracer, pid_t pid)
{
    for (size_t i = 0; i < sizeof tracer->processes / sizeof tracer->processes[0]; i++)
        if (tracer->processes[i].pid == pid)
            return &tracer->processes[i];
    return NULL;
}

static struct process *add(struct tracer *tracer, pid_t pid)
{
    struct process *process = find(tracer, 0);

    if (!process)
        abort();
    *process = (struct process){.pid = pid};
    return process;
}

static void go_on(pid_t pid, int signal)
{
    (void)ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)signal);
}

/* ---- The name of a call ---- */

static void text_at(pid_t pid, uint64_t address, char *text, size_t size)
{
    /* Not beyond the page, behind which there may be nothing. */
    size_t most = 4096 - address % 4096 < size - 1 ? 4096 - address % 4096 : size - 1;
    struct iovec here = {.iov_base = text, .iov_len = most};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = most};
    ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);

    text[got > 0 ? got : 0] = '\0';
}

/* What differs from run to run is one name. */
static void without_numbers(char *text)
{
    char *to = text;

    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9')
            *to++ = *at;
        else if (to == text || to[-1] != 'N')
            *to++ = 'N';
    }
    *to = '\0';
}

static void file_of(pid_t pid, int fd, char *text, size_t size)
{
    static const char *const standard[] = {"stdin", "stdout", "stderr"};
    char path[64];
    ssize_t got;

    if (fd >= 0 && fd <= 2) {
        (void)snprintf(text, size, "%s", standard[fd]);
        return;
    }
    (void)snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)pid, fd);
    got = readlink(path, text, size - 1);
    text[got > 0 ? got : 0] = '\0';
    if (strncmp(text, "pipe:", 5) == 0)
        text[4] = '\0';
    else if (strncmp(text, "socket:", 7) == 0)
        text[6] = '\0';
    else
        without_numbers(text);
}

static __attribute__((format(printf, 3, 4))) void put(char *text, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, size, format, args);
    va_end(args);
}

static void describe(pid_t pid, const struct __ptrace_syscall_info *info, char *text, size_t size)
{
    const uint64_t *args = (const uint64_t *)info->entry.args;
    const struct name *name = name_of_call((long)info->entry.nr);
    char detail[96] = "";

    if (!name) {
        put(text, size, "call-%ld", (long)info->entry.nr);
        return;
    }
    switch (name->detail) {
    case DETAIL_NONE:
        put(text, size, "%s", name->text);
        return;
    case DETAIL_FILE:
        file_of(pid, (int)args[0], detail, sizeof detail);
        break;
    case DETAIL_PATH:
        text_at(pid, args[0], detail, sizeof detail);
        without_numbers(detail);
        break;
    case DETAIL_PATH_AT:
        text_at(pid, args[1], detail, sizeof detail);
        without_numbers(detail);
        break;
    case DETAIL_VALUE:
        put(detail, sizeof detail, "%s", name_of_value(name->number, (long)args[name->argument]));
        break;
    case DETAIL_TRANSFER: { /* notes of signals are bytes, read SIGNALS_PASSED at a time */
        bool is_note = args[2] == (name->number == SYS_read ? 64 : 1);

        file_of(pid, (int)args[0], detail, sizeof detail);
        if (strcmp(detail, "pipe") == 0 && is_note)
            put(detail, sizeof detail, "notes");
        break;
    }
    case DETAIL_KILL:
        put(detail, sizeof detail, "%s, %d", (pid_t)args[0] < 0 ? "group" : "process", (int)args[1]);
        break;
    case DETAIL_WAIT:
        put(detail, sizeof detail, "%s", (args[name->argument] & WNOHANG) != 0 ? "WNOHANG" : "");
        break;
    case DETAIL_POLL:
        put(detail, sizeof detail, "%lu, %s", (unsigned long)args[1],
            (int)args[2] < 0    ? "for ever"
            : (int)args[2] == 0 ? "now"
                                : "for a time");
        break;
    }
    put(text, size, "%s(%s)", name->text, detail);
}

/* How many calls of that name there have been, this one among them. */
static unsigned count_call(struct tracer *tracer, const char *name)
{
    unsigned i = 0;

    while (i < tracer->call_count && strcmp(tracer->calls[i].name, name) != 0)
        i++;
    if (i == CALLS_MOST)
        abort();
    if (i == tracer->call_count) {
        put(tracer->calls[i].name, CALL_NAME_MOST, "%s", name);
        tracer->calls[i].count = 0;
        tracer->call_count++;
    }
    return ++tracer->calls[i].count;
}

/* ---- What has happened ---- */

static void begin_call(struct tracer *tracer, struct process *process, const struct __ptrace_syscall_info *info)
{
    char name[CALL_NAME_MOST];
    char call[CALL_NAME_MOST - sizeof process->role];
    unsigned number;

    process->inside = true;
    if (!tracer->counts || strcmp(process->role, "starter") == 0)
        return;
    describe(process->pid, info, call, sizeof call);
    put(name, sizeof name, "%s:%s", process->role, call);
    number = count_call(tracer, name);
    if (getenv("FAULTS_TRACE"))
        fprintf(stderr, "%ld %s#%u\n", (long)process->pid, name, number);
    if (!tracer->fault.name || tracer->fault.hit || number != tracer->fault.number ||
        strcmp(name, tracer->fault.name) != 0)
        return;
    tracer->fault.hit = process->fails = true;
    if (!tracer->fault.performed)
        skip_call(process->pid);
}

static void take_call(struct tracer *tracer, struct process *process)
{
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, process->pid, (void *)sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        begin_call(tracer, process, &info);
    } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && process->inside) {
        process->inside = false;
        if (process->fails)
            set_result(process->pid, -tracer->fault.error);
        process->fails = false;
    }
}

static void name_child(struct tracer *tracer, const struct process *parent, struct process *child)
{
    if (strcmp(parent->role, "keeper") != 0) {
        put(child->role, sizeof child->role, tracer->grandchildren == 0 ? "child" : "child%u",
            tracer->grandchildren + 1);
        tracer->grandchildren++;
    } else if (tracer->waits_for_lock && tracer->forks++ == 0) {
        put(child->role, sizeof child->role, "waiter");
    } else {
        put(child->role, sizeof child->role, "relay");
        tracer->relay = child->pid;
    }
}

static void take_fork(struct tracer *tracer, const struct process *parent)
{
    unsigned long pid = 0;
    struct process *child;

    (void)ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid);
    child = find(tracer, (pid_t)pid);
    if (!child)
        child = add(tracer, (pid_t)pid);
    name_child(tracer, parent, child);
    if (child->waits_for_parent)
        go_on(child->pid, 0);
    child->waits_for_parent = false;
}

static void take_exec(struct tracer *tracer, struct process *process)
{
    if (process->pid != tracer->keeper) {
        (void)ptrace(PTRACE_DETACH, process->pid, NULL, NULL);
        process->pid = 0;
        return;
    }
    put(process->role, sizeof process->role, "keeper");
    process->inside = true; /* in execve(2) */
    go_on(process->pid, 0);
}

static void take_stop(struct tracer *tracer, struct process *process, int status)
{
    int event = status >> 16;
    int signal = WSTOPSIG(status);

    switch (event) {
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        take_fork(tracer, process);
        go_on(process->pid, 0);
        break;
    case PTRACE_EVENT_EXEC:
        take_exec(tracer, process);
        break;
    case PTRACE_EVENT_STOP:
        if (process->role[0] == '\0') /* whose child it is will be told */
            process->waits_for_parent = true;
        else if (signal == SIGTRAP)
            go_on(process->pid, 0);
        else
            (void)ptrace(PTRACE_LISTEN, process->pid, NULL, NULL);
        break;
    default:
        if (signal == (SIGTRAP | 0x80))
            take_call(tracer, process);
        go_on(process->pid, event == 0 && signal != (SIGTRAP | 0x80) ? signal : 0);
        break;
    }
}

bool tracer_take(struct tracer *tracer, pid_t pid, int status)
{
    struct process *process = find(tracer, pid);

    if (!process && !WIFSTOPPED(status))
        return false;
    if (!process)
        process = add(tracer, pid);
    if (WIFSTOPPED(status))
        take_stop(tracer, process, status);
    else
        process->pid = 0;
    return pid != tracer->keeper || WIFSTOPPED(status);
}

void tracer_begin(struct tracer *tracer, pid_t pid)
{
    const uintptr_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                              PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;

    tracer->keeper = pid;
    put(add(tracer, pid)->role, sizeof tracer->processes[0].role, "starter");
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0) {
        perror("ptrace");
        exit(EXIT_FAILURE);
    }
}

bool tracer_follows_any(const struct tracer *tracer)
{
    for (size_t i = 0; i < sizeof tracer->processes / sizeof tracer->processes[0]; i++)
        if (tracer->processes[i].pid != 0)
            return true;
    return false;
}

void tracer_kill(struct tracer *tracer)
{
    for (size_t i = 0; i < sizeof tracer->processes / sizeof tracer->processes[0]; i++)
        if (tracer->processes[i].pid != 0)
            (void)kill(tracer->processes[i].pid, SIGKILL);
}
