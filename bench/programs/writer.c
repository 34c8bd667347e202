// SPDX-FileCopyrightText: The MuonTrap contributors
// SPDX-License-Identifier: Apache-2.0
//
// writer SIZE COUNT: writes so many blocks of so many bytes to standard output, each by one write(2), as long as the
// reader takes them whole.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int put(const char *block, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, block, size);
        if (written == -1 && errno != EINTR)
            return -1;
        if (written > 0) {
            block += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: writer SIZE COUNT\n", stderr);
        return 2;
    }
    size_t size = strtoul(argv[1], NULL, 10);
    long count = strtol(argv[2], NULL, 10);
    char *block = calloc(size, 1);
    for (long i = 0; block && i < count; i++) {
        if (put(block, size) == -1) {
            fprintf(stderr, "writer: write: %s\n", strerror(errno));
            return 1;
        }
    }
    return block ? 0 : 1;
}
