/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHOICES_MOST 4000

static struct {
    unsigned char taken[CHOICES_MOST];
    unsigned char of[CHOICES_MOST];
    const char *who[CHOICES_MOST];
    const char *said[CHOICES_MOST];
    unsigned length;
    unsigned at;
} script;

/* A table with open addressing, which is half empty at least. */
struct seen {
    uint64_t hash; /* 0: none */
    unsigned events_left;
    unsigned run;
};
static struct seen *seen;
static size_t seen_size; /* a power of 2 */
static unsigned long seen_count;
static unsigned runs;

void search_begin(void)
{
    script.at = 0;
    runs++;
}

unsigned search_choose(unsigned of)
{
    if (script.at == CHOICES_MOST)
        search_goes_on_without_end();
    if (script.at == script.length) {
        script.taken[script.at] = 0;
        script.length++;
    }
    script.of[script.at] = (unsigned char)of;
    script.said[script.at] = NULL;
    return script.taken[script.at++];
}

void search_say(const char *who, const char *what)
{
    script.who[script.at - 1] = who;
    script.said[script.at - 1] = what;
}

bool search_is_beyond(void)
{
    return script.at >= script.length;
}

bool search_next(void)
{
    script.length = script.at;
    while (script.length > 0 && script.taken[script.length - 1] + 1u >= script.of[script.length - 1])
        script.length--;
    if (script.length == 0)
        return false;
    script.taken[script.length - 1]++;
    return true;
}

void search_print_way(void)
{
    for (unsigned i = 0; i < script.at; i++)
        if (script.said[i])
            printf("    %s%s\n", script.who[i], script.said[i]);
}

void search_mix(uint64_t *hash, const void *bytes, size_t size)
{
    const char *at = bytes;

    for (; size > 0; at += sizeof(uint64_t)) {
        size_t most = size < sizeof(uint64_t) ? size : sizeof(uint64_t);
        uint64_t word = 0;

        memcpy(&word, at, most);
        *hash = (*hash ^ word) * 0x9e3779b97f4a7c15u;
        *hash ^= *hash >> 29;
        size -= most;
    }
}

static struct seen *place_of(uint64_t hash)
{
    size_t at = (size_t)(hash >> 20) & (seen_size - 1);

    while (seen[at].hash != 0 && seen[at].hash != hash)
        at = (at + 1) & (seen_size - 1);
    return &seen[at];
}

static void make_table(size_t size)
{
    seen = calloc(size, sizeof *seen);
    if (!seen) {
        fprintf(stderr, "there are too many states: no memory for a table of %zu\n", size);
        exit(2);
    }
    seen_size = size;
}

static void enlarge_table(void)
{
    struct seen *old = seen;
    size_t size = seen_size;

    make_table(2 * size);
    for (size_t i = 0; i < size; i++)
        if (old[i].hash != 0)
            *place_of(old[i].hash) = old[i];
    free(old);
}

enum search_seen search_seen(uint64_t hash, unsigned events_left)
{
    struct seen *place;

    hash |= 1;
    place = place_of(hash);
    if (place->hash != 0 && place->events_left == events_left && place->run == runs)
        return SEARCH_SEEN_IN_THIS_RUN;
    if (place->hash != 0 && place->events_left >= events_left)
        return SEARCH_SEEN;
    if (place->hash == 0)
        seen_count++;
    *place = (struct seen){.hash = hash, .events_left = events_left, .run = runs};
    if (2 * seen_count > seen_size)
        enlarge_table();
    return SEARCH_NEW;
}

void search_forget(void)
{
    free(seen);
    make_table(1u << 16);
    seen_count = 0;
    runs = 0;
    script.length = 0;
}

unsigned long search_states(void)
{
    return seen_count;
}

unsigned long search_runs(void)
{
    return runs;
}
