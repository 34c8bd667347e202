/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/format.h"

/* Compares the text with what the C library's vsnprintf(3) makes of the same arguments. */
#define AS_PRINTF(...)                                                                                                 \
    do {                                                                                                               \
        char ours[200];                                                                                                \
        char theirs[200];                                                                                              \
                                                                                                                       \
        format(ours, sizeof ours, __VA_ARGS__);                                                                        \
        (void)snprintf(theirs, sizeof theirs, __VA_ARGS__);                                                            \
        assert_string_equal(ours, theirs);                                                                             \
    } while (0)

static void text_is_as_printf_has_it(void **state)
{
    (void)state;
    AS_PRINTF("plain");
    AS_PRINTF("%s", "");
    AS_PRINTF("<%s|%s>", "a", "b c");
    AS_PRINTF("<%c%c>", 'x', 'y');
    AS_PRINTF("100%%");
    AS_PRINTF("%.*s", 2, "abc");
    AS_PRINTF("%.*s", 3, "abc");
    AS_PRINTF("%.*s|", 9, "abc");
    AS_PRINTF("%.*s|", 0, "abc");
}

static void numbers_are_as_printf_has_them(void **state)
{
    (void)state;
    AS_PRINTF("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
    AS_PRINTF("%u %u", 0u, UINT_MAX);
    AS_PRINTF("%ld %ld %ld", 0L, LONG_MAX, LONG_MIN);
    AS_PRINTF("%lu %lu", 0ul, ULONG_MAX);
    AS_PRINTF("0x%02x 0x%02x 0x%02x", 0u, 0xfu, 0xffu);
}

static void what_does_not_fit_is_cut_off(void **state)
{
    char text[5];

    (void)state;
    memset(text, 'x', sizeof text);
    format(text, sizeof text, "%s", "1234");
    assert_string_equal(text, "1234");
    format(text, sizeof text, "%s", "12345");
    assert_string_equal(text, "1234");
    format(text, sizeof text, "12%lu", 3456ul);
    assert_string_equal(text, "1234");
    format(text, sizeof text, "123456%s", "7");
    assert_string_equal(text, "1234");
    format(text, 1, "%d", 7);
    assert_string_equal(text, "");
}

/* format() must not read more bytes of the string than the length says, for there may be no NUL behind them. A read too
 * far is an error of AddressSanitizer. */
static void a_string_with_a_length_needs_no_nul(void **state)
{
    char string[20];
    char text[5];

    (void)state;
    memset(string, 's', sizeof string);
    format(text, sizeof text, "%.*s", 4, string);
    assert_string_equal(text, "ssss");
    format(text, sizeof text, "%.*s", (int)sizeof string, string);
    assert_string_equal(text, "ssss");
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(text_is_as_printf_has_it),
        TEST(numbers_are_as_printf_has_them),
        TEST(what_does_not_fit_is_cut_off),
        TEST(a_string_with_a_length_needs_no_nul),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
