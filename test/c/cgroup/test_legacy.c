/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cgroup/legacy.h"

static struct settings settings;
static struct failure why;

#define GIVEN(...) ((const char *const[]){__VA_ARGS__})
#define TRANSLATES(...)                                                                                                \
    legacy_translate(&settings, GIVEN(__VA_ARGS__), sizeof GIVEN(__VA_ARGS__) / sizeof(const char *), &why)

/* Fails the test unless the setting at that place of the list is this KEY=VALUE. */
static void assert_setting(unsigned at, const char *expected)
{
    char written[200];
    const struct setting *setting = &settings.list[at];

    assert_true(at < settings.count);
    (void)snprintf(written, sizeof written, "%s=%s", setting->key, setting->value);
    assert_string_equal(written, expected);
}

#define BECOMES(expected, ...)                                                                                         \
    do {                                                                                                               \
        if (!TRANSLATES(__VA_ARGS__))                                                                                  \
            fail_msg("%s", why.words);                                                                                 \
        assert_int_equal(settings.count, 1);                                                                           \
        assert_setting(0, expected);                                                                                   \
    } while (0)

static void assert_refusal(int error, const char *words)
{
    assert_int_equal(why.stage, STAGE_OPTIONS);
    assert_int_equal(why.error, error);
    if (!strstr(why.words, words))
        fail_msg("'%s' doesn't say '%s'", why.words, words);
}

#define REFUSES(words, ...)                                                                                            \
    do {                                                                                                               \
        memset(&why, 0, sizeof why);                                                                                   \
        assert_false(TRANSLATES(__VA_ARGS__));                                                                         \
        assert_refusal(EINVAL, words);                                                                                 \
    } while (0)

static void assert_controller(const char *name, const char *expected)
{
    const char *controller = legacy_controller(name, &why);

    if (!controller)
        fail_msg("%s", why.words);
    assert_string_equal(controller, expected);
}

static void assert_no_controller(const char *name, const char *words)
{
    memset(&why, 0, sizeof why);
    assert_null(legacy_controller(name, &why));
    assert_refusal(EINVAL, words);
}

static void controllers_of_v2_keep_their_names(void **state)
{
    static const char *const names[] = {"cpu", "cpuset", "io", "memory", "hugetlb", "pids", "rdma", "misc", "dmem"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        assert_ptr_equal(legacy_controller(names[i], &why), names[i]);
    assert_controller("new_2", "new_2");
}

static void controllers_of_v1_have_other_names_in_v2(void **state)
{
    (void)state;
    assert_controller("blkio", "io");
    assert_controller("cpuacct", "cpu");
}

static void what_v2_has_in_its_core_needs_no_controller(void **state)
{
    (void)state;
    assert_controller("freezer", "");
    assert_controller("perf_event", "");
    assert_controller("cgroup", "");
}

static void controllers_that_v2_has_dropped_are_refused(void **state)
{
    (void)state;
    assert_no_controller("devices", "no controller devices");
    assert_no_controller("net_cls", "no controller net_cls");
    assert_no_controller("net_prio", "no controller net_prio");
}

static void a_name_that_no_controller_can_have_is_refused(void **state)
{
    (void)state;
    assert_no_controller("", "''");
    assert_no_controller("../cpu", "'../cpu'");
    assert_no_controller("cpu.max", "'cpu.max'");
    assert_no_controller("blkio.weight", "'blkio.weight'");
    assert_no_controller("cpu memory", "'cpu memory'");
    assert_no_controller("+cpu", "'+cpu'");
    assert_no_controller("CPU", "'CPU'");
}

static void settings_of_v2_pass_unchanged(void **state)
{
    static const char *const given[] = {
        "memory.max=64M",    "memory.high=max",    "memory.low=0x1000",
        "memory.swap.max=0", "memory.oom.group=1", "cpu.max=50000 100000",
        "cpu.max.burst=1",   "cpu.weight=1",       "cpu.weight.nice=-20",
        "cpuset.cpus=0-1,3", "cpuset.mems=0",      "io.max=8:0 rbps=1 wiops=max",
        "io.weight=8:0 50",  "io.latency=8:0 x=y", "cpuset.cpus.partition=root",
        "pids.max=10",       "misc.max=sev 1",     "rdma.max=mlx4_0 x=1",
        "memory.max=-1",
    };

    (void)state;
    assert_true(legacy_translate(&settings, given, COUNT(given), &why));
    assert_int_equal(settings.count, COUNT(given));
    for (unsigned i = 0; i < COUNT(given); i++) {
        assert_setting(i, given[i]);
        assert_int_equal(strcspn(given[i], "."), strlen(settings.list[i].controller));
        assert_memory_equal(settings.list[i].controller, given[i], strlen(settings.list[i].controller));
    }
}

static void settings_of_newer_kernels_pass_unchanged(void **state)
{
    (void)state;
    BECOMES("dmem.max=drm/x 1", "dmem.max=drm/x 1");
    assert_string_equal(settings.list[0].controller, "dmem");
    BECOMES("memory.new_file.2=x", "memory.new_file.2=x");
    BECOMES("cpu.=x", "cpu.=x");
    BECOMES("cpu.shares2=x", "cpu.shares2=x");
    BECOMES("cpu.share=x", "cpu.share=x");
}

static void settings_stay_in_order(void **state)
{
    (void)state;
    assert_true(TRANSLATES("pids.max=1", "memory.limit_in_bytes=1M", "pids.max=2", "cpu.shares=1024"));
    assert_int_equal(settings.count, 4);
    assert_setting(0, "pids.max=1");
    assert_setting(1, "memory.max=1M");
    assert_setting(2, "pids.max=2");
    assert_setting(3, "cpu.weight=100");
}

static void without_settings_the_list_is_empty(void **state)
{
    (void)state;
    settings.count = 7;
    assert_true(legacy_translate(&settings, NULL, 0, &why));
    assert_int_equal(settings.count, 0);
}

static void the_first_equals_sign_ends_the_key(void **state)
{
    (void)state;
    BECOMES("a.b==c=", "a.b==c=");
}

static void a_setting_that_is_not_key_and_value_is_refused_and_named(void **state)
{
    static const char *const wrong[] = {
        "",
        "=",
        "=1",
        "memory.max",
        "memory.max=",
        ".=1",
        "..=1",
        "../../y=1",
        ".procs=1",
        "a/b.c=1",
        "a.b/c=1",
        "a.b/../c=1",
        "Memory.max=1",
        "memory.Max=1",
        "a-b.c=1",
        "a.b c=1",
        "memory=1",
        "tasks=1",
        "notify_on_release=1",
        "a.b\n=1",
        "a.\xc3\xa4=1",
        "a.`=1",
        "a.{=1",
        "a.:=1",
        "/sys/fs/cgroup/x.y=1",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        REFUSES("KEY=VALUE", "pids.max=1", wrong[i]);
        assert_non_null(strstr(why.words, wrong[i]));
    }
}

static void names_that_are_too_long_are_refused(void **state)
{
    char given[80];

    (void)state;
    memset(given, 'a', sizeof given);
    memcpy(given + 31, ".", 1);
    memcpy(given + 63, "=1", 3);
    BECOMES(given, given);
    assert_int_equal(strlen(settings.list[0].controller), 31);
    assert_int_equal(strlen(settings.list[0].key), 63);
    memcpy(given + 63, "a=1", 4);
    REFUSES("KEY=VALUE", given);
    memcpy(given + 31, "a.", 2);
    memcpy(given + 63, "=1", 3);
    REFUSES("KEY=VALUE", given);
}

static void more_settings_than_there_is_room_for_are_refused(void **state)
{
    const char *given[SETTINGS_MOST + 1];

    (void)state;
    for (unsigned i = 0; i < COUNT(given); i++)
        given[i] = "cpu.shares=512";
    assert_true(legacy_translate(&settings, given, SETTINGS_MOST, &why));
    assert_int_equal(settings.count, SETTINGS_MOST);
    assert_setting(0, "cpu.weight=50");
    assert_setting(SETTINGS_MOST - 1, "cpu.weight=50");
    assert_false(legacy_translate(&settings, given, SETTINGS_MOST + 1, &why));
    assert_refusal(E2BIG, "64 times at most");
}

static void limits_of_the_core_need_no_controller(void **state)
{
    (void)state;
    BECOMES("cgroup.max.depth=2", "cgroup.max.depth=2");
    assert_string_equal(settings.list[0].controller, "");
    BECOMES("cgroup.max.descendants=max", "cgroup.max.descendants=max");
    assert_string_equal(settings.list[0].controller, "");
    BECOMES("cgroup.pressure=0", "cgroup.pressure=0");
    assert_string_equal(settings.list[0].controller, "");
}

static void files_that_contain_the_program_can_not_be_set(void **state)
{
    static const char *const keys[] = {"cgroup.procs",           "cgroup.threads",  "cgroup.kill",
                                       "cgroup.freeze",          "cgroup.type",     "cgroup.max",
                                       "cgroup.subtree_control", "cgroup.pressure2"};
    char given[64];

    (void)state;
    for (size_t i = 0; i < COUNT(keys); i++) {
        (void)snprintf(given, sizeof given, "%s=1", keys[i]);
        REFUSES("muontrap contains the program with cgroup.*", given);
        assert_ptr_equal(strstr(why.words, keys[i]), why.words);
    }
}

static void limits_of_memory_have_other_names(void **state)
{
    (void)state;
    BECOMES("memory.max=268435456", "memory.limit_in_bytes=268435456");
    assert_string_equal(settings.list[0].controller, "memory");
    BECOMES("memory.max=0x10k", "memory.limit_in_bytes=0x10k");
    BECOMES("memory.high=1G", "memory.soft_limit_in_bytes=1G");
}

static void minus_one_is_no_limit(void **state)
{
    (void)state;
    BECOMES("memory.max=max", "memory.limit_in_bytes=-1");
    BECOMES("memory.max=max", "memory.limit_in_bytes=max");
    BECOMES("memory.high=max", "memory.soft_limit_in_bytes=-1");
    BECOMES("memory.swap.max=max", "memory.memsw.limit_in_bytes=-1");
    BECOMES("memory.swap.max=max", "memory.memsw.limit_in_bytes=max");
    BECOMES("cpu.max=max 100000", "cpu.cfs_quota_us=-1");
    BECOMES("cpu.max=max 100000", "cpu.cfs_quota_us=max");
}

static void swap_is_the_sum_less_the_memory(void **state)
{
    (void)state;
    assert_true(TRANSLATES("memory.limit_in_bytes=64M", "memory.memsw.limit_in_bytes=65M"));
    assert_int_equal(settings.count, 2);
    assert_setting(0, "memory.max=64M");
    assert_setting(1, "memory.swap.max=1048576");
    assert_string_equal(settings.list[1].controller, "memory");
    assert_true(TRANSLATES("memory.memsw.limit_in_bytes=2k", "memory.max=2048"));
    assert_setting(0, "memory.swap.max=0");
    assert_setting(1, "memory.max=2048");
    assert_true(TRANSLATES("memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"));
    assert_setting(0, "memory.max=max");
    assert_setting(1, "memory.swap.max=max");
}

static void swap_goes_by_the_last_limit_of_memory(void **state)
{
    (void)state;
    assert_true(TRANSLATES("memory.max=9", "memory.memsw.limit_in_bytes=10", "memory.limit_in_bytes=2", "pids.max=1"));
    assert_setting(1, "memory.swap.max=8");
    assert_true(TRANSLATES("memory.limit_in_bytes=2", "memory.max=9", "memory.memsw.limit_in_bytes=10"));
    assert_setting(2, "memory.swap.max=1");
}

static void swap_is_computed_with_every_suffix(void **state)
{
    static const struct {
        const char *given;
        const char *becomes;
    } sizes[] = {
        {"memory.memsw.limit_in_bytes=0", "memory.swap.max=0"},
        {"memory.memsw.limit_in_bytes=1K", "memory.swap.max=1024"},
        {"memory.memsw.limit_in_bytes=1m", "memory.swap.max=1048576"},
        {"memory.memsw.limit_in_bytes=4G", "memory.swap.max=4294967296"},
        {"memory.memsw.limit_in_bytes=1t", "memory.swap.max=1099511627776"},
        {"memory.memsw.limit_in_bytes=1P", "memory.swap.max=1125899906842624"},
        {"memory.memsw.limit_in_bytes=15e", "memory.swap.max=17293822569102704640"},
        {"memory.memsw.limit_in_bytes=9223372036854771712", "memory.swap.max=9223372036854771712"},
        {"memory.memsw.limit_in_bytes=9999999999999999999", "memory.swap.max=9999999999999999999"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_true(TRANSLATES(sizes[i].given, "memory.max=0"));
        assert_setting(0, sizes[i].becomes);
    }
}

static void swap_that_makes_no_sense_is_refused(void **state)
{
    static const char *const wrong[] = {"x", "-2", "1x", "1KB", "1 ", "010", "16E", "10000000000000000000", "0x10", ""};
    char given[64];

    (void)state;
    REFUSES("memory.limit_in_bytes, which has to be set too", "memory.memsw.limit_in_bytes=1G");
    REFUSES("no fewer than memory.limit_in_bytes", "memory.memsw.limit_in_bytes=1M", "memory.max=1048577");
    REFUSES("not '1M'", "memory.memsw.limit_in_bytes=1M", "memory.limit_in_bytes=-1");
    REFUSES("not '1M'", "memory.memsw.limit_in_bytes=1M", "memory.max=max");
    REFUSES("not '1M'", "memory.memsw.limit_in_bytes=1M", "memory.max=0x10");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        (void)snprintf(given, sizeof given, "memory.memsw.limit_in_bytes=%s", wrong[i]);
        REFUSES(*wrong[i] ? "takes bytes" : "KEY=VALUE", given, "memory.max=0");
    }
}

static void shares_become_a_weight_in_proportion(void **state)
{
    (void)state;
    BECOMES("cpu.weight=100", "cpu.shares=1024");
    assert_string_equal(settings.list[0].controller, "cpu");
    BECOMES("cpu.weight=50", "cpu.shares=512");
    BECOMES("cpu.weight=200", "cpu.shares=2048");
    BECOMES("cpu.weight=1", "cpu.shares=2");
    BECOMES("cpu.weight=1", "cpu.shares=15");
    BECOMES("cpu.weight=2", "cpu.shares=16");
    BECOMES("cpu.weight=10000", "cpu.shares=102400");
    BECOMES("cpu.weight=10000", "cpu.shares=262144");
}

static void shares_that_make_no_sense_are_refused(void **state)
{
    static const char *const wrong[] = {"0", "1", "262145", "-1", "1k", "0x400", "02", "x", "99999999999999999999"};
    char given[64];

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        (void)snprintf(given, sizeof given, "cpu.shares=%s", wrong[i]);
        REFUSES("cpu.shares takes 2 to 262144", given);
    }
}

static void a_quota_and_its_period_become_one_line(void **state)
{
    (void)state;
    BECOMES("cpu.max=50000 200000", "cpu.cfs_quota_us=50000", "cpu.cfs_period_us=200000");
    BECOMES("cpu.max=50000 200000", "cpu.cfs_period_us=200000", "cpu.cfs_quota_us=50000");
    assert_string_equal(settings.list[0].controller, "cpu");
    BECOMES("cpu.max=50000 100000", "cpu.cfs_quota_us=50000");
    BECOMES("cpu.max=max 200000", "cpu.cfs_period_us=200000");
    BECOMES("cpu.max=max 1000", "cpu.cfs_quota_us=-1", "cpu.cfs_period_us=1000");
    BECOMES("cpu.max=1000 1000000", "cpu.cfs_quota_us=1000", "cpu.cfs_period_us=1000000");
    BECOMES("cpu.max.burst=10000", "cpu.cfs_burst_us=10000");
}

static void quota_and_period_are_written_in_the_place_of_the_last_of_them(void **state)
{
    (void)state;
    assert_true(TRANSLATES("cpu.cfs_quota_us=5000", "cpu.max=1", "cpu.cfs_period_us=20000", "pids.max=1"));
    assert_int_equal(settings.count, 3);
    assert_setting(0, "cpu.max=1");
    assert_setting(1, "cpu.max=5000 20000");
    assert_setting(2, "pids.max=1");
}

static void the_last_quota_counts(void **state)
{
    (void)state;
    BECOMES("cpu.max=7000 20000", "cpu.cfs_quota_us=5000", "cpu.cfs_period_us=20000", "cpu.cfs_quota_us=7000");
}

static void bandwidth_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    REFUSES("cpu.cfs_quota_us takes 1000 or more microseconds, or -1, not '999'", "cpu.cfs_quota_us=999");
    REFUSES("not '0'", "cpu.cfs_quota_us=0");
    REFUSES("not '-2'", "cpu.cfs_quota_us=-2");
    REFUSES("not '50%'", "cpu.cfs_quota_us=50%", "cpu.cfs_quota_us=5000");
    REFUSES("cpu.cfs_period_us takes 1000 to 1000000 microseconds, not '999'", "cpu.cfs_period_us=999");
    REFUSES("not '1000001'", "cpu.cfs_quota_us=5000", "cpu.cfs_period_us=1000001");
    REFUSES("not '-1'", "cpu.cfs_period_us=-1");
    REFUSES("not 'max'", "cpu.cfs_period_us=max");
}

static void weights_of_io_are_in_proportion(void **state)
{
    (void)state;
    BECOMES("io.weight=100", "blkio.weight=500");
    assert_string_equal(settings.list[0].controller, "io");
    BECOMES("io.weight=2", "blkio.weight=10");
    BECOMES("io.weight=200", "blkio.weight=1000");
    REFUSES("blkio.weight takes 10 to 1000, not '9'", "blkio.weight=9");
    REFUSES("not '1001'", "blkio.weight=1001");
}

static void weights_of_bfq_are_the_same(void **state)
{
    (void)state;
    BECOMES("io.bfq.weight=300", "blkio.bfq.weight=300");
    BECOMES("io.bfq.weight=8:16 300", "blkio.bfq.weight_device=8:16 300");
}

static void throttles_become_lines_of_io_max(void **state)
{
    (void)state;
    BECOMES("io.max=8:0 rbps=1048576", "blkio.throttle.read_bps_device=8:0 1048576");
    assert_string_equal(settings.list[0].controller, "io");
    BECOMES("io.max=8:16 riops=1", "blkio.throttle.read_iops_device=8:16  1");
    BECOMES("io.max=259:0 wbps=5", "blkio.throttle.write_bps_device=259:0 5");
    BECOMES("io.max=8:0 wiops=max", "blkio.throttle.write_iops_device=8:0 0");
    BECOMES("io.max=1111111111111111111:2222222222222222222 wiops=3333333333333333333",
            "blkio.throttle.write_iops_device=1111111111111111111:2222222222222222222 3333333333333333333");
}

static void throttles_of_several_devices_are_all_kept(void **state)
{
    (void)state;
    assert_true(TRANSLATES("blkio.throttle.read_bps_device=8:0 1", "blkio.throttle.read_bps_device=8:16 2"));
    assert_int_equal(settings.count, 2);
    assert_setting(0, "io.max=8:0 rbps=1");
    assert_setting(1, "io.max=8:16 rbps=2");
}

static void throttles_that_make_no_sense_are_refused(void **state)
{
    static const char *const wrong[] =
        {"1",      "8 1",    "8: 1",   "8:0",     "8:0 ",       "8:0 x",  ":0 1",
         "8:0 1M", "8:0 -1", "8:0\t1", "8:0 1 2", "/dev/sda 1", "08:0 1", "11111111111111111111:0 1"};
    char given[80];

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        (void)snprintf(given, sizeof given, "blkio.throttle.read_bps_device=%s", wrong[i]);
        REFUSES("MAJOR:MINOR VALUE", given);
        assert_non_null(strstr(why.words, wrong[i]));
    }
}

static void settings_without_a_counterpart_are_refused(void **state)
{
    static const char *const keys[] = {
        "blkio.leaf_weight",  "blkio.reset_stats",    "cpu.rt_runtime_us",          "cpu.rt_period_us",
        "cpuacct.usage",      "cpuset.mem_exclusive", "cpuset.memory_migrate",      "cpuset.cpu_exclusive",
        "freezer.state",      "perf_event.x",         "cpuset.sched_load_balance",  "memory.use_hierarchy",
        "memory.oom_control", "memory.swappiness",    "memory.kmem.limit_in_bytes", "memory.kmem.tcp.limit_in_bytes",
    };
    char given[64];

    (void)state;
    for (size_t i = 0; i < COUNT(keys); i++) {
        (void)snprintf(given, sizeof given, "%s=1", keys[i]);
        REFUSES("cgroup v2 has no counterpart to", given);
        assert_non_null(strstr(why.words, keys[i]));
    }
}

static void the_nearest_setting_of_v2_is_named(void **state)
{
    (void)state;
    REFUSES("; the nearest is memory.oom.group", "memory.oom_control=1");
    REFUSES("; the nearest is cpuset.cpus.partition", "cpuset.cpu_exclusive=1");
    REFUSES("; the nearest is memory.max", "memory.kmem.limit_in_bytes=1");
    REFUSES("; the nearest is io.weight", "blkio.weight_device=8:0 100");
    memset(&why, 0, sizeof why);
    assert_false(TRANSLATES("cpu.rt_runtime_us=1"));
    assert_string_equal(why.words, "cgroup v2 has no counterpart to cpu.rt_runtime_us");
}

static void settings_of_dropped_controllers_are_refused(void **state)
{
    (void)state;
    REFUSES("cgroup v2 has no controller devices", "devices.allow=a *:* rwm");
    REFUSES("cgroup v2 has no controller net_cls", "net_cls.classid=1");
    REFUSES("cgroup v2 has no controller net_prio", "net_prio.ifpriomap=lo 1");
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(controllers_of_v2_keep_their_names),
        TEST(controllers_of_v1_have_other_names_in_v2),
        TEST(what_v2_has_in_its_core_needs_no_controller),
        TEST(controllers_that_v2_has_dropped_are_refused),
        TEST(a_name_that_no_controller_can_have_is_refused),
        TEST(settings_of_v2_pass_unchanged),
        TEST(settings_of_newer_kernels_pass_unchanged),
        TEST(settings_stay_in_order),
        TEST(without_settings_the_list_is_empty),
        TEST(the_first_equals_sign_ends_the_key),
        TEST(a_setting_that_is_not_key_and_value_is_refused_and_named),
        TEST(names_that_are_too_long_are_refused),
        TEST(more_settings_than_there_is_room_for_are_refused),
        TEST(limits_of_the_core_need_no_controller),
        TEST(files_that_contain_the_program_can_not_be_set),
        TEST(limits_of_memory_have_other_names),
        TEST(minus_one_is_no_limit),
        TEST(swap_is_the_sum_less_the_memory),
        TEST(swap_goes_by_the_last_limit_of_memory),
        TEST(swap_is_computed_with_every_suffix),
        TEST(swap_that_makes_no_sense_is_refused),
        TEST(shares_become_a_weight_in_proportion),
        TEST(shares_that_make_no_sense_are_refused),
        TEST(a_quota_and_its_period_become_one_line),
        TEST(quota_and_period_are_written_in_the_place_of_the_last_of_them),
        TEST(the_last_quota_counts),
        TEST(bandwidth_that_makes_no_sense_is_refused),
        TEST(weights_of_io_are_in_proportion),
        TEST(weights_of_bfq_are_the_same),
        TEST(throttles_become_lines_of_io_max),
        TEST(throttles_of_several_devices_are_all_kept),
        TEST(throttles_that_make_no_sense_are_refused),
        TEST(settings_without_a_counterpart_are_refused),
        TEST(the_nearest_setting_of_v2_is_named),
        TEST(settings_of_dropped_controllers_are_refused),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
