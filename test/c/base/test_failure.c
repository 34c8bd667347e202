/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/failure.h"

static void a_failure_carries_stage_errno_and_words(void **state)
{
    struct failure why;

    (void)state;
    assert_false(failed(&why, STAGE_CD, ENOENT, "cannot change to '%s': %d", "/x", 7));
    assert_int_equal(why.stage, STAGE_CD);
    assert_int_equal(why.error, ENOENT);
    assert_string_equal(why.words, "cannot change to '/x': 7");
}

static void words_that_are_too_long_are_cut_and_end_with_a_nul(void **state)
{
    struct failure why;
    char text[4096];

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_false(failed(&why, STAGE_EXEC, 0, "%s", text));
    assert_int_equal(strlen(why.words), sizeof why.words - 1);
}

static void names_are_those_of_erlang(void **state)
{
    (void)state;
    assert_string_equal(errno_name(ENOENT), "enoent");
    assert_string_equal(errno_name(E2BIG), "e2big");
    assert_string_equal(errno_name(EXDEV), "exdev");
    assert_string_equal(errno_name(ENAMETOOLONG), "enametoolong");
    assert_string_equal(errno_name(ENOTEMPTY), "enotempty");
}

static void an_errno_without_name_has_an_empty_one(void **state)
{
    (void)state;
    assert_string_equal(errno_name(0), "");
    assert_string_equal(errno_name(-1), "");
    assert_string_equal(errno_name(99999), "");
}

/* glibc's own table as the witness: what we name, it names the same in upper case. */
static void every_name_is_the_constant_in_lower_case(void **state)
{
    int named = 0;

    (void)state;
    for (int error = 1; error < 200; error++) {
        const char *name = errno_name(error);
        const char *constant = strerrorname_np(error);

        if (!*name)
            continue;
        named++;
        assert_non_null(constant);
        if (error == ENOTSUP && strcmp(name, "enotsup") == 0)
            continue; /* on Linux the number has two names, and glibc gives the other */
        assert_true(strcasecmp(name, constant) == 0);
        for (const char *at = name; *at; at++)
            assert_true(islower((unsigned char)*at) || isdigit((unsigned char)*at));
    }
    assert_true(named >= 40);
}

static int tests(void)
{
    const struct CMUnitTest failure[] = {
        TEST(a_failure_carries_stage_errno_and_words),
        TEST(words_that_are_too_long_are_cut_and_end_with_a_nul),
        TEST(names_are_those_of_erlang),
        TEST(an_errno_without_name_has_an_empty_one),
        TEST(every_name_is_the_constant_in_lower_case),
    };

    return cmocka_run_group_tests(failure, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
