/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever stands in the files of a cgroup, numbers, words and pids are found where a second reading finds them, and
 * are in range. The input is how much a read gives, then a key and the text with a NUL between them.
 */
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "cgroup/cgroup_files.h"
#include "cgroup/cgroup_text.h"
#include "cgroup/controllers.h"
#include "files.h"

#define FILE_MOST 1023u /* bytes of a file that numbers are looked for in */
#define LIST_MOST 255u  /* bytes of a list of controllers */

/* The number at the beginning of the text. */
static bool leading_number(const char *text, uint64_t *number)
{
    errno = 0;
    *number = isdigit((unsigned char)*text) ? strtoull(text, NULL, 10) : 0;
    return isdigit((unsigned char)*text) && errno == 0;
}

static bool second_number(const char *text, const char *key, uint64_t *number)
{
    size_t size = strlen(key);

    if (size == 0)
        return leading_number(text, number);
    for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, size) == 0 && line[size] == ' ')
            return leading_number(line + size + 1, number);
    return false;
}

static void check_number(const char *text, const char *key)
{
    uint64_t number = 0;
    uint64_t expected = 0;
    bool found = second_number(text, key, &expected);

    expect(cgroup_number(AT_FDCWD, "file", key, &number) == found);
    expect(!found || number == expected);
}

static void check_flag(const char *text, const char *key)
{
    uint64_t expected = 0;
    int fd = cgroup_events_open(AT_FDCWD);
    bool found = second_number(text, key, &expected) && expected != 0;

    expect(cgroup_events_flag(fd, key) == found);
    expect(cgroup_events_flag(fd, key) == found); /* and once more, as it is asked again and again */
    (void)close(fd);
}

static void check_time(const char *text)
{
    uint64_t user = 0;
    uint64_t system = 0;
    uint64_t expected[2] = {0};
    bool found = second_number(text, "user_usec", &expected[0]) && second_number(text, "system_usec", &expected[1]);

    expect(cgroup_cpu_time(AT_FDCWD, &user, &system) == found);
    expect(!found || (user == expected[0] && system == expected[1]));
}

static bool second_word(const char *text, size_t most, const char *word)
{
    size_t whole = strlen(text);
    char *copy = fuzz_text(text, whole < most ? whole : most);
    bool found = false;

    for (char *at = strtok(copy, " \n"); at; at = strtok(NULL, " \n"))
        found = found || strcmp(at, word) == 0;
    free(copy);
    return found;
}

static void check_words(const char *text, const char *word)
{
    struct controllers controllers = {.count = 1, .list = {{.name = word, .error = ENOENT}}};
    struct failure why = {.stage = 0};

    if (*word == '\0' || strcspn(word, " \n") != strlen(word))
        return;
    expect(cgroup_has_word(text, word) == second_word(text, SIZE_MAX, word));
    if (controllers_check(&controllers, AT_FDCWD, "/mount", "path", &why))
        expect(second_word(text, LIST_MOST, word));
    else
        expect(!second_word(text, LIST_MOST, word) && why.stage == STAGE_CGROUP && why.error == ENOENT &&
               strlen(why.words) > 10 && strlen(why.words) < sizeof why.words);
}

/* The next number that a pid can have, behind which there is something. */
static pid_t next_pid(const char **at)
{
    for (;;) {
        unsigned long number;
        char *end;

        *at += strcspn(*at, "0123456789");
        if (**at == '\0')
            return 0;
        errno = 0;
        number = strtoul(*at, &end, 10);
        *at = end;
        if (*end != '\0' && errno == 0 && number > 0 && number <= INT_MAX)
            return (pid_t)number;
    }
}

static void see_pid(pid_t pid, void *context)
{
    expect(pid > 0 && pid == next_pid(context));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"cgroup.events", "cpu.stat", "file", "cgroup.controllers", "cgroup.procs"};
    char *given = fuzz_text(data, size);
    const char *at = given + (size > 0);
    const char *key = fuzz_next(&at, given + size);
    const char *text = fuzz_next(&at, given + size);
    size_t whole = strlen(text);
    char *beginning = fuzz_text(text, whole < FILE_MOST ? whole : FILE_MOST);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        files_give(names[i], text, whole, (uint8_t)given[0]);
    check_number(beginning, key);
    check_flag(beginning, key);
    check_time(beginning);
    check_words(text, key);
    expect(cgroup_processes(AT_FDCWD, see_pid, &text));
    expect(next_pid(&text) == 0);
    expect(files_take_back());
    free(beginning);
    free(given);
    return 0;
}
