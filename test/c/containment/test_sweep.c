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

#include "base/io.h"
#include "base/signals.h"
#include "cgroups.h"
#include "containment/sweep.h"

#define A_THOUSAND 1000

static struct sweeping sweeping;
static struct tree tree;
static struct cgroup cgroup;
static struct failure why;
static int signals;
static struct signals_kept kept;

/* What the kernel is made to say of the cgroup: so many times that somebody lives in it, or that so many do. */
static const bool *populated;
static unsigned members;

bool __real_cgroup_populated(const struct cgroup *of);
bool __wrap_cgroup_populated(const struct cgroup *of);
bool __wrap_cgroup_populated(const struct cgroup *of)
{
    return populated ? *populated++ : __real_cgroup_populated(of);
}

bool __real_cgroup_members(const struct cgroup *of, unsigned *count);
bool __wrap_cgroup_members(const struct cgroup *of, unsigned *count);
bool __wrap_cgroup_members(const struct cgroup *of, unsigned *count)
{
    if (members == 0)
        return __real_cgroup_members(of, count);
    *count = members;
    return true;
}

/* ---- */

static void open_all(void)
{
    static struct options options;

    memset(&sweeping, 0, sizeof sweeping);
    memset(&tree, 0, sizeof tree);
    populated = NULL;
    members = 0;
    options.group = in_own("a");
    signals_block(&kept, false);
    signals = signals_open(&kept, &why);
    signals_unblock();
    if (signals < 0 || !tree_open(&tree, &why) || !cgroup_open(&cgroup, &options, &why))
        fail_msg("%s", why.words);
}

static void close_all(void)
{
    populated = NULL;
    if (!cgroup_remove(&cgroup, &why))
        fail_msg("%s", why.words);
    while (cgroup.held_count > 0)
        (void)close(cgroup.held[--cgroup.held_count]);
    (void)close(cgroup.directory);
    (void)close(cgroup.events);
    (void)close(cgroup.root);
    io_close(&tree.children);
}

static pid_t child(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    signals_reset();
    (void)close(cgroup.directory);
    for (;;)
        (void)pause();
}

static unsigned live(void)
{
    unsigned count;

    assert_true(cgroup_members(&cgroup, &count));
    return count;
}

static bool children_are_held_back(void)
{
    sigset_t blocked;

    assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &blocked), 0);
    return sigismember(&blocked, SIGCHLD) == 1;
}

static void sweep_all(void)
{
    while (sweep_pass(&sweeping, &tree, &cgroup) == SWEEP_GOES_ON) {
        struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                               {.fd = sweeping.populated ? cgroup_events(&cgroup) : -1, .events = POLLPRI}};
        int ready = poll(fds, 2, sweeping.due > 0 ? io_left_ms(sweeping.due) : LONG_ENOUGH_MS);

        assert_true(ready != 0 || sweeping.due > 0); /* a signal interrupts it */
        (void)signals_take();
    }
    assert_int_equal(sweeping.due, 0);
    assert_false(children_are_held_back());
}

/* One pass, after whose kill the cgroup is populated, or isn't; and which finds so many in it. */
static enum sweep pass_when(bool still_populated, bool populated_after, unsigned count)
{
    const bool answers[] = {still_populated, populated_after};
    enum sweep result;

    populated = answers;
    members = count;
    result = sweep_pass(&sweeping, &tree, &cgroup);
    populated = NULL;
    members = 0;
    return result;
}

static void a_thousand(void)
{
    tree.program = stay_in(cgroup.path);
    for (int i = 1; i < A_THOUSAND; i++)
        (void)stay_in(cgroup.path);
    (void)child(); /* and one outside */
}

static void a_thousand_and_one_outside_are_swept(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    a_thousand();
    sweep_all();
    assert_true(tree.program_ended);
    assert_true(WIFSIGNALED(tree.program_status));
    assert_int_equal(tree.killed, A_THOUSAND);
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(live(), 0);
    close_all();
}

/* A program in the cgroup, and nobody else. */
static void open_with_program(void)
{
    open_all();
    tree.program = stay_in(cgroup.path);
}

/* Which leaves it as it is. */
static void await_death_of_program(void)
{
    siginfo_t ended;

    assert_int_equal(waitid(P_PID, (id_t)tree.program, &ended, WEXITED | WNOWAIT), 0);
}

/* The dead are left for later only where the kernel kills all of a cgroup at once. */
#define TAKES_CGROUP_KILL()                                                                                            \
    do {                                                                                                               \
        if (!has_file(in_own(""), "cgroup.kill"))                                                                      \
            LEAVE_OUT("needs cgroup.kill, which Linux has from 5.14 on");                                              \
    } while (0)

static void of_many_dying_nobody_is_reaped_and_no_signal_taken(void **state)
{
    (void)state;
    OWN_CGROUP();
    TAKES_CGROUP_KILL();
    open_with_program();
    assert_int_equal(pass_when(true, true, A_THOUSAND), SWEEP_GOES_ON);
    assert_true(sweeping.due > 0);
    assert_true(sweeping.populated);
    assert_true(children_are_held_back());
    await_death_of_program();
    assert_int_equal(pass_when(true, true, A_THOUSAND - 1), SWEEP_GOES_ON);
    assert_true(children_are_held_back());
    assert_false(tree.program_ended);
    sweep_all();
    assert_true(tree.program_ended);
    close_all();
}

/* One may wait for the end of another that only we can reap, as the init of a pid namespace does. */
static void the_dead_are_reaped_when_the_dying_do_not_become_fewer(void **state)
{
    (void)state;
    OWN_CGROUP();
    TAKES_CGROUP_KILL();
    open_with_program();
    assert_int_equal(pass_when(true, true, A_THOUSAND), SWEEP_GOES_ON);
    await_death_of_program();
    assert_int_equal(pass_when(true, true, A_THOUSAND), SWEEP_GOES_ON);
    assert_false(children_are_held_back());
    assert_true(tree.program_ended);
    sweep_all();
    close_all();
}

static void of_a_few_the_dead_are_reaped_at_once(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_with_program();
    cgroup_kill(&cgroup);
    await_death_of_program();
    assert_int_equal(pass_when(true, true, 2), SWEEP_GOES_ON);
    assert_false(children_are_held_back());
    assert_true(tree.program_ended);
    sweep_all();
    close_all();
}

/* Of children beside the program, which has no cgroup. */
static enum sweep pass_over(unsigned children, unsigned as_many_before)
{
    tree.program = child();
    for (unsigned i = 1; i < children; i++)
        (void)child();
    sweeping.children = as_many_before;
    return sweep_pass(&sweeping, &tree, NULL);
}

static void sweep_rest(void)
{
    while (sweep_pass(&sweeping, &tree, NULL) == SWEEP_GOES_ON) {
        (void)poll(&(struct pollfd){.fd = signals, .events = POLLIN}, 1,
                   sweeping.due > 0 ? io_left_ms(sweeping.due) : LONG_ENOUGH_MS);
        (void)signals_take();
    }
    assert_true(tree.program_ended);
    assert_false(children_are_held_back());
    close_all();
}

static void a_crowd_that_shrinks_is_not_looked_through_at_each_death(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    assert_int_equal(pass_over(100, 101), SWEEP_GOES_ON);
    assert_int_equal(sweeping.children, 100);
    assert_true(sweeping.due > 0);
    assert_true(children_are_held_back());
    sweep_rest();
}

static void a_crowd_that_grows_is_looked_through_at_once(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    assert_int_equal(pass_over(100, 100), SWEEP_GOES_ON);
    assert_int_equal(sweeping.due, 0);
    assert_false(children_are_held_back());
    sweep_rest();
}

static void a_few_are_looked_at_again_when_one_has_died(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    assert_int_equal(pass_over(3, 100), SWEEP_GOES_ON);
    assert_int_equal(sweeping.due, 0);
    assert_false(children_are_held_back());
    sweep_rest();
}

/* Somebody from elsewhere may have come after the kill, and no event would tell when he doesn't leave by himself. */
static void who_came_after_the_kill_is_looked_for_again_soon(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    assert_int_equal(pass_when(false, true, 0), SWEEP_GOES_ON);
    assert_true(sweeping.due > 0);
    assert_false(children_are_held_back());
    sweep_all();
    close_all();
}

static void an_empty_cgroup_is_done_with(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    assert_int_equal(sweep_pass(&sweeping, &tree, &cgroup), SWEEP_DONE);
    assert_int_equal(sweeping.due, 0);
    assert_false(sweeping.populated);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CGROUP_TEST(a_thousand_and_one_outside_are_swept),
        CGROUP_TEST(of_many_dying_nobody_is_reaped_and_no_signal_taken),
        CGROUP_TEST(the_dead_are_reaped_when_the_dying_do_not_become_fewer),
        CGROUP_TEST(of_a_few_the_dead_are_reaped_at_once),
        CGROUP_TEST(a_crowd_that_shrinks_is_not_looked_through_at_each_death),
        CGROUP_TEST(a_crowd_that_grows_is_looked_through_at_once),
        CGROUP_TEST(a_few_are_looked_at_again_when_one_has_died),
        CGROUP_TEST(who_came_after_the_kill_is_looked_for_again_soon),
        CGROUP_TEST(an_empty_cgroup_is_done_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
