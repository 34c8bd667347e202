/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sources, by their paths in Linux: Documentation/admin-guide/cgroup-v2.rst (here "v2"), what lies beside it in
 * cgroup-v1/ (here "v1/"), and the code that is named.
 */
#include "legacy.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "format.h"

#define MEMORY_V1 "memory.limit_in_bytes"
#define MEMORY_V2 "memory.max"
#define QUOTA "cpu.cfs_quota_us"
#define PERIOD "cpu.cfs_period_us"
#define THROTTLE "blkio.throttle."

#define UNLIMITED UINT64_MAX /* bytes */

/* What the rules get: all that was given, which of them it is, and where it goes, with key and value as given. */
struct request {
    const char *const *given;
    unsigned count;
    unsigned at;
    struct setting *setting;
    struct failure *why;
};

static bool refused(const struct request *request, const char *takes)
{
    return failed(request->why, STAGE_OPTIONS, EINVAL, "%s takes %s, not '%s'", request->setting->key, takes,
                  request->setting->value);
}

/* Decimal digits, of which 19 can't overflow, and moves on behind them. The kernel takes a 0 before others for octal
 * (lib/kstrtox.c): such a number is none here. */
static bool number(const char **at, uint64_t *value)
{
    const char *start = *at;

    for (*value = 0; **at >= '0' && **at <= '9' && *at - start < 19; ++*at)
        *value = *value * 10 + (uint64_t)(**at - '0');
    return *at > start && (*start != '0' || *at == start + 1);
}

static bool number_between(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    return number(&text, value) && *text == '\0' && *value >= least && *value <= most;
}

/* v1/memory.rst, 3: -1 takes a limit away, which v2 writes "max" (v2, "Conventions"). */
static const char *limit(const char *value)
{
    return strcmp(value, "-1") == 0 ? "max" : value;
}

/* Bytes as the kernel reads them (lib/cmdline.c, memparse). */
static bool size(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "KMGTPEkmgtpe";
    const char *suffix;

    *bytes = UNLIMITED;
    if (strcmp(limit(text), "max") == 0)
        return true;
    if (!number(&text, bytes))
        return false;
    if (*text == '\0')
        return true;
    suffix = strchr(suffixes, *text);
    if (!suffix || text[1] != '\0')
        return false;
    for (ptrdiff_t power = (suffix - suffixes) % 6; power >= 0; power--) {
        if (*bytes > UINT64_MAX >> 10)
            return false;
        *bytes <<= 10;
    }
    return true;
}

/* format() knows no 64 bits where long has 32. */
static void compute(struct setting *setting, uint64_t value)
{
    char *at = setting->computed + sizeof setting->computed;

    *--at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    setting->value = at;
}

static const char *value_of(const char *given, const char *key)
{
    size_t length = strlen(key);

    return strncmp(given, key, length) == 0 && given[length] == '=' ? given + length + 1 : NULL;
}

/* The last value given, from that place on, for either key; NULL when there is none. */
static const char *last(const struct request *request, unsigned from, const char *key, const char *other)
{
    const char *value = NULL;

    for (unsigned i = request->count; !value && i-- > from;) {
        value = value_of(request->given[i], key);
        if (!value)
            value = value_of(request->given[i], other);
    }
    return value;
}

static bool same(const struct request *request)
{
    (void)request;
    return true;
}

static bool set_limit(const struct request *request)
{
    request->setting->value = limit(request->setting->value);
    return true;
}

/* v1/memory.rst, 2.4: memory and swap together, which is never less than memory alone. v2, memory.swap.max: swap. */
static bool set_swap(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *memory = last(request, 0, MEMORY_V1, MEMORY_V2);
    uint64_t both;
    uint64_t without;

    if (!size(setting->value, &both))
        return refused(request, "bytes, as 512M, or -1");
    if (both == UNLIMITED) {
        setting->value = "max";
        return true;
    }
    if (!memory || !size(memory, &without) || without > both)
        return failed(request->why, STAGE_OPTIONS, EINVAL,
                      "%s is for memory and swap together: it needs " MEMORY_V1 " or " MEMORY_V2 ", of %s at most, not "
                      "%s",
                      setting->key, setting->value, memory ? memory : "none");
    compute(setting, both - without);
    return true;
}

/* In proportion to what is usual: 100 in v2, "Weights", where weights are 1 to 10000. */
static bool set_weight(const struct request *request, uint64_t least, uint64_t most, uint64_t usual, const char *takes)
{
    uint64_t weight;

    if (!number_between(request->setting->value, least, most, &weight))
        return refused(request, takes);
    weight = (weight * 100 + usual / 2) / usual;
    if (weight < 1)
        weight = 1;
    if (weight > 10000)
        weight = 10000;
    compute(request->setting, weight);
    return true;
}

/* As kernel/sched/core.c has it, sched_weight_to_cgroup(), and libcgroup and systemd but for the rounding: the scheduler
 * gives the program what v1 gave it. The range: kernel/sched/sched.h, MIN_SHARES and MAX_SHARES. */
static bool set_shares(const struct request *request)
{
    return set_weight(request, 2, 262144, 1024, "2 to 262144");
}

/* The range and 500: v1/blkio-controller.rst before Linux 5.0. The same proportion as systemd's. */
static bool set_io_weight(const struct request *request)
{
    return set_weight(request, 10, 1000, 500, "10 to 1000");
}

/* v2, cpu.max: "$MAX $PERIOD", in microseconds as in v1, 100000 being the usual period. */
static bool set_bandwidth(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *quota = last(request, 0, QUOTA, QUOTA);
    const char *period = last(request, 0, PERIOD, PERIOD);

    format(setting->computed, sizeof setting->computed, "%s %s", quota ? limit(quota) : "max",
           period ? period : "100000");
    setting->value = last(request, request->at + 1, QUOTA, PERIOD) ? NULL : setting->computed;
    return true;
}

/* Documentation/scheduler/sched-bwc.rst, "Management": 1 ms is the least of either, 1 s the longest period. */
static bool set_quota(const struct request *request)
{
    uint64_t us;

    if (strcmp(request->setting->value, "-1") != 0 && !number_between(request->setting->value, 1000, UINT64_MAX, &us))
        return refused(request, "1000 or more microseconds, or -1");
    return set_bandwidth(request);
}

static bool set_period(const struct request *request)
{
    uint64_t us;

    if (!number_between(request->setting->value, 1000, 1000000, &us))
        return refused(request, "1000 to 1000000 microseconds");
    return set_bandwidth(request);
}

/* v1/blkio-controller.rst, "Throttling/Upper limit policy files": "MAJOR:MINOR VALUE", and block/blk-throttle.c,
 * tg_set_conf(): 0 is no limit. v2, io.max: "$MAJ:$MIN rbps=VALUE", where max is none. */
static bool set_throttle(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *what = setting->key + strlen(THROTTLE);
    const char *unit = what + strlen(*what == 'r' ? "read_" : "write_");
    const char *at = setting->value;
    const char *space = strchr(at, ' ');
    uint64_t value;

    if (!number(&at, &value) || *at++ != ':' || !number(&at, &value) || at++ != space || !number(&at, &value) ||
        *at != '\0')
        return refused(request, "MAJOR:MINOR VALUE");
    format(setting->computed, sizeof setting->computed, "%.*s %c%s=%s", (int)(space - setting->value), setting->value,
           *what, *unit == 'b' ? "bps" : "iops", value == 0 ? "max" : space + 1);
    setting->value = setting->computed;
    return true;
}

static const struct rule {
    const char *from;
    const char *to;
    bool (*set)(const struct request *request);
} rules[] = {
    {MEMORY_V1, MEMORY_V2, set_limit},
    {"memory.soft_limit_in_bytes", "memory.high", set_limit},
    {"memory.memsw.limit_in_bytes", "memory.swap.max", set_swap},
    {"cpu.shares", "cpu.weight", set_shares},
    {QUOTA, "cpu.max", set_quota},
    {PERIOD, "cpu.max", set_period},
    {"cpu.cfs_burst_us", "cpu.max.burst", same},
    {"blkio.weight", "io.weight", set_io_weight},
    {"blkio.bfq.weight", "io.bfq.weight", same},
    {"blkio.bfq.weight_device", "io.bfq.weight", same},
    {THROTTLE "read_bps_device", "io.max", set_throttle},
    {THROTTLE "read_iops_device", "io.max", set_throttle},
    {THROTTLE "write_bps_device", "io.max", set_throttle},
    {THROTTLE "write_iops_device", "io.max", set_throttle},
};

/* What else v1 had, by the beginning of its name, and what v2 has near it. v2, "Deprecated v1 Core Features" and "Issues
 * with v1 and Rationales for v2"; v1/cpusets.rst, v1/memory.rst. */
static const struct {
    const char *prefix;
    const char *near;
} gone[] = {
    {"blkio.", "io.max"},
    {"cpu.rt_", NULL},
    {"cpuset.cpu_exclusive", "cpuset.cpus.partition"},
    {"cpuset.mem_", NULL},
    {"cpuset.memory_", NULL},
    {"cpuset.sched_", "cpuset.cpus.partition"},
    {"memory.force_empty", "memory.reclaim"},
    {"memory.kmem.", MEMORY_V2},
    {"memory.memsw.", "memory.swap.max"},
    {"memory.move_charge_", NULL},
    {"memory.oom_control", "memory.oom.group"},
    {"memory.swappiness", "memory.swap.max"},
    {"memory.use_hierarchy", NULL},
};

static bool no_counterpart(const struct request *request, const char *near)
{
    return failed(request->why, STAGE_OPTIONS, EINVAL, "cgroup v2 has no counterpart to %s%s%s", request->setting->key,
                  near ? "; the nearest is " : "", near ? near : "");
}

/* Finds what v2 has instead, and its value. */
static bool translate(const struct request *request)
{
    struct setting *setting = request->setting;

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (strcmp(setting->key, rules[i].from) == 0) {
            if (!rules[i].set(request))
                return false;
            memcpy(setting->key, rules[i].to, strlen(rules[i].to) + 1);
            return true;
        }
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        if (strncmp(setting->key, gone[i].prefix, strlen(gone[i].prefix)) == 0)
            return no_counterpart(request, gone[i].near);
    return true;
}

/* How long the word is that it begins with. */
static size_t word(const char *text)
{
    size_t length = 0;

    while ((text[length] >= 'a' && text[length] <= 'z') || (text[length] >= '0' && text[length] <= '9') ||
           text[length] == '_')
        length++;
    return length;
}

/* v2, "Controllers" and "Core Interface Files"; for blkio and cpuacct "Issues with v1…". What devices, net_cls and
 * net_prio did is BPF's: v2, "Device controller", and "Misc", net_cls and net_prio aren't there. */
const char *legacy_controller(const char *name, struct failure *why)
{
    static const struct {
        char from[11];
        char to[4];
        bool dropped;
    } controllers[] = {
        {"blkio", "io", false}, {"cgroup", "", false}, {"cpuacct", "cpu", false}, {"devices", "", true},
        {"freezer", "", false}, {"net_cls", "", true}, {"net_prio", "", true},    {"perf_event", "", false},
    };

    if (*name == '\0' || name[word(name)] != '\0') {
        failed(why, STAGE_OPTIONS, EINVAL, "'%s' is no controller's name", name);
        return NULL;
    }
    for (size_t i = 0; i < sizeof controllers / sizeof controllers[0]; i++)
        if (strcmp(name, controllers[i].from) == 0) {
            if (!controllers[i].dropped)
                return controllers[i].to;
            failed(why, STAGE_OPTIONS, EINVAL, "cgroup v2 has no controller %s: BPF programs do its work there", name);
            return NULL;
        }
    return name;
}

/* Takes KEY=VALUE apart. */
static bool split(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *given = request->given[request->at];
    size_t controller = word(given);
    size_t key = controller;

    while (given[key] == '.')
        key += 1 + word(given + key + 1);
    if (controller == 0 || controller >= sizeof setting->controller || key == controller ||
        key >= sizeof setting->key || given[key] != '=' || given[key + 1] == '\0')
        return failed(request->why, STAGE_OPTIONS, EINVAL,
                      "--set takes KEY=VALUE, where KEY is a setting's name as memory.max, of a-z, 0-9, _ and . alone; "
                      "not '%s'",
                      given);
    format(setting->key, sizeof setting->key, "%.*s", (int)key, given);
    setting->value = given + key + 1;
    return true;
}

/* v2, "Core Interface Files": but for these few, they move, stop or end processes, or divide the group. */
static bool is_ours(const char *key)
{
    return strncmp(key, "cgroup.max.", 11) != 0 && strcmp(key, "cgroup.pressure") != 0;
}

/* Whether its controller has such settings, and which has to be enabled. */
static bool assign(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *controller;

    format(setting->controller, sizeof setting->controller, "%.*s", (int)word(setting->key), setting->key);
    controller = legacy_controller(setting->controller, request->why);
    if (!controller)
        return false;
    if (strcmp(setting->controller, "cgroup") == 0) {
        if (is_ours(setting->key))
            return failed(request->why, STAGE_OPTIONS, EINVAL,
                          "%s can't be set: with it muontrap contains the program; of cgroup.*, max.depth, "
                          "max.descendants and pressure can",
                          setting->key);
        setting->controller[0] = '\0';
    } else if (controller != setting->controller) {
        return no_counterpart(request, NULL); /* v1's name, but none of the rules */
    }
    return true;
}

bool legacy_translate(struct settings *settings, const char *const given[], unsigned count, struct failure *why)
{
    struct request request = {.given = given, .count = count, .why = why};

    if (count > SETTINGS_MOST)
        return failed(why, STAGE_OPTIONS, E2BIG, "--set can be given %u times at most", SETTINGS_MOST);
    settings->count = 0;
    for (; request.at < count; request.at++) {
        request.setting = &settings->list[settings->count];
        if (!split(&request) || !translate(&request) || !assign(&request))
            return false;
        if (request.setting->value)
            settings->count++;
    }
    return true;
}
