/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"

static const int stop_signals[SIGNALS_STOP] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

/* The signals by which the terminal's driver stops a job. We ignore them: what counts is that the program stops. */
static const int job_signals[] = {SIGTSTP, SIGTTIN, SIGTTOU};

/* A process gets these from the kernel for what it does itself. */
static const int fault_signals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The handler has nothing but this to leave its notes in. */
static struct {
    int pipe[2];
    volatile sig_atomic_t child;
    volatile sig_atomic_t stop;
    volatile sig_atomic_t continued;
    pid_t process; /* whose notes these are: a child that it forks has the handler, too, until it executes a program */
    pid_t peer;    /* whose SIGCONT tells nothing */
    volatile sig_atomic_t keys;
} notes = {.pipe = {-1, -1}};

static bool is_among(int signal, const int signals[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (signals[i] == signal)
            return true;
    return false;
}

static void set_disposition(int signal, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    (void)sigemptyset(&action.sa_mask);
    action.sa_handler = handler;
    (void)sigaction(signal, &action, NULL);
}

/* Leaves the note of a signal, and says whether poll(2) has to be woken for it. *passed becomes the signal's number
 * when it is one to be passed on. */
static bool note(int signal, const siginfo_t *info, unsigned char *passed)
{
    bool was_noted;

    switch (signal) {
    case SIGCHLD: /* There are thousands of them sometimes, and the pipe must keep its room for others. */
        was_noted = notes.child != 0;
        notes.child = 1;
        return !was_noted;
    case SIGCONT: /* One of the kernel's own tells that the relay has died, as its SIGCHLD does. */
        notes.continued = notes.continued || (platform_signal_from_process(info) && info->si_pid != notes.peer);
        return notes.continued != 0;
    case SIGINT:
    case SIGQUIT:
        if (platform_signal_from_terminal(info))
            notes.keys |= signal == SIGINT ? TERMINAL_INTERRUPT : TERMINAL_QUIT;
        else
            notes.stop = 1;
        return true;
    case SIGTERM:
    case SIGHUP:
        notes.stop = 1;
        return true;
    default:
        *passed = (unsigned char)signal;
        return true;
    }
}

/* The kernel sends these in our own name for a write(2), whose errno tells the same. */
static bool is_of_own_write(int signal, const siginfo_t *info)
{
    return (signal == SIGPIPE || signal == SIGXFSZ) && info->si_pid == getpid();
}

/* What has failed fails again when the handler returns, and ends us. */
static bool is_own_fault(int signal, const siginfo_t *info)
{
    return is_among(signal, fault_signals, COUNT(fault_signals)) && !platform_signal_from_process(info);
}

/* In a new child the signal does what it would do to the program, when the handler returns and it is not blocked any
 * more. Not raise(3), which in glibc refuses the signals that the library keeps to itself. */
RARE static void do_default(int signal)
{
    platform_default_signal(signal);
    (void)kill(getpid(), signal);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int error = errno;
    unsigned char passed = 0;

    (void)context;
    if (getpid() != notes.process)
        do_default(signal);
    else if (is_own_fault(signal, info))
        set_disposition(signal, SIG_DFL);
    else if (!is_of_own_write(signal, info) && note(signal, info, &passed) && write(notes.pipe[1], &passed, 1) < 0)
        errno = error; /* a full pipe wakes poll(2) as well */
    errno = error;
}

/* Whether a handler of ours is to take it. */
static bool is_handled(int signal)
{
    return signal != SIGKILL && signal != SIGSTOP && signal != SIGURG && signal != SIGWINCH &&
           !is_among(signal, job_signals, COUNT(job_signals));
}

void signals_block(struct signals_kept *kept, bool keep_ignored)
{
    memset(kept, 0, sizeof *kept);
    for (size_t i = 0; i < SIGNALS_STOP; i++) {
        struct sigaction was;

        kept->ignored[i] = keep_ignored && stop_signals[i] != SIGTERM && sigaction(stop_signals[i], NULL, &was) == 0 &&
                           was.sa_handler == SIG_IGN;
    }
    platform_block_signals();
    for (size_t i = 0; i < COUNT(job_signals); i++)
        set_disposition(job_signals[i], SIG_IGN);
}

static bool is_kept(const struct signals_kept *kept, int signal)
{
    for (size_t i = 0; kept && i < SIGNALS_STOP; i++)
        if (stop_signals[i] == signal)
            return kept->ignored[i];
    return false;
}

/* Bytes: what the kernel gives an ordinary user who has too many pipes (pipe(7)). With 64 KB in each of a helper's two
 * such pipes, 200 helpers alone would be too many. */
#define PIPE_ROOM 8192u

/* A note whose byte lies in the old pipe would never be read, and no later one would wake anybody. */
int signals_reopen(struct failure *why)
{
    io_close(&notes.pipe[0]);
    io_close(&notes.pipe[1]);
    notes.child = notes.stop = notes.continued = notes.keys = 0;
    notes.process = getpid();
    if (io_pipe(notes.pipe) && io_nonblocking(notes.pipe[0]) && io_nonblocking(notes.pipe[1])) {
        (void)platform_resize_pipe(notes.pipe[0], PIPE_ROOM);
        return notes.pipe[0];
    }
    failed(why, STAGE_SETUP, errno, "cannot make a pipe for signals: %s (raise the limit on open files, ulimit -n)",
           strerror(errno));
    return -1;
}

static struct sigaction handling(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    (void)sigfillset(&action.sa_mask);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    return action;
}

RARE void signals_take_resizes(void)
{
    const struct sigaction action = handling();

    (void)sigaction(SIGWINCH, &action, NULL);
}

int signals_open(const struct signals_kept *kept, struct failure *why)
{
    const struct sigaction action = handling();

    if (signals_reopen(why) < 0)
        return -1;
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        if (is_handled(signal) && !is_kept(kept, signal) && sigaction(signal, &action, NULL) < 0)
            platform_share_handler(signal, SIGCHLD);
    platform_block_signals(); /* again, because musl's sigaction() unblocks two of its own signals */
    return notes.pipe[0];
}

void signals_ignore_continuation_by(pid_t peer)
{
    notes.peer = peer;
}

void signals_unblock(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Reads a note and takes it back. */
static bool take_note(volatile sig_atomic_t *value)
{
    bool is_set = *value != 0;

    if (is_set)
        *value = 0;
    return is_set;
}

struct signals signals_take(void)
{
    struct signals taken = {.keys = 0};
    unsigned char bytes[SIGNALS_PASSED];
    ssize_t size = read(notes.pipe[0], bytes, sizeof bytes);

    for (ssize_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            taken.passed[taken.passed_count++] = bytes[i];
    /* The pipe comes first and the notes after it: a signal in between leaves its byte for the next time. */
    taken.child = take_note(&notes.child);
    taken.stop = take_note(&notes.stop);
    taken.continued = take_note(&notes.continued);
    taken.keys = (unsigned)notes.keys;
    if (taken.keys != 0)
        notes.keys = 0; /* A key that is pressed twice in this moment is pressed once. */
    return taken;
}

static void change_mask(int how, int signal)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, signal);
    (void)sigprocmask(how, &set, NULL);
}

void signals_hold_children(bool hold)
{
    change_mask(hold ? SIG_BLOCK : SIG_UNBLOCK, SIGCHLD);
    if (hold)
        (void)take_note(&notes.child);
}

/* POSIX, System Interfaces, 2.4.1: a SIGCONT, when it is generated, discards every stop signal that is pending. So a
 * stop signal that is held back and pending can still be called off, and no SIGCONT can come too early for it. */
RARE bool signals_stop(int signal, int news, int end)
{
    struct pollfd called_off[] = {{.fd = notes.pipe[0], .events = POLLIN},
                                  {.fd = news, .events = POLLIN},
                                  {.fd = end, .events = POLLIN}};
    bool stops;

    change_mask(SIG_BLOCK, signal);
    set_disposition(signal, SIG_DFL);
    (void)raise(signal);
    stops = poll(called_off, COUNT(called_off), 0) == 0;
    if (stops)
        change_mask(SIG_UNBLOCK, signal); /* here the process stops */
    set_disposition(signal, SIG_IGN);     /* which discards it, where it is pending still (2.4.3) */
    change_mask(SIG_UNBLOCK, signal);
    return stops;
}

/* Who has sent a signal that is pending, only its handler gets to know. sigprocmask(3p): of the pending signals that
 * are unblocked, one at least is delivered before the call returns; so here each is. */
unsigned signals_unblock_keys(void)
{
    change_mask(SIG_UNBLOCK, SIGINT);
    change_mask(SIG_UNBLOCK, SIGQUIT);
    return (unsigned)notes.keys;
}

bool signals_key_is_pending(void)
{
    sigset_t pending;

    (void)sigemptyset(&pending);
    (void)sigpending(&pending);
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGQUIT) == 1;
}

RARE _Noreturn void signals_end_by(int signal)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};

    (void)setrlimit(RLIMIT_CORE, &none); /* what would be dumped is not the program */
    set_disposition(signal, SIG_DFL);
    change_mask(SIG_UNBLOCK, signal);
    (void)raise(signal);
    _exit(128 + signal);
}

void signals_reset(void)
{
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        platform_default_signal(signal);
    signals_unblock();
}

/* execve(2): a signal that has a handler gets its default disposition, and one that is ignored stays ignored. So it is
 * enough to reset those that have none, and the handler does for the others what is right until then. */
void signals_leave_to_program(void)
{
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        if (!is_handled(signal))
            platform_default_signal(signal);
    signals_unblock();
}
