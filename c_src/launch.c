/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "launch.h"

#include <errno.h>
#include <string.h>

#include "base/rare.h"

/* The buffers behind the options and the output are not touched: what they hold is never read before it is written. */
void launch_renew(struct launch *launch)
{
    launch->null_stdin = true;
    launch->never_ran = launch->cancelled = launch->stopped = launch->forced = false;
    launch->tree_gone = launch->eventful = false;
    launch->cgroup = NULL;
    launch->child = (struct child){.verdict_fd = -1, .stdio = {.master = -1}};
    tree_renew(&launch->tree);
    launch->sweeping = (struct sweeping){0};
    launch->patience = (struct patience){0};
    launch->ending = (struct ending){0};
    if (launch->output.pipes.size > 0)
        output_give_back_pipes(&launch->output);
    if (launch->input.pipes.size > 0)
        input_give_back_pipes(&launch->input);
    output_init(&launch->output, launch->output.fd, 0);
    input_init(&launch->input, launch->input_bytes);
}

/* What a helper that waits can't do: both of its processes have to have the lock, or what stands for the process. */
static const char *unsuitable(const struct options *options)
{
    if (options->attach != 0)
        return "--attach";
    if (options->lock)
        return "--lock";
    if (options->help || options->version)
        return "--help or --version";
    return options->check ? "--check" : options->clean ? "--clean" : NULL;
}

RARE static bool refuse(const char *option, struct failure *why)
{
    return failed(why, STAGE_OPTIONS, EINVAL, "%s can't be had in a launch frame, but on the command line", option);
}

bool launch_read(struct launch *launch, size_t size, struct failure *why)
{
    static char name[] = "muontrap";
    static char port[] = "--port";
    int count = 0;

    if (size == 0 || launch->text[size - 1] != '\0')
        return failed(why, STAGE_PROTOCOL, EPROTO, "the last argument in a launch frame has no null byte after it");
    launch->args[count++] = name;
    launch->args[count++] = port;
    for (size_t at = 0; at < size; at += strlen(launch->text + at) + 1) {
        if (count == (int)LAUNCH_ARGS_MOST + 2)
            return failed(why, STAGE_OPTIONS, E2BIG, "a launch frame has more than %u arguments", LAUNCH_ARGS_MOST);
        launch->args[count++] = launch->text + at;
    }
    launch->args[count] = NULL;
    if (!options_parse(&launch->options, count, launch->args, why))
        return false;
    return !unsuitable(&launch->options) || refuse(unsuitable(&launch->options), why);
}
