/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A model of job control around the helper as a shell has started it, in which the real keeper and the real relay run
 * (keeper.c, relay.c, events.c, job_control.c, tree.c and what these need), one a coroutine beside the other. Each of
 * their system calls that another process can notice, or that notices another one, is a step. Between two steps the
 * other one may take any number of its own, and any event that is possible may happen, or several. All orders with up
 * to a number of events are gone through. Beside explore_relay.c, which has the relay alone, and without job control.
 *
 * The kernel's part is as POSIX has it (System Interfaces, 2.4.1; Base Definitions, 11.1): a stop signal discards a
 * SIGCONT that is pending, and the other way round, whatever is ignored or blocked; a second SIGCONT is one with a
 * pending one; a process that is stopped takes no step; and waitid(2) tells only the last change.
 *
 * Both are run again from their start for each order. A run ends early where the world and the stacks of both are as
 * they were before, with as many events left.
 *
 * When the events are used up and both wait, these promises are looked at:
 *   - the keeper is stopped, for whoever started it to see, if and only if the program is;
 *   - the program is as the last one wished it who has stopped or continued it, or the whole job. But where the keeper
 *     alone has been continued, the relay passes that on a little later; and a continuation of a whole job that runs,
 *     right before a stop, may look to the relay like one of the keeper alone that comes after the stop;
 *   - the terminal is a job's that was brought to the foreground, and that nothing has been done to since;
 *   - no message lies unread.
 * Then a stopped job is continued by fg, and one that runs ends. So at last both must have ended.
 *
 * What it leaves out: a terminal of the program's own (--pty), the terminal's other keys, a stop of keeper or relay
 * themselves by SIGSTOP, a tether that is full, the process before it becomes the program, and what explore_relay.c is
 * for. That it finds what is wrong is shown by test/model/mutants.
 *
 *   explore_job [EVENTS]
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
#include <sys/wait.h>
#include <ucontext.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/signals.h"
#include "cgroup/cgroup.h"
#include "containment/events.h"
#include "containment/keeper.h"
#include "containment/relay.h"
#include "containment/tether.h"
#include "launch.h"
#include "search.h"

enum { KEEPER_SIGNALS = 50, RELAY_SIGNALS, KEEPER_TETHER, RELAY_TETHER, CHILDREN, RELAY_END, VERDICT_PIPE };
enum { KEEPER = 10, RELAY = 20, PROGRAM = 100 };

/* ---- The world ---- */

#define MESSAGES_MOST 16

/* Keeper or relay. */
struct process {
    bool is_stopped;
    bool has_ended;
    bool continuation;        /* a stranger's SIGCONT is pending */
    bool others_continuation; /* one of the relay's or keeper's, which goes to the thread (tgkill(2)) */
    bool stop_pending;        /* SIGTSTP */
    bool blocks_stop;
    bool stops; /* it doesn't ignore SIGTSTP */
    /* What its handler has noted, and the byte in its pipe. */
    bool child_noted;
    bool continued_noted;
    bool note_byte;
    bool waits; /* in poll(2) */
    bool has_timeout;
    bool timed_out;
    struct tether_message unread[MESSAGES_MOST];
    unsigned unread_count;
    struct pollfd *polled;
    nfds_t polled_count;
};

enum life { ALIVE, ZOMBIE, REAPED };

static struct world {
    struct process keeper;
    struct process relay;
    enum life program;
    bool program_stopped;
    int change; /* that waitid(2) has not told yet: CLD_STOPPED, CLD_CONTINUED or 0 */
    int stop_signal;
    bool in_foreground;
    bool was_brought_forth; /* by fg, and nobody else has stopped or continued anything since */
    bool wished_stopped;
    bool wish_is_passed_on; /* it is a continuation of the keeper, which the relay passes on */
    bool wish_is_open;      /* since all was at rest there has been a continuation that may be taken for a later one */
    int group_signal;       /* that the job is sent */
    unsigned group_left;    /* so many of it have not got it yet */
} world;

/* ---- Coroutines ---- */

#define STACK_BYTES 16384

struct coroutine {
    ucontext_t beginning;
    jmp_buf at;
    bool has_begun;
    struct process *process;
    const char *does; /* as its next step */
    char *lowest;     /* of what it has on its stack before that */
    _Alignas(16) char stack[STACK_BYTES];
};

static struct coroutine keeper = {.process = &world.keeper};
static struct coroutine relay = {.process = &world.relay};
static struct coroutine *runs;
static jmp_buf scheduler;
static struct launch keepers_launch;
static struct launch relays_launch;
static struct bequest bequest;

/* ---- Which way to go ---- */

enum { RUN_PRUNED = 1, RUN_WRONG };
static unsigned budget;
static char wrong[300];

/* In the scheduler. */
static __attribute__((format(printf, 1, 2))) void judge(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(wrong, sizeof wrong, format, args);
    va_end(args);
}

/* In keeper or relay, which don't go on. */
static _Noreturn void fail(const char *words)
{
    judge("%s: %s", runs == &keeper ? "the keeper" : "the relay", words);
    _longjmp(scheduler, 1);
}

void search_goes_on_without_end(void)
{
    fprintf(stderr, "explore_job: it goes on without end\n");
    exit(2);
}

/* ---- Signals ---- */

/* As signals.c. */
static void note_child(struct process *process)
{
    process->child_noted = process->note_byte = true;
}

/* Goes on at once; the handler runs when it takes its next step. */
static void continue_process(struct process *process, bool *pending)
{
    process->stop_pending = process->is_stopped = false;
    *pending = !process->has_ended;
}

static void discard_continuations(struct process *process)
{
    process->continuation = process->others_continuation = false;
}

static void stop_process(struct process *process)
{
    discard_continuations(process);
    if (process->blocks_stop)
        process->stop_pending = true;
    else if (process->stops)
        process->is_stopped = true;
}

static void stop_program(int signal)
{
    if (world.program != ALIVE || world.program_stopped)
        return;
    world.program_stopped = true;
    world.change = CLD_STOPPED;
    world.stop_signal = signal;
    note_child(&world.relay);
}

static void continue_program(void)
{
    if (world.program != ALIVE || !world.program_stopped)
        return;
    world.program_stopped = false;
    world.change = CLD_CONTINUED;
    note_child(&world.relay);
}

static void end_program(void)
{
    world.program = ZOMBIE;
    world.program_stopped = false;
    note_child(&world.relay);
}

/* The kernel signals a group's members one after the other, those that came last first, and holds a lock meanwhile
 * (kill_pgrp()). Others run, and may signal one process; but no millisecond passes, and no other group is signalled. */
enum member { PROGRAM_NEXT = 3, RELAY_NEXT = 2, KEEPER_NEXT = 1 };

static void signal_member(void)
{
    bool stops = world.group_signal == SIGTSTP;
    struct process *process = world.group_left == RELAY_NEXT ? &world.relay : &world.keeper;

    if (world.group_left == PROGRAM_NEXT) {
        world.wished_stopped = stops;
        world.wish_is_open = world.wish_is_open || (stops ? world.wish_is_passed_on : !world.program_stopped);
    }
    if (world.group_left == PROGRAM_NEXT && stops)
        stop_program(SIGTSTP);
    else if (world.group_left == PROGRAM_NEXT)
        continue_program();
    else if (stops)
        stop_process(process);
    else
        continue_process(process, &process->continuation);
    world.group_left--;
}

static void signal_group(int signal)
{
    world.group_signal = signal;
    world.group_left = PROGRAM_NEXT;
    world.was_brought_forth = false;
}

/* ---- What can happen ---- */

static bool can_signal_group(void)
{
    return world.group_left == 0 && !world.keeper.has_ended;
}

static bool can_press_key(void)
{
    return world.in_foreground && can_signal_group();
}

static void do_press_key(void)
{
    signal_group(SIGTSTP);
}

static bool can_bring_forth(void)
{
    return !world.in_foreground && can_signal_group();
}

static void do_bring_forth(void)
{
    signal_group(SIGCONT);
    world.in_foreground = world.was_brought_forth = true;
}

static void do_continue_job(void)
{
    signal_group(SIGCONT);
}

static bool can_continue_keeper(void)
{
    return !world.keeper.has_ended;
}

static void do_continue_keeper(void)
{
    continue_process(&world.keeper, &world.keeper.continuation);
    world.wish_is_open = world.wish_is_open || !world.program_stopped || world.group_left > 0;
    world.wish_is_passed_on = true;
    world.wished_stopped = world.was_brought_forth = false;
}

static bool program_lives(void)
{
    return world.program == ALIVE;
}

static void do_stop_program(void)
{
    stop_program(SIGSTOP);
    world.wish_is_open = world.wish_is_open || world.wish_is_passed_on;
    world.wished_stopped = true;
    world.was_brought_forth = false;
}

static void do_continue_program(void)
{
    continue_program();
    world.wished_stopped = world.was_brought_forth = false;
}

static bool program_runs(void)
{
    return world.program == ALIVE && !world.program_stopped;
}

/* ---- Steps ---- */

/* What is pending comes before the process does anything else. A handler interrupts poll(2), and so does a stop. */
static bool deliver(struct process *process)
{
    bool interrupts = process->continuation || process->others_continuation;

    process->continued_noted = process->continued_noted || process->continuation;
    if (interrupts && process->continued_noted)
        process->note_byte = true;
    discard_continuations(process);
    if (process->stop_pending && !process->blocks_stop) {
        process->stop_pending = false;
        process->is_stopped = process->stops;
    }
    return interrupts;
}

/* swapcontext(3) would make a system call each time. What the callers keep in registers is in `at`. */
static __attribute__((noinline)) void give_way(struct coroutine *self)
{
    self->lowest = __builtin_frame_address(0);
    if (_setjmp(self->at) == 0)
        _longjmp(scheduler, 1);
}

static void run(struct coroutine *coroutine)
{
    runs = coroutine;
    if (_setjmp(scheduler) == 0) {
        if (coroutine->has_begun)
            _longjmp(coroutine->at, 1);
        coroutine->has_begun = true;
        (void)setcontext(&coroutine->beginning);
    }
    runs = NULL;
}

/* True when something interrupted it. */
static bool step(const char *what)
{
    struct coroutine *self = runs;
    bool interrupted = false;

    self->does = what;
    do {
        give_way(self);
        interrupted = deliver(self->process) || interrupted;
    } while (self->process->is_stopped);
    return interrupted;
}

static struct process *self(void)
{
    return runs->process;
}

static struct process *other(void)
{
    return runs == &keeper ? &world.relay : &world.keeper;
}

/* ---- System calls ---- */

static short events_on(const struct process *process, int fd)
{
    const struct process *peer = process == &world.keeper ? &world.relay : &world.keeper;

    switch (fd) {
    case KEEPER_SIGNALS:
    case RELAY_SIGNALS:
        return process->note_byte ? POLLIN : 0;
    case KEEPER_TETHER:
    case RELAY_TETHER:
        return (short)((process->unread_count > 0 ? POLLIN : 0) | (peer->has_ended ? POLLHUP : 0));
    case VERDICT_PIPE:
        return POLLIN;
    case RELAY_END:
        return peer->has_ended ? POLLHUP : 0;
    default:
        return 0;
    }
}

static int look(const struct process *process, struct pollfd *fds, nfds_t count)
{
    int ready = 0;

    for (nfds_t i = 0; i < count; i++) {
        fds[i].revents = 0;
        if (fds[i].fd >= 0)
            fds[i].revents = events_on(process, fds[i].fd) & (fds[i].events | POLLHUP | POLLERR);
        ready += fds[i].revents != 0;
    }
    return ready;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct process *process = self();
    bool interrupted = step("polls");
    int ready;

    process->polled = fds;
    process->polled_count = count;
    while ((ready = look(process, fds, count)) == 0 && timeout_ms != 0 && !process->timed_out && !interrupted) {
        process->waits = true;
        process->has_timeout = timeout_ms > 0;
        interrupted = step("wakes up");
        process->waits = false;
    }
    process->timed_out = false;
    errno = EINTR;
    return ready == 0 && interrupted && timeout_ms != 0 ? -1 : ready;
}

int __wrap_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal)
{
    (void)step("sends a signal");
    errno = ESRCH;
    if (pid == PROGRAM && world.program == REAPED)
        fail("it has signalled the program, which has been reaped");
    if (pid != PROGRAM || signal != SIGCONT)
        return -1; /* there are no others */
    continue_program();
    return 0;
}

int platform_kill(pid_t pid, int signal)
{
    return __wrap_kill(pid, signal);
}

void platform_continue(pid_t pid)
{
    (void)pid;
    (void)step("continues the other one");
    continue_process(other(), &other()->others_continuation);
}

int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    (void)step("asks for children");
    (void)type;
    (void)id;
    info->si_pid = 0;
    errno = ECHILD;
    if (runs == &keeper || world.program == REAPED)
        return -1;
    if ((options & WEXITED) != 0 && world.program == ZOMBIE)
        info->si_pid = PROGRAM;
    if ((options & WSTOPPED) != 0 && world.program == ALIVE && world.change != 0) {
        info->si_pid = PROGRAM;
        info->si_code = world.change;
        info->si_status = world.stop_signal;
        world.change = 0;
    }
    return 0;
}

/* The keeper's. */
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    (void)step("asks for children");
    (void)pid;
    (void)options;
    *status = 0;
    errno = ECHILD;
    return world.relay.has_ended ? RELAY : 0;
}

/* The relay is a coroutine of its own. */
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    return RELAY;
}

_Noreturn void __wrap__exit(int status);
_Noreturn void __wrap__exit(int status)
{
    (void)status;
    if (!world.relay.has_ended)
        fail("it leaves before the relay");
    world.keeper.has_ended = true;
    _longjmp(scheduler, 1);
}

int __wrap_close(int fd);
int __wrap_close(int fd)
{
    (void)fd;
    return 0;
}

pid_t __wrap_getpgid(pid_t pid);
pid_t __wrap_getpgid(pid_t pid)
{
    (void)pid;
    return KEEPER;
}

pid_t __wrap_getpgrp(void);
pid_t __wrap_getpgrp(void)
{
    return KEEPER;
}

/* ---- The modules below ---- */

/* As signals.c: the pipe comes first. */
struct signals signals_take(void)
{
    struct process *process = self();
    struct signals taken = {.child = false};

    (void)step("reads the pipe of notes");
    process->note_byte = false;
    (void)step("takes the notes");
    taken.child = process->child_noted;
    taken.continued = process->continued_noted;
    process->child_noted = process->continued_noted = false;
    return taken;
}

/* As signals.c, call by call. */
bool signals_stop(int signal, int news, int end)
{
    struct process *process = self();
    bool stops;

    (void)signal;
    (void)news;
    (void)end;
    (void)step("blocks SIGTSTP");
    process->blocks_stop = true;
    (void)step("gives it its default");
    process->stops = true;
    (void)step("raises it");
    discard_continuations(process);
    process->stop_pending = true;
    (void)step("looks whether it is called off");
    stops = !process->note_byte && process->unread_count == 0 && !world.relay.has_ended;
    if (stops) {
        (void)step("unblocks it");
        process->blocks_stop = false;
    }
    (void)step("ignores it again"); /* here it stops */
    process->stops = process->stop_pending = false;
    (void)step("unblocks it at last");
    process->blocks_stop = false;
    return stops;
}

bool tether_read(int fd, struct tether_message *message)
{
    struct process *process = self();

    (void)fd;
    (void)step("reads the tether");
    if (process->unread_count == 0)
        return false;
    *message = process->unread[0];
    process->unread_count--;
    memmove(process->unread, process->unread + 1, process->unread_count * sizeof process->unread[0]);
    memset(process->unread + process->unread_count, 0, sizeof process->unread[0]);
    return true;
}

bool tether_tell(int fd, enum tether_kind kind, int value)
{
    struct process *peer = other();

    (void)fd;
    (void)step("tells the other one");
    if (peer->has_ended)
        return false;
    if (peer->unread_count == MESSAGES_MOST)
        fail("it has told more than the other one reads");
    peer->unread[peer->unread_count].kind = kind;
    peer->unread[peer->unread_count].value = value;
    peer->unread_count++;
    return true;
}

bool tether_has_hung_up(int fd)
{
    return fd < 0 || other()->has_ended;
}

bool tether_open(int ends[2], struct bequest **to, struct failure *why)
{
    (void)why;
    ends[0] = KEEPER_TETHER;
    ends[1] = RELAY_TETHER;
    *to = &bequest;
    return true;
}

bool io_pipe(int ends[2])
{
    ends[0] = ends[1] = RELAY_END;
    return true;
}

bool platform_continue_at_end(int fd)
{
    (void)fd;
    return true;
}

int signals_open(const struct signals_kept *kept, struct failure *why)
{
    (void)kept;
    (void)why;
    return KEEPER_SIGNALS;
}

int signals_reopen(struct failure *why)
{
    (void)why;
    return RELAY_SIGNALS;
}

/* Ctrl-Z is none of these. */
bool signals_key_is_pending(void)
{
    return false;
}

unsigned signals_unblock_keys(void)
{
    return 0;
}

void platform_forget_start(void)
{
}

void io_close(int *fd)
{
    *fd = -1;
}

/* Nobody is left when the program has ended. */
bool platform_pids(int fd, void (*visit)(pid_t pid, void *context), void *context)
{
    (void)fd;
    (void)visit;
    (void)context;
    return true;
}

bool child_start(struct launch *of, atomic_int *decision, struct failure *why)
{
    (void)decision;
    (void)why;
    stdio_none(&of->child.stdio);
    of->child.pid = PROGRAM;
    of->child.verdict_fd = VERDICT_PIPE;
    return true;
}

/* Here it runs from its beginning. */
enum verdict child_verdict(struct launch *of, struct failure *why)
{
    (void)of;
    (void)why;
    return VERDICT_RUNS;
}

void child_started(struct child *child)
{
    child->verdict_fd = -1;
}

int platform_reap(pid_t child, struct platform_usage *usage)
{
    (void)child;
    (void)usage;
    world.program = REAPED;
    return 0;
}

/* Nothing has a time here, and so no time passes. */
uint64_t io_now_us(void)
{
    return 1;
}

int io_left_ms(uint64_t deadline_us)
{
    return deadline_us == 0 ? -1 : 1;
}

int platform_children_open(struct failure *why)
{
    (void)why;
    return CHILDREN;
}

/* ---- States that were there before ---- */

/* All that it has on its stack, and in registers, where it is in the program, too. */
static void mix_coroutine(uint64_t *hash, const struct coroutine *coroutine)
{
    const char *lowest = coroutine->lowest;

    if (coroutine->process->has_ended)
        return;
    search_mix(hash, coroutine->at[0].__jmpbuf, sizeof coroutine->at[0].__jmpbuf);
    search_mix(hash, lowest, (size_t)(coroutine->stack + STACK_BYTES - lowest));
}

static uint64_t hash_of_all(void)
{
    uint64_t hash = SEARCH_HASH;

    search_mix(&hash, &world, sizeof world);
    search_mix(&hash, &relays_launch, offsetof(struct launch, options));
    search_mix(&hash, (const void *)&bequest, sizeof bequest);
    mix_coroutine(&hash, &keeper);
    mix_coroutine(&hash, &relay);
    return hash;
}

/* ---- The order of steps ---- */

static bool can_step(struct process *process)
{
    if (process->has_ended || process->is_stopped)
        return false;
    return !process->waits || process->continuation || process->others_continuation || process->stop_pending ||
           look(process, process->polled, process->polled_count) > 0;
}

static bool can_time_out(const struct process *process)
{
    return !process->has_ended && !process->is_stopped && process->waits && process->has_timeout &&
           world.group_left == 0;
}

static bool can_relay_step(void)
{
    return can_step(&world.relay);
}

static void do_relay_step(void)
{
    run(&relay);
}

static bool can_keeper_step(void)
{
    return can_step(&world.keeper);
}

static void do_keeper_step(void)
{
    run(&keeper);
}

static bool can_keeper_time_out(void)
{
    return can_time_out(&world.keeper);
}

static void do_keeper_time_out(void)
{
    world.keeper.timed_out = true;
    run(&keeper);
}

static bool group_is_left(void)
{
    return world.group_left > 0;
}

/* The shell learns of the stop while it lasts, and takes the terminal. It doesn't look before its fg is done. */
static bool can_shell_see(void)
{
    return world.keeper.is_stopped && world.in_foreground && world.group_left == 0;
}

static void do_shell_see(void)
{
    world.in_foreground = false;
}

/* What is promised when everything has come to rest. */
static bool is_as_promised(void)
{
    if (world.keeper.is_stopped && !world.program_stopped)
        judge("the keeper is stopped, and the program isn't");
    else if (!world.keeper.is_stopped && world.program_stopped)
        judge("the program is stopped, and the keeper isn't");
    else if (world.program_stopped != world.wished_stopped && !world.wish_is_open && world.program == ALIVE)
        judge("the program is %s, and was %s last", world.program_stopped ? "stopped" : "running",
              world.wished_stopped ? "stopped" : "continued");
    else if (world.was_brought_forth && !world.in_foreground)
        judge("the shell has taken the terminal from a job that runs");
    else if (world.relay.unread_count > 0 || (world.keeper.unread_count > 0 && !world.keeper.is_stopped))
        judge("a message lies unread");
    else if (world.program == REAPED)
        judge("the program has ended, and the helper hasn't");
    return wrong[0] == '\0';
}

/* Where no step can be taken it always is (find_possible()). */
static bool is_at_rest(void)
{
    return true;
}

/* Once both wait and nothing else happens. */
static void go_on_to_the_end(void)
{
    if (!is_as_promised())
        return;
    if (!world.program_stopped)
        end_program();
    else if (can_bring_forth())
        do_bring_forth();
    else
        judge("the job is stopped, and the shell hasn't the terminal");
}

static const struct happening {
    const char *who;
    const char *what; /* NULL: what that process does next */
    bool (*can)(void);
    void (*happen)(void);
    enum { STEP, REST, EVENT } kind; /* rest is where no step can be taken */
} happenings[] = {
    {"relay: ", NULL, can_relay_step, do_relay_step, STEP},
    {"keeper: ", NULL, can_keeper_step, do_keeper_step, STEP},
    {"keeper: ", "has waited long enough", can_keeper_time_out, do_keeper_time_out, STEP},
    {"", "the next one of the job gets the signal", group_is_left, signal_member, STEP},
    {"", "the shell sees the stop", can_shell_see, do_shell_see, STEP},
    {"", "all is at rest: a job that is stopped is continued by fg, and another one ends", is_at_rest, go_on_to_the_end,
     REST},
    {"", "Ctrl-Z is pressed", can_press_key, do_press_key, EVENT},
    {"", "fg", can_bring_forth, do_bring_forth, EVENT},
    {"", "the whole job is sent SIGCONT", can_signal_group, do_continue_job, EVENT},
    {"", "the keeper is sent SIGCONT", can_continue_keeper, do_continue_keeper, EVENT},
    {"", "the program is sent SIGSTOP", program_lives, do_stop_program, EVENT},
    {"", "the program is sent SIGCONT", program_lives, do_continue_program, EVENT},
    {"", "the program ends", program_runs, end_program, EVENT},
};

#define HAPPENINGS (sizeof happenings / sizeof happenings[0])

static void say(const struct happening *happening)
{
    const char *does = happening->happen == do_relay_step ? relay.does : keeper.does;

    search_say(happening->who, happening->what ? happening->what : does ? does : "begins");
}

/* Those that are possible, and their number. */
static unsigned find_possible(const struct happening *possible[HAPPENINGS])
{
    unsigned count = 0;

    for (size_t i = 0; i < HAPPENINGS; i++) {
        const struct happening *happening = &happenings[i];

        if ((happening->kind == STEP || (happening->kind == REST && count == 0) ||
             (happening->kind == EVENT && budget > 0)) &&
            happening->can())
            possible[count++] = happening;
    }
    return count;
}

/* All is at rest, also where events may still come. What was on its way has come by now. */
static bool is_settled(void)
{
    if (world.wish_is_open)
        world.wished_stopped = world.program_stopped;
    if (world.wish_is_passed_on && !is_as_promised())
        return false;
    world.wish_is_open = world.wish_is_passed_on = false;
    return true;
}

static bool was_seen(void)
{
    enum search_seen seen = search_seen(hash_of_all(), budget);

    if (seen == SEARCH_SEEN_IN_THIS_RUN)
        judge("it comes to the same again and again");
    return seen != SEARCH_NEW;
}

/* One way. */
static int run_once(void)
{
    while (!world.keeper.has_ended && wrong[0] == '\0') {
        const struct happening *possible[HAPPENINGS];
        unsigned count = find_possible(possible);
        const struct happening *chosen;

        if (possible[0]->kind == REST && !is_settled())
            return RUN_WRONG;
        if (search_is_beyond() && was_seen())
            return wrong[0] == '\0' ? RUN_PRUNED : RUN_WRONG;
        chosen = possible[search_choose(count)];
        say(chosen);
        if (chosen->kind == EVENT)
            budget--;
        chosen->happen();
    }
    return wrong[0] == '\0' ? 0 : RUN_WRONG;
}

static void run_keeper(void)
{
    struct tether tether;
    struct failure why;

    (void)keeper_start(&keepers_launch, &tether, &why);
    fail("it was not started");
}

static void run_relay(void)
{
    const struct tether tether = {.fd = RELAY_TETHER, .keeper = KEEPER, .parent = 1, .bequest = &bequest};
    struct failure why;

    (void)relay_run(&relays_launch, &tether, &why);
    world.relay.has_ended = true;
    note_child(&world.keeper);
    _longjmp(scheduler, 1);
}

void __real_events_wait(struct relay *at);
void __wrap_events_wait(struct relay *at);
void __wrap_events_wait(struct relay *at)
{
    at->forgets_in = 0; /* that it gives memory back after a while without events is no event */
    __real_events_wait(at);
}

static void begin_coroutine(struct coroutine *coroutine, void (*begin)(void))
{
    static const int kept_registers[] = {REG_RBX, REG_RBP, REG_R12, REG_R13, REG_R14, REG_R15};

    memset(coroutine->stack, 0, sizeof coroutine->stack);
    memset(&coroutine->at, 0, sizeof coroutine->at);
    coroutine->has_begun = false;
    coroutine->does = NULL;
    (void)getcontext(&coroutine->beginning);
    for (size_t i = 0; i < sizeof kept_registers / sizeof kept_registers[0]; i++)
        coroutine->beginning.uc_mcontext.gregs[kept_registers[i]] = 0; /* whatever the scheduler has there */
    coroutine->beginning.uc_stack.ss_sp = coroutine->stack;
    coroutine->beginning.uc_stack.ss_size = sizeof coroutine->stack;
    coroutine->beginning.uc_link = NULL;
    coroutine->lowest = coroutine->stack + sizeof coroutine->stack;
    makecontext(&coroutine->beginning, begin, 0);
}

static void begin_launch(struct launch *launch)
{
    memset(launch, 0, offsetof(struct launch, text));
    launch->options.stdout_mode = launch->options.stderr_mode = OUTPUT_INHERIT;
    launch->options.file = "p";
    launch->options.step_count = 1;
    launch->options.steps[0] = (struct stop_step){.signal = SIGTERM, .ms = 500};
}

static void begin_world(void)
{
    begin_launch(&keepers_launch);
    begin_launch(&relays_launch);
    memset((void *)&bequest, 0, sizeof bequest);
    memset(&world, 0, sizeof world);
    world.in_foreground = true;
    begin_coroutine(&keeper, run_keeper);
    begin_coroutine(&relay, run_relay);
    search_begin();
    wrong[0] = '\0';
}

int main(int argc, char *argv[])
{
    unsigned events = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
    unsigned long whole = 0;

    search_forget();
    do {
        int how;

        budget = events;
        begin_world();
        how = run_once();
        if (how == RUN_WRONG) {
            printf("FAILED stops: %s, after\n", wrong);
            search_print_way();
            return EXIT_FAILURE;
        }
        whole += how == 0;
    } while (search_next());
    printf("%-10s %u events: %lu states, %lu orders, %lu of them to the end\n", "stops", events, search_states(),
           search_runs(), whole);
    return EXIT_SUCCESS;
}
