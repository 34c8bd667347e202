/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever stands in /etc/passwd and /etc/group, and however it is read, what is found there is what a second reading
 * finds, which has the whole text before it and does without the first one's buffer. The input is how much a read
 * gives, then a name, the text of passwd and that of group with NULs between them. A byte of 1 in a text stands for as
 * many letters as a third of the longest line.
 */
#include "fuzz.h"

#include "files.h"
#include "program/users.h"

#define LINE_MOST 65534u /* bytes: a longer one is passed over */
#define MANY 22000u
#define MANIES_MOST 4u
#define GROUPS 3u

struct span {
    const char *at;
    size_t size;
};

static struct span expanded(const char *text)
{
    char *bytes = malloc(strlen(text) + MANIES_MOST * MANY + 1);
    struct span span = {.at = bytes};
    unsigned manies = 0;

    if (!bytes)
        abort();
    for (; *text; text++) {
        if (*text == 1 && manies++ < MANIES_MOST) {
            memset(bytes + span.size, 'x', MANY);
            span.size += MANY;
        } else {
            bytes[span.size++] = *text;
        }
    }
    bytes[span.size] = '\0';
    return span;
}

/* Takes the next line off the text. False when there is none. */
static bool take_line(struct span *text, struct span *line)
{
    const char *end;

    if (text->size == 0)
        return false;
    end = memchr(text->at, '\n', text->size);
    line->at = text->at;
    line->size = end ? (size_t)(end - text->at) : text->size;
    text->at += line->size + (end ? 1 : 0);
    text->size -= line->size + (end ? 1 : 0);
    return true;
}

static bool is_entry(struct span line)
{
    size_t blanks = 0;

    while (blanks < line.size && (line.at[blanks] == ' ' || line.at[blanks] == '\t'))
        blanks++;
    return line.size <= LINE_MOST && !(blanks < line.size && line.at[blanks] == '#');
}

/* The field of that number, from 0 on, of which a line has fewer perhaps. */
static bool field(struct span line, unsigned number, struct span *found)
{
    size_t at = 0;

    for (; number > 0; number--) {
        while (at < line.size && line.at[at] != ':')
            at++;
        if (at++ == line.size)
            return false;
    }
    found->at = line.at + at;
    found->size = 0;
    while (at + found->size < line.size && found->at[found->size] != ':')
        found->size++;
    return true;
}

static bool is(struct span span, const char *text)
{
    return strlen(text) == span.size && memcmp(span.at, text, span.size) == 0;
}

static bool id_of(struct span line, unsigned number, unsigned long *id)
{
    struct span span;
    char digits[11];

    if (!field(line, number, &span) || span.size == 0 || span.size > 10)
        return false;
    memcpy(digits, span.at, span.size);
    digits[span.size] = '\0';
    *id = strtoul(digits, NULL, 10);
    return strspn(digits, "0123456789") == span.size && *id < 4294967295ul;
}

static void expect_path(const char *path, struct span line, unsigned number)
{
    struct span span;

    if (field(line, number, &span) && span.size < USERS_PATH_MOST)
        expect(is(span, path));
    else
        expect(path[0] == '\0');
}

/* Whether the line is a user's, by that name or by that number. */
static bool is_user(struct span line, const char *name, unsigned long uid)
{
    unsigned long id;
    unsigned long group;
    struct span span;

    return is_entry(line) && field(line, 0, &span) && span.size < USERS_NAME_MOST && id_of(line, 2, &id) &&
           id_of(line, 3, &group) && (name ? is(span, name) : id == uid);
}

static bool find_line(struct span text, const char *name, unsigned long uid, struct span *line)
{
    while (take_line(&text, line))
        if (is_user(*line, name, uid))
            return true;
    return false;
}

static void check_user(struct span passwd, const char *name, unsigned long uid)
{
    static struct user user;
    struct span line;
    struct span span;
    unsigned long id;
    bool found = name ? users_by_name(name, &user) : users_by_uid((uid_t)uid, &user);

    expect(found == find_line(passwd, name, uid, &line));
    if (!found)
        return;
    expect(field(line, 0, &span) && is(span, user.name));
    expect(id_of(line, 2, &id) && user.uid == id);
    expect(id_of(line, 3, &id) && user.gid == id);
    expect_path(user.home, line, 5);
    expect_path(user.shell, line, 6);
}

static void check_group(struct span text, const char *name)
{
    gid_t gid = 0;
    unsigned long id = 0;
    struct span line;
    struct span span;
    bool found = false;

    while (!found && take_line(&text, &line))
        found = is_entry(line) && field(line, 0, &span) && is(span, name) && id_of(line, 2, &id);
    expect(users_group_by_name(name, &gid) == found);
    expect(!found || gid == id);
}

static bool has_member(struct span line, const char *name)
{
    struct span members;

    if (!field(line, 3, &members))
        return false;
    for (;;) {
        const char *comma = memchr(members.at, ',', members.size);
        struct span member = {.at = members.at, .size = comma ? (size_t)(comma - members.at) : members.size};

        if (member.size > 0 && is(member, name))
            return true;
        if (!comma)
            return false;
        members.at += member.size + 1;
        members.size -= member.size + 1;
    }
}

static void check_groups(struct span text, const char *name, gid_t primary)
{
    static struct user user;
    gid_t groups[GROUPS];
    size_t count;
    size_t expected = 1;
    struct span line;

    memcpy(user.name, name, strlen(name) + 1);
    count = users_groups(&user, primary, groups, GROUPS);
    expect(count >= 1 && count <= GROUPS + 1 && groups[0] == primary);
    while (expected <= GROUPS && take_line(&text, &line)) {
        unsigned long id;

        if (!is_entry(line) || !id_of(line, 2, &id) || id == primary || !has_member(line, name))
            continue;
        expect(expected == GROUPS || (expected < count && groups[expected] == id));
        expected++;
    }
    expect(count == expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *given = fuzz_text(data, size);
    const char *at = given + (size > 0);
    const char *name = fuzz_next(&at, given + size);
    struct span passwd = expanded(fuzz_next(&at, given + size));
    struct span group = expanded(fuzz_next(&at, given + size));
    /* Small pieces of a large file take their time. */
    size_t piece = (uint8_t)given[0] * (passwd.size + group.size < 4096 ? 1u : 401u);

    files_give("/etc/passwd", passwd.at, passwd.size, piece);
    files_give("/etc/group", group.at, group.size, piece);
    if (strlen(name) < USERS_NAME_MOST) {
        check_user(passwd, name, 0);
        check_group(group, name);
    }
    if (*name != '\0' && strlen(name) < USERS_NAME_MOST) {
        check_groups(group, name, 0);
        check_groups(group, name, 10);
    }
    check_user(passwd, NULL, 0);
    check_user(passwd, NULL, 10);
    expect(files_take_back());
    free((void *)(uintptr_t)passwd.at);
    free((void *)(uintptr_t)group.at);
    free(given);
    return 0;
}
