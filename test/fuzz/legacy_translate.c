/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever is given with --set, either it is refused in words, or each key is a file's name of v2 that leaves the
 * program contained, and translating the outcome once more changes nothing. The input's settings are separated by NULs.
 */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>

#include "cgroup/legacy.h"

#define GIVEN_MOST (SETTINGS_MOST + 1)

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.";

static void expect_refusal(const struct failure *why)
{
    expect(why->stage == STAGE_OPTIONS && (why->error == EINVAL || why->error == E2BIG));
    expect(strlen(why->words) > 10 && strlen(why->words) < sizeof why->words);
}

static void check_controller(const char *name)
{
    struct failure why = {.stage = 0};
    const char *controller = legacy_controller(name, &why);

    if (!controller)
        expect_refusal(&why);
    else
        expect(!strchr(controller, '.') && controller[strspn(controller, letters)] == '\0');
}

static void check(const struct setting *setting)
{
    size_t length = strlen(setting->controller);

    expect(strlen(setting->key) < sizeof setting->key && length < sizeof setting->controller);
    expect(setting->key[strspn(setting->key, letters)] == '\0');
    expect(setting->value[0] != '\0');
    if (length > 0)
        expect(strncmp(setting->key, setting->controller, length) == 0 && setting->key[length] == '.');
    else
        expect(strncmp(setting->key, "cgroup.max.", 11) == 0 || strcmp(setting->key, "cgroup.pressure") == 0);
}

/* What is written as KEY=VALUE, in memory of exactly its size. */
static char *written(const struct setting *setting)
{
    size_t room = strlen(setting->key) + strlen(setting->value) + 2;
    char *text = malloc(room);

    if (!text)
        abort();
    (void)snprintf(text, room, "%s=%s", setting->key, setting->value);
    return text;
}

static void check_again(const struct settings *settings)
{
    static struct settings again;
    char *given[SETTINGS_MOST];
    struct failure why;

    for (unsigned i = 0; i < settings->count; i++)
        given[i] = written(&settings->list[i]);
    expect(legacy_translate(&again, (const char *const *)given, settings->count, &why));
    expect(again.count == settings->count);
    for (unsigned i = 0; i < settings->count; i++) {
        expect(strcmp(again.list[i].controller, settings->list[i].controller) == 0);
        expect(strcmp(again.list[i].key, settings->list[i].key) == 0);
        expect(strcmp(again.list[i].value, settings->list[i].value) == 0);
        free(given[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings settings;
    const char *given[GIVEN_MOST];
    struct failure why = {.stage = 0};
    char *text = fuzz_text(data, size);
    unsigned count = 0;

    for (size_t at = 0; at < size && count < GIVEN_MOST; at += strlen(text + at) + 1)
        given[count++] = text + at;
    for (unsigned i = 0; i < count; i++)
        check_controller(given[i]);
    if (legacy_translate(&settings, given, count, &why)) {
        expect(settings.count <= count);
        for (unsigned i = 0; i < settings.count; i++)
            check(&settings.list[i]);
        check_again(&settings);
    } else {
        expect_refusal(&why);
    }
    free(text);
    return 0;
}
