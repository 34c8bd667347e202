/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A small owner: starts the helper, speaks the frames of docs/protocol.md on pipes. Written from the document, not with
 * protocol.c, so that both have to be right.
 */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct frame {
    uint8_t tag;
    uint32_t size; /* of the payload */
    const uint8_t *payload;
};

struct client {
    pid_t pid;           /* the keeper's */
    bool takes_launches; /* it was started without a program, and gets each by a frame */
    int in;              /* to its standard input; -1 once closed */
    int out;
    pid_t program;
    char cgroup[256]; /* its path; empty without one */

    /* What client_follow() has seen. */
    uint8_t *streams[2]; /* stdout and stderr */
    size_t sizes[2];
    size_t rooms[2]; /* what is allocated for each */
    size_t most_outstanding;
    size_t outstanding;
    bool acknowledge; /* each data frame at once */
    bool asked;       /* whether the last data frame has asked for an acknowledgement */
    bool errored;     /* and then: */
    int error_stage;
    uint32_t error_number;
    char error_name[256];
    char error_words[2048];
    bool exited; /* and then: */
    bool signalled;
    bool unknown;     /* how it ended */
    char signal[256]; /* its name; empty without one */
    uint32_t code;
    bool oom_killed;
    bool stopped;
    bool forced;
    uint64_t user_us;
    uint64_t peak_bytes;
    uint32_t stragglers;
    bool unused; /* the launch has come too late for this helper */
    bool reusable;
    char names[256];

    char waits[1100]; /* what it waits for */

    size_t credit;     /* bytes of input that may be sent */
    bool input_closed; /* and then: */
    uint64_t taken;
    bool ended[2]; /* stdout and stderr */

    int answers;        /* to signals */
    uint32_t answer_id; /* the last one's */
    uint32_t answer;    /* and its errno */
};

/* Starts `muontrap --port ARGV...` under these soft limits on open files (0: as it is). With REUSED in the environment,
 * where there is no limit and no lock, it is a helper that has run another program before. */
void client_start_limited(struct client *client, rlim_t open_files, const char *const argv[]);
void client_start(struct client *client, const char *const argv[]);
#define START(client, ...) client_start(client, (const char *const[]){__VA_ARGS__, NULL})

/* For a helper that leaves as soon as its keeper is told to end by a signal: the SIGCONT that the keeper sends with it
 * would call off the SIGSTOP by which LeakSanitizer stops the relay when that leaves, and then LeakSanitizer waits for
 * ever. Those that are started between false and true are not checked. */
void client_check_leaks(bool check);

/* Has a helper that waits start a program as of `muontrap --port ARGV...`, and forgets what the last one has told. */
void client_launch(struct client *client, const char *const argv[]);
#define LAUNCH(client, ...) client_launch(client, (const char *const[]){__VA_ARGS__, NULL})

/* The next frame; false when its output has ended. */
bool client_frame(struct client *client, struct frame *frame);
/* Takes one frame into account. False when its output has ended. */
bool client_step(struct client *client);
/* Until started or an error has come. */
void client_await_started(struct client *client);
/* Until so many bytes of stdout and stderr have come. */
void client_await_bytes(struct client *client, size_t size);
/* Until *exited* or an error without a program, or the end of its output. */
void client_follow(struct client *client);

void client_send(struct client *client, const void *bytes, size_t size);
void client_ack(struct client *client, uint32_t bytes);
void client_stop(struct client *client);
/* As much of it as there is credit for, in one frame. Returns how much that was. */
size_t client_some_input(struct client *client, const void *bytes, size_t size);
/* All of it, as credit comes, while it follows; or until nobody reads it any more. */
void client_input(struct client *client, const void *bytes, size_t size);
void client_await_credit(struct client *client);
void client_end_input(struct client *client);
void client_resize(struct client *client, unsigned rows, unsigned columns);
void client_discard(struct client *client);
/* Closes standard input alone. */
void client_half_close(struct client *client);
/* Closes all, waits for the helper's end and returns its status as of waitpid(2). */
int client_leave(struct client *client);
/* The same, and that the helper has not been ended by a signal. */
void client_leave_alive(struct client *client);
/* Follows, and the program has ended with status 0. */
void client_assert_ended_well(struct client *client);

/* The relay's pid: the keeper's only child. */
pid_t client_relay(const struct client *client);

/* Whether that stream (0: stdout) is trouble.c's pattern of that size. */
void assert_pattern(const struct client *client, int stream, size_t size);
uint8_t pattern_at(size_t index);

/* How many descriptors that process has open, and two. */
unsigned open_descriptors(pid_t pid);

#endif
