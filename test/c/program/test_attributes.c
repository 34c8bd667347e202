/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "program/attributes.h"

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

static void what_is_in_force_is_told(void **state)
{
    struct rlimit in_force;
    char words[64];

    (void)state;
    assert_true(limits("core=7"));
    assert_true(limits("nofile=8"));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &in_force), 0);
    snprintf(words, sizeof words, "cannot set the limit nofile=8: %s (%lu:%lu descriptors are in force;",
             strerror(EPERM), (unsigned long)in_force.rlim_cur, (unsigned long)in_force.rlim_max);
    assert_false(attributes_explain(&attributes, STAGE_RLIMIT, 1, EPERM, &why));
    assert_int_equal(why.stage, STAGE_RLIMIT);
    assert_non_null(strstr(why.words, words));
}

/* Larger than 32 bits, where these are all that an unsigned long has. */
static void a_large_limit_is_told_in_full(void **state)
{
    struct rlimit before;
    struct rlimit large;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    large = before;
    large.rlim_cur = (rlim_t)12345678901;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &large), 0);
    assert_true(limits("fsize=8"));
    assert_false(attributes_explain(&attributes, STAGE_RLIMIT, 0, EPERM, &why));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_non_null(strstr(why.words, " (12345678901:"));
}

static void each_stage_has_its_words(void **state)
{
    static const struct {
        enum stage stage;
        int error;
        const char *words;
    } known[] = {
        {STAGE_NICE, EACCES, "cannot set the nice value to -3: Permission denied (below what it is takes root"},
        {STAGE_CPUS, EINVAL, "cannot run it on the processors 0-1: not all of them may be used"},
        {STAGE_CPUS, EPERM, "cannot run it on the processors 0-1: Operation not permitted"},
        {STAGE_CPUS, ENOSYS, "--cpus can't be had"},
        {STAGE_OOM_SCORE_ADJ, EACCES, "cannot set oom_score_adj to -9: Permission denied"},
        {STAGE_OOM_SCORE_ADJ, ENOSYS, "--oom-score-adj can't be had"},
        {STAGE_NO_NEW_PRIVS, EINVAL, "cannot keep it from new privileges: Invalid argument"},
        {STAGE_NO_NEW_PRIVS, ENOSYS, "--no-new-privs can't be had"},
    };

    (void)state;
    attributes.nice = -3;
    attributes.oom_score_adj = -9;
    assert_true(stays_on("0-1"));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_false(attributes_explain(&attributes, known[i].stage, 0, known[i].error, &why));
        assert_int_equal(why.stage, known[i].stage);
        assert_int_equal(why.error, known[i].error);
        assert_non_null(strstr(why.words, known[i].words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_in_force_is_told, start_anew),
        cmocka_unit_test_setup(a_large_limit_is_told_in_full, start_anew),
        cmocka_unit_test_setup(each_stage_has_its_words, start_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
