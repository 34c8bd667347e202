/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <signal.h>
#include <string.h>

#include "base/signal_name.h"

static int named(const char *text)
{
    return signal_by_name(text, strlen(text));
}

static void names_come_with_and_without_sig_in_either_case(void **state)
{
    (void)state;
    assert_int_equal(named("HUP"), SIGHUP);
    assert_int_equal(named("SIGHUP"), SIGHUP);
    assert_int_equal(named("sighup"), SIGHUP);
    assert_int_equal(named("Usr2"), SIGUSR2);
    assert_int_equal(signal_by_name("INT:10", 3), SIGINT);
}

static void numbers_are_taken_as_far_as_there_are_signals(void **state)
{
    (void)state;
    assert_int_equal(named("1"), 1);
    assert_int_equal(named("015"), 15);
    assert_int_equal(named("64"), 64);
    assert_int_equal(named("0"), -1);
    assert_int_equal(named("65"), -1);
    assert_int_equal(named("99999999999999999999"), -1);
    assert_int_equal(named("SIG9"), 9);
}

static void what_names_no_signal_is_none(void **state)
{
    (void)state;
    assert_int_equal(named(""), -1);
    assert_int_equal(named("SIG"), -1);
    assert_int_equal(named("HU"), -1);
    assert_int_equal(named("HUPS"), -1);
    assert_int_equal(named("1x"), -1);
    assert_int_equal(named("-1"), -1);
    assert_int_equal(named(" 1"), -1);
}

/* glibc's own table as the witness. */
static void the_names_are_those_of_the_c_library(void **state)
{
    (void)state;
    for (int signal = 1; signal < 32; signal++) {
        assert_non_null(signal_name(signal));
        assert_int_equal(named(sigabbrev_np(signal)), signal);
    }
    assert_string_equal(signal_name(SIGKILL), "KILL");
    assert_null(signal_name(SIGRTMIN));
    assert_null(signal_name(0));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(names_come_with_and_without_sig_in_either_case),
        TEST(numbers_are_taken_as_far_as_there_are_signals),
        TEST(what_names_no_signal_is_none),
        TEST(the_names_are_those_of_the_c_library),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
