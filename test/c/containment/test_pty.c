/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A program that has a terminal of its own, seen from its owner.
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

static struct client client;

#define ON_PTY(...) START(&client, "--pty", "--stdin", "relay", "--tell-ends", "-k", "60000", __VA_ARGS__)
#define SHELL(...) ON_PTY("--pty-mode", "ECHO=0", "--", "sh", "-c", __VA_ARGS__)

static void assert_printed(const char *expected)
{
    assert_non_null(client.streams[0]);
    assert_string_equal((char *)client.streams[0], expected);
}

/* Until that has come, which is printed once. */
static void await_words(const char *words)
{
    while (!client.streams[0] || !strstr((char *)client.streams[0], words)) {
        assert_true(client_step(&client));
        if (client.exited)
            fail_msg("exited before '%s': %s", words, client.streams[0] ? (char *)client.streams[0] : "");
    }
}

static void type(const char *words)
{
    client_input(&client, words, strlen(words));
}

/* ---- What the program finds ---- */

static void the_program_has_a_terminal_for_all_three_and_as_its_controlling_one(void **state)
{
    (void)state;
    SHELL("for i in 0 1 2; do [ -t $i ] || exit 1; done; [ -c \"$(tty)\" ] || exit 2; exec 2>/dev/tty || exit 3\n"
          "echo to stdout; echo to stderr >&2");
    client_assert_ended_well(&client);
    assert_printed("to stdout\r\nto stderr\r\n");
    assert_int_equal(client.sizes[1], 0);
    assert_true(client.ended[0]);
    client_leave_alive(&client);
}

static void it_leads_its_session_and_is_in_the_foreground(void **state)
{
    (void)state;
    LINUX_ONLY();
    SHELL("read pid name state parent group session terminal foreground rest </proc/$$/stat\n"
          "[ $pid = $group ] && [ $pid = $session ] && [ $terminal != 0 ] && [ $pid = $foreground ]");
    client_assert_ended_well(&client);
    client_leave_alive(&client);
}

static void the_terminal_is_the_users(void **state)
{
    (void)state;
    ROOT_ONLY();
    ON_PTY("--uid", "65534", "--", "sh", "-c", "stat -c %u $(tty) && echo again >/dev/stdout && : <$(tty)");
    client_assert_ended_well(&client);
    assert_printed("65534\r\nagain\r\n");
    client_leave_alive(&client);
}

static void a_terminal_that_is_not_described_has_24_rows_and_80_columns(void **state)
{
    (void)state;
    SHELL("stty size");
    client_assert_ended_well(&client);
    assert_printed("24 80\r\n");
    client_leave_alive(&client);
}

static void it_has_the_size_that_was_asked_for(void **state)
{
    (void)state;
    START(&client, "--pty=7x65535", "--", "stty", "size");
    client_assert_ended_well(&client);
    assert_printed("7 65535\r\n");
    client_leave_alive(&client);
    START(&client, "--pty", "33x100", "--", "stty", "size");
    client_assert_ended_well(&client);
    assert_printed("33 100\r\n");
    client_leave_alive(&client);
}

static void it_has_the_modes_that_were_asked_for(void **state)
{
    (void)state;
    START(&client, "--pty", "--pty-mode", "echo=0", "--pty-mode", "VEOF=24", "--pty-mode", "VINTR=255", "--pty-mode",
          "ONLCR=0", "--pty-mode", "TTY_OP_OSPEED=9600", "--pty-mode", "TTY_OP_ISPEED=9600", "--", "stty", "-a");
    client_assert_ended_well(&client);
    await_words(" -echo ");
    await_words("eof = ^X;");
    await_words("intr = <undef>;");
    await_words("-onlcr");
    await_words("speed 9600 baud");
    assert_null(strchr((char *)client.streams[0], '\r'));
    client_leave_alive(&client);
}

static void what_is_typed_is_echoed_unless_that_is_off(void **state)
{
    (void)state;
    ON_PTY("--", "sh", "-c", "read line; echo \"<$line>\"");
    type("hi\n");
    client_assert_ended_well(&client);
    assert_printed("hi\r\n<hi>\r\n");
    client_leave_alive(&client);
    SHELL("read line; echo \"<$line>\"");
    type("hi\n");
    client_assert_ended_well(&client);
    assert_printed("<hi>\r\n");
    client_leave_alive(&client);
}

static void stdout_or_stderr_can_go_elsewhere(void **state)
{
    (void)state;
    START(&client, "--pty", "--stdout", "null", "--", "sh", "-c", "[ -t 1 ] && exit 1; echo lost; echo kept >&2");
    client_assert_ended_well(&client);
    assert_printed("kept\r\n");
    client_leave_alive(&client);
    START(&client, "--pty", "--stderr", "null", "--", "sh", "-c", "[ -t 2 ] && exit 1; echo kept; echo lost >&2");
    client_assert_ended_well(&client);
    assert_printed("kept\r\n");
    client_leave_alive(&client);
}

static void interrupt_is_a_key(void **state)
{
    (void)state;
    ON_PTY("--", "sh", "-c", "echo up; exec sleep 1000");
    await_words("up");
    type("\003");
    client_follow(&client);
    assert_true(client.signalled);
    assert_int_equal(client.code, SIGINT);
    assert_string_equal(client.signal, "sigint");
    client_leave_alive(&client);
}

/* ---- Its size ---- */

static void a_resize_is_seen_and_signalled(void **state)
{
    (void)state;
    SHELL("trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.01; done");
    await_words("24 80\r\n");
    client_resize(&client, 40, 132);
    client_assert_ended_well(&client);
    assert_printed("24 80\r\n40 132\r\n");
    client_leave_alive(&client);
}

static void a_resize_may_follow_another_and_be_the_largest(void **state)
{
    (void)state;
    SHELL("echo up; until [ \"$(stty size)\" = '65535 1' ]; do sleep 0.01; done");
    await_words("up");
    for (unsigned i = 1; i < 1000; i++)
        client_resize(&client, i, i);
    client_resize(&client, 65535, 1);
    client_assert_ended_well(&client);
    client_leave_alive(&client);
}

/* Each is answered by an error of the stage protocol and a stop. */
static void assert_refused(const char *part)
{
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 10);
    if (!strstr(client.error_words, part))
        fail_msg("'%s' is not in: %s", part, client.error_words);
    client_leave_alive(&client);
}

static void a_resize_without_a_terminal_is_refused(void **state)
{
    (void)state;
    START(&client, "--", "sleep", "1000");
    client_await_started(&client);
    client_resize(&client, 24, 80);
    assert_refused("a resize arrived on standard input for a program that has no terminal");
    assert_true(client.exited);
}

static void a_resize_to_nothing_is_refused(void **state)
{
    (void)state;
    ON_PTY("--", "sleep", "1000");
    client_await_started(&client);
    client_resize(&client, 0, 80);
    assert_refused("to no rows or no columns");
    ON_PTY("--", "sleep", "1000");
    client_await_started(&client);
    client_resize(&client, 24, 0);
    assert_refused("to no rows or no columns");
}

/* With a launch before it, and in the same write, so that it comes before there is a process. */
static void a_resize_before_started_is_refused(void **state)
{
    static const uint8_t bytes[] = "\0\0\0\x15l--pty\0--\0sleep\0001000\0\0\0\0\5w\0\x18\0\x50";
    static const char *const nothing[] = {NULL};

    (void)state;
    LINUX_ONLY();
    client_start_limited(&client, 0, nothing);
    for (int i = 0; i < 2; i++) { /* the first launch has no terminal, the second one follows one that had */
        client.takes_launches = true;
        LAUNCH(&client, i == 0 ? "--" : "--pty", "true");
        client_follow(&client);
        assert_true(client.reusable);
    }
    for (int i = 0; i < 2; i++)
        free(client.streams[i]);
    client = (struct client){.pid = client.pid, .in = client.in, .out = client.out, .acknowledge = true};
    client_send(&client, bytes, sizeof bytes - 1);
    assert_refused("hasn't been told as started");
}

/* The owner need not know yet that the program has ended. */
static void a_late_resize_is_no_mistake(void **state)
{
    (void)state;
    ON_PTY("--", "true");
    client_follow(&client);
    client_resize(&client, 24, 80);
    client_end_input(&client);
    client_leave_alive(&client);
}

/* ---- The end of the input ---- */

static void after_a_whole_line_the_end_is_typed_once(void **state)
{
    (void)state;
    SHELL("cat; echo ended; cat; echo again");
    type("line\n");
    client_end_input(&client);
    await_words("line\r\nended\r\n");
    /* a second one would have ended the second cat, too */
    client_stop(&client);
    client_follow(&client);
    assert_printed("line\r\nended\r\n");
    client_leave_alive(&client);
}

static void after_a_part_of_a_line_it_is_typed_twice(void **state)
{
    (void)state;
    SHELL("cat; echo '|ended'");
    type("part");
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_printed("part|ended\r\n");
    client_leave_alive(&client);
}

static void a_newline_that_is_quoted_ends_no_line(void **state)
{
    (void)state;
    SHELL("cat; echo '|ended'");
    type("part\026\n");
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_printed("part\r\n|ended\r\n");
    client_leave_alive(&client);
}

static void a_quote_does_not_swallow_the_end(void **state)
{
    (void)state;
    SHELL("cat; echo '|ended'");
    type("part\026");
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_printed("part\004|ended\r\n");
    client_leave_alive(&client);
}

static void the_end_alone_is_the_end(void **state)
{
    (void)state;
    SHELL("wc -c");
    client_await_credit(&client);
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_printed("0\r\n");
    client_leave_alive(&client);
}

static void a_program_that_is_sent_nothing_has_its_end_at_once(void **state)
{
    (void)state;
    START(&client, "--pty", "--pty-mode", "ECHO=0", "--", "wc", "-c");
    client_assert_ended_well(&client);
    assert_printed("0\r\n");
    client_leave_alive(&client);
}

static void the_character_is_the_terminals_own(void **state)
{
    (void)state;
    ON_PTY("--pty-mode", "ECHO=0", "--pty-mode", "VEOF=24", "--", "sh", "-c", "cat; echo '|ended'");
    type("x\004");
    client_end_input(&client);
    client_assert_ended_well(&client);
    assert_printed("x\004|ended\r\n");
    client_leave_alive(&client);
}

static void in_raw_mode_nothing_is_typed(void **state)
{
    (void)state;
    SHELL("stty raw; echo up; dd bs=1 count=3 2>/dev/null; dd bs=1 count=1 2>/dev/null; echo none");
    await_words("up");
    type("abc");
    client_end_input(&client);
    await_words("abc");
    client_stop(&client);
    client_follow(&client);
    assert_printed("up\nabc");
    client_leave_alive(&client);
}

/* ---- The end of the output ---- */

static void nothing_is_lost_of_a_thousand_programs_that_write_before_they_end(void **state)
{
    (void)state;
    LINUX_ONLY();
    START(&client, NULL);
    for (int i = 0; i < 1000; i++) {
        if (i > 0 && !client.reusable) {
            client_leave_alive(&client);
            START(&client, NULL);
        }
        client.takes_launches = true;
        LAUNCH(&client, "--pty", "--pty-mode", "OPOST=0", "--", trouble_path(), "spill", "10240");
        if (i % 10 == 0)
            (void)poll(NULL, 0, 20); /* a reader that is late */
        client_follow(&client);
        if (client.errored)
            fail_msg("%s", client.error_words);
        client_assert_ended_well(&client);
        assert_pattern(&client, 0, 10240);
    }
    client_leave_alive(&client);
}

static void a_megabyte_arrives(void **state)
{
    (void)state;
    ON_PTY("--pty-mode", "OPOST=0", "--", trouble_path(), "spill", "1048576");
    client_follow(&client);
    assert_pattern(&client, 0, 1048576);
    client_leave_alive(&client);
}

static void a_program_that_gives_up_its_terminal_lives_on(void **state)
{
    (void)state;
    SHELL("trap 'exit 9' HUP; exec <&- >&- 2>&-; until [ -e \"$0\" ]; do sleep 0.01; done", own_path("go"));
    while (!client.ended[0] || !client.input_closed)
        assert_true(client_step(&client));
    assert_false(client.exited);
    client_resize(&client, 10, 10);
    client_end_input(&client);
    (void)own_file("go", "", 0600);
    client_assert_ended_well(&client);
    client_leave_alive(&client);
}

static void who_keeps_the_terminal_open_does_not_hold_up_the_end(void **state)
{
    (void)state;
    LINUX_ONLY();
    SHELL("(trap '' HUP; echo up; exec setsid sleep 1000) & read line");
    await_words("up");
    type("go\n");
    client_follow(&client);
    assert_true(client.exited);
    assert_int_equal(client.stragglers, 1);
    client_leave_alive(&client);
}

static void output_keeps_to_the_window(void **state)
{
    (void)state;
    START(&client, "--pty", "--stdio-window", "1000", "-k", "100", "--", trouble_path(), "flood");
    client.acknowledge = false;
    client_await_bytes(&client, 1000);
    (void)poll(NULL, 0, 100);
    assert_false(readable_now(client.out));
    client_ack(&client, 1000);
    client_await_bytes(&client, 2000);
    assert_int_equal(client.most_outstanding, 1000);
    client.acknowledge = true;
    client_stop(&client);
    client_ack(&client, 1000);
    client_follow(&client);
    assert_true(client.stopped);
    client_leave_alive(&client);
}

/* ---- Who doesn't read ---- */

static void a_program_that_never_reads_gets_signals_and_stops(void **state)
{
    static uint8_t nothing[WINDOW];

    (void)state;
    memset(nothing, '\n', sizeof nothing);
    ON_PTY("--pty-mode", "ECHO=0", "--", "sh", "-c",
           "trap 'echo signalled' USR1; echo up; while :; do sleep 0.01; done");
    client_input(&client, nothing, WINDOW);
    await_words("up");
    client_send(&client, "\0\0\0\12k\0\0\0\0\1USR1", 14);
    await_words("signalled");
    client_stop(&client);
    client_follow(&client);
    assert_true(client.stopped);
    assert_true(client.input_closed);
    client_leave_alive(&client);
}

/* ---- What is left behind ---- */

static void await_the_programs_death(void (*end)(void))
{
    pid_t program;

    START(&client, "--pty", "--stdin", "relay", "--", trouble_path(), "deaf");
    client_await_bytes(&client, 1);
    program = client.program;
    end();
    await_death(program);
}

static void kill_relay(void)
{
    (void)kill(client_relay(&client), SIGKILL);
    (void)client_leave(&client);
}

static void kill_keeper(void)
{
    (void)kill(client.pid, SIGKILL);
    (void)client_leave(&client);
}

static void leave(void)
{
    client_leave_alive(&client);
}

static void killing_relay_or_keeper_leaves_nothing(void **state)
{
    (void)state;
    LINUX_ONLY();
    await_the_programs_death(kill_relay);
    await_the_programs_death(kill_keeper);
    await_the_programs_death(leave);
}

/* Those of that helper. What others on this machine have open is no measure. */
static unsigned terminals_of(pid_t pid)
{
    char path[64];
    char target[64];
    unsigned count = 0;

    for (int fd = 0; fd < 256; fd++) {
        ssize_t size;

        (void)snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)pid, fd);
        size = readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        count += strncmp(target, "/dev/pt", 7) == 0;
    }
    return count;
}

static void many_launches_leave_no_descriptor_and_no_terminal(void **state)
{
    static const char *const nothing[] = {NULL};
    unsigned before;

    (void)state;
    LINUX_ONLY();
    client_start_limited(&client, 0, nothing);
    client.takes_launches = true;
    LAUNCH(&client, "--", "true");
    client_follow(&client);
    before = open_descriptors(client_relay(&client));
    for (int i = 0; i < 200; i++) {
        if (i % 3 == 0)
            LAUNCH(&client, "--pty", "--stdin", "relay", "--", "true");
        else if (i % 3 == 1)
            LAUNCH(&client, "--pty", "--", "sh", "-c", "cat; exec <&- >&- 2>&-");
        else
            LAUNCH(&client, "--pty", "--stdout", "null", "--stderr", "null", "--", "true");
        client_follow(&client);
        assert_true(client.reusable);
    }
    assert_int_equal(open_descriptors(client_relay(&client)), before);
    assert_int_equal(terminals_of(client_relay(&client)), 0);
    assert_int_equal(terminals_of(client.pid), 0);
    client_leave_alive(&client);
}

/* ---- When there is none ---- */

static void that_no_terminal_can_be_had_is_told(void **state)
{
    int status;

    (void)state;
    client_start_limited(&client, 12, (const char *const[]){"--pty", "--stdin", "relay", "--", "true", NULL});
    client_follow(&client);
    assert_true(client.errored);
    assert_true(client.error_stage == 14 || client.error_stage == 2);
    assert_string_equal(client.error_name, "emfile");
    assert_non_null(strstr(client.error_words, "ulimit -n"));
    client_check_leaks(true);
    status = client_leave(&client);
    assert_int_equal(WEXITSTATUS(status), 125);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(the_program_has_a_terminal_for_all_three_and_as_its_controlling_one),
        TEST(it_leads_its_session_and_is_in_the_foreground),
        TEST(the_terminal_is_the_users),
        TEST(a_terminal_that_is_not_described_has_24_rows_and_80_columns),
        TEST(it_has_the_size_that_was_asked_for),
        TEST(it_has_the_modes_that_were_asked_for),
        TEST(what_is_typed_is_echoed_unless_that_is_off),
        TEST(stdout_or_stderr_can_go_elsewhere),
        TEST(interrupt_is_a_key),
        TEST(a_resize_is_seen_and_signalled),
        TEST(a_resize_may_follow_another_and_be_the_largest),
        TEST(a_resize_without_a_terminal_is_refused),
        TEST(a_resize_to_nothing_is_refused),
        TEST(a_resize_before_started_is_refused),
        TEST(a_late_resize_is_no_mistake),
        TEST(after_a_whole_line_the_end_is_typed_once),
        TEST(after_a_part_of_a_line_it_is_typed_twice),
        TEST(a_newline_that_is_quoted_ends_no_line),
        TEST(a_quote_does_not_swallow_the_end),
        TEST(the_end_alone_is_the_end),
        TEST(a_program_that_is_sent_nothing_has_its_end_at_once),
        TEST(the_character_is_the_terminals_own),
        TEST(in_raw_mode_nothing_is_typed),
        TEST(nothing_is_lost_of_a_thousand_programs_that_write_before_they_end),
        TEST(a_megabyte_arrives),
        TEST(a_program_that_gives_up_its_terminal_lives_on),
        TEST(who_keeps_the_terminal_open_does_not_hold_up_the_end),
        TEST(output_keeps_to_the_window),
        TEST(a_program_that_never_reads_gets_signals_and_stops),
        TEST(killing_relay_or_keeper_leaves_nothing),
        TEST(many_launches_leave_no_descriptor_and_no_terminal),
        TEST(that_no_terminal_can_be_had_is_told),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
