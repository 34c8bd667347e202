/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Sources are named by their paths in Linux; "v2" is Documentation/admin-guide/cgroup-v2.rst, and "v1/" the directory
 * cgroup-v1 beside it.
 */
#include "cgroup/legacy.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/format.h"

#define NO_SIZE UINT64_MAX         /* what parse_bytes() says of text that is no size */
#define UNLIMITED (UINT64_MAX - 1) /* bytes */

/* ---- The rules ---- */

/* What a controller of v1 is called in v2: "" where v2 has it in its core, and NULL where v2 doesn't have it. */
struct controller_rule {
    const char *name;
    const char *v2;
};

/* v2, "Controllers"; cpuacct: "CPU Interface Files", cpu.stat; freezer: "Core Interface Files", cgroup.freeze */
static const struct controller_rule controller_rules[] = {
    {"blkio", "io"},   {"cgroup", ""},    {"cpuacct", "cpu"}, {"freezer", ""},
    {"devices", NULL}, {"net_cls", NULL}, {"net_prio", NULL}, {"perf_event", ""},
};

/* How a setting is translated. */
enum kind {
    KIND_UNKNOWN,   /* passes unchanged: the kernel refuses it if it is wrong */
    KIND_GONE,      /* every setting whose name begins so has no counterpart in v2 */
    KIND_SAME,      /* has the same value under another name */
    KIND_LIMIT,     /* bytes, where v1 says -1 and v2 says max */
    KIND_MEMORY,    /* the same, for memory alone: KIND_SWAP subtracts it */
    KIND_MEMORY_V2, /* v2's own setting for that */
    KIND_SWAP,
    KIND_SHARES,
    KIND_IO_WEIGHT,
    KIND_QUOTA,
    KIND_PERIOD,
    KIND_THROTTLE
};

struct rule {
    enum kind kind;
    const char *name;        /* the setting in v1, or how its name begins */
    const char *replacement; /* v2's setting; of KIND_GONE the nearest that there is, or "" */
    const char *limit;       /* of KIND_THROTTLE: what io.max calls the limit */
};

/* The first rule counts whose name fits, so that blkio. comes behind the other rules of blkio. */
static const struct rule rules[] = {
    /* v1/memory.rst, 2.4, 3 and 7 */
    {KIND_MEMORY, "memory.limit_in_bytes", "memory.max", NULL},
    {KIND_MEMORY_V2, "memory.max", "memory.max", NULL},
    {KIND_LIMIT, "memory.soft_limit_in_bytes", "memory.high", NULL},
    {KIND_SWAP, "memory.memsw.limit_in_bytes", "memory.swap.max", NULL},
    {KIND_GONE, "memory.kmem.", "memory.max", NULL},
    {KIND_GONE, "memory.oom_control", "memory.oom.group", NULL},
    {KIND_GONE, "memory.swappiness", "memory.swap.max", NULL},
    {KIND_GONE, "memory.use_hierarchy", "", NULL},
    /* Documentation/scheduler/sched-bwc.rst and sched-rt-group.rst */
    {KIND_SHARES, "cpu.shares", "cpu.weight", NULL},
    {KIND_QUOTA, "cpu.cfs_quota_us", "cpu.max", NULL},
    {KIND_PERIOD, "cpu.cfs_period_us", "cpu.max", NULL},
    {KIND_SAME, "cpu.cfs_burst_us", "cpu.max.burst", NULL},
    {KIND_GONE, "cpu.rt_", "", NULL},
    /* v1/cpusets.rst; v2, "Cpuset Interface Files" */
    {KIND_GONE, "cpuset.cpu_exclusive", "cpuset.cpus.partition", NULL},
    {KIND_GONE, "cpuset.mem_", "", NULL},
    {KIND_GONE, "cpuset.memory_", "", NULL},
    {KIND_GONE, "cpuset.sched_", "cpuset.cpus.partition", NULL},
    /* v1/blkio-controller.rst; Documentation/block/bfq-iosched.rst, 4 */
    {KIND_IO_WEIGHT, "blkio.weight", "io.weight", NULL},
    {KIND_SAME, "blkio.bfq.weight", "io.bfq.weight", NULL},
    {KIND_SAME, "blkio.bfq.weight_device", "io.bfq.weight", NULL},
    {KIND_THROTTLE, "blkio.throttle.read_bps_device", "io.max", "rbps"},
    {KIND_THROTTLE, "blkio.throttle.read_iops_device", "io.max", "riops"},
    {KIND_THROTTLE, "blkio.throttle.write_bps_device", "io.max", "wbps"},
    {KIND_THROTTLE, "blkio.throttle.write_iops_device", "io.max", "wiops"},
    {KIND_GONE, "blkio.", "io.weight", NULL},
};

static const struct rule unknown = {KIND_UNKNOWN, "", "", NULL};

/* The rule for a setting that is given as KEY=VALUE. */
static const struct rule *rule_for(const char *given)
{
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        size_t length = strlen(rules[i].name);

        if (strncmp(given, rules[i].name, length) == 0 && (given[length] == '=' || rules[i].kind == KIND_GONE))
            return &rules[i];
    }
    return &unknown;
}

/* One setting on its way: all that were given, which of them it is, and where it goes, with key and value as given. */
struct request {
    const char *const *given;
    unsigned count;
    unsigned at;
    struct setting *setting;
    struct failure *why;
};

/* The value of the last setting from that place on that is of either kind; NULL when there is none. */
static const char *last_value(const struct request *request, unsigned from, enum kind one, enum kind other)
{
    for (unsigned i = request->count; i-- > from;) {
        const struct rule *rule = rule_for(request->given[i]);

        if (rule->kind == one || rule->kind == other)
            return request->given[i] + strlen(rule->name) + 1;
    }
    return NULL;
}

static bool value_refused(const struct request *request, const char *accepted)
{
    return failed(request->why, STAGE_OPTIONS, EINVAL, "%s takes %s, not '%s'", request->setting->key, accepted,
                  request->setting->value);
}

static bool no_counterpart(const struct request *request, const char *nearest)
{
    return failed(request->why, STAGE_OPTIONS, EINVAL, "cgroup v2 has no counterpart to %s%s%s", request->setting->key,
                  *nearest ? "; the nearest is " : "", nearest);
}

/* ---- Values ---- */

/* Counts the decimal digits that the text begins with. 0 when they are no number that can be used: more than 19 may
 * overflow, and with a 0 before other digits the kernel would read them as octal (lib/kstrtox.c). */
static size_t count_digits(const char *text)
{
    size_t count = 0;

    while (text[count] >= '0' && text[count] <= '9')
        count++;
    return count > 19 || (count > 1 && *text == '0') ? 0 : count;
}

static uint64_t parse_number(const char *text)
{
    uint64_t value = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

/* The text after the number that it begins with and the character that ends it; NULL when it doesn't begin so. */
static const char *after_number(const char *text, char end)
{
    size_t count = count_digits(text);

    return count > 0 && text[count] == end ? text + count + 1 : NULL;
}

/* The number that the whole text is, 0 when it is none in that range. */
static uint64_t number_between(const char *text, uint64_t least, uint64_t most)
{
    uint64_t value = parse_number(text);

    return after_number(text, '\0') && value >= least && value <= most ? value : 0;
}

/* v1/memory.rst, 3: -1 takes a limit away. v2, "Conventions": max does. */
static bool is_unlimited(const char *value)
{
    return strcmp(value, "-1") == 0 || strcmp(value, "max") == 0;
}

/* A number of bytes, read as the kernel reads it: lib/cmdline.c, memparse(). */
static uint64_t parse_bytes(const char *text)
{
    static const char suffixes[] = "kmgtpe";
    const char *suffix = text + count_digits(text);
    const char *power;
    unsigned shift;

    if (is_unlimited(text))
        return UNLIMITED;
    if (suffix == text)
        return NO_SIZE;
    if (*suffix == '\0')
        return parse_number(text);
    power = strchr(suffixes, *suffix | 0x20);
    if (!power || suffix[1] != '\0')
        return NO_SIZE;
    shift = (unsigned)(power - suffixes + 1) * 10;
    return parse_number(text) <= UINT64_MAX >> shift ? parse_number(text) << shift : NO_SIZE;
}

/* Makes the number the setting's value. format() can't do it, for it has no numbers of 64 bits where long has 32. */
static void set_number(struct setting *setting, uint64_t value)
{
    char *at = setting->computed + sizeof setting->computed;

    *--at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    setting->value = at;
}

/* v1/memory.rst, 2.4: memory and swap together, which is never less than memory. v2, memory.swap.max: swap alone. */
static bool set_swap(const struct request *request)
{
    const char *memory = last_value(request, 0, KIND_MEMORY, KIND_MEMORY_V2);
    uint64_t alone = memory ? parse_bytes(memory) : NO_SIZE;
    uint64_t both = parse_bytes(request->setting->value);

    if (both == UNLIMITED)
        request->setting->value = "max";
    else if (both != NO_SIZE && alone <= both)
        set_number(request->setting, both - alone);
    else
        return value_refused(request, "bytes, no fewer than memory.limit_in_bytes, which has to be set too, or -1");
    return true;
}

/* v2, "Weights": they are 1 to 10000 with a default of 100. The value is scaled so that v1's default becomes v2's. */
static bool set_weight(const struct request *request, unsigned least, unsigned most, unsigned standard,
                       const char *accepted)
{
    uint64_t given = number_between(request->setting->value, least, most);
    uint64_t weight = (given * 100 + standard / 2) / standard;

    if (given == 0)
        return value_refused(request, accepted);
    if (weight < 1)
        weight = 1;
    if (weight > 10000)
        weight = 10000;
    set_number(request->setting, weight);
    return true;
}

/* v2, cpu.max: "$MAX $PERIOD", where 100000 is the default period. */
static bool set_bandwidth(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *quota = last_value(request, 0, KIND_QUOTA, KIND_QUOTA);
    const char *period = last_value(request, 0, KIND_PERIOD, KIND_PERIOD);

    format(setting->computed, sizeof setting->computed, "%s %s", quota && !is_unlimited(quota) ? quota : "max",
           period ? period : "100000");
    setting->value = setting->computed;
    return true;
}

/* Quota and period become one setting of v2, which is written once: for the last of them. */
static bool is_repeated(const struct request *request)
{
    enum kind kind = rule_for(request->given[request->at])->kind;

    return (kind == KIND_QUOTA || kind == KIND_PERIOD) && last_value(request, request->at + 1, KIND_QUOTA, KIND_PERIOD);
}

/* v1/blkio-controller.rst: "<major>:<minor>  <rate>"; 0 is no limit (block/blk-throttle.c, tg_set_conf()). v2, io.max:
 * "$MAJ:$MIN", and a rate with its name, or max. */
static bool set_throttle(const struct request *request, const char *limit)
{
    struct setting *setting = request->setting;
    const char *minor = after_number(setting->value, ':');
    const char *gap = minor ? after_number(minor, ' ') : NULL;
    const char *rate = gap;

    while (rate && *rate == ' ')
        rate++;
    if (!rate || !after_number(rate, '\0'))
        return value_refused(request, "MAJOR:MINOR VALUE");
    format(setting->computed, sizeof setting->computed, "%.*s%s=%s", (int)(gap - setting->value), setting->value, limit,
           parse_number(rate) == 0 ? "max" : rate);
    setting->value = setting->computed;
    return true;
}

/* Turns the value as given into one of v2. */
static bool set_value(const struct request *request, const struct rule *rule)
{
    const char *value = request->setting->value;

    switch (rule->kind) {
    case KIND_LIMIT:
    case KIND_MEMORY:
        if (is_unlimited(value))
            request->setting->value = "max";
        return true;
    case KIND_SWAP:
        return set_swap(request);
    case KIND_SHARES: /* as kernel/sched/core.c, sched_weight_to_cgroup(); kernel/sched/sched.h, MIN_ and MAX_SHARES */
        return set_weight(request, 2, 262144, 1024, "2 to 262144");
    case KIND_IO_WEIGHT: /* v1/blkio-controller.rst before Linux 5.0 */
        return set_weight(request, 10, 1000, 500, "10 to 1000");
    case KIND_QUOTA: /* Documentation/scheduler/sched-bwc.rst, "Management" */
        if (!is_unlimited(value) && number_between(value, 1000, UINT64_MAX) == 0)
            return value_refused(request, "1000 or more microseconds, or -1");
        return set_bandwidth(request);
    case KIND_PERIOD:
        if (number_between(value, 1000, 1000000) == 0)
            return value_refused(request, "1000 to 1000000 microseconds");
        return set_bandwidth(request);
    case KIND_THROTTLE:
        return set_throttle(request, rule->limit);
    default:
        return true;
    }
}

/* ---- Settings and controllers ---- */

/* Replaces key and value of v1 by those of v2. */
static bool translate(const struct request *request)
{
    const struct rule *rule = rule_for(request->given[request->at]);

    if (rule->kind == KIND_UNKNOWN)
        return true;
    if (rule->kind == KIND_GONE)
        return no_counterpart(request, rule->replacement);
    if (!set_value(request, rule))
        return false;
    memcpy(request->setting->key, rule->replacement, strlen(rule->replacement) + 1);
    return true;
}

/* The length of the word that the text begins with. */
static size_t word_length(const char *text)
{
    size_t length = 0;

    while ((text[length] >= 'a' && text[length] <= 'z') || (text[length] >= '0' && text[length] <= '9') ||
           text[length] == '_')
        length++;
    return length;
}

const char *legacy_controller(const char *name, struct failure *why)
{
    for (size_t i = 0; i < sizeof controller_rules / sizeof controller_rules[0]; i++)
        if (strcmp(name, controller_rules[i].name) == 0) {
            if (!controller_rules[i].v2)
                failed(why, STAGE_OPTIONS, EINVAL, "cgroup v2 has no controller %s: BPF programs do its work there",
                       name);
            return controller_rules[i].v2;
        }
    if (*name != '\0' && name[word_length(name)] == '\0')
        return name;
    failed(why, STAGE_OPTIONS, EINVAL, "'%s' is no controller's name", name);
    return NULL;
}

/* Takes KEY=VALUE apart into the setting's key and value. */
static bool parse_setting(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *given = request->given[request->at];
    size_t controller = word_length(given);
    size_t key = controller;

    while (given[key] == '.')
        key += 1 + word_length(given + key + 1);
    if (controller == 0 || controller >= sizeof setting->controller || key == controller ||
        key >= sizeof setting->key || given[key] != '=' || given[key + 1] == '\0')
        return failed(request->why, STAGE_OPTIONS, EINVAL,
                      "--set takes KEY=VALUE, KEY being as memory.max, of a-z, 0-9, _ and . alone, not '%s'", given);
    memcpy(setting->key, given, key);
    setting->key[key] = '\0';
    setting->value = given + key + 1;
    return true;
}

/* Notes which controller has to be enabled for the setting. False when no such setting may be written. */
static bool find_controller(const struct request *request)
{
    struct setting *setting = request->setting;
    size_t length = word_length(setting->key);
    const char *name;

    memcpy(setting->controller, setting->key, length);
    setting->controller[length] = '\0';
    name = legacy_controller(setting->controller, request->why);
    if (!name)
        return false;
    if (name == setting->controller)
        return true;
    if (strcmp(setting->controller, "cgroup") != 0)
        return no_counterpart(request, ""); /* the controller is one of v1 alone */
    /* v2, "Core Interface Files": the others move, freeze or kill processes, or say how the group is divided. */
    if (strncmp(setting->key, "cgroup.max.", 11) != 0 && strcmp(setting->key, "cgroup.pressure") != 0)
        return failed(request->why, STAGE_OPTIONS, EINVAL,
                      "%s can't be set: muontrap contains the program with cgroup.*, but for cgroup.max.* and "
                      "cgroup.pressure",
                      setting->key);
    setting->controller[0] = '\0';
    return true;
}

bool legacy_translate(struct settings *settings, const char *const given[], unsigned count, struct failure *why)
{
    struct request request = {.given = given, .count = count, .setting = settings->list, .why = why};

    settings->count = 0;
    if (count > SETTINGS_MOST)
        return failed(why, STAGE_OPTIONS, E2BIG, "%s can be given %u times at most", "--set", SETTINGS_MOST);
    for (; request.at < count; request.at++) {
        if (!parse_setting(&request) || !translate(&request) || !find_controller(&request))
            return false;
        if (!is_repeated(&request)) {
            request.setting++;
            settings->count++;
        }
    }
    return true;
}
