/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cgroup/cgroup_text.h"

#include <string.h>

/* The text behind that many spaces; NULL when there are fewer. */
static const char *field(const char *line, unsigned number)
{
    while (line && number-- > 0) {
        line = strchr(line, ' ');
        if (line)
            line++;
    }
    return line;
}

/* The next character of a mount point. proc(5): space, tab, newline and backslash are written as three octal digits
 * behind a backslash. */
static char next_unescaped(const char **at)
{
    const char *digits = *at + 1;

    if (**at != '\\' || digits[0] < '0' || digits[0] > '7' || digits[1] < '0' || digits[1] > '7' || digits[2] < '0' ||
        digits[2] > '7')
        return *(*at)++;
    *at += 4;
    return (char)((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + (digits[2] - '0'));
}

static bool unescaped_field(const char *line, unsigned number, char *text, size_t most)
{
    const char *at = field(line, number);
    size_t size = 0;

    if (!at)
        return false;
    while (*at != ' ' && *at != '\0' && size < most - 1)
        text[size++] = next_unescaped(&at);
    text[size] = '\0';
    return *at == ' ';
}

/* proc(5), /proc/pid/mountinfo: the fifth field is the mount point. */
static bool mount_point(const char *line, char mount[CGROUP_MOUNT_MOST])
{
    return unescaped_field(line, 4, mount, CGROUP_MOUNT_MOST);
}

/* The type of the file system stands behind a lone hyphen. */
bool cgroup_mount_of(const char *line, char mount[CGROUP_MOUNT_MOST])
{
    return strstr(line, " - cgroup2 ") && mount_point(line, mount);
}

/* The field before the mount point is the directory of the file system that is the root of the mount. */
bool cgroup_mounted_of(const char *line, char *cgroup, size_t size)
{
    return unescaped_field(line, 3, cgroup, size);
}

/* cgroups(7), /proc/pid/cgroup: the line of version 2 has the number 0 and no controller. */
bool cgroup_own_of(const char *text, char *cgroup, size_t size)
{
    static const char start[] = "0::";
    size_t length;

    while (strncmp(text, start, sizeof start - 1) != 0) {
        text = strchr(text, '\n');
        if (!text)
            return false;
        text++;
    }
    text += sizeof start - 1;
    length = strcspn(text, "\n");
    if (length >= size || text[length] == '\0')
        return false; /* the end of the line is missing where the text was cut off */
    memcpy(cgroup, text, length);
    cgroup[length] = '\0';
    return true;
}

/* Behind the type stand the source and the options, of which each controller is one. */
bool cgroup_v1_mount_of(const char *line, const char *controller, char mount[CGROUP_MOUNT_MOST])
{
    const char *options = strstr(line, " - cgroup ");
    size_t size = strlen(controller);

    for (options = options ? field(options, 4) : NULL; options; options = strchr(options, ',')) {
        options += *options == ',';
        if (strncmp(options, controller, size) == 0 && (options[size] == ',' || options[size] == '\0'))
            return mount_point(line, mount);
    }
    return false;
}

bool cgroup_number_of(const char *text, const char *key, uint64_t *number)
{
    size_t size = strlen(key);
    const char *at = text;

    while (size > 0 && (strncmp(at, key, size) != 0 || at[size] != ' ')) {
        at = strchr(at, '\n');
        if (!at)
            return false;
        at++;
    }
    at += size > 0 ? size + 1 : 0;
    if (*at < '0' || *at > '9')
        return false;
    for (*number = 0; *at >= '0' && *at <= '9'; at++) {
        unsigned digit = (unsigned)(*at - '0');

        if (*number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return true;
}

bool cgroup_has_word(const char *text, const char *word)
{
    size_t size = strlen(word);

    for (const char *at = text; (at = strstr(at, word)); at += size)
        if ((at == text || at[-1] == ' ' || at[-1] == '\n') &&
            (at[size] == ' ' || at[size] == '\n' || at[size] == '\0'))
            return true;
    return false;
}
