/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Follows the helper's processes by ptrace(2) from system call to system call: keeper, relay, and each child of theirs
 * until it executes something. Gives each call a name, and makes the one fail that was asked for.
 */
#ifndef FAULTS_TRACER_H
#define FAULTS_TRACER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CALL_NAME_MOST 120
#define CALLS_MOST 512u

/* The calls of one name, such as "relay:fcntl(F_SETFL)", and how many there were. */
struct calls {
    char name[CALL_NAME_MOST];
    unsigned count;
};

/* The call that is to fail: of those of that name the one of that number, from 1 on; name NULL: none. */
struct fault {
    const char *name;
    unsigned number;
    int error;
    bool performed; /* the kernel does it all the same, as close(2) does */
    bool hit;
};

struct process {
    pid_t pid; /* 0: this place is free */
    char role[16];
    bool waits_for_parent; /* it has stopped, and who has made it isn't known yet */
    bool inside;           /* a call has begun and not ended */
    bool fails;            /* that one is the fault */
};

struct tracer {
    struct process processes[16];
    struct calls calls[CALLS_MOST];
    unsigned call_count;
    unsigned forks; /* of the keeper */
    unsigned grandchildren;
    bool counts;         /* names are counted, and the fault is looked for, from when on this is set */
    bool waits_for_lock; /* the keeper's first child is the one that waits for the lock */
    struct fault fault;
    pid_t keeper;
    pid_t relay; /* 0 before it is there */
};

/* Whether this machine's registers are known. */
extern const bool tracer_works_here;

/* Takes hold of a process that is about to execute the helper, and of what descends from it. */
void tracer_begin(struct tracer *tracer, pid_t pid);
/* Deals with what waitpid(2) has told. False when it is no matter of the tracer's. */
bool tracer_take(struct tracer *tracer, pid_t pid, int status);
/* Whether one of the helper's own processes is still there. */
bool tracer_follows_any(const struct tracer *tracer);
void tracer_kill(struct tracer *tracer);

#endif
