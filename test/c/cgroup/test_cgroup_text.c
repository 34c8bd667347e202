/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "cgroup/cgroup_text.h"

static char mount[CGROUP_MOUNT_MOST];

static void assert_mounted_at(const char *line, const char *expected)
{
    memset(mount, '?', sizeof mount);
    if (!cgroup_mount_of(line, mount))
        fail_msg("no mount of cgroup2 was seen in '%s'", line);
    assert_string_equal(mount, expected);
}

static void assert_not_mounted(const char *line)
{
    if (cgroup_mount_of(line, mount))
        fail_msg("a mount of cgroup2 at '%s' was seen in '%s'", mount, line);
}

/* ---- Mounts of cgroup2 ---- */

static void the_mount_point_is_the_fifth_field(void **state)
{
    (void)state;
    assert_mounted_at("29 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 "
                      "rw,nsdelegate,memory_recursiveprot",
                      "/sys/fs/cgroup");
}

static void the_hybrid_mount_is_found_among_those_of_v1(void **state)
{
    (void)state;
    assert_not_mounted("31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755");
    assert_not_mounted("35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory");
    assert_not_mounted("40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd");
    assert_mounted_at("41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw", "/sys/fs/cgroup/unified");
}

static void optional_fields_may_be_none_or_many(void **state)
{
    (void)state;
    assert_mounted_at("41 31 0:38 / /a rw - cgroup2 none rw", "/a");
    assert_mounted_at("41 31 0:38 / /a rw shared:1 master:2 propagate_from:3 unbindable - cgroup2 none rw", "/a");
    assert_mounted_at("41 31 0:38 /../../docker/0123 /a ro - cgroup2 cgroup ro", "/a");
}

static void octal_digits_behind_a_backslash_are_one_byte(void **state)
{
    (void)state;
    assert_mounted_at("1 2 0:3 / /a\\040b\\011c\\012d\\134e rw - cgroup2 x rw", "/a b\tc\nd\\e");
    assert_mounted_at("1 2 0:3 / /\\303\\274 rw - cgroup2 x rw", "/\303\274");
    assert_mounted_at("1 2 0:3 / /a\\040 rw - cgroup2 x rw", "/a ");
}

static void a_backslash_before_anything_else_is_itself(void **state)
{
    static const char *const names[] = {"/\\",    "/\\0",   "/\\04",  "/\\x40", "/\\/40",
                                        "/\\840", "/\\0/0", "/\\080", "/\\04/", "/\\048"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        char line[64];

        (void)snprintf(line, sizeof line, "1 2 0:3 / %s rw - cgroup2 x rw", names[i]);
        assert_mounted_at(line, names[i]);
    }
}

static void only_the_type_counts(void **state)
{
    (void)state;
    assert_not_mounted("1 2 0:3 / /cgroup2 rw - tmpfs cgroup2 rw");
    assert_not_mounted("1 2 0:3 /cgroup2 /a rw - ext4 cgroup2 rw");
    assert_not_mounted("1 2 0:3 / /a rw - cgroup2x x rw");
    assert_not_mounted("1 2 0:3 / /a rw - fuse.cgroup2 x rw");
}

static void a_line_that_is_cut_off_stands_for_no_mount(void **state)
{
    static const char line[] = "1 2 0:3 / /a rw - cgroup2 x rw";
    char part[sizeof line];

    (void)state;
    for (size_t size = 0; size < sizeof line - 1; size++) {
        memcpy(part, line, size);
        part[size] = '\0';
        if (cgroup_mount_of(part, mount) != (size >= strlen("1 2 0:3 / /a rw - cgroup2 ")))
            fail_msg("'%s' was taken for what it is not", part);
    }
}

static void the_fields_before_the_mount_point_do_not_count(void **state)
{
    (void)state;
    assert_not_mounted(" - cgroup2 ");
    assert_not_mounted("a - cgroup2 b");
    assert_not_mounted("");
}

static void a_mount_point_that_does_not_fit_is_left_out(void **state)
{
    char name[CGROUP_MOUNT_MOST + 1];
    char line[2 * CGROUP_MOUNT_MOST];

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[0] = '/';
    name[CGROUP_MOUNT_MOST] = '\0';
    (void)snprintf(line, sizeof line, "1 2 0:3 / %s rw - cgroup2 x rw", name);
    assert_not_mounted(line);
    name[CGROUP_MOUNT_MOST - 1] = '\0';
    (void)snprintf(line, sizeof line, "1 2 0:3 / %s rw - cgroup2 x rw", name);
    assert_mounted_at(line, name);
}

/* ---- Mounts of cgroup v1 ---- */

static void a_hierarchy_of_v1_is_found_by_its_controller(void **state)
{
    static const char both[] = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct";
    static const char one[] = "35 31 0:32 / /a\\040b rw - cgroup cgroup rw,memory";

    (void)state;
    assert_true(cgroup_v1_mount_of(both, "cpu", mount));
    assert_string_equal(mount, "/sys/fs/cgroup/cpu,cpuacct");
    assert_true(cgroup_v1_mount_of(both, "cpuacct", mount));
    assert_false(cgroup_v1_mount_of(both, "cp", mount));
    assert_false(cgroup_v1_mount_of(both, "acct", mount));
    assert_false(cgroup_v1_mount_of(both, "memory", mount));
    assert_true(cgroup_v1_mount_of(one, "memory", mount));
    assert_string_equal(mount, "/a b");
}

static void other_mounts_are_no_hierarchy_of_v1(void **state)
{
    (void)state;
    assert_false(cgroup_v1_mount_of("", "cpu", mount));
    assert_false(cgroup_v1_mount_of("31 23 0:28 / /cpu rw - tmpfs tmpfs rw,cpu", "cpu", mount));
    assert_false(cgroup_v1_mount_of("29 23 0:26 / /cpu rw - cgroup2 cgroup2 rw,cpu", "cpu", mount));
    assert_false(cgroup_v1_mount_of("29 23 0:26 / /cpu rw - cgroup cgroup", "cpu", mount));
    assert_false(cgroup_v1_mount_of(" - cgroup cgroup rw,cpu", "cpu", mount));
}

/* ---- Numbers and words in files ---- */

static void assert_number(const char *text, const char *key, uint64_t expected)
{
    uint64_t number = 99;

    assert_true(cgroup_number_of(text, key, &number));
    assert_int_equal(number, expected);
}

static void a_number_is_found_by_its_key(void **state)
{
    static const char events[] = "low 0\nhigh 1\nmax 22\noom 333\noom_kill 4444\noom_group_kill 5";

    (void)state;
    assert_number(events, "low", 0);
    assert_number(events, "oom", 333);
    assert_number(events, "oom_kill", 4444);
    assert_number(events, "oom_group_kill", 5);
}

static void a_key_is_not_found_within_a_longer_one(void **state)
{
    uint64_t number;

    (void)state;
    assert_false(cgroup_number_of("oom_kill 1\n", "oom", &number));
    assert_false(cgroup_number_of("oom_kill 1\n", "kill", &number));
    assert_number("oom_kill 1\noom 2\n", "oom", 2);
}

static void a_file_s_only_number_needs_no_key(void **state)
{
    (void)state;
    assert_number("18446744073709551615\n", "", UINT64_MAX);
    assert_number("7", "", 7);
}

static void a_number_that_is_too_large_is_not_found(void **state)
{
    uint64_t number;

    (void)state;
    assert_number("a 18446744073709551615\n", "a", UINT64_MAX);
    assert_false(cgroup_number_of("a 18446744073709551616\n", "a", &number));
    assert_false(cgroup_number_of("99999999999999999999\n", "", &number));
}

static void text_that_is_no_number_is_not_found(void **state)
{
    uint64_t number;

    (void)state;
    assert_false(cgroup_number_of("max\n", "", &number));
    assert_false(cgroup_number_of("", "", &number));
    assert_false(cgroup_number_of("/", "", &number));
    assert_false(cgroup_number_of("a max\n", "a", &number));
    assert_false(cgroup_number_of("a \n", "a", &number));
    assert_false(cgroup_number_of("", "a", &number));
    assert_number("a 12/\n", "a", 12);
    assert_number("a 12:\n", "a", 12);
}

static void a_word_is_found_only_where_it_stands_alone(void **state)
{
    static const char controllers[] = "cpuset cpu io memory hugetlb pids rdma misc\n";

    (void)state;
    assert_true(cgroup_has_word(controllers, "cpuset"));
    assert_true(cgroup_has_word(controllers, "cpu"));
    assert_true(cgroup_has_word(controllers, "misc"));
    assert_true(cgroup_has_word("cpu", "cpu"));
    assert_true(cgroup_has_word("io\ncpu\n", "cpu"));
    assert_false(cgroup_has_word(controllers, "set"));
    assert_false(cgroup_has_word(controllers, "mem"));
    assert_false(cgroup_has_word(controllers, "nosuch"));
    assert_false(cgroup_has_word("", "cpu"));
    assert_false(cgroup_has_word("xcpu cpux\n", "cpu"));
}

static void which_cgroup_is_mounted_is_the_fourth_field(void **state)
{
    char cgroup[16];

    (void)state;
    assert_true(cgroup_mounted_of("41 31 0:38 / /a rw - cgroup2 none rw", cgroup, sizeof cgroup));
    assert_string_equal(cgroup, "/");
    assert_true(cgroup_mounted_of("41 31 0:38 /docker/4\\0402 /a rw - cgroup2 none rw", cgroup, sizeof cgroup));
    assert_string_equal(cgroup, "/docker/4 2");
    assert_false(cgroup_mounted_of("41 31 0:38 /docker/0123456789 /a rw - cgroup2 none rw", cgroup, sizeof cgroup));
    assert_false(cgroup_mounted_of("41 31 0:38", cgroup, sizeof cgroup));
}

static void a_process_s_own_cgroup_is_that_of_the_number_0(void **state)
{
    char cgroup[8];

    (void)state;
    assert_true(cgroup_own_of("0::/\n", cgroup, sizeof cgroup));
    assert_string_equal(cgroup, "/");
    assert_true(cgroup_own_of("12:pids:/x\n1:name=systemd:/y\n0::/a b\n", cgroup, sizeof cgroup));
    assert_string_equal(cgroup, "/a b");
    assert_true(cgroup_own_of("0::/123456\n", cgroup, sizeof cgroup));
    assert_string_equal(cgroup, "/123456");
    assert_false(cgroup_own_of("0::/1234567\n", cgroup, sizeof cgroup));
    assert_false(cgroup_own_of("0::/cut", cgroup, sizeof cgroup));
    assert_false(cgroup_own_of("10::/x\n1:memory:/x\n", cgroup, sizeof cgroup));
    assert_false(cgroup_own_of("", cgroup, sizeof cgroup));
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(the_mount_point_is_the_fifth_field),
        TEST(the_hybrid_mount_is_found_among_those_of_v1),
        TEST(optional_fields_may_be_none_or_many),
        TEST(octal_digits_behind_a_backslash_are_one_byte),
        TEST(a_backslash_before_anything_else_is_itself),
        TEST(only_the_type_counts),
        TEST(a_line_that_is_cut_off_stands_for_no_mount),
        TEST(the_fields_before_the_mount_point_do_not_count),
        TEST(a_mount_point_that_does_not_fit_is_left_out),
        TEST(a_hierarchy_of_v1_is_found_by_its_controller),
        TEST(other_mounts_are_no_hierarchy_of_v1),
        TEST(a_number_is_found_by_its_key),
        TEST(a_key_is_not_found_within_a_longer_one),
        TEST(a_file_s_only_number_needs_no_key),
        TEST(a_number_that_is_too_large_is_not_found),
        TEST(text_that_is_no_number_is_not_found),
        TEST(a_word_is_found_only_where_it_stands_alone),
        TEST(which_cgroup_is_mounted_is_the_fourth_field),
        TEST(a_process_s_own_cgroup_is_that_of_the_number_0),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
