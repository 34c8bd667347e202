/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A model of the world around the relay, in which the real relay runs (relay.c, events.c, deliver.c, job_control.c,
 * tree.c, sweep.c, output.c, protocol.c, launch.c and what these need): system calls and the modules below are replaced
 * by functions that ask and change the model. Before each call by which the relay learns something, any event that is
 * possible in the world may happen, or several. All orders of them up to a number of events are gone through.
 *
 * The relay is run again from its start for each order. A run ends early where it comes to poll(2) in a state, of relay
 * and world together, that was there before with as many events left; nothing of the relay lives outside of that there.
 *
 * When the events are used up, what has to happen in the end goes on happening, one after the other: processes that
 * were killed end, time passes, the owner reads and acknowledges, the program ends or is told to by the owner. But one
 * that has been told so doesn't end by itself. These are the promises that are looked at:
 *   - the relay comes to its end, and never sleeps when nothing is left that could wake it (a lost wake-up, a state
 *     without a way out), nor runs without end;
 *   - started or an error comes first, exited or an error without a program exactly once a launch, and nothing after
 *     it, unless it says that the helper may be used again; who may launch and should not any more is told *unused*;
 *   - all that the program has written has been sent before that, unless the owner has gone or discarded it;
 *   - no process is signalled that has been reaped, or was never there; none is reaped twice;
 *   - at the end none is left.
 *
 * What it leaves out: cgroups, terminals, the program's input, attached processes, job control, locks, the stop
 * command, more than one stream, more than one descendant (of which what is special is its life beyond the program),
 * frames that come in pieces, and an acknowledgement of more than was sent. That it finds what is wrong is shown by
 * test/model/mutants, which make model-mutants runs.
 *
 *   explore_relay [EVENTS [SCENARIO]]
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/signals.h"
#include "cgroup/cgroup.h"
#include "containment/events.h"
#include "containment/relay.h"
#include "containment/tether.h"
#include "launch.h"
#include "program/identity.h"
#include "search.h"

enum { OWNER_IN = 0, OWNER_OUT = 1, SIGNALS = 50, TETHER, CHILDREN, VERDICT_PIPE, OUTPUT_PIPE };
enum { KEEPER = 10, RELAY = 20, PROGRAM = 100, DESCENDANT = 200 };

/* ---- The world ---- */

enum life { NONE, ALIVE, ZOMBIE, REAPED };

struct world {
    uint64_t now;
    /* The program, which is at first the process that is to become it. */
    enum life program;
    bool executes;  /* it runs, and isn't about to */
    bool cancelled; /* it never will */
    bool has_failed;
    bool failure_is_told;
    bool program_killed;
    int program_status;
    unsigned written; /* bytes to its output, in this launch */
    unsigned unread;  /* of which so many are in the pipe */
    bool holds_pipe;  /* the program, or rather its process, has its end of that pipe open */
    enum life descendant;
    bool descendant_killed;
    bool descendant_holds_pipe;
    int descendant_status;
    unsigned forks; /* how many descendants there have been */
    /* What the relay has open. */
    bool verdict_open;
    bool output_open;
    /* Signals. */
    bool child_noted;
    bool stop_noted;
    bool note_byte;
    bool keeper_dead;
    /* The owner. */
    uint8_t to_relay[64];
    unsigned to_relay_size;
    bool in_closed;  /* the owner's writing end */
    bool out_closed; /* the owner's reading end */
    bool out_full;   /* its pipe */
    bool met_nobody; /* the relay has written when nobody read */
    bool discarded;
    bool stopped;
    bool signalled;
    bool malformed;
    bool terminated; /* somebody has sent the relay SIGTERM */
    bool key_pressed;
    bool key_noted;
    bool key_was_early; /* there was no process yet that it could have reached */
    /* What the owner knows. */
    unsigned launches; /* that it has asked for */
    unsigned begun;    /* processes that the relay has made for one */
    bool launch_open;  /* it has asked for one whose end it doesn't know */
    bool started;
    bool errored;
    bool ended; /* exited, or an error without a program */
    bool may_launch;
    bool unused;
    unsigned received;
    unsigned outstanding;
    bool incomplete; /* what was received of the launch that has ended was less than what was written */
};

struct scenario {
    const char *name;
    bool waits;        /* launches come by frames */
    unsigned launches; /* so many at most */
    unsigned bytes;    /* that a program writes at most */
    bool is_job;       /* the program is in the relay's process group, and a key of the terminal may be pressed */
};

static const struct scenario scenarios[] = {
    {"program", false, 1, 2, false},
    {"launches", true, 2, 1, false},
    {"job", false, 1, 0, true},
};

static struct world world;
static const struct scenario *scenario;
static struct launch launch;
static struct bequest bequest;
static const struct relay *relay;
static jmp_buf end_of_run;
enum { RUN_PRUNED = 1, RUN_WRONG };

/* ---- Which way to go ---- */

static unsigned budget;
static unsigned fair_polls;
static unsigned looks_at_clock; /* since the last poll(2) */
static char wrong[300];

static __attribute__((format(printf, 1, 2), noreturn)) void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(wrong, sizeof wrong, format, args);
    va_end(args);
    longjmp(end_of_run, RUN_WRONG);
}

void search_goes_on_without_end(void)
{
    fail("it goes on without end");
}

/* ---- What can happen ---- */

static void note_child(void)
{
    world.note_byte = world.note_byte || !world.child_noted;
    world.child_noted = true;
}

static bool is_child(enum life life)
{
    return life == ALIVE || life == ZOMBIE;
}

/* A descendant whose parent has ended is the relay's child, and the kernel tells of it when it ends. */
static bool is_orphan(void)
{
    return world.program == ZOMBIE || world.program == REAPED;
}

static void end_descendant(int status)
{
    world.descendant_holds_pipe = false;
    world.descendant_status = status;
    world.descendant = is_orphan() ? ZOMBIE : REAPED; /* its parent, the program, reaps it */
    if (is_orphan())
        note_child();
}

static void end_program(int status)
{
    world.program = ZOMBIE;
    world.program_status = status;
    world.holds_pipe = false;
    note_child();
}

static void put_frame(const char *payload, size_t size)
{
    uint8_t *at = world.to_relay + world.to_relay_size;

    if (world.to_relay_size + 4 + size > sizeof world.to_relay)
        fail("the model's pipe is too small");
    at[0] = at[1] = at[2] = 0;
    at[3] = (uint8_t)size;
    memcpy(at + 4, payload, size);
    world.to_relay_size += 4 + (unsigned)size;
}

static bool can_write(void)
{
    return !world.in_closed && !world.discarded && !world.malformed && world.to_relay_size < 32;
}

static void do_acknowledge(void)
{
    const char payload[] = {'a', 0, 0, 0, (char)world.outstanding};

    put_frame(payload, sizeof payload);
    world.outstanding = 0;
}

static bool can_acknowledge(void)
{
    return can_write() && world.outstanding > 0;
}

static void forget_launch(void)
{
    world.started = world.errored = world.ended = world.may_launch = false;
    world.received = 0;
}

static void do_launch(void)
{
    put_frame("l--\0p", 6);
    world.launches++;
    world.launch_open = true;
    world.stopped = world.signalled = false; /* what came before was of no program */
    forget_launch();
}

static bool can_launch(void)
{
    return scenario->waits && can_write() && !world.launch_open && !world.unused && !world.out_closed &&
           world.launches < scenario->launches && (world.launches == 0 || world.may_launch);
}

static bool can_execute(void)
{
    return world.program == ALIVE && !world.executes && !world.has_failed && !world.program_killed && !world.cancelled;
}

static void do_execute(void)
{
    world.executes = true;
}

static void do_fail_to_execute(void)
{
    world.has_failed = true;
    end_program(127 << 8);
}

static bool can_obey(void)
{
    return world.program == ALIVE && world.cancelled && !world.program_killed;
}

static void do_obey(void)
{
    end_program(EXIT_MUONTRAP_FAILED << 8);
}

static bool can_write_output(void)
{
    return world.program == ALIVE && world.executes && world.written < scenario->bytes;
}

static void do_write_output(void)
{
    world.written++;
    if (world.output_open)
        world.unread++;
}

static bool can_end_program(void)
{
    return world.program == ALIVE && world.executes;
}

static void do_end_program(void)
{
    end_program(0);
}

static bool can_die(void)
{
    return world.program == ALIVE && world.program_killed;
}

static void do_die(void)
{
    end_program(SIGKILL);
}

static bool can_fork(void)
{
    return world.program == ALIVE && world.executes && world.forks == 0;
}

static void do_fork(void)
{
    world.descendant = ALIVE;
    world.descendant_holds_pipe = true;
    world.descendant_killed = false;
    world.forks++;
}

static bool can_end_descendant(void)
{
    return world.descendant == ALIVE;
}

static void do_end_descendant(void)
{
    end_descendant(0);
}

static bool can_descendant_die(void)
{
    return world.descendant == ALIVE && world.descendant_killed;
}

static void do_descendant_die(void)
{
    end_descendant(SIGKILL);
}

static bool can_descendant_write(void)
{
    return world.descendant == ALIVE && world.written < scenario->bytes;
}

static bool can_stop(void)
{
    return can_write() && !world.stopped && (world.launches > 0 || !scenario->waits);
}

static void do_stop(void)
{
    put_frame("s", 1);
    world.stopped = true;
}

static bool can_signal(void)
{
    return can_write() && !world.signalled && world.launch_open;
}

static void do_signal(void)
{
    put_frame("k\1\0\0\0\0"
              "TERM",
              10);
    world.signalled = true;
}

static bool can_spoil(void)
{
    return can_write();
}

static void do_spoil(void)
{
    put_frame("?", 1);
    world.malformed = true;
}

static bool can_discard(void)
{
    return can_write();
}

static void do_discard(void)
{
    put_frame("d", 1);
    world.discarded = true;
}

static bool can_close_in(void)
{
    return !world.in_closed;
}

static void do_close_in(void)
{
    world.in_closed = true;
}

static bool can_close_out(void)
{
    return !world.out_closed;
}

/* A dead owner has neither end any more. */
static void do_close_out(void)
{
    world.out_closed = world.in_closed = true;
    world.out_full = false;
}

static void do_stop_reading(void)
{
    world.out_closed = true;
    world.out_full = false;
}

static bool can_fill_out(void)
{
    return !world.out_full && !world.out_closed;
}

static void do_fill_out(void)
{
    world.out_full = true;
}

static bool can_empty_out(void)
{
    return world.out_full;
}

static void do_empty_out(void)
{
    world.out_full = false;
}

static bool can_terminate(void)
{
    return !world.terminated;
}

static void do_terminate(void)
{
    world.terminated = world.stop_noted = world.note_byte = true;
}

static bool can_press_key(void)
{
    return scenario->is_job && !world.key_pressed;
}

static void do_press_key(void)
{
    world.key_pressed = world.key_noted = world.note_byte = true;
}

static bool can_keeper_die(void)
{
    return !world.keeper_dead;
}

static void do_keeper_die(void)
{
    world.keeper_dead = true;
}

static bool can_pass_time(void)
{
    return relay->deadline > world.now;
}

static void do_pass_time(void)
{
    world.now = relay->deadline;
}

static const struct happening {
    const char *name;
    bool (*can)(void);
    void (*happen)(void);
    bool is_fair; /* it comes in the end, whatever else does */
} happenings[] = {
    {"the program is executed", can_execute, do_execute, false},
    {"the killed program dies", can_die, do_die, true},
    {"the process that was cancelled ends", can_obey, do_obey, true},
    {"the killed descendant dies", can_descendant_die, do_descendant_die, true},
    {"the owner's pipe becomes empty", can_empty_out, do_empty_out, true},
    {"the owner acknowledges", can_acknowledge, do_acknowledge, true},
    {"time passes", can_pass_time, do_pass_time, true},
    {"the owner launches", can_launch, do_launch, false},
    {"the program can't be executed", can_execute, do_fail_to_execute, false},
    {"the program writes", can_write_output, do_write_output, false},
    {"the program ends", can_end_program, do_end_program, false},
    {"the program forks", can_fork, do_fork, false},
    {"the descendant writes", can_descendant_write, do_write_output, false},
    {"the descendant ends", can_end_descendant, do_end_descendant, false},
    {"the owner sends stop", can_stop, do_stop, false},
    {"the owner sends signal", can_signal, do_signal, false},
    {"the owner sends nonsense", can_spoil, do_spoil, false},
    {"the owner sends discard", can_discard, do_discard, false},
    {"the owner closes standard input", can_close_in, do_close_in, false},
    {"the owner dies", can_close_out, do_close_out, false},
    {"the owner closes its end of standard output", can_close_out, do_stop_reading, false},
    {"the owner's pipe becomes full", can_fill_out, do_fill_out, false},
    {"SIGTERM", can_terminate, do_terminate, false},
    {"the keeper dies", can_keeper_die, do_keeper_die, false},
    {"Ctrl-C is pressed", can_press_key, do_press_key, false},
};

#define HAPPENINGS (sizeof happenings / sizeof happenings[0])

/* Before a call by which the relay learns something. */
static void let_happen(void)
{
    while (budget > 0) {
        const struct happening *possible[HAPPENINGS];
        unsigned count = 0;
        unsigned chosen;

        for (size_t i = 0; i < HAPPENINGS; i++)
            if (happenings[i].can())
                possible[count++] = &happenings[i];
        chosen = search_choose(count + 1);
        if (chosen == 0)
            return;
        search_say("", possible[chosen - 1]->name);
        budget--;
        possible[chosen - 1]->happen();
    }
}

/* ---- What the owner gets ---- */

static void take_end(bool reusable)
{
    if (!world.launch_open)
        fail("an end was told of nothing, or twice");
    world.launch_open = false;
    world.ended = true;
    world.may_launch = reusable;
    world.incomplete = world.started && world.received < world.written && !world.discarded;
    if (world.incomplete && !world.out_closed)
        fail("%u bytes were written, and %u sent before the end", world.written, world.received);
}

static void take_frame(uint8_t tag, const uint8_t *payload, size_t size)
{
    if (tag == 'U') {
        if (world.unused || world.started != world.ended)
            fail("unused was told in the middle of a launch");
        world.unused = true;
        world.launch_open = false;
        return;
    }
    if (world.ended && !(scenario->waits && tag == '!' && world.may_launch))
        fail("'%c' came after the end", tag);
    switch (tag) {
    case 'P':
        if (world.started)
            fail("started came twice");
        world.started = true;
        break;
    case 'O':
    case 'o':
        if (!world.started)
            fail("output came before started");
        world.received += (unsigned)size;
        world.outstanding += (unsigned)size;
        break;
    case 'K':
        break;
    case '!':
        world.errored = true;
        if (!world.started && world.launch_open && world.executes)
            fail("the owner is told that nothing was started, and the program has been executed");
        if (!world.started && world.launch_open)
            take_end(false);
        break;
    case 'X':
        if (!world.started)
            fail("exited came without started");
        take_end(size >= 38 && payload[37] != 0);
        break;
    default:
        fail("an unknown frame '%c'", tag);
    }
}

/* Frames may be written in pieces. */
static struct {
    uint8_t bytes[4096];
    size_t size;
} from_relay;

static void take_bytes(const void *bytes, size_t size)
{
    if (from_relay.size + size > sizeof from_relay.bytes)
        fail("a frame is too long");
    memcpy(from_relay.bytes + from_relay.size, bytes, size);
    from_relay.size += size;
    while (from_relay.size >= 5) {
        const uint8_t *at = from_relay.bytes;
        size_t whole = 4 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);

        if (from_relay.size < whole)
            return;
        take_frame(at[4], at + 5, whole - 5);
        memmove(from_relay.bytes, from_relay.bytes + whole, from_relay.size - whole);
        from_relay.size -= whole;
    }
}

/* ---- System calls ---- */

static bool pipe_has_writers(void)
{
    return world.holds_pipe || world.descendant_holds_pipe;
}

ssize_t __wrap_read(int fd, void *buffer, size_t size);
ssize_t __wrap_read(int fd, void *buffer, size_t size)
{
    (void)size;
    let_happen();
    if (fd != OUTPUT_PIPE || !world.output_open)
        fail("a read of descriptor %d, which isn't open", fd);
    if (world.unread > 0) {
        world.unread--;
        memset(buffer, 'x', 1);
        return 1;
    }
    errno = EAGAIN;
    return pipe_has_writers() ? -1 : 0;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    let_happen();
    if (fd != OWNER_OUT)
        fail("a write to descriptor %d", fd);
    errno = world.out_closed ? EPIPE : EAGAIN;
    world.met_nobody = world.met_nobody || world.out_closed;
    if (world.out_closed || world.out_full)
        return -1;
    take_bytes(bytes, size);
    return (ssize_t)size;
}

int __wrap_ioctl(int fd, unsigned long request, int *number);
int __wrap_ioctl(int fd, unsigned long request, int *number)
{
    (void)fd;
    if (request != FIONREAD)
        fail("an ioctl %lu", request);
    *number = (int)world.unread;
    return 0;
}

static bool exists(pid_t pid)
{
    return pid == PROGRAM ? is_child(world.program)
                          : pid == DESCENDANT && (world.descendant == ALIVE || world.descendant == ZOMBIE);
}

int __wrap_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal)
{
    pid_t one = pid < 0 ? -pid : pid;

    if (!exists(one))
        fail("signal %d was sent to process %ld, which has been reaped or was never there", signal, (long)pid);
    if (signal != SIGKILL)
        return 0;
    if (one == PROGRAM && world.program == ALIVE)
        world.program_killed = true;
    if (one == DESCENDANT && world.descendant == ALIVE)
        world.descendant_killed = true;
    return 0;
}

int platform_kill(pid_t pid, int signal)
{
    return __wrap_kill(pid, signal);
}

static bool is_dead_child(pid_t pid)
{
    return pid == PROGRAM ? world.program == ZOMBIE : world.descendant == ZOMBIE;
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    let_happen();
    info->si_pid = 0;
    if ((options & WEXITED) == 0)
        return 0; /* nothing stops here */
    if (type == P_PID) {
        if (is_dead_child((pid_t)id))
            info->si_pid = (pid_t)id;
        return 0;
    }
    errno = ECHILD;
    if (!is_child(world.program) && !(is_orphan() && is_child(world.descendant)))
        return -1;
    info->si_pid = world.descendant == ZOMBIE ? DESCENDANT : world.program == ZOMBIE ? PROGRAM : 0;
    return 0;
}

pid_t __wrap_getpgid(pid_t pid);
pid_t __wrap_getpgid(pid_t pid)
{
    return scenario->is_job && pid == PROGRAM ? RELAY : pid; /* the descendant has called setsid(2) */
}

pid_t __wrap_getpgrp(void);
pid_t __wrap_getpgrp(void)
{
    return RELAY;
}

int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
    world.now += 50; /* as long as it polls for an acknowledgement (events.c) */
    return 0;
}

/* ---- Waiting ---- */

static short events_on(int fd)
{
    switch (fd) {
    case SIGNALS:
        return world.note_byte ? POLLIN : 0;
    case TETHER:
        return world.keeper_dead ? POLLHUP : 0;
    case OWNER_IN:
        return (short)((world.to_relay_size > 0 ? POLLIN : 0) | (world.in_closed ? POLLHUP : 0));
    case OWNER_OUT:
        return world.out_closed ? POLLERR : world.out_full ? 0 : POLLOUT;
    case VERDICT_PIPE:
        if (world.has_failed && !world.failure_is_told)
            return POLLIN;
        return world.executes || world.program != ALIVE ? POLLHUP : 0;
    case OUTPUT_PIPE:
        return world.unread > 0 ? POLLIN : pipe_has_writers() ? 0 : POLLHUP;
    default:
        fail("descriptor %d is polled", fd);
    }
}

static int look(struct pollfd *fds, nfds_t count)
{
    int ready = 0;

    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd >= 0)
            fds[i].revents = events_on(fds[i].fd) & (fds[i].events | POLLHUP | POLLERR);
        ready += fds[i].revents != 0;
    }
    return ready;
}

/* The owner has got an end, and no launch of its is under way. It waits for nothing any more. */
static bool owner_is_content(void)
{
    return !world.launch_open || world.out_closed;
}

/* Somebody wants the program to end, so that it must, however deaf it is and whatever else doesn't come. */
static bool is_asked_to_end(void)
{
    return world.stopped || world.in_closed || world.malformed || world.terminated || world.keeper_dead ||
           world.met_nobody;
}

/* No launch of the owner's is under way, and it should be told that none may come. */
static bool is_to_be_unused(void)
{
    return scenario->waits && !world.unused && !world.out_closed && !world.errored && !world.discarded &&
           (world.launches == 0 || world.may_launch) && (world.keeper_dead || world.terminated);
}

/* What comes last of all, when nothing else goes on, and what the relay may wait for. */
static const char *come_to_an_end(void)
{
    if (can_execute() && !is_asked_to_end()) {
        do_execute();
        return "the program is executed";
    }
    if (can_launch() && world.launches == 0 && !is_to_be_unused()) {
        do_launch();
        return "the owner launches";
    }
    if (can_end_program() && !is_asked_to_end()) {
        if (!can_stop() || search_choose(2) == 0)
            do_end_program();
        else
            do_stop();
        return "the program ends, or is told to";
    }
    if (can_close_in() && owner_is_content() && !is_to_be_unused() && world.program != ALIVE) {
        do_close_in();
        return "the owner closes standard input";
    }
    return NULL;
}

/* When nothing is there that would wake it. */
static void check_sleep(void)
{
    if (relay->posted != 0)
        fail("it sleeps, and an event is posted, in state %d", (int)relay->state);
    if (world.program == ZOMBIE && (relay->state == RUNNING || relay->state == STOPPING))
        fail("it sleeps, and the program has ended, in state %d", (int)relay->state);
    if (world.key_was_early && relay->state == RUNNING)
        fail("it sleeps, and a key that came before the program's process is forgotten");
}

static bool is_eternal(void)
{
    return ++fair_polls > 300;
}

static void pass_fairly(void)
{
    for (size_t i = 0; i < HAPPENINGS; i++)
        if (happenings[i].is_fair && happenings[i].can()) {
            happenings[i].happen();
            return;
        }
    if (!come_to_an_end())
        fail("it sleeps for ever, in state %d", (int)relay->state);
}

static bool is_over(int timeout_ms)
{
    return timeout_ms > 0 && relay->deadline != 0 && world.now >= relay->deadline;
}

/* The new process was quicker than who would cancel it: it executes the program, or can't, or takes its time to. */
static int look_for_verdict(struct pollfd *fd, int timeout_ms)
{
    if (look(fd, 1) > 0)
        return 1;
    switch (can_execute() ? search_choose(3) : 2) {
    case 0:
        do_execute();
        break;
    case 1:
        do_fail_to_execute();
        break;
    default:
        world.now += (uint64_t)timeout_ms * 1000u;
        break;
    }
    return look(fd, 1);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int ready;

    looks_at_clock = 0;
    let_happen();
    if (count == 1 && fds->fd == VERDICT_PIPE)
        return look_for_verdict(fds, timeout_ms);
    while ((ready = look(fds, count)) == 0 && timeout_ms != 0 && !is_over(timeout_ms)) {
        if (is_eternal())
            fail("it doesn't come to an end, in state %d", (int)relay->state);
        check_sleep();
        pass_fairly();
    }
    if (is_eternal())
        fail("it runs without end, in state %d", (int)relay->state);
    return ready;
}

/* ---- States that were there before ---- */

static uint64_t hash_of_all(void)
{
    const struct output *output = &launch.output;
    uint64_t hash = SEARCH_HASH;

    search_mix(&hash, &world, sizeof world);
    search_mix(&hash, relay, offsetof(struct relay, fault));
    search_mix(&hash, &launch, offsetof(struct launch, options));
    search_mix(&hash, &launch.decoder, offsetof(struct decoder, text));
    search_mix(&hash, output, offsetof(struct output, control));
    search_mix(&hash, output->control + output->control_at, output->control_end - output->control_at);
    search_mix(&hash, output->bytes + output->at, output->end - output->at);
    search_mix(&hash, &launch.told.count, sizeof launch.told.count);
    search_mix(&hash, launch.told.children, launch.told.count * sizeof launch.told.children[0]);
    search_mix(&hash, from_relay.bytes, from_relay.size);
    return hash;
}

/* Whether nothing new can come of the state that there is now. */
static bool was_seen(void)
{
    enum search_seen seen = search_seen(hash_of_all(), budget);

    if (seen == SEARCH_SEEN_IN_THIS_RUN)
        fail("it comes to the same again and again, in state %d", (int)relay->state);
    return seen == SEARCH_SEEN;
}

void __real_events_wait(struct relay *at);
void __wrap_events_wait(struct relay *at);
void __wrap_events_wait(struct relay *at)
{
    relay = at;
    at->forgets_in = 0; /* that it gives memory back after a while without events is no event */
    if (search_is_beyond() && was_seen())
        longjmp(end_of_run, RUN_PRUNED);
    __real_events_wait(at);
}

/* ---- The modules below ---- */

/* Each step of the relay asks for the time. */
uint64_t io_now_us(void)
{
    if (++looks_at_clock > 10000)
        fail("it goes round without a system call, in state %d", (int)relay->state);
    return world.now;
}

int io_left_ms(uint64_t deadline_us)
{
    if (deadline_us == 0)
        return -1;
    return world.now >= deadline_us ? 0 : (int)((deadline_us - world.now + 999u) / 1000u);
}

static void close_one(int fd)
{
    if (fd == OUTPUT_PIPE) {
        world.output_open = false;
        world.unread = 0;
    }
}

void io_close(int *fd)
{
    if (*fd >= 0)
        close_one(*fd);
    *fd = -1;
}

ssize_t platform_read_now(int fd, void *buffer, size_t size)
{
    unsigned have = world.to_relay_size;

    let_happen();
    have = world.to_relay_size;
    if (fd != OWNER_IN || size < have)
        fail("a read of descriptor %d", fd);
    errno = EAGAIN;
    if (have == 0)
        return world.in_closed ? 0 : -1;
    memcpy(buffer, world.to_relay, have);
    world.to_relay_size = 0;
    return (ssize_t)have;
}

int platform_children_open(struct failure *why)
{
    (void)why;
    return CHILDREN;
}

bool platform_pids(int fd, void (*visit)(pid_t pid, void *context), void *context)
{
    (void)fd;
    let_happen();
    if (is_child(world.program))
        visit(PROGRAM, context);
    if (is_orphan() && is_child(world.descendant))
        visit(DESCENDANT, context);
    return true;
}

int platform_reap(pid_t child, struct platform_usage *usage)
{
    (void)usage;
    if (!is_dead_child(child))
        fail("process %ld was reaped, which isn't dead, or was reaped before", (long)child);
    if (child == PROGRAM) {
        world.program = REAPED;
        return world.program_status;
    }
    world.descendant = REAPED;
    return world.descendant_status;
}

int signals_reopen(struct failure *why)
{
    (void)why;
    return SIGNALS;
}

bool signals_key_is_pending(void)
{
    let_happen();
    return world.key_noted;
}

/* As signals.c: the pipe comes first. */
struct signals signals_take(void)
{
    struct signals taken = {.child = false};

    let_happen();
    world.note_byte = false;
    let_happen();
    taken.child = world.child_noted;
    taken.stop = world.stop_noted;
    taken.keys = world.key_noted ? TERMINAL_INTERRUPT : 0;
    world.child_noted = world.stop_noted = world.key_noted = false;
    return taken;
}

bool tether_has_hung_up(int fd)
{
    let_happen();
    return fd < 0 || world.keeper_dead;
}

bool tether_read(int fd, struct tether_message *message)
{
    (void)fd;
    (void)message;
    return false;
}

bool tether_tell(int fd, enum tether_kind kind, int value)
{
    (void)fd;
    (void)kind;
    (void)value;
    return true;
}

void stdio_abandon(struct stdio *stdio)
{
    io_close(&stdio->relay_stdout);
}

bool child_start(struct launch *of, atomic_int *decision, struct failure *why)
{
    (void)decision;
    world.executes = world.cancelled = false;
    if (scenario->is_job)
        let_happen();
    world.key_was_early = world.key_pressed;
    if (is_child(world.program) || is_child(world.descendant))
        fail("a program is started before all of the last one is dead");
    stdio_none(&of->child.stdio);
    of->child.verdict_fd = -1;
    if (budget > 0 && search_choose(2) == 1) {
        search_say("", "there can't be a process");
        budget--;
        return failed(why, STAGE_SPAWN, EAGAIN, "no process");
    }
    world.begun++;
    world.program = ALIVE;
    world.executes = world.has_failed = world.failure_is_told = world.program_killed = false;
    world.written = world.unread = world.forks = 0;
    world.holds_pipe = world.output_open = world.verdict_open = true;
    of->child.pid = PROGRAM;
    of->child.verdict_fd = VERDICT_PIPE;
    of->child.stdio.relay_stdout = OUTPUT_PIPE;
    return true;
}

bool child_cancel(const struct child *child)
{
    (void)child;
    let_happen();
    if (world.executes || world.has_failed || (can_execute() && search_choose(2) == 1))
        return false;
    world.cancelled = true;
    return true;
}

enum verdict child_verdict(struct launch *of, struct failure *why)
{
    (void)of;
    let_happen();
    if (world.has_failed && !world.failure_is_told) {
        world.failure_is_told = true;
        failed(why, STAGE_EXEC, ENOENT, "no program");
        return VERDICT_FAILED;
    }
    return world.executes || world.program != ALIVE ? VERDICT_RUNS : VERDICT_PENDING;
}

void child_started(struct child *child)
{
    world.verdict_open = false;
    child->verdict_fd = -1;
}

/* ---- Runs ---- */

static void begin_world(void)
{
    memset(&launch, 0, offsetof(struct launch, text));
    bequest = (struct bequest){.program = 0};
    world = (struct world){.now = 1000000, .launch_open = !scenario->waits, .launches = scenario->waits ? 0 : 1};
    from_relay.size = 0;
    launch.options.port = true;
    launch.options.waits = scenario->waits;
    launch.options.stdout_mode = launch.options.stderr_mode = OUTPUT_RELAY;
    launch.options.file = "p";
    launch.options.step_count = 1;
    launch.options.steps[0] = (struct stop_step){.signal = SIGTERM, .ms = 500};
    launch.options.delay_to_sigkill = 500;
    launch.options.stdio_window = 1;
    launch.null_stdin = true;
    search_begin();
    fair_polls = looks_at_clock = 0;
    wrong[0] = '\0';
}

static void check_end(void)
{
    if (is_child(world.program) || is_child(world.descendant))
        fail("it left, and a process is still there");
    if (world.out_closed)
        return;
    if (from_relay.size > 0)
        fail("it left within a frame");
    if (world.launch_open && (!scenario->waits || world.begun == world.launches))
        fail("it left, and no end was told");
}

static void run_relay(void)
{
    const struct tether tether = {.fd = TETHER, .keeper = KEEPER, .parent = 1, .bequest = &bequest};
    struct failure why;

    static struct relay before_poll; /* until it has come to wait for the first time */

    before_poll = (struct relay){.state = LAUNCHING};
    relay = &before_poll;
    if (relay_run(&launch, &tether, &why) < 0)
        return; /* there was never a process, which main.c reports */
    check_end();
}

/* One way. */
static int run_once(unsigned events)
{
    int how = setjmp(end_of_run);

    if (how != 0)
        return how;
    budget = events;
    begin_world();
    run_relay();
    return 0;
}

static bool explore(unsigned events)
{
    unsigned long whole = 0;

    search_forget();
    do {
        int how = run_once(events);

        if (how == RUN_WRONG) {
            printf("FAILED %s: %s, after\n", scenario->name, wrong);
            search_print_way();
            return false;
        }
        whole += how == 0;
    } while (search_next());
    printf("%-10s %u events: %lu states, %lu orders, %lu of them to the end\n", scenario->name, events, search_states(),
           search_runs(), whole);
    return true;
}

int main(int argc, char *argv[])
{
    unsigned events = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 3;
    bool right = true;

    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        scenario = &scenarios[i];
        if (argc <= 2 || strcmp(argv[2], scenario->name) == 0)
            right = explore(events) && right;
    }
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
