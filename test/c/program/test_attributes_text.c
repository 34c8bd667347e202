/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "program/attributes_text.h"

static struct attributes attributes;
static struct failure why;

static int start_anew(void **state)
{
    (void)state;
    memset(&attributes, 0, sizeof attributes);
    memset(&why, 0, sizeof why);
    return 0;
}

static bool limits(const char *text)
{
    return attributes_add_rlimit(&attributes, text, "--rlimit", &why);
}

static bool stays_on(const char *text)
{
    return attributes_set_cpus(&attributes, text, "--cpus", &why);
}

static void says(const char *words)
{
    assert_int_equal(why.stage, STAGE_OPTIONS);
    assert_int_equal(why.error, EINVAL);
    if (!strstr(why.words, words))
        fail_msg("'%s' is not in '%s'", words, why.words);
}

static void a_limit_is_soft_and_hard(void **state)
{
    (void)state;
    assert_true(limits("nofile=1024"));
    assert_true(limits("core=0"));
    assert_true(limits("cpu=10:12"));
    assert_true(limits("as=infinity"));
    assert_true(limits("data=0:infinity"));
    assert_true(limits("stack=18446744073709551614"));
    assert_true(attributes.any);
    assert_int_equal(attributes.rlimit_count, 6);
}

static void of_one_limit_the_last_counts(void **state)
{
    (void)state;
    assert_true(limits("nofile=1"));
    assert_true(limits("core=2"));
    assert_true(limits("nofile=3"));
    assert_int_equal(attributes.rlimit_count, 2);
    assert_string_equal(attributes.rlimits[0], "nofile=3");
    assert_string_equal(attributes.rlimits[1], "core=2");
}

static void a_limit_that_there_is_not_is_named_with_those_there_are(void **state)
{
    (void)state;
    assert_false(limits("files=1"));
    says("called 'files'; there are as, core, cpu, data, fsize,");
    assert_false(limits("=1"));
    says("called ''");
    assert_false(limits(""));
    says("called ''");
    assert_false(limits("nofil=1"));
    says("called 'nofil'");
    assert_int_equal(attributes.rlimit_count, 0);
}

static void a_limit_takes_numbers(void **state)
{
    static const char *const wrong[] = {
        "",
        "=",
        "=x",
        "=-1",
        "=1:",
        "=:1",
        "=1:2:3",
        "=1 ",
        "=0x10",
        "=inf",
        "=infinity:x",
        "=unlimited",
        "=1,2",
        "=1infinity",
        "=18446744073709551615",
        "=18446744073709551616",
        "=99999999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[64];

        snprintf(text, sizeof text, "nofile%s", wrong[i]);
        assert_false(limits(text));
        says("the limit nofile takes =SOFT or =SOFT:HARD, each a whole number of descriptors or infinity");
    }
}

static void a_soft_limit_is_not_above_the_hard_one(void **state)
{
    (void)state;
    assert_false(limits("nofile=2:1"));
    says("the soft limit is above the hard one in 'nofile=2:1'");
    assert_false(limits("nofile=infinity:1"));
    says("the soft limit is above the hard one");
    assert_true(limits("nofile=1:1"));
    assert_true(limits("nofile=infinity:infinity"));
    assert_true(limits("nofile=5:infinity"));
}

static void processors_are_a_list_of_ranges(void **state)
{
    (void)state;
    assert_true(stays_on("0"));
    assert_true(stays_on("0,1"));
    assert_true(stays_on("0-3,7,9-9"));
    assert_true(stays_on("8191"));
    assert_true(attributes.any);
    assert_string_equal(attributes.cpus, "8191");
}

static void what_is_no_list_of_processors_is_refused(void **state)
{
    static const char *const wrong[] = {"",  ",",  "0,",   ",0",  "-1",    "1-",   "3-2", "0-8192",
                                        "x", "0x", "0, 1", "0;1", "0-1-2", "8192", "all", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(stays_on(wrong[i]));
        says("takes numbers of processors from 0 to 8191");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_limit_is_soft_and_hard, start_anew),
        cmocka_unit_test_setup(of_one_limit_the_last_counts, start_anew),
        cmocka_unit_test_setup(a_limit_that_there_is_not_is_named_with_those_there_are, start_anew),
        cmocka_unit_test_setup(a_limit_takes_numbers, start_anew),
        cmocka_unit_test_setup(a_soft_limit_is_not_above_the_hard_one, start_anew),
        cmocka_unit_test_setup(processors_are_a_list_of_ranges, start_anew),
        cmocka_unit_test_setup(what_is_no_list_of_processors_is_refused, start_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
