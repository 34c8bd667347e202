/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A helper that runs one program after the other: what an owner sees of it. That all else holds for the second program
 * as for the first is what test_relay shows when it is run with REUSED.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

static struct client client;

static void start(void)
{
    static const char *const nothing[] = {NULL};

    client_start_limited(&client, 0, nothing);
}

static void assert_leaves(void)
{
    int status = client_leave(&client);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define RUN(...)                                                                                                       \
    do {                                                                                                               \
        LAUNCH(&client, __VA_ARGS__);                                                                                  \
        client_follow(&client);                                                                                        \
    } while (0)

static void assert_printed(const char *expected)
{
    assert_non_null(client.streams[0]);
    assert_string_equal((const char *)client.streams[0], expected);
}

/* What is in that file of a process of the helper's, up to the first null byte. */
static void read_of(pid_t pid, const char *what, char text[64])
{
    char path[64];
    ssize_t size;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, what);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    size = read(fd, text, 63);
    assert_true(size >= 0);
    text[size] = '\0';
    text[strcspn(text, "\n")] = '\0';
    (void)close(fd);
}

/* Until the relay has told all, and waits for a launch. */
static void await_idle(void)
{
    char text[64] = "";

    while (strcmp(text, "muontrap-idle") != 0) {
        (void)poll(NULL, 0, 1); /* the test's alarm ends a wait for ever */
        read_of(client_relay(&client), "comm", text);
    }
}

/* ---- One after the other ---- */

static void each_launch_has_its_own_output_status_and_figures(void **state)
{
    uint64_t used;

    LINUX_ONLY();
    (void)state;
    start();
    RUN("--", "sh", "-c", "i=0; while [ $i -lt 500000 ]; do i=$((i+1)); done; echo one; exit 3");
    assert_printed("one\n");
    assert_int_equal(client.code, 3);
    assert_true(client.reusable);
    used = client.user_us;
    assert_true(used > 50000);
    RUN("--stderr", "stdout", "--", "sh", "-c", "echo two >&2; kill -USR1 $$");
    assert_printed("two\n");
    assert_true(client.signalled);
    assert_int_equal(client.code, SIGUSR1);
    assert_true(client.reusable);
    RUN("--", "true");
    assert_int_equal(client.code, 0);
    assert_false(client.signalled);
    assert_int_equal(client.sizes[0], 0);
    assert_true(client.user_us < used / 2);
    assert_leaves();
}

static unsigned open_in_idle_relay(void)
{
    await_idle();
    return open_descriptors(client_relay(&client));
}

static void a_hundred_launches_leave_nothing_open(void **state)
{
    unsigned before;

    LINUX_ONLY();
    (void)state;
    start();
    before = open_in_idle_relay();
    for (int i = 0; i < 100; i++)
        RUN("--setenv", "A=b", "--stderr", "stdout", "--", "sh", "-c", "echo $A");
    assert_int_equal(open_in_idle_relay(), before);
    assert_leaves();
}

static void nothing_of_a_launch_is_left_to_the_next(void **state)
{
    LINUX_ONLY();
    (void)state;
    start();
    RUN("--setenv", "LEFT=1", "--unsetenv", "HOME", "--cd", "/usr", "--arg0", "me", "--stdio-window", "1", "-k", "1",
        "--stop-signal", "INT", "--stdout", "null", "--", "sh", "-c", "umask 0; ulimit -n 20; trap '' INT; exit 1");
    assert_int_equal(client.code, 1);
    RUN("--", "sh", "-c", "echo \"${LEFT-none} ${HOME:+home} ${0##*/}\"");
    assert_printed("none home sh\n");
    assert_leaves();
}

static void a_window_is_that_of_its_launch(void **state)
{
    LINUX_ONLY();
    (void)state;
    start();
    RUN("--stdio-window", "100", "--", trouble_path(), "spill", "1000");
    assert_int_equal(client.most_outstanding, 100);
    assert_int_equal(client.sizes[0], 1000);
    client.acknowledge = false;
    LAUNCH(&client, "--stdio-window", "300", "--", trouble_path(), "spill-and-stay", "1000");
    client_await_bytes(&client, 300);
    assert_int_equal(client.outstanding, 300);
    (void)client_leave(&client);
}

static void an_acknowledgement_that_is_late_is_not_the_next_launch_s(void **state)
{
    LINUX_ONLY();
    (void)state;
    start();
    client.acknowledge = false;
    RUN("--", "echo", "hi");
    assert_true(client.reusable);
    client_ack(&client, 3);
    LAUNCH(&client, "--stdio-window", "3", "--", "sh", "-c", "echo hi; echo ho; sleep 1000");
    client_await_bytes(&client, 3);
    assert_int_equal(client.outstanding, 3);
    client.acknowledge = true;
    client_ack(&client, 3);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_false(client.errored);
    assert_leaves();
}

/* ---- What comes behind a launch ---- */

static void what_comes_in_one_write_with_a_launch_is_meant_for_it(void **state)
{
    static const char bytes[] = "\0\0\0\x0fl--\0sleep\0"
                                "1000\0\0\0\0\1s";

    LINUX_ONLY();
    (void)state;
    start();
    RUN("--", "true");
    LAUNCH(&client, "--", "true");
    client_follow(&client);
    client.exited = false;
    client.program = 0;
    client_send(&client, bytes, sizeof bytes - 1);
    client_follow(&client);
    assert_true(client.errored || client.stopped);
    (void)client_leave(&client);
}

static void stop_and_signal_are_ignored_while_nothing_runs(void **state)
{
    LINUX_ONLY();
    (void)state;
    start();
    RUN("--", "true");
    client_stop(&client);
    client_send(&client, "\0\0\0\12k\0\0\0\0\1TERM", 14);
    RUN("--", "echo", "hi");
    assert_printed("hi\n");
    assert_false(client.stopped);
    assert_true(client.reusable);
    assert_leaves();
}

/* ---- What is not as good as new ---- */

#define RUN_ONCE(...)                                                                                                  \
    do {                                                                                                               \
        start();                                                                                                       \
        RUN(__VA_ARGS__);                                                                                              \
        assert_false(client.reusable);                                                                                 \
        (void)client_leave(&client);                                                                                   \
    } while (0)

static void after_an_eventful_end_there_is_no_other_launch(void **state)
{
    LINUX_ONLY();
    (void)state;
    RUN_ONCE("--", trouble_path(), "daemon-and-go");
    assert_true(client.stragglers > 0);
    RUN_ONCE("--", "no-such-program");
    RUN_ONCE("--cd", "/no/such/directory", "--", "true");
    start();
    LAUNCH(&client, "--", "sleep", "1000");
    client_await_started(&client);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_false(client.reusable);
    (void)client_leave(&client);
}

/* It is the sum of what it has relayed that counts. */
static void a_helper_that_has_relayed_much_is_not_used_again(void **state)
{
    LINUX_ONLY();
    (void)state;
    start();
    RUN("--", "head", "-c", "16777216", "/dev/zero");
    assert_int_equal(client.sizes[0], 16777216);
    assert_true(client.reusable);
    RUN("--", "echo");
    assert_int_equal(client.sizes[0], 1);
    assert_false(client.reusable);
    (void)client_leave(&client);
}

static void a_program_on_the_command_line_is_the_only_one(void **state)
{
    (void)state;
    START(&client, "--", "true");
    client_follow(&client);
    if (!getenv("REUSED"))
        assert_false(client.reusable);
    (void)client_leave(&client);
}

static void a_portable_helper_is_used_once(void **state)
{
    (void)state;
    start();
    RUN("--", "echo", "hi");
    assert_printed("hi\n");
    assert_true(client.reusable == !IS_PORTABLE);
    (void)client_leave(&client);
}

static void refuses(const char *words, int stage)
{
    client_follow(&client);
    assert_true(client.errored);
    if (!strstr(client.error_words, words))
        fail_msg("'%s' is not in '%s'", words, client.error_words);
    assert_int_equal(client.error_stage, stage);
    (void)client_leave(&client);
}

static void a_launch_that_makes_no_sense_is_refused(void **state)
{
    char many[510][2];
    const char *argv[511] = {NULL};

    (void)state;
    start();
    LAUNCH(&client, "--no-such-option", "--", "true");
    refuses("unknown option '--no-such-option'", 1);
    start();
    LAUNCH(&client, "-k", "5");
    refuses("no program", 1);
    start();
    LAUNCH(&client, "--lock", "/tmp/lock", "--", "true");
    refuses("--lock can't be had in a launch frame", 1);
    start();
    LAUNCH(&client, "--help");
    refuses("--help or --version can't be had", 1);
    start();
    LAUNCH(&client, "--check");
    refuses("--check can't be had", 1);
    start();
    client_send(&client, "\0\0\0\5ltrue", 9);
    refuses("no null byte", 10);
    start();
    for (int i = 0; i < 510; i++) {
        many[i][0] = 'x';
        many[i][1] = '\0';
        argv[i] = many[i];
    }
    client_launch(&client, argv);
    refuses("more than 509 arguments", 1);
}

static void a_launch_while_a_program_runs_is_an_error_and_a_stop(void **state)
{
    (void)state;
    start();
    LAUNCH(&client, "--", "sleep", "1000");
    client_await_started(&client);
    client_send(&client, "\0\0\0\6ltrue\0", 10);
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    assert_true(client.exited);
    assert_false(client.reusable);
    (void)client_leave(&client);
}

static void a_frame_that_makes_no_sense_ends_an_idle_helper(void **state)
{
    (void)state;
    start();
    client_send(&client, "\0\0\0\1?", 5);
    refuses("unknown tag", 10);
}

/* ---- An idle helper ---- */

static void an_idle_helper_has_names_of_its_own_and_shows_no_program(void **state)
{
    char text[64];

    LINUX_ONLY();
    (void)state;
    start();
    RUN("--", "sh", "-c", "cat /proc/$PPID/comm");
    assert_printed("muontrap-relay\n");
    await_idle();
    read_of(client.pid, "comm", text);
    assert_string_equal(text, "muontrap-keeper");
    read_of(client_relay(&client), "cmdline", text);
    assert_string_equal(strrchr(text, '/') ? strrchr(text, '/') + 1 : text, "muontrap");
    assert_string_equal(text + strlen(text) + 1, "--port");
    assert_leaves();
}

static void who_closes_or_discards_ends_an_idle_helper(void **state)
{
    int status = 0;

    (void)state;
    start();
    assert_leaves();
    start();
    RUN("--", "true");
    client_discard(&client);
    while (waitpid(client.pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(status, 0);
    (void)close(client.in);
    (void)close(client.out);
}

/* The next frame is *unused*, and nothing comes after it. */
static void assert_unused(void)
{
    struct frame frame;

    assert_true(client_frame(&client, &frame));
    assert_int_equal(frame.tag, 'U');
    assert_int_equal(frame.size, 0);
    assert_false(client_frame(&client, &frame));
    (void)client_leave(&client);
}

static void an_idle_helper_of_which_a_process_is_killed_says_so(void **state)
{
    LINUX_ONLY();
    (void)state;
    for (int runs = 0; runs < 2; runs++) {
        start();
        if (runs > 0)
            RUN("--", "true");
        await_idle();
        assert_int_equal(kill(client_relay(&client), SIGKILL), 0);
        assert_unused();
        start();
        if (runs > 0)
            RUN("--", "true");
        await_idle();
        assert_int_equal(kill(client.pid, SIGKILL), 0);
        assert_unused();
        client_check_leaks(false);
        start();
        client_check_leaks(true);
        if (runs > 0)
            RUN("--", "true");
        await_idle();
        assert_int_equal(kill(client.pid, SIGTERM), 0);
        assert_unused();
    }
}

/* Such a helper is what its parent is, until somebody changes one of them. */
static void a_launch_that_is_to_be_as_by_a_new_helper_is_begun_only_so(void **state)
{
    static const char *const changes[] = {"renice -n 3 -p $PPID", "prlimit --pid $PPID --nofile=64:64",
                                          "choom -n 300 -p $PPID", "ionice -c 3 -p $PPID", "chrt -b -p 0 $PPID"};
    char own[16];
    char directory[4096];

    LINUX_ONLY();
    (void)state;
    (void)snprintf(own, sizeof own, "%ld", (long)getpid());
    for (size_t i = 0; i < COUNT(changes); i++) {
        start();
        RUN("--fresh", own, "--", "true");
        assert_true(client.reusable);
        RUN("--fresh", own, "--stdout", "null", "--", "sh", "-c", changes[i]);
        assert_int_equal(client.code, 0);
        LAUNCH(&client, "--fresh", own, "--", "true");
        assert_unused();
    }
    assert_non_null(getcwd(directory, sizeof directory));
    start();
    RUN("--fresh", own, "--", "true");
    assert_int_equal(chdir("/"), 0);
    LAUNCH(&client, "--fresh", own, "--", "true");
    assert_unused();
    assert_int_equal(chdir(directory), 0);
}

/* The launch lies in the pipe when the relay is killed: nobody has read it. */
static void a_launch_that_a_dead_relay_has_not_read_is_not_begun(void **state)
{
    LINUX_ONLY();
    (void)state;
    start();
    await_idle();
    assert_int_equal(kill(client_relay(&client), SIGSTOP), 0);
    LAUNCH(&client, "--", "true");
    assert_int_equal(kill(client_relay(&client), SIGKILL), 0);
    assert_unused();
}

/* ---- The list ---- */

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(each_launch_has_its_own_output_status_and_figures),
        TEST(a_hundred_launches_leave_nothing_open),
        TEST(nothing_of_a_launch_is_left_to_the_next),
        TEST(a_window_is_that_of_its_launch),
        TEST(an_acknowledgement_that_is_late_is_not_the_next_launch_s),
        TEST(what_comes_in_one_write_with_a_launch_is_meant_for_it),
        TEST(stop_and_signal_are_ignored_while_nothing_runs),
        TEST(after_an_eventful_end_there_is_no_other_launch),
        TEST(a_helper_that_has_relayed_much_is_not_used_again),
        TEST(a_program_on_the_command_line_is_the_only_one),
        TEST(a_portable_helper_is_used_once),
        TEST(a_launch_that_makes_no_sense_is_refused),
        TEST(a_launch_while_a_program_runs_is_an_error_and_a_stop),
        TEST(a_frame_that_makes_no_sense_ends_an_idle_helper),
        TEST(an_idle_helper_has_names_of_its_own_and_shows_no_program),
        TEST(who_closes_or_discards_ends_an_idle_helper),
        TEST(an_idle_helper_of_which_a_process_is_killed_says_so),
        TEST(a_launch_that_is_to_be_as_by_a_new_helper_is_begun_only_so),
        TEST(a_launch_that_a_dead_relay_has_not_read_is_not_begun),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
