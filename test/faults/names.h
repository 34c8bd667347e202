/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The names of the system calls that the helper makes, and how each one is made to fail.
 */
#ifndef FAULTS_NAMES_H
#define FAULTS_NAMES_H

#include <stdbool.h>

/* What belongs to a call's name beside the call itself. */
enum detail {
    DETAIL_NONE,
    DETAIL_FILE,     /* the file of its first argument, a descriptor */
    DETAIL_TRANSFER, /* the same, and whether it is about a signal's note */
    DETAIL_PATH,     /* its first argument, a path */
    DETAIL_PATH_AT,  /* its second one */
    DETAIL_VALUE,    /* the argument of that number, by its name */
    DETAIL_KILL,
    DETAIL_WAIT,
    DETAIL_POLL
};

struct name {
    long number;
    const char *text;
    enum detail detail;
    int argument;
};

/* NULL for one that isn't known. */
const struct name *name_of_call(long number);
const char *name_of_value(long call, long value);

#define ERRORS_MOST 16

/* How the calls whose names match are made to fail. Of several rows that match the first counts. */
struct row {
    const char *pattern;     /* as of fnmatch(3) */
    int errors[ERRORS_MOST]; /* those that its manual page has, in front the one that `make faults` takes */
    int gone[ERRORS_MOST];   /* after these nobody can be told any more; that nothing is left is seen to all the same */
    bool performed;          /* the kernel does it all the same */
    bool may_force;     /* the program may be killed in a stop that it would have ended by itself in; that is told */
    const char *excuse; /* not made to fail, and why */
};

/* NULL for a call that nobody has thought of. */
const struct row *row_of_call(const char *name);
const char *name_of_error(int error);

#endif
