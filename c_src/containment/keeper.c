/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "containment/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/signals.h"
#include "containment/sweep.h"
#include "port/report.h"
#include "program/child.h"

struct keeper {
    const struct options *options;
    const struct cgroup *cgroup;
    struct tree tree;
    pid_t relay;
    int tether;
    int watched; /* the tether, until it has hung up */
    int signals;
    int program; /* its pid, where it has been told */
};

void tether_tell(int fd, enum tether_kind kind, int value)
{
    const struct tether_message message = {.kind = kind, .value = value};

    (void)send(fd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool tether_take(int fd, struct tether_message *message)
{
    return recv(fd, message, sizeof *message, MSG_DONTWAIT) == (ssize_t)sizeof *message;
}

static void wait_for_deaths(const struct keeper *keeper, const struct sweeping *sweeping)
{
    struct pollfd fds[] = {{.fd = keeper->signals, .events = POLLIN},
                           {.fd = sweeping->populated ? cgroup_events(keeper->cgroup) : -1, .events = POLLPRI}};

    (void)poll(fds, 2, io_left_ms(sweeping->due));
}

/* The tether hangs up when the relay ends, which the signal of its end will tell. */
static void wait_for_events(struct keeper *keeper)
{
    struct pollfd fds[] = {{.fd = keeper->signals, .events = POLLIN}, {.fd = keeper->watched, .events = POLLIN}};

    if (poll(fds, 2, -1) > 0 && (fds[1].revents & (POLLHUP | POLLERR)) != 0)
        keeper->watched = -1;
}

/* Until nothing is left that descends from us or is in the cgroup, or nothing that we may kill. */
static enum sweep sweep(struct keeper *keeper)
{
    struct sweeping sweeping = {0};
    enum sweep result;

    while ((result = sweep_pass(&sweeping, &keeper->tree, keeper->cgroup)) == SWEEP_GOES_ON) {
        wait_for_deaths(keeper, &sweeping);
        (void)signals_take();
    }
    return result;
}

/* A group whose leader was the killed relay's child. Without adopted orphans this is all that is known of it, and
 * that the pid has not passed to a stranger since the relay died can't be known: POSIX has nothing better. */
static void kill_told_group(const struct keeper *keeper)
{
    if (!platform_has_children && keeper->program > 1)
        (void)kill(-keeper->program, SIGKILL);
}

/* The relay didn't leave by itself, so the owner has not been told how the program ended, and in a port a frame may
 * be cut off. The owner's pipes are still open here; that they end without a last frame, when all is dead, tells it. */
static int bury(struct keeper *keeper, int status)
{
    enum sweep result;
    struct failure why;

    kill_told_group(keeper);
    platform_hurry(0);
    result = sweep(keeper);
    if (!cgroup_remove(keeper->cgroup, &why))
        report_words("%s", why.words);
    if (result == SWEEP_REFUSED)
        report_words("process %ld could not be killed and is left running: not permitted (it runs as another user)",
                     (long)keeper->tree.refused);
    else if (!keeper->options->port)
        report_words("its relay, process %ld, was killed by signal %d; the program and all its descendants have been "
                     "killed",
                     (long)keeper->relay, WTERMSIG(status));
    return EXIT_MUONTRAP_FAILED;
}

/* From a shell the keeper is what the shell waits for: job control stops the program, and it stops with it. Whoever
 * continues it means the program, which need not be in our process group. */
static void stop_with_program(const struct keeper *keeper, int signal)
{
    signals_stop(signal);
    tether_tell(keeper->tether, TETHER_CONTINUED, 0);
}

static void read_tether(struct keeper *keeper)
{
    struct tether_message message;

    while (tether_take(keeper->tether, &message)) {
        switch (message.kind) {
        case TETHER_PROGRAM:
            keeper->program = message.value;
            break;
        case TETHER_STOPPED:
            stop_with_program(keeper, message.value);
            break;
        case TETHER_CONTINUED:
            break;
        }
    }
}

/* The exit status once the relay has ended, -1 until then. */
static int watch(struct keeper *keeper)
{
    int status = 0;

    if (waitpid(keeper->relay, &status, WNOHANG) != keeper->relay)
        return -1;
    read_tether(keeper);
    if (!WIFEXITED(status))
        return bury(keeper, status);
    keeper->cgroup = NULL; /* who is in it now is no business of ours any more */
    (void)sweep(keeper);   /* there is something only if the relay was refused it, and it has told so */
    return WEXITSTATUS(status);
}

/* The relay gets its turn before it gets the signal: among thousands of a fork bomb it would wait for seconds. Not
 * while it has the program still to start, which would inherit that. */
static void pass_on_stop(const struct keeper *keeper)
{
    if (keeper->program > 0)
        platform_hurry(keeper->relay);
    (void)kill(keeper->relay, SIGTERM);
}

/* From a shell we share our session with the program, and so what its processes have of the processor (sched(7), "The
 * autogroup feature"). Who sleeps, and wakes up for a signal, has its turn at once then. Not by a real-time priority,
 * as long as nothing is to be done: some kernels let no cgroup have the controller cpu while there is such a process
 * (cgroup-v2.rst, "CPU"). */
static _Noreturn void keep(struct keeper *keeper)
{
    int exit_status = -1;

    if (!keeper->options->port)
        (void)setpriority(PRIO_PROCESS, 0, -20);
    while (exit_status < 0) {
        struct signals signals;

        wait_for_events(keeper);
        read_tether(keeper);
        signals = signals_take();
        if (signals.stop)
            pass_on_stop(keeper);
        if (signals.child)
            exit_status = watch(keeper);
    }
    _exit(exit_status);
}

bool keeper_start(const struct options *options, const struct cgroup *cgroup, struct tether *tether,
                  struct failure *why)
{
    struct keeper keeper = {.options = options, .cgroup = cgroup};
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
        tether->keeper = getppid();
        return true;
    }
    (void)close(ends[1]);
    keeper.tether = keeper.watched = ends[0];
    signals_unblock();
    keep(&keeper);
}
