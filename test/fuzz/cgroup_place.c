/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever stands in /proc/self/mountinfo and /proc/self/cgroup, and however it is read, each line is seen once and as
 * it is, and what is found in it is what a second reading finds. The input is how much a read gives, then the two texts
 * with a NUL between them. A byte of 1 in a text stands for as many letters as a third of the longest line.
 */
#include "fuzz.h"

#include "cgroup/cgroup_files.h"
#include "cgroup/cgroup_path.h"
#include "cgroup/cgroup_text.h"
#include "files.h"

#define LINE_MOST 4094u /* bytes: a longer one is passed over */
#define FILE_MOST 4095u /* bytes of /proc/self/cgroup */
#define MANY 1400u
#define MANIES_MOST 4u

static char *expanded(const char *text)
{
    char *bytes = malloc(strlen(text) + MANIES_MOST * MANY + 1);
    unsigned manies = 0;
    size_t size = 0;

    if (!bytes)
        abort();
    for (; *text; text++) {
        if (*text == 1 && manies++ < MANIES_MOST) {
            memset(bytes + size, 'x', MANY);
            size += MANY;
        } else {
            bytes[size++] = *text;
        }
    }
    bytes[size] = '\0';
    return bytes;
}

/* Where a field of the line begins, of those that single spaces separate; NULL when it has fewer. */
static const char *field(const char *line, unsigned number)
{
    for (; number > 0; line++) {
        if (*line == '\0')
            return NULL;
        number -= *line == ' ';
    }
    return line;
}

static bool is_octal(char digit)
{
    return digit >= '0' && digit <= '7';
}

/* The field as it was before it was escaped, and its size. 0 when it isn't followed by another one. */
static size_t unescaped(const char *line, unsigned number, char *text)
{
    const char *at = field(line, number);
    size_t size = 0;

    if (!at || !strchr(at, ' '))
        return 0;
    while (*at != ' ') {
        if (*at == '\\' && is_octal(at[1]) && is_octal(at[2]) && is_octal(at[3])) {
            char digits[] = {at[1], at[2], at[3], '\0'};

            text[size++] = (char)strtoul(digits, NULL, 8);
            at += 4;
        } else {
            text[size++] = *at++;
        }
    }
    text[size] = '\0';
    return size;
}

/* proc(5): the type is the first of the fields behind the hyphen that ends the optional ones, which begin with the
 * seventh. Of what it is followed by nothing is asked. */
static bool has_type(const char *line, const char *type)
{
    const char *at = field(line, 6);
    size_t size = strlen(type);

    while (at && strncmp(at, "- ", 2) != 0)
        at = field(at, 1);
    return at && strncmp(at + 2, type, size) == 0 && at[2 + size] == ' ';
}

static void check_mount(const char *line)
{
    char mount[CGROUP_MOUNT_MOST];
    char *point = fuzz_text(line, strlen(line));
    size_t size = unescaped(line, 4, point);
    bool fits = size > 0 && size < CGROUP_MOUNT_MOST;

    if (cgroup_mount_of(line, mount))
        expect(strstr(line, " - cgroup2 ") && size < CGROUP_MOUNT_MOST && memcmp(mount, point, size + 1) == 0);
    else
        expect(!has_type(line, "cgroup2") || !fits);
    if (cgroup_v1_mount_of(line, "cpu", mount))
        expect(strstr(line, " - cgroup ") && strstr(line, "cpu") && size < CGROUP_MOUNT_MOST &&
               memcmp(mount, point, size + 1) == 0);
    free(point);
}

static void check_mounted(const char *line)
{
    char cgroup[CGROUP_PATH_MOST + 2];
    char *root = fuzz_text(line, strlen(line));
    size_t size = unescaped(line, 3, root);

    if (cgroup_mounted_of(line, cgroup, sizeof cgroup))
        expect(size < sizeof cgroup && memcmp(cgroup, root, size + 1) == 0);
    else
        expect(size == 0 || size >= sizeof cgroup);
    free(root);
}

/* The next line of those that are whole and not too long, as a copy; NULL when there is none. */
static char *next_line(const char **at)
{
    const char *end;

    while ((end = strchr(*at, '\n'))) {
        const char *line = *at;

        *at = end + 1;
        if ((size_t)(end - line) <= LINE_MOST)
            return fuzz_text(line, (size_t)(end - line));
    }
    return NULL;
}

static bool see_line(const char *line, void *context)
{
    const char **at = context;
    char *expected = next_line(at);

    expect(expected && strcmp(line, expected) == 0);
    check_mount(expected);
    check_mounted(expected);
    free(expected);
    return true;
}

/* The cgroup that the last mount on the place has as its root: "" when it can't be told. */
static void find_mounted(const char *mountinfo, const char *mount, char cgroup[CGROUP_PATH_MOST + 2])
{
    char point[CGROUP_MOUNT_MOST];
    char *line;

    cgroup[0] = '\0';
    while ((line = next_line(&mountinfo))) {
        if (cgroup_mount_of(line, point) && strcmp(point, mount) == 0 &&
            !cgroup_mounted_of(line, cgroup, CGROUP_PATH_MOST + 2))
            cgroup[0] = '\0';
        free(line);
    }
}

/* The path behind 0:: in a line of its own, which has an end in the first bytes of the file. */
static char *own(const char *cgroups)
{
    size_t size = strlen(cgroups) < FILE_MOST ? strlen(cgroups) : FILE_MOST;
    char *text = fuzz_text(cgroups, size);
    char *found = NULL;
    char *end;

    for (char *line = text; !found && (end = strchr(line, '\n')); line = end + 1)
        if (strncmp(line, "0::", 3) == 0)
            found = fuzz_text(line + 3, (size_t)(end - line) - 3);
    free(text);
    return found;
}

/* The part below the root; NULL when it isn't below it. */
static const char *below(const char *root, const char *path)
{
    size_t size = strlen(root);

    if (size > 0 && root[size - 1] == '/')
        size--;
    if (memcmp(root, path, size < strlen(path) ? size : strlen(path)) != 0 || strlen(path) < size)
        return NULL;
    path += size;
    if (*path == '\0')
        return path;
    return *path == '/' && strcmp(path, "/..") != 0 && strncmp(path, "/../", 4) != 0 ? path + 1 : NULL;
}

static void check_own(const char *mountinfo, const char *cgroups, const char *mount)
{
    char path[CGROUP_PATH_MOST + 1];
    char root[CGROUP_PATH_MOST + 2];
    char *expected = own(cgroups);
    const char *rest = NULL;

    find_mounted(mountinfo, mount, root);
    if (expected && root[0] == '/' && strlen(expected) <= CGROUP_PATH_MOST + 1)
        rest = below(root, expected);
    expect(cgroup_find_own(mount, path) == (rest != NULL));
    expect(!rest || strcmp(path, rest) == 0);
    free(expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *given = fuzz_text(data, size);
    const char *at = given + (size > 0);
    char *mountinfo = expanded(fuzz_next(&at, given + size));
    char *cgroups = expanded(fuzz_next(&at, given + size));
    const char *line = mountinfo;
    /* Small pieces of a large file take their time. */
    size_t piece = (uint8_t)given[0] * (strlen(mountinfo) < 1024 ? 1u : 101u);

    files_give("/proc/self/mountinfo", mountinfo, strlen(mountinfo), piece);
    files_give("/proc/self/cgroup", cgroups, strlen(cgroups), piece);
    expect(cgroup_mounts(see_line, &line));
    expect(!next_line(&line));
    check_own(mountinfo, cgroups, "/c");
    expect(files_take_back());
    free(mountinfo);
    free(cgroups);
    free(given);
    return 0;
}
