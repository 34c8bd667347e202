/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * One run of the helper: a scenario, in which one system call fails or none, and what came of it.
 */
#ifndef FAULTS_RUN_H
#define FAULTS_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "owner.h"
#include "tracer.h"

struct run {
    const struct scenario *scenario;
    struct tracer tracer;
    struct owner owner;
    unsigned phase; /* the scenario's own */
    bool is_quiet;  /* nothing has happened for a moment */
    bool gone;      /* after the fault nobody can be told anything */
    int err;        /* the helper's standard error; -1 when it has ended */
    char words[4096];
    size_t words_size;
    bool has_left; /* the helper, and then: */
    int status;
    pid_t target; /* of --attach */
    bool target_ended;
    int lock; /* a lock that the driver holds; -1: none */
    unsigned descriptors;
    char left[200];  /* the first process that is left alive; empty: none */
    char wrong[400]; /* the first thing that is; empty: nothing */
};

struct scenario {
    const char *name;
    const char *const *args;
    bool speaks_frames;
    bool reads_slowly;
    bool needs_cgroup;
    bool needs_root;
    bool has_target;
    bool is_locked;         /* by the driver, at first */
    bool counts_from_start; /* else when step() says so, because the calls before are those of another scenario */
    bool dies_silently;     /* it ends without *exited*, because the relay is killed */
    void (*step)(struct run *run); /* called again and again while it goes on */
};

/* Where the tests make their cgroups; empty where they can't. */
extern char run_cgroup_base[200];
extern const char *run_lock_file;

/* What belongs to this process: signals, the cgroup, a file to lock. */
void run_prepare(void);
void run_clean_up(void);

/* Runs it to its end. With `gone` the owner lets go after the fault. */
void run_scenario(struct run *run, const struct scenario *scenario, const struct fault *fault, bool gone);
void run_free(struct run *run);

/* Notes that something is wrong, if it is the first thing. */
__attribute__((format(printf, 2, 3))) void run_complain(struct run *run, const char *format, ...);
/* How many descriptors keeper and relay have together. */
unsigned run_descriptors(const struct run *run);

#endif
