/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The cgroup's controllers, by the module and by the helper from outside, with libcgroup as the witness. This takes a
 * cgroup2 file system with the controllers cpu, memory and pids: make test-cgroups.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "cgroups.h"
#include "client.h"
#include "witness.h"

static struct client client;
static struct options options;
static struct cgroup cgroup;
static struct failure why;

static bool opens(const char *path, const char *const controllers[], const char *const sets[])
{
    memset(&cgroup, 0, sizeof cgroup);
    memset(&options, 0, sizeof options);
    options.group = path;
    for (; *controllers; controllers++)
        options.controllers[options.controller_count++] = *controllers;
    for (; *sets; sets++)
        options.sets[options.set_count++] = *sets;
    return cgroup_open(&cgroup, &options, &why);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

static void remove_and_close(void)
{
    if (!cgroup_remove(&cgroup, &why))
        fail_msg("%s", why.words);
    (void)close(cgroup.directory);
    (void)close(cgroup.events);
    (void)close(cgroup.root);
}

static void assert_refused(int error, const char *words)
{
    assert_int_equal(why.stage, STAGE_CGROUP);
    if (!strstr(why.words, words))
        fail_msg("'%s' doesn't say '%s'", why.words, words);
    assert_int_equal(why.error, error);
}

/* ---- Settings ---- */

static void libcgroup_sees_what_was_set(void **state)
{
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("a/b");
    if (!opens(path, LIST("pids"), LIST("memory.max=64M", "memory.high=32M", "cpu.max=50000 200000", "cpu.weight=7")))
        fail_msg("%s", why.words);
    assert_witnessed(path, "memory", "memory.max", "67108864");
    assert_witnessed(path, "memory", "memory.high", "33554432");
    assert_witnessed(path, "cpu", "cpu.max", "50000 200000");
    assert_witnessed(path, "cpu", "cpu.weight", "7");
    assert_witnessed(path, "pids", "pids.max", "max");
    remove_and_close();
    assert_not_witnessed(path);
}

static void libcgroup_sees_what_names_of_v1_have_set(void **state)
{
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("a");
    if (!opens(path, LIST("cpuacct", "freezer"),
               LIST("memory.limit_in_bytes=256M", "memory.soft_limit_in_bytes=-1", "cpu.cfs_period_us=100000",
                    "cpu.cfs_quota_us=50000", "cpu.shares=512")))
        fail_msg("%s", why.words);
    assert_witnessed(path, "memory", "memory.max", "268435456");
    assert_witnessed(path, "memory", "memory.high", "max");
    assert_witnessed(path, "cpu", "cpu.max", "50000 100000");
    assert_witnessed(path, "cpu", "cpu.weight", "50");
    remove_and_close();
}

static void a_cgroup_that_libcgroup_made_is_used_with_its_settings_and_stays(void **state)
{
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("given");
    write_file(in_own(""), "cgroup.subtree_control", "+memory");
    witness_makes(path, "memory", "memory.max", "20971520");
    START(&client, "-g", path, "-s", "memory.high=10M", "--", "true");
    client_follow(&client);
    assert_string_equal(client.cgroup, path);
    assert_int_equal(client_leave(&client), 0);
    assert_witnessed(path, "memory", "memory.max", "20971520");
    assert_witnessed(path, "memory", "memory.high", "10485760");
    witness_removes(path, "memory");
}

static void a_value_that_the_kernel_refuses_is_a_failure_with_its_errno(void **state)
{
    static const struct {
        const char *set;
        int error;
    } refused[] = {{"memory.max=lots", EINVAL},      {"cpu.max=1", EINVAL},
                   {"cpu.weight=0", ERANGE},         {"pids.max=-1", EINVAL},
                   {"memory.nosuch_file=1", ENOENT}, {"cpu.weight=10001", ERANGE}};

    (void)state;
    OWN_CGROUP();
    for (size_t i = 0; i < COUNT(refused); i++) {
        char key[64];

        (void)snprintf(key, sizeof key, "%.*s", (int)strcspn(refused[i].set, "="), refused[i].set);
        assert_false(opens(in_own("a/b"), NONE, LIST(refused[i].set)));
        assert_refused(refused[i].error, key);
        assert_false(there_is(in_own("a")));
    }
}

static void a_controller_can_not_be_enabled_below_one_that_holds_processes(void **state)
{
    pid_t pid;

    (void)state;
    OWN_CGROUP();
    make_cgroup(in_own("given"));
    pid = stay_in(in_own("given"));
    assert_false(opens(in_own("given/a"), LIST("pids"), NONE));
    assert_refused(EBUSY, "processes are in that cgroup itself");
    assert_false(there_is(in_own("given/a")));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(rmdir(path_of(in_own("given"), "")), 0);
}

static void a_program_can_not_be_started_where_controllers_are_enabled_for_what_is_below(void **state)
{
    (void)state;
    OWN_CGROUP();
    make_cgroup(in_own("given"));
    write_file(in_own(""), "cgroup.subtree_control", "+memory");
    write_file(in_own("given"), "cgroup.subtree_control", "+memory");
    for (int without = 0; without < 2; without++) {
        START(&client, "-g", in_own("given"), "--without", without ? "clone-into-cgroup" : "cgroup.kill", "--", "true");
        client_follow(&client);
        assert_true(client.errored);
        assert_int_equal(client.error_stage, STAGE_CGROUP);
        assert_int_equal(client.error_number, EBUSY);
        assert_non_null(strstr(client.error_words, "cgroup.subtree_control"));
        assert_int_equal(client_leave(&client), 125 << 8);
    }
    assert_int_equal(rmdir(path_of(in_own("given"), "")), 0);
}

/* ---- What the helper tells its owner ---- */

/* Asks for so many megabytes, and touches them. */
#define HOG "my $m = 'x' x ($ARGV[0] << 20); print length $m"

/* From Linux 5.19 on. Before, the owner is told the largest resident set, which has pages of others' cgroups in it. */
static bool kernel_tells_peak(void)
{
    bool does;

    make_cgroup(in_own("probe"));
    write_file(in_own(""), "cgroup.subtree_control", "+memory");
    does = has_file(in_own("probe"), "memory.peak");
    assert_int_equal(rmdir(path_of(in_own("probe"), "")), 0);
    return does;
}

static void the_owner_is_told_that_the_oom_killer_struck_the_program(void **state)
{
    uint64_t most;

    (void)state;
    OWN_CGROUP();
    most = kernel_tells_peak() ? 20 << 20 : 40 << 20;
    START(&client, "-g", in_own("a"), "-s", "memory.max=20M", "-s", "memory.swap.max=0", "--", "perl", "-e", HOG, "40");
    client_follow(&client);
    assert_true(client.exited);
    assert_true(client.signalled);
    assert_int_equal(client.code, SIGKILL);
    assert_true(client.oom_killed);
    assert_in_range(client.peak_bytes, 15 << 20, most);
    assert_int_equal(client_leave(&client), (128 + SIGKILL) << 8);
}

static void the_owner_is_told_that_the_oom_killer_struck_a_child(void **state)
{
    (void)state;
    OWN_CGROUP();
    START(&client, "-g", in_own("a"), "-s", "memory.max=20M", "-s", "memory.swap.max=0", "--", "sh", "-c",
          "perl -e \"$0\" 40; exit 3", HOG);
    client_follow(&client);
    assert_false(client.signalled);
    assert_int_equal(client.code, 3);
    assert_true(client.oom_killed);
    assert_int_equal(client_leave(&client), 3 << 8);
}

static void a_program_within_its_memory_is_not_said_to_have_been_struck(void **state)
{
    (void)state;
    OWN_CGROUP();
    START(&client, "-g", in_own("a"), "-s", "memory.max=60M", "--", "perl", "-e", HOG, "20");
    client_follow(&client);
    assert_int_equal(client.code, 0);
    assert_false(client.oom_killed);
    assert_in_range(client.peak_bytes, 20 << 20, 60 << 20);
    assert_int_equal(client_leave(&client), 0);
}

static void the_owner_is_not_told_what_the_oom_killer_did_to_an_earlier_program(void **state)
{
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("given");
    make_cgroup(path);
    for (int round = 0; round < 2; round++) {
        START(&client, "-g", path, "-s", "memory.max=20M", "-s", "memory.swap.max=0", "--", "perl", "-e", HOG,
              round == 0 ? "40" : "1");
        client_follow(&client);
        assert_int_equal(client.oom_killed, round == 0);
        (void)client_leave(&client);
    }
    assert_true(number_in(path, "memory.events", "oom_kill") >= 1);
    assert_int_equal(rmdir(path_of(path, "")), 0);
}

static void with_oom_group_all_processes_are_struck_together(void **state)
{
    (void)state;
    OWN_CGROUP();
    START(&client, "-g", in_own("a"), "-s", "memory.max=20M", "-s", "memory.swap.max=0", "-s", "memory.oom.group=1",
          "--", "sh", "-c", "sleep 100 & perl -e \"$0\" 40; echo survived; wait", HOG);
    client_follow(&client);
    assert_true(client.signalled);
    assert_int_equal(client.code, SIGKILL);
    assert_true(client.oom_killed);
    assert_int_equal(client.sizes[0], 0);
    assert_int_equal(client_leave(&client), (128 + SIGKILL) << 8);
}

/* The bomb has as many processes as the limit allows. The helper itself is outside the cgroup and counts for none. */
static void a_fork_bomb_stays_within_its_limit_and_dies_at_once(void **state)
{
    const char *path;

    (void)state;
    OWN_CGROUP();
    path = in_own("a");
    START(&client, "-k", "100", "-g", path, "-s", "pids.max=50", "--", "perl", "-e",
          "$SIG{$_} = 'IGNORE' for qw(TERM CHLD); $| = 1; print '.'; defined fork or select undef, undef, undef, 0.1 "
          "while 1");
    client_await_bytes(&client, 1);
    assert_true(await_number(path, "pids.events", "max", true));
    await_file(path, "pids.current", "50"); /* who is refused has counted for a moment */
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_int_equal(client.code, SIGKILL);
    assert_int_equal(client_leave(&client), (128 + SIGKILL) << 8);
}

static void a_limit_that_leaves_no_process_for_the_program_is_a_failure_that_says_so(void **state)
{
    (void)state;
    OWN_CGROUP();
    for (int without = 0; without < 2; without++) {
        START(&client, "-g", in_own("a"), "-s", "pids.max=0", "--without",
              without ? "clone-into-cgroup" : "cgroup.kill", "--", "true");
        client_follow(&client);
        if (client.errored) {
            assert_int_equal(client.error_number, EAGAIN);
            assert_non_null(strstr(client.error_words, "pids"));
            assert_int_equal(client_leave(&client), 125 << 8);
        } else {
            assert_true(without); /* the limit doesn't keep a process from moving itself there */
            (void)client_leave(&client);
        }
        assert_false(there_is(in_own("a")));
    }
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        CGROUP_TEST(libcgroup_sees_what_was_set),
        CGROUP_TEST(libcgroup_sees_what_names_of_v1_have_set),
        CGROUP_TEST(a_cgroup_that_libcgroup_made_is_used_with_its_settings_and_stays),
        CGROUP_TEST(a_value_that_the_kernel_refuses_is_a_failure_with_its_errno),
        CGROUP_TEST(a_controller_can_not_be_enabled_below_one_that_holds_processes),
        CGROUP_TEST(a_program_can_not_be_started_where_controllers_are_enabled_for_what_is_below),
        CGROUP_TEST(the_owner_is_told_that_the_oom_killer_struck_the_program),
        CGROUP_TEST(the_owner_is_told_that_the_oom_killer_struck_a_child),
        CGROUP_TEST(a_program_within_its_memory_is_not_said_to_have_been_struck),
        CGROUP_TEST(the_owner_is_not_told_what_the_oom_killer_did_to_an_earlier_program),
        CGROUP_TEST(with_oom_group_all_processes_are_struck_together),
        CGROUP_TEST(a_fork_bomb_stays_within_its_limit_and_dies_at_once),
        CGROUP_TEST(a_limit_that_leaves_no_process_for_the_program_is_a_failure_that_says_so),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
