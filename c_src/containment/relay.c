/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _XOPEN_SOURCE 700
#include "containment/relay.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/signals.h"
#include "containment/sweep.h"
#include "port/output.h"
#include "port/protocol.h"
#include "port/report.h"

enum state {
    RUNNING,  /* the program runs */
    STOPPING, /* it has got SIGTERM and time to end by itself */
    KILLING,  /* the sweep goes on until no descendant is left */
    DRAINING, /* what the dead have written is being sent */
    REPORTED, /* the owner has been told all, and lets go in its own time */
    DONE,
    STATES
};

enum event {
    STOP_ASKED, /* by the owner, a signal, the end of the lifeline, the keeper's death or an error */
    PROGRAM_ENDED,
    TIME_UP,    /* the deadline of the state has passed: the program's time, or until the sweep's next pass */
    TREE_GONE,  /* no descendant is left */
    DRAINED,    /* nothing is left to send */
    OWNER_GONE, /* standard input has ended */
    EVENTS
};

struct relay {
    const struct options *options;
    const struct cgroup *cgroup;
    struct ending ending;
    struct tree tree;
    struct output output;
    struct decoder decoder;
    enum state state;
    uint64_t deadline; /* in microseconds as of io_now_us(); 0: none */
    uint64_t patience; /* when the program's time to end is up; meanwhile the deadline is the next look at its cgroup */
    uint64_t look_again; /* how long after the last look */
    uint64_t forked;     /* by its cgroup, when it was told to end */
    bool forks_known;
    struct sweeping sweeping;
    int tether; /* -1 once it has hung up */
    pid_t keeper;
    bool keeper_stopped; /* because the program is */
    bool more_dead;      /* orphans are still to be reaped, though their signals have been taken */
    int control;         /* standard input as frames or lifeline; -1 when it is neither or has ended */
    int signals;
    bool deaf; /* a malformed frame has come: what follows has no meaning */
};

typedef enum state action(struct relay *relay);

static enum state happened(struct relay *relay, enum event event);
static void continue_keeper(struct relay *relay);
static enum state begin_sweep(struct relay *relay);

static void set_deadline(struct relay *relay)
{
    relay->deadline = io_now_us() + (uint64_t)relay->options->delay_to_sigkill * 1000u;
}

static void report(struct relay *relay, const struct failure *why)
{
    if (relay->options->port)
        output_queued(&relay->output, protocol_error(output_control(&relay->output), why));
    else
        report_words("%s", why->words);
}

/* A program that has been told to end, and since then has become so many processes more, isn't about to. It is a fork
 * bomb, and the longer it has the longer it takes the kernel to end it. */
#define BOMB 1000u
#define FIRST_LOOK_US 25000u

static void look_later(struct relay *relay)
{
    uint64_t next = io_now_us() + relay->look_again;

    relay->deadline = relay->forks_known && next < relay->patience ? next : relay->patience;
    relay->look_again *= 2;
}

static enum state lose_patience(struct relay *relay)
{
    uint64_t forked;

    if (io_now_us() >= relay->patience)
        return begin_sweep(relay);
    if (cgroup_forked(relay->cgroup, &forked) && forked >= relay->forked + BOMB)
        return begin_sweep(relay);
    look_later(relay);
    return STOPPING;
}

/* SIGCONT, because a stopped program would not notice the SIGTERM (as timeout(1) does). In a hurry, because a program
 * that forks without end would go on for seconds after its time is up, before our turn came. */
static enum state terminate(struct relay *relay)
{
    platform_hurry(0);
    continue_keeper(relay);
    (void)kill(relay->tree.program, SIGTERM);
    (void)kill(relay->tree.program, SIGCONT);
    set_deadline(relay);
    relay->patience = relay->deadline;
    relay->look_again = FIRST_LOOK_US;
    relay->forks_known = relay->cgroup && cgroup_forked(relay->cgroup, &relay->forked);
    look_later(relay);
    return STOPPING;
}

static void report_refused(struct relay *relay)
{
    struct failure why;

    failed(&why, STAGE_SWEEP, EPERM,
           "process %ld could not be killed and is left running: not permitted (it runs as another user; only root "
           "could kill it)",
           (long)relay->tree.refused);
    report(relay, &why);
}

/* Goes on until no descendant is left. */
static enum state sweep(struct relay *relay)
{
    enum sweep result = sweep_pass(&relay->sweeping, &relay->tree, relay->cgroup);

    relay->deadline = relay->sweeping.due;
    relay->more_dead = false;
    if (result == SWEEP_GOES_ON)
        return KILLING;
    if (result == SWEEP_REFUSED)
        report_refused(relay);
    return happened(relay, TREE_GONE);
}

static enum state begin_sweep(struct relay *relay)
{
    relay->state = KILLING;
    platform_hurry(0);
    return sweep(relay);
}

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_usec;
}

static void gather_figures(struct relay *relay)
{
    int status = relay->tree.program_status;
    struct ending *ending = &relay->ending;
    struct rusage usage;

    *ending = (struct ending){.signalled = WIFSIGNALED(status), .stragglers = relay->tree.killed};
    ending->code = (uint32_t)(ending->signalled ? WTERMSIG(status) : WEXITSTATUS(status));
    if (!relay->tree.program_ended)
        ending->code = EXIT_MUONTRAP_FAILED; /* the sweep was refused, and has been reported */
#ifdef WCOREDUMP
    ending->core_dumped = ending->signalled && WCOREDUMP(status);
#endif
    /* getrusage(2): all descendants that have ended and been waited for; the peak is the largest one's, in
     * kilobytes. */
    if (getrusage(RUSAGE_CHILDREN, &usage) == 0) {
        ending->user_us = microseconds(usage.ru_utime);
        ending->system_us = microseconds(usage.ru_stime);
        ending->peak_bytes = (uint64_t)usage.ru_maxrss * 1024u;
    }
    cgroup_figures(relay->cgroup, ending);
}

/* All writers are dead, so what they wrote is in the pipes and an empty pipe is a finished one. Only where
 * descendants may have escaped, or die in their own time because we are not their parent, does it take the pipe's
 * end, or a while. */
static enum state begin_drain(struct relay *relay)
{
    struct failure why;

    gather_figures(relay);
    if (!cgroup_remove(relay->cgroup, &why))
        report(relay, &why);
    for (int i = 0; i < OUTPUT_STREAMS; i++)
        relay->output.streams[i].readable = relay->output.streams[i].fd >= 0;
    if (!platform_has_children)
        set_deadline(relay);
    return DRAINING;
}

static enum state tell_end(struct relay *relay)
{
    relay->deadline = 0;
    /* Nothing follows the end, even if a stranger still holds a pipe open. */
    for (int i = 0; i < OUTPUT_STREAMS && relay->output.moving == 0; i++)
        io_close(&relay->output.streams[i].fd);
    if (!relay->options->port)
        return DONE;
    output_queued(&relay->output, protocol_exited(output_control(&relay->output), &relay->ending));
    return REPORTED;
}

/* The time for what may never end is up. What the owner has held up is not lost for that. */
static enum state give_up_draining(struct relay *relay)
{
    if (!relay->output.blocked && window_room(&relay->output.window) > 0)
        return tell_end(relay);
    set_deadline(relay);
    return DRAINING;
}

static enum state stay(struct relay *relay)
{
    return relay->state;
}

/* An owner that has closed its writing end only may still be reading. */
static enum state leave(struct relay *relay)
{
    return output_drained(&relay->output) ? DONE : REPORTED;
}

/* What happens on any event in any state. */
/* clang-format off */
static action *const table[STATES][EVENTS] = {
    /*            STOP_ASKED  PROGRAM_ENDED  TIME_UP           TREE_GONE    DRAINED   OWNER_GONE */
    [RUNNING]  = {terminate,  begin_sweep,   stay,             stay,        stay,     terminate},
    [STOPPING] = {stay,       begin_sweep,   lose_patience,    stay,        stay,     stay},
    [KILLING]  = {stay,       stay,          sweep,            begin_drain, stay,     stay},
    [DRAINING] = {stay,       stay,          give_up_draining, stay,        tell_end, stay},
    [REPORTED] = {stay,       stay,          stay,             stay,        stay,     leave},
    [DONE]     = {stay,       stay,          stay,             stay,        stay,     stay},
};
/* clang-format on */

static enum state happened(struct relay *relay, enum event event)
{
    relay->state = table[relay->state][event](relay);
    return relay->state;
}

static void protocol_broken(struct relay *relay, const struct failure *why)
{
    relay->deaf = true;
    if (relay->state == REPORTED)
        return; /* nothing follows the end */
    report(relay, why);
    (void)happened(relay, STOP_ASKED);
}

static void acknowledge(struct relay *relay, uint32_t bytes)
{
    struct failure why;

    if (window_acknowledged(&relay->output.window, bytes, io_now_us()))
        return;
    failed(&why, STAGE_PROTOCOL, EPROTO,
           "%lu bytes were acknowledged, where only %lu had been sent and not acknowledged before",
           (unsigned long)bytes, (unsigned long)relay->output.window.outstanding);
    protocol_broken(relay, &why);
}

static void obey(struct relay *relay, const uint8_t *bytes, size_t size)
{
    struct command command = {.kind = COMMAND_ACK};

    while (!relay->deaf && command.kind != COMMAND_NONE) {
        protocol_decode(&relay->decoder, &bytes, &size, &command);
        switch (command.kind) {
        case COMMAND_ACK:
            acknowledge(relay, command.bytes);
            break;
        case COMMAND_STOP:
            (void)happened(relay, STOP_ASKED);
            break;
        case COMMAND_DISCARD:
            relay->output.discard = true;
            break;
        case COMMAND_MALFORMED:
            protocol_broken(relay, &command.why);
            break;
        case COMMAND_NONE:
            break;
        }
    }
}

/* A frame that has begun and not ended is truncated; the owner may still be reading. */
static void owner_gone(struct relay *relay)
{
    struct failure why;

    relay->control = -1;
    relay->output.unacknowledged = true;
    if (relay->decoder.have > 0 && !relay->deaf) {
        failed(&why, STAGE_PROTOCOL, EPROTO, "standard input ended within a frame, after %lu bytes of it",
               (unsigned long)relay->decoder.have);
        protocol_broken(relay, &why);
    }
    (void)happened(relay, OWNER_GONE);
}

static void read_control(struct relay *relay)
{
    uint8_t bytes[512];
    ssize_t size = platform_read_now(relay->control, bytes, sizeof bytes);

    if (size > 0 && relay->options->port)
        obey(relay, bytes, (size_t)size);
    else if (size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN))
        owner_gone(relay);
}

/* Job control has stopped the program: whoever waits for us (a shell) is to see the same of us, that is of the
 * keeper. The relay itself never stops, for what it watches must not go unwatched. Not with a lifeline and a plain
 * SIGSTOP, which nobody may be there to undo. */
static void stop_with_program(struct relay *relay)
{
    if (relay->keeper_stopped || relay->tether < 0 || relay->options->port ||
        (relay->control >= 0 && relay->tree.stop_signal == SIGSTOP))
        return;
    relay->keeper_stopped = true;
    tether_tell(relay->tether, TETHER_STOPPED, relay->tree.stop_signal);
}

/* The program has been continued, by whomever, or has ended. */
static void continue_keeper(struct relay *relay)
{
    if (relay->keeper_stopped && relay->tether >= 0)
        (void)kill(relay->keeper, SIGCONT);
    relay->keeper_stopped = false;
}

/* The keeper has been continued, and with it the program is meant. */
static void read_tether(struct relay *relay, short events)
{
    struct tether_message message;

    while (tether_take(relay->tether, &message))
        if (message.kind == TETHER_CONTINUED && relay->keeper_stopped && relay->tree.program > 0) {
            relay->keeper_stopped = relay->tree.program_stopped = false;
            (void)kill(relay->tree.program, SIGCONT);
        }
    if ((events & (POLLHUP | POLLERR)) != 0) {
        relay->tether = -1;
        (void)happened(relay, STOP_ASKED);
    }
}

static void children_changed(struct relay *relay)
{
    if (relay->state == KILLING) {
        relay->state = sweep(relay);
        return;
    }
    if (relay->state != RUNNING && relay->state != STOPPING)
        return;
    relay->more_dead = tree_reap(&relay->tree);
    if (relay->tree.program_stopped && !relay->tree.program_ended && relay->state == RUNNING)
        stop_with_program(relay);
    else
        continue_keeper(relay);
    if (relay->tree.program_ended)
        (void)happened(relay, PROGRAM_ENDED);
}

static void read_signals(struct relay *relay)
{
    struct signals signals = signals_take();

    if (signals.child)
        children_changed(relay);
    if (signals.stop)
        (void)happened(relay, STOP_ASKED);
}

enum watched {
    WATCH_SIGNALS,
    WATCH_TETHER,
    WATCH_CONTROL,
    WATCH_PORT,
    WATCH_CGROUP,
    WATCH_STREAMS,
    WATCHED = WATCH_STREAMS + OUTPUT_STREAMS
};

/* poll(2) tells of errors and hang-ups even when not asked, so what can't be dealt with now is not watched at all. */
static void watch(const struct relay *relay, struct pollfd fds[WATCHED])
{
    const struct output *output = &relay->output;

    fds[WATCH_SIGNALS] = (struct pollfd){.fd = relay->signals, .events = POLLIN};
    fds[WATCH_TETHER] = (struct pollfd){.fd = relay->tether, .events = POLLIN};
    fds[WATCH_CONTROL] = (struct pollfd){.fd = relay->control, .events = POLLIN};
    fds[WATCH_PORT] = (struct pollfd){.fd = output->blocked ? output->fd : -1, .events = POLLOUT};
    fds[WATCH_CGROUP] =
        (struct pollfd){.fd = relay->state == KILLING && relay->sweeping.populated ? cgroup_events(relay->cgroup) : -1,
                        .events = POLLPRI};
    for (int i = 0; i < OUTPUT_STREAMS; i++)
        fds[WATCH_STREAMS + i] =
            (struct pollfd){.fd = output_wants(output, &output->streams[i]) ? output->streams[i].fd : -1,
                            .events = POLLIN};
}

/* Two processes that take turns over a small window spend most of their time in being put to sleep and woken. So for a
 * reader that is fast the next acknowledgement is looked for a little while, before the relay goes to sleep. */
#define LOOK_FOR_US 50u

static int look(struct relay *relay, struct pollfd fds[WATCHED])
{
    uint64_t until = io_now_us() + LOOK_FOR_US;
    int ready = 0;

    while (window_is_about_to_open(&relay->output.window) && (ready = poll(fds, WATCHED, 0)) == 0 &&
           io_now_us() < until)
        (void)sched_yield();
    return ready;
}

static void wait_for_events(struct relay *relay)
{
    struct pollfd fds[WATCHED];

    watch(relay, fds);
    if (look(relay, fds) == 0 && poll(fds, WATCHED, relay->more_dead ? 0 : io_left_ms(relay->deadline)) < 0)
        return; /* EINTR: the signal has left its byte in the pipe; ENOMEM, EAGAIN: the next try may do better */
    for (int i = 0; i < OUTPUT_STREAMS; i++)
        if (fds[WATCH_STREAMS + i].revents)
            relay->output.streams[i].readable = true;
    if (fds[WATCH_CONTROL].revents)
        read_control(relay);
    if (fds[WATCH_SIGNALS].revents)
        read_signals(relay);
    else if (relay->more_dead || fds[WATCH_CGROUP].revents)
        children_changed(relay);
    if (fds[WATCH_TETHER].revents)
        read_tether(relay, fds[WATCH_TETHER].revents);
}

static bool finished_draining(const struct relay *relay)
{
    return relay->output.gone ||
           (output_drained(&relay->output) && (platform_has_children || output_ended(&relay->output)));
}

static void promise_broken(struct relay *relay)
{
    struct failure why;

    relay->output.broken_promise = false;
    failed(
        &why, STAGE_RELAY, EIO,
        "the program, or a descendant, has read its own output back, as through /dev/stdout; what it took is lost, and "
        "has been replaced by zeros");
    report(relay, &why);
    (void)happened(relay, STOP_ASKED);
}

/* What is not an event of the kernel's, but follows from what has been sent and what is left. */
static void conclude(struct relay *relay)
{
    if (relay->output.gone && relay->state == RUNNING)
        (void)happened(relay, STOP_ASKED);
    if (relay->output.broken_promise)
        promise_broken(relay);
    if (relay->deadline != 0 && io_now_us() >= relay->deadline)
        (void)happened(relay, TIME_UP);
    if (relay->state == DRAINING && finished_draining(relay))
        (void)happened(relay, DRAINED);
    output_pump(&relay->output, io_now_us());
    /* An owner that has discarded the rest writes no more, so it need not be waited for. */
    if (relay->state == REPORTED && (relay->control < 0 || relay->output.discard))
        (void)happened(relay, OWNER_GONE);
}

static void step(struct relay *relay)
{
    wait_for_events(relay);
    output_pump(&relay->output, io_now_us());
    conclude(relay);
}

int relay_run(const struct relay_setup *setup)
{
    static struct relay relay; /* its buffers are too large for a stack that is meant to stay small */
    int status;

    relay.options = setup->options;
    relay.tree = *setup->tree;
    relay.cgroup = setup->cgroup;
    relay.state = RUNNING;
    relay.tether = setup->tether->fd;
    relay.keeper = setup->tether->keeper;
    relay.signals = setup->signals;
    relay.control = setup->lifeline || setup->options->port ? STDIN_FILENO : -1;
    output_init(&relay.output, STDOUT_FILENO, setup->options->stdio_window, setup->child->stdout_fd,
                setup->child->stderr_fd);
    if (setup->options->port)
        output_queued(&relay.output, protocol_started(output_control(&relay.output), (uint32_t)relay.tree.program,
                                                      cgroup_path(relay.cgroup)));
    output_pump(&relay.output, io_now_us());
    while (relay.state != DONE)
        step(&relay);
    if (!relay.tree.program_ended)
        return EXIT_MUONTRAP_FAILED;
    status = relay.tree.program_status;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
