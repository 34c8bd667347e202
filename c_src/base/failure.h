/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What went wrong: the stage, the errno and a sentence that names what was tried, on what, why it failed and the
 * remedy. Whoever can fail takes a struct failure and returns false after filling it; only main, relay and keeper
 * report it.
 */
#ifndef MUONTRAP_FAILURE_H
#define MUONTRAP_FAILURE_H

#include <stdbool.h>

/* The numbers are part of the protocol: docs/protocol.md lists them. */
enum stage {
    STAGE_OPTIONS = 1,
    STAGE_SETUP = 2,
    STAGE_CGROUP = 3,
    STAGE_SPAWN = 4,
    STAGE_CD = 5,
    STAGE_GROUPS = 6,
    STAGE_GID = 7,
    STAGE_UID = 8,
    STAGE_EXEC = 9,
    STAGE_PROTOCOL = 10,
    STAGE_RELAY = 11,
    STAGE_SWEEP = 12,
    STAGE_LOCK = 13,
    STAGE_PTY = 14,
    STAGE_TERMINAL = 15,
    STAGE_STDIN = 16,
    STAGE_STDOUT = 17,
    STAGE_STDERR = 18,
    STAGE_RLIMIT = 19,
    STAGE_NICE = 20,
    STAGE_CPUS = 21,
    STAGE_OOM_SCORE_ADJ = 22,
    STAGE_NO_NEW_PRIVS = 23,
    STAGE_ATTACH = 24
};

struct failure {
    enum stage stage;
    int error; /* an errno value; 0 where no system call failed */
    char words[1024];
};

/* Fills the failure and returns false, so that a caller can say "return failed(why, ...)". */
bool failed(struct failure *why, enum stage stage, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The errno's symbolic name in lower case as Erlang spells it ("enoent"); "" where there is none. */
const char *errno_name(int error);

#endif
