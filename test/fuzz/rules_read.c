/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever stands in /etc/muontrap.conf, either it is refused with its line, or it is blocks that each say what is
 * allowed and by whom, and which are the same when they are written down and read once more.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "program/rules.h"

static void check_name(const struct rule *rule)
{
    expect(rule->size > 0 && rule->size <= RULES_LINE_MOST && strlen(rule->name) == rule->size);
    expect(strcspn(rule->name, " \t\r\n#") == rule->size);
}

static void check_blocks(const struct rules *rules)
{
    bool kinds[2] = {true, true};
    unsigned block = 0;
    unsigned line = 1;

    for (unsigned i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->list[i];

        check_name(rule);
        expect(rule->line >= line && (rule->block == block || rule->block == block + 1));
        if (rule->block != block) {
            expect(kinds[0] && kinds[1]);
            kinds[0] = kinds[1] = false;
        }
        kinds[rule->kind == RULE_BY_USER] = true;
        block = rule->block;
        line = rule->line;
    }
    expect(kinds[0] && kinds[1]);
}

static void check_again(const struct rules *rules)
{
    static char text[2 * RULES_BYTES_MOST + RULES_MOST * 20];
    static struct rules again;
    static const char *const clauses[] = {"allow user", "allow group", "by user"};
    struct failure why;
    size_t size = 0;

    for (unsigned i = 0; i < rules->count; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s\n%s\n", clauses[rules->list[i].kind],
                                 rules->list[i].name);
    expect(rules_read(&again, "again", text, size, &why) && again.count == rules->count);
    for (unsigned i = 0; i < rules->count; i++)
        expect(again.list[i].kind == rules->list[i].kind && again.list[i].block == rules->list[i].block &&
               strcmp(again.list[i].name, rules->list[i].name) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rules rules;
    struct failure why = {.stage = 0};
    char *text;

    if (size > RULES_BYTES_MOST)
        return 0;
    text = fuzz_text(data, size);
    if (rules_read(&rules, "file", text, size, &why)) {
        check_blocks(&rules);
        check_again(&rules);
    } else {
        expect(why.error == EINVAL && strncmp(why.words, "file:", 5) == 0 && strtoul(why.words + 5, NULL, 10) > 0);
        expect(strlen(why.words) < sizeof why.words);
    }
    free(text);
    return 0;
}
