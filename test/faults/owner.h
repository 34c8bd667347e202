/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The owner's end of a helper: what has come, as docs/protocol.md has it, and what is to be sent. Unlike
 * test/c/client.c it never waits, because the process that it is in has to see to the helper's system calls at the same
 * time; and it notes what is wrong in place of failing.
 */
#ifndef FAULTS_OWNER_H
#define FAULTS_OWNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct owner {
    int in;  /* the helper's standard input; -1 once closed */
    int out; /* and output; -1 once it has ended */
    bool speaks_frames;

    uint8_t *raw; /* what has come and is no whole frame yet; without frames all of it */
    size_t raw_size;
    uint8_t *queue; /* what is to be written */
    size_t queue_size;

    unsigned launches; /* ends that have been told */
    bool started;      /* since the last end */
    bool errored;
    bool told_unused;
    uint8_t stage;
    uint32_t error;
    char words[600];
    bool ended; /* exited, or an error without a program: nothing may follow but, when it is reusable, a launch */
    bool exited;
    bool reusable;
    uint8_t how;
    uint32_t code;
    bool stopped;
    bool forced;
    long program;
    uint8_t *streams[2];
    size_t sizes[2];
    size_t credit;
    size_t input_sent;
    bool input_closed;
    bool acknowledges;
    char wrong[200]; /* the first thing that is; empty: nothing */
};

void owner_init(struct owner *owner, int in, int out, bool speaks_frames);
void owner_free(struct owner *owner);
/* Reads so much of what is there. */
void owner_read(struct owner *owner, size_t most);
void owner_write(struct owner *owner);
void owner_send(struct owner *owner, char tag, const void *payload, size_t size);
/* Arguments up to a NULL. */
void owner_launch(struct owner *owner, const char *const argv[]);
void owner_close(struct owner *owner);

#endif
