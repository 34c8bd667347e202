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
#include <sys/types.h>

#include "base/failure.h"
#include "base/terminal_modes.h"
#include "cgroup/legacy.h"
#include "program/attributes_text.h"

#define DELAY_TO_SIGKILL_DEFAULT 500u /* ms */
#define LOCK_FOREVER UINT32_MAX
#define STEPS_MOST 8u         /* --stop-signal options */
#define SETENV_MOST 128u      /* --setenv options */
#define LOGIN_MOST 4u         /* variables that --uid sets */
#define CONTROLLER_MOST 16u   /* --controller options */
#define PTY_MODES_MOST 64u    /* --pty-mode options */
#define STOP_COMMAND_MOST 64u /* --stop-command options */

enum stdin_mode { STDIN_AUTO, STDIN_LIFELINE, STDIN_INHERIT, STDIN_NULL, STDIN_RELAY, STDIN_FILE };
enum output_mode {
    OUTPUT_AUTO,
    OUTPUT_INHERIT,
    OUTPUT_NULL,
    OUTPUT_STDOUT,
    OUTPUT_RELAY,
    OUTPUT_FILE,
    OUTPUT_TERMINAL /* which has no name, but goes with --pty */
};

/* What a shell's > and >> are. */
struct output_file {
    const char *path;
    bool append;
    mode_t mode; /* of a new file, less the umask */
};

/* What to do without although the kernel has it, as an older one must (for tests, and so not in the usage). */
enum without { WITHOUT_CLONE_INTO_CGROUP = 1, WITHOUT_CGROUP_KILL = 2 };

/* A signal that tells the program to end, and the time that it has for that. */
struct stop_step {
    int signal;
    uint32_t ms;
};

/* What --uid sets, from the second on. */
extern const char *const login_variables[LOGIN_MOST + 1];

struct options {
    bool help;
    bool version;
    bool port;  /* frames on stdin and stdout */
    bool waits; /* without a program: each comes with a launch frame */
    bool check; /* say what there is for a cgroup */
    bool clean; /* remove what a dead helper has left in the cgroup */
    enum stdin_mode stdin_mode;
    enum output_mode stdout_mode;
    enum output_mode stderr_mode;
    const char *stdin_file;
    struct output_file stdout_file;
    struct output_file stderr_file;
    bool pty;          /* the program gets a terminal */
    uint16_t pty_rows; /* 0: not said */
    uint16_t pty_columns;
    unsigned pty_mode_count;
    uint32_t delay_to_sigkill; /* ms */
    unsigned step_count;       /* one at least */
    struct stop_step steps[STEPS_MOST];
    uint32_t stdio_window; /* bytes; 0: follow the reader */
    bool tells_ends;       /* of the program's stdout and stderr */
    bool clears_env;
    unsigned stop_command_count; /* 0 without one */
    const char *uid;             /* each a name or a number as given; NULL when not asked for */
    const char *gid;
    const char *groups; /* comma-separated; "" for none */
    const char *arg0;
    const char *cd;
    uint32_t attach;  /* the process to attach to, in a program's place; 0 without one */
    int starter;      /* who started muontrap, where that isn't this process's parent any more; 0: it is */
    uint32_t fresh;   /* of a launch: the owner's pid, if it is to be begun only as by a new helper; 0: in any case */
    const char *lock; /* the file */
    uint32_t lock_timeout; /* ms; LOCK_FOREVER without one */
    const char *group;     /* the cgroup's path; NULL without one */
    bool auto_group;       /* which is "auto", and stands for one below this process's own */
    unsigned controller_count;
    unsigned set_count;
    unsigned without; /* of enum without */
    const char *controllers[CONTROLLER_MOST];
    const char *sets[SETTINGS_MOST];           /* each KEY=VALUE */
    char *stop_command[STOP_COMMAND_MOST + 1]; /* its argv, ends with NULL */
    struct attributes attributes;
    unsigned setenv_count;
    unsigned keepenv; /* a bit for each of login_variables that --uid leaves as it is */
    /* Each NAME=VALUE, or NAME alone to unset it, with room for the stop command's CHILD_PID. */
    const char *setenv[SETENV_MOST + LOGIN_MOST + 1];
    struct terminal_mode pty_modes[PTY_MODES_MOST];
    const char *file; /* PROGRAM as given */
    char **program;   /* its argv: PROGRAM, or --arg0, and [ARG]..., ends with NULL */
};

/* False, with the failure filled, when the command line can't be carried out. `options->port` is right even then, as
 * far as the command line was read, so that the failure can be reported the way that the caller reads. */
bool options_parse(struct options *options, int argc, char *argv[], struct failure *why);

/* Whether two of NAME=VALUE or NAME alone have the same name. */
bool options_same_variable(const char *a, const char *b);

/* In two parts, for a string may have no more than 4,095 bytes (C11, 5.2.4.1). */
extern const char options_usage[];
extern const char options_usage_rest[];

#endif
