/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "containment/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "base/signals.h"
#include "containment/job_control.h"
#include "port/protocol.h"
#include "port/report.h"

struct keeper {
    const struct options *options;
    const struct cgroup *cgroup;
    const struct console *console;
    struct tree *tree;
    pid_t relay;
    int tether;
    bool tether_hung_up;
    int signals;
    struct bequest *bequest;
    int stop_by;     /* the signal by which the program has been stopped, and the keeper not yet; 0: none */
    int relay_end;   /* the pipe that ends with the relay; -1 in a port */
    int stops;       /* how often it has been told to stop */
    int stopped_for; /* the stop, by that number, that it was in until somebody continued it; 0: none */
    int told;        /* how many continuations it has told the relay */
    int answered;    /* how many of these the relay has answered */
    int end_by;      /* the signal to end by when the relay has ended; 0: none */
};

RARE static void wait_for_deaths(const struct keeper *keeper, const struct sweeping *sweeping)
{
    struct pollfd fds[] = {{.fd = keeper->signals, .events = POLLIN},
                           {.fd = sweeping->populated ? cgroup_events(keeper->cgroup) : -1, .events = POLLPRI},
                           {.fd = tree_awaited(keeper->tree), .events = POLLIN}};

    (void)poll(fds, 3, io_left_ms(sweeping->due));
}

/* The relay has told that the program has been stopped, and still lives. But a stop that was told before somebody
 * continued us may be over with that: the terminal's key can stop us before the disposition is again what it was before
 * the last stop (signals_stop()), and what the relay tells of the same key is read when that is over. So its answer
 * comes first. */
static bool is_to_stop(const struct keeper *keeper)
{
    return keeper->stop_by != 0 && keeper->told == keeper->answered && !keeper->tether_hung_up;
}

/* A stop signal discards a SIGCONT that is pending when it is generated (POSIX, System Interfaces, 2.4.1). So one that
 * comes while raise(3) runs would be lost. One that follows the program's stop closely comes before, for the keeper
 * leaves it this time. */
#define STOP_AFTER_MS 1

/* False when nothing has happened, and the keeper is to stop. The tether hangs up when the relay ends, which the signal
 * of its end will tell. */
static bool wait_for_events(struct keeper *keeper)
{
    struct pollfd fds[] = {{.fd = keeper->signals, .events = POLLIN},
                           {.fd = keeper->tether_hung_up ? -1 : keeper->tether, .events = POLLIN}};
    int ready = poll(fds, 2, is_to_stop(keeper) ? STOP_AFTER_MS : -1);

    if (ready > 0 && (fds[1].revents & (POLLHUP | POLLERR)) != 0)
        keeper->tether_hung_up = true;
    return ready != 0;
}

/* Until nothing is left that descends from us or is in the cgroup, or nothing that we may kill. */
RARE static enum sweep sweep(struct keeper *keeper)
{
    struct sweeping sweeping = {0};
    enum sweep result;

    while ((result = sweep_pass(&sweeping, keeper->tree, keeper->cgroup)) == SWEEP_GOES_ON) {
        wait_for_deaths(keeper, &sweeping);
        (void)signals_take();
    }
    return result;
}

/* Groups whose leaders were the killed relay's children. Without adopted orphans this is all that is known of them, and
 * that the pid has not passed to a stranger since the relay died can't be known: POSIX has nothing better. */
static void kill_told_groups(const struct keeper *keeper)
{
    if (platform_has_children)
        return;
    if (keeper->bequest->program > 1)
        (void)kill(-keeper->bequest->program, SIGKILL);
    if (keeper->bequest->stopper > 1)
        (void)kill(-keeper->bequest->stopper, SIGKILL);
}

/* The cgroup that a launch frame asked for was the relay's alone, as that of a dead helper's is now. */
RARE static bool clean_told_cgroup(const struct keeper *keeper, struct failure *why)
{
    struct options options = *keeper->options;

    options.group = keeper->bequest->cgroup;
    options.auto_group = false;
    return cgroup_clean(&options, why);
}

/* So that the owner knows that what it has asked for meanwhile has not begun. The pipe had room for the last frame. */
RARE static void tell_unused(void)
{
    uint8_t frame[FRAME_HEADER];

    (void)io_write_all(STDOUT_FILENO, frame, protocol_unused(frame));
}

/* What a child from before the start has left falls to us, too, and is none of the program's. */
static void choose_reserve(const struct keeper *keeper)
{
    if (keeper->options->waits)
        platform_kill_by_reserve(keeper->bequest->other_user);
    if (keeper->tree->spared)
        platform_kill_by_reserve(false);
}

/* The relay didn't leave by itself, so the owner has not been told how the program ended, and in a port a frame may
 * be cut off. The owner's pipes are still open here; that they end without a last frame, when all is dead, tells it. */
RARE static int clean_up_after_relay(struct keeper *keeper, int status)
{
    enum sweep result;
    struct failure why;

    kill_told_groups(keeper);
    choose_reserve(keeper);
    platform_hurry(0);
    if (keeper->bequest->cgroup[0] != '\0' && !clean_told_cgroup(keeper, &why))
        report_words("%s", why.words);
    result = sweep(keeper);
    if (!cgroup_remove(keeper->cgroup, &why))
        report_words("%s", why.words);
    if (result == SWEEP_REFUSED)
        report_words("process %ld could not be killed and is left running: not permitted (it runs as another user)",
                     (long)keeper->tree->refused);
    else if (keeper->options->port && !keeper->bequest->launched)
        tell_unused();
    else if (!keeper->options->port)
        report_words("its relay, process %ld, was killed by signal %d; %s been killed", (long)keeper->relay,
                     WTERMSIG(status),
                     keeper->options->attach == 0 ? "the program and all its descendants have"
                     : keeper->cgroup ? "the process that it was attached to, and what is in its cgroup, have"
                                      : "the process that it was attached to has");
    return EXIT_MUONTRAP_FAILED;
}

static void read_tether(struct keeper *keeper)
{
    struct tether_message message;

    while (tether_read(keeper->tether, &message)) {
        switch (message.kind) {
        case TETHER_STOPPED:
            keeper->stops++;
            keeper->stop_by = message.value;
            break;
        case TETHER_END_BY:
            keeper->end_by = message.value;
            break;
        case TETHER_CONTINUED: /* and if we have been stopped, the SIGCONT after it has continued us */
            keeper->stop_by = 0;
            if (message.value != 0)
                keeper->stopped_for = 0;
            break;
        case TETHER_ANSWERED:
            keeper->answered = message.value;
            break;
        case TETHER_KEYS:
            break;
        }
    }
}

/* Reaps the children that are dead. The exit status to end with, once the relay is among them; -1 until then. The
 * others are orphans that nobody else would reap, or children from before. */
static int reap_children(struct keeper *keeper)
{
    int status = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        tree_forget_spared(keeper->tree, pid);
        if (pid != keeper->relay)
            continue;
        read_tether(keeper);
        if (keeper->bequest->raw) /* before anything is printed there */
            console_restore(keeper->console);
        return WIFEXITED(status) ? WEXITSTATUS(status) : clean_up_after_relay(keeper, status);
    }
    return -1;
}

/* The relay gets its turn before it gets the signal: among thousands of a fork bomb it would wait for seconds. Not
 * while it has the program still to start, which would inherit that. */
RARE static void pass_on_stop(const struct keeper *keeper)
{
    if (keeper->bequest->program > 0)
        platform_hurry(keeper->relay);
    (void)kill(keeper->relay, SIGTERM);
}

/* The relay is not reaped yet, so that its pid is its own. Should somebody have stopped it, it has to go on for a stop
 * or a continuation to have an effect. */
static void pass_on(struct keeper *keeper, const struct signals *signals)
{
    int stopped_for = keeper->stopped_for;

    keeper->stopped_for = 0;
    for (unsigned i = 0; i < signals->passed_count; i++)
        (void)kill(keeper->relay, signals->passed[i]);
    if (signals->continued && tether_tell(keeper->tether, TETHER_CONTINUED, stopped_for))
        keeper->told++;
    if (signals->stop)
        pass_on_stop(keeper);
    if (signals->continued || signals->stop)
        platform_continue(keeper->relay);
}

/* Stops as the program has been stopped, unless something has come that is to be dealt with first. */
static void stop_with_program(struct keeper *keeper)
{
    if (is_to_stop(keeper) && signals_stop(keeper->stop_by, keeper->tether, keeper->relay_end)) {
        keeper->stop_by = 0;
        keeper->stopped_for = keeper->stops;
    }
}

/* From a shell we share our session with the program, and so what its processes have of the processor (sched(7), "The
 * autogroup feature"). The scheduler runs a sleeping process with the best nice value at once when a signal wakes it. A
 * real-time priority would do that too, but while there is such a process some kernels let no cgroup have the
 * controller cpu (cgroup-v2.rst, "CPU"). */
static _Noreturn __attribute__((noinline)) void keep(struct keeper *keeper)
{
    int exit_status = -1;

    if (!keeper->options->port)
        platform_be_prompt(0);
    else
        platform_name_self("muontrap-keeper");
    platform_forget_start();
    while (exit_status < 0) {
        bool is_quiet = !wait_for_events(keeper);
        struct signals signals = signals_take();

        read_tether(keeper);
        pass_on(keeper, &signals);
        if (signals.child)
            exit_status = reap_children(keeper);
        if (exit_status < 0 && is_quiet)
            stop_with_program(keeper);
    }
    if (keeper->end_by != 0)
        signals_end_by(keeper->end_by);
    _exit(exit_status);
}

bool keeper_start(struct launch *launch, struct tether *tether, struct failure *why)
{
    struct keeper keeper = {.options = &launch->options,
                            .cgroup = launch->cgroup,
                            .console = &launch->console,
                            .tree = &launch->tree};
    unsigned keys;
    int ends[2];
    int relay_ends[2] = {-1, -1}; /* of the pipe that ends with the relay; in a port there is no job control */

    if (!tree_open(keeper.tree, why) || !tree_spare_children(keeper.tree, &launch->spared, why) ||
        !tether_open(ends, &keeper.bequest, why) || (!launch->options.port && !job_control_open(relay_ends, why)))
        return false;
    keeper.signals = signals_open(&launch->kept_signals, why);
    if (keeper.signals < 0)
        return false;
    tether->parent = getppid();
    keeper.relay = fork();
    if (keeper.relay < 0)
        return failed(why, STAGE_SETUP, errno, "cannot make a process: %s (ulimit -u limits processes)",
                      strerror(errno));
    if (keeper.relay == 0) {
        (void)close(ends[0]);
        io_close(&relay_ends[0]);
        tree_close(keeper.tree);
        tether->fd = ends[1];
        tether->keeper = getppid();
        tether->bequest = keeper.bequest;
        return true;
    }
    (void)close(ends[1]);
    io_close(&relay_ends[1]);
    child_close_inherited(launch);
    keeper.tether = ends[0];
    keeper.relay_end = relay_ends[0];
    keys = signals_unblock_keys();
    if (keys != 0)
        (void)tether_tell(keeper.tether, TETHER_KEYS, (int)keys);
    signals_ignore_continuation_by(keeper.relay);
    signals_unblock();
    keep(&keeper);
}
