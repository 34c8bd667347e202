/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The command line as a struct. Pure: does no I/O, looks up no name, keeps pointers into argv, and puts --arg0 there.
 * Promises that every number is in its range and every choice one of its enum; a failure names the argument and why.
 */
#ifndef MUONTRAP_OPTIONS_H
#define MUONTRAP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "cgroup/legacy.h"

#define DELAY_TO_SIGKILL_DEFAULT 500u /* ms */
#define SETENV_MOST 128u              /* --setenv options */
#define CONTROLLER_MOST 16u           /* --controller options */

enum stdin_mode { STDIN_AUTO, STDIN_LIFELINE, STDIN_INHERIT, STDIN_NULL };
enum output_mode { OUTPUT_AUTO, OUTPUT_INHERIT, OUTPUT_NULL, OUTPUT_STDOUT, OUTPUT_RELAY };

/* What to do without although the kernel has it, as an older one must (for tests, and so not in the usage). */
enum without { WITHOUT_CLONE_INTO_CGROUP = 1, WITHOUT_CGROUP_KILL = 2 };

struct options {
    bool help;
    bool version;
    bool port;  /* frames on stdin and stdout */
    bool check; /* say what there is for a cgroup */
    bool clean; /* remove what a dead helper has left in the cgroup */
    enum stdin_mode stdin_mode;
    enum output_mode stdout_mode;
    enum output_mode stderr_mode;
    uint32_t delay_to_sigkill; /* ms */
    uint32_t stdio_window;     /* bytes; 0: follow the reader */
    const char *uid;           /* each a name or a number as given; NULL when not asked for */
    const char *gid;
    const char *groups; /* comma-separated; "" for none */
    const char *arg0;
    const char *cd;
    const char *group; /* the cgroup's path; NULL without one */
    bool auto_group;   /* which is "auto", and stands for one below this process's own */
    unsigned controller_count;
    const char *controllers[CONTROLLER_MOST];
    unsigned set_count;
    const char *sets[SETTINGS_MOST]; /* each KEY=VALUE */
    unsigned without;                /* of enum without */
    unsigned setenv_count;
    const char *setenv[SETENV_MOST]; /* each NAME=VALUE */
    const char *file;                /* PROGRAM as given */
    char **program;                  /* its argv: PROGRAM, or --arg0, and [ARG]..., ends with NULL */
};

/* False, with the failure filled, when the command line can't be carried out. `options->port` is right even then, as
 * far as the command line was read, so that the failure can be reported the way that the caller reads. */
bool options_parse(struct options *options, int argc, char *argv[], struct failure *why);

extern const char options_usage[];

#endif
