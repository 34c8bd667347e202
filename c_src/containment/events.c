/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "containment/events.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "base/signals.h"
#include "containment/deliver.h"
#include "containment/job_control.h"
#include "containment/tether.h"
#include "launch.h"
#include "program/pty.h"

/* ---- Standard input ---- */

/* What the owner sends is not read as frames any more, and so no acknowledgement is. */
RARE static void become_deaf(struct relay *relay)
{
    relay->deaf = true;
    relay->launch->output.unacknowledged = true;
}

static void acknowledge(struct relay *relay, uint32_t bytes)
{
    const struct window *window = &relay->launch->output.window;

    if (output_acknowledged(&relay->launch->output, bytes, io_now_us()))
        return;
    failed(&relay->fault, STAGE_PROTOCOL, EPROTO,
           "%lu bytes were acknowledged, where only %lu had been sent and not acknowledged before",
           (unsigned long)bytes, (unsigned long)window->outstanding);
    become_deaf(relay);
    relay_post(relay, FAULT);
}

/* Once the tree is being killed there is nobody left who could make something of a signal. */
RARE static void send_signal(struct relay *relay, const struct command *command)
{
    struct launch *launch = relay->launch;
    bool runs = relay->state == RUNNING || relay->state == STOPPING || relay->state == ENDING;
    int error = ESRCH;

    if (relay->state == REPORTED) /* the owner has got the last frame, or soon will */
        return;
    if (command->signal < 0 || command->receiver >= RECEIVERS)
        error = EINVAL;
    else if (runs)
        error = deliver(launch, (enum receiver)command->receiver, command->signal);
    output_queued(&launch->output, protocol_signalled(output_control(&launch->output), command->id, error));
}

/* At once, for what comes behind the launch is meant for it. */
static void take_launch(struct relay *relay, size_t text_size)
{
    launch_renew(relay->launch);
    relay->text_size = text_size;
    relay_post(relay, LAUNCH_ASKED);
}

/* Nothing runs, and nothing is about to. */
static bool waits_for_launch(const struct relay *relay)
{
    return relay->state == IDLE && (relay->posted & 1u << LAUNCH_ASKED) == 0;
}

/* What the owner has sent about a program before it knew of its end. */
static bool is_late(const struct relay *relay, const struct command *command)
{
    return waits_for_launch(relay) && command->kind != COMMAND_LAUNCH && command->kind != COMMAND_DISCARD &&
           command->kind != COMMAND_MALFORMED;
}

/* What follows the frame is not read any more. */
RARE static void refuse(struct relay *relay, const char *what, const char *why)
{
    failed(&relay->fault, STAGE_PROTOCOL, EPROTO, "%s arrived on standard input %s; see docs/protocol.md", what, why);
    become_deaf(relay);
    relay_post(relay, FAULT);
}

static bool accepts_input(const struct relay *relay)
{
    return relay->launch->input.relayed && !relay->launch->input.ending;
}

RARE static void refuse_input(struct relay *relay, const char *what)
{
    refuse(relay, what,
           relay->launch->input.relayed
               ? "after the end of the input"
               : "for a program whose standard input isn't relayed, or that hasn't been told as started");
}

RARE static void take_input(struct relay *relay, uint32_t size)
{
    struct input *input = &relay->launch->input;

    if (!accepts_input(relay))
        refuse_input(relay, "an input");
    else if (!input_take(input, size))
        refuse(relay, "an input", "for which there was no credit");
}

RARE static void end_input(struct relay *relay)
{
    if (accepts_input(relay))
        input_end(&relay->launch->input);
    else
        refuse_input(relay, "an end of input");
}

/* A program that has ended, which the owner need not know yet, has no terminal any more. */
RARE static void resize(struct relay *relay, const struct command *command)
{
    const struct launch *launch = relay->launch;

    if (!launch->options.pty || relay->state == LAUNCHING || relay->state == IDLE)
        refuse(relay, "a resize", "for a program that has no terminal, or hasn't been told as started");
    else if (command->rows == 0 || command->columns == 0)
        refuse(relay, "a resize", "to no rows or no columns");
    else if (launch->child.stdio.master >= 0)
        (void)pty_resize(launch->child.stdio.master,
                         (struct window_size){.rows = command->rows, .columns = command->columns});
}

static void obey(struct relay *relay, struct command *command)
{
    if (is_late(relay, command))
        return;
    switch (command->kind) {
    case COMMAND_ACK:
        acknowledge(relay, command->bytes);
        break;
    case COMMAND_STOP:
        relay->launch->stopped = relay->launch->stopped || !relay->launch->tree.program_ended;
        relay_post(relay, STOP_ASKED);
        break;
    case COMMAND_SIGNAL:
        send_signal(relay, command);
        break;
    case COMMAND_LAUNCH:
        take_launch(relay, command->text_size);
        break;
    case COMMAND_INPUT:
        take_input(relay, command->bytes);
        break;
    case COMMAND_PIECE:
        input_copy(&relay->launch->input, command->piece, command->piece_size);
        break;
    case COMMAND_END_OF_INPUT:
        end_input(relay);
        break;
    case COMMAND_RESIZE:
        resize(relay, command);
        break;
    case COMMAND_DISCARD:
        relay->launch->output.discard = true;
        break;
    case COMMAND_MALFORMED:
        relay->fault = command->why;
        become_deaf(relay);
        relay_post(relay, FAULT);
        break;
    case COMMAND_NONE:
        break;
    }
}

static void read_frames(struct relay *relay, const uint8_t *bytes, size_t size)
{
    struct command command = {.kind = COMMAND_ACK};

    while (!relay->deaf && command.kind != COMMAND_NONE) {
        relay->launch->decoder.expects_launch = waits_for_launch(relay);
        protocol_decode(&relay->launch->decoder, &bytes, &size, &command);
        obey(relay, &command);
    }
}

RARE static void refuse_truncated(struct relay *relay)
{
    const struct decoder *decoder = &relay->launch->decoder;

    failed(&relay->fault, STAGE_PROTOCOL, EPROTO, "standard input ended within a frame, %lu bytes %s",
           (unsigned long)(decoder->left > 0 ? decoder->left : decoder->have),
           decoder->left > 0 ? "before the end of an input" : "after its beginning");
    become_deaf(relay);
    relay_post(relay, FAULT);
}

/* A frame that has begun and not ended is truncated; the owner may still be reading. */
static void owner_gone(struct relay *relay)
{
    relay->control = -1;
    relay->launch->output.unacknowledged = true;
    if ((relay->launch->decoder.have > 0 || relay->launch->decoder.left > 0) && !relay->deaf)
        refuse_truncated(relay);
    relay_post(relay, STOP_ASKED);
}

/* What the owner sends from now on can't be known, and that it has gone would be untrue. */
RARE static void lose_owner(struct relay *relay, int error)
{
    failed(&relay->fault, STAGE_RELAY, error, "cannot read from standard input: %s", strerror(error));
    become_deaf(relay);
    relay_post(relay, FAULT);
    owner_gone(relay);
}

/* The read has brought nothing. */
static void take_end(struct relay *relay, ssize_t size)
{
    if (size == 0)
        owner_gone(relay);
    else if (errno != EINTR && errno != EAGAIN)
        lose_owner(relay, errno);
}

static void read_control(struct relay *relay)
{
    uint8_t bytes[2048]; /* most launches fit in */
    ssize_t size = platform_read_now(relay->control, bytes, sizeof bytes);

    if (size > 0)
        read_frames(relay, bytes, (size_t)size);
    else
        take_end(relay, size);
}

/* The rest of an input: what the program has room for at once need not be copied, and what it hasn't is read, because
 * what comes behind it must not wait for the program. False where it is to be read as any frame. */
RARE static bool read_input(struct relay *relay)
{
    struct input *input = &relay->launch->input;
    struct decoder *decoder = &relay->launch->decoder;
    ssize_t size;

    if (relay->deaf || waits_for_launch(relay))
        return false;
    size = (ssize_t)input_move(input, relay->control, decoder->left);
    if (size == 0) {
        size_t most;
        uint8_t *room = input_room(input, &most);

        if (most == 0)
            return false;
        size = platform_read_now(relay->control, room, most < decoder->left ? most : decoder->left);
        if (size > 0)
            input_put(input, (size_t)size);
        else
            take_end(relay, size);
    }
    if (size > 0)
        decoder->left -= (uint32_t)size;
    return true;
}

/* Nothing is ever read from a lifeline: what somebody has written there is for whoever reads it after us. Nor from an
 * owner that doesn't read its answers: the news is then that it has hung up. */
static void control_has_news(struct relay *relay)
{
    if (!relay->launch->options.port || !output_has_room(&relay->launch->output))
        owner_gone(relay);
    else if (relay->launch->decoder.left == 0 || !read_input(relay))
        read_control(relay);
}

/* ---- The terminal that we were started from ---- */

/* A size that was asked for stays. */
RARE static void follow_console(struct relay *relay)
{
    struct launch *launch = relay->launch;

    if (launch->options.pty_rows == 0 && launch->child.stdio.master >= 0 && console_measure(&launch->console))
        (void)pty_resize(launch->child.stdio.master, launch->console.size);
}

/* In the background nothing can be read from it, and who tries is stopped for that (POSIX, Base Definitions, 11.1.4).
 * When somebody continues the keeper in the foreground, it is taken again. */
RARE void events_take_console(struct relay *relay)
{
    struct console *console = &relay->launch->console;

    io_close_unless(&console->input, STDIN_FILENO);
    if (!console_is_ours(console)) {
        job_control_stop_keeper(relay, SIGTTIN);
        return;
    }
    job_control_continue_keeper(relay);
    relay->bequest->raw = true;
    console_make_raw(console);
    follow_console(relay); /* SIGWINCH comes to the foreground only */
    console->input = console_input();
}

RARE static void read_console(struct relay *relay)
{
    struct console *console = &relay->launch->console;
    struct input *input = &relay->launch->input;
    size_t most;
    uint8_t *room = input_room(input, &most);
    ssize_t size = console_read(console, room, most);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0) {
        input_put(input, (size_t)size);
    } else if (size < 0 && !console_is_ours(console)) {
        events_take_console(relay);
    } else {
        io_close_unless(&console->input, STDIN_FILENO);
        input_end(input);
    }
}

/* Only what finds room at once, so that what the program doesn't read is left for others who read the same file. */
static bool awaits_console(const struct launch *launch)
{
    return launch->console.input >= 0 && launch->input.fd >= 0 && !launch->input.ending && launch->input.count == 0;
}

/* ---- The keeper and the signals ---- */

RARE static void pass_on(struct relay *relay, const struct signals *signals)
{
    for (unsigned i = 0; i < signals->passed_count; i++) {
        if (signals->passed[i] == SIGWINCH)
            follow_console(relay);
        else
            (void)tree_signal(&relay->launch->tree, signals->passed[i]);
    }
}

void events_read_signals(struct relay *relay)
{
    struct signals signals = signals_take();

    relay->launch->keys |= signals.keys;
    if (signals.continued)
        job_control_note_continuation(relay);
    if (signals.child)
        relay_post(relay, CHILDREN_CHANGED);
    if (signals.stop)
        relay_post(relay, SIGNALLED);
    if (signals.keys != 0)
        relay_post(relay, KEY_PRESSED);
    if (signals.passed_count > 0)
        pass_on(relay, &signals);
}

/* A key that the relay has got as well has been dealt with. */
RARE static void keys_of_keeper(struct relay *relay, unsigned keys)
{
    if ((keys & ~relay->launch->keys) == 0)
        return;
    relay->launch->keys |= keys;
    relay->key_missed = true;
    relay_post(relay, KEY_PRESSED);
}

/* A signal that has come to the keeper and to us is looked for here first, because the keeper tells of it. */
static void read_tether(struct relay *relay, short events)
{
    struct tether_message message;

    while (tether_read(relay->tether, &message)) {
        events_read_signals(relay);
        if (message.kind == TETHER_KEYS)
            keys_of_keeper(relay, (unsigned)message.value);
        if (message.kind == TETHER_CONTINUED) {
            relay->keeper_continued_from = message.value;
            relay->keeper_told++;
            relay_post(relay, KEEPER_CONTINUED);
        }
    }
    if ((events & (POLLHUP | POLLERR)) != 0) {
        relay->tether = -1;
        relay_post(relay, STOP_ASKED);
    }
}

/* ---- Waiting ---- */

enum watched {
    WATCH_SIGNALS,
    WATCH_TETHER,
    WATCH_CONTROL,
    WATCH_PROGRAM, /* what becomes of it at its start, and the end of a process in its place */
    WATCH_PORT,
    WATCH_CGROUP,
    WATCH_INPUT,
    WATCH_CONSOLE,
    WATCH_STREAMS,
    WATCHED = WATCH_STREAMS + OUTPUT_STREAMS
};

/* poll(2) tells of errors and hang-ups even when not asked, so what can't be dealt with now is not watched at all. */
static void watch(const struct relay *relay, struct pollfd fds[WATCHED])
{
    const struct launch *launch = relay->launch;
    const struct output *output = &launch->output;
    bool awaits_empty_cgroup = relay->state == KILLING && launch->sweeping.populated;

    fds[WATCH_SIGNALS] = (struct pollfd){.fd = relay->signals, .events = POLLIN};
    fds[WATCH_TETHER] = (struct pollfd){.fd = relay->tether, .events = POLLIN};
    fds[WATCH_CONTROL] = (struct pollfd){.fd = relay->control, .events = output_has_room(output) ? POLLIN : 0};
    if (!launch->options.port) /* a lifeline: a hang-up is told even when it isn't asked for */
        fds[WATCH_CONTROL].events = platform_poll_shut;
    fds[WATCH_PROGRAM] =
        (struct pollfd){.fd = relay->state == LAUNCHING ? launch->child.verdict_fd : tree_awaited(&launch->tree),
                        .events = POLLIN};
    fds[WATCH_PORT] = (struct pollfd){.fd = output->blocked ? output->fd : -1, .events = POLLOUT};
    fds[WATCH_CGROUP] =
        (struct pollfd){.fd = awaits_empty_cgroup ? cgroup_events(launch->cgroup) : -1, .events = POLLPRI};
    /* That nobody reads a pipe any more is told even when it isn't asked for. */
    fds[WATCH_INPUT] = (struct pollfd){.fd = launch->input.fd, .events = launch->input.blocked ? POLLOUT : 0};
    fds[WATCH_CONSOLE] = (struct pollfd){.fd = awaits_console(launch) ? launch->console.input : -1, .events = POLLIN};
    for (int i = 0; i < OUTPUT_STREAMS; i++)
        fds[WATCH_STREAMS + i] =
            (struct pollfd){.fd = output_wants(output, &output->streams[i]) ? output->streams[i].fd : -1,
                            .events = POLLIN};
}

/* Two processes that take turns over a small window spend most of their time in being put to sleep and woken. So for a
 * reader that is fast the relay polls for the next acknowledgement for a short while before it goes to sleep. */
#define POLLING_US 50u

static int poll_for_acknowledgement(struct relay *relay, struct pollfd fds[WATCHED])
{
    uint64_t until = io_now_us() + POLLING_US;
    int ready = 0;

    while (window_is_about_to_open(&relay->launch->output.window) && (ready = poll(fds, WATCHED, 0)) == 0 &&
           io_now_us() < until)
        (void)sched_yield();
    return ready;
}

/* Nothing is begun by an idle helper that has been told to end, or whose keeper is dead. */
static bool is_to_leave(const struct relay *relay, const struct pollfd *tether)
{
    return relay->state == IDLE && ((tether->revents & (POLLHUP | POLLERR)) != 0 ||
                                    (relay->posted & (1u << SIGNALLED | 1u << KEY_PRESSED)) != 0);
}

/* How long nothing must happen for the code of the start to be given back: what was needed a moment ago may be needed
 * again in a moment, when the program has ended or the next one is launched. */
#define FORGET_AFTER_MS 10

static int wait_for_news(struct relay *relay, struct pollfd fds[WATCHED])
{
    int ms = relay->more_dead || relay->launch->output.unfinished ? 0 : io_left_ms(relay->deadline);

    if (relay->forgets_in > 0 && (ms < 0 || ms > FORGET_AFTER_MS)) {
        int ready = --relay->forgets_in > 0 ? poll(fds, WATCHED, FORGET_AFTER_MS) : 0;

        if (ready != 0)
            return ready;
        platform_forget_start();
        relay->forgets_in = 0;
        ms = io_left_ms(relay->deadline);
    }
    return poll(fds, WATCHED, ms);
}

RARE static void hear_of_input(struct relay *relay, short events)
{
    if ((events & (POLLERR | POLLHUP)) != 0)
        input_lose(&relay->launch->input);
    else
        relay->launch->input.blocked = false;
}

void events_wait(struct relay *relay)
{
    struct pollfd fds[WATCHED];

    watch(relay, fds);
    if (poll_for_acknowledgement(relay, fds) == 0 && wait_for_news(relay, fds) < 0)
        return; /* EINTR: the signal has left its byte in the pipe; ENOMEM, EAGAIN: the next try may do better */
    for (int i = 0; i < OUTPUT_STREAMS; i++)
        if (fds[WATCH_STREAMS + i].revents)
            relay->launch->output.streams[i].readable = true;
    if (fds[WATCH_PORT].revents)
        relay->launch->output.blocked = false;
    if (fds[WATCH_INPUT].revents)
        hear_of_input(relay, fds[WATCH_INPUT].revents);
    if (fds[WATCH_CONSOLE].revents)
        read_console(relay);
    if (fds[WATCH_PROGRAM].revents)
        relay_post(relay, relay->state == LAUNCHING ? VERDICT : CHILDREN_CHANGED);
    if (fds[WATCH_SIGNALS].revents)
        events_read_signals(relay);
    if (fds[WATCH_CONTROL].revents && !is_to_leave(relay, &fds[WATCH_TETHER]))
        control_has_news(relay);
    if (relay->more_dead || fds[WATCH_CGROUP].revents)
        relay_post(relay, CHILDREN_CHANGED);
    if (fds[WATCH_TETHER].revents)
        read_tether(relay, fds[WATCH_TETHER].revents);
}
