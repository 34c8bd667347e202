/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#include "port/report.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/signals.h"
#include "port/protocol.h"

void report_words(const char *format, ...)
{
    char line[1200] = "muontrap: ";
    size_t start = strlen(line);
    va_list args;

    va_start(args, format);
    format_list(line + start, sizeof line - start - 1, format, args);
    va_end(args);
    memcpy(line + strlen(line), "\n", 2);
    /* One write, so that lines of several helpers don't mix. There is nowhere to report that it failed. */
    (void)io_write_all(STDERR_FILENO, line, strlen(line));
}

/* Until the owner closes, or says that it will write no more. */
static void wait_to_be_let_go(void)
{
    struct decoder decoder = {.have = 0};
    struct command command = {.kind = COMMAND_NONE};
    uint8_t bytes[64];
    size_t size;

    while (command.kind != COMMAND_MALFORMED && (size = io_read_some(STDIN_FILENO, bytes, sizeof bytes)) > 0) {
        const uint8_t *at = bytes;

        do {
            protocol_decode(&decoder, &at, &size, &command);
            if (command.kind == COMMAND_DISCARD)
                return;
        } while (command.kind != COMMAND_NONE && command.kind != COMMAND_MALFORMED);
    }
    while (command.kind == COMMAND_MALFORMED && io_read_some(STDIN_FILENO, bytes, sizeof bytes) > 0)
        continue;
}

void report_failure(const struct options *options, const struct failure *why)
{
    static uint8_t frame[FRAME_CONTROL_MOST];

    if (!options->port) {
        report_words("%s", why->words);
        return;
    }
    if (!io_write_all(STDOUT_FILENO, frame, protocol_error(frame, why)))
        return;
    signals_reset(); /* there is nothing to clean up: a signal may end the wait */
    wait_to_be_let_go();
}
