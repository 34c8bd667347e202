/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <string.h>

#include "cgroup/cgroup_path.h"

static struct failure why;

static void assert_refused(const char *path, const char *words)
{
    assert_false(cgroup_path_check(path, &why));
    assert_int_equal(why.stage, STAGE_CGROUP);
    assert_int_equal(why.error, EINVAL);
    if (!strstr(why.words, words))
        fail_msg("'%s' doesn't say '%s'", why.words, words);
}

static void names_between_slashes_are_a_path(void **state)
{
    static const char *const paths[] = {"a", "a/b", "a b/c\td", "...", ".a", "..a", "a.", "a..", ".a/..b", "\xff"};

    (void)state;
    for (size_t i = 0; i < COUNT(paths); i++)
        assert_true(cgroup_path_check(paths[i], &why));
}

static void a_path_that_could_leave_the_mount_is_refused(void **state)
{
    (void)state;
    assert_refused("", "it is empty");
    assert_refused("/", "begins with a slash");
    assert_refused("/a", "begins with a slash");
    assert_refused(".", "has . or ..");
    assert_refused("..", "has . or ..");
    assert_refused("../a", "has . or ..");
    assert_refused("a/..", "has . or ..");
    assert_refused("a/./b", "has . or ..");
    assert_refused("a//b", "a part of it is empty");
    assert_refused("a/", "a part of it is empty");
}

static void what_is_too_long_is_refused(void **state)
{
    char path[CGROUP_PATH_MOST + 2];

    (void)state;
    memset(path, 'a', sizeof path);
    path[255] = '\0';
    assert_true(cgroup_path_check(path, &why));
    path[255] = 'a';
    path[256] = '\0';
    assert_refused(path, "longer than 255 bytes");
    path[256] = 'a';
    for (size_t slash = 255; slash < sizeof path; slash += 256)
        path[slash] = '/';
    path[CGROUP_PATH_MOST - 1] = '\0';
    assert_true(cgroup_path_check(path, &why));
    path[CGROUP_PATH_MOST - 1] = '/';
    path[CGROUP_PATH_MOST] = 'a';
    path[CGROUP_PATH_MOST + 1] = '\0';
    assert_refused(path, "it is too long");
}

static void too_many_parts_are_refused(void **state)
{
    char path[2 * CGROUP_PARTS_MOST + 2];

    (void)state;
    for (size_t i = 0; i <= CGROUP_PARTS_MOST; i++)
        memcpy(path + 2 * i, "a/", 2);
    path[2 * CGROUP_PARTS_MOST - 1] = '\0';
    assert_true(cgroup_path_check(path, &why));
    path[2 * CGROUP_PARTS_MOST - 1] = '/';
    path[2 * CGROUP_PARTS_MOST + 1] = '\0';
    assert_refused(path, "more than 32 parts");
}

static void a_path_is_taken_apart_from_the_front(void **state)
{
    const char *rest = "mygroup/a/bc";
    char part[CGROUP_PART_SIZE];

    (void)state;
    cgroup_path_next(&rest, part);
    assert_string_equal(part, "mygroup");
    assert_string_equal(rest, "a/bc");
    cgroup_path_next(&rest, part);
    assert_string_equal(part, "a");
    cgroup_path_next(&rest, part);
    assert_string_equal(part, "bc");
    assert_string_equal(rest, "");
}

static void a_path_is_relative_to_what_is_mounted(void **state)
{
    (void)state;
    assert_string_equal(cgroup_path_below("/", "/"), "");
    assert_string_equal(cgroup_path_below("/", "/user.slice/a b.scope"), "user.slice/a b.scope");
    assert_string_equal(cgroup_path_below("/", "/..name/x"), "..name/x");
    assert_string_equal(cgroup_path_below("/docker/42", "/docker/42"), "");
    assert_string_equal(cgroup_path_below("/docker/42", "/docker/42/x/y"), "x/y");
    assert_null(cgroup_path_below("/docker/42", "/docker/421"));
    assert_null(cgroup_path_below("/docker/42", "/"));
    assert_null(cgroup_path_below("/", "no path"));
    assert_string_equal(cgroup_path_below("", ""), "");
}

/* cgroup_namespaces(7). */
static void what_is_outside_of_the_namespace_is_not_below(void **state)
{
    (void)state;
    assert_null(cgroup_path_below("/", "/.."));
    assert_null(cgroup_path_below("/", "/../x"));
    assert_null(cgroup_path_below("/../x", "/"));
}

static void assert_unit(const char *path, const char *name, const char *cgroup, const char *manager)
{
    struct cgroup_unit unit;

    if (!cgroup_path_unit(path, &unit))
        fail_msg("no unit was seen in %s", path);
    assert_int_equal(unit.end, strlen(cgroup));
    assert_memory_equal(path, cgroup, unit.end);
    assert_memory_equal(path + unit.name, name, strlen(name));
    assert_int_equal(unit.end - unit.name, strlen(name));
    if (manager)
        assert_memory_equal(unit.manager, manager, strlen(manager));
    else
        assert_null(unit.manager);
}

static void the_innermost_unit_counts_and_who_manages_it(void **state)
{
    struct cgroup_unit unit;

    (void)state;
    assert_unit("my.service", "my.service", "my.service", NULL);
    assert_unit("system.slice/my.service/muontrap/3f0c5a9be1d7", "my.service", "system.slice/my.service", NULL);
    assert_unit("user.slice/user-1000.slice/session-3.scope", "session-3.scope",
                "user.slice/user-1000.slice/session-3.scope", NULL);
    assert_unit("user.slice/user-7.slice/user@7.service/app.slice/run-u7.scope/x", "run-u7.scope",
                "user.slice/user-7.slice/user@7.service/app.slice/run-u7.scope", "7.service/");
    assert_unit("user@7.service/init.scope", "init.scope", "user@7.service/init.scope", "7.service/");
    assert_unit("user@7.service/app.slice", "user@7.service", "user@7.service", NULL);
    assert_false(cgroup_path_unit("", &unit));
    assert_false(cgroup_path_unit("mycgroup/test", &unit));
    assert_false(cgroup_path_unit("user.slice/.service/.scope", &unit));
    assert_false(cgroup_path_unit("a.services/scope", &unit));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(names_between_slashes_are_a_path),
        TEST(a_path_that_could_leave_the_mount_is_refused),
        TEST(what_is_too_long_is_refused),
        TEST(too_many_parts_are_refused),
        TEST(a_path_is_taken_apart_from_the_front),
        TEST(a_path_is_relative_to_what_is_mounted),
        TEST(what_is_outside_of_the_namespace_is_not_below),
        TEST(the_innermost_unit_counts_and_who_manages_it),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
