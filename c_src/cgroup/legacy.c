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

#define NO_SIZE UINT64_MAX         /* more than any size */
#define UNLIMITED (UINT64_MAX - 1) /* bytes */

enum rule {
    RULE_NONE = 0,
    RULE_CONTROLLER = 'c', /* another name for a controller; "" for what v2 has in its core */
    RULE_DROPPED = 'd',    /* a controller that v2 doesn't have */
    RULE_GONE = '-',       /* settings that begin so have no counterpart, but perhaps a neighbour */
    RULE_SAME = '=',       /* the same value under another name */
    RULE_LIMIT = 'l',
    RULE_MEMORY = 'm',
    RULE_MEMORY_V2 = 'M',
    RULE_SWAP = 's',
    RULE_SHARES = 'w',
    RULE_IO_WEIGHT = 'W',
    RULE_QUOTA = 'q',
    RULE_PERIOD = 'p',
    RULE_THROTTLE = '0' /* and the index among the limits of io.max */
};

/* The rule, the name that it is for, and v2's or the nearest, each with a NUL behind it. One text: a table of pointers
 * would be half as large again. What begins with another's name comes before it. */
/* clang-format off */
static const char rules[] =
    /* v2, "Controllers"; cpuacct: "CPU Interface Files", cpu.stat; freezer: "Core Interface Files", cgroup.freeze */
    "cblkio\0" "io\0"
    "ccgroup\0" "\0"
    "ccpuacct\0" "cpu\0"
    "cfreezer\0" "\0"
    "cperf_event\0" "\0"
    "ddevices\0" "\0"
    "dnet_cls\0" "\0"
    "dnet_prio\0" "\0"
    /* v1/memory.rst, 2.4, 3 and 7 */
    "mmemory.limit_in_bytes\0" "memory.max\0"
    "Mmemory.max\0" "memory.max\0"
    "lmemory.soft_limit_in_bytes\0" "memory.high\0"
    "smemory.memsw.limit_in_bytes\0" "memory.swap.max\0"
    "-memory.kmem.\0" "memory.max\0"
    "-memory.oom_control\0" "memory.oom.group\0"
    "-memory.swappiness\0" "memory.swap.max\0"
    "-memory.use_hierarchy\0" "\0"
    /* Documentation/scheduler/sched-bwc.rst and sched-rt-group.rst */
    "wcpu.shares\0" "cpu.weight\0"
    "qcpu.cfs_quota_us\0" "cpu.max\0"
    "pcpu.cfs_period_us\0" "cpu.max\0"
    "=cpu.cfs_burst_us\0" "cpu.max.burst\0"
    "-cpu.rt_\0" "\0"
    /* v1/cpusets.rst; v2, "Cpuset Interface Files" */
    "-cpuset.cpu_exclusive\0" "cpuset.cpus.partition\0"
    "-cpuset.mem_\0" "\0"
    "-cpuset.memory_\0" "\0"
    "-cpuset.sched_\0" "cpuset.cpus.partition\0"
    /* v1/blkio-controller.rst; Documentation/block/bfq-iosched.rst, 4 */
    "Wblkio.weight\0" "io.weight\0"
    "=blkio.bfq.weight\0" "io.bfq.weight\0"
    "=blkio.bfq.weight_device\0" "io.bfq.weight\0"
    "0blkio.throttle.read_bps_device\0" "io.max\0"
    "1blkio.throttle.read_iops_device\0" "io.max\0"
    "2blkio.throttle.write_bps_device\0" "io.max\0"
    "3blkio.throttle.write_iops_device\0" "io.max\0"
    "-blkio.\0" "io.weight\0";
/* clang-format on */

/* What the rules get: all that was given, which of them it is, and where it goes, with key and value as given. */
struct request {
    const char *const *given;
    unsigned count;
    unsigned at;
    struct setting *setting;
    struct failure *why;
};

/* The rule for the name that ends with that character; one of the kind RULE_NONE when there is none. */
static const char *rule_for(const char *name, char end)
{
    const char *rule = rules;

    while (*rule != RULE_NONE) {
        size_t length = strlen(rule + 1);

        if (strncmp(name, rule + 1, length) == 0 && (name[length] == end || *rule == RULE_GONE))
            break;
        rule += length + 2;
        rule += strlen(rule) + 1;
    }
    return rule;
}

/* What the rule has in v2. */
static const char *replacement(const char *rule)
{
    return rule + strlen(rule) + 1;
}

/* The value of the last given, from that place on, that has either rule; NULL when there is none. */
static const char *last(const struct request *request, unsigned from, enum rule either, enum rule other)
{
    for (unsigned i = request->count; i-- > from;) {
        const char *rule = rule_for(request->given[i], '=');

        if (*rule == (char)either || *rule == (char)other)
            return request->given[i] + strlen(rule);
    }
    return NULL;
}

static bool refused(const struct request *request, const char *takes)
{
    return failed(request->why, STAGE_OPTIONS, EINVAL, "%s takes %s, not '%s'", request->setting->key, takes,
                  request->setting->value);
}

static bool no_counterpart(const struct request *request, const char *near)
{
    return failed(request->why, STAGE_OPTIONS, EINVAL, "cgroup v2 has no counterpart to %s%s%s", request->setting->key,
                  *near ? "; the nearest is " : "", near);
}

/* How many decimal digits the text begins with. 0 when they make no number here: 19 can't overflow, more may; and a 0
 * before others makes them octal for the kernel (lib/kstrtox.c). */
static size_t digits(const char *text)
{
    size_t count = 0;

    while (text[count] >= '0' && text[count] <= '9')
        count++;
    return count > 19 || (count > 1 && *text == '0') ? 0 : count;
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;

    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (uint64_t)(*text - '0');
    return value;
}

/* What comes behind a number that ends with that character; NULL when none does. */
static const char *behind_number(const char *text, char end)
{
    size_t count = digits(text);

    return count > 0 && text[count] == end ? text + count + 1 : NULL;
}

/* The number that the text is, 0 when it is none in that range. */
static uint64_t number_between(const char *text, uint64_t least, uint64_t most)
{
    uint64_t value = number(text);

    return behind_number(text, '\0') && value >= least && value <= most ? value : 0;
}

/* v1/memory.rst, 3: -1 takes a limit away. v2, "Conventions": max does. */
static bool is_unlimited(const char *value)
{
    return strcmp(value, "-1") == 0 || strcmp(value, "max") == 0;
}

/* Bytes as the kernel reads them: lib/cmdline.c, memparse(). */
static uint64_t size(const char *text)
{
    static const char suffixes[] = "kmgtpe";
    const char *suffix = text + digits(text);
    const char *power;
    unsigned shift;

    if (is_unlimited(text))
        return UNLIMITED;
    if (suffix == text)
        return NO_SIZE;
    if (*suffix == '\0')
        return number(text);
    power = strchr(suffixes, *suffix | 0x20);
    if (!power || suffix[1] != '\0')
        return NO_SIZE;
    shift = (unsigned)(power - suffixes + 1) * 10;
    return number(text) <= UINT64_MAX >> shift ? number(text) << shift : NO_SIZE;
}

/* The number becomes the value. format() has no 64 bits where long has 32. */
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

/* v1/memory.rst, 2.4: memory and swap together, which is never less than memory. v2, memory.swap.max: swap alone. */
static bool set_swap(const struct request *request)
{
    const char *memory = last(request, 0, RULE_MEMORY, RULE_MEMORY_V2);
    uint64_t alone = memory ? size(memory) : NO_SIZE;
    uint64_t both = size(request->setting->value);

    if (both == UNLIMITED)
        request->setting->value = "max";
    else if (both != NO_SIZE && alone <= both)
        compute(request->setting, both - alone);
    else
        return refused(request, "bytes, no fewer than memory.limit_in_bytes, which has to be set too, or -1");
    return true;
}

/* v2, "Weights": 1 to 10000, and 100 is usual, to which v1's usual weight is brought in proportion. */
static bool set_weight(const struct request *request, unsigned least, unsigned most, unsigned usual, const char *takes)
{
    uint64_t given = number_between(request->setting->value, least, most);
    uint64_t weight = (given * 100 + usual / 2) / usual;

    if (given == 0)
        return refused(request, takes);
    if (weight < 1)
        weight = 1;
    if (weight > 10000)
        weight = 10000;
    compute(request->setting, weight);
    return true;
}

/* v2, cpu.max: "$MAX $PERIOD", where 100000 is the usual period. */
static bool set_bandwidth(const struct request *request)
{
    struct setting *setting = request->setting;
    const char *quota = last(request, 0, RULE_QUOTA, RULE_QUOTA);
    const char *period = last(request, 0, RULE_PERIOD, RULE_PERIOD);

    format(setting->computed, sizeof setting->computed, "%s %s", quota && !is_unlimited(quota) ? quota : "max",
           period ? period : "100000");
    setting->value = setting->computed;
    return true;
}

/* Whether a quota or period follows, and says the same. */
static bool is_said_again(const struct request *request)
{
    char rule = *rule_for(request->given[request->at], '=');

    return (rule == RULE_QUOTA || rule == RULE_PERIOD) && last(request, request->at + 1, RULE_QUOTA, RULE_PERIOD);
}

/* v1/blkio-controller.rst: "<major>:<minor>  <rate>"; 0 is no limit (block/blk-throttle.c, tg_set_conf()). v2, io.max:
 * "$MAJ:$MIN", and a rate with its name, or max. */
static bool set_throttle(const struct request *request, const char *name)
{
    struct setting *setting = request->setting;
    const char *minor = behind_number(setting->value, ':');
    const char *gap = minor ? behind_number(minor, ' ') : NULL;
    const char *rate = gap;

    while (rate && *rate == ' ')
        rate++;
    if (!rate || !behind_number(rate, '\0'))
        return refused(request, "MAJOR:MINOR VALUE");
    format(setting->computed, sizeof setting->computed, "%.*s%s=%s", (int)(gap - setting->value), setting->value, name,
           number(rate) == 0 ? "max" : rate);
    setting->value = setting->computed;
    return true;
}

/* Makes a value of v2 of the one as given. */
static bool set_value(const struct request *request, char rule)
{
    static const char limits[][6] = {"rbps", "riops", "wbps", "wiops"};
    const char *value = request->setting->value;

    switch (rule) {
    case RULE_LIMIT:
    case RULE_MEMORY:
        if (is_unlimited(value))
            request->setting->value = "max";
        return true;
    case RULE_SWAP:
        return set_swap(request);
    case RULE_SHARES: /* as kernel/sched/core.c, sched_weight_to_cgroup(); kernel/sched/sched.h, MIN_ and MAX_SHARES */
        return set_weight(request, 2, 262144, 1024, "2 to 262144");
    case RULE_IO_WEIGHT: /* v1/blkio-controller.rst before Linux 5.0 */
        return set_weight(request, 10, 1000, 500, "10 to 1000");
    case RULE_QUOTA: /* Documentation/scheduler/sched-bwc.rst, "Management" */
        if (!is_unlimited(value) && number_between(value, 1000, UINT64_MAX) == 0)
            return refused(request, "1000 or more microseconds, or -1");
        return set_bandwidth(request);
    case RULE_PERIOD:
        if (number_between(value, 1000, 1000000) == 0)
            return refused(request, "1000 to 1000000 microseconds");
        return set_bandwidth(request);
    case RULE_SAME:
    case RULE_MEMORY_V2:
        return true;
    default:
        return set_throttle(request, limits[rule - RULE_THROTTLE]);
    }
}

/* Puts v2's key and value in the place of v1's. */
static bool translate(const struct request *request)
{
    const char *rule = rule_for(request->given[request->at], '=');

    if (*rule == RULE_NONE)
        return true;
    if (*rule == RULE_GONE)
        return no_counterpart(request, replacement(rule));
    if (!set_value(request, *rule))
        return false;
    memcpy(request->setting->key, replacement(rule), strlen(replacement(rule)) + 1);
    return true;
}

/* How long the word is that the text begins with. */
static size_t word(const char *text)
{
    size_t length = 0;

    while ((text[length] >= 'a' && text[length] <= 'z') || (text[length] >= '0' && text[length] <= '9') ||
           text[length] == '_')
        length++;
    return length;
}

const char *legacy_controller(const char *name, struct failure *why)
{
    const char *rule = rule_for(name, '\0');

    if (*name != '\0' && name[word(name)] == '\0') {
        if (*rule == RULE_NONE)
            return name;
        if (*rule == RULE_CONTROLLER)
            return replacement(rule);
    }
    failed(why, STAGE_OPTIONS, EINVAL,
           *rule == RULE_DROPPED ? "cgroup v2 has no controller %s: BPF programs do its work there"
                                 : "'%s' is no controller's name",
           name);
    return NULL;
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
                      "--set takes KEY=VALUE, KEY being as memory.max, of a-z, 0-9, _ and . alone, not '%s'", given);
    memcpy(setting->key, given, key);
    setting->key[key] = '\0';
    setting->value = given + key + 1;
    return true;
}

/* Whether its controller has such settings, and which has to be enabled. */
static bool assign(const struct request *request)
{
    struct setting *setting = request->setting;
    size_t length = word(setting->key);
    const char *name;

    memcpy(setting->controller, setting->key, length);
    setting->controller[length] = '\0';
    name = legacy_controller(setting->controller, request->why);
    if (!name)
        return false;
    if (name == setting->controller)
        return true;
    if (strcmp(setting->controller, "cgroup") != 0)
        return no_counterpart(request, ""); /* a controller of v1 alone */
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
        if (!split(&request) || !translate(&request) || !assign(&request))
            return false;
        if (!is_said_again(&request)) {
            request.setting++;
            settings->count++;
        }
    }
    return true;
}
