/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A launch that takes its time, from outside. A seccomp filter (seccomp_unotify(2)) holds up chdir(2) in whatever
 * descends from this program, as a directory on a file server that doesn't answer would, until somebody kills it.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

static struct client client;
static int listener; /* can be read when a chdir(2) is being held up */

static void hold_up_chdir(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chdir, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = COUNT(filter), .filter = filter};

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    assert_true(listener >= 0);
    assert_int_equal(fcntl(listener, F_SETFD, FD_CLOEXEC), 0);
}

static struct seccomp_notif held;

/* Takes the notification of the one that is held up, so that the next test waits for its own. */
static void await_held_up(void)
{
    await_readable(listener);
    memset(&held, 0, sizeof held);
    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &held), 0);
}

/* Lets its chdir(2) go on. */
static void let_go(void)
{
    struct seccomp_notif_resp go_on = {.id = held.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on), 0);
}

/* The process that is to become the program, as the relay's only child. */
static pid_t held_process(void)
{
    return (pid_t)held.pid;
}

static void await_pending(pid_t pid, int signal)
{
    unsigned long long pending = 0;

    while ((pending & 1ull << (signal - 1)) == 0) {
        char text[4096];
        const char *at;
        int fd;

        (void)snprintf(text, sizeof text, "/proc/%ld/status", (long)pid);
        fd = open(text, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        (void)read_text(fd, text, sizeof text);
        at = strstr(text, "ShdPnd:");
        assert_non_null(at);
        pending = strtoull(at + strlen("ShdPnd:"), NULL, 16);
    }
}

static void start_hanging(void)
{
    START(&client, "--cd", "/", "--", "true");
    await_held_up();
}

static void assert_cancelled_because(const char *why)
{
    client_follow(&client);
    assert_true(client.errored);
    assert_false(client.exited);
    assert_int_equal(client.error_stage, 4);
    assert_string_equal(client.error_name, "ecanceled");
    assert_non_null(strstr(client.error_words, "before 'true' had been started"));
    assert_non_null(strstr(client.error_words, why));
}

static void assert_cancelled(void)
{
    assert_cancelled_because("told to stop");
}

static void a_stop_ends_a_launch_that_hangs(void **state)
{
    (void)state;
    start_hanging();
    client_stop(&client);
    assert_cancelled();
    (void)client_leave(&client);
}

static void the_owner_s_end_ends_a_launch_that_hangs(void **state)
{
    (void)state;
    start_hanging();
    client_half_close(&client);
    assert_cancelled();
    (void)client_leave(&client);
}

static void a_signal_ends_a_launch_that_hangs(void **state)
{
    (void)state;
    start_hanging();
    assert_int_equal(kill(client.pid, SIGTERM), 0);
    assert_cancelled();
    (void)client_leave(&client);
}

static void the_keeper_s_death_ends_a_launch_that_hangs(void **state)
{
    (void)state;
    start_hanging();
    assert_int_equal(kill(client.pid, SIGKILL), 0);
    assert_cancelled_because("outer process was killed");
    (void)client_leave(&client);
}

static void the_relay_s_death_ends_a_launch_that_hangs(void **state)
{
    (void)state;
    LINUX_ONLY();
    start_hanging();
    assert_int_equal(kill(client_relay(&client), SIGKILL), 0);
    client_follow(&client);
    assert_false(client.exited);
    assert_int_equal(client_leave(&client), 125 << 8);
}

static void a_malformed_frame_ends_a_launch_that_hangs_with_one_error(void **state)
{
    (void)state;
    start_hanging();
    client_send(&client, "\0\0\0\1?", 5);
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    (void)client_leave(&client);
}

static void a_launch_that_is_stopped_is_told_by_one_error_whatever_else_goes_wrong(void **state)
{
    struct frame frame;

    (void)state;
    start_hanging();
    client_send(&client, "\0\0\0\1s\0\0\0\1?", 10);
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    client_half_close(&client);
    assert_false(client_frame(&client, &frame));
    (void)client_leave(&client);
}

/* Whichever it is: also one of a fault, and one that the C library keeps to itself. */
static void a_signal_that_is_passed_on_during_a_launch_waits_for_the_program(void **state)
{
    static const int signals[] = {SIGUSR1, SIGSEGV, SIGABRT, 32, 33, 34, 40};

    (void)state;
    LINUX_ONLY();
    for (size_t i = 0; i < COUNT(signals); i++) {
        start_hanging();
        assert_int_equal(kill(client.pid, signals[i]), 0);
        await_pending(held_process(), signals[i]);
        let_go();
        client_follow(&client);
        assert_true(client.exited);
        assert_true(client.signalled);
        assert_int_equal(client.code, signals[i]);
        (void)client_leave(&client);
    }
}

/* From a shell, with a pipe as standard input whose writing end is returned. */
static pid_t start_from_a_shell(int *lifeline)
{
    const char *path = muontrap_path();
    int ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[0], STDIN_FILENO);
        (void)execl(path, path, "--cd", "/", "--", "true", NULL);
        _exit(1);
    }
    (void)close(ends[0]);
    *lifeline = ends[1];
    await_held_up();
    return pid;
}

static void from_a_shell_a_launch_that_is_stopped_ends_as_the_program_would(void **state)
{
    int lifeline;
    int status;
    pid_t pid;

    (void)state;
    for (int by_signal = 0; by_signal < 2; by_signal++) {
        pid = start_from_a_shell(&lifeline);
        if (by_signal)
            assert_int_equal(kill(pid, SIGTERM), 0);
        else
            (void)close(lifeline);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
        if (by_signal)
            (void)close(lifeline);
    }
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(a_stop_ends_a_launch_that_hangs),
        TEST(the_owner_s_end_ends_a_launch_that_hangs),
        TEST(a_signal_ends_a_launch_that_hangs),
        TEST(the_keeper_s_death_ends_a_launch_that_hangs),
        TEST(the_relay_s_death_ends_a_launch_that_hangs),
        TEST(a_malformed_frame_ends_a_launch_that_hangs_with_one_error),
        TEST(a_signal_that_is_passed_on_during_a_launch_waits_for_the_program),
        TEST(a_launch_that_is_stopped_is_told_by_one_error_whatever_else_goes_wrong),
        TEST(from_a_shell_a_launch_that_is_stopped_ends_as_the_program_would),
    };

    hold_up_chdir();
    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
