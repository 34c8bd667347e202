/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a launch frame has for arguments, it is the command line that they make behind `muontrap --port`, unless
 * that asks for what a helper that waits can't do. The input is the frame's payload.
 */
#include "fuzz.h"

#include <errno.h>

#include "launch.h"

static struct options expected;
static struct failure expected_why;
static char *argv[LAUNCH_MOST + 3];

/* The arguments of the text, each of which ends with a NUL; how many there are. */
static int cut(char *text, size_t size)
{
    static char name[] = "muontrap";
    static char port[] = "--port";
    int argc = 0;

    argv[argc++] = name;
    argv[argc++] = port;
    for (size_t i = 0; i < size; i++)
        if (i == 0 || text[i - 1] == '\0')
            argv[argc++] = text + i;
    argv[argc] = NULL;
    return argc;
}

static bool is_suitable(const struct options *options)
{
    return options->attach == 0 && !options->lock && !options->help && !options->version && !options->check &&
           !options->clean;
}

static void expect_same(struct options *options)
{
    expect((options->program == NULL) == (expected.program == NULL));
    for (size_t i = 0; options->program && (options->program[i] || expected.program[i]); i++)
        expect(options->program[i] == expected.program[i]);
    options->program = expected.program = NULL;
    expect(memcmp(options, &expected, sizeof expected) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct launch launch;
    struct failure why = {.stage = 0};
    bool begun;
    int argc;

    if (size >= LAUNCH_MOST)
        return 0;
    if (size > 0)
        memcpy(launch.text, data, size);
    launch.text[size] = '\0'; /* as the decoder leaves it */
    begun = launch_read(&launch, size, &why);
    if (size == 0 || data[size - 1] != '\0') {
        expect(!begun && why.stage == STAGE_PROTOCOL && why.error == EPROTO);
        return 0;
    }
    argc = cut(launch.text, size);
    if (argc - 2 > (int)LAUNCH_ARGS_MOST)
        expect(!begun && why.stage == STAGE_OPTIONS && why.error == E2BIG);
    else if (!options_parse(&expected, argc, argv, &expected_why))
        expect(!begun && why.stage == STAGE_OPTIONS && why.error == expected_why.error &&
               strcmp(why.words, expected_why.words) == 0);
    else if (!is_suitable(&expected))
        expect(!begun && why.stage == STAGE_OPTIONS && why.error == EINVAL);
    else if (expect(begun), begun)
        expect_same(&launch.options);
    return 0;
}
