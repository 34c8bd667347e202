/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever is given as a terminal's mode, one that is found has the name and a value that the words about it allow, is
 * the same in capitals and without leading zeros, and can be applied; and one with another value is refused with these
 * words.
 */
#include "fuzz.h"

#include <ctype.h>
#include <stdio.h>

#include "base/terminal_modes.h"

static const unsigned long speeds[] = {0,    50,   75,   110,  134,   150,   200,   300,    600,   1200,
                                       1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400};

static bool is_speed(unsigned long number)
{
    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++)
        if (speeds[i] == number)
            return true;
    return false;
}

/* As the words say it. */
static bool is_allowed(const char *values, unsigned long number)
{
    if (strstr(values, "0 to 255"))
        return number <= 255;
    return strstr(values, "speed") ? is_speed(number) : number <= 1;
}

/* One to six digits. */
static bool is_number(const char *text)
{
    size_t size = strspn(text, "0123456789");

    return size >= 1 && size <= 6 && text[size] == '\0';
}

static void check_again(const char *text, size_t name, unsigned long number, struct terminal_mode mode)
{
    char again[40];
    struct terminal_mode same;
    const char *values;
    struct termios termios;
    struct termios twice;

    (void)snprintf(again, sizeof again, "%.*s=%lu", (int)name, text, number);
    for (char *at = again; *at; at++)
        *at = (char)toupper((unsigned char)*at);
    expect(terminal_mode_read(again, &same, &values) == TERMINAL_MODE_FOUND);
    expect(same.which == mode.which && same.value == mode.value);
    memset(&termios, 0x55, sizeof termios);
    terminal_mode_apply(&mode, &termios);
    twice = termios;
    terminal_mode_apply(&mode, &twice);
    expect(memcmp(&termios, &twice, sizeof termios) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    size_t name = strcspn(text, "=");
    bool has_number = text[name] == '=' && is_number(text + name + 1);
    unsigned long number = has_number ? strtoul(text + name + 1, NULL, 10) : 0;
    struct terminal_mode mode;
    const char *values = "";

    switch (terminal_mode_read(text, &mode, &values)) {
    case TERMINAL_MODE_FOUND:
        expect(has_number && is_allowed(values, number));
        check_again(text, name, number, mode);
        break;
    case TERMINAL_MODE_VALUE:
        expect(strlen(values) > 0 && !(has_number && is_allowed(values, number)));
        break;
    case TERMINAL_MODE_MISSING:
    case TERMINAL_MODE_UNKNOWN:
        expect(values[0] == '\0');
    }
    free(text);
    return 0;
}
