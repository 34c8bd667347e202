/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The helper itself from outside, as a port: what an owner sees of it.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "client.h"

static struct client client;

#define ACT(...) START(&client, "--", trouble_path(), __VA_ARGS__)
/* However long the machine takes to let it end by itself. */
#define POLITE() START(&client, "-k", "60000", "--", trouble_path(), "polite")

/* A helper that waits for launches leaves with its own status, once a program has run. */
static void assert_left_with(int exit_status)
{
    bool has_own_status = client.takes_launches && client.program != 0;
    int status = client_leave(&client);

    if (has_own_status)
        exit_status = 0;

    if (!WIFEXITED(status))
        fail_msg("the helper was ended by signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), exit_status);
}

/* ---- How it ends ---- */

static void started_output_and_exited_come_in_this_order(void **state)
{
    (void)state;
    START(&client, "--", "sh", "-c", "echo hi; exit 3");
    client_await_started(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_false(client.signalled);
    assert_int_equal(client.code, 3);
    assert_string_equal((char *)client.streams[0], "hi\n");
    assert_int_equal(client.stragglers, 0);
    assert_true(client.peak_bytes > 0);
    assert_left_with(3);
}

static void the_pid_is_the_program_s(void **state)
{
    char expected[32];

    (void)state;
    START(&client, "--", "sh", "-c", "echo $$");
    client_follow(&client);
    (void)snprintf(expected, sizeof expected, "%ld\n", (long)client.program);
    assert_string_equal((char *)client.streams[0], expected);
    assert_left_with(0);
}

static void a_signal_that_ended_the_program_is_told(void **state)
{
    (void)state;
    START(&client, "--", "sh", "-c", "kill -USR1 $$");
    client_follow(&client);
    assert_true(client.signalled);
    assert_false(client.stopped);
    assert_int_equal(client.code, SIGUSR1);
    assert_left_with(128 + SIGUSR1);
}

static void cpu_time_is_told(void **state)
{
    (void)state;
    START(&client, "--", "sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done");
    client_follow(&client);
    assert_in_range(client.user_us, 1000, 60000000);
    assert_left_with(0);
}

static void after_exited_an_owner_can_still_write(void **state)
{
    (void)state;
    client_start(&client, (const char *const[]){"--", "echo", "hi", NULL});
    client.acknowledge = false;
    client_follow(&client);
    assert_true(client.exited);
    client_ack(&client, 1);
    client_ack(&client, 2);
    client_stop(&client);
    assert_false(readable_now(client.out));
    assert_left_with(0);
}

/* docs/protocol.md: exited is the last frame, so whatever the owner sends then is answered by none. */
static void after_exited_nothing_follows_whatever_the_owner_sends(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } wrong[] = {{"\0\0\0\1?", 5}, {"\xff\xff\xff\xff", 4}, {"\0\0\0\5a\0\1\0\0", 9}, {"\0\0", 2}};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        START(&client, "--", "true");
        client_follow(&client);
        assert_true(client.exited);
        client_send(&client, wrong[i].bytes, wrong[i].size);
        client_half_close(&client);
        while (!client.takes_launches && client_step(&client)) /* fails on any frame after exited */
            continue;
        assert_left_with(0);
    }
}

/* Who discards writes no more, so the helper need not wait for the end of standard input. */
static void who_has_discarded_need_not_close(void **state)
{
    static const char *const ways[][3] = {{"--", "true"}, {"--nosuch"}, {"--", "/no/such/program"}};

    (void)state;
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct frame frame;

        client_start(&client, ways[i]);
        client_follow(&client);
        client_discard(&client);
        assert_false(client_frame(&client, &frame));
        await_death(client.pid);
        (void)client_leave(&client);
    }
}

static void stop_ends_the_program_with_sigterm(void **state)
{
    (void)state;
    POLITE();
    client_await_bytes(&client, 1);
    client_stop(&client);
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], ".bye");
    assert_int_equal(client.code, 7);
    assert_left_with(7);
}

static void a_stopped_program_notices_stop(void **state)
{
    (void)state;
    POLITE();
    client_await_bytes(&client, 1);
    assert_int_equal(kill(client.program, SIGSTOP), 0);
    client_stop(&client);
    client_follow(&client);
    assert_int_equal(client.code, 7);
    assert_left_with(7);
}

static void a_deaf_program_is_killed_when_its_time_is_up_and_not_before(void **state)
{
    uint64_t start;

    (void)state;
    START(&client, "-k", "300", "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    start = io_now_us();
    client_stop(&client);
    client_follow(&client);
    assert_true(io_now_us() - start >= 300000);
    assert_true(client.signalled);
    assert_true(client.stopped);
    assert_int_equal(client.code, SIGKILL);
    assert_left_with(128 + SIGKILL);
}

static void what_runs_behind_a_shell_is_told_to_end_and_has_its_time(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "60000", "--", "sh", "-c",
          "sh -c 'trap \"sleep 0.2; echo bye; exit 0\" TERM; echo ready; while :; do sleep 0.01; done'; true");
    client_await_bytes(&client, 6);
    client_stop(&client);
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], "ready\nbye\n");
    assert_true(client.stopped);
    assert_false(client.forced);
    assert_int_equal(client.code, SIGTERM);
    assert_left_with(128 + SIGTERM);
}

/* For many a program the second SIGTERM means to drop everything. */
static void a_session_behind_a_shell_is_told_to_end_once(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "60000", "--", "sh", "-c",
          "setsid sh -c 'end=; i=0; trap \"echo told; end=1\" TERM; echo ready;"
          " while [ $i -lt 30 ]; do sleep 0.01 & wait; [ \"$end\" ] && i=$((i + 1)); done; echo bye' & wait");
    client_await_bytes(&client, 6);
    client_stop(&client);
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], "ready\ntold\nbye\n");
    assert_false(client.forced);
    assert_int_equal(client.stragglers, 0);
    assert_left_with(128 + SIGTERM);
}

static void what_is_deaf_behind_a_shell_is_killed_when_the_time_is_up_and_not_before(void **state)
{
    uint64_t start;

    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "300", "--", "sh", "-c", "(trap '' TERM; echo ready; while :; do sleep 0.01; done); true");
    client_await_bytes(&client, 6);
    start = io_now_us();
    client_stop(&client);
    client_follow(&client);
    assert_true(io_now_us() - start >= 300000);
    assert_true(client.forced);
    assert_true(client.stragglers >= 1);
    assert_int_equal(client.code, SIGTERM);
    assert_left_with(128 + SIGTERM);
}

/* On a busy machine the relay may learn of the program's end only when the time is up, as one does that is stopped
 * meanwhile. */
static void what_is_deaf_behind_a_shell_is_killed_by_force_also_when_the_relay_is_late(void **state)
{
    pid_t relay;
    uint64_t up;

    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "3000", "--", "sh", "-c",
          "(trap '' TERM; exec sleep 1000) & trap 'echo told; sleep 0.2; exit 5' TERM; echo ready; wait");
    client_await_bytes(&client, 6);
    relay = client_relay(&client);
    client_stop(&client);
    client_await_bytes(&client, 11);
    up = io_now_us() + 3000000; /* at the latest, for it is counted from the stop */
    assert_int_equal(kill(relay, SIGSTOP), 0);
    assert_true(dies_within(client.program, 30000));
    while (io_now_us() < up) /* no event tells of that but the clock */
        (void)usleep(10000);
    assert_int_equal(kill(relay, SIGCONT), 0);
    client_follow(&client);
    assert_true(client.forced);
    assert_int_equal(client.stragglers, 1);
    assert_int_equal(client.code, 5);
    assert_left_with(5);
}

static void what_a_program_leaves_behind_that_ends_by_itself_is_killed_at_once(void **state)
{
    const char *fifo = own_path("fifo");
    char script[400];

    (void)state;
    LINUX_ONLY();
    assert_int_equal(mkfifo(fifo, 0600), 0);
    (void)snprintf(script, sizeof script,
                   "exec 3<>%s; sh -c 'trap \"echo told\" TERM; echo ready; echo >&3; while :; do sleep 0.01; done' & "
                   "read x <&3",
                   fifo);
    START(&client, "-k", "60000", "--", "sh", "-c", script);
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], "ready\n");
    assert_false(client.stopped);
    assert_false(client.forced);
    assert_true(client.stragglers >= 1);
    assert_left_with(0);
}

/* They are no fork bomb, for they were there before. */
static void a_thousand_that_are_left_have_their_time(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "60000", "--", trouble_path(), "crowd", "1050");
    client_await_bytes(&client, 1050);
    client_stop(&client);
    client_follow(&client);
    assert_int_equal(client.sizes[0], 2 * 1050);
    assert_false(client.forced);
    assert_left_with(128 + SIGTERM);
}

/* Whose parent, that isn't the program, has ended late in the stop. */
static void who_is_orphaned_late_in_a_stop_is_told_in_time(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "12700", "--", trouble_path(), "late-orphan", "6500");
    client_await_bytes(&client, 1);
    client_stop(&client);
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], ".b");
    (void)client_leave(&client);
}

static void without_delay_it_is_killed_at_once(void **state)
{
    (void)state;
    START(&client, "-k0", "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    client_stop(&client);
    client_follow(&client);
    assert_int_equal(client.code, SIGKILL);
    assert_left_with(128 + SIGKILL);
}

/* ---- Steps of a stop ---- */

static void a_program_is_told_by_the_first_signal(void **state)
{
    (void)state;
    START(&client, "--stop-signal", "USR1", "-k60000", "--", "sh", "-c",
          "trap 'echo usr1; exit 4' USR1; trap 'echo term' TERM; echo .; while :; do sleep 0.05; done");
    client_await_bytes(&client, 2);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited && !client.forced);
    assert_string_equal((char *)client.streams[0], ".\nusr1\n");
    assert_left_with(4);
}

static void what_does_not_end_is_told_by_the_next_signal_in_its_time(void **state)
{
    uint64_t start;

    (void)state;
    START(&client, "--stop-signal", "INT:300", "--stop-signal", "HUP:300", "--stop-signal", "TERM:60000", "--", "sh",
          "-c",
          "trap 'echo int' INT; trap 'echo hup' HUP; trap 'echo term; exit 4' TERM; echo .; "
          "while :; do sleep 0.05; done");
    client_await_bytes(&client, 2);
    start = io_now_us();
    client_stop(&client);
    client_follow(&client);
    assert_true(io_now_us() - start >= 600000);
    assert_true(client.exited && !client.forced);
    /* A shell that is slow to get its turn may find two signals at a time. */
    assert_non_null(strstr((char *)client.streams[0], "int\n"));
    assert_non_null(strstr((char *)client.streams[0], "hup\n"));
    assert_int_equal(client.sizes[0], strlen(".\nint\nhup\nterm\n"));
    assert_left_with(4);
}

static void what_does_not_end_in_all_steps_is_killed(void **state)
{
    uint64_t start;

    (void)state;
    START(&client, "--stop-signal", "INT:200", "--stop-signal", "TERM:200", "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    start = io_now_us();
    client_stop(&client);
    client_follow(&client);
    assert_true(io_now_us() - start >= 400000);
    assert_true(client.exited && client.forced);
    assert_left_with(128 + SIGKILL);
}

/* The shell ends at the first signal, and what it leaves, which is deaf to that, at the second. */
static void what_is_left_behind_a_shell_is_told_by_the_next_signal_too(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, "--stop-signal", "HUP:3000", "--stop-signal", "TERM:60000", "--", "bash", "-c",
          "trap 'exit 3' HUP; (trap 'echo hup' HUP; trap 'echo term; exit 4' TERM; echo .; "
          "while :; do sleep 0.05; done) & wait");
    client_await_bytes(&client, 2);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited && !client.forced);
    assert_string_equal((char *)client.streams[0], ".\nhup\nterm\n");
    assert_left_with(3);
}

/* ---- Signals ---- */

/* Each has another id, and the answers have them in the same order. */
static uint8_t signals_sent;

static void send_signal(const char *receiver_and_name, size_t size)
{
    uint8_t frame[32] = {0, 0, 0, (uint8_t)(size + 5), 'k', (uint8_t)receiver_and_name[0], 1, 2, 3, ++signals_sent};

    memcpy(frame + 10, receiver_and_name + 1, size - 1);
    client_send(&client, frame, 9 + size);
}
#define SEND_SIGNAL(receiver_and_name) send_signal(receiver_and_name, sizeof receiver_and_name - 1)

static void assert_answered(uint32_t error)
{
    while (client.answers == 0)
        assert_true(client_step(&client));
    client.answers = 0;
    assert_int_equal(client.answer, error);
    assert_int_equal(client.answer_id, 0x01020300u | signals_sent);
}

/* The program, a child in its group and, where that is contained, one in a session of its own write when they have got
 * the signal. */
#define LISTEN                                                                                                         \
    "exec 2>/dev/null; listen() { trap \"echo $1\" USR1; echo .; while :; do sleep 0.05; done; }; listen group & "
#define LISTEN_AFAR "setsid bash -c \"$(declare -f listen); listen tree\" & "
static const char *const listeners = IS_PORTABLE ? LISTEN "listen program" : LISTEN LISTEN_AFAR "listen program";

/* A line of each that gets the signal, in some order. */
static void assert_heard(const char *receiver_and_name, size_t size, bool group, bool tree)
{
    size_t heard;

    START(&client, "-k0", "--", "bash", "-c", listeners);
    client_await_bytes(&client, IS_PORTABLE ? 4 : 6);
    heard = client.sizes[0] + 8 + (group ? 6 : 0) + (tree ? 5 : 0);
    send_signal(receiver_and_name, size);
    assert_answered(0);
    client_await_bytes(&client, heard);
    send_signal("\0USR1", 5); /* whatever else has been sent arrives before this has been heard, too */
    assert_answered(0);
    client_await_bytes(&client, heard + 8);
    client_stop(&client);
    client_follow(&client);
    assert_non_null(strstr((char *)client.streams[0], "program"));
    assert_true((strstr((char *)client.streams[0], "group") != NULL) == group);
    assert_true((strstr((char *)client.streams[0], "tree") != NULL) == tree);
    (void)client_leave(&client);
}

static void a_signal_goes_to_the_program_its_group_or_its_tree(void **state)
{
    (void)state;
    assert_heard("\0USR1", 5, false, false);
    assert_heard("\1SIGUSR1", 8, true, false);
    LINUX_ONLY();
    assert_heard("\2usr1", 5, true, true);
}

static void a_signal_that_cannot_be_sent_is_answered_with_why(void **state)
{
    (void)state;
    START(&client, "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    SEND_SIGNAL("\0NOSUCH");
    assert_answered(EINVAL);
    SEND_SIGNAL("\11HUP");
    assert_answered(EINVAL);
    SEND_SIGNAL("\3HUP");
    assert_answered(ENOENT);
    SEND_SIGNAL("\0HUP");
    assert_answered(0);
    SEND_SIGNAL("\0KILL");
    client_follow(&client);
    assert_true(client.exited);
    assert_left_with(128 + SIGKILL);
}

/* More than the helper has room to answer at a time. */
static void many_signals_are_answered_each(void **state)
{
    (void)state;
    START(&client, "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    for (int i = 0; i < 3000; i++)
        SEND_SIGNAL("\0HUP");
    while (client.answers < 3000)
        assert_true(client_step(&client));
    assert_int_equal(client.answer_id, 0x01020300u | signals_sent);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited);
    (void)client_leave(&client);
}

/* An owner that reads none of the answers can't send more, but it can go. */
static void an_owner_that_does_not_read_its_answers_can_close(void **state)
{
    uint8_t frame[] = {0, 0, 0, 9, 'k', 0, 0, 0, 0, 0, 'H', 'U', 'P'};

    (void)state;
    START(&client, "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    assert_true(fcntl(client.in, F_SETFL, O_NONBLOCK) == 0);
    for (int full = 0; full < 100;) {
        if (write(client.in, frame, sizeof frame) == (ssize_t)sizeof frame) {
            full = 0;
        } else {
            full++;
            (void)usleep(2000);
        }
    }
    client_half_close(&client);
    assert_true(dies_within(client.program, 30000));
    client_follow(&client);
    assert_true(client.exited);
    (void)client_leave(&client);
}

/* ---- A wait for a lock ---- */

static int held; /* the lock, by the test itself */

static void start_waiting(void)
{
    const char *lock = own_path("lock");

    held = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(held >= 0);
    assert_int_equal(flock(held, LOCK_EX), 0);
    START(&client, "--lock", lock, "--", "sh", "-c", "echo hi; exec sleep 100");
}

static void stop_waiting(void)
{
    (void)close(held);
    (void)client_leave(&client);
}

static void a_wait_is_told_after_a_while(void **state)
{
    (void)state;
    start_waiting();
    while (!client.waits[0])
        assert_true(client_step(&client));
    assert_non_null(strstr(client.waits, "'sh' waits for the lock '"));
    (void)flock(held, LOCK_UN);
    client_await_bytes(&client, 3);
    client_stop(&client);
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], "hi\n");
    stop_waiting();
}

static void a_wait_ends_at_a_stop_with_an_error(void **state)
{
    (void)state;
    start_waiting();
    client_stop(&client);
    client_follow(&client);
    assert_true(client.errored);
    assert_string_equal(client.error_name, "ecanceled");
    stop_waiting();
}

static void in_a_wait_signals_are_answered_and_wrong_frames_refused(void **state)
{
    (void)state;
    start_waiting();
    SEND_SIGNAL("\0HUP");
    assert_answered(ESRCH);
    client_send(&client, "\0\0\0\1y", 5);
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    assert_non_null(strstr(client.error_words, "0x79"));
    stop_waiting();

    start_waiting();
    client_end_input(&client);
    client_follow(&client);
    assert_true(client.errored);
    assert_non_null(strstr(client.error_words, "before the program had been told as started"));
    stop_waiting();
}

static void half_a_frame_does_not_hold_up_the_start_and_is_not_lost(void **state)
{
    (void)state;
    start_waiting();
    client.acknowledge = false; /* which would come in the middle of the frame */
    client_send(&client, "\0\0", 2);
    while (!client.waits[0]) /* so that it has been read */
        assert_true(client_step(&client));
    (void)flock(held, LOCK_UN);
    client_await_bytes(&client, 3);
    client_send(&client, "\0\1s", 3);
    client_follow(&client);
    assert_true(client.exited && client.stopped);
    stop_waiting();
}

static void asking_twice_changes_nothing(void **state)
{
    (void)state;
    START(&client, "-k", "100", "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    for (int i = 0; i < 1000; i++)
        client_stop(&client);
    client_follow(&client);
    assert_int_equal(client.code, SIGKILL);
    assert_left_with(128 + SIGKILL);
}

static void a_signal_to_the_helper_means_stop(void **state)
{
    static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

    (void)state;
    for (size_t i = 0; i < COUNT(signals); i++) {
        POLITE();
        client_await_bytes(&client, 1);
        assert_int_equal(kill(client.pid, signals[i]), 0);
        client_follow(&client);
        assert_int_equal(client.code, 7);
        assert_left_with(7);
    }
}

static void the_end_of_standard_input_means_stop_and_everything_still_arrives(void **state)
{
    (void)state;
    START(&client, "-k", "60000", "--stdio-window", "16", "--", trouble_path(), "polite");
    client_await_bytes(&client, 1);
    client_half_close(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_string_equal((char *)client.streams[0], ".bye");
    assert_false(client_step(&client));
    assert_left_with(7);
}

/* More is in the program's pipe than the window and the port's pipe hold, and no acknowledgement can come. */
static void what_is_in_the_pipe_arrives_without_acknowledgements_after_a_half_close(void **state)
{
    (void)state;
    START(&client, "--stdio-window", "10", "--", trouble_path(), "spill-and-stay", "60000");
    client.acknowledge = false;
    client_await_bytes(&client, 10);
    client_half_close(&client);
    client_follow(&client);
    assert_true(client.exited);
    /* What had not been written when the program was killed doesn't exist; what had been, is all there, in order. */
    for (size_t i = 0; i < client.sizes[0]; i++)
        assert_int_equal(client.streams[0][i], pattern_at(i));
    assert_left_with(128 + SIGTERM);
}

static void what_the_program_wrote_before_it_ended_arrives_after_a_half_close(void **state)
{
    (void)state;
    START(&client, "--stdio-window", "10", "--", trouble_path(), "spill", "60000");
    client.acknowledge = false;
    client_await_bytes(&client, 10);
    await_death(client.program);
    client_half_close(&client);
    client_follow(&client);
    assert_pattern(&client, 0, 60000);
    assert_left_with(0);
}

/* A portable helper can't find it, and waits for the end of its output no longer than for the program's, even if
 * the window was full when the owner went. */
static void who_has_left_the_tree_holds_nothing_up_after_a_half_close(void **state)
{
    long stranger;

    (void)state;
    START(&client, "-k0", "--stdio-window", "10", "--", "sh", "-c", "setsid sleep 70 & echo $!; exec cat /dev/zero");
    client.acknowledge = false;
    client_await_bytes(&client, 10);
    stranger = strtol((char *)client.streams[0], NULL, 10);
    assert_true(stranger > 1);
    client_half_close(&client);
    client_follow(&client);
    assert_true(client.exited);
    (void)client_leave(&client);
    (void)kill((pid_t)stranger, SIGKILL);
}

static void an_owner_that_goes_altogether_leaves_nothing_alive(void **state)
{
    pid_t program;

    (void)state;
    START(&client, "-k0", "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    program = client.program;
    (void)client_leave(&client);
    assert_false(is_alive(program));
}

/* ---- Output and its window ---- */

static void output_of_every_size_arrives(void **state)
{
    static const char *const sizes[] = {"1", "16383", "16384", "16385", "65536", "65537", "5000000"};

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        ACT("spill", sizes[i]);
        client_follow(&client);
        assert_pattern(&client, 0, (size_t)atol(sizes[i]));
        assert_left_with(0);
    }
}

static void both_streams_arrive_whole(void **state)
{
    (void)state;
    ACT("spill-both", "1000000");
    client_follow(&client);
    assert_pattern(&client, 0, 1000000);
    assert_pattern(&client, 1, 1000000);
    assert_left_with(0);
}

static void a_fixed_window_is_never_exceeded(void **state)
{
    static const char *const windows[] = {"1", "16", "10240"};
    static const char *const sizes[] = {"500", "5000", "500000"};

    (void)state;
    for (size_t i = 0; i < COUNT(windows); i++) {
        START(&client, "--stdio-window", windows[i], "--", trouble_path(), "spill-both", sizes[i]);
        client_follow(&client);
        assert_true(client.most_outstanding <= (size_t)atol(windows[i]));
        assert_pattern(&client, 0, (size_t)atol(sizes[i]));
        assert_pattern(&client, 1, (size_t)atol(sizes[i]));
        assert_left_with(0);
    }
}

static void an_owner_that_never_acknowledges_gets_one_window(void **state)
{
    (void)state;
    START(&client, "-k0", "--", trouble_path(), "spill", "1000000");
    client.acknowledge = false;
    client_await_bytes(&client, 10240);
    assert_int_equal(client.sizes[0], 10240);
    client_stop(&client);
    await_death(client.program);
    /* It ended with its pipe full: all of that comes as it is acknowledged, and then the end. */
    assert_false(client.exited);
    client.acknowledge = true;
    client_ack(&client, 10240);
    client_follow(&client);
    assert_true(client.exited);
    assert_true(client.sizes[0] > 10240);
    for (size_t i = 0; i < client.sizes[0]; i++)
        assert_int_equal(client.streams[0][i], pattern_at(i));
    (void)client_leave(&client);
}

static void a_fast_reader_gets_a_larger_window(void **state)
{
    (void)state;
    ACT("spill", "8000000");
    client.acknowledge = false;
    while (!client.exited && client_step(&client))
        if (client.outstanding >= 10240 || client.sizes[0] == 8000000)
            client_ack(&client, (uint32_t)client.outstanding);
    assert_pattern(&client, 0, 8000000);
    assert_true(client.most_outstanding > 10240);
    (void)client_leave(&client);
}

static void an_owner_that_waits_to_be_asked_for_acknowledgements_gets_everything(void **state)
{
    static const size_t windows[] = {10240, 70000, 1000000, 0};

    (void)state;
    for (size_t i = 0; i < COUNT(windows); i++) {
        char window[16];
        size_t asked = 0;

        (void)snprintf(window, sizeof window, "%lu", (unsigned long)windows[i]);
        if (windows[i] > 0)
            START(&client, "--stdio-window", window, "--", trouble_path(), "spill-both", "8000000");
        else
            ACT("spill-both", "8000000");
        client.acknowledge = false;
        while (!client.exited && client_step(&client)) {
            if (client.outstanding == 0 || !client.asked)
                continue;
            asked++;
            client_ack(&client, (uint32_t)client.outstanding);
        }
        assert_pattern(&client, 0, 8000000);
        assert_pattern(&client, 1, 8000000);
        if (windows[i] > 65536) /* after half of it, or when it is full, which it isn't again before a quarter of it */
            assert_in_range(asked, 1, 16000000 / (windows[i] / 8) + 1);
        assert_left_with(0);
    }
}

static void after_discard_the_program_runs_to_its_end_unheard(void **state)
{
    (void)state;
    START(&client, "--stdio-window", "100", "--", trouble_path(), "spill", "3000000");
    client.acknowledge = false;
    client_await_bytes(&client, 100);
    client_discard(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_int_equal(client.code, 0);
    assert_int_equal(client.sizes[0], 100);
    assert_left_with(0);
}

/* However much comes, the helper looks up from it in time: for a stop, and for its deadline. */
static void a_flood_that_is_discarded_does_not_drown_a_stop(void **state)
{
    uint64_t start;

    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "100", "--", trouble_path(), "flood", "16");
    client.acknowledge = false;
    client_await_bytes(&client, 1);
    client_discard(&client);
    client_stop(&client);
    start = io_now_us();
    client_follow(&client);
    assert_true(client.exited);
    assert_true(io_now_us() - start < 5000000);
    (void)client_leave(&client);
}

static void a_flood_after_a_half_close_does_not_drown_the_deadline(void **state)
{
    uint64_t start;

    (void)state;
    LINUX_ONLY();
    START(&client, "-k", "100", "--", trouble_path(), "flood", "16");
    client_await_bytes(&client, 1);
    client_half_close(&client);
    start = io_now_us();
    while (!client.exited) { /* client_follow() would keep what comes */
        client.sizes[0] = 0;
        assert_true(client_step(&client));
    }
    assert_true(io_now_us() - start < 5000000);
    (void)client_leave(&client);
}

static void stderr_can_go_where_stdout_goes(void **state)
{
    (void)state;
    START(&client, "--stderr", "stdout", "--", "sh", "-c", "echo 1; echo 2 >&2; echo 3");
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], "1\n2\n3\n");
    assert_int_equal(client.sizes[1], 0);
    assert_left_with(0);
}

/* ---- Frames that are wrong ---- */

static void is_answered_with_an_error_and_a_stop(const void *bytes, size_t size, const char *words)
{
    POLITE();
    client.acknowledge = false;
    client_await_bytes(&client, 1);
    client_send(&client, bytes, size);
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    assert_string_equal(client.error_name, "eproto");
    assert_int_equal(client.error_number, EPROTO);
    if (!strstr(client.error_words, words))
        fail_msg("'%s' doesn't say '%s'", client.error_words, words);
    assert_true(client.exited);
    assert_int_equal(client.code, 7);
    assert_left_with(7);
}
#define ANSWERED(bytes, words) is_answered_with_an_error_and_a_stop(bytes, sizeof(bytes) - 1, words)

static void malformed_frames_are_answered_with_an_error_and_a_stop(void **state)
{
    (void)state;
    ANSWERED("\0\0\0\0", "0 bytes");
    ANSWERED("\0\20\0\2", "1048578 bytes");
    ANSWERED("\0\0\100\1l", "'l' of 16385 bytes");
    ANSWERED("\0\0\0\3lx\0", "reusable helper");
    ANSWERED("\xff\xff\xff\xff", "4294967295 bytes");
    ANSWERED("\0\0\0\1y", "0x79");
    ANSWERED("\0\0\0\2s", "'s' of 2 bytes");
    ANSWERED("\0\0\0\4a", "'a' of 4 bytes");
}

static void an_acknowledgement_of_more_than_was_sent_is_answered_with_an_error_and_a_stop(void **state)
{
    (void)state;
    ANSWERED("\0\0\0\5a\0\0\0\2", "2 bytes were acknowledged, where only 1");
    ANSWERED("\0\0\0\5a\xff\xff\xff\xff", "4294967295 bytes");
    ANSWERED("\0\0\0\5a\0\0\0\1\0\0\0\5a\0\0\0\1", "only 0");
}

static void what_follows_a_malformed_frame_is_not_read_as_frames(void **state)
{
    static uint8_t bytes[200000];

    (void)state;
    memset(bytes, 0xff, sizeof bytes);
    is_answered_with_an_error_and_a_stop(bytes, sizeof bytes, "4294967295 bytes");
}

static void a_truncated_frame_is_answered_with_an_error_and_a_stop(void **state)
{
    (void)state;
    POLITE();
    client_await_bytes(&client, 1);
    client_send(&client, "\0\0\0\5a", 5);
    client_half_close(&client);
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    assert_non_null(strstr(client.error_words, "5 bytes after its beginning"));
    assert_int_equal(client.code, 7);
    assert_left_with(7);
}

static void frames_can_come_byte_by_byte(void **state)
{
    static const char frames[] = "\0\0\0\5a\0\0\0\1\0\0\0\1s";

    (void)state;
    POLITE();
    client.acknowledge = false;
    client_await_bytes(&client, 1);
    for (size_t i = 0; i < sizeof frames - 1; i++)
        client_send(&client, frames + i, 1);
    client_follow(&client);
    assert_false(client.errored);
    assert_int_equal(client.code, 7);
    assert_left_with(7);
}

/* ---- What never starts ---- */

static void does_not_start(int stage, const char *name, int exit_status)
{
    struct frame frame;

    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.program, 0);
    assert_int_equal(client.error_stage, stage);
    assert_string_equal(client.error_name, name);
    /* It still reads, so that no write of the owner's meets a closed pipe. */
    client_stop(&client);
    client_half_close(&client);
    assert_false(client_frame(&client, &frame));
    assert_left_with(exit_status);
}

static void what_cannot_start_is_one_error_frame(void **state)
{
    (void)state;
    START(&client, "--", "/no/such/program");
    does_not_start(9, "enoent", 127);
    START(&client, "--", "/usr");
    does_not_start(9, "eacces", 126);
    START(&client, "--cd", "/no/such/directory", "--", "true");
    does_not_start(5, "enoent", 125);
    START(&client, "--nosuch", "true");
    does_not_start(1, "einval", 125);
    START(&client, "--uid", "root", "true");
    does_not_start(8, "eperm", 125);
    START(&client, "--gid", "no-such-group", "true");
    does_not_start(7, "einval", 125);
    START(&client, "--groups", "0", "true");
    does_not_start(6, "eperm", 125);
}

/* The owner may have it started again then. */
static void a_program_of_which_it_is_told_that_it_never_ran_has_done_nothing(void **state)
{
    const char *touched = own_path("touched");
    unsigned cancelled = 0;

    (void)state;
    client_check_leaks(false);
    for (unsigned i = 0; i < 400; i++) {
        START(&client, "-k0", "--", "touch", touched);
        (void)usleep(i % 40 * 50); /* from before the start of the program to after its exec */
        assert_int_equal(kill(client.pid, SIGTERM), 0);
        client_follow(&client);
        cancelled += client.errored || client.unused;
        if ((client.errored || client.unused) && access(touched, F_OK) == 0)
            fail_msg("in round %u the program ran, of which was told: %s", i,
                     client.unused ? "unused" : client.error_words);
        (void)unlink(touched);
        (void)client_leave(&client);
    }
    client_check_leaks(true);
    print_message("%u of 400 were cancelled\n", cancelled);
}

/* Nobody may be there who would close standard input: a signal ends the wait. */
static void a_signal_ends_the_wait_after_an_error(void **state)
{
    int status;
    bool dead;
    static const char *const causes[][4] = {{"--nosuch"}, {"--", "/no/such/program"}};

    (void)state;
    for (size_t i = 0; i < COUNT(causes); i++) {
        client_check_leaks(false);
        client_start(&client, causes[i]);
        client_check_leaks(true);
        client_follow(&client);
        assert_true(client.errored);
        assert_int_equal(kill(client.pid, SIGTERM), 0);
        dead = dies_within(client.pid, 5000);
        status = client_leave(&client);
        if (!dead)
            fail_msg("after SIGTERM the helper waited on for the end of its standard input");
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) >= 125);
    }
}

static void whatever_the_limit_on_open_files_it_runs_or_says_why(void **state)
{
    bool ran = false;

    (void)state;
    for (rlim_t limit = 4; !ran && limit < 64; limit++) {
        client_start_limited(&client, limit, (const char *const[]){"--", "echo", "hi", NULL});
        client_follow(&client);
        ran = client.exited;
        if (!ran) {
            assert_true(client.errored);
            assert_int_equal(client.error_stage, 2);
            assert_string_equal(client.error_name, "emfile");
        } else {
            assert_string_equal((char *)client.streams[0], "hi\n");
        }
        (void)client_leave(&client);
    }
    assert_true(ran);
}

/* ---- The tree, seen from outside ---- */

static void daemons_are_dead_when_exited_comes(void **state)
{
    const char *fifo = own_path("fifo");
    char script[400];
    int fd;

    (void)state;
    LINUX_ONLY();
    assert_int_equal(mkfifo(fifo, 0600), 0);
    fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)snprintf(script, sizeof script, "exec 9>%s; exec %s daemon-and-stay", fifo, trouble_path());
    START(&client, "--", "sh", "-c", script);
    client_await_bytes(&client, 2);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_int_equal(client.stragglers, 1);
    assert_true(readable_now(fd));
    assert_int_equal(await_end(fd), 0);
    (void)close(fd);
    assert_left_with(128 + SIGTERM);
}

static void a_tree_is_dead_and_counted_when_exited_comes(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, "-k0", "--", trouble_path(), "tree", "300");
    client_await_bytes(&client, 300);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_int_equal(client.stragglers, 299);
    assert_int_equal(strncmp(client.names, "trouble\ntrouble\n", 16), 0);
    assert_left_with(128 + SIGKILL);
}

static void what_a_straggler_wrote_before_it_was_killed_arrives(void **state)
{
    const char *fifo = own_path("fifo");
    char script[400];

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    (void)snprintf(script, sizeof script,
                   "exec 3<>%s; echo one; (echo two; echo >&3; exec sleep 1000) & read x <&3; echo three", fifo);
    START(&client, "--", "sh", "-c", script);
    client_follow(&client);
    assert_true(client.exited);
    assert_string_equal((char *)client.streams[0], "one\ntwo\nthree\n");
    if (!IS_PORTABLE)
        assert_int_equal(client.stragglers, 1);
    (void)client_leave(&client);
}

static void a_signal_after_the_end_has_no_answer(void **state)
{
    static const uint8_t signal[] = {0, 0, 0, 10, 'k', 0, 0, 0, 0, 1, 'T', 'E', 'R', 'M'};
    struct frame frame;

    (void)state;
    START(&client, "--", "true");
    client_follow(&client);
    assert_true(client.exited);
    client_send(&client, signal, sizeof signal);
    client_half_close(&client);
    assert_false(client_frame(&client, &frame));
    client_leave_alive(&client);
}

static void after_a_malformed_frame_the_window_does_not_count(void **state)
{
    static const uint8_t nonsense[] = {0, 0, 0, 1, '?'};

    (void)state;
    START(&client, "--stdio-window", "100", "--", trouble_path(), "spill-and-stay", "1000");
    client.acknowledge = false;
    client_await_bytes(&client, 100);
    client_send(&client, nonsense, sizeof nonsense);
    client_follow(&client);
    assert_true(client.errored && client.exited);
    assert_pattern(&client, 0, 1000);
    client_leave_alive(&client);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(started_output_and_exited_come_in_this_order),
        TEST(the_pid_is_the_program_s),
        TEST(a_signal_that_ended_the_program_is_told),
        TEST(cpu_time_is_told),
        TEST(after_exited_an_owner_can_still_write),
        TEST(after_exited_nothing_follows_whatever_the_owner_sends),
        TEST(who_has_discarded_need_not_close),
        TEST(stop_ends_the_program_with_sigterm),
        TEST(a_stopped_program_notices_stop),
        TEST(a_deaf_program_is_killed_when_its_time_is_up_and_not_before),
        TEST(what_runs_behind_a_shell_is_told_to_end_and_has_its_time),
        TEST(a_session_behind_a_shell_is_told_to_end_once),
        TEST(what_is_deaf_behind_a_shell_is_killed_when_the_time_is_up_and_not_before),
        TEST(what_is_deaf_behind_a_shell_is_killed_by_force_also_when_the_relay_is_late),
        TEST(what_a_program_leaves_behind_that_ends_by_itself_is_killed_at_once),
        TEST(a_thousand_that_are_left_have_their_time),
        TEST(who_is_orphaned_late_in_a_stop_is_told_in_time),
        TEST(without_delay_it_is_killed_at_once),
        TEST(a_program_is_told_by_the_first_signal),
        TEST(what_does_not_end_is_told_by_the_next_signal_in_its_time),
        TEST(what_does_not_end_in_all_steps_is_killed),
        TEST(what_is_left_behind_a_shell_is_told_by_the_next_signal_too),
        TEST(a_signal_goes_to_the_program_its_group_or_its_tree),
        TEST(a_signal_that_cannot_be_sent_is_answered_with_why),
        TEST(many_signals_are_answered_each),
        TEST(an_owner_that_does_not_read_its_answers_can_close),
        TEST(a_wait_is_told_after_a_while),
        TEST(a_wait_ends_at_a_stop_with_an_error),
        TEST(in_a_wait_signals_are_answered_and_wrong_frames_refused),
        TEST(half_a_frame_does_not_hold_up_the_start_and_is_not_lost),
        TEST(asking_twice_changes_nothing),
        TEST(a_signal_to_the_helper_means_stop),
        TEST(the_end_of_standard_input_means_stop_and_everything_still_arrives),
        TEST(what_is_in_the_pipe_arrives_without_acknowledgements_after_a_half_close),
        TEST(what_the_program_wrote_before_it_ended_arrives_after_a_half_close),
        TEST(who_has_left_the_tree_holds_nothing_up_after_a_half_close),
        TEST(an_owner_that_goes_altogether_leaves_nothing_alive),
        TEST(output_of_every_size_arrives),
        TEST(both_streams_arrive_whole),
        TEST(a_fixed_window_is_never_exceeded),
        TEST(an_owner_that_never_acknowledges_gets_one_window),
        TEST(a_fast_reader_gets_a_larger_window),
        TEST(an_owner_that_waits_to_be_asked_for_acknowledgements_gets_everything),
        TEST(after_discard_the_program_runs_to_its_end_unheard),
        TEST(a_flood_that_is_discarded_does_not_drown_a_stop),
        TEST(a_flood_after_a_half_close_does_not_drown_the_deadline),
        TEST(stderr_can_go_where_stdout_goes),
        TEST(malformed_frames_are_answered_with_an_error_and_a_stop),
        TEST(an_acknowledgement_of_more_than_was_sent_is_answered_with_an_error_and_a_stop),
        TEST(what_follows_a_malformed_frame_is_not_read_as_frames),
        TEST(a_truncated_frame_is_answered_with_an_error_and_a_stop),
        TEST(frames_can_come_byte_by_byte),
        TEST(what_cannot_start_is_one_error_frame),
        TEST(a_program_of_which_it_is_told_that_it_never_ran_has_done_nothing),
        TEST(a_signal_ends_the_wait_after_an_error),
        TEST(whatever_the_limit_on_open_files_it_runs_or_says_why),
        TEST(daemons_are_dead_when_exited_comes),
        TEST(a_tree_is_dead_and_counted_when_exited_comes),
        TEST(what_a_straggler_wrote_before_it_was_killed_arrives),
        TEST(a_signal_after_the_end_has_no_answer),
        TEST(after_a_malformed_frame_the_window_does_not_count),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
