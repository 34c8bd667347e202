/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever is given as a cgroup's path, a path that is taken has parts that are file names and make up the path again,
 * and what is refused breaks a rule. The input is a path and a root with a NUL between them.
 */
#include "fuzz.h"

#include <errno.h>

#include "cgroup/cgroup_path.h"

#define PARTS_MOST 2000u

struct part {
    size_t at;
    size_t size;
};

static unsigned cut(const char *path, struct part parts[PARTS_MOST])
{
    unsigned count = 1;

    parts[0] = (struct part){0};
    for (size_t i = 0; path[i] != '\0' && count < PARTS_MOST; i++) {
        if (path[i] == '/')
            parts[count++] = (struct part){.at = i + 1};
        else
            parts[count - 1].size++;
    }
    return count;
}

static bool is_name(const char *path, struct part part)
{
    const char *name = path + part.at;

    return part.size > 0 && part.size < CGROUP_PART_SIZE && !(part.size == 1 && name[0] == '.') &&
           !(part.size == 2 && name[0] == '.' && name[1] == '.');
}

static bool is_right(const char *path, const struct part parts[], unsigned count)
{
    if (strlen(path) > CGROUP_PATH_MOST || count > CGROUP_PARTS_MOST)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!is_name(path, parts[i]))
            return false;
    return true;
}

/* Taken off one after the other, the parts are those of the path. */
static void check_parts(const char *path, const struct part parts[], unsigned count)
{
    const char *rest = path;
    char name[CGROUP_PART_SIZE];

    for (unsigned i = 0; i < count; i++) {
        expect(*rest != '\0');
        cgroup_path_next(&rest, name);
        expect(strlen(name) == parts[i].size && memcmp(name, path + parts[i].at, parts[i].size) == 0);
    }
    expect(*rest == '\0');
}

static bool has_suffix(const char *path, struct part part, const char *suffix)
{
    size_t size = strlen(suffix);

    return part.size > size && strncmp(path + part.at + part.size - size, suffix, size) == 0;
}

static bool is_unit(const char *path, struct part part)
{
    return has_suffix(path, part, ".service") || has_suffix(path, part, ".scope");
}

/* The last part that is a unit, and the manager that is the last one above it. */
static void check_unit(const char *path, const struct part parts[], unsigned count)
{
    struct cgroup_unit unit;
    const char *manager = NULL;
    unsigned last = count;

    while (last > 0 && !is_unit(path, parts[last - 1]))
        last--;
    expect(cgroup_path_unit(path, &unit) == (last > 0));
    if (last == 0)
        return;
    for (unsigned i = 0; i + 1 < last; i++)
        if (is_unit(path, parts[i]) && strncmp(path + parts[i].at, "user@", 5) == 0)
            manager = path + parts[i].at + 5;
    expect(unit.name == parts[last - 1].at && unit.end == unit.name + parts[last - 1].size);
    expect(unit.manager == manager);
}

/* What is below a root is that with the root put before it. */
static void check_below(const char *root, const char *path)
{
    size_t size = strlen(root);
    char *whole = malloc(size + strlen(path) + 2);
    const char *rest = cgroup_path_below(root, path);

    if (!whole)
        abort();
    if (rest) {
        expect(rest >= path && rest <= path + strlen(path));
        expect(strncmp(rest, "../", 3) != 0 && strcmp(rest, "..") != 0);
        expect(*rest == '\0' || rest[-1] == '/');
        expect(strncmp(path, root, size > 0 && root[size - 1] == '/' ? size - 1 : size) == 0);
    }
    memcpy(whole, root, size);
    if (size == 0 || root[size - 1] != '/')
        whole[size++] = '/';
    memcpy(whole + size, path, strlen(path) + 1);
    rest = cgroup_path_below(root, whole);
    if (strcmp(path, "..") == 0 || strncmp(path, "../", 3) == 0)
        expect(!rest);
    else
        expect(rest == whole + size);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct part parts[PARTS_MOST];
    char *given = fuzz_text(data, size);
    const char *at = given;
    char *path = fuzz_text(at, strlen(at));
    struct failure why = {.stage = 0};
    unsigned count = cut(path, parts);
    const char *root;

    (void)fuzz_next(&at, given + size);
    root = fuzz_next(&at, given + size);
    if (count < PARTS_MOST) {
        bool right = is_right(path, parts, count);

        expect(cgroup_path_check(path, &why) == right);
        if (right)
            check_parts(path, parts, count);
        else
            expect(why.stage == STAGE_CGROUP && why.error == EINVAL && strlen(why.words) < sizeof why.words);
        check_unit(path, parts, count);
    }
    check_below(root, path);
    free(path);
    free(given);
    return 0;
}
