/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * All that belongs to one launch of one program: what was asked for, the program, what descends from it, its output and
 * its end. It starts as all zero, and nothing of it is kept anywhere else, so that the next launch of the same helper
 * begins with a fresh one.
 */
#ifndef MUONTRAP_LAUNCH_H
#define MUONTRAP_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "base/signals.h"
#include "cgroup/cgroup.h"
#include "containment/sweep.h"
#include "containment/tree.h"
#include "options.h"
#include "port/console.h"
#include "port/input.h"
#include "port/output.h"
#include "port/protocol.h"
#include "program/child.h"
#include "program/identity.h"

#define LAUNCH_ARGS_MOST 509u /* arguments in a launch frame */

/* What has been granted to the program once it was told to end. All times are as of io_now_us(). */
struct patience {
    unsigned step;           /* which of the options' steps it is at */
    uint64_t until;          /* when that step's time is up */
    uint64_t check_after_us; /* how long after the last check of it the next one comes */
    bool checks;             /* there are some, before that time is up */
    unsigned bomb;           /* so many orphans are a fork bomb; 0 while not known */
    uint64_t forked;         /* how often its cgroup had forked when the program was told to end */
    bool forks_known;
};

/* What every launch touches comes first, and stands close together: each page of it that is touched is resident. */
struct launch {
    struct signals_kept kept_signals;
    bool lifeline;         /* without --port: the end of standard input means stop */
    bool lifeline_ended;   /* and it can't tell so, because it has no other end */
    bool null_stdin;       /* the program gets /dev/null as its standard input, not ours */
    bool never_ran;        /* the program could not be started; `why` says why */
    bool cancelled;        /* which is that somebody wanted it to stop before */
    bool stopped;          /* the owner's *stop* has come before the program's end */
    bool forced;           /* in a stop, the time was up before all had ended by itself */
    bool output_failed;    /* from a shell: the program's output could not be written, which `fault` has told */
    bool tree_gone;        /* no descendant is left, or none that we may kill */
    bool eventful;         /* something has come up after which the helper is not as good as new */
    unsigned keys;         /* of enum terminal_key: what has interrupted it from the terminal */
    int lock;              /* the file that is locked, which the program inherits; 0 without one */
    struct cgroup *cgroup; /* &cgroup_state; NULL when none was asked for */
    struct child child;
    struct tree tree;
    struct sweeping sweeping;
    struct patience patience;
    struct ending ending;
    struct options options;
    struct input input;
    struct identity identity;
    struct console console; /* without --port, and with --pty */
    struct decoder decoder; /* of the frames that the owner sends */
    struct output output;
    struct cgroup cgroup_state;
    struct failure why;
    gid_t groups[GROUPS_MOST];        /* the identity's list */
    struct spared spared;             /* the keeper's children from before */
    struct told told;                 /* the relay's children that have been told to end */
    char *args[LAUNCH_ARGS_MOST + 3]; /* the command line of a launch frame, and the words before it */
    char text[LAUNCH_MOST];           /* where it is */
    uint8_t input_bytes[INPUT_WINDOW_MOST];
};

/* Makes it the one of a launch that comes with a frame: as all zero, but for what stays the helper's. */
void launch_renew(struct launch *launch);

/* Reads the options from the text of a launch frame, of that size: each argument of a command line behind `muontrap
 * --port`, with a null byte after it. */
bool launch_read(struct launch *launch, size_t size, struct failure *why);

#endif
