/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * How a process and what descends from it get into a cgroup, with real processes in real cgroups: also when the kernel
 * refuses it, and when they leave meanwhile.
 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "cgroups.h"
#include "containment/attach.h"
#include "launch.h"

static struct launch launch;
static struct failure why;
static const char *home;

/* What the kernel is made to answer with: an error at these calls, of which the first is number 1; 0 where it is to do
 * as it does. */
struct fault {
    int error;
    unsigned from, to;
    unsigned calls;
};
#define ALWAYS(error) ((struct fault){error, 1, ~0u, 0})
static struct fault moving, opening;
static bool ended; /* every process that is looked at */
static bool no_place, no_list, none_goes_back, never_inside;
static pid_t program, descendant;
static pid_t parent; /* that the program is said to have; 0 where it is to be the one that it has */

static bool fails(struct fault *fault)
{
    fault->calls++;
    if (fault->error == 0 || fault->calls < fault->from || fault->calls > fault->to)
        return false;
    errno = fault->error;
    return true;
}

bool __real_cgroup_move(const struct cgroup *cgroup, pid_t pid);
bool __wrap_cgroup_move(const struct cgroup *cgroup, pid_t pid);
bool __wrap_cgroup_move(const struct cgroup *cgroup, pid_t pid)
{
    return !fails(&moving) && __real_cgroup_move(cgroup, pid);
}

void __real_cgroup_move_back(const struct cgroup *cgroup, pid_t pid, const char *path);
void __wrap_cgroup_move_back(const struct cgroup *cgroup, pid_t pid, const char *path);
void __wrap_cgroup_move_back(const struct cgroup *cgroup, pid_t pid, const char *path)
{
    if (!none_goes_back)
        __real_cgroup_move_back(cgroup, pid, path);
}

bool __real_cgroup_place(const struct cgroup *cgroup, pid_t pid, char path[CGROUP_PATH_MOST + 1]);
bool __wrap_cgroup_place(const struct cgroup *cgroup, pid_t pid, char path[CGROUP_PATH_MOST + 1]);
bool __wrap_cgroup_place(const struct cgroup *cgroup, pid_t pid, char path[CGROUP_PATH_MOST + 1])
{
    errno = ENOENT;
    return !no_place && __real_cgroup_place(cgroup, pid, path);
}

bool __real_cgroup_has(const struct cgroup *cgroup, pid_t pid);
bool __wrap_cgroup_has(const struct cgroup *cgroup, pid_t pid);
bool __wrap_cgroup_has(const struct cgroup *cgroup, pid_t pid)
{
    return !never_inside && __real_cgroup_has(cgroup, pid);
}

pid_t __real_platform_parent(pid_t pid);
pid_t __wrap_platform_parent(pid_t pid);
pid_t __wrap_platform_parent(pid_t pid)
{
    return pid == program && parent != 0 ? parent : __real_platform_parent(pid);
}

int __real_platform_process_open(pid_t pid);
int __wrap_platform_process_open(pid_t pid);
int __wrap_platform_process_open(pid_t pid)
{
    return fails(&opening) ? -1 : __real_platform_process_open(pid);
}

bool __real_platform_process_ended(int process);
bool __wrap_platform_process_ended(int process);
bool __wrap_platform_process_ended(int process)
{
    return ended || __real_platform_process_ended(process);
}

bool __real_platform_processes(void (*visit)(pid_t pid, void *context), void *context);
bool __wrap_platform_processes(void (*visit)(pid_t pid, void *context), void *context);
bool __wrap_platform_processes(void (*visit)(pid_t pid, void *context), void *context)
{
    errno = EMFILE;
    return !no_list && __real_platform_processes(visit, context);
}

/* ---- */

/* A process in a cgroup of its own, with a child. */
static void make_program(void)
{
    int report[2];

    home = in_own("home");
    make_cgroup(home);
    assert_int_equal(pipe(report), 0);
    program = fork();
    assert_true(program >= 0);
    if (program == 0) {
        descendant = fork();
        if (descendant < 0)
            _exit(EXIT_FAILURE);
        if (descendant > 0)
            (void)io_write_all(report[1], &descendant, sizeof descendant);
        for (;;)
            (void)pause();
    }
    (void)close(report[1]);
    read_exactly(report[0], &descendant, sizeof descendant);
    (void)close(report[0]);
    put_in(home, program);
    put_in(home, descendant);
}

static void open_all(void)
{
    make_program();
    launch.options.group = in_own("a");
    if (!cgroup_open(&launch.cgroup_state, &launch.options, &why))
        fail_msg("%s", why.words);
    /* As attach_open() has it, which would take the child of this program for a helper: they execute the same file. */
    launch.tree.attached = platform_process_open(program);
    assert_true(launch.tree.attached > 0);
    launch.tree.attached_pid = program;
    launch.cgroup = &launch.cgroup_state;
}

static void close_all(void)
{
    int status;

    assert_int_equal(kill(descendant, SIGKILL), 0);
    assert_int_equal(kill(program, SIGKILL), 0);
    assert_int_equal(waitpid(program, &status, 0), program);
    await_death(descendant);
    (void)close(launch.tree.attached);
    if (!cgroup_remove(launch.cgroup, &why))
        fail_msg("%s", why.words);
    cgroup_close(launch.cgroup);
    assert_int_equal(rmdir(path_of(home, "")), 0);
}

static void assert_both_in(const char *cgroup)
{
    assert_string_equal(cgroup_of(program), cgroup);
    assert_string_equal(cgroup_of(descendant), cgroup);
}

static void both_are_moved(void)
{
    if (!attach_move(&launch, &why))
        fail_msg("%s", why.words);
    assert_both_in(launch.cgroup->path);
    close_all();
}

/* The failure says this, and nobody has been moved, or all have gone back. */
static void it_fails(int error, pid_t pid, const char *words)
{
    char named[64];

    assert_false(attach_move(&launch, &why));
    assert_int_equal(why.stage, STAGE_ATTACH);
    assert_int_equal(why.error, error);
    (void)snprintf(named, sizeof named, "cannot move process %ld into the cgroup ", (long)pid);
    assert_memory_equal(why.words, named, strlen(named));
    if (!strstr(why.words, words))
        fail_msg("%s is not in: %s", words, why.words);
}

static int begin(void **state)
{
    memset(&launch, 0, sizeof launch);
    moving = opening = (struct fault){0};
    parent = 0;
    no_place = no_list = none_goes_back = never_inside = ended = false;
    return begin_test(state);
}

/* ---- */

static void a_process_and_what_descends_from_it_are_moved(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    both_are_moved();
}

static void without_a_cgroup_nobody_is_moved(void **state)
{
    (void)state;
    assert_true(attach_move(&launch, &why));
}

static void a_descendant_that_is_gone_before_it_is_opened_is_passed_over(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    opening = (struct fault){ESRCH, 1, 1, 0};
    both_are_moved(); /* by the next pass, for in truth it is there */
    assert_true(opening.calls > 1);
}

/* It had ended when it had been moved: its pid might have been a stranger's by then, who is to be where he was made. */
static void who_was_moved_by_a_pid_that_is_another_s_goes_where_its_parent_is(void **state)
{
    const char *elsewhere;

    (void)state;
    OWN_CGROUP();
    make_cgroup(elsewhere = in_own("elsewhere"));
    parent = stay_in(elsewhere);
    open_all();
    ended = true;
    assert_true(attach_move(&launch, &why));
    assert_string_equal(cgroup_of(program), elsewhere);
    assert_string_equal(cgroup_of(descendant), home); /* of what has ended nothing descends */
    close_all();
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    assert_int_equal(rmdir(path_of(elsewhere, "")), 0);
}

/* By either error, with words of the remedy. */
static void the_process_is_refused_by(int one, int other, const char *words)
{
    const int errors[] = {one, other};

    open_all();
    for (size_t i = 0; i < COUNT(errors); i++) {
        moving = ALWAYS(errors[i]);
        it_fails(errors[i], program, words);
        assert_both_in(home);
    }
    close_all();
}

static void without_permission_it_says_who_may(void **state)
{
    (void)state;
    OWN_CGROUP();
    the_process_is_refused_by(EACCES, EPERM, "an ordinary user may do so only when");
}

static void a_cgroup_that_may_hold_no_process_is_named(void **state)
{
    (void)state;
    OWN_CGROUP();
    the_process_is_refused_by(EBUSY, EOPNOTSUPP, "cgroup.subtree_control");
}

static void who_was_moved_goes_back_when_a_descendant_can_not_be(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    moving = (struct fault){ENOMEM, 2, 2, 0};
    it_fails(ENOMEM, descendant, strerror(ENOMEM));
    assert_both_in(home);
    moving.error = 0;
    opening = ALWAYS(EMFILE);
    it_fails(EMFILE, descendant, strerror(EMFILE));
    assert_both_in(home);
    close_all();
}

static void who_can_not_go_back_is_told_of(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    moving = (struct fault){ENOMEM, 2, 2, 0};
    none_goes_back = true;
    it_fails(ENOMEM, descendant, "those that were moved stay there");
    assert_string_equal(cgroup_of(program), launch.cgroup->path);
    close_all();
}

static void what_forks_for_ever_is_given_up(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    never_inside = true;
    it_fails(EAGAIN, program, "fork faster than they can be moved");
    assert_both_in(home);
    close_all();
}

static void without_a_list_of_processes_nobody_stays_moved(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    no_list = true;
    it_fails(EMFILE, program, strerror(EMFILE));
    assert_both_in(home);
    close_all();
}

static void nobody_is_moved_who_could_not_go_back(void **state)
{
    (void)state;
    OWN_CGROUP();
    open_all();
    no_place = true;
    it_fails(ENOENT, program, "not where it would go back to");
    assert_both_in(home);
    close_all();
}

#define MOVE_TEST(function) cmocka_unit_test_setup_teardown(function, begin, end_cgroups)

static int tests(void)
{
    const struct CMUnitTest all[] = {
        MOVE_TEST(a_process_and_what_descends_from_it_are_moved),
        MOVE_TEST(without_a_cgroup_nobody_is_moved),
        MOVE_TEST(a_descendant_that_is_gone_before_it_is_opened_is_passed_over),
        MOVE_TEST(who_was_moved_by_a_pid_that_is_another_s_goes_where_its_parent_is),
        MOVE_TEST(without_permission_it_says_who_may),
        MOVE_TEST(a_cgroup_that_may_hold_no_process_is_named),
        MOVE_TEST(who_was_moved_goes_back_when_a_descendant_can_not_be),
        MOVE_TEST(who_can_not_go_back_is_told_of),
        MOVE_TEST(what_forks_for_ever_is_given_up),
        MOVE_TEST(without_a_list_of_processes_nobody_stays_moved),
        MOVE_TEST(nobody_is_moved_who_could_not_go_back),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
