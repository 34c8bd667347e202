/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever a process is called, and whatever /proc says of it, its parent and its flags are found behind the name's end
 * and not in the name. The input is numbers for the line that is made up, then the process's name or the whole of the
 * file.
 */
#include "fuzz.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

#include "base/platform.h"
#include "files.h"

#define NUMBERS 8u       /* bytes */
#define NAME_MOST 64u    /* bytes that the kernel gives as a name, as for its own threads */
#define KERNEL 0x200000u /* among the flags */

static void give(const char *path, const char *text)
{
    files_give(path, text, strlen(text), 0);
}

/* What a kernel writes is understood, whatever the name is. */
static void check_line(const char *name, uint32_t parent, uint32_t flags)
{
    char stat[256];
    enum platform_kind kind;

    (void)snprintf(stat, sizeof stat, "1 (%.*s) S %u 4194304 4194304 34816 -1 %u 12 0 3 0\n", (int)NAME_MOST, name,
                   parent, flags);
    give("/proc/1/stat", stat);
    give("/proc/1/comm", "muontrap-idle\n");
    kind = platform_kind(1);
    expect(platform_parent(1) == (pid_t)parent);
    expect(kind == (flags & KERNEL ? PLATFORM_KERNEL_THREAD : PLATFORM_HELPER));
    expect(files_take_back());
}

/* And of what no kernel writes nothing comes but a number that a pid can have. */
static void check_text(const char *text)
{
    enum platform_kind kind;

    give("/proc/1/stat", text);
    give("/proc/1/comm", "name\n");
    kind = platform_kind(1);
    expect(platform_parent(1) >= 0);
    expect(*text == '\0' ? kind == PLATFORM_HIDDEN : kind == PLATFORM_KERNEL_THREAD || kind == PLATFORM_ORDINARY);
    expect(files_take_back());
}

/* A name is its first line, up to its room, and printable. */
static void check_name(const char *text)
{
    char name[PLATFORM_NAME_MOST];
    size_t size = strcspn(text, "\n");

    give("/proc/1/comm", text);
    memset(name, 'x', sizeof name);
    if (platform_name(1, name)) {
        expect(strnlen(name, sizeof name) == (size < sizeof name ? size : sizeof name - 1));
        for (size_t i = 0; name[i] != '\0'; i++)
            expect(name[i] == (isascii(text[i]) && isprint((unsigned char)text[i]) ? text[i] : '?'));
    } else {
        expect(*text == '\0');
    }
    expect(files_take_back());
}

/* The pages that pipes may have, as far as their bytes can be counted: 0 and what is no number are no limit. */
static void check_pipe_pages(const char *text)
{
    char digits[25]; /* of which the kernel has fewer */
    unsigned long pages;

    (void)snprintf(digits, sizeof digits, "%.*s", (int)strspn(text, "0123456789"), text);
    pages = strtoul(digits, NULL, 10);
    if (pages == 0)
        pages = 16384;
    give("/proc/sys/fs/pipe-user-pages-soft", text);
    expect(platform_pipe_bytes_most() == (pages < UINT_MAX / 4096 ? pages : UINT_MAX / 4096) * 4096);
    expect(files_take_back());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t numbers[2];
    char *text;

    if (size < NUMBERS)
        return 0;
    memcpy(numbers, data, NUMBERS);
    text = fuzz_text(data + NUMBERS, size - NUMBERS);
    check_line(text, numbers[0] & INT_MAX, numbers[1]);
    check_text(text);
    check_name(text);
    check_pipe_pages(text);
    free(text);
    return 0;
}
