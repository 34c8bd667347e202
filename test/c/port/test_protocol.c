/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "port/protocol.h"

static uint8_t frame[FRAME_CONTROL_MOST];

/* ---- To the owner ---- */

static void a_data_header_counts_the_tag(void **state)
{
    static const uint8_t expected[] = {0x01, 0x02, 0x03, 0x05, 'O'};
    uint8_t header[FRAME_HEADER];

    (void)state;
    protocol_data_header(header, TAG_STDOUT, 0x01020304);
    assert_memory_equal(header, expected, sizeof expected);
}

static void started_is_as_the_document_has_it(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 5, 'P', 0, 0, 0x2a, 0x3b};

    (void)state;
    assert_int_equal(protocol_started(frame, 10811, ""), sizeof expected);
    assert_memory_equal(frame, expected, sizeof expected);
}

static void started_carries_the_path(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 8, 'P', 0xff, 0xff, 0xff, 0xff, 'a', '/', 'b'};

    (void)state;
    assert_int_equal(protocol_started(frame, UINT32_MAX, "a/b"), sizeof expected);
    assert_memory_equal(frame, expected, sizeof expected);
}

static void a_path_that_is_too_long_is_cut_so_that_the_frame_fits(void **state)
{
    static char path[FRAME_CONTROL_MOST + 100];

    (void)state;
    memset(path, 'p', sizeof path - 1);
    assert_int_equal(protocol_started(frame, 1, path), FRAME_CONTROL_MOST);
    assert_int_equal(frame[2] << 8 | frame[3], FRAME_CONTROL_MOST - 4);
    assert_int_equal(frame[FRAME_CONTROL_MOST - 1], 'p');
}

static void exited_has_every_field_in_its_place(void **state)
{
    const struct ending ending = {.signalled = true,
                                  .code = SIGTERM,
                                  .core_dumped = true,
                                  .oom_killed = false,
                                  .stopped = true,
                                  .forced = false,
                                  .user_us = 0x1112131415161718,
                                  .system_us = 0x2122232425262728,
                                  .peak_bytes = 0x3132333435363738,
                                  .stragglers = 0x41424344,
                                  .reusable = true};
    static const uint8_t expected[] = {0,    0,    0,    54,   'X',  1,    0,    0,    0,    15,   1,    0,
                                       1,    0,    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22,
                                       0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36,
                                       0x37, 0x38, 0x41, 0x42, 0x43, 0x44, 1,    7,    's',  'i',  'g',  't',
                                       'e',  'r',  'm',  's',  'l',  'e',  'e',  'p',  '!',  '\n'};

    (void)state;
    assert_int_equal(protocol_exited(frame, &ending, "sleep!\n"), sizeof expected);
    assert_memory_equal(frame, expected, sizeof expected);
}

static void a_signal_without_a_name_has_an_empty_one(void **state)
{
    const struct ending unknown = {.signalled = true, .code = 1000};
    const struct ending by_itself = {.code = 0x01020304};

    (void)state;
    assert_int_equal(protocol_exited(frame, &unknown, "a\n"), 5 + 39 + 2);
    assert_memory_equal(frame + 5 + 38, "\0a\n", 3);
    assert_int_equal(protocol_exited(frame, &by_itself, ""), 5 + 39);
    assert_memory_equal(frame + 5, "\0\1\2\3\4", 5);
    assert_int_equal(frame[5 + 38], 0);
}

static void an_end_that_nobody_knows_is_neither(void **state)
{
    const struct ending unknown = {.unknown = true};

    (void)state;
    assert_int_equal(protocol_exited(frame, &unknown, ""), 5 + 39);
    assert_memory_equal(frame + 5, "\2\0\0\0\0", 5);
}

static void names_that_are_too_many_are_cut_so_that_the_frame_fits(void **state)
{
    static char names[FRAME_CONTROL_MOST + 100];
    const struct ending ending = {.code = 0};

    (void)state;
    memset(names, 'n', sizeof names - 1);
    assert_int_equal(protocol_exited(frame, &ending, names), FRAME_CONTROL_MOST);
}

static void waiting_has_words(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 3, 'W', 'h', 'i'};

    (void)state;
    assert_int_equal(protocol_waiting(frame, "hi"), sizeof expected);
    assert_memory_equal(frame, expected, sizeof expected);
}

static void signalled_has_the_signals_id_and_the_errno_with_its_name(void **state)
{
    static const uint8_t sent[] = {0, 0, 0, 9, 'K', 1, 2, 3, 4, 0, 0, 0, 0};
    static const uint8_t refused[] = {0, 0, 0, 14, 'K', 0, 0, 0, 7, 0, 0, 0, 1, 'e', 'p', 'e', 'r', 'm'};

    (void)state;
    assert_int_equal(protocol_signalled(frame, 0x01020304, 0), sizeof sent);
    assert_memory_equal(frame, sent, sizeof sent);
    assert_int_equal(protocol_signalled(frame, 7, EPERM), sizeof refused);
    assert_memory_equal(frame, refused, sizeof refused);
}

static void an_error_has_stage_errno_name_and_words(void **state)
{
    struct failure why;
    static const uint8_t expected[] = {0, 0, 0, 15, '!', 9, 0, 0, 0, 2, 6, 'e', 'n', 'o', 'e', 'n', 't', 'h', 'i'};

    (void)state;
    failed(&why, STAGE_EXEC, 2, "hi");
    assert_int_equal(protocol_error(frame, &why), sizeof expected);
    assert_memory_equal(frame, expected, sizeof expected);
}

static void an_error_without_errno_has_an_empty_name(void **state)
{
    struct failure why;
    static const uint8_t expected[] = {0, 0, 0, 9, '!', 1, 0, 0, 0, 0, 0, 'n', 'o'};

    (void)state;
    failed(&why, STAGE_OPTIONS, 0, "no");
    assert_int_equal(protocol_error(frame, &why), sizeof expected);
    assert_memory_equal(frame, expected, sizeof expected);
}

static void the_longest_error_fits(void **state)
{
    struct failure why;
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    failed(&why, STAGE_OPTIONS, ENAMETOOLONG, "%s", text);
    assert_true(protocol_error(frame, &why) <= FRAME_CONTROL_MOST);
}

/* ---- From the owner ---- */

/* Decodes all at once and says what the first command was. */
static struct command first_of(const void *bytes, size_t size)
{
    struct decoder decoder = {.have = 0};
    const uint8_t *at = bytes;
    struct command command;

    protocol_decode(&decoder, &at, &size, &command);
    return command;
}
#define FIRST_OF(literal) first_of(literal, sizeof literal - 1)

static void an_acknowledgement_says_how_many_bytes(void **state)
{
    struct command command = FIRST_OF("\0\0\0\5a\1\2\3\4");

    (void)state;
    assert_int_equal(command.kind, COMMAND_ACK);
    assert_int_equal(command.bytes, 0x01020304);
}

static void an_acknowledgement_can_be_of_more_than_two_gigabytes(void **state)
{
    struct command command = FIRST_OF("\0\0\0\5a\xff\xff\xff\xff");

    (void)state;
    assert_int_equal(command.bytes, UINT32_MAX);
}

static void stop_and_discard_are_a_tag_alone(void **state)
{
    (void)state;
    assert_int_equal(FIRST_OF("\0\0\0\1s").kind, COMMAND_STOP);
    assert_int_equal(FIRST_OF("\0\0\0\1d").kind, COMMAND_DISCARD);
}

static void a_signal_has_its_receiver_its_id_and_its_name(void **state)
{
    struct command command = FIRST_OF("\0\0\0\11k\2\1\2\3\4HUP");

    (void)state;
    assert_int_equal(command.kind, COMMAND_SIGNAL);
    assert_int_equal(command.receiver, 2);
    assert_int_equal(command.id, 0x01020304);
    assert_int_equal(command.signal, SIGHUP);
    assert_int_equal(FIRST_OF("\0\0\0\15k\0\0\0\0\7sigusr1").receiver, 0);
    assert_int_equal(FIRST_OF("\0\0\0\15k\0\0\0\0\7sigusr1").signal, SIGUSR1);
    assert_int_equal(FIRST_OF("\0\0\0\7k\0\0\0\0\7\x39").signal, 9);
    assert_int_equal(FIRST_OF("\0\0\0\11k\0\0\0\0\7\x61\x62\x63").signal, -1);
    assert_int_equal(FIRST_OF("\0\0\0\26k\0\0\0\0\7\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31\x31")
                         .signal,
                     -1);
    assert_int_equal(FIRST_OF("\0\0\0\6k").kind, COMMAND_MALFORMED);
}

static void a_launch_has_a_text_with_a_null_byte_behind_it(void **state)
{
    static char text[LAUNCH_MOST];
    struct decoder decoder = {.expects_launch = true, .text = text};
    const uint8_t *at = (const uint8_t *)"\0\0\0\7l--\0sh\0\0\0\0\1s";
    size_t size = 16;
    struct command command;

    (void)state;
    memset(text, 'x', sizeof text);
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_LAUNCH);
    assert_int_equal(command.text_size, 6);
    assert_memory_equal(text, "--\0sh\0\0x", 8);
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_STOP);
}

static void a_launch_can_be_as_long_as_the_text_and_no_longer(void **state)
{
    static uint8_t frame_of[4 + LAUNCH_MOST + 1] = {0, 0, LAUNCH_MOST >> 8, LAUNCH_MOST & 0xff, 'l'};
    static char text[LAUNCH_MOST];
    struct decoder decoder = {.expects_launch = true, .text = text};
    const uint8_t *at = frame_of;
    size_t size = 4 + LAUNCH_MOST;
    struct command command;

    (void)state;
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_LAUNCH);
    assert_int_equal(command.text_size, LAUNCH_MOST - 1);
    frame_of[3]++;
    assert_int_equal(first_of(frame_of, sizeof frame_of).kind, COMMAND_MALFORMED);
}

static void a_launch_out_of_turn_is_malformed(void **state)
{
    struct command command = FIRST_OF("\0\0\0\3la\0");

    (void)state;
    assert_int_equal(command.kind, COMMAND_MALFORMED);
    assert_non_null(strstr(command.why.words, "reusable helper"));
    assert_int_equal(FIRST_OF("\0\0\0\1l").kind, COMMAND_MALFORMED);
    assert_non_null(strstr(FIRST_OF("\0\0\0\1l").why.words, "less than 2 and no more than 16384"));
}

static void credit_has_bytes_and_input_closed_a_count(void **state)
{
    static const uint8_t credit[] = {0, 0, 0, 5, 'C', 1, 2, 3, 4};
    static const uint8_t closed[] = {0, 0, 0, 9, 'I', 1, 2, 3, 4, 5, 6, 7, 8};

    (void)state;
    assert_int_equal(protocol_credit(frame, 0x01020304), sizeof credit);
    assert_memory_equal(frame, credit, sizeof credit);
    assert_int_equal(protocol_input_closed(frame, 0x0102030405060708), sizeof closed);
    assert_memory_equal(frame, closed, sizeof closed);
}

static void an_input_is_told_first_and_comes_in_pieces(void **state)
{
    static const uint8_t bytes[] = "\0\0\0\6ihello\0\0\0\1z";
    struct decoder decoder = {.have = 0};
    const uint8_t *at = bytes;
    size_t size = 8;
    struct command command;

    (void)state;
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_INPUT);
    assert_int_equal(command.bytes, 5);
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_PIECE);
    assert_int_equal(command.piece_size, 3);
    assert_memory_equal(command.piece, "hel", 3);
    assert_int_equal(decoder.left, 2);
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_NONE);
    size = sizeof bytes - 1 - 8;
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_PIECE);
    assert_memory_equal(command.piece, "lo", 2);
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_END_OF_INPUT);
    assert_int_equal(size, 0);
}

static void an_input_has_a_byte_at_least_and_not_too_many(void **state)
{
    (void)state;
    assert_int_equal(FIRST_OF("\0\0\0\1i").kind, COMMAND_MALFORMED);
    assert_non_null(strstr(FIRST_OF("\0\0\0\1i").why.words, "less than 2 and no more than 1048577"));
    assert_int_equal(FIRST_OF("\0\20\0\1i").kind, COMMAND_INPUT);
    assert_int_equal(FIRST_OF("\0\20\0\1i").bytes, 1048576);
    assert_int_equal(FIRST_OF("\0\0\0\2z").kind, COMMAND_MALFORMED);
}

static void a_resize_has_rows_and_columns(void **state)
{
    struct command command = FIRST_OF("\0\0\0\5w\1\2\3\4");

    (void)state;
    assert_int_equal(command.kind, COMMAND_RESIZE);
    assert_int_equal(command.rows, 0x0102);
    assert_int_equal(command.columns, 0x0304);
    command = FIRST_OF("\0\0\0\5w\xff\xff\0\0");
    assert_int_equal(command.rows, 65535);
    assert_int_equal(command.columns, 0);
    assert_int_equal(FIRST_OF("\0\0\0\3w\0\0").kind, COMMAND_MALFORMED);
    assert_int_equal(FIRST_OF("\0\0\0\11w\0\0\0\0\0\0\0\0").kind, COMMAND_MALFORMED);
}

static void unused_is_a_tag_alone(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 1, 'U'};

    (void)state;
    assert_int_equal(protocol_unused(frame), sizeof expected);
    assert_memory_equal(frame, expected, sizeof expected);
}

static void nothing_is_no_command(void **state)
{
    (void)state;
    assert_int_equal(FIRST_OF("").kind, COMMAND_NONE);
}

static void every_beginning_of_a_frame_is_no_command_yet(void **state)
{
    static const char ack[] = "\0\0\0\5a\0\0\0\1";

    (void)state;
    for (size_t size = 0; size < sizeof ack - 1; size++)
        assert_int_equal(first_of(ack, size).kind, COMMAND_NONE);
}

static void a_length_out_of_range_is_malformed_before_the_tag_arrives(void **state)
{
    (void)state;
    assert_int_equal(FIRST_OF("\0\0\0\0").kind, COMMAND_MALFORMED);
    assert_int_equal(FIRST_OF("\0\20\0\2").kind, COMMAND_MALFORMED);
    assert_int_equal(FIRST_OF("\0\20\0\1").kind, COMMAND_NONE);
    assert_int_equal(FIRST_OF("\xff\xff\xff\xff").kind, COMMAND_MALFORMED);
    assert_non_null(strstr(FIRST_OF("\1\0\0\0").why.words, "16777216 bytes"));
    assert_int_equal(FIRST_OF("\0\0\0\0").why.stage, STAGE_PROTOCOL);
    assert_int_equal(FIRST_OF("\0\0\0\0").why.error, EPROTO);
}

static void an_unknown_tag_is_malformed_and_named(void **state)
{
    struct command command = FIRST_OF("\0\0\0\1\x7f");

    (void)state;
    assert_int_equal(command.kind, COMMAND_MALFORMED);
    assert_non_null(strstr(command.why.words, "0x7f"));
}

static void a_tag_with_the_wrong_length_is_malformed_and_both_are_named(void **state)
{
    struct command command = FIRST_OF("\0\0\0\2s");

    (void)state;
    assert_int_equal(command.kind, COMMAND_MALFORMED);
    assert_non_null(strstr(command.why.words, "'s' of 2 bytes"));
    assert_int_equal(FIRST_OF("\0\0\0\4a").kind, COMMAND_MALFORMED);
    assert_int_equal(FIRST_OF("\0\0\0\5d").kind, COMMAND_MALFORMED);
}

static void commands_follow_each_other(void **state)
{
    static const uint8_t bytes[] = "\0\0\0\5a\0\0\0\7\0\0\0\1d\0\0\0\1s\0\0";
    static const enum command_kind expected[] = {COMMAND_ACK, COMMAND_DISCARD, COMMAND_STOP, COMMAND_NONE,
                                                 COMMAND_NONE};
    struct decoder decoder = {.have = 0};
    const uint8_t *at = bytes;
    size_t size = sizeof bytes - 1;

    (void)state;
    for (size_t i = 0; i < COUNT(expected); i++) {
        struct command command;

        protocol_decode(&decoder, &at, &size, &command);
        assert_int_equal(command.kind, expected[i]);
    }
    assert_int_equal(size, 0);
    assert_int_equal(decoder.have, 2);
}

static void how_the_bytes_are_cut_makes_no_difference(void **state)
{
    static const uint8_t bytes[] = "\0\0\0\5a\0\0\0\7\0\0\0\1d\0\0\0\5a\0\0\1\0\0\0\0\1s";
    static const enum command_kind expected[] = {COMMAND_ACK, COMMAND_DISCARD, COMMAND_ACK, COMMAND_STOP};

    (void)state;
    for (size_t piece = 1; piece < sizeof bytes; piece++) {
        struct decoder decoder = {.have = 0};
        const uint8_t *at = bytes;
        size_t left = sizeof bytes - 1;
        size_t seen = 0;

        while (left > 0) {
            size_t size = piece < left ? piece : left;

            left -= size;
            while (size > 0) {
                struct command command;

                protocol_decode(&decoder, &at, &size, &command);
                if (command.kind != COMMAND_NONE) {
                    assert_true(seen < COUNT(expected));
                    assert_int_equal(command.kind, expected[seen++]);
                }
            }
        }
        assert_int_equal(seen, COUNT(expected));
    }
}

static void what_follows_a_malformed_frame_is_left_alone(void **state)
{
    static const uint8_t bytes[] = "\0\0\0\1?\0\0\0\1s";
    struct decoder decoder = {.have = 0};
    const uint8_t *at = bytes;
    size_t size = sizeof bytes - 1;
    struct command command;

    (void)state;
    protocol_decode(&decoder, &at, &size, &command);
    assert_int_equal(command.kind, COMMAND_MALFORMED);
    assert_int_equal(size, 5);
}

static int tests(void)
{
    const struct CMUnitTest protocol[] = {
        TEST(a_data_header_counts_the_tag),
        TEST(credit_has_bytes_and_input_closed_a_count),
        TEST(an_input_is_told_first_and_comes_in_pieces),
        TEST(an_input_has_a_byte_at_least_and_not_too_many),
        TEST(started_is_as_the_document_has_it),
        TEST(started_carries_the_path),
        TEST(a_path_that_is_too_long_is_cut_so_that_the_frame_fits),
        TEST(exited_has_every_field_in_its_place),
        TEST(a_signal_without_a_name_has_an_empty_one),
        TEST(an_end_that_nobody_knows_is_neither),
        TEST(names_that_are_too_many_are_cut_so_that_the_frame_fits),
        TEST(waiting_has_words),
        TEST(signalled_has_the_signals_id_and_the_errno_with_its_name),
        TEST(an_error_has_stage_errno_name_and_words),
        TEST(an_error_without_errno_has_an_empty_name),
        TEST(the_longest_error_fits),
        TEST(an_acknowledgement_says_how_many_bytes),
        TEST(an_acknowledgement_can_be_of_more_than_two_gigabytes),
        TEST(stop_and_discard_are_a_tag_alone),
        TEST(a_signal_has_its_receiver_its_id_and_its_name),
        TEST(a_launch_has_a_text_with_a_null_byte_behind_it),
        TEST(a_launch_can_be_as_long_as_the_text_and_no_longer),
        TEST(a_launch_out_of_turn_is_malformed),
        TEST(a_resize_has_rows_and_columns),
        TEST(unused_is_a_tag_alone),
        TEST(nothing_is_no_command),
        TEST(every_beginning_of_a_frame_is_no_command_yet),
        TEST(a_length_out_of_range_is_malformed_before_the_tag_arrives),
        TEST(an_unknown_tag_is_malformed_and_named),
        TEST(a_tag_with_the_wrong_length_is_malformed_and_both_are_named),
        TEST(commands_follow_each_other),
        TEST(how_the_bytes_are_cut_makes_no_difference),
        TEST(what_follows_a_malformed_frame_is_left_alone),
    };

    return cmocka_run_group_tests(protocol, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
