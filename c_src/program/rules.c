/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "program/rules.h"

#include <errno.h>
#include <string.h>

struct word {
    const char *text;
    size_t size; /* 0: there is none any more */
    unsigned line;
};

struct reader {
    struct rules *rules;
    const char *file;
    const char *at;
    const char *end;
    unsigned line; /* of `at` */
    unsigned block;
    bool block_began_by; /* with "by", and not with "allow" */
    bool block_has_both;
    struct failure *why;
};

#define SHOWN_MOST 64 /* bytes of a word that are shown */
#define SHOWN(word) shown_size(word), (word).text

#define refuse(reader, of_line, words, ...)                                                                            \
    failed((reader)->why, STAGE_UID, EINVAL, "%s:%u: " words "; nothing in that file counts until it is mended",       \
           (reader)->file, of_line, __VA_ARGS__)

/* ---- Words ---- */

static int shown_size(struct word word)
{
    return word.size < SHOWN_MOST ? (int)word.size : SHOWN_MOST;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A null byte would end the text for whoever looks at it as at a string. */
static bool check_lines(const struct reader *reader)
{
    const char *start = reader->at;

    for (unsigned line = 1; start < reader->end; line++) {
        const char *newline = memchr(start, '\n', (size_t)(reader->end - start));
        size_t size = (size_t)((newline ? newline : reader->end) - start);

        if (size > RULES_LINE_MOST)
            return refuse(reader, line, "the line has more than %u bytes", RULES_LINE_MOST);
        if (memchr(start, '\0', size))
            return refuse(reader, line, "the line has a %s byte", "null");
        start += size + 1;
    }
    return true;
}

/* White space, and comments to the end of their lines. */
static void skip_to_word(struct reader *reader)
{
    bool in_comment = false;

    for (; reader->at < reader->end; reader->at++) {
        if (*reader->at == '#')
            in_comment = true;
        if (!in_comment && !is_space(*reader->at))
            return;
        if (*reader->at == '\n') {
            in_comment = false;
            reader->line++;
        }
    }
}

static struct word next_word(struct reader *reader)
{
    struct word word;

    skip_to_word(reader);
    word = (struct word){.text = reader->at, .line = reader->line};
    while (reader->at < reader->end && !is_space(*reader->at) && *reader->at != '#')
        reader->at++;
    word.size = (size_t)(reader->at - word.text);
    return word;
}

static bool is(struct word word, const char *name)
{
    return word.size == strlen(name) && memcmp(word.text, name, word.size) == 0;
}

/* ---- Clauses ---- */

/* A block ends where the kind of clause that it began with comes again after the other kind. */
static void choose_block(struct reader *reader, bool is_by)
{
    bool is_first = reader->rules->count == 0;

    if (!is_first && is_by != reader->block_began_by) {
        reader->block_has_both = true;
    } else if (is_first || reader->block_has_both) {
        reader->block++;
        reader->block_began_by = is_by;
        reader->block_has_both = false;
    }
}

static bool add_rule(struct reader *reader, enum rule_kind kind, struct word name)
{
    struct rules *rules = reader->rules;

    if (rules->count == RULES_MOST)
        return refuse(reader, name.line, "there are more than %u clauses", RULES_MOST);
    choose_block(reader, kind == RULE_BY_USER);
    rules->list[rules->count++] = (struct rule){.name = name.text,
                                                .size = (unsigned)name.size,
                                                .line = name.line,
                                                .block = reader->block,
                                                .kind = kind};
    return true;
}

/* What follows "allow" or "by". */
static bool read_clause(struct reader *reader, struct word first, bool is_by)
{
    struct word what = next_word(reader);
    bool is_group = !is_by && is(what, "group");
    struct word name;

    if (!is_group && !is(what, "user"))
        return refuse(reader, what.line, "what follows '%.*s' is '%.*s' and not %s", SHOWN(first), SHOWN(what),
                      is_by ? "'user'" : "'user' or 'group'");
    name = next_word(reader);
    if (name.size == 0)
        return refuse(reader, what.line, "no name follows '%.*s %.*s'", SHOWN(first), SHOWN(what));
    return add_rule(reader, is_by ? RULE_BY_USER : is_group ? RULE_ALLOW_GROUP : RULE_ALLOW_USER, name);
}

/* All blocks before the last one have clauses of both kinds, or they would not have ended. */
static bool check_last_block(const struct reader *reader)
{
    const struct rule *first = reader->rules->list;

    if (reader->rules->count == 0 || reader->block_has_both)
        return true;
    while (first->block != reader->block)
        first++;
    return refuse(reader, first->line, "the block that begins here %s",
                  reader->block_began_by ? "allows nothing ('allow user NAME', 'allow group NAME')"
                                         : "names nobody by whom that may be asked for ('by user NAME')");
}

/* The byte behind a name may be the first one of what follows, and so this comes last. */
static void end_names(struct rules *rules, char *text)
{
    for (unsigned i = 0; i < rules->count; i++)
        text[(size_t)(rules->list[i].name - text) + rules->list[i].size] = '\0';
}

bool rules_read(struct rules *rules, const char *file, char *text, size_t size, struct failure *why)
{
    struct reader reader = {.rules = rules, .file = file, .at = text, .end = text + size, .line = 1, .why = why};
    struct word word;

    rules->count = 0;
    if (!check_lines(&reader))
        return false;
    while ((word = next_word(&reader)).size > 0) {
        if (!is(word, "by") && !is(word, "allow"))
            return refuse(&reader, word.line, "'%.*s' is neither 'allow' nor 'by'", SHOWN(word));
        if (!read_clause(&reader, word, is(word, "by")))
            return false;
    }
    if (!check_last_block(&reader))
        return false;
    end_names(rules, text);
    return true;
}

/* ---- What they say ---- */

static bool is_by(const struct rules *rules, unsigned block, uint32_t caller)
{
    for (unsigned i = 0; i < rules->count; i++)
        if (rules->list[i].block == block && rules->list[i].kind == RULE_BY_USER && rules->list[i].id == caller)
            return true;
    return false;
}

bool rules_know(const struct rules *rules, uint32_t caller)
{
    for (unsigned i = 0; i < rules->count; i++)
        if (rules->list[i].kind == RULE_BY_USER && rules->list[i].id == caller)
            return true;
    return false;
}

bool rules_is_for(const struct rules *rules, const struct rule *rule, uint32_t caller)
{
    return is_by(rules, rule->block, caller);
}

bool rules_allow(const struct rules *rules, uint32_t caller, enum rule_kind kind, uint32_t id)
{
    for (unsigned i = 0; i < rules->count; i++) {
        const struct rule *rule = &rules->list[i];

        if (rule->kind == kind && rule->id == id && is_by(rules, rule->block, caller))
            return true;
    }
    return false;
}
