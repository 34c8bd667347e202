/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * kill -9 of one of the helper's two processes. A FIFO that all of the program's descendants hold open is the witness:
 * it ends when the last of them is dead.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/platform.h"
#include "base/signals.h"
#include "client.h"
#include "containment/keeper.h"

static struct client client;
static int witness;

/* ---- System calls that fail on demand ---- */

static int fork_error, socketpair_error, prctl_error, open_error, pipe_error;

#define FAILS(error)                                                                                                   \
    if (error) {                                                                                                       \
        errno = error;                                                                                                 \
        return -1;                                                                                                     \
    }

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    FAILS(fork_error)
    return __real_fork();
}

int __real_socketpair(int domain, int type, int protocol, int ends[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ends[2]);
int __wrap_socketpair(int domain, int type, int protocol, int ends[2])
{
    FAILS(socketpair_error)
    return __real_socketpair(domain, type, protocol, ends);
}

int __real_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    FAILS(prctl_error)
    return __real_prctl(option, a, b, c, d);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode)
{
    FAILS(open_error)
    return __real_open(path, flags, mode);
}

int __real_pipe(int ends[2]);
int __wrap_pipe(int ends[2]);
int __wrap_pipe(int ends[2])
{
    FAILS(pipe_error)
    return __real_pipe(ends);
}

/* ---- */

/* Starts trouble.c's act, and waits until so many of its processes have said that they are there. */
static void act_within(const char *delay, const char *name, const char *number, size_t processes)
{
    char fifo[256];
    char script[800];

    (void)snprintf(fifo, sizeof fifo, "%s", own_path("fifo"));
    assert_int_equal(mkfifo(fifo, 0600), 0);
    witness = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(witness >= 0);
    (void)snprintf(script, sizeof script, "exec 9>%s; exec %s %s %s", fifo, trouble_path(), name, number);
    START(&client, "-k", delay, "--", "sh", "-c", script);
    client_await_bytes(&client, processes);
    assert_false(readable_now(witness));
}

static void act(const char *name, const char *number, size_t processes)
{
    act_within("100", name, number, processes);
}

static void assert_all_dead_now(void)
{
    assert_true(readable_now(witness));
    assert_int_equal(await_end(witness), 0);
    (void)close(witness);
}

/* The keeper lives, and closes the owner's pipe when all is done. */
static void kill_relay_and_follow(void)
{
    assert_int_equal(kill(client_relay(&client), SIGKILL), 0);
    client_follow(&client);
    assert_false(client.exited);
    assert_all_dead_now();
    assert_int_equal(client_leave(&client), 125 << 8);
}

static void a_killed_relay_takes_a_deaf_program_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    act("deaf", "0", 1);
    kill_relay_and_follow();
}

static void a_killed_relay_takes_daemons_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    act("daemon-and-stay", "0", 2);
    kill_relay_and_follow();
}

static void a_killed_relay_takes_a_large_tree_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    act("tree", "300", 300);
    kill_relay_and_follow();
}

static void a_killed_relay_takes_a_chain_of_forks_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    act("chain", "20000", 2);
    kill_relay_and_follow();
}

/* It has no parent that tells of its death, and may not be killed while it stops for a signal of its own. */
static void a_killed_relay_takes_the_program_s_group_with_it(void **state)
{
    (void)state;
    act("deaf", "0", 1);
    assert_int_equal(kill(client_relay(&client), SIGKILL), 0);
    client_follow(&client);
    assert_int_equal(await_end(witness), 0);
    (void)close(witness);
    assert_int_equal(client_leave(&client), 125 << 8);
}

/* The relay is told, and stops: its owner sees a normal end. */
static void kill_keeper_and_follow(void)
{
    assert_int_equal(kill(client.pid, SIGKILL), 0);
    client_follow(&client);
    assert_true(client.exited);
    assert_all_dead_now();
    client_half_close(&client);
    while (client_step(&client))
        continue;
    assert_int_equal(client_leave(&client), SIGKILL);
}

static void a_killed_keeper_takes_a_deaf_program_with_it(void **state)
{
    (void)state;
    act("deaf", "0", 1);
    kill_keeper_and_follow();
    assert_true(client.signalled);
    assert_int_equal(client.code, SIGKILL);
}

static void a_killed_keeper_leaves_a_polite_program_its_time(void **state)
{
    (void)state;
    act_within("60000", "polite", "0", 1);
    kill_keeper_and_follow();
    assert_int_equal(client.code, 7);
}

static void a_killed_keeper_takes_daemons_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    act("daemon-and-stay", "0", 2);
    kill_keeper_and_follow();
}

static void a_killed_keeper_takes_a_large_tree_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    act("tree", "300", 300);
    kill_keeper_and_follow();
}

static void a_killed_keeper_takes_a_chain_of_forks_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    act("chain", "20000", 2);
    kill_keeper_and_follow();
}

static void the_owner_s_end_after_the_keeper_s_kills_all(void **state)
{
    (void)state;
    act("deaf", "0", 1);
    assert_int_equal(kill(client.pid, SIGKILL), 0);
    assert_int_equal(client_leave(&client), SIGKILL);
    assert_int_equal(await_end(witness), 0);
    (void)close(witness);
}

/* A program may kill its parent, as whoever runs as the same user may. */
static void a_program_that_kills_its_relay_dies_of_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, "--", "sh", "-c", "kill -9 $PPID; sleep 1000");
    client_follow(&client);
    assert_false(client.exited);
    assert_false(is_alive(client.program));
    assert_int_equal(client_leave(&client), 125 << 8);
}

/* ---- Whose turn it is ---- */

struct scheduling {
    int policy;
    uint64_t slice;
    uint64_t keepers_slice;
};

/* How a relay is scheduled that has been told to stop, before or after it has started the program, and its keeper. */
static struct scheduling scheduling_at_stop(bool is_ordinary, bool in_port, bool program_runs)
{
    static struct launch launch;
    struct scheduling scheduling = {.policy = -1};
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct tether tether;
        struct failure why;
        sigset_t term;
        int signal;

        if (is_ordinary && !lose_priority())
            _exit(1);
        launch.options.port = in_port;
        signals_block(&launch.kept_signals, false);
        if (!keeper_start(&launch, &tether, &why))
            _exit(1);
        if (program_runs)
            tether.bequest->program = 1;
        (void)sigemptyset(&term);
        (void)sigaddset(&term, SIGTERM);
        if (kill(tether.keeper, SIGTERM) < 0 || sigwait(&term, &signal) != 0)
            _exit(1);
        scheduling.policy = sched_getscheduler(0);
        scheduling.slice = slice_of(0);
        scheduling.keepers_slice = slice_of(tether.keeper);
        _exit(write(ends[1], &scheduling, sizeof scheduling) == (ssize_t)sizeof scheduling ? 0 : 1);
    }
    read_exactly(ends[0], &scheduling, sizeof scheduling);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return scheduling;
}

/* And how one is that hurries, as far as it may here. */
static int policy_in_a_hurry(void)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        platform_hurry(0);
        _exit(sched_getscheduler(0));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What it starts would be scheduled as it is. */
static void a_relay_that_is_told_to_stop_hurries_once_it_has_started_the_program(void **state)
{
    (void)state;
    LINUX_ONLY();
    assert_int_equal(scheduling_at_stop(false, true, false).policy, sched_getscheduler(0));
    assert_int_equal(scheduling_at_stop(false, true, true).policy, policy_in_a_hurry());
}

/* As far as the kernel lets it. In a port, the stop doesn't come from the keeper. */
static void an_ordinary_users_relay_hurries_then_too_and_his_keeper_from_its_start(void **state)
{
    uint64_t shortest = slice_of(0) == 0 ? 0 : 100000;
    struct scheduling before;
    struct scheduling after;

    (void)state;
    LINUX_ONLY();
    before = scheduling_at_stop(true, false, false);
    assert_int_equal(before.keepers_slice, shortest);
    after = scheduling_at_stop(true, false, true);
    assert_int_equal(after.keepers_slice, shortest);
    assert_int_equal(after.slice, shortest);
    assert_int_equal(after.policy, before.policy);
    if (shortest == 0)
        return;
    assert_int_not_equal(before.slice, shortest);
    assert_int_equal(scheduling_at_stop(true, true, true).keepers_slice, before.slice);
}

/* ---- What fails before ---- */

static void assert_does_not_start(int *error_variable, int error, const char *words)
{
    static struct launch launch;
    struct tether tether;
    struct failure why;

    *error_variable = error;
    assert_false(keeper_start(&launch, &tether, &why));
    *error_variable = 0;
    assert_int_equal(why.stage, STAGE_SETUP);
    assert_int_equal(why.error, error);
    if (!strstr(why.words, words))
        fail_msg("'%s' doesn't say '%s'", why.words, words);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void what_the_keeper_cannot_have_is_named(void **state)
{
    (void)state;
    assert_does_not_start(&fork_error, EAGAIN, "ulimit -u");
    assert_does_not_start(&socketpair_error, EMFILE, "ulimit -n");
    assert_does_not_start(&pipe_error, EMFILE, "ulimit -n");
    assert_does_not_start(&open_error, ENOENT, IS_PORTABLE ? "/dev/null" : "/proc");
    if (!IS_PORTABLE)
        assert_does_not_start(&prctl_error, EINVAL, "subreaper");
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(a_killed_relay_takes_a_deaf_program_with_it),
        TEST(a_killed_relay_takes_daemons_with_it),
        TEST(a_killed_relay_takes_a_large_tree_with_it),
        TEST(a_killed_relay_takes_a_chain_of_forks_with_it),
        TEST(a_killed_relay_takes_the_program_s_group_with_it),
        TEST(a_killed_keeper_takes_a_deaf_program_with_it),
        TEST(a_killed_keeper_leaves_a_polite_program_its_time),
        TEST(a_killed_keeper_takes_daemons_with_it),
        TEST(a_killed_keeper_takes_a_large_tree_with_it),
        TEST(a_killed_keeper_takes_a_chain_of_forks_with_it),
        TEST(the_owner_s_end_after_the_keeper_s_kills_all),
        TEST(a_program_that_kills_its_relay_dies_of_it),
        TEST(a_relay_that_is_told_to_stop_hurries_once_it_has_started_the_program),
        TEST(an_ordinary_users_relay_hurries_then_too_and_his_keeper_from_its_start),
        TEST(what_the_keeper_cannot_have_is_named),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
