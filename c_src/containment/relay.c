/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _XOPEN_SOURCE 700
#include "containment/relay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "base/signal_name.h"
#include "base/signals.h"
#include "containment/attach.h"
#include "containment/deliver.h"
#include "containment/events.h"
#include "containment/job_control.h"
#include "launch.h"
#include "port/report.h"
#include "program/lock.h"

typedef enum state action(struct relay *relay);

void relay_post(struct relay *relay, enum event event)
{
    relay->posted |= 1u << event;
}

/* After so many waits the code of the start is given back even if none was long. */
#define FORGET_AFTER_WAITS 100u

/* ---- Reporting ---- */

RARE static void tell_failure(struct relay *relay, const struct failure *why)
{
    struct output *output = &relay->launch->output;

    relay->launch->eventful = true;
    if (relay->launch->options.port)
        output_queued(output, protocol_error(output_control(output), why));
    else
        report_words("%s", why->words);
}

/* The error that tells why there was no program is the owner's only one (docs/protocol.md). */
RARE static void report(struct relay *relay, const struct failure *why)
{
    if (!relay->launch->never_ran || !relay->launch->options.port)
        tell_failure(relay, why);
}

RARE static enum state report_fault(struct relay *relay)
{
    report(relay, &relay->fault);
    return relay->state;
}

/* ---- The sweep ---- */

RARE static void report_refused(struct relay *relay)
{
    struct failure why;

    failed(&why, STAGE_SWEEP, EPERM,
           "process %ld could not be killed and is left running: not permitted (it runs as another user; root, or who "
           "has CAP_KILL, could kill it)",
           (long)relay->launch->tree.refused);
    report(relay, &why);
}

static void hurry(struct relay *relay)
{
    relay->launch->eventful = true;
    platform_hurry(0);
}

/* One pass; the next one follows when a child has died, or at the deadline. */
static enum state sweep(struct relay *relay)
{
    struct launch *launch = relay->launch;
    enum sweep result;

    if (launch->tree_gone)
        return KILLING;
    result = sweep_pass(&launch->sweeping, &launch->tree, launch->cgroup);
    relay->deadline = launch->sweeping.due;
    relay->more_dead = false;
    launch->tree_gone = result != SWEEP_GOES_ON;
    if (result == SWEEP_REFUSED)
        report_refused(relay);
    return KILLING;
}

/* In haste, for what is to be killed may be a fork bomb. But most programs leave nothing. */
static enum state begin_sweep(struct relay *relay)
{
    struct launch *launch = relay->launch;

    job_control_continue_keeper(relay);
    relay->deadline = 0;
    relay->more_dead = false;
    launch->tree_gone = sweep_is_needless(&launch->tree, launch->cgroup);
    if (launch->tree_gone)
        return KILLING;
    hurry(relay);
    return sweep(relay);
}

/* ---- The launch ---- */

/* There is no program, or shall be none, and this is why. */
RARE static enum state give_up_launch(struct relay *relay)
{
    struct launch *launch = relay->launch;

    launch->never_ran = true;
    child_started(&launch->child);
    stdio_abandon(&launch->child.stdio);
    child_close_inherited(launch);
    return begin_sweep(relay);
}

/* There shall be no program, and there is none. */
RARE static enum state cancel(struct relay *relay)
{
    failed(&relay->launch->why, STAGE_SPAWN, ECANCELED, "%s before '%s' had been started",
           relay->tether < 0 ? "the helper's outer process was killed" : "told to stop", relay->launch->options.file);
    relay->launch->cancelled = true;
    return give_up_launch(relay);
}

/* Where nothing is going to come, the program is not to wait for it. */
RARE static void open_input(struct relay *relay)
{
    struct launch *launch = relay->launch;

    input_open(&launch->input, launch->child.stdio.relay_stdin, launch->options.pty);
    if (launch->options.stdin_mode == STDIN_RELAY)
        input_relay(&launch->input);
    else if (!launch->console.reads)
        input_end(&launch->input);
    else
        events_take_console(relay);
}

static enum state launched(struct relay *relay)
{
    struct launch *launch = relay->launch;
    struct output *output = &launch->output;

    child_started(&launch->child);
    child_close_inherited(launch);
    if (launch->options.port)
        output_queued(output, protocol_started(output_control(output), (uint32_t)tree_program(&launch->tree),
                                               cgroup_path(launch->cgroup)));
    if (launch->child.stdio.relay_stdin >= 0)
        open_input(relay);
    output_open_streams(output, launch->child.stdio.relay_stdout, launch->child.stdio.relay_stderr,
                        launch->options.tells_ends);
    output->streams[0].is_terminal = launch->options.pty;
    relay->forgets_in = FORGET_AFTER_WAITS;
    return RUNNING;
}

/* There is a process, or there is none any more: the pid is 0 then. */
static void tell_program(struct relay *relay)
{
    struct launch *launch = relay->launch;

    launch->tree.program = launch->child.pid > 0 ? launch->child.pid : 0;
    launch->tree.program_ended = false;
    relay->bequest->program = launch->tree.program;
}

static bool start(struct relay *relay, struct failure *why)
{
    if (!child_start(relay->launch, &relay->bequest->decision, why))
        return false;
    /* The signals are blocked still. A key that is pressed from now on reaches the new process as well. */
    relay->key_missed = signals_key_is_pending();
    tell_program(relay);
    return true;
}

/* The process was made once more, and what has come until now may have reached the first one alone. */
RARE static void start_again(struct relay *relay)
{
    events_read_signals(relay);
    relay->key_missed = relay->key_missed || relay->launch->keys != 0;
    tell_program(relay);
}

static enum state read_verdict(struct relay *relay)
{
    struct launch *launch = relay->launch;
    pid_t before = launch->child.pid;
    enum verdict verdict = child_verdict(launch, &launch->why);

    if (launch->child.pid != before)
        start_again(relay);
    switch (verdict) {
    case VERDICT_RUNS:
        return launched(relay);
    case VERDICT_FAILED:
        return give_up_launch(relay);
    default:
        return LAUNCHING;
    }
}

/* The new process executes the program at this moment, or has done so already. What has come of that is known at once,
 * and if it isn't, there may be a program, and so there is one. */
#define VERDICT_MOST_US 100000u

RARE static enum state await_verdict(struct relay *relay)
{
    uint64_t until = io_now_us() + VERDICT_MOST_US;
    enum state state = LAUNCHING;

    while (state == LAUNCHING && io_now_us() < until) {
        struct pollfd verdict = {.fd = relay->launch->child.verdict_fd, .events = POLLIN};

        if (poll(&verdict, 1, io_left_ms(until)) > 0)
            state = read_verdict(relay);
    }
    return state == LAUNCHING ? launched(relay) : state;
}

/* ---- The program's time to end ---- */

/* A program that has been told to end, and since then has become so many processes more, isn't about to. It is a fork
 * bomb, and the longer it has the longer it takes the kernel to end it. */
#define BOMB 1000u
#define FIRST_CHECK_US 25000u
#define CHECK_MOST_US 400000u

static uint64_t in_ms(uint32_t ms)
{
    return io_now_us() + (uint64_t)ms * 1000u;
}

static const struct stop_step *step_of(const struct launch *launch)
{
    return &launch->options.steps[launch->patience.step];
}

static void begin_step(struct relay *relay, unsigned step)
{
    struct launch *launch = relay->launch;

    launch->patience.step = step;
    launch->patience.until = in_ms(step_of(launch)->ms);
    launch->patience.check_after_us = FIRST_CHECK_US;
}

static bool is_last_step(const struct launch *launch)
{
    return launch->patience.step + 1 == launch->options.step_count;
}

static bool step_is_over(const struct launch *launch)
{
    return io_now_us() >= launch->patience.until;
}

static void check_later(struct relay *relay)
{
    struct patience *patience = &relay->launch->patience;
    uint64_t next = io_now_us() + patience->check_after_us;

    relay->deadline = patience->checks && next < patience->until ? next : patience->until;
    if (patience->check_after_us < CHECK_MOST_US)
        patience->check_after_us *= 2;
}

static bool is_bomb(const struct launch *launch)
{
    const struct patience *patience = &launch->patience;
    uint64_t forked;

    return patience->forks_known && cgroup_forked(launch->cgroup, &forked) && forked >= patience->forked + BOMB;
}

RARE static enum state force(struct relay *relay)
{
    relay->launch->forced = true;
    return begin_sweep(relay);
}

static void tell_program_to_end(struct relay *relay)
{
    tree_terminate(&relay->launch->tree, step_of(relay->launch)->signal);
    check_later(relay);
}

RARE static void tell_why_stop_command_failed(const struct relay *relay, const char *how, const char *what)
{
    const struct options *options = &relay->launch->options;

    report_words("the stop command '%s' %s%s; '%s' is told to end by SIG%s instead", options->stop_command[0], how,
                 what, options->file, signal_name(step_of(relay->launch)->signal));
}

/* In place of the first signal. The program, which may be stopped, is to notice what the command has it do. */
RARE static void run_stop_command(struct relay *relay)
{
    struct tree *tree = &relay->launch->tree;

    tree->stopper = child_run_stop_command(relay->launch, &relay->bequest->not_run);
    if (tree->stopper < 0) {
        tree->stopper = 0;
        tell_why_stop_command_failed(relay, "has got no process: ", strerror(errno));
        tell_program_to_end(relay);
    } else {
        relay->bequest->stopper = tree->stopper;
        (void)tree_signal(tree, SIGCONT);
        check_later(relay);
    }
}

RARE static void note_end_of_stop_command(struct relay *relay)
{
    int status = relay->launch->tree.stopper_status;

    if (status == 0 || relay->launch->tree.program_ended || relay->launch->patience.step > 0)
        return;
    if (relay->bequest->not_run.stage != 0) {
        struct failure why;

        child_explain_stop_command(relay->launch, &relay->bequest->not_run, &why);
        tell_why_stop_command_failed(relay, "was not run: ", why.words);
    } else {
        char number[12];

        format(number, sizeof number, "%d", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        tell_why_stop_command_failed(relay, WIFSIGNALED(status) ? "was ended by signal " : "exited with status ",
                                     number);
    }
    tree_terminate(&relay->launch->tree, step_of(relay->launch)->signal);
}

RARE static enum state lose_patience(struct relay *relay)
{
    struct launch *launch = relay->launch;

    if (is_bomb(launch) || (step_is_over(launch) && is_last_step(launch)))
        return force(relay);
    if (step_is_over(launch)) {
        begin_step(relay, launch->patience.step + 1);
        tell_program_to_end(relay);
    } else {
        check_later(relay);
    }
    return STOPPING;
}

/* To the program's group, whose number can't be another one's while the program isn't reaped; who isn't in it is told
 * when it is seen. Of the group of a process that was attached to nothing is known, but who has come into the cgroup
 * with it is told. */
RARE static void tell_rest_to_end(struct relay *relay)
{
    struct launch *launch = relay->launch;

    launch->told.signal = step_of(launch)->signal;
    launch->told.count = 0;
    if (launch->tree.attached > 0 && launch->cgroup) {
        (void)deliver(launch, RECEIVER_CGROUP, launch->told.signal);
        (void)deliver(launch, RECEIVER_CGROUP, SIGCONT);
    }
    tree_terminate_group(&launch->tree, launch->told.signal);
    relay->deadline = 0;
}

/* What has come into the cgroup with a process that was attached to is no child of ours. */
RARE static unsigned count_attached(const struct launch *launch)
{
    unsigned members = 0;

    if (launch->tree.attached == 0 || !cgroup_populated(launch->cgroup))
        return 0;
    return cgroup_members(launch->cgroup, &members) && members > 0 ? members : 1;
}

/* No event tells of an orphan whose parent wasn't our child, so there is a look at them now and then. */
RARE static enum state see_to_orphans(struct relay *relay)
{
    struct launch *launch = relay->launch;
    unsigned living = tree_terminate_orphans(&launch->tree, &launch->told) + count_attached(launch);

    relay->more_dead = false;
    if (living == 0)
        return begin_sweep(relay);
    if (launch->patience.bomb == 0)
        launch->patience.bomb = living + BOMB;
    if (living >= launch->patience.bomb || is_bomb(launch) || (step_is_over(launch) && is_last_step(launch)))
        return force(relay);
    if (step_is_over(launch)) {
        begin_step(relay, launch->patience.step + 1);
        tell_rest_to_end(relay);
        (void)tree_terminate_orphans(&launch->tree, &launch->told);
    }
    if (relay->deadline == 0)
        check_later(relay);
    return ENDING;
}

/* What runs behind a shell or a wrapper has not heard of the stop yet, if that one has ended without passing the signal
 * on. */
RARE static enum state end_rest(struct relay *relay)
{
    struct launch *launch = relay->launch;

    if (!platform_has_children || (is_last_step(launch) && step_of(launch)->ms == 0))
        return begin_sweep(relay);
    launch->patience.checks = true;
    launch->patience.check_after_us = FIRST_CHECK_US;
    tell_rest_to_end(relay);
    return see_to_orphans(relay);
}

/* What is no child of ours may have been reaped, and the command is given its pid, which may be a stranger's then. */
static bool has_stop_command(const struct launch *launch)
{
    return launch->options.stop_command_count > 0 &&
           (launch->tree.attached == 0 || !platform_process_ended(launch->tree.attached));
}

/* In a hurry, because a program that forks without end would go on for seconds after its time is up, before our turn
 * came. */
static enum state terminate(struct relay *relay)
{
    struct launch *launch = relay->launch;
    struct patience *patience = &launch->patience;
    bool commands = has_stop_command(launch);

    begin_step(relay, 0);
    if (commands)
        run_stop_command(relay); /* before the hurry, which children inherit */
    hurry(relay);
    job_control_continue_keeper(relay);
    patience->forks_known = launch->cgroup && cgroup_forked(launch->cgroup, &patience->forked);
    patience->checks = patience->forks_known;
    if (!commands)
        tell_program_to_end(relay);
    return STOPPING;
}

static void note_key(struct relay *relay)
{
    relay->stopped_by_key = (relay->launch->keys & TERMINAL_INTERRUPT) != 0 ? SIGINT : SIGQUIT;
}

/* The terminal's keys reach a program that is in our process group, and what they mean is its to decide; but for a key
 * that was pressed before the program's process was there. */
RARE static enum state heed_key(struct relay *relay)
{
    pid_t program = relay->launch->tree.program;

    if (!relay->key_missed && program > 0 && getpgid(program) == getpgrp())
        return RUNNING;
    note_key(relay);
    return terminate(relay);
}

RARE static enum state note_signal(struct relay *relay)
{
    relay->signalled = true;
    return relay->state;
}

RARE static enum state terminate_for_fault(struct relay *relay)
{
    report(relay, &relay->fault);
    return terminate(relay);
}

/* Unless it is too late for that: then the program runs, and what comes of that is as if it had been told before. */
RARE static enum state cancel_launch(struct relay *relay)
{
    enum state state = child_cancel(&relay->launch->child) ? cancel(relay) : await_verdict(relay);

    return state == RUNNING ? terminate(relay) : state;
}

RARE static enum state cancel_launch_for_fault(struct relay *relay)
{
    enum state state = child_cancel(&relay->launch->child) ? LAUNCHING : await_verdict(relay);

    if (state == RUNNING)
        return terminate_for_fault(relay);
    if (state != LAUNCHING)
        return state;
    relay->launch->why = relay->fault;
    return give_up_launch(relay);
}

/* When it is too late for that, the key is the program's to heed, as later ones are. */
RARE static enum state cancel_launch_for_key(struct relay *relay)
{
    enum state state;

    if (child_cancel(&relay->launch->child)) {
        note_key(relay);
        return cancel(relay);
    }
    state = await_verdict(relay);
    if (state == RUNNING)
        return heed_key(relay);
    note_key(relay);
    return state;
}

static enum state reap(struct relay *relay)
{
    pid_t stopper = relay->launch->tree.stopper;

    relay->more_dead = job_control_reap(relay);
    relay->bequest->stopper = relay->launch->tree.stopper;
    if (stopper != relay->launch->tree.stopper)
        note_end_of_stop_command(relay);
    job_control_follow_program(relay);
    return relay->state;
}

RARE static enum state follow_keeper(struct relay *relay)
{
    job_control_follow_keeper(relay);
    if (relay->launch->console.reads && relay->state == RUNNING)
        events_take_console(relay);
    (void)tether_tell(relay->tether, TETHER_ANSWERED, relay->keeper_told);
    return relay->state;
}

/* ---- The end ---- */

static void gather_figures(struct launch *launch)
{
    int status = launch->tree.program_status;
    struct ending *ending = &launch->ending;
    const struct platform_usage *used = &launch->tree.used;

    *ending = (struct ending){.signalled = WIFSIGNALED(status),
                              .stopped = launch->stopped,
                              .forced = launch->forced,
                              .user_us = used->user_us,
                              .system_us = used->system_us,
                              .peak_bytes = used->peak_bytes,
                              .stragglers = launch->tree.killed};
    ending->code = (uint32_t)(ending->signalled ? WTERMSIG(status) : WEXITSTATUS(status));
    ending->unknown = launch->tree.attached > 0; /* only a parent gets it (waitpid(2)) */
    if (!launch->tree.program_ended)
        ending->code = EXIT_MUONTRAP_FAILED; /* the sweep was refused, and has been reported */
#ifdef WCOREDUMP
    ending->core_dumped = ending->signalled && WCOREDUMP(status);
#endif
}

RARE static void close_cgroup(struct relay *relay)
{
    cgroup_close(relay->launch->cgroup);
    relay->launch->cgroup = NULL;
    relay->bequest->cgroup[0] = '\0';
}

/* Without a cgroup this is not called, and not a page of that code is touched. */
RARE static void leave_cgroup(struct relay *relay)
{
    struct launch *launch = relay->launch;
    struct failure why;

    cgroup_figures(launch->cgroup, &launch->ending);
    if (!cgroup_remove(launch->cgroup, &why))
        report(relay, &why);
    else if (relay->waits)
        close_cgroup(relay);
}

/* From a shell, where the program had a terminal of its own and has been told to end. */
static bool is_stopped_console(const struct launch *launch)
{
    return launch->output.raw && launch->patience.until > 0;
}

/* For a pipe that may never end. */
#define CHECK_AGAIN_US 100000u

/* When to look next whether draining goes on. Not at once where delay-to-sigkill is 0: what has been written needs some
 * time to be read, and a time that is always up would keep the end of draining from its turn. */
static uint64_t next_look_at_draining(const struct launch *launch)
{
    uint64_t soonest = io_now_us() + CHECK_AGAIN_US;
    uint64_t then = in_ms(launch->options.delay_to_sigkill);

    return then > soonest ? then : soonest;
}

/* All writers are dead, so what they wrote is in the pipes and an empty pipe is a finished one. Only where
 * descendants may have escaped, or die in their own time because we are not their parent, does it take the pipe's
 * end, or a while. */
static enum state begin_drain(struct relay *relay)
{
    struct launch *launch = relay->launch;

    gather_figures(launch);
    input_lose(&launch->input);
    if (launch->options.pty)
        io_close(&launch->child.stdio.master);
    if (launch->cgroup)
        leave_cgroup(relay);
    if (launch->lock > 0 && platform_has_children && launch->tree.refused == 0)
        lock_release(launch); /* before the owner is told, who may start the next one at once */
    output_read_again(&launch->output);
    relay->drained = launch->output.total;
    if (!platform_has_children || is_stopped_console(launch))
        relay->deadline = next_look_at_draining(launch);
    return DRAINING;
}

/* Linux's scheduler remembers how often a process slept, gave way and woke others, and a relay that has done so for a
 * while relays the next program's output more slowly than a new one: by up to a fifth, as measured on Linux 6.18. A
 * program that writes so much runs for longer than a new helper takes to start. */
#define RELAYED_MOST 16777216u /* bytes */

/* Whether the program has ended by itself and nothing has come up, so that the next one would find here what it would
 * find in a new helper. One that was started with a program has that on its command line, and may have got other
 * variables than the VM has. Where descendants can escape us, they would be the next program's. */
static bool is_reusable(const struct relay *relay)
{
    const struct launch *launch = relay->launch;
    const struct output *output = &launch->output;

    return relay->waits && platform_has_children && !launch->eventful && launch->tree.program_ended &&
           !launch->never_ran && !launch->stopped && launch->tree.killed == 0 && launch->tree.refused == 0 &&
           relay->control >= 0 && relay->tether >= 0 && !relay->deaf && !relay->signalled && !output->gone &&
           !output->discard && !output->shortened && output->total <= RELAYED_MOST;
}

#define PIPES_RETRY_US 100000u

static bool has_large_pipes(const struct launch *launch)
{
    return launch->output.pipes.size > 0 || launch->input.pipes.size > 0;
}

static enum state become_idle(struct relay *relay)
{
    platform_name_self("muontrap-idle");
    relay->forgets_in = FORGET_AFTER_WAITS;
    relay->bequest->program = 0;
    if (relay->launch->input.relayed)
        input_forget(&relay->launch->input);
    if (has_large_pipes(relay->launch))
        relay->deadline = io_now_us() + PIPES_RETRY_US;
    return IDLE;
}

/* The owner's pipe can be made smaller when the owner has read the last output. */
RARE static enum state give_back_pipes(struct relay *relay)
{
    output_give_back_pipes(&relay->launch->output);
    input_give_back_pipes(&relay->launch->input);
    if (has_large_pipes(relay->launch))
        relay->deadline = io_now_us() + PIPES_RETRY_US;
    return IDLE;
}

/* Nothing follows the end, even if a stranger still holds a pipe open. */
static enum state tell_end(struct relay *relay)
{
    struct launch *launch = relay->launch;
    struct output *output = &launch->output;

    relay->deadline = 0;
    output_close_streams(output);
    if (launch->never_ran && (launch->options.port || !launch->cancelled))
        tell_failure(relay, &launch->why);
    if (!launch->options.port)
        return DONE;
    if (launch->never_ran)
        return REPORTED;
    launch->ending.reusable = is_reusable(relay);
    output_queued(output, protocol_exited(output_control(output), &launch->ending, launch->tree.names));
    return launch->ending.reusable ? become_idle(relay) : REPORTED;
}

/* ---- One launch after the other ---- */

/* The keeper learns of it before there is anything in it; of one that is found here, as soon as it is found. */
RARE static bool open_cgroup(struct relay *relay, struct failure *why)
{
    struct launch *launch = relay->launch;
    char *told = relay->bequest->cgroup;

    launch->options.starter = relay->parent;
    if (!launch->options.auto_group)
        format(told, sizeof relay->bequest->cgroup, "%s", launch->options.group);
    if (!cgroup_open(&launch->cgroup_state, &launch->options, why))
        return false;
    launch->cgroup = &launch->cgroup_state;
    format(told, sizeof relay->bequest->cgroup, "%s", launch->cgroup->path);
    return true;
}

RARE static enum state refuse_launch(struct relay *relay)
{
    struct failure ignored;

    (void)cgroup_remove(relay->launch->cgroup, &ignored);
    relay->launch->never_ran = true;
    return tell_end(relay);
}

/* The owner may be sending a launch at this moment. It has to know that it can be sent to another helper. */
RARE static enum state leave_disused(struct relay *relay)
{
    struct output *output = &relay->launch->output;

    relay->disused = true;
    output_queued(output, protocol_unused(output_control(output)));
    return REPORTED;
}

/* An owner may want its program to find what it would find in a new helper, and may have become another one itself. */
static bool is_fresh_enough(const struct relay *relay)
{
    uint32_t owner = relay->launch->options.fresh;

    return owner == 0 || platform_is_like_child_of(relay->parent, (pid_t)owner);
}

/* As from the start of the first launch: what comes while there is no process yet is pending until there is one. */
static enum state begin_launch(struct relay *relay)
{
    struct launch *launch = relay->launch;
    bool begun = launch_read(launch, relay->text_size, &launch->why);

    if (tether_has_hung_up(relay->tether) || (begun && !is_fresh_enough(relay)))
        return leave_disused(relay);
    relay->bequest->launched = true;
    platform_name_self("muontrap-relay");
    platform_block_signals();
    begun = begun && identity_resolve(&launch->identity, &launch->options, &launch->why);
    platform_kill_by_reserve(begun && launch->identity.change_uid);
    relay->bequest->other_user = begun && launch->identity.change_uid;
    window_init(&launch->output.window, launch->options.stdio_window);
    begun = begun && (!launch->options.group || open_cgroup(relay, &launch->why)) && start(relay, &launch->why);
    signals_unblock();
    return begun ? LAUNCHING : refuse_launch(relay);
}

RARE static enum state report_idle_fault(struct relay *relay)
{
    tell_failure(relay, &relay->fault);
    return REPORTED;
}

/* A terminal on which somebody has pressed Ctrl-S, or who doesn't read, is not to hold up a stop for ever. */
RARE static enum state drain_on_console(struct relay *relay)
{
    struct output *output = &relay->launch->output;

    if (output->blocked && output->total == relay->drained)
        output_abandon(output);
    relay->drained = output->total;
    relay->deadline = next_look_at_draining(relay->launch);
    return DRAINING;
}

/* The time for what may never end is up. What the owner has held up is not lost for that. */
RARE static enum state give_up_draining(struct relay *relay)
{
    const struct output *output = &relay->launch->output;

    if (is_stopped_console(relay->launch) && (platform_has_children || output->blocked))
        return drain_on_console(relay);
    if (!output->blocked && output_may_send(output))
        return tell_end(relay);
    relay->deadline = io_now_us() + CHECK_AGAIN_US;
    return DRAINING;
}

/* From a shell nobody need wait for one who doesn't read, when he has been told so. In a port no other program is to be
 * started here. */
RARE static enum state abandon_output(struct relay *relay)
{
    relay->signalled = true;
    if (!relay->launch->options.port)
        output_abandon(&relay->launch->output);
    return relay->state;
}

static enum state leave(struct relay *relay)
{
    (void)relay;
    return DONE;
}

/* What happens on any event in any state. Where there is no action the event changes nothing. */
/* clang-format off */
static action *const table[STATES][EVENTS] = {
    [LAUNCHING] = {
        [VERDICT]          = read_verdict,
        [STOP_ASKED]       = cancel_launch,
        [SIGNALLED]        = cancel_launch,
        [KEY_PRESSED]      = cancel_launch_for_key,
        [FAULT]            = cancel_launch_for_fault,
        [CHILDREN_CHANGED] = reap,
        [KEEPER_CONTINUED] = follow_keeper,
    },
    [RUNNING] = {
        [STOP_ASKED]       = terminate,
        [SIGNALLED]        = terminate,
        [KEY_PRESSED]      = heed_key,
        [FAULT]            = terminate_for_fault,
        [CHILDREN_CHANGED] = reap,
        [KEEPER_CONTINUED] = follow_keeper,
        [PROGRAM_ENDED]    = begin_sweep,
    },
    [STOPPING] = {
        [FAULT]            = report_fault,
        [CHILDREN_CHANGED] = reap,
        [PROGRAM_ENDED]    = end_rest,
        [TIME_UP]          = lose_patience,
    },
    [ENDING] = {
        [FAULT]            = report_fault,
        [CHILDREN_CHANGED] = see_to_orphans,
        [TIME_UP]          = see_to_orphans,
    },
    [KILLING] = {
        [FAULT]            = report_fault,
        [CHILDREN_CHANGED] = sweep,
        [TIME_UP]          = sweep,
        [TREE_GONE]        = begin_drain,
    },
    [DRAINING] = {
        [FAULT]            = report_fault,
        [SIGNALLED]        = abandon_output,
        [KEY_PRESSED]      = abandon_output,
        [TIME_UP]          = give_up_draining,
        [DRAINED]          = tell_end,
    },
    [REPORTED] = {
        [SIGNALLED]        = note_signal,
        [LET_GO]           = leave,
    },
    [IDLE] = {
        [LAUNCH_ASKED]     = begin_launch,
        [FAULT]            = report_idle_fault,
        [SIGNALLED]        = leave_disused,
        [KEY_PRESSED]      = leave_disused,
        [TIME_UP]          = give_back_pipes,
        [DISUSED]          = leave_disused,
        [LET_GO]           = leave,
    },
};
/* clang-format on */

/* ---- The loop ---- */

static bool finished_draining(const struct output *output)
{
    return output->gone || (output_drained(output) && (platform_has_children || output_ended(output)));
}

/* An owner that has discarded the rest writes no more, and one that has closed its writing end may still be reading.
 * After an error nobody may be there who would close standard input, and a signal ends the wait. */
static bool is_let_go(const struct relay *relay)
{
    const struct output *output = &relay->launch->output;

    return output_sent(output) &&
           (relay->control < 0 || relay->disused || output->discard || (relay->signalled && relay->launch->never_ran));
}

static bool time_is_up(const struct relay *relay)
{
    return relay->deadline != 0 && io_now_us() >= relay->deadline;
}

/* From a shell. */
RARE static void post_output_failed(struct relay *relay)
{
    struct launch *launch = relay->launch;

    launch->output_failed = true;
    failed(&relay->fault, STAGE_RELAY, launch->output.error,
           "cannot write what the program has written to its terminal to standard output: %s",
           strerror(launch->output.error));
    relay_post(relay, FAULT);
}

RARE static void post_output_unread(struct relay *relay)
{
    int error = relay->launch->output.unread;

    relay->launch->output.unread = 0;
    failed(&relay->fault, STAGE_RELAY, error, "cannot read what the program has written: %s; the rest of it is lost",
           strerror(error));
    relay_post(relay, FAULT);
}

/* Posts what is no event of the kernel's, but follows from the state that there is now. Each of these ends with the
 * action that the table has for it, or is taken back here. */
static void post_what_follows(struct relay *relay)
{
    struct launch *launch = relay->launch;
    enum state state = relay->state;

    if (launch->output.error != 0 && !launch->output_failed)
        post_output_failed(relay);
    if (launch->output.unread != 0)
        post_output_unread(relay);
    if (launch->output.gone && (state == LAUNCHING || state == RUNNING))
        relay_post(relay, STOP_ASKED);
    if (launch->output.shortened) {
        launch->output.shortened = false;
        failed(&relay->fault, STAGE_RELAY, EIO,
               "the program, or a descendant, has read its own output back, as through /dev/stdout; what it took is "
               "lost, and has been replaced by zeros");
        relay_post(relay, FAULT);
    }
    if (time_is_up(relay)) {
        relay->deadline = 0;
        relay_post(relay, TIME_UP);
    }
    if (launch->tree.program_ended && (state == RUNNING || state == STOPPING))
        relay_post(relay, PROGRAM_ENDED);
    if (launch->tree_gone && state == KILLING)
        relay_post(relay, TREE_GONE);
    if (state == DRAINING && finished_draining(&launch->output))
        relay_post(relay, DRAINED);
    if (state == IDLE && output_sent(&launch->output))
        relay->bequest->launched = false;
    if (state == IDLE && relay->tether < 0)
        relay_post(relay, DISUSED);
    relay->posted &= ~(1u << LET_GO); /* a launch may have begun since, and ended, of whose end nothing is sent yet */
    if ((state == REPORTED || state == IDLE) && is_let_go(relay))
        relay_post(relay, LET_GO);
}

static enum event take_first_posted(struct relay *relay)
{
    unsigned event = 0;

    while ((relay->posted & 1u << event) == 0)
        event++;
    relay->posted &= ~(1u << event);
    return (enum event)event;
}

/* The owner is told of credit as soon as there is room for that. */
RARE static void pump_input(struct relay *relay)
{
    struct input *input = &relay->launch->input;
    struct output *output = &relay->launch->output;
    uint32_t granted;

    input_pump(input);
    if (input->relayed && input->lost) /* once, and before the end: this needs no room of its own */
        output_queued(output, protocol_input_closed(output_control(output), input->taken));
    input->lost = false;
    if (!input->relayed || !output_has_room(output))
        return;
    granted = input_grant(input, io_now_us());
    if (granted > 0)
        output_queued(output, protocol_credit(output_control(output), granted));
}

/* Deals with one event after the other until none is left. Whatever a step brings about is asked for again after it. */
static void settle(struct relay *relay)
{
    for (;;) {
        action *act;

        if (relay->launch->input.fd >= 0 || relay->launch->input.lost)
            pump_input(relay);
        output_pump(&relay->launch->output, io_now_us());
        post_what_follows(relay);
        if (relay->posted == 0 || relay->state == DONE)
            return;
        act = table[relay->state][take_first_posted(relay)];
        if (act)
            relay->state = act(relay);
    }
}

/* The signal of the terminal's keys that has ended the program; 0 when none has. */
static int key_that_ended(const struct launch *launch)
{
    int status = launch->tree.program_status;
    int signal = launch->tree.program_ended && WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    return (signal == SIGINT && (launch->keys & TERMINAL_INTERRUPT) != 0) ||
                   (signal == SIGQUIT && (launch->keys & TERMINAL_QUIT) != 0)
               ? signal
               : 0;
}

/* From a shell, a program that has died of the terminal's keys takes us with it in the same way, so that a shell which
 * runs a script knows that the user has interrupted it. */
RARE static void choose_end(const struct relay *relay)
{
    int signal = relay->stopped_by_key != 0 ? relay->stopped_by_key : key_that_ended(relay->launch);

    if (signal != 0)
        (void)tether_tell(relay->tether, TETHER_END_BY, signal);
}

static int exit_status(const struct launch *launch)
{
    int status = launch->tree.program_status;

    if (launch->cancelled)
        return child_exit_status_of_cancelled(&launch->options);
    if (launch->never_ran)
        return child_exit_status_of(&launch->why);
    if (!launch->tree.program_ended || launch->output_failed)
        return EXIT_MUONTRAP_FAILED;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In the program's place. Nothing is relayed, and nothing has to become a program first. */
RARE static bool take_attached(struct relay *relay, struct failure *why)
{
    struct launch *launch = relay->launch;

    launch->child = (struct child){.verdict_fd = -1};
    stdio_none(&launch->child.stdio);
    if (!attach_move(launch, why))
        return false;
    relay->state = launched(relay);
    return true;
}

/* Starts the program of the command line. */
static bool start_first(struct relay *relay, struct failure *why)
{
    relay->state = LAUNCHING;
    relay->bequest->launched = true;
    if (!(relay->launch->tree.attached > 0 ? take_attached(relay, why) : start(relay, why)))
        return false;
    /* There is a process that depends on us: no way out but through the table, which leaves nothing of it alive. */
    signals_unblock();
    events_read_signals(relay);
    relay->key_missed = relay->key_missed && relay->launch->keys != 0; /* else it is ignored */
    if (relay->launch->lifeline_ended)
        relay_post(relay, STOP_ASKED);
    return true;
}

static __attribute__((noinline)) void loop(struct relay *relay)
{
    for (settle(relay); relay->state != DONE; settle(relay))
        events_wait(relay);
}

static void start_idle(struct relay *relay)
{
    relay->state = become_idle(relay);
    signals_unblock();
}

/* Without frames, and so without a window. */
RARE static void relay_console(struct launch *launch)
{
    output_open_raw(&launch->output, console_output());
    signals_take_resizes();
    (void)console_measure(&launch->console); /* it may have changed since it was noted */
}

int relay_run(struct launch *launch, const struct tether *tether, struct failure *why)
{
    struct relay relay = {.launch = launch,
                          .waits = launch->options.waits,
                          .tether = tether->fd,
                          .bequest = tether->bequest,
                          .keeper = tether->keeper,
                          .parent = tether->parent};

    launch->decoder.text = launch->text;
    relay.control = launch->lifeline || launch->options.port ? STDIN_FILENO : -1;
    output_init(&launch->output, STDOUT_FILENO, launch->options.stdio_window);
    launch->console.input = -1;
    if (launch->options.pty && !launch->options.port)
        relay_console(launch);
    input_init(&launch->input, launch->input_bytes);
    signals_ignore_continuation_by(tether->keeper);
    if (!tree_open(&launch->tree, why) || (relay.signals = signals_reopen(why)) < 0)
        return -1;
    if (launch->options.port)
        platform_name_self("muontrap-relay");
    if (relay.waits)
        start_idle(&relay);
    else if (!start_first(&relay, why))
        return -1;
    loop(&relay);
    if (relay.bequest->raw)
        console_restore(&launch->console);
    if (!launch->options.port)
        choose_end(&relay);
    return relay.waits && !launch->never_ran ? 0 : exit_status(launch);
}
