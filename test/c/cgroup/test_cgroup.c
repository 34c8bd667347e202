/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The module of the program's cgroup, on real directories of whatever cgroup2 file system there is. It takes no
 * controller; what takes one is in test_controllers.c.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "cgroups.h"

static struct options options;
static struct failure why;

/* ---- A system call that fails on demand ---- */

static int clone3_error;
static unsigned clone3_calls;

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    clone3_calls += number == SYS_clone3;
    if (number == SYS_clone3 && clone3_error) {
        errno = clone3_error;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

/* ---- Others that take what was just made for what a dead helper has left, or fill what is to be removed ---- */

static bool other_removes; /* the next directory that is made, at once */
static bool other_fills;   /* a directory, whenever it is to be removed */
static unsigned removals;

int __real_mkdirat(int parent, const char *name, mode_t mode);
int __wrap_mkdirat(int parent, const char *name, mode_t mode);
int __real_unlinkat(int parent, const char *name, int flags);
int __wrap_unlinkat(int parent, const char *name, int flags);

int __wrap_mkdirat(int parent, const char *name, mode_t mode)
{
    int result = __real_mkdirat(parent, name, mode);

    if (result == 0 && other_removes) {
        other_removes = false;
        assert_int_equal(__real_unlinkat(parent, name, AT_REMOVEDIR), 0);
    }
    return result;
}

int __wrap_unlinkat(int parent, const char *name, int flags)
{
    removals++;
    if (other_fills) {
        errno = EBUSY;
        return -1;
    }
    return __real_unlinkat(parent, name, flags);
}

/* ---- */

static bool opens(struct cgroup *cgroup, const char *path)
{
    memset(cgroup, 0, sizeof *cgroup);
    options.group = path;
    return cgroup_open(cgroup, &options, &why);
}

static void open_cgroup(struct cgroup *cgroup, const char *path)
{
    if (!opens(cgroup, path))
        fail_msg("%s", why.words);
}

static void close_cgroup(struct cgroup *cgroup)
{
    while (cgroup->held_count > 0)
        (void)close(cgroup->held[--cgroup->held_count]);
    (void)close(cgroup->directory);
    (void)close(cgroup->events);
    (void)close(cgroup->root);
}

static void remove_and_close(struct cgroup *cgroup)
{
    if (!cgroup_remove(cgroup, &why))
        fail_msg("%s", why.words);
    close_cgroup(cgroup);
}

static void assert_refused(int error, const char *words)
{
    assert_int_equal(why.stage, STAGE_CGROUP);
    assert_int_equal(why.error, error);
    if (!strstr(why.words, words))
        fail_msg("'%s' doesn't say '%s'", why.words, words);
}

/* Starts a child in the cgroup that stays until it is killed. It has let go of the lock by then, as execve(2) would. */
static pid_t program_in(const struct cgroup *cgroup)
{
    bool entered = true;
    int ready[2];
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = cgroup_fork(cgroup, &entered);
    assert_true(pid >= 0);
    if (pid == 0) {
        if (!entered && !cgroup_enter(cgroup))
            _exit(1);
        (void)close(ready[0]);
        (void)close(cgroup->directory);
        (void)close(ready[1]);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(await_end(ready[0]), 0);
    (void)close(ready[0]);
    return pid;
}

static void assert_killed(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Opens the cgroup in a process that ends without removing it, as a helper does that is killed. Returns the pid of the
 * process that it left in the cgroup, 0 if it left none. */
static pid_t run_helper_that_dies(const char *path, bool leave_one)
{
    int ends[2];
    pid_t left = 0;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cgroup cgroup;

        open_cgroup(&cgroup, path);
        if (leave_one)
            left = program_in(&cgroup);
        if (write(ends[1], &left, sizeof left) < 0)
            _exit(1);
        _exit(0);
    }
    (void)close(ends[1]);
    read_exactly(ends[0], &left, sizeof left);
    (void)close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return left;
}

/* ---- Found or made ---- */

static void a_cgroup_is_made_locked_and_removed(void **state)
{
    struct cgroup cgroup;
    struct cgroup other;
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("a");
    open_cgroup(&cgroup, path);
    assert_true(there_is(path));
    assert_string_equal(cgroup_path(&cgroup), path);
    assert_false(cgroup_populated(&cgroup));
    assert_false(opens(&other, path));
    assert_refused(EBUSY, "in use by another muontrap");
    close_cgroup(&other);
    remove_and_close(&cgroup);
    assert_false(there_is(path));
}

static void directories_that_were_made_above_it_are_removed_with_it(void **state)
{
    struct cgroup cgroup;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&cgroup, in_own("a/b/c"));
    assert_true(there_is(in_own("a/b/c")));
    remove_and_close(&cgroup);
    assert_false(there_is(in_own("a")));
}

static void a_directory_above_several_is_removed_with_the_last_of_them(void **state)
{
    struct cgroup first;
    struct cgroup second;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&first, in_own("a/b"));
    open_cgroup(&second, in_own("a/c"));
    remove_and_close(&first);
    assert_true(there_is(in_own("a/c")));
    remove_and_close(&second);
    assert_false(there_is(in_own("a")));
}

static void a_cgroup_that_was_there_before_stays(void **state)
{
    struct cgroup cgroup;
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("given");
    make_cgroup(path);
    open_cgroup(&cgroup, path);
    assert_false(cgroup.made);
    make_cgroup(in_own("given/nested"));
    remove_and_close(&cgroup);
    assert_true(there_is(path));
    assert_false(there_is(in_own("given/nested")));
    assert_int_equal(rmdir(path_of(path, "")), 0);
}

static void directories_that_were_nested_before_stay(void **state)
{
    struct cgroup cgroup;

    (void)state;
    OWN_CGROUP();
    make_cgroup(in_own("given"));
    make_cgroup(in_own("given/nested"));
    open_cgroup(&cgroup, in_own("given"));
    remove_and_close(&cgroup);
    assert_int_equal(rmdir(path_of(in_own("given/nested"), "")), 0);
    assert_int_equal(rmdir(path_of(in_own("given"), "")), 0);
}

static void a_cgroup_with_processes_is_refused_and_they_live_on(void **state)
{
    struct cgroup cgroup;
    pid_t pid;

    (void)state;
    OWN_CGROUP();
    make_cgroup(in_own("given"));
    make_cgroup(in_own("given/nested"));
    pid = stay_in(in_own("given/nested"));
    assert_false(opens(&cgroup, in_own("given")));
    assert_refused(EBUSY, "holds processes already");
    close_cgroup(&cgroup);
    assert_true(is_alive(pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_killed(pid);
    assert_int_equal(rmdir(path_of(in_own("given/nested"), "")), 0);
    assert_int_equal(rmdir(path_of(in_own("given"), "")), 0);
}

static void paths_that_leave_the_mount_are_refused(void **state)
{
    static const char *const paths[] = {"",   "/",    "/a",   "a/",        "a//b", ".",
                                        "..", "../a", "a/..", "a/../../b", "a/.",  "./a"};
    struct cgroup cgroup;

    (void)state;
    LINUX_ONLY();
    for (size_t i = 0; i < COUNT(paths); i++) {
        char quoted[32];

        (void)snprintf(quoted, sizeof quoted, "'%s'", paths[i]);
        assert_false(opens(&cgroup, paths[i]));
        assert_refused(EINVAL, quoted);
        assert_false(cgroup_clean(&options, &why));
        assert_refused(EINVAL, quoted);
    }
}

static void names_that_only_begin_with_dots_are_paths(void **state)
{
    static const char *const names[] = {"...", ".a", "..a", "a.", "a..", ".a/..b"};

    (void)state;
    OWN_CGROUP();
    for (size_t i = 0; i < COUNT(names); i++) {
        struct cgroup cgroup;

        open_cgroup(&cgroup, in_own(names[i]));
        remove_and_close(&cgroup);
    }
}

static void a_setting_that_fails_leaves_no_directory_behind(void **state)
{
    struct cgroup cgroup;

    (void)state;
    OWN_CGROUP();
    options.sets[options.set_count++] = "cgroup.max.depth=x";
    assert_false(opens(&cgroup, in_own("a/b")));
    options.set_count = 0;
    assert_refused(EINVAL, "cgroup.max.depth to 'x'");
    close_cgroup(&cgroup);
    assert_false(there_is(in_own("a")));
}

/* ---- A child inside ---- */

static void a_child_is_made_inside(void **state)
{
    struct cgroup cgroup;
    pid_t pid;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&cgroup, in_own("a"));
    pid = program_in(&cgroup);
    assert_string_equal(cgroup_of(pid), cgroup.path);
    assert_true(cgroup_populated(&cgroup));
    cgroup_kill(&cgroup);
    assert_killed(pid);
    remove_and_close(&cgroup);
}

static void a_child_enters_by_itself_where_clone3_can_not_make_it_inside(void **state)
{
    static const int errors[] = {ENOSYS, E2BIG, EINVAL, EPERM, 0};

    (void)state;
    OWN_CGROUP();
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct cgroup cgroup;
        pid_t pid;

        clone3_error = errors[i];
        clone3_calls = 0;
        options.without = errors[i] ? 0 : WITHOUT_CLONE_INTO_CGROUP;
        open_cgroup(&cgroup, in_own("a"));
        options.without = 0;
        pid = program_in(&cgroup);
        clone3_error = 0;
        assert_int_equal(clone3_calls, errors[i] ? 1 : 0);
        assert_true(await_number(cgroup.path, "cgroup.events", "populated", true));
        assert_string_equal(cgroup_of(pid), cgroup.path);
        cgroup_kill(&cgroup);
        assert_killed(pid);
        remove_and_close(&cgroup);
    }
}

static void any_other_error_of_clone3_is_the_failure(void **state)
{
    static const int errors[] = {EAGAIN, ENOMEM, EACCES, EBUSY, EOPNOTSUPP};

    (void)state;
    OWN_CGROUP();
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct cgroup cgroup;
        bool entered = true;

        open_cgroup(&cgroup, in_own("a"));
        clone3_error = errors[i];
        assert_int_equal(cgroup_fork(&cgroup, &entered), -1);
        clone3_error = 0;
        assert_int_equal(errno, errors[i]);
        assert_false(cgroup_explain(&cgroup, errors[i], &why));
        assert_refused(errors[i], cgroup.path);
        remove_and_close(&cgroup);
    }
}

/* ---- Its end ---- */

static void killing_reaches_what_is_nested(unsigned without)
{
    struct cgroup cgroup;
    pid_t program;
    pid_t nested;

    options.without = without;
    open_cgroup(&cgroup, in_own("a"));
    options.without = 0;
    make_cgroup(in_own("a/b"));
    make_cgroup(in_own("a/b/c"));
    program = program_in(&cgroup);
    nested = stay_in(in_own("a/b/c"));
    cgroup_kill(&cgroup);
    assert_killed(program);
    assert_killed(nested);
    remove_and_close(&cgroup);
    assert_false(there_is(in_own("a")));
}

static void killing_reaches_what_is_nested_with_cgroup_kill(void **state)
{
    (void)state;
    OWN_CGROUP();
    killing_reaches_what_is_nested(0);
}

static void killing_reaches_what_is_nested_without_cgroup_kill(void **state)
{
    (void)state;
    OWN_CGROUP();
    killing_reaches_what_is_nested(WITHOUT_CGROUP_KILL);
}

/* A read of cgroup.procs gives 4 KB at most, which is less than this. */
static void killing_reaches_a_thousand_at_once_without_cgroup_kill(void **state)
{
    static pid_t pids[1000];
    struct cgroup cgroup;

    (void)state;
    OWN_CGROUP();
    options.without = WITHOUT_CGROUP_KILL;
    open_cgroup(&cgroup, in_own("a"));
    options.without = 0;
    for (size_t i = 0; i < COUNT(pids); i++)
        pids[i] = program_in(&cgroup);
    cgroup_kill(&cgroup);
    for (size_t i = 0; i < COUNT(pids); i++)
        assert_killed(pids[i]);
    remove_and_close(&cgroup);
}

static void poll_tells_when_the_last_process_has_ended(void **state)
{
    struct cgroup cgroup;
    struct pollfd events = {.events = POLLPRI};
    pid_t pid;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&cgroup, in_own("a"));
    events.fd = cgroup_events(&cgroup);
    pid = program_in(&cgroup);
    while (!cgroup_populated(&cgroup))
        assert_true(poll(&events, 1, LONG_ENOUGH_MS) > 0);
    assert_int_equal(poll(&events, 1, 0), 0);
    cgroup_kill(&cgroup);
    assert_killed(pid);
    while (cgroup_populated(&cgroup))
        assert_true(poll(&events, 1, LONG_ENOUGH_MS) > 0);
    remove_and_close(&cgroup);
}

static void a_process_that_somebody_has_put_into_it_at_the_last_moment_is_killed(void **state)
{
    struct cgroup cgroup;
    pid_t pid;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&cgroup, in_own("a"));
    pid = program_in(&cgroup);
    remove_and_close(&cgroup);
    assert_killed(pid);
}

static void a_cgroup_that_can_not_be_removed_is_named(void **state)
{
    struct cgroup cgroup;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&cgroup, in_own("a"));
    other_fills = true;
    assert_false(cgroup_remove(&cgroup, &why));
    other_fills = false;
    assert_refused(EBUSY, cgroup.path);
    remove_and_close(&cgroup);
}

static uint64_t used_us(const struct rusage *used)
{
    return (uint64_t)(used->ru_utime.tv_sec + used->ru_stime.tv_sec) * 1000000u +
           (uint64_t)(used->ru_utime.tv_usec + used->ru_stime.tv_usec);
}

/* What the round before has used would be as much again. How much the program takes beyond what it asks for, an
 * emulated processor decides, and so its own count is the measure. */
static void time_is_counted_from_its_opening(void **state)
{
    struct ending ending = {.user_us = 7};
    struct cgroup cgroup;
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("given");
    make_cgroup(path);
    for (int round = 0; round < 2; round++) {
        bool entered = true;
        struct rusage used;
        pid_t pid;

        open_cgroup(&cgroup, path);
        pid = cgroup_fork(&cgroup, &entered);
        assert_true(pid >= 0);
        if (pid == 0) {
            while (clock() < CLOCKS_PER_SEC / 5)
                continue;
            _exit(0);
        }
        assert_int_equal(wait4(pid, NULL, 0, &used), pid);
        cgroup_figures(&cgroup, &ending);
        assert_in_range(ending.user_us + ending.system_us, 190000, used_us(&used) + 190000);
        remove_and_close(&cgroup);
    }
    assert_false(ending.oom_killed);
    assert_int_equal(rmdir(path_of(path, "")), 0);
}

static void without_a_cgroup_nothing_happens(void **state)
{
    struct ending ending = {.user_us = 7, .peak_bytes = 8};

    (void)state;
    cgroup_kill(NULL);
    assert_false(cgroup_populated(NULL));
    assert_int_equal(cgroup_events(NULL), -1);
    assert_string_equal(cgroup_path(NULL), "");
    cgroup_figures(NULL, &ending);
    assert_int_equal(ending.user_us, 7);
    assert_int_equal(ending.peak_bytes, 8);
    assert_true(cgroup_remove(NULL, &why));
}

/* ---- Dead helpers ---- */

static void what_a_dead_helper_left_is_removed_by_the_next_in_the_same_place(void **state)
{
    struct cgroup cgroup;
    pid_t left;

    (void)state;
    OWN_CGROUP();
    left = run_helper_that_dies(in_own("a"), true);
    assert_true(there_is(in_own("a")));
    open_cgroup(&cgroup, in_own("a"));
    await_death(left);
    assert_true(cgroup.made);
    assert_false(cgroup_populated(&cgroup));
    remove_and_close(&cgroup);
}

static void what_dead_helpers_left_is_removed_by_the_next_beside_them(void **state)
{
    struct cgroup live;
    struct cgroup cgroup;
    pid_t left;
    pid_t alive;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&live, in_own("live"));
    alive = program_in(&live);
    left = run_helper_that_dies(in_own("a"), true);
    make_cgroup(in_own("strangers"));
    open_cgroup(&cgroup, in_own("c"));
    await_death(left);
    assert_false(there_is(in_own("a")));
    assert_true(there_is(in_own("strangers")));
    assert_true(is_alive(alive));
    remove_and_close(&cgroup);
    cgroup_kill(&live);
    assert_killed(alive);
    remove_and_close(&live);
    assert_int_equal(rmdir(path_of(in_own("strangers"), "")), 0);
}

static void cleaning_kills_and_removes_what_a_dead_helper_left(void **state)
{
    pid_t left;

    (void)state;
    OWN_CGROUP();
    for (unsigned without = 0; without <= WITHOUT_CGROUP_KILL; without += WITHOUT_CGROUP_KILL) {
        left = run_helper_that_dies(in_own("a/b"), true);
        options.group = in_own("a/b");
        options.without = without;
        if (!cgroup_clean(&options, &why))
            fail_msg("%s", why.words);
        await_death(left);
        assert_false(there_is(in_own("a")));
    }
    options.without = 0;
    assert_true(cgroup_clean(&options, &why)); /* there is nothing any more */
}

static void make_as_helper(const char *cgroup)
{
    assert_int_equal(mkdir(path_of(cgroup, ""), S_ISVTX | 0755), 0);
}

/* As a helper leaves them that was killed before it had made its own, or after it had removed that. */
static void cleaning_removes_what_is_left_of_the_directories_above(void **state)
{
    struct cgroup live;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&live, in_own("a/live"));
    options.group = in_own("a/b/c/d");
    make_as_helper(in_own("a/b"));
    make_as_helper(in_own("a/b/c"));
    assert_true(cgroup_clean(&options, &why));
    assert_false(there_is(in_own("a/b")));
    assert_true(there_is(in_own("a/live")));
    remove_and_close(&live);
    assert_false(there_is(in_own("a")));

    make_cgroup(in_own("a"));
    make_as_helper(in_own("a/b"));
    assert_true(cgroup_clean(&options, &why));
    assert_false(there_is(in_own("a/b")));
    assert_true(there_is(in_own("a"))); /* which no helper has made */
    assert_int_equal(rmdir(path_of(in_own("a"), "")), 0);
}

static void cleaning_leaves_the_cgroup_of_a_live_helper_alone(void **state)
{
    struct cgroup cgroup;

    (void)state;
    OWN_CGROUP();
    open_cgroup(&cgroup, in_own("a"));
    assert_false(cgroup_clean(&options, &why));
    assert_refused(EBUSY, "another muontrap, which lives");
    remove_and_close(&cgroup);
}

static void assert_end_well(const pid_t pids[], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int status;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

/* By then the name may be that of a directory which a third helper has made and locked. */
static void a_directory_that_another_helper_has_removed_is_made_anew_and_no_other_is_removed(void **state)
{
    struct cgroup cgroup;

    (void)state;
    OWN_CGROUP();
    removals = 0;
    other_removes = true;
    open_cgroup(&cgroup, in_own("a"));
    assert_false(other_removes);
    assert_int_equal(removals, 0);
    assert_true(cgroup.made);
    remove_and_close(&cgroup);
    assert_false(there_is(in_own("a")));
}

/* Each process makes its cgroup twenty times in the same place, beside those of the others and what they have left. */
static void many_helpers_at_once_get_a_cgroup_each(void **state)
{
    pid_t pids[16];

    (void)state;
    OWN_CGROUP();
    for (size_t i = 0; i < COUNT(pids); i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            char name[16];
            struct cgroup cgroup;

            (void)snprintf(name, sizeof name, "base/%lu", (unsigned long)i);
            for (int round = 0; round < 20; round++) {
                open_cgroup(&cgroup, in_own(name));
                if (round % 5 == 4)
                    close_cgroup(&cgroup); /* as one that died */
                else
                    remove_and_close(&cgroup);
            }
            open_cgroup(&cgroup, in_own(name));
            remove_and_close(&cgroup);
            _exit(0);
        }
    }
    assert_end_well(pids, COUNT(pids));
    assert_false(there_is(in_own("base")));
}

/* Only one process at a time has the cgroup: the others wait for a moment, or are refused. */
static void many_helpers_at_once_in_the_same_place_get_it_one_by_one(void **state)
{
    pid_t pids[8];

    (void)state;
    OWN_CGROUP();
    (void)run_helper_that_dies(in_own("a"), false);
    for (size_t i = 0; i < COUNT(pids); i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            for (int round = 0; round < 10; round++) {
                struct cgroup cgroup;
                pid_t pid;

                if (!opens(&cgroup, in_own("a"))) {
                    if (why.error == EBUSY)
                        _exit(0);
                    print_error("%s\n", why.words);
                    _exit(1);
                }
                pid = program_in(&cgroup);
                cgroup_kill(&cgroup);
                assert_killed(pid);
                remove_and_close(&cgroup);
            }
            _exit(0);
        }
    }
    assert_end_well(pids, COUNT(pids));
    assert_false(there_is(in_own("a")));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        CGROUP_TEST(a_cgroup_is_made_locked_and_removed),
        CGROUP_TEST(directories_that_were_made_above_it_are_removed_with_it),
        CGROUP_TEST(a_directory_above_several_is_removed_with_the_last_of_them),
        CGROUP_TEST(a_cgroup_that_was_there_before_stays),
        CGROUP_TEST(directories_that_were_nested_before_stay),
        CGROUP_TEST(a_cgroup_with_processes_is_refused_and_they_live_on),
        CGROUP_TEST(paths_that_leave_the_mount_are_refused),
        CGROUP_TEST(names_that_only_begin_with_dots_are_paths),
        CGROUP_TEST(a_setting_that_fails_leaves_no_directory_behind),
        CGROUP_TEST(a_child_is_made_inside),
        CGROUP_TEST(a_child_enters_by_itself_where_clone3_can_not_make_it_inside),
        CGROUP_TEST(any_other_error_of_clone3_is_the_failure),
        CGROUP_TEST(killing_reaches_what_is_nested_with_cgroup_kill),
        CGROUP_TEST(killing_reaches_what_is_nested_without_cgroup_kill),
        CGROUP_TEST(killing_reaches_a_thousand_at_once_without_cgroup_kill),
        CGROUP_TEST(poll_tells_when_the_last_process_has_ended),
        CGROUP_TEST(a_process_that_somebody_has_put_into_it_at_the_last_moment_is_killed),
        CGROUP_TEST(a_cgroup_that_can_not_be_removed_is_named),
        CGROUP_TEST(time_is_counted_from_its_opening),
        CGROUP_TEST(without_a_cgroup_nothing_happens),
        CGROUP_TEST(what_a_dead_helper_left_is_removed_by_the_next_in_the_same_place),
        CGROUP_TEST(what_dead_helpers_left_is_removed_by_the_next_beside_them),
        CGROUP_TEST(cleaning_kills_and_removes_what_a_dead_helper_left),
        CGROUP_TEST(cleaning_removes_what_is_left_of_the_directories_above),
        CGROUP_TEST(cleaning_leaves_the_cgroup_of_a_live_helper_alone),
        CGROUP_TEST(a_directory_that_another_helper_has_removed_is_made_anew_and_no_other_is_removed),
        CGROUP_TEST(many_helpers_at_once_get_a_cgroup_each),
        CGROUP_TEST(many_helpers_at_once_in_the_same_place_get_it_one_by_one),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
