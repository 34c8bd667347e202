/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The frames of docs/protocol.md as bytes: a length of four bytes (Erlang's {packet, 4}), a tag and a payload, all
 * integers big-endian. Pure: encodes into buffers and decodes from them; assumes nothing of what arrives.
 */
#ifndef MUONTRAP_PROTOCOL_H
#define MUONTRAP_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/failure.h"

/* Tags of the frames to the VM. */
#define TAG_STARTED 'P'
#define TAG_STDOUT 'O'
#define TAG_STDERR 'E'
#define TAG_STDOUT_UNASKED 'o'
#define TAG_STDERR_UNASKED 'e'
#define TAG_EXITED 'X'
#define TAG_ERROR '!'
#define TAG_WAITING 'W'
#define TAG_SIGNALLED 'K'
#define TAG_UNUSED 'U'
#define TAG_CREDIT 'C'
#define TAG_INPUT_CLOSED 'I'
#define TAG_STDOUT_ENDED 'Q'
#define TAG_STDERR_ENDED 'q'

/* Tags of the frames from the VM. */
#define TAG_ACK 'a'
#define TAG_STOP 's'
#define TAG_DISCARD 'd'
#define TAG_SIGNAL 'k'
#define TAG_LAUNCH 'l'
#define TAG_INPUT 'i'
#define TAG_END_OF_INPUT 'z'
#define TAG_RESIZE 'w'

#define FRAME_HEADER 5u          /* bytes: the length and the tag */
#define FRAME_CONTROL_MOST 5120u /* bytes: no control frame to the VM is longer */
#define COMMAND_MOST 22u         /* bytes: the longest frame from the VM but for launch and input, tag and payload */
#define INPUT_MOST 1048577u      /* bytes: the longest input, tag and payload */
#define LAUNCH_MOST 16384u       /* bytes: the longest launch, tag and payload */
#define SIGNAL_NAME_MOST 16u     /* bytes: of a signal's name */
#define SIGNAL_LEAST 7u          /* bytes: a signal with a name of one, tag and payload */

/* How the program ended, and what it used. */
struct ending {
    bool signalled; /* ended by a signal, which `code` then is; else `code` is the exit status */
    uint32_t code;
    bool unknown; /* in place of both: only its parent knows, and that isn't this process */
    bool core_dumped;
    bool oom_killed;     /* the kernel's OOM killer struck in its cgroup */
    bool stopped;        /* the owner's *stop* had come before it ended */
    bool forced;         /* in a stop, it or a descendant had not ended when its time was up, and was killed */
    uint64_t user_us;    /* CPU time in user mode of the program and its reaped descendants */
    uint64_t system_us;  /* and in the kernel */
    uint64_t peak_bytes; /* the largest resident set of any one of them */
    uint32_t stragglers; /* descendants that were still alive at its end and had to be killed */
    bool reusable;       /* the helper is as good as new: another launch may follow */
};

/* The header of a data frame whose payload of that many bytes follows. */
void protocol_data_header(uint8_t header[FRAME_HEADER], uint8_t tag, uint32_t payload);

/* Whole control frames. They return the frame's size; no frame is longer than FRAME_CONTROL_MOST. `names` are those of
 * stragglers, each ends with a newline. */
size_t protocol_started(uint8_t frame[FRAME_CONTROL_MOST], uint32_t pid, const char *cgroup_path);
size_t protocol_exited(uint8_t frame[FRAME_CONTROL_MOST], const struct ending *ending, const char *names);
size_t protocol_waiting(uint8_t frame[FRAME_CONTROL_MOST], const char *words);
size_t protocol_signalled(uint8_t frame[FRAME_CONTROL_MOST], uint32_t id, int error);
size_t protocol_unused(uint8_t frame[FRAME_HEADER]);
size_t protocol_credit(uint8_t frame[FRAME_CONTROL_MOST], uint32_t bytes);
size_t protocol_input_closed(uint8_t frame[FRAME_CONTROL_MOST], uint64_t taken);
size_t protocol_error(uint8_t frame[FRAME_CONTROL_MOST], const struct failure *failure);

enum command_kind {
    COMMAND_NONE,
    COMMAND_ACK,
    COMMAND_STOP,
    COMMAND_DISCARD,
    COMMAND_SIGNAL,
    COMMAND_LAUNCH,
    COMMAND_INPUT,
    COMMAND_PIECE,
    COMMAND_END_OF_INPUT,
    COMMAND_RESIZE,
    COMMAND_MALFORMED
};

struct command {
    enum command_kind kind;
    uint32_t bytes;    /* of COMMAND_ACK, and of COMMAND_INPUT: so many follow, in pieces */
    unsigned receiver; /* of COMMAND_SIGNAL: whom it is for, as of enum receiver if it is one */
    uint32_t id;       /* by which its sender knows the answer */
    int signal;        /* and which, or -1 for a name that none has */
    uint16_t rows;     /* of COMMAND_RESIZE */
    uint16_t columns;
    size_t text_size;     /* of COMMAND_LAUNCH: of what is in the text that the decoder was given */
    const uint8_t *piece; /* of COMMAND_PIECE: in the input that is being decoded */
    size_t piece_size;
    struct failure why; /* of COMMAND_MALFORMED */
};

/* The part of a frame that has arrived so far. Starts as all zero. */
struct decoder {
    uint8_t bytes[4 + COMMAND_MOST];
    size_t have;
    uint32_t left;       /* of an input's payload, which isn't kept: so much is still to come */
    bool expects_launch; /* else one would be out of turn */
    char *text;          /* room for LAUNCH_MOST bytes, where its payload goes; NULL where none is ever expected */
};

/* Takes bytes from *input until a frame is whole, and says which it is: COMMAND_NONE when the input is used up before.
 * Of an *input* the header is told first, and then the payload in pieces, as it comes.
 * After COMMAND_MALFORMED the stream has no meaning any more and must not be decoded further. A null byte is put behind
 * the payload of a launch. */
void protocol_decode(struct decoder *decoder, const uint8_t **input, size_t *size, struct command *command);

#endif
