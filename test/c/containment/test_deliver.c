/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Signals to the receivers that an owner can name, with real processes, where the kernel has the calls by which they
 * are sent and where it lacks them.
 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/signals.h"
#include "cgroups.h"
#include "containment/deliver.h"
#include "launch.h"

static struct launch launch;
static struct failure why;

/* The errors that the kernel is made to answer with; 0 where it is to do as it does. */
static int opening, sending, killing;
static unsigned refused, killed; /* the number of the kill(2) that it refuses, and how many there were */
static bool no_list, has_reserve;
static unsigned sent_by_reserve;

int __real_platform_process_open(pid_t pid);
int __wrap_platform_process_open(pid_t pid);
int __wrap_platform_process_open(pid_t pid)
{
    if (opening == 0)
        return __real_platform_process_open(pid);
    errno = opening;
    return -1;
}

int __real_platform_process_signal(int process, int signal);
int __wrap_platform_process_signal(int process, int signal);
int __wrap_platform_process_signal(int process, int signal)
{
    if (sending == 0)
        return __real_platform_process_signal(process, signal);
    errno = sending;
    return -1;
}

int __wrap_platform_signal_descendant(int process, int signal);
int __wrap_platform_signal_descendant(int process, int signal)
{
    sent_by_reserve++;
    return __wrap_platform_process_signal(process, signal);
}

bool __wrap_platform_has_reserve(void);
bool __wrap_platform_has_reserve(void)
{
    return has_reserve;
}

int __real_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal)
{
    if (killing == 0 && ++killed != refused)
        return __real_kill(pid, signal);
    errno = killing == 0 ? EPERM : killing;
    return -1;
}

bool __real_platform_processes(void (*visit)(pid_t pid, void *context), void *context);
bool __wrap_platform_processes(void (*visit)(pid_t pid, void *context), void *context);
bool __wrap_platform_processes(void (*visit)(pid_t pid, void *context), void *context)
{
    return !no_list && __real_platform_processes(visit, context);
}

/* ---- */

static pid_t child(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)setpgid(0, 0);
    for (;;)
        (void)pause();
}

static int begin(void **state)
{
    memset(&launch, 0, sizeof launch);
    opening = sending = killing = 0;
    refused = killed = 0;
    no_list = has_reserve = false;
    sent_by_reserve = 0;
    return begin_test(state);
}

static void assert_ended_by(pid_t pid, int signal)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal);
}

/* And has no other signal pending, for that one would have come first. */
static void assert_lives(pid_t pid)
{
    assert_int_equal(__real_kill(pid, SIGKILL), 0);
    assert_ended_by(pid, SIGKILL);
}

static void tree_gets_it(void)
{
    pid_t first = child();
    pid_t second = child();

    launch.tree.program = first;
    assert_int_equal(deliver(&launch, RECEIVER_TREE, SIGUSR1), 0);
    assert_ended_by(first, SIGUSR1);
    assert_ended_by(second, SIGUSR1);
}

static void all_of_a_tree_get_it(void **state)
{
    (void)state;
    tree_gets_it();
    assert_int_equal(sent_by_reserve, 0);
}

static void a_reserve_is_used_for_descendants(void **state)
{
    (void)state;
    has_reserve = true;
    tree_gets_it();
    assert_int_equal(sent_by_reserve, 2);
}

/* Linux has pidfd_open(2) from 5.3 on, and pidfd_send_signal(2) from 5.1. */
static void all_of_a_tree_get_it_without_descriptors(void **state)
{
    (void)state;
    opening = ENOSYS;
    tree_gets_it();
}

/* As under a seccomp filter that knows pidfd_open(2) and not pidfd_send_signal(2). */
static void all_of_a_tree_get_it_without_sending_by_descriptor(void **state)
{
    (void)state;
    sending = ENOSYS;
    tree_gets_it();
}

static void who_has_ended_gets_nothing(void **state)
{
    pid_t pid = child();
    siginfo_t ended;

    (void)state;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT), 0);
    assert_int_equal(deliver(&launch, RECEIVER_TREE, SIGUSR1), ESRCH);
    assert_ended_by(pid, SIGKILL);
}

/* Its pid is no process's any more when it is opened. */
static void who_is_gone_meanwhile_is_passed_over(void **state)
{
    pid_t pid = child();

    (void)state;
    opening = ESRCH;
    assert_int_equal(deliver(&launch, RECEIVER_TREE, SIGUSR1), ESRCH);
    assert_lives(pid);
}

/* Of two, the one that comes first or the one that comes last in /proc may not. */
static void one_who_may_be_signalled_suffices(void **state)
{
    (void)state;
    opening = ENOSYS;
    for (refused = 1; refused <= 2; refused++) {
        pid_t both[] = {child(), child()};
        pid_t got;
        int status;

        killed = 0;
        assert_int_equal(deliver(&launch, RECEIVER_TREE, SIGUSR1), 0);
        assert_int_equal(killed, 2);
        got = waitpid(-1, &status, 0);
        assert_true(got == both[0] || got == both[1]);
        assert_int_equal(WTERMSIG(status), SIGUSR1);
        assert_lives(both[got == both[0]]);
    }
}

static void that_none_may_be_is_told(void **state)
{
    pid_t pid = child();

    (void)state;
    sending = EPERM;
    assert_int_equal(deliver(&launch, RECEIVER_TREE, SIGUSR1), EPERM);
    sending = 0;
    opening = ENOSYS;
    killing = EPERM;
    assert_int_equal(deliver(&launch, RECEIVER_TREE, SIGUSR1), EPERM);
    assert_lives(pid);
}

static void without_a_list_of_processes_there_is_no_tree(void **state)
{
    (void)state;
    no_list = true;
    assert_int_equal(deliver(&launch, RECEIVER_TREE, SIGUSR1), ENOSYS);
}

static void a_group_gets_it(void **state)
{
    pid_t pid = child();

    (void)state;
    (void)setpgid(pid, pid); /* whichever of the two comes first */
    launch.tree.program = pid;
    assert_int_equal(deliver(&launch, RECEIVER_GROUP, SIGUSR1), 0);
    assert_ended_by(pid, SIGUSR1);
    assert_int_equal(deliver(&launch, RECEIVER_GROUP, SIGUSR1), ESRCH);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    launch.tree.program_ended = true;
    assert_int_equal(deliver(&launch, RECEIVER_PROGRAM, SIGUSR1), ESRCH);
    assert_int_equal(deliver(&launch, RECEIVER_CGROUP, SIGUSR1), ENOENT);
    assert_int_equal(deliver(&launch, (enum receiver)255, SIGUSR1), EINVAL);
    launch.tree.attached = STDOUT_FILENO;
    assert_int_equal(deliver(&launch, RECEIVER_GROUP, SIGUSR1), ENOTSUP);
}

/* ---- Of a cgroup ---- */

static void open_cgroup(void)
{
    launch.options.group = in_own("a");
    if (!cgroup_open(&launch.cgroup_state, &launch.options, &why))
        fail_msg("%s", why.words);
    launch.cgroup = &launch.cgroup_state;
}

static void close_cgroup(void)
{
    if (!cgroup_remove(launch.cgroup, &why))
        fail_msg("%s", why.words);
    cgroup_close(launch.cgroup);
}

static void cgroup_gets_it(void)
{
    pid_t member, other;

    open_cgroup();
    member = stay_in(launch.cgroup->path);
    other = child();
    assert_int_equal(deliver(&launch, RECEIVER_CGROUP, SIGUSR1), 0);
    assert_ended_by(member, SIGUSR1);
    assert_int_equal(deliver(&launch, RECEIVER_CGROUP, SIGUSR1), ESRCH);
    assert_lives(other);
    close_cgroup();
}

static void all_in_a_cgroup_get_it(void **state)
{
    (void)state;
    OWN_CGROUP();
    cgroup_gets_it();
}

static void all_in_a_cgroup_get_it_without_descriptors(void **state)
{
    (void)state;
    OWN_CGROUP();
    opening = ENOSYS;
    cgroup_gets_it();
}

/* Others may have been moved there: the reserve is for what descends from us. */
static void a_reserve_is_used_in_a_cgroup_for_descendants(void **state)
{
    (void)state;
    OWN_CGROUP();
    has_reserve = true;
    cgroup_gets_it();
    assert_int_equal(sent_by_reserve, 1);
}

/* With a process in the program's place the stop command is in the cgroup, too, and descends from us. */
static void a_stop_command_in_the_cgroup_gets_nothing(void **state)
{
    pid_t command;

    (void)state;
    OWN_CGROUP();
    open_cgroup();
    command = stay_in(launch.cgroup->path);
    launch.tree.attached = STDOUT_FILENO;
    assert_int_equal(deliver(&launch, RECEIVER_CGROUP, SIGUSR1), ESRCH);
    assert_lives(command);
    launch.tree.attached = 0;
    close_cgroup();
}

#define DELIVER_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end_test)
#define DELIVER_CGROUP_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end_cgroups)

static int tests(void)
{
    const struct CMUnitTest all[] = {
        DELIVER_TEST(all_of_a_tree_get_it),
        DELIVER_TEST(a_reserve_is_used_for_descendants),
        DELIVER_TEST(all_of_a_tree_get_it_without_descriptors),
        DELIVER_TEST(all_of_a_tree_get_it_without_sending_by_descriptor),
        DELIVER_TEST(who_has_ended_gets_nothing),
        DELIVER_TEST(who_is_gone_meanwhile_is_passed_over),
        DELIVER_TEST(one_who_may_be_signalled_suffices),
        DELIVER_TEST(that_none_may_be_is_told),
        DELIVER_TEST(without_a_list_of_processes_there_is_no_tree),
        DELIVER_TEST(a_group_gets_it),
        DELIVER_TEST(what_cannot_be_is_refused),
        DELIVER_CGROUP_TEST(all_in_a_cgroup_get_it),
        DELIVER_CGROUP_TEST(all_in_a_cgroup_get_it_without_descriptors),
        DELIVER_CGROUP_TEST(a_reserve_is_used_in_a_cgroup_for_descendants),
        DELIVER_CGROUP_TEST(a_stop_command_in_the_cgroup_gets_nothing),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
