/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The inner process: the program's parent. One poll(2) loop and one table of states by events.
 * Promises that when it returns no descendant is alive, and that in a port the owner has been told how the program
 * ended, after every byte that it wrote.
 *
 * How it works. Whatever happens becomes an event, and an event is only ever posted: it lies there until the loop takes
 * it out, looks up the action in the table, and runs it. An action does its work, may post further events, and returns
 * the next state; it never runs another action. The loop ends a turn, and waits in poll(2), only when no event is left.
 *
 * Events come from two places. The sources (events.c) post what the kernel tells: what has been read from descriptors,
 * and signals. What follows from the relay's own state is asked by one function (post_what_follows() in relay.c) after
 * every step, and nowhere else. So it makes no difference which step has brought a state about, and none is waited for
 * that is there already.
 */
#ifndef MUONTRAP_RELAY_H
#define MUONTRAP_RELAY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/failure.h"
#include "containment/tether.h"
#include "port/protocol.h"

struct launch;

enum state {
    LAUNCHING, /* there is a process that is to become the program */
    RUNNING,   /* the program runs */
    STOPPING,  /* it has been told to end, and has time to do so by itself */
    ENDING,    /* it has ended in that time, and what is left of its tree has been told, and has the rest of the time */
    KILLING,   /* the sweep goes on until no descendant is left */
    DRAINING,  /* what the dead have written is being sent */
    REPORTED,  /* the owner has been told all, and lets go in its own time */
    IDLE,      /* the same, or nothing has been asked for yet, and a launch may come */
    DONE,
    STATES
};

/* In the order in which they are dealt with when several have been posted. */
enum event {
    VERDICT,          /* the new process has told something of itself */
    LAUNCH_ASKED,     /* the owner has sent a launch */
    FAULT,            /* something went wrong that `fault` says, and the program has to be stopped because of it */
    STOP_ASKED,       /* by the owner, the end of the lifeline or the keeper's death */
    SIGNALLED,        /* the same by a signal */
    KEY_PRESSED,      /* one of the terminal's keys that interrupt */
    CHILDREN_CHANGED, /* a child has ended, stopped or been continued, or the cgroup has become empty */
    KEEPER_CONTINUED, /* somebody has continued the keeper */
    PROGRAM_ENDED,    /* the program is a zombie */
    TIME_UP,   /* the deadline has passed: of the tree's time, or of the next look at it, or the sweep's next pass */
    TREE_GONE, /* no descendant is left, or none that we may kill */
    DRAINED,   /* nothing is left to send */
    DISUSED,   /* nobody should launch anything here any more */
    LET_GO,    /* all is said, and the owner will not write any more */
    EVENTS
};

struct relay {
    struct launch *launch;
    enum state state;
    unsigned posted;   /* a bit for each event that is to be dealt with */
    uint64_t deadline; /* as of io_now_us(); 0: none */
    int signals;       /* as of signals_open() */
    int tether;        /* -1 once it has hung up */
    struct bequest *bequest;
    pid_t keeper;
    size_t text_size;    /* of the launch frame that came last */
    unsigned forgets_in; /* so many waits the code of the start is kept, if none is long before; 0: it is given back */
    pid_t parent;        /* the keeper's */
    bool waits;          /* launches come by frames */
    bool disused;        /* the helper leaves by itself, without a launch */
    bool keeper_stopped; /* because the program is */
    int keeper_stops;    /* how often it has been told to stop */
    unsigned stops_followed;   /* the stop of the program, by its number, for which it was told so last */
    int keeper_continued_from; /* the stop, by that number, that somebody has continued it from; 0: from none */
    int keeper_told;           /* how many continuations of its own it has told us */
    uint64_t continued_until;  /* until then the keeper may tell of a SIGCONT that was the whole group's; 0: of none */
    bool key_missed;           /* a key was pressed when the process that becomes the program wasn't there yet */
    int control;               /* standard input as frames or lifeline; -1 when it is neither or has ended */
    bool deaf;                 /* a malformed frame has come: what follows has no meaning */
    bool signalled;            /* a signal has come that means stop, when all had been said */
    int stopped_by_key;        /* the signal of the terminal's key that the program is stopped for; 0: it isn't */
    bool more_dead;            /* orphans are still to be reaped, though their signals have been taken */
    uint64_t drained;          /* how much output had been sent when it was last looked whether somebody takes it */
    struct failure fault;
};

/* Adds the event to those that are to be dealt with. The words of a FAULT are in relay->fault by then. */
void relay_post(struct relay *relay, enum event event);

/* Starts the program and runs until all is over. Returns the status to exit with; -1 with the failure filled when
 * there was never a process that might have become the program. */
int relay_run(struct launch *launch, const struct tether *tether, struct failure *why);

#endif
