/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever is given as an id or as a signal, in memory without an end of its own, what is read is what the C library
 * reads, and has a name or a number that is read as the same.
 */
#include "fuzz.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>

#include "base/number.h"
#include "base/signal_name.h"

static bool is_digits(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    return size > 0;
}

static void check_id(const char *bytes, const char *text, size_t size)
{
    unsigned long id = 1;
    unsigned long long expected = strtoull(text, NULL, 10);
    bool right = is_digits(text, size) && size <= 10 && expected < 4294967295u;

    expect(number_id(bytes, size, &id) == right);
    expect(id == (right ? expected : 1));
}

static void expect_signal(const char *text, int signal)
{
    char *bytes = malloc(strlen(text));

    if (!bytes)
        abort();
    memcpy(bytes, text, strlen(text));
    expect(signal_by_name(bytes, strlen(text)) == signal);
    free(bytes);
}

/* Each spelling of it is the same signal. */
static void check_spellings(int signal)
{
    char text[32];
    const char *name = signal_name(signal);

    (void)snprintf(text, sizeof text, "%d", signal);
    expect_signal(text, signal);
    if (!name)
        return;
    expect_signal(name, signal);
    (void)snprintf(text, sizeof text, "SIG%s", name);
    expect_signal(text, signal);
    for (char *at = text; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    expect_signal(text, signal);
}

static void check_signal(const char *bytes, const char *text, size_t size)
{
    const char *digits = size > 3 && strncasecmp(text, "sig", 3) == 0 ? text + 3 : text;
    size_t count = size - (size_t)(digits - text);
    int signal = signal_by_name(bytes, size);

    expect(signal == -1 || (signal >= 1 && signal <= SIGRTMAX));
    if (is_digits(digits, count)) {
        unsigned long long number = strtoull(digits, NULL, 10);

        expect(signal == (number >= 1 && number <= (unsigned long long)SIGRTMAX ? (int)number : -1));
    }
    if (signal > 0)
        check_spellings(signal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);

    check_id((const char *)data, text, size);
    check_signal((const char *)data, text, size);
    free(text);
    return 0;
}
