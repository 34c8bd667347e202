/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "port/window.h"

static const uint64_t start_us = 1000000;

static void a_window_that_follows_begins_at_the_least(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 0);
    assert_int_equal(window_room(&window), WINDOW_LEAST);
    assert_false(window.fixed);
}

static void a_fixed_window_is_as_large_as_asked_for(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 1);
    assert_int_equal(window_room(&window), 1);
    assert_true(window.fixed);
    window_init(&window, WINDOW_FIXED_MOST);
    assert_int_equal(window_room(&window), WINDOW_FIXED_MOST);
}

static void what_is_sent_takes_room(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 100);
    (void)window_sent(&window, 30, start_us);
    assert_int_equal(window_room(&window), 70);
    (void)window_sent(&window, 69, start_us);
    assert_int_equal(window_room(&window), 1);
}

static void a_full_window_has_no_room(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 100);
    (void)window_sent(&window, 100, start_us);
    assert_int_equal(window_room(&window), 0);
}

static void an_acknowledgement_gives_room_back(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 100);
    (void)window_sent(&window, 100, start_us);
    assert_true(window_acknowledged(&window, 40, start_us));
    assert_int_equal(window_room(&window), 40);
    assert_true(window_acknowledged(&window, 60, start_us));
    assert_int_equal(window_room(&window), 100);
}

static void an_acknowledgement_of_nothing_is_right(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 100);
    assert_true(window_acknowledged(&window, 0, start_us));
    assert_int_equal(window_room(&window), 100);
}

static void an_acknowledgement_of_more_than_was_sent_is_refused_and_changes_nothing(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 100);
    (void)window_sent(&window, 10, start_us);
    assert_false(window_acknowledged(&window, 11, start_us));
    assert_false(window_acknowledged(&window, UINT32_MAX, start_us));
    assert_int_equal(window_room(&window), 90);
    assert_true(window_acknowledged(&window, 10, start_us));
}

/* Fills the window, lets the reader take that long for all of it, and returns the size it has then. */
static uint32_t after_full_window(struct window *window, uint64_t took_us)
{
    (void)window_sent(window, window_room(window), start_us);
    assert_true(window_acknowledged(window, window->outstanding, start_us + took_us));
    return window->size;
}

static void a_fast_reader_doubles_it_up_to_the_most(void **state)
{
    struct window window;
    uint32_t expected = WINDOW_LEAST;

    (void)state;
    window_init(&window, 0);
    while (expected < WINDOW_MOST) {
        expected = expected * 2 > WINDOW_MOST ? WINDOW_MOST : expected * 2;
        assert_int_equal(after_full_window(&window, WINDOW_FAST_US), expected);
    }
    assert_int_equal(after_full_window(&window, 0), WINDOW_MOST);
}

static void a_slow_reader_halves_it_down_to_the_least(void **state)
{
    struct window window;
    uint32_t expected = WINDOW_MOST;

    (void)state;
    window_init(&window, 0);
    while (after_full_window(&window, 0) < WINDOW_MOST)
        continue;
    while (expected > WINDOW_LEAST) {
        expected = expected / 2 < WINDOW_LEAST ? WINDOW_LEAST : expected / 2;
        assert_int_equal(after_full_window(&window, WINDOW_SLOW_US + 1), expected);
    }
    assert_int_equal(after_full_window(&window, WINDOW_SLOW_US + 1), WINDOW_LEAST);
}

static void a_reader_that_is_neither_leaves_it_as_it_is(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 0);
    assert_int_equal(after_full_window(&window, 0), 2 * WINDOW_LEAST);
    assert_int_equal(after_full_window(&window, WINDOW_FAST_US + 1), 2 * WINDOW_LEAST);
    assert_int_equal(after_full_window(&window, WINDOW_SLOW_US), 2 * WINDOW_LEAST);
}

static void a_fixed_window_stays_whatever_the_reader_does(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 5000);
    assert_int_equal(after_full_window(&window, 0), 5000);
    assert_int_equal(after_full_window(&window, WINDOW_SLOW_US + 1), 5000);
}

static void a_window_that_is_not_full_is_not_measured(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 0);
    (void)window_sent(&window, WINDOW_LEAST - 1, start_us);
    assert_true(window_acknowledged(&window, WINDOW_LEAST - 1, start_us));
    assert_int_equal(window.size, WINDOW_LEAST);
}

static void the_measure_ends_with_the_last_byte_of_the_full_window_not_with_the_first(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 0);
    (void)window_sent(&window, WINDOW_LEAST, start_us);
    assert_true(window_acknowledged(&window, WINDOW_LEAST - 1, start_us));
    assert_int_equal(window.size, WINDOW_LEAST);
    /* What is sent meanwhile fills it again, but one window is measured at a time. */
    (void)window_sent(&window, WINDOW_LEAST - 1, start_us + 1);
    assert_true(window_acknowledged(&window, 2, start_us + WINDOW_FAST_US));
    assert_int_equal(window.size, 2 * WINDOW_LEAST);
}

static void a_window_that_has_shrunk_below_what_is_outstanding_has_no_room(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 0);
    assert_int_equal(after_full_window(&window, 0), 2 * WINDOW_LEAST);
    (void)window_sent(&window, 2 * WINDOW_LEAST, start_us);
    assert_true(window_acknowledged(&window, WINDOW_LEAST, start_us));
    (void)window_sent(&window, WINDOW_LEAST, start_us);
    assert_true(window_acknowledged(&window, WINDOW_LEAST, start_us + WINDOW_SLOW_US + 1));
    assert_int_equal(window.size, WINDOW_LEAST);
    assert_int_equal(window.outstanding, WINDOW_LEAST);
    assert_int_equal(window_room(&window), 0);
}

static void a_large_window_of_which_little_is_left_is_full(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, WINDOW_SMALL);
    (void)window_sent(&window, WINDOW_SMALL - 1, start_us);
    assert_int_equal(window_room(&window), 1);
    window_init(&window, 2 * WINDOW_SMALL);
    (void)window_sent(&window, 2 * WINDOW_SMALL - 2 * WINDOW_SMALL / 4, start_us);
    assert_int_equal(window_room(&window), 2 * WINDOW_SMALL / 4);
    (void)window_sent(&window, 1, start_us);
    assert_int_equal(window_room(&window), 0);
    assert_int_equal(window.measured, window.outstanding);
    assert_true(window_acknowledged(&window, 1, start_us));
    assert_int_equal(window_room(&window), 2 * WINDOW_SMALL / 4);
}

static void a_small_full_window_of_a_brisk_reader_is_about_to_open(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 100);
    (void)window_sent(&window, 100, start_us);
    assert_false(window_is_about_to_open(&window)); /* nothing is known of the reader yet */
    assert_true(window_acknowledged(&window, 100, start_us + WINDOW_BRISK_US));
    assert_false(window_is_about_to_open(&window)); /* it is open */
    (void)window_sent(&window, 100, start_us);
    assert_true(window_is_about_to_open(&window));
    assert_true(window_acknowledged(&window, 100, start_us + WINDOW_BRISK_US + 1));
    (void)window_sent(&window, 100, start_us);
    assert_false(window_is_about_to_open(&window));
    window_init(&window, WINDOW_SMALL + 1);
    (void)window_sent(&window, WINDOW_SMALL + 1, start_us);
    assert_true(window_acknowledged(&window, WINDOW_SMALL + 1, start_us));
    (void)window_sent(&window, WINDOW_SMALL + 1, start_us);
    assert_false(window_is_about_to_open(&window));
}

static void a_small_window_asks_for_each_acknowledgement(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, WINDOW_SMALL);
    assert_true(window_sent(&window, 1, start_us));
}

static void a_large_window_asks_when_half_of_it_was_sent_and_when_it_is_full(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 4 * WINDOW_SMALL);
    assert_false(window_sent(&window, WINDOW_SMALL, start_us));
    assert_false(window_sent(&window, WINDOW_SMALL - 1, start_us));
    assert_true(window_sent(&window, 1, start_us));
    assert_false(window_sent(&window, WINDOW_SMALL, start_us));
    assert_int_equal(window_room(&window), WINDOW_SMALL);
    assert_true(window_sent(&window, WINDOW_SMALL - 1, start_us)); /* one byte of room is none */
}

/* Or else it could be full of bytes for which nothing was asked. */
static void a_window_does_not_shrink_before_it_has_asked_for_all(void **state)
{
    struct window window;

    (void)state;
    window_init(&window, 0);
    window.size = WINDOW_MOST;
    assert_true(window_sent(&window, WINDOW_MOST, start_us));
    assert_true(window_acknowledged(&window, WINDOW_MOST - 1, start_us));
    assert_false(window_sent(&window, WINDOW_MOST / 2 - 1, start_us));
    assert_true(window_acknowledged(&window, 1, start_us + WINDOW_SLOW_US + 1));
    assert_int_equal(window.size, WINDOW_MOST);
    assert_true(window_room(&window) > 0);
}

/* What has been sent and not read yet, and whether it asks. */
struct sent {
    uint32_t bytes;
    bool asks;
};

/* Reads some of what was sent, and then acknowledges all that it has read if any of it asks. */
static void read_some(struct window *window, struct sent *queue, size_t *count, uint32_t *owed, uint64_t now)
{
    size_t some = (size_t)random() % (*count + 1);
    bool asked = false;

    for (size_t i = 0; i < some; i++) {
        *owed += queue[i].bytes;
        asked = asked || queue[i].asks;
    }
    *count -= some;
    memmove(queue, queue + some, *count * sizeof *queue);
    if (!asked)
        return;
    assert_true(window_acknowledged(window, *owed, now));
    *owed = 0;
}

/* With readers of any speed, so that the window grows and shrinks, and with fixed windows. */
static void a_reader_that_waits_to_be_asked_never_waits_for_ever(void **state)
{
    static const uint64_t delays_us[] = {2000, 20000, 300000};
    static const uint32_t sizes[] = {0, 0, 0, 1, WINDOW_SMALL, WINDOW_SMALL + 1, WINDOW_MOST};
    static struct sent queue[256];
    unsigned unasked = 0;
    unsigned shrunk = 0;

    (void)state;
    srandom(2);
    for (int round = 0; round < 200; round++) {
        struct window window;
        uint64_t now = start_us;
        uint32_t owed = 0;
        size_t count = 0;

        window_init(&window, sizes[(size_t)random() % COUNT(sizes)]);
        for (int i = 0; i < 5000; i++) {
            uint32_t before = window.size;
            uint32_t room = window_room(&window);

            if (room > 0 && count < COUNT(queue) && random() % 4 > 0) {
                uint32_t most = room < 65531 ? room : 65531;
                uint32_t bytes = random() % 2 == 0 ? most : 1 + (uint32_t)random() % most;

                queue[count].bytes = bytes;
                queue[count].asks = window_sent(&window, bytes, now);
                unasked += !queue[count++].asks;
            } else {
                now += (uint64_t)random() % delays_us[i / 500 % (int)COUNT(delays_us)];
                read_some(&window, queue, &count, &owed, now);
            }
            shrunk += window.size < before;
            if (count == 0)
                assert_true(window_room(&window) > 0);
        }
    }
    assert_true(unasked > 10000);
    assert_true(shrunk > 100);
}

static void whatever_happens_no_more_is_outstanding_than_the_window_was(void **state)
{
    struct window window;
    uint64_t now = start_us;
    uint64_t sent = 0;
    uint64_t acknowledged = 0;

    (void)state;
    window_init(&window, 0);
    srandom(1);
    for (int i = 0; i < 200000; i++) {
        uint32_t room = window_room(&window);
        uint32_t bytes = room == 0 ? 0 : (uint32_t)random() % (room + 1);

        if (random() % 3 == 0)
            bytes = room;
        (void)window_sent(&window, bytes, now);
        sent += bytes;
        if (bytes > 0)
            assert_true(window.outstanding <= window.size);
        now += (uint64_t)random() % (WINDOW_SLOW_US * 2);
        bytes = (uint32_t)((uint64_t)random() % (window.outstanding + 1));
        if (random() % 3 == 0)
            bytes = window.outstanding;
        assert_true(window_acknowledged(&window, bytes, now));
        acknowledged += bytes;
        assert_int_equal(window.outstanding, sent - acknowledged);
        assert_in_range(window.size, WINDOW_LEAST, WINDOW_MOST);
    }
}

static int tests(void)
{
    const struct CMUnitTest window[] = {
        TEST(a_window_that_follows_begins_at_the_least),
        TEST(a_fixed_window_is_as_large_as_asked_for),
        TEST(what_is_sent_takes_room),
        TEST(a_full_window_has_no_room),
        TEST(an_acknowledgement_gives_room_back),
        TEST(an_acknowledgement_of_nothing_is_right),
        TEST(an_acknowledgement_of_more_than_was_sent_is_refused_and_changes_nothing),
        TEST(a_fast_reader_doubles_it_up_to_the_most),
        TEST(a_slow_reader_halves_it_down_to_the_least),
        TEST(a_reader_that_is_neither_leaves_it_as_it_is),
        TEST(a_fixed_window_stays_whatever_the_reader_does),
        TEST(a_window_that_is_not_full_is_not_measured),
        TEST(the_measure_ends_with_the_last_byte_of_the_full_window_not_with_the_first),
        TEST(a_window_that_has_shrunk_below_what_is_outstanding_has_no_room),
        TEST(a_large_window_of_which_little_is_left_is_full),
        TEST(a_small_full_window_of_a_brisk_reader_is_about_to_open),
        TEST(a_small_window_asks_for_each_acknowledgement),
        TEST(a_large_window_asks_when_half_of_it_was_sent_and_when_it_is_full),
        TEST(a_window_does_not_shrink_before_it_has_asked_for_all),
        TEST(a_reader_that_waits_to_be_asked_never_waits_for_ever),
        TEST(whatever_happens_no_more_is_outstanding_than_the_window_was),
    };

    return cmocka_run_group_tests(window, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
