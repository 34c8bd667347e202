/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "containment/job_control.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "containment/tether.h"
#include "launch.h"

bool job_control_open(int ends[2], struct failure *why)
{
    if (io_pipe(ends) && platform_continue_at_end(ends[0]))
        return true;
    return failed(why, STAGE_SETUP, errno, "cannot make a pipe for job control: %s (raise ulimit -n)", strerror(errno));
}

/* SIGSTOP can't be held back until it is known whether the program still is stopped, so SIGTSTP takes its place. */
RARE void job_control_stop_keeper(struct relay *relay, int signal)
{
    relay->keeper_stopped = true;
    relay->keeper_stops++;
    relay->stops_followed = relay->launch->tree.program_stops;
    (void)tether_tell(relay->tether, TETHER_STOPPED, signal == SIGSTOP ? SIGTSTP : signal);
}

/* With a lifeline a plain SIGSTOP is the program's own affair: nobody may be there who would continue us. With a
 * terminal of its own the program is no part of our job. */
void job_control_follow_program(struct relay *relay)
{
    const struct tree *tree = &relay->launch->tree;
    bool runs = !tree->program_ended && (relay->state == RUNNING || relay->state == LAUNCHING);

    if (runs && relay->launch->options.pty)
        return;
    if (!runs || !tree->program_stopped)
        job_control_continue_keeper(relay);
    else if (tree->program_stops != relay->stops_followed && relay->tether >= 0 && !relay->launch->options.port &&
             !(relay->control >= 0 && tree->stop_signal == SIGSTOP))
        job_control_stop_keeper(relay, tree->stop_signal);
}

/* A keeper that learns that it was its own word knows that the next SIGCONT is another one, even if it comes before the
 * keeper has got so far as to go on. */
RARE static void continue_keeper(struct relay *relay, bool by_its_word)
{
    relay->keeper_stopped = false;
    if (relay->tether < 0)
        return;
    (void)tether_tell(relay->tether, TETHER_CONTINUED, by_its_word);
    platform_continue(relay->keeper); /* after the message, which calls off a stop that has not come yet */
}

void job_control_continue_keeper(struct relay *relay)
{
    if (relay->keeper_stopped)
        continue_keeper(relay, false);
}

/* Of a SIGCONT for the whole process group the keeper tells a little after the relay has got it, or, where a stop
 * signal has discarded the relay's (POSIX, System Interfaces, 2.4.1), after the program has gone on from a stop that
 * the keeper was told of. But the keeper's may have been discarded, too, or the program continued alone. */
#define TOLD_WITHIN_US 1000000u

void job_control_note_continuation(struct relay *relay)
{
    relay->continued_until = io_now_us() + TOLD_WITHIN_US;
}

bool job_control_reap(struct relay *relay)
{
    struct tree *tree = &relay->launch->tree;
    bool was_stopped = tree->program_stopped;
    unsigned stops = tree->program_stops;
    bool more_dead = tree_reap(tree);
    bool was_continued = was_stopped && (!tree->program_stopped || tree->program_stops != stops);

    if (was_continued && relay->keeper_stopped && !relay->launch->options.pty)
        job_control_note_continuation(relay);
    return more_dead;
}

/* What the keeper has told is not told a second time. */
RARE static bool was_for_group(struct relay *relay)
{
    bool was = io_now_us() < relay->continued_until;

    relay->continued_until = 0;
    return was;
}

/* Whether a continuation of the keeper means the program. One of the whole process group has come to that, too, and if
 * the program is stopped all the same, then anew; but to a program with a terminal of its own it hasn't come. So who
 * has continued the keeper from the stop that the program is in means it; from one that is over, not, whatever the
 * program is now. */
RARE static bool means_program(struct relay *relay)
{
    const struct tree *tree = &relay->launch->tree;
    bool for_group = was_for_group(relay);

    if (tree->program_ended || tree->program <= 0)
        return false;
    if (for_group && (relay->keeper_continued_from == 0 || relay->launch->options.pty))
        return false;
    return relay->keeper_continued_from == 0 || (relay->keeper_continued_from == relay->keeper_stops &&
                                                 tree->program_stopped && tree->program_stops == relay->stops_followed);
}

/* It is passed on even when the program is not known to be stopped: a stop signal may be on its way to it. */
RARE void job_control_follow_keeper(struct relay *relay)
{
    struct tree *tree = &relay->launch->tree;

    relay->more_dead = job_control_reap(relay) || relay->more_dead;
    if (!means_program(relay)) {
        job_control_follow_program(relay);
        return;
    }
    if (relay->keeper_stopped)
        continue_keeper(relay, true);
    relay->stops_followed = tree->program_stops;
    tree->program_stopped = false;
    (void)platform_kill(tree->program, SIGCONT);
}
