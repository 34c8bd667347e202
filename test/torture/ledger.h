/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the processes of a case write down, in a file that all of them have mapped, so that it is known even of one that
 * was killed in the next instant. MuonTrap.Torture.Ledger reads the same.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEDGER_PROCESSES 64
#define LEDGER_INCARNATIONS 8

struct process {
    uint32_t pid;        /* 0 until it runs */
    uint32_t act;        /* how many acts it has begun */
    uint32_t done;       /* whether it has come to its end by itself */
    uint32_t error;      /* errno of what it couldn't do */
    uint64_t started;    /* in clock ticks since boot, proc(5), so that it can't be confused with another of that pid */
    uint64_t written[2]; /* bytes that write(2) has returned for */
    uint32_t writing[2]; /* bytes of the write(2) under way */
    uint64_t read;       /* bytes of standard input */
    uint32_t bad_input;  /* whether they were not what they should be */
    uint32_t napping;
    uint64_t spare[8];
};

struct ledger {
    uint32_t claimed;
    uint32_t relay;
    uint64_t relay_started;
    uint32_t keeper;
    uint32_t overlap; /* the pid of a process of the incarnation before that was alive, or 0 */
    uint64_t keeper_started;
    uint64_t spare[4];
    struct process process[LEDGER_PROCESSES];
};

_Static_assert(sizeof(struct process) == 128, "MuonTrap.Torture.Ledger has the same layout");
_Static_assert(offsetof(struct ledger, process) == 64, "MuonTrap.Torture.Ledger has the same layout");

/* The parent and the start of a process, as proc(5) has them, and its state; false when there is none. */
static inline int process_stat(uint32_t pid, char *state, uint32_t *parent, uint64_t *started)
{
    char path[64], text[1024];
    FILE *file;
    size_t size;
    char *rest;
    unsigned long long start = 0;
    unsigned above = 0;

    (void)snprintf(path, sizeof path, "/proc/%u/stat", pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[size] = '\0';
    rest = strrchr(text, ')');
    if (rest == NULL ||
        sscanf(rest + 1, " %c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", state,
               &above, &start) != 3)
        return 0;
    *parent = above;
    *started = start;
    return 1;
}

#endif
