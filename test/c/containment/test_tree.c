/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The sweep with real processes, which this one is made the parent of. What holds the writing end of the test's pipe is
 * alive: when the pipe has ended, all is dead.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/signals.h"
#include "containment/tree.h"

static struct tree tree;
static int signals;
static struct signals_kept kept;
static int words; /* what the processes say on their stdout */

/* ---- System calls that fail on demand ---- */

static bool prctl_fails;
static bool open_fails;

int __real_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    if (prctl_fails) {
        errno = EINVAL;
        return -1;
    }
    return __real_prctl(option, a, b, c, d);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode)
{
    if (open_fails) {
        errno = ENOENT;
        return -1;
    }
    return __real_open(path, flags, mode);
}

/* ---- */

static int open_tree(void **state)
{
    struct failure why;

    signals_block(&kept, false);
    signals = signals_open(&kept, &why);
    signals_unblock();
    if (signals < 0 || !tree_open(&tree, &why))
        return -1;
    return begin_test(state);
}

static int close_tree(void **state)
{
    io_close(&tree.children);
    return end_test(state);
}
#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, open_tree, close_tree)

/* Starts trouble.c's program as the program of the tree. */
static pid_t make_trouble(const char *act, const char *number)
{
    const char *path = trouble_path();
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setsid();
        (void)dup2(ends[1], STDOUT_FILENO);
        signals_reset();
        (void)execl(path, path, act, number, NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    words = ends[0];
    tree.program = pid;
    return pid;
}

static void await_words(size_t count)
{
    char word;

    while (count-- > 0) {
        read_exactly(words, &word, 1);
        assert_int_equal(word, '.');
    }
}

static enum sweep sweep_all(void)
{
    enum sweep result;
    struct left left;

    while ((result = tree_sweep(&tree, &left)) == SWEEP_GOES_ON) {
        assert_true(left.dying > 0);
        if (left.dead)
            continue;
        await_readable(signals);
        (void)signals_take();
    }
    return result;
}

static void await_program_end(void)
{
    while (!tree.program_ended) {
        await_readable(signals);
        (void)signals_take();
        tree_reap(&tree);
    }
}

static void assert_all_dead(void)
{
    /* Where the group's other members are not our children, they are killed but may not be dead yet. */
    if (!IS_PORTABLE)
        assert_true(readable_now(words));
    (void)await_end(words);
    (void)close(words);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void without_children_the_sweep_is_done_at_once(void **state)
{
    struct left left;

    (void)state;
    assert_int_equal(tree_sweep(&tree, &left), SWEEP_DONE);
    assert_int_equal(tree.killed, 0);
}

static void the_program_is_killed_and_is_no_straggler(void **state)
{
    (void)state;
    (void)make_trouble("deaf", "0");
    await_words(1);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_true(tree.program_ended);
    assert_true(WIFSIGNALED(tree.program_status));
    assert_int_equal(WTERMSIG(tree.program_status), SIGKILL);
    assert_int_equal(tree.killed, 0);
    assert_all_dead();
}

static void the_program_is_left_unreaped_until_the_sweep(void **state)
{
    pid_t program = make_trouble("background", "5");
    siginfo_t info = {.si_pid = 0};

    (void)state;
    await_words(1);
    await_program_end();
    assert_int_equal(tree.program, program);
    assert_int_equal(kill(program, 0), 0);
    assert_int_equal(waitid(P_PID, (id_t)program, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    assert_int_equal(info.si_pid, program);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_true(WIFEXITED(tree.program_status));
    assert_int_equal(WEXITSTATUS(tree.program_status), 5);
    assert_int_equal(tree.program, 0);
    assert_all_dead();
}

static void a_child_in_the_background_is_killed_and_counted(void **state)
{
    (void)state;
    LINUX_ONLY(); /* there the group's members are not ours to reap, and not ours to count */
    (void)make_trouble("background", "0");
    await_words(1);
    await_program_end();
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_int_equal(tree.killed, 1);
    assert_all_dead();
}

static void a_daemon_is_killed_and_counted(void **state)
{
    (void)state;
    LINUX_ONLY();
    (void)make_trouble("daemon-and-go", "0");
    await_words(1);
    await_program_end();
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_int_equal(tree.killed, 1);
    assert_all_dead();
}

static void a_daemon_of_a_living_program_is_killed_with_it(void **state)
{
    (void)state;
    LINUX_ONLY();
    (void)make_trouble("daemon-and-stay", "0");
    await_words(2);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_int_equal(tree.killed, 1);
    assert_all_dead();
}

static void three_hundred_deaf_processes_are_all_killed_and_counted(void **state)
{
    (void)state;
    LINUX_ONLY();
    (void)make_trouble("tree", "300");
    await_words(300);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_int_equal(tree.killed, 299);
    assert_all_dead();
}

static void what_forks_as_fast_as_it_can_is_killed(void **state)
{
    (void)state;
    LINUX_ONLY();
    (void)make_trouble("bomb", "1500");
    await_words(1);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_true(tree.killed > 0);
    assert_all_dead();
}

/* It may be faster than us for a while, or to its end; but then there is nothing left of it either. */
static void what_never_keeps_its_pid_or_parent_is_killed(void **state)
{
    (void)state;
    LINUX_ONLY();
    (void)make_trouble("chain", "20000");
    await_words(2);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_all_dead();
}

static void zombies_are_no_stragglers(void **state)
{
    (void)state;
    LINUX_ONLY();
    (void)make_trouble("zombies", "50");
    await_words(1);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_int_equal(tree.killed, 0);
    assert_all_dead();
}

static void as_many_dead_as_there_are_are_reaped_without_a_signal(void **state)
{
    struct left left;

    (void)state;
    LINUX_ONLY();
    (void)make_trouble("zombies", "500");
    await_words(1);
    assert_int_equal(kill(tree.program, SIGKILL), 0);
    await_program_end();
    while (tree_sweep(&tree, &left) == SWEEP_GOES_ON)
        assert_true(left.dead);
    assert_int_equal(tree.killed, 0);
    assert_all_dead();
}

/* Our child beside the program; 0 when there is none. */
static pid_t other_child(void)
{
    char text[64];
    char *rest = text;
    pid_t child;
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    (void)read_text(fd, text, sizeof text);
    do {
        child = (pid_t)strtol(rest, &rest, 10);
    } while (child == tree.program);
    return child;
}

static void an_adopted_orphan_that_ends_is_reaped_and_is_no_straggler(void **state)
{
    pid_t daemon;

    (void)state;
    LINUX_ONLY();
    (void)make_trouble("daemon-and-stay", "0");
    await_words(2);
    do {
        daemon = other_child();
    } while (daemon == 0); /* its parent has not ended yet */
    assert_int_equal(kill(daemon, SIGKILL), 0);
    while (waitid(P_PID, (id_t)daemon, &(siginfo_t){.si_pid = 0}, WEXITED | WNOHANG | WNOWAIT) == 0) {
        await_readable(signals);
        (void)signals_take();
        tree_reap(&tree);
    }
    assert_int_equal(errno, ECHILD);
    assert_false(tree.program_ended);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_int_equal(tree.killed, 0);
    assert_all_dead();
}

static void that_the_program_was_stopped_is_noted(void **state)
{
    (void)state;
    (void)make_trouble("deaf", "0");
    await_words(1);
    assert_int_equal(kill(tree.program, SIGSTOP), 0);
    while (!tree.program_stopped) {
        await_readable(signals);
        (void)signals_take();
        tree_reap(&tree);
        assert_false(tree.program_ended);
    }
    assert_int_equal(tree.stop_signal, SIGSTOP);
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_all_dead();
}

/* Its group's other members were not our children when it was our child. */
static void the_program_s_whole_group_is_killed(void **state)
{
    (void)state;
    (void)make_trouble("background", "0");
    await_words(1);
    await_program_end();
    assert_int_equal(sweep_all(), SWEEP_DONE);
    assert_int_equal(await_end(words), 0);
    (void)close(words);
}

static void a_kernel_without_subreapers_is_named(void **state)
{
    struct tree other;
    struct failure why;

    (void)state;
    LINUX_ONLY();
    prctl_fails = true;
    assert_false(tree_open(&other, &why));
    prctl_fails = false;
    assert_int_equal(why.stage, STAGE_SETUP);
    assert_int_equal(why.error, EINVAL);
    assert_non_null(strstr(why.words, "subreaper"));
}

static void a_proc_that_is_not_mounted_is_named(void **state)
{
    struct tree other;
    struct failure why;

    (void)state;
    open_fails = true;
    assert_false(tree_open(&other, &why));
    open_fails = false;
    assert_int_equal(why.stage, STAGE_SETUP);
    assert_int_equal(why.error, ENOENT);
    assert_non_null(strstr(why.words, IS_PORTABLE ? "/dev/null" : "mount -t proc"));
}

/* A child that stays until the pipe's writing end is closed. */
static pid_t stay_until_end(const int ends[2])
{
    pid_t pid = fork();
    char byte;

    if (pid < 0)
        fail_msg("no child can be made: %s (raise ulimit -u, or pids.max of the cgroup)", strerror(errno));
    if (pid > 0)
        return pid;
    (void)close(ends[1]);
    _exit(read(ends[0], &byte, 1) < 0);
}

/* We as an ordinary user, the child as root. */
static void what_may_not_be_killed_is_said(void **state)
{
    int ends[2];
    pid_t stranger;
    enum sweep result;
    struct left left;

    (void)state;
    LINUX_ONLY();
    ROOT_ONLY();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    stranger = stay_until_end(ends);
    (void)close(ends[0]);
    assert_int_equal(setresuid(65534, 65534, 0), 0);
    result = tree_sweep(&tree, &left);
    assert_int_equal(setresuid(0, 0, 0), 0);
    assert_int_equal(result, SWEEP_REFUSED);
    assert_int_equal(tree.refused, stranger);
    (void)close(ends[1]);
    assert_int_equal(waitpid(stranger, NULL, 0), stranger);
    assert_int_equal(tree_sweep(&tree, &left), SWEEP_DONE);
}

/* A shell that executes muontrap leaves it its own children, which are none of the program's. */
static void so_many_children_from_before_are_spared_and_no_more(void **state)
{
    static struct spared spared;
    struct failure why;
    struct left left;
    int ends[2];

    (void)state;
    LINUX_ONLY();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    for (unsigned i = 0; i < SPARED_MOST; i++)
        (void)stay_until_end(ends);
    memset(&spared, 0, sizeof spared);
    assert_true(tree_spare_children(&tree, &spared, &why));
    assert_int_equal(spared.count, SPARED_MOST);
    assert_int_equal(tree_sweep(&tree, &left), SWEEP_DONE);
    assert_int_equal(tree.killed, 0);
    (void)stay_until_end(ends);
    memset(&spared, 0, sizeof spared);
    assert_false(tree_spare_children(&tree, &spared, &why));
    assert_int_equal(why.error, E2BIG);
    assert_non_null(strstr(why.words, "has 1025 children already, and can tell only 1024"));
    (void)close(ends[1]);
    for (unsigned i = 0; i <= SPARED_MOST; i++) {
        int status;

        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    (void)close(ends[0]);
    tree.spared = NULL;
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TREE_TEST(without_children_the_sweep_is_done_at_once),
        TREE_TEST(the_program_is_killed_and_is_no_straggler),
        TREE_TEST(the_program_is_left_unreaped_until_the_sweep),
        TREE_TEST(a_child_in_the_background_is_killed_and_counted),
        TREE_TEST(a_daemon_is_killed_and_counted),
        TREE_TEST(a_daemon_of_a_living_program_is_killed_with_it),
        TREE_TEST(three_hundred_deaf_processes_are_all_killed_and_counted),
        TREE_TEST(what_forks_as_fast_as_it_can_is_killed),
        TREE_TEST(what_never_keeps_its_pid_or_parent_is_killed),
        TREE_TEST(zombies_are_no_stragglers),
        TREE_TEST(as_many_dead_as_there_are_are_reaped_without_a_signal),
        TREE_TEST(an_adopted_orphan_that_ends_is_reaped_and_is_no_straggler),
        TREE_TEST(that_the_program_was_stopped_is_noted),
        TREE_TEST(the_program_s_whole_group_is_killed),
        TREE_TEST(so_many_children_from_before_are_spared_and_no_more),
        TREE_TEST(a_kernel_without_subreapers_is_named),
        TREE_TEST(a_proc_that_is_not_mounted_is_named),
        TREE_TEST(what_may_not_be_killed_is_said),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
