/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "program/rules.h"

static struct rules rules;
static struct failure why;
static char text[RULES_BYTES_MOST + 1];

static bool reads_bytes(const char *bytes, size_t size)
{
    memset(&why, 0, sizeof why);
    memset(text, 'x', sizeof text);
    memcpy(text, bytes, size);
    return rules_read(&rules, "/etc/x.conf", text, size, &why);
}

#define TEXT(literal) literal, sizeof literal - 1

/* Names that are numbers get them as ids, as permission.c has it. */
static bool reads(const char *words)
{
    bool fine = reads_bytes(words, strlen(words));

    for (unsigned i = 0; fine && i < rules.count; i++) {
        unsigned id = 0;

        for (const char *at = rules.list[i].name; *at; at++)
            id = id * 10 + (unsigned)(*at - '0');
        rules.list[i].id = id;
    }
    return fine;
}

static void says(const char *words)
{
    assert_int_equal(why.error, EINVAL);
    if (!strstr(why.words, words))
        fail_msg("'%s' is not in '%s'", words, why.words);
    assert_non_null(strstr(why.words, "nothing in that file counts"));
}

#define REFUSES(where, words, content)                                                                                 \
    do {                                                                                                               \
        assert_false(reads(content));                                                                                  \
        says("/etc/x.conf:" where ": ");                                                                               \
        says(words);                                                                                                   \
    } while (0)

static bool allows(uint32_t caller, uint32_t user)
{
    return rules_allow(&rules, caller, RULE_ALLOW_USER, user);
}

static void an_empty_file_allows_nothing(void **state)
{
    (void)state;
    assert_true(reads(""));
    assert_true(reads(" \t\r\n\n# allow user 1 by user 2"));
    assert_int_equal(rules.count, 0);
    assert_false(rules_know(&rules, 2) || allows(2, 1));
}

static void a_block_is_what_is_allowed_and_by_whom_in_either_order(void **state)
{
    static const char *const either[] = {"allow user 1 allow group 2 by user 3 by user 4",
                                         "by user 3\nby user 4\nallow user 1\nallow group 2\n",
                                         "allow\nuser # of many\n1\nallow group 2 by user 3# and\nby\tuser\r\n4#",
                                         "by user 3 by user 4 allow group 2 allow user 1"};

    (void)state;
    for (size_t i = 0; i < COUNT(either); i++) {
        assert_true(reads(either[i]));
        assert_int_equal(rules.count, 4);
        for (uint32_t caller = 0; caller < 6; caller++) {
            bool known = caller == 3 || caller == 4;

            assert_int_equal(rules_know(&rules, caller), known);
            for (uint32_t id = 0; id < 6; id++) {
                assert_int_equal(allows(caller, id), known && id == 1);
                assert_int_equal(rules_allow(&rules, caller, RULE_ALLOW_GROUP, id), known && id == 2);
            }
        }
    }
}

static void what_a_block_allows_is_for_its_own_callers(void **state)
{
    static const char *const either[] = {"allow user 1 allow user 2 by user 11 by user 12 allow user 3 by user 13",
                                         "by user 11 by user 12 allow user 1 allow user 2 by user 13 allow user 3"};

    (void)state;
    for (size_t i = 0; i < COUNT(either); i++) {
        assert_true(reads(either[i]));
        assert_int_equal(rules.list[0].block, 1);
        assert_int_equal(rules.list[5].block, 2);
        for (uint32_t caller = 11; caller <= 13; caller++)
            for (uint32_t user = 1; user <= 3; user++)
                assert_int_equal(allows(caller, user), (caller < 13) == (user < 3));
    }
}

static void one_who_has_several_blocks_has_what_all_of_them_allow(void **state)
{
    (void)state;
    assert_true(reads("by user 1 allow user 5 by user 2 allow user 6 by user 1 allow user 7"));
    assert_true(allows(1, 5) && allows(1, 7) && allows(2, 6));
    assert_false(allows(1, 6) || allows(2, 5) || allows(2, 7));
}

/* What is allowed after a block by nobody else belongs to that block. */
static void a_block_goes_on_as_long_as_its_first_kind_does_not_come_again(void **state)
{
    (void)state;
    assert_true(reads("allow user 1 by user 5\nby user 6"));
    assert_true(allows(6, 1));
    assert_true(reads("by user 5 allow user 1\nallow user 2"));
    assert_true(allows(5, 2));
}

static void names_are_ended_and_lines_are_counted(void **state)
{
    (void)state;
    assert_true(reads_bytes(TEXT("by user a#c\n\nallow user b\nallow\n\ngroup\nworkers")));
    assert_string_equal(rules.list[0].name, "a");
    assert_int_equal(rules.list[0].line, 1);
    assert_string_equal(rules.list[1].name, "b");
    assert_int_equal(rules.list[1].line, 3);
    assert_string_equal(rules.list[2].name, "workers");
    assert_int_equal(rules.list[2].size, 7);
    assert_int_equal(rules.list[2].line, 7);
}

static void a_block_that_lacks_one_kind_is_refused(void **state)
{
    (void)state;
    REFUSES("1", "names nobody by whom", "allow user 1");
    REFUSES("2", "names nobody by whom", "\nallow user 1\nallow group 1");
    REFUSES("1", "allows nothing", "by user 1");
    REFUSES("3", "allows nothing", "by user 1\nallow user 2\nby user 3\nby user 4");
    REFUSES("2", "names nobody by whom", "allow user 2 by user 1\nallow user 3");
}

static void a_word_that_is_not_understood_is_named_with_its_line(void **state)
{
    char longest[200] = "allow user 1 by user 2\n";

    (void)state;
    REFUSES("1", "'deny' is neither 'allow' nor 'by'", "deny user 1");
    REFUSES("1", "'Allow' is neither", "Allow user 1 by user 2");
    REFUSES("1", "'1' is neither", "allow user 2 1 by user 2");
    REFUSES("1", "'bye' is neither", "bye user 1");
    REFUSES("1", "'b' is neither", "b user 1");
    REFUSES("1", "'allowed' is neither", "allowed user 1");
    REFUSES("2", "what follows 'allow' is 'worker' and not 'user' or 'group'", "#\nallow worker");
    REFUSES("1", "what follows 'by' is 'group' and not 'user'", "by group 1 allow user 2");
    REFUSES("1", "what follows 'allow' is '' and", "allow");
    REFUSES("1", "what follows 'by' is '' and", "by");
    REFUSES("1", "no name follows 'allow user'", "by user 1 allow user");
    REFUSES("1", "no name follows 'allow group'", "by user 1 allow group # staff");
    memset(longest + strlen(longest), 'w', 100);
    REFUSES("2", "'wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww' is neither", longest);
}

static void a_line_that_is_too_long_is_refused(void **state)
{
    char line[RULES_LINE_MOST + 30] = "\n#";

    (void)state;
    memset(line + 2, '-', RULES_LINE_MOST - 1);
    strcpy(line + 1 + RULES_LINE_MOST, "\nby user 1 allow user 2");
    assert_true(reads(line));
    line[1 + RULES_LINE_MOST] = '-';
    REFUSES("2", "more than 1024 bytes", line);
    line[2 + RULES_LINE_MOST] = '\0';
    REFUSES("2", "more than 1024 bytes", line);
}

static void a_null_byte_is_refused_wherever_it_is(void **state)
{
    (void)state;
    assert_false(reads_bytes(TEXT("allow user 1\nby user 2\0\n")));
    says("/etc/x.conf:2: the line has a null byte");
    assert_false(reads_bytes(TEXT("#\0")));
    says("/etc/x.conf:1: the line has a null byte");
}

static void too_many_clauses_are_refused(void **state)
{
    char many[(RULES_MOST + 2) * 14];
    size_t size = 0;

    (void)state;
    for (unsigned i = 0; i < RULES_MOST - 1; i++)
        size += (size_t)snprintf(many + size, sizeof many - size, "allow user 1\n");
    size += (size_t)snprintf(many + size, sizeof many - size, "by user 2\n");
    assert_true(reads(many));
    assert_int_equal(rules.count, RULES_MOST);
    (void)snprintf(many + size, sizeof many - size, "by user 3\n");
    REFUSES("1025", "more than 1024 clauses", many);
}

static void each_clause_is_for_the_callers_of_its_block(void **state)
{
    (void)state;
    assert_true(reads("allow user 1\nby user 2\nallow user 3\nby user 4\n"));
    for (unsigned i = 0; i < rules.count; i++)
        for (uint32_t caller = 1; caller <= 4; caller++)
            assert_int_equal(rules_is_for(&rules, &rules.list[i], caller), caller == (i < 2 ? 2 : 4));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(an_empty_file_allows_nothing),
        TEST(a_block_is_what_is_allowed_and_by_whom_in_either_order),
        TEST(what_a_block_allows_is_for_its_own_callers),
        TEST(each_clause_is_for_the_callers_of_its_block),
        TEST(one_who_has_several_blocks_has_what_all_of_them_allow),
        TEST(a_block_goes_on_as_long_as_its_first_kind_does_not_come_again),
        TEST(names_are_ended_and_lines_are_counted),
        TEST(a_block_that_lacks_one_kind_is_refused),
        TEST(a_word_that_is_not_understood_is_named_with_its_line),
        TEST(a_line_that_is_too_long_is_refused),
        TEST(a_null_byte_is_refused_wherever_it_is),
        TEST(too_many_clauses_are_refused),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
