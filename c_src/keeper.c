/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "io.h"
#include "platform.h"
#include "report.h"
#include "signals.h"
#include "tree.h"

struct keeper {
    const struct options *options;
    struct tree tree;
    pid_t relay;
    int tether;
    int signals;
};

static void wait_for_signal(const struct keeper *keeper)
{
    struct pollfd wakeup = {.fd = keeper->signals, .events = POLLIN};

    (void)poll(&wakeup, 1, -1);
}

/* Until nothing is left that descends from us, or nothing that we may kill. */
static enum sweep sweep(struct keeper *keeper)
{
    enum sweep result;

    while ((result = tree_sweep(&keeper->tree)) == SWEEP_GOES_ON) {
        wait_for_signal(keeper);
        (void)signals_take();
    }
    return result;
}

/* A group whose leader was the killed relay's child. Without adopted orphans this is all that is known of it, and
 * that the pid has not passed to a stranger since the relay died can't be known: POSIX has nothing better. */
static void kill_told_group(const struct keeper *keeper)
{
    int pid = 0;

    if (!platform_has_children && recv(keeper->tether, &pid, sizeof pid, MSG_DONTWAIT) == (ssize_t)sizeof pid &&
        pid > 1)
        (void)kill(-pid, SIGKILL);
}

/* The relay didn't leave by itself, so the owner has not been told how the program ended, and in a port a frame may
 * be cut off. The owner's pipes are still open here; that they end without a last frame, when all is dead, tells it. */
static int bury(struct keeper *keeper, int status)
{
    enum sweep result;

    kill_told_group(keeper);
    result = sweep(keeper);
    if (result == SWEEP_REFUSED)
        report_words("process %ld could not be killed and is left running: not permitted (it runs as another user)",
                     (long)keeper->tree.refused);
    else if (!keeper->options->port)
        report_words("its relay, process %ld, was killed by signal %d; the program and all its descendants have been "
                     "killed",
                     (long)keeper->relay, WTERMSIG(status));
    return EXIT_MUONTRAP_FAILED;
}

/* The relay stops when job control stops the program, so that whoever waits for us sees us stopped, as for any job. */
static void stop_with_relay(const struct keeper *keeper, int signal)
{
    signals_stop(signal);
    (void)kill(keeper->relay, SIGCONT);
}

/* The exit status once the relay has ended, -1 until then. */
static int watch(struct keeper *keeper)
{
    int status = 0;
    pid_t pid = waitpid(keeper->relay, &status, WNOHANG | WUNTRACED);

    if (pid != keeper->relay)
        return -1;
    if (WIFSTOPPED(status)) {
        stop_with_relay(keeper, WSTOPSIG(status));
        return -1;
    }
    if (WIFEXITED(status)) {
        (void)sweep(keeper); /* there is something only if the relay was refused it, and it has told so */
        return WEXITSTATUS(status);
    }
    return bury(keeper, status);
}

static _Noreturn void keep(struct keeper *keeper)
{
    int exit_status = -1;

    while (exit_status < 0) {
        struct signals signals;

        wait_for_signal(keeper);
        signals = signals_take();
        if (signals.stop)
            (void)kill(keeper->relay, SIGTERM);
        if (signals.child)
            exit_status = watch(keeper);
    }
    _exit(exit_status);
}

bool keeper_start(const struct options *options, struct tether *tether, struct failure *why)
{
    struct keeper keeper = {.options = options};
    int ends[2];

    if (!tree_open(&keeper.tree, why))
        return false;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || !io_close_on_exec(ends[0]) || !io_close_on_exec(ends[1]))
        return failed(why, STAGE_SETUP, errno, "cannot make a socket pair: %s (raise ulimit -n)", strerror(errno));
    keeper.signals = signals_open(why);
    if (keeper.signals < 0)
        return false;
    keeper.relay = fork();
    if (keeper.relay < 0)
        return failed(why, STAGE_SETUP, errno, "cannot make a process: %s (ulimit -u limits processes)",
                      strerror(errno));
    if (keeper.relay == 0) {
        (void)close(ends[0]);
        (void)close(keeper.tree.children);
        tether->fd = ends[1];
        return true;
    }
    (void)close(ends[1]);
    keeper.tether = ends[0];
    signals_unblock();
    keep(&keeper);
}

void keeper_tell(const struct tether *tether, int pid)
{
    if (!platform_has_children)
        (void)io_write_all(tether->fd, &pid, sizeof pid);
}
