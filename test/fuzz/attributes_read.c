/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever is given as limits and as processors, what is taken says the same when it is written anew, and what is
 * refused is so in words. The input's options are separated by NULs.
 */
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/platform.h"
#include "program/attributes_text.h"

#define OPTIONS_MOST 64u

static void expect_words(const struct failure *why)
{
    expect(why->stage == STAGE_OPTIONS && why->error == EINVAL);
    expect(strlen(why->words) > 10 && strlen(why->words) < sizeof why->words);
}

/* The number or the word at the beginning, and what is behind it; NULL when it is neither. */
static const char *second_value(const char *at, rlim_t *value)
{
    char *end;

    if (strncmp(at, "infinity", 8) == 0) {
        *value = RLIM_INFINITY;
        return at + 8;
    }
    errno = 0;
    *value = isdigit((unsigned char)*at) ? strtoull(at, &end, 10) : 0;
    return isdigit((unsigned char)*at) && errno == 0 && *value < RLIM_INFINITY ? end : NULL;
}

static bool second_rlimit(const char *text, struct rlimit *limit)
{
    const char *at = strchr(text, '=');

    at = at ? second_value(at + 1, &limit->rlim_cur) : NULL;
    limit->rlim_max = limit->rlim_cur;
    if (at && *at == ':')
        at = second_value(at + 1, &limit->rlim_max);
    return at && *at == '\0';
}

static size_t write_value(char *text, size_t size, rlim_t value)
{
    return (size_t)(value == RLIM_INFINITY ? snprintf(text, size, "infinity")
                                           : snprintf(text, size, "%llu", (unsigned long long)value));
}

static void check_rlimit(const char *text)
{
    struct rlimit limit;
    struct rlimit expected = {0};
    struct rlimit again;
    char written[80] = "x=";
    size_t size = 2;
    bool taken = attributes_read_rlimit(text, &limit);

    expect(taken == second_rlimit(text, &expected));
    if (!taken)
        return;
    expect(limit.rlim_cur == expected.rlim_cur && limit.rlim_max == expected.rlim_max);
    size += write_value(written + size, sizeof written - size, limit.rlim_cur);
    written[size++] = ':';
    (void)write_value(written + size, sizeof written - size, limit.rlim_max);
    expect(attributes_read_rlimit(written, &again));
    expect(again.rlim_cur == limit.rlim_cur && again.rlim_max == limit.rlim_max);
}

/* Each limit is there once, with the last values that were given for it. */
static void check_limits(const char *const options[], unsigned count)
{
    struct attributes attributes = {.any = false};
    struct failure why = {.stage = 0};

    for (unsigned i = 0; i < count; i++) {
        const struct limit *limit = attributes_limit(options[i]);
        bool there = false;

        if (!attributes_add_rlimit(&attributes, options[i], "--rlimit", &why)) {
            expect_words(&why);
            continue;
        }
        expect(limit && attributes.any && attributes.rlimit_count <= RLIMITS_MOST);
        for (unsigned j = 0; j < attributes.rlimit_count; j++) {
            expect((attributes_limit(attributes.rlimits[j]) == limit) == (attributes.rlimits[j] == options[i]));
            there = there || attributes.rlimits[j] == options[i];
        }
        expect(there);
    }
}

static bool has_cpu(const struct platform_cpus *cpus, unsigned cpu)
{
    return cpus->words[cpu / PLATFORM_CPUS_PER_WORD] >> cpu % PLATFORM_CPUS_PER_WORD & 1;
}

/* Numbers and ranges of them, separated by commas. */
static bool second_cpus(const char *text, bool *cpus)
{
    for (;;) {
        char *end;
        unsigned long first = strtoul(text, &end, 10);
        unsigned long last = first;

        if (!isdigit((unsigned char)*text))
            return false;
        if (*end == '-') {
            if (!isdigit((unsigned char)end[1]))
                return false;
            last = strtoul(end + 1, &end, 10);
        }
        if (last < first || last >= PLATFORM_CPUS_MOST || (*end != ',' && *end != '\0'))
            return false;
        for (; first <= last; first++)
            cpus[first] = true;
        if (*end == '\0')
            return true;
        text = end + 1;
    }
}

static void check_cpus(const char *text)
{
    static bool expected[PLATFORM_CPUS_MOST];
    static char written[PLATFORM_CPUS_MOST * 6];
    static struct platform_cpus cpus;
    static struct platform_cpus again;
    struct attributes attributes = {.any = false};
    struct failure why = {.stage = 0};
    bool taken = attributes_read_cpus(text, &cpus);
    size_t size = 0;

    memset(expected, 0, sizeof expected);
    expect(taken == second_cpus(text, expected));
    expect(attributes_set_cpus(&attributes, text, "--cpus", &why) == taken);
    if (!taken) {
        expect_words(&why);
        return;
    }
    for (unsigned cpu = 0; cpu < PLATFORM_CPUS_MOST; cpu++) {
        expect(has_cpu(&cpus, cpu) == expected[cpu]);
        if (expected[cpu])
            size += (size_t)snprintf(written + size, sizeof written - size, "%s%u", size > 0 ? "," : "", cpu);
    }
    expect(attributes_read_cpus(written, &again) && memcmp(&cpus, &again, sizeof cpus) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    const char *options[OPTIONS_MOST];
    const char *at = text;
    unsigned count = 0;

    while (at < text + size && count < OPTIONS_MOST) {
        options[count] = fuzz_next(&at, text + size);
        check_rlimit(options[count++]);
    }
    check_limits(options, count);
    check_cpus(text);
    free(text);
    return 0;
}
