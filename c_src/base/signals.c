/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "base/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"

static const int stop_signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
/* Ignored by us: a closed pipe is an errno, and of job control the program's stopping is what counts (relay.c). */
static const int ignored_signals[] = {SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct {
    int pipe[2];
    bool keep[COUNT(stop_signals)]; /* ignored when we came, and left so */
    bool shared_terminal;
    volatile sig_atomic_t child;
    volatile sig_atomic_t stop;
} state = {.pipe = {-1, -1}};

static void on_signal(int signal, siginfo_t *info, void *context)
{
    int error = errno;

    (void)context;
    if (signal == SIGCHLD)
        state.child = 1;
    else if (state.shared_terminal && (signal == SIGINT || signal == SIGQUIT) && platform_signal_from_terminal(info))
        return; /* for the foreground process group: the program has got it too, and decides */
    else
        state.stop = 1;
    /* A full pipe wakes poll(2) as well. */
    if (write(state.pipe[1], "", 1) < 0)
        errno = error;
    errno = error;
}

static void handled(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGCHLD);
    for (size_t i = 0; i < COUNT(stop_signals); i++)
        (void)sigaddset(set, stop_signals[i]);
}

static void disposition(int signal, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    (void)sigemptyset(&action.sa_mask);
    action.sa_handler = handler;
    (void)sigaction(signal, &action, NULL);
}

void signals_block(bool keep_ignored, bool shared_terminal)
{
    sigset_t set;

    state.shared_terminal = shared_terminal;
    for (size_t i = 0; i < COUNT(stop_signals); i++) {
        struct sigaction was;

        state.keep[i] = keep_ignored && stop_signals[i] != SIGTERM && sigaction(stop_signals[i], NULL, &was) == 0 &&
                        was.sa_handler == SIG_IGN;
    }
    handled(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    /* An ignored SIGCHLD would make the kernel reap children behind our back (waitpid(2)). */
    disposition(SIGCHLD, SIG_DFL);
    for (size_t i = 0; i < COUNT(ignored_signals); i++)
        disposition(ignored_signals[i], SIG_IGN);
}

int signals_open(struct failure *why)
{
    struct sigaction action;

    io_close(&state.pipe[0]);
    io_close(&state.pipe[1]);
    if (!io_pipe(state.pipe) || !io_nonblocking(state.pipe[0]) || !io_nonblocking(state.pipe[1])) {
        failed(why, STAGE_SETUP, errno, "cannot make a pipe for signals: %s (raise the limit on open files, ulimit -n)",
               strerror(errno));
        return -1;
    }
    memset(&action, 0, sizeof action);
    handled(&action.sa_mask);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    (void)sigaction(SIGCHLD, &action, NULL);
    for (size_t i = 0; i < COUNT(stop_signals); i++)
        if (!state.keep[i])
            (void)sigaction(stop_signals[i], &action, NULL);
    return state.pipe[0];
}

void signals_unblock(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

struct signals signals_take(void)
{
    struct signals taken;
    char bytes[64];

    /* First the pipe, then the notes: a signal in between leaves its byte for the next time. */
    while (read(state.pipe[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        continue;
    taken.child = state.child != 0;
    if (taken.child)
        state.child = 0;
    taken.stop = state.stop != 0;
    if (taken.stop)
        state.stop = 0;
    return taken;
}

void signals_hold_children(bool hold)
{
    sigset_t child;

    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &child, NULL);
    if (hold)
        (void)signals_take();
}

void signals_stop(int signal)
{
    if (signal != SIGSTOP)
        disposition(signal, SIG_DFL);
    (void)raise(signal);
    if (signal != SIGSTOP)
        disposition(signal, SIG_IGN);
}

void signals_reset(void)
{
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        platform_default_signal(signal);
    for (size_t i = 0; i < COUNT(stop_signals); i++)
        if (state.keep[i])
            disposition(stop_signals[i], SIG_IGN);
    signals_unblock();
}
