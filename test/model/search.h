/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The search of a model: every order of what can happen, gone through by runs from the beginning. A run asks at each
 * fork which way to go. It ends early in a state that was there before, of which nothing new can come.
 */
#ifndef MUONTRAP_MODEL_SEARCH_H
#define MUONTRAP_MODEL_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The next run goes on from the beginning. */
void search_begin(void);

/* One of so many ways, from 0. */
unsigned search_choose(unsigned of);

/* What is printed of the way that was chosen last, and of whom; else nothing is. */
void search_say(const char *who, const char *what);

/* Beyond the last fork of the run before: the ways to here have all been gone by that one, too. */
bool search_is_beyond(void);

/* After a run. False when all ways have been gone. */
bool search_next(void);

void search_print_way(void);

/* The model's own: called when a run has more forks than are kept. Doesn't return. */
_Noreturn void search_goes_on_without_end(void);

/* ---- States that were there before ---- */

#define SEARCH_HASH 0xcbf29ce484222325u /* of nothing */

void search_mix(uint64_t *hash, const void *bytes, size_t size);

enum search_seen { SEARCH_NEW, SEARCH_SEEN, SEARCH_SEEN_IN_THIS_RUN };

/* Whether the state with that hash was there with as many events left, and takes note of it. */
enum search_seen search_seen(uint64_t hash, unsigned events_left);

/* Forgets them, and all ways that have been gone. */
void search_forget(void);

unsigned long search_states(void);
unsigned long search_runs(void);

#endif
