/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever the command line, either it is taken and all in it is in range, or the failure says why. The input's
 * arguments are separated by NULs.
 */
#include "fuzz.h"

#include <limits.h>

#include "options.h"
#include "port/window.h"

#define ARGUMENTS_MOST 2048

static void check_file(enum output_mode mode, const struct output_file *file)
{
    expect(mode != OUTPUT_FILE || (file->path[0] != '\0' && file->mode <= 07777));
}

/* That they can be applied, whatever they are. */
static void check_modes(const struct options *options)
{
    static struct termios termios;

    for (unsigned i = 0; i < options->pty_mode_count; i++)
        terminal_mode_apply(&options->pty_modes[i], &termios);
}

static void check(const struct options *options)
{
    if (options->help || options->version)
        return;
    expect(options->waits ? options->port && !options->program[0]
                          : options->check || options->clean || (options->attach != 0 && !options->program[0]) ||
                                (options->program[0] && options->file && options->file[0] != '\0'));
    expect(options->group ||
           (!options->clean && (options->check || options->set_count + options->controller_count == 0)));
    expect(options->controller_count <= CONTROLLER_MOST && options->set_count <= SETTINGS_MOST);
    expect(options->delay_to_sigkill <= INT_MAX);
    expect(options->stdio_window <= WINDOW_FIXED_MOST);
    expect(options->stdio_window == 0 || options->port);
    expect(options->stdin_mode <= STDIN_FILE);
    expect(options->stdin_mode != STDIN_RELAY || options->port);
    expect(options->stdin_mode != STDIN_FILE || (options->stdin_file[0] != '\0' && !options->pty));
    expect(options->stdout_mode > OUTPUT_AUTO && options->stdout_mode <= OUTPUT_TERMINAL);
    expect(options->stderr_mode > OUTPUT_AUTO && options->stderr_mode <= OUTPUT_TERMINAL);
    check_file(options->stdout_mode, &options->stdout_file);
    check_file(options->stderr_mode, &options->stderr_file);
    expect(options->pty || (options->stdout_mode != OUTPUT_TERMINAL && options->stderr_mode != OUTPUT_TERMINAL));
    expect(options->pty || options->pty_mode_count == 0);
    expect(options->pty_mode_count <= PTY_MODES_MOST && (options->pty_rows == 0) == (options->pty_columns == 0));
    check_modes(options);
    expect(options->stdout_mode != OUTPUT_STDOUT);
    expect(options->port ? options->stdout_mode != OUTPUT_INHERIT : options->stdout_mode != OUTPUT_RELAY);
    expect(options->port || options->stderr_mode != OUTPUT_RELAY);
    expect(!options->uid || options->uid[0]);
    expect(!options->gid || options->gid[0]);
    expect(!options->cd || options->cd[0]);
    expect(options->setenv_count <= SETENV_MOST);
    for (unsigned i = 0; i < options->setenv_count; i++) /* NAME=VALUE, or NAME of a variable that is unset */
        expect(options->setenv[i][0] != '\0' && options->setenv[i][0] != '=');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct options options;
    static char *argv[ARGUMENTS_MOST + 1];
    struct failure why = {.stage = 0};
    char *text = fuzz_text(data, size);
    int argc = 0;

    for (size_t at = 0; at < size && argc < ARGUMENTS_MOST; at += strlen(text + at) + 1)
        argv[argc++] = text + at;
    argv[argc] = NULL;
    if (options_parse(&options, argc, argv, &why))
        check(&options);
    else
        expect(why.stage == STAGE_OPTIONS && why.error != 0 && strlen(why.words) > 10 &&
               strlen(why.words) < sizeof why.words);
    free(text);
    return 0;
}
