/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The sweep of tree and cgroup together, with real processes in a real cgroup.
 */
#include "support.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroups.h"
#include "io.h"
#include "signals.h"
#include "sweep.h"

#define A_THOUSAND 1000

static struct tree tree;
static struct cgroup cgroup;
static struct failure why;
static int signals;

/* An hour for each millisecond: every pass is a long one. */
static bool slow;

uint64_t __real_io_now_us(void);
uint64_t __wrap_io_now_us(void);
uint64_t __wrap_io_now_us(void)
{
    return slow ? __real_io_now_us() * 3600000u : __real_io_now_us();
}

/* The kernel takes its time with the dying: so many looks find that there still are some. */
static unsigned dying;

bool __real_cgroup_populated(const struct cgroup *populated);
bool __wrap_cgroup_populated(const struct cgroup *populated);
bool __wrap_cgroup_populated(const struct cgroup *populated)
{
    if (dying == 0)
        return __real_cgroup_populated(populated);
    dying--;
    return true;
}

/* ---- */

static void open_all(void)
{
    static struct options options;

    slow = false;
    options.group = in_own("a");
    signals_block(false, false);
    signals = signals_open(&why);
    signals_unblock();
    if (signals < 0 || !tree_open(&tree, &why) || !cgroup_open(&cgroup, &options, &why))
        fail_msg("%s", why.words);
}

static void close_all(void)
{
    slow = false;
    if (!cgroup_remove(&cgroup, &why))
        fail_msg("%s", why.words);
    while (cgroup.held_count > 0)
        (void)close(cgroup.held[--cgroup.held_count]);
    (void)close(cgroup.directory);
    (void)close(cgroup.events);
    (void)close(cgroup.root);
    io_close(&tree.children);
}

static pid_t child_in(const struct cgroup *place)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    signals_reset();
    if (place && !cgroup_enter(place))
        _exit(1);
    (void)close(cgroup.directory);
    for (;;)
        (void)pause();
}

static void await_members(unsigned count)
{
    while (cgroup_members(&cgroup) < count)
        (void)usleep(1000);
}

static bool children_are_held_back(void)
{
    sigset_t blocked;

    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &blocked), 0);
    return sigismember(&blocked, SIGCHLD) == 1;
}

/* Returns how many passes it took. While it rests only the cgroup's event may end that, so the rests are for ever. */
static unsigned sweep_all(void)
{
    uint64_t rest_until;
    unsigned passes = 1;

    while (sweep_pass(&tree, &cgroup, &rest_until) == SWEEP_GOES_ON) {
        struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = cgroup_events(&cgroup), .events = POLLPRI}};

        assert_int_equal(children_are_held_back(), rest_until > 0);
        assert_true(poll(fds, 2, LONG_ENOUGH_MS) != 0);
        (void)signals_take();
        passes++;
    }
    assert_int_equal(rest_until, 0);
    return passes;
}

static void a_thousand(void)
{
    tree.program = child_in(&cgroup);
    for (int i = 1; i < A_THOUSAND; i++)
        (void)child_in(&cgroup);
    await_members(A_THOUSAND);
    (void)child_in(NULL); /* and one outside */
}

static void assert_all_reaped(void)
{
    assert_true(tree.program_ended);
    assert_true(WIFSIGNALED(tree.program_status));
    assert_int_equal(tree.killed, A_THOUSAND);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(cgroup_members(&cgroup), 0);
    assert_false(children_are_held_back());
}

static void a_thousand_and_one_outside_are_swept(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    a_thousand();
    (void)sweep_all();
    assert_all_reaped();
    close_all();
}

static void while_many_die_only_the_cgroup_is_waited_for(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    a_thousand();
    slow = true;
    /* One to begin with, one each for news of the cgroup that it was populated and that it is not, one for the signal
     * held back, and one for the death of who was outside. */
    assert_true(sweep_all() <= 5);
    assert_all_reaped();
    close_all();
}

static void after_a_long_pass_over_the_dying_children_are_held_back(void **state)
{
    uint64_t rest_until;

    (void)state;
    OWN_CGROUP();
    open_all();
    tree.program = child_in(&cgroup);
    await_members(1);
    slow = true;
    dying = 1;
    assert_int_equal(sweep_pass(&tree, &cgroup, &rest_until), SWEEP_GOES_ON);
    assert_true(rest_until > 0);
    assert_true(children_are_held_back());
    assert_false(tree.program_ended);
    (void)sweep_all();
    assert_true(tree.program_ended);
    assert_false(children_are_held_back());
    close_all();
}

static void an_empty_cgroup_needs_no_rest(void **state)
{
    uint64_t rest_until = 1;

    (void)state;
    OWN_CGROUP();
    open_all();
    slow = true;
    assert_int_equal(sweep_pass(&tree, &cgroup, &rest_until), SWEEP_DONE);
    assert_int_equal(rest_until, 0);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CGROUP_TEST(a_thousand_and_one_outside_are_swept),
        CGROUP_TEST(while_many_die_only_the_cgroup_is_waited_for),
        CGROUP_TEST(after_a_long_pass_over_the_dying_children_are_held_back),
        CGROUP_TEST(an_empty_cgroup_needs_no_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
