/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * muontrap: runs a program contained. The story, top to bottom: options, cgroup, keeper, relay, report.
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "base/signals.h"
#include "cgroup/cgroup.h"
#include "cgroup/check.h"
#include "containment/attach.h"
#include "containment/keeper.h"
#include "containment/relay.h"
#include "launch.h"
#include "options.h"
#include "port/report.h"
#include "program/child.h"
#include "program/identity.h"
#include "program/lock.h"
#include "program/permission.h"

/* A descriptor that came closed would be given to the next file opened, and that would become the program's stdio. */
static bool own_descriptors(struct failure *why)
{
    for (int fd = 0; fd < 3; fd++)
        // cppcheck-suppress leakReturnValNotUsed ; it is to stay open
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return failed(why, STAGE_SETUP, errno, "cannot open /dev/null: %s", strerror(errno));
    return true;
}

/* In a port both ends are ours alone, as descriptions: the VM's ends are others. What else the VM has left open was not
 * meant for us. From a shell the program gets it. */
static bool own_port(const struct options *options, struct failure *why)
{
    if (!options->port)
        return true;
    platform_close_all();
    if (!io_nonblocking(STDIN_FILENO) || !io_nonblocking(STDOUT_FILENO))
        return failed(why, STAGE_SETUP, errno, "cannot make standard input and output non-blocking: %s",
                      strerror(errno));
    return true;
}

/* Whether standard input is a pipe, FIFO or socket, which somebody else may hold the other end of. Without an answer
 * nothing is started: it might be the lifeline. */
static bool stdin_has_other_end(bool *has, struct failure *why)
{
    struct stat found;

    if (fstat(STDIN_FILENO, &found) < 0)
        return failed(why, STAGE_SETUP, errno, "cannot look at standard input: %s (--stdin says what it is for)",
                      strerror(errno));
    *has = S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode);
    return true;
}

/* Whether that end has been closed already, as by cron(8). */
static bool stdin_has_ended(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = platform_poll_shut};

    return poll(&input, 1, 0) > 0;
}

/* The end of a lifeline is told by a hang-up, and nothing is ever read from it. What can't hang up has nobody at its
 * other end: as a lifeline it has ended from the start. */
static bool choose_stdin(struct launch *launch, struct failure *why)
{
    bool has_other_end = false;

    switch (launch->options.port ? STDIN_NULL : launch->options.stdin_mode) {
    case STDIN_AUTO:
    case STDIN_FILE:
        if (!stdin_has_other_end(&has_other_end, why))
            return false;
        launch->null_stdin = has_other_end;
        launch->lifeline = launch->null_stdin && !stdin_has_ended();
        break;
    case STDIN_LIFELINE:
        if (!stdin_has_other_end(&has_other_end, why))
            return false;
        launch->null_stdin = launch->lifeline = true;
        launch->lifeline_ended = !has_other_end && !isatty(STDIN_FILENO);
        break;
    case STDIN_INHERIT:
        break;
    case STDIN_NULL:
    case STDIN_RELAY: /* which is only had in a port */
        launch->null_stdin = true;
        break;
    }
    if (launch->options.pty && !launch->options.port) {
        launch->console.reads = !launch->null_stdin;
        console_note(&launch->console);
    }
    return true;
}

RARE static int fail(const struct launch *launch, const struct failure *why)
{
    struct failure ignored;

    (void)cgroup_remove(launch->cgroup, &ignored);
    report_failure(&launch->options, why);
    return child_exit_status_of(why);
}

RARE static int print(const char *text, const char *rest)
{
    if (io_write_all(STDOUT_FILENO, text, strlen(text)) && io_write_all(STDOUT_FILENO, rest, strlen(rest)))
        return 0;
    report_words("cannot write to standard output: %s", strerror(errno));
    return EXIT_MUONTRAP_FAILED;
}

RARE static int check(struct options *options)
{
    char users[PERMISSION_WORDS_MOST];

    permission_describe(users);
    platform_give_up_reserve();
    return check_run(options, users);
}

/* What the helper is asked for in place of a program. */
RARE static int answer(struct launch *launch)
{
    struct failure why;

    if (launch->options.help)
        return print(options_usage, options_usage_rest);
    if (launch->options.version)
        return print("muontrap " MUONTRAP_VERSION, "\n");
    if (launch->options.check)
        return check(&launch->options);
    platform_give_up_reserve();
    return cgroup_clean(&launch->options, &why) ? 0 : fail(launch, &why);
}

/* Who the program is going to be, and with which capabilities of ours: others than our own descendants, and a program
 * that runs as our caller does, take none. */
static bool settle(struct launch *launch, struct failure *why)
{
    const struct options *options = &launch->options;

    launch->identity.groups = launch->groups;
    if (!own_port(options, why) || !identity_resolve(&launch->identity, &launch->options, why))
        return false;
    if (options->attach != 0 || (!options->waits && !identity_changes(&launch->identity)))
        platform_give_up_reserve();
    platform_kill_by_reserve(launch->identity.change_uid);
    if (options->attach != 0 && !attach_open(launch, why))
        return false;
    return choose_stdin(launch, why);
}

static int run(struct launch *launch)
{
    const struct options *options = &launch->options;
    struct failure why;
    struct tether tether;
    int status;

    if (!settle(launch, &why))
        return fail(launch, &why);
    if (options->lock) {
        enum lock lock = lock_take(launch, &why);

        if (lock == LOCK_CANCELLED && !options->port)
            return child_exit_status_of_cancelled(options);
        if (lock != LOCK_TAKEN)
            return fail(launch, &why);
    }

    /* From here no signal is lost: what comes is pending until the keeper and the relay each can handle it. */
    signals_block(&launch->kept_signals, !options->port);
    if (options->group && !cgroup_open(&launch->cgroup_state, options, &why))
        return fail(launch, &why);
    launch->cgroup = options->group ? &launch->cgroup_state : NULL;
    if (!keeper_start(launch, &tether, &why))
        return fail(launch, &why);

    /* The relay goes on alone. It starts the program, and sees to its end. */
    status = relay_run(launch, &tether, &why);
    return status >= 0 ? status : fail(launch, &why);
}

int main(int argc, char *argv[])
{
    static struct launch launch; /* it is too large for a stack that is meant to stay small */
    const struct options *options = &launch.options;
    struct failure why;
    bool settled = permission_settle(&launch.why);

    platform_default_signal(
        SIGCHLD); /* an ignored one would make the kernel reap children behind our back (waitpid(2)) */
    if (!own_descriptors(&why) || !options_parse(&launch.options, argc, argv, &why))
        return fail(&launch, &why);
    if (!settled)
        return fail(&launch, &launch.why);
    if (options->help || options->version || options->check || options->clean)
        return answer(&launch);
    return run(&launch);
}
