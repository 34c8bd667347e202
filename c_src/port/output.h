/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What goes to the VM: the program's output under the window, and control frames between data frames, never inside one.
 * Promises never to block, to lose nothing while the reader is there, and to keep to the window.
 */
#ifndef MUONTRAP_OUTPUT_H
#define MUONTRAP_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "port/pipes.h"
#include "port/protocol.h"
#include "port/window.h"

#define OUTPUT_STREAMS 2
#define OUTPUT_FRAME_MOST (65536u - FRAME_HEADER) /* bytes of data: with its header as much as the VM reads at a time */
#define OUTPUT_COPY_MOST 16384u                   /* bytes: what is longer is spliced, where splice(2) is there */

struct stream {
    int fd; /* the program's pipe; -1 when it has ended or was never there */
    uint8_t tag;
    uint8_t unasked_tag; /* where no acknowledgement is asked for yet */
    uint8_t ended_tag;   /* to tell its end by; 0: that isn't told */
    bool readable;       /* there may be something to read */
    bool is_terminal;    /* it is a terminal's master, and not a pipe */
    int found;           /* instead of bytes, by the last read: an errno, or -1 for the end; 0: it has found bytes */
};

struct output {
    int fd;
    struct window window;
    uint64_t total; /* bytes of data sent under all windows that there were, and without one */
    struct pipes pipes;
    struct stream streams[OUTPUT_STREAMS];
    unsigned next;       /* the stream whose turn it is */
    bool unfinished;     /* the last pump has done as much as it may at a time, and there may be more */
    bool blocked;        /* the reader's pipe is full: go on when poll(2) says POLLOUT */
    bool gone;           /* the reader is: whatever would be sent is thrown away */
    bool discard;        /* data is thrown away, and needs no window */
    bool raw;            /* what is sent has no headers */
    int error;           /* then: why it is gone, where that isn't a reader that has left; 0: it is not */
    int unread;          /* why the rest of a stream could not be read; 0: it could be */
    bool unacknowledged; /* no acknowledgement can come any more: the window doesn't count */
    bool no_splice;
    bool over;       /* no more data will come: the pipes are to be as they were */
    bool shortened;  /* a frame had less than its header had announced, and was filled up */
    int moving_from; /* the pipe of which `moving` bytes are to follow the header that was sent */
    size_t moving;
    size_t at; /* what of bytes[] is to be sent */
    size_t end;
    size_t control_at; /* what of control[] is to be sent after it */
    size_t control_end;
    uint8_t control[3 * FRAME_CONTROL_MOST];
    uint8_t bytes[OUTPUT_COPY_MOST + FRAME_HEADER];
};

/* The output must be all zero, so that its buffers are not touched before they are needed, or one whose streams have
 * been closed and of which all has been sent. There are no streams at first. */
void output_init(struct output *output, int fd, uint32_t fixed_window);

/* What the program writes goes there as it is, and nobody acknowledges it. */
void output_open_raw(struct output *output, int fd);

/* From now on the program's pipes are read (-1: there is none), and their ends told, if so asked. */
void output_open_streams(struct output *output, int stdout_fd, int stderr_fd, bool tells_ends);

/* Reads them again, even those in which nothing is to be expected. */
void output_read_again(struct output *output);

/* Closes them, but for one whose bytes have been announced and not been sent. From then on no pipe is larger than it
 * was at first; the owner's, if it is too full for that, once what is in it has been acknowledged. */
void output_close_streams(struct output *output);

/* The owner has handled so many bytes. False, and nothing changed, when there were fewer outstanding. */
bool output_acknowledged(struct output *output, uint32_t bytes, uint64_t now_us);

/* What is in the owner's pipe has been read, and the struct is about to be used for another program. */
void output_give_back_pipes(struct output *output);

/* Room for a control frame of up to FRAME_CONTROL_MOST bytes; output_queued() with its size puts it in line. */
uint8_t *output_control(struct output *output);
void output_queued(struct output *output, size_t size);

/* Whether there is room for the answers to as many commands as can be read at a time, beside the frames that come
 * unasked. False when the reader doesn't read what it has asked for. */
bool output_has_room(const struct output *output);

/* Sends what can be sent now. `now_us` as of io_now_us(). */
void output_pump(struct output *output, uint64_t now_us);

/* Whether there is room in the window, or it doesn't count any more. */
bool output_may_send(const struct output *output);

/* Whether reading that stream would serve: it is open and there is room in the window. */
bool output_wants(const struct output *output, const struct stream *stream);

/* All that was queued has been sent, or can't be. */
bool output_sent(const struct output *output);

/* All that was queued has been sent, and each stream has ended or was empty when it was last read. */
bool output_drained(const struct output *output);

/* Each stream has ended. */
bool output_ended(const struct output *output);

/* The reader is gone, or nobody wants what is left. */
void output_abandon(struct output *output);

#endif
