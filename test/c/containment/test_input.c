/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What an owner sends to the program's standard input, seen from outside.
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

#define WINDOW 65536u
#define MEGABYTE 1048576u

static struct client client;

#define TALK(...) START(&client, "--stdin", "relay", "--tell-ends", "-k", "60000", "--", __VA_ARGS__)

/* A pattern that doesn't repeat at the window's size. */
static uint8_t *pattern(size_t size)
{
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_at(i);
    return bytes;
}

static void await_input_closed(void)
{
    while (!client.input_closed)
        assert_true(client_step(&client));
}

static void what_is_sent_reaches_the_program_and_so_does_its_end(void **state)
{
    (void)state;
    TALK("cat");
    client_await_credit(&client);
    assert_int_equal(client.credit, WINDOW);
    client_input(&client, "hello", 5);
    client_await_bytes(&client, 5);
    client_input(&client, ", world", 7);
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_string_equal((char *)client.streams[0], "hello, world");
    assert_true(client.ended[0]);
    assert_true(client.ended[1]);
    assert_false(client.input_closed);
    client_leave_alive(&client);
}

static void the_end_alone_is_enough(void **state)
{
    (void)state;
    TALK("wc", "-c");
    client_await_credit(&client);
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_int_equal(strtol((char *)client.streams[0], NULL, 10), 0);
    client_leave_alive(&client);
}

static void as_much_as_one_likes_goes_through_both_ways(void **state)
{
    uint8_t *bytes = pattern(16 * MEGABYTE);

    (void)state;
    TALK("cat");
    client_input(&client, bytes, 16 * MEGABYTE);
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_pattern(&client, 0, 16 * MEGABYTE);
    free(bytes);
    client_leave_alive(&client);
}

static void it_goes_through_in_the_smallest_pieces(void **state)
{
    uint8_t *bytes = pattern(3 * WINDOW);

    (void)state;
    TALK("cat");
    for (size_t i = 0; i < 3 * WINDOW; i++)
        client_input(&client, bytes + i, 1);
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_pattern(&client, 0, 3 * WINDOW);
    free(bytes);
    client_leave_alive(&client);
}

static void who_does_not_read_can_be_stopped_and_acknowledged(void **state)
{
    static const uint8_t nothing[WINDOW];

    (void)state;
    TALK("sh", "-c", "echo up; until [ -e \"$0\" ]; do sleep 0.01; done; while :; do echo again; sleep 0.01; done",
         own_path("go"));
    client_input(&client, nothing, WINDOW);
    client_await_bytes(&client, 3);
    (void)own_file("go", "", 0600);
    client_await_bytes(&client, 3 + 100 * 6);
    client_stop(&client);
    client_follow(&client);
    assert_true(client.exited);
    assert_true(client.stopped);
    assert_true(client.input_closed);
    client_leave_alive(&client);
}

static void what_nobody_has_read_is_counted(void **state)
{
    uint8_t *bytes = pattern(WINDOW);

    (void)state;
    TALK("head", "-c", "1000");
    client_input(&client, bytes, 1000);
    client_await_bytes(&client, 1000);
    await_input_closed();
    assert_int_equal(client.taken, 1000);
    client_assert_ended_well(&client);
    client_leave_alive(&client);

    /* dd reads no more than it is told to, and what it leaves is in the pipe or has not got there. */
    TALK("sh", "-c", "dd bs=1 count=1000 2>/dev/null; exec <&-; until [ -e \"$0\" ]; do sleep 0.01; done",
         own_path("go"));
    client_input(&client, bytes, WINDOW);
    await_input_closed();
    assert_int_equal(client.taken, 1000);
    client_await_bytes(&client, 1000);
    (void)own_file("go", "", 0600);
    client_assert_ended_well(&client);
    free(bytes);
    client_leave_alive(&client);
}

static void a_program_that_closes_its_input_lives_on(void **state)
{
    (void)state;
    TALK("sh", "-c", "exec <&-; echo closed; until [ -e \"$0\" ]; do sleep 0.01; done; echo alive", own_path("go"));
    await_input_closed();
    client_await_bytes(&client, 7);
    assert_int_equal(client_some_input(&client, "lost", 4), client.credit < 4 ? client.credit : 4);
    client_end_input(&client);
    (void)own_file("go", "", 0600);
    client_assert_ended_well(&client);
    assert_string_equal((char *)client.streams[0], "closed\nalive\n");
    client_leave_alive(&client);
}

static void the_end_of_each_stream_is_told_while_the_program_lives(void **state)
{
    (void)state;
    TALK("sh", "-c", "echo last; exec >&-; read line; echo $line >&2; exec 2>&-; read line; exit ${line}");
    while (!client.ended[0])
        assert_true(client_step(&client));
    assert_string_equal((char *)client.streams[0], "last\n");
    assert_false(client.ended[1]);
    client_input(&client, "more\n", 5);
    while (!client.ended[1])
        assert_true(client_step(&client));
    assert_string_equal((char *)client.streams[1], "more\n");
    assert_false(client.exited);
    client_input(&client, "0\n", 2);
    client_assert_ended_well(&client);
    client_leave_alive(&client);
}

static void stdin_that_is_handed_to_a_daemon_ends_with_the_program(void **state)
{
    (void)state;
    LINUX_ONLY();
    TALK("sh", "-c", "(exec setsid sleep 1000) <&0 >/dev/null 2>&1 & echo up; read line");
    client_await_bytes(&client, 3);
    client_input(&client, "go\n", 3);
    client_follow(&client);
    assert_true(client.exited);
    assert_int_equal(client.stragglers, 1);
    assert_true(client.input_closed);
    client_leave_alive(&client);
}

/* Each is answered by an error of that stage and a stop. */
static void assert_refused(const char *part)
{
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    if (!strstr(client.error_words, part))
        fail_msg("'%s' is not in: %s", part, client.error_words);
    assert_true(client.exited);
    client_leave_alive(&client);
}

/* The pipe takes one, and the window, which is doubled then, two of them. */
static void more_than_was_granted_is_refused(void **state)
{
    static const uint8_t frame[4 + 65532] = {0, 0, 0xff, 0xfc, 'i'};

    (void)state;
    TALK("sleep", "1000");
    client_await_credit(&client);
    for (int i = 0; i < 4; i++)
        client_send(&client, frame, sizeof frame);
    assert_refused("for which there was no credit");
}

static void input_out_of_turn_is_refused(void **state)
{
    (void)state;
    START(&client, "--", "sleep", "1000");
    client_await_started(&client);
    client_send(&client, "\0\0\0\3iab", 7);
    assert_refused("whose standard input isn't relayed");

    START(&client, "--", "sleep", "1000");
    client_await_started(&client);
    client_end_input(&client);
    assert_refused("an end of input");

    TALK("sleep", "1000");
    client_await_credit(&client);
    client_end_input(&client);
    client_send(&client, "\0\0\0\3iab", 7);
    assert_refused("after the end of the input");

    TALK("sleep", "1000");
    client_await_credit(&client);
    client_end_input(&client);
    client_end_input(&client);
    assert_refused("an end of input arrived on standard input after the end of the input");
}

static void input_that_is_too_short_too_long_or_cut_off_is_refused(void **state)
{
    (void)state;
    TALK("sleep", "1000");
    client_await_credit(&client);
    client_send(&client, "\0\0\0\1i", 5);
    assert_refused("a frame 'i' of 1 bytes");

    TALK("sleep", "1000");
    client_await_credit(&client);
    client_send(&client, "\0\x10\0\2i", 5);
    assert_refused("a frame of 1048578 bytes");

    TALK("sleep", "1000");
    client_await_credit(&client);
    client_send(&client, "\0\0\0\xaiab", 7);
    client_half_close(&client);
    assert_refused("standard input ended within a frame, 7 bytes before the end of an input");
}

static void late_input_does_not_reach_the_next_program(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, NULL);
    for (int i = 0; i < 100; i++) {
        client.takes_launches = true;
        LAUNCH(&client, "--stdin", "relay", "--", "head", "-c", "1");
        client_input(&client, "ab", 2);
        client_follow(&client);
        assert_true(client.reusable);
        assert_string_equal((char *)client.streams[0], "a");
        (void)client_some_input(&client, "late", 4);
        client_end_input(&client);
        LAUNCH(&client, "--stdin", "relay", "--tell-ends", "--", "cat");
        client_await_credit(&client);
        assert_int_equal(client.credit, WINDOW);
        client_input(&client, "new", 3);
        client_end_input(&client);
        client_assert_ended_well(&client);
        assert_string_equal((char *)client.streams[0], "new");
    }
    client_leave_alive(&client);
}

/* Of a program that reads fast; it may take until others have given back their share (pipes.h). */
static void the_pipe_grows_with_the_window_and_shrinks_again(void **state)
{
    static const uint8_t nothing[MEGABYTE];
    int before;

    (void)state;
    LINUX_ONLY();
    START(&client, NULL);
    before = fcntl(client.in, F_GETPIPE_SZ);
    for (int i = 0; i < 2; i++) {
        client.takes_launches = true;
        LAUNCH(&client, "--stdin", "relay", "--stdout", "null", "--", "cat");
        while (fcntl(client.in, F_GETPIPE_SZ) <= (int)WINDOW)
            client_input(&client, nothing, MEGABYTE);
        client_end_input(&client);
        client_follow(&client);
        assert_true(client.reusable);
        while (fcntl(client.in, F_GETPIPE_SZ) > (int)WINDOW)
            (void)poll(NULL, 0, 1);
    }
    assert_int_equal(fcntl(client.in, F_GETPIPE_SZ), before);
    LAUNCH(&client, "echo", "hi");
    client_follow(&client);
    assert_string_equal((char *)client.streams[0], "hi\n");
    client_leave_alive(&client);
}

static void an_owner_that_goes_ends_the_program_whatever_was_sent(void **state)
{
    static const uint8_t nothing[WINDOW];
    pid_t program;

    (void)state;
    TALK("sleep", "1000");
    client_input(&client, nothing, WINDOW);
    program = client.program;
    client_leave_alive(&client);
    assert_false(is_alive(program));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(what_is_sent_reaches_the_program_and_so_does_its_end),
        TEST(the_end_alone_is_enough),
        TEST(as_much_as_one_likes_goes_through_both_ways),
        TEST(it_goes_through_in_the_smallest_pieces),
        TEST(who_does_not_read_can_be_stopped_and_acknowledged),
        TEST(what_nobody_has_read_is_counted),
        TEST(a_program_that_closes_its_input_lives_on),
        TEST(the_end_of_each_stream_is_told_while_the_program_lives),
        TEST(stdin_that_is_handed_to_a_daemon_ends_with_the_program),
        TEST(more_than_was_granted_is_refused),
        TEST(input_out_of_turn_is_refused),
        TEST(input_that_is_too_short_too_long_or_cut_off_is_refused),
        TEST(late_input_does_not_reach_the_next_program),
        TEST(the_pipe_grows_with_the_window_and_shrinks_again),
        TEST(an_owner_that_goes_ends_the_program_whatever_was_sent),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
