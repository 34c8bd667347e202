/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets share.
 */
#ifndef MUONTRAP_FUZZ_H
#define MUONTRAP_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void expect(bool holds)
{
    if (!holds)
        abort();
}

/* The bytes and a NUL, in memory of exactly that size, so that a read behind its end is seen. */
static inline char *fuzz_text(const void *bytes, size_t size)
{
    char *text = malloc(size + 1);

    if (!text)
        abort();
    if (size > 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

/* The next of the texts that NULs separate, and which a NUL ends; "" when there is none any more. */
static inline const char *fuzz_next(const char **at, const char *end)
{
    const char *text = *at < end ? *at : end;

    *at = text + strlen(text) + 1;
    return text;
}

#endif
