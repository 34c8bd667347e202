/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/format.h"

#include <stdbool.h>
#include <string.h>

/* Where the text goes. */
struct sink {
    char *at;    /* where the next character goes */
    size_t left; /* bytes from there on, with the one for the NUL */
};

static void put_text(struct sink *sink, const char *text, size_t size)
{
    if (size > sink->left - 1)
        size = sink->left - 1;
    memcpy(sink->at, text, size);
    sink->at += size;
    sink->left -= size;
}

static void put_number(struct sink *sink, unsigned long value, unsigned base, int width, bool negative)
{
    char digits[24];
    char *at = digits + sizeof digits;

    do {
        *--at = "0123456789abcdef"[value % base];
        value /= base;
        width--;
    } while (value > 0 || width > 0);
    if (negative)
        *--at = '-';
    put_text(sink, at, (size_t)(digits + sizeof digits - at));
}

static void put_signed(struct sink *sink, long value)
{
    put_number(sink, value < 0 ? 0UL - (unsigned long)value : (unsigned long)value, 10, 0, value < 0);
}

/* strnlen(3) */
static size_t bounded_length(const char *text, size_t most)
{
    const char *end = memchr(text, '\0', most);

    return end ? (size_t)(end - text) : most;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): `text` is written to through the sink */
void format_list(char *text, size_t size, const char *format, va_list args)
{
    struct sink sink = {.at = text, .left = size};
    const char *string;
    char character;

    while (*format) {
        size_t most = size; /* of a string no more is read than fits */
        const char *percent = strchr(format, '%');
        size_t plain = percent ? (size_t)(percent - format) : strlen(format);

        put_text(&sink, format, plain);
        format += plain;
        if (!percent)
            break;
        format++;
        if (strncmp(format, ".*", 2) == 0) {
            most = (size_t)va_arg(args, int);
            most = most < size ? most : size;
            format += 2;
        }
        switch (*format++) {
        case 's':
            string = va_arg(args, const char *);
            put_text(&sink, string, bounded_length(string, most));
            break;
        case 'c':
            character = (char)va_arg(args, int);
            put_text(&sink, &character, 1);
            break;
        case 'd':
            put_signed(&sink, va_arg(args, int));
            break;
        case 'u':
            put_number(&sink, va_arg(args, unsigned), 10, 0, false);
            break;
        case 'l':
            if (*format++ == 'd')
                put_signed(&sink, va_arg(args, long));
            else
                put_number(&sink, va_arg(args, unsigned long), 10, 0, false);
            break;
        case '0': /* 02x */
            put_number(&sink, va_arg(args, unsigned), 16, 2, false);
            format += 2;
            break;
        default: /* %% */
            put_text(&sink, "%", 1);
        }
    }
    *sink.at = '\0';
}

void format(char *text, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    format_list(text, size, format, args);
    va_end(args);
}
