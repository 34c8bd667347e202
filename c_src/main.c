/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * muontrap: runs a program contained. The story, top to bottom: options, cgroup, keeper, program, relay, report.
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/signals.h"
#include "cgroup/cgroup.h"
#include "cgroup/check.h"
#include "containment/keeper.h"
#include "containment/relay.h"
#include "containment/tree.h"
#include "options.h"
#include "port/report.h"
#include "program/child.h"
#include "program/identity.h"

/* A descriptor that came closed would be given to the next file opened, and that would become the program's stdio. */
static bool own_descriptors(struct failure *why)
{
    for (int fd = 0; fd < 3; fd++)
        // cppcheck-suppress leakReturnValNotUsed ; it is to stay open
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return failed(why, STAGE_SETUP, errno, "cannot open /dev/null: %s", strerror(errno));
    platform_close_inherited();
    return true;
}

/* Whether the end of standard input means stop: when it is something that somebody holds the other end of. */
static bool is_lifeline(const struct options *options)
{
    struct stat found;

    if (options->port || options->stdin_mode != STDIN_AUTO)
        return options->stdin_mode == STDIN_LIFELINE;
    return fstat(STDIN_FILENO, &found) == 0 && (S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode));
}

/* In a port both ends are ours alone, as descriptions: the VM's ends are others. */
static bool own_port(const struct options *options, struct failure *why)
{
    if (options->port && (!io_nonblocking(STDIN_FILENO) || !io_nonblocking(STDOUT_FILENO)))
        return failed(why, STAGE_SETUP, errno, "cannot make standard input and output non-blocking: %s",
                      strerror(errno));
    return true;
}

static int fail(const struct options *options, const struct cgroup *cgroup, const struct failure *why)
{
    struct failure ignored;

    (void)cgroup_remove(cgroup, &ignored);
    report_failure(options, why);
    return child_exit_status_of(why);
}

static int print(const char *text)
{
    return io_write_all(STDOUT_FILENO, text, strlen(text)) ? 0 : EXIT_MUONTRAP_FAILED;
}

int main(int argc, char *argv[])
{
    static struct options options; /* too large for a stack that is meant to stay small, as is the next */
    static struct cgroup room;
    const struct cgroup *cgroup = NULL;
    struct identity identity;
    struct failure why;
    struct tether tether;
    struct tree tree;
    struct child child;
    struct relay_setup setup = {.options = &options, .tether = &tether, .tree = &tree, .child = &child};

    if (!own_descriptors(&why) || !options_parse(&options, argc, argv, &why))
        return fail(&options, NULL, &why);
    if (options.help)
        return print(options_usage);
    if (options.version)
        return print("muontrap " MUONTRAP_VERSION "\n");
    if (options.check)
        return check_run(&options);
    if (options.clean)
        return cgroup_clean(&options, &why) ? 0 : fail(&options, NULL, &why);
    if (!identity_resolve(&identity, &options, &why) || !own_port(&options, &why))
        return fail(&options, NULL, &why);

    /* From here no signal is lost: what comes is pending until the keeper and the relay each can handle it. */
    setup.lifeline = is_lifeline(&options);
    signals_block(!options.port, child_shares_group(&options, setup.lifeline));
    if (options.group && !cgroup_open(&room, &options, &why))
        return fail(&options, NULL, &why);
    if (options.group)
        cgroup = setup.cgroup = &room;
    if (!keeper_start(&options, cgroup, &tether, &why))
        return fail(&options, cgroup, &why);

    /* The relay goes on alone. All that can fail is done before there is a program that depends on us. */
    if (!tree_open(&tree, &why) || (setup.signals = signals_open(&why)) < 0)
        return fail(&options, cgroup, &why);
    if (!child_spawn(&child, &options, &identity, cgroup, setup.lifeline, &why))
        return fail(&options, cgroup, &why);

    /* A program runs: no way out but through the relay's table, which leaves nothing of it alive. */
    tree.program = child.pid;
    tether_tell(tether.fd, TETHER_PROGRAM, child.pid);
    signals_unblock();
    return relay_run(&setup);
}
