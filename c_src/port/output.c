/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* FIONREAD is no part of POSIX, but of all its systems */
#include "port/output.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "port/console.h"

#define DATA_ROOM (sizeof((struct output *)0)->bytes - FRAME_HEADER)

_Static_assert(OUTPUT_COPY_MOST <= DATA_ROOM, "a copied frame must fit");

void output_init(struct output *output, int fd, uint32_t fixed_window)
{
    output->fd = fd;
    output->over = false;
    window_init(&output->window, fixed_window);
    output_open_streams(output, -1, -1, false);
}

void output_open_streams(struct output *output, int stdout_fd, int stderr_fd, bool tells_ends)
{
    output->streams[0] = (struct stream){.fd = stdout_fd,
                                         .tag = TAG_STDOUT,
                                         .unasked_tag = TAG_STDOUT_UNASKED,
                                         .ended_tag = tells_ends ? TAG_STDOUT_ENDED : 0,
                                         .readable = true};
    output->streams[1] = (struct stream){.fd = stderr_fd,
                                         .tag = TAG_STDERR,
                                         .unasked_tag = TAG_STDERR_UNASKED,
                                         .ended_tag = tells_ends ? TAG_STDERR_ENDED : 0,
                                         .readable = true};
}

RARE void output_open_raw(struct output *output, int fd)
{
    output->fd = fd;
    output->raw = output->unacknowledged = true;
}

void output_read_again(struct output *output)
{
    for (int i = 0; i < OUTPUT_STREAMS; i++)
        output->streams[i].readable = output->streams[i].fd >= 0;
}

/* ---- The pipes' size ---- */

static void pipes_of(const struct output *output, int fds[PIPES])
{
    fds[0] = output->fd;
    fds[1] = output->streams[0].fd;
    fds[2] = output->streams[1].fd;
}

RARE void output_give_back_pipes(struct output *output)
{
    int fds[PIPES];

    pipes_of(output, fds);
    (void)pipes_shrink(&output->pipes, fds, PIPES_LEAST);
}

/* They grow, a step at a time, when more was on its way than they hold, and so it is they that limit the speed. */
RARE static void resize_pipes(struct output *output, uint32_t outstanding, uint64_t now_us)
{
    uint32_t wanted = output->over ? PIPES_LEAST : pipes_size_for(output->window.size);
    uint32_t size = output->pipes.size ? output->pipes.size : PIPES_LEAST;
    int fds[PIPES];

    pipes_of(output, fds);
    if (size > wanted)
        (void)pipes_shrink(&output->pipes, fds, wanted);
    else if (size < wanted && outstanding > size)
        pipes_grow(&output->pipes, fds, now_us);
}

bool output_acknowledged(struct output *output, uint32_t bytes, uint64_t now_us)
{
    uint32_t outstanding = output->window.outstanding;

    if (!window_acknowledged(&output->window, bytes, now_us))
        return false;
    if (outstanding > PIPES_LEAST || output->pipes.size > 0)
        resize_pipes(output, outstanding, now_us);
    return true;
}

/* ---- The streams ---- */

void output_close_streams(struct output *output)
{
    output->over = true;
    if (output->pipes.size > 0)
        output_give_back_pipes(output);
    for (int i = 0; i < OUTPUT_STREAMS && output->moving == 0; i++)
        io_close(&output->streams[i].fd);
}

uint8_t *output_control(struct output *output)
{
    return output->control + output->control_end;
}

void output_queued(struct output *output, size_t size)
{
    if (!output->gone)
        output->control_end += size;
}

bool output_has_room(const struct output *output)
{
    return output->control_end <= FRAME_CONTROL_MOST;
}

RARE void output_abandon(struct output *output)
{
    output->gone = true;
    output->at = output->end = output->control_at = output->control_end = output->moving = 0;
    output->blocked = false;
}

static bool throws_away(const struct output *output)
{
    return output->gone || output->discard;
}

static size_t room(const struct output *output)
{
    return throws_away(output) || output->unacknowledged ? WINDOW_MOST : window_room(&output->window);
}

bool output_may_send(const struct output *output)
{
    return room(output) > 0;
}

bool output_wants(const struct output *output, const struct stream *stream)
{
    return stream->fd >= 0 && !output->blocked && output_may_send(output);
}

bool output_sent(const struct output *output)
{
    return output->at == output->end && output->moving == 0 && output->control_at == output->control_end;
}

bool output_drained(const struct output *output)
{
    for (int i = 0; i < OUTPUT_STREAMS; i++)
        if (output->streams[i].fd >= 0 && output->streams[i].readable)
            return false;
    return output_sent(output);
}

bool output_ended(const struct output *output)
{
    return output->streams[0].fd < 0 && output->streams[1].fd < 0;
}

RARE static void abandon_for(struct output *output, int error)
{
    output->error = output->raw && error != EPIPE ? error : 0;
    output_abandon(output);
}

/* A write has failed: wait for room, or there is nobody to write to. */
static void write_failed(struct output *output)
{
    if (errno == EAGAIN)
        output->blocked = true;
    else if (errno != EINTR)
        abandon_for(output, errno);
}

static void send_some(struct output *output, const uint8_t *bytes, size_t *at, size_t end)
{
    ssize_t sent =
        output->raw ? console_write(output->fd, bytes + *at, end - *at) : write(output->fd, bytes + *at, end - *at);

    if (sent >= 0)
        *at += (size_t)sent;
    else
        write_failed(output);
}

/* Where that can't be known, errno says why, and is no EAGAIN. */
static bool is_empty(int fd)
{
    int available = 0;

    return ioctl(fd, FIONREAD, &available) == 0 && available == 0;
}

/* The program has read its own output back (through /proc/self/fd/1), so the frame has less than its header says. It is
 * filled up with zeros, for what follows to be frames. */
RARE static void fill_up_announced(struct output *output)
{
    size_t most = output->moving < DATA_ROOM ? output->moving : DATA_ROOM;

    memset(output->bytes, 0, most);
    output->at = 0;
    output->end = most;
    output->moving -= most;
    output->shortened = true;
}

/* Sends the rest of a frame whose header has announced it, where splice(2) is missing. Nobody else reads that pipe, so
 * that it is there. */
RARE static void copy_announced(struct output *output)
{
    size_t most = output->moving < DATA_ROOM ? output->moving : DATA_ROOM;
    ssize_t size = read(output->moving_from, output->bytes, most);

    if (size > 0) {
        output->at = 0;
        output->end = (size_t)size;
        output->moving -= (size_t)size;
    } else if (size == 0 || errno != EINTR) {
        fill_up_announced(output);
    }
}

static void send_announced(struct output *output)
{
    ssize_t moved;

    if (output->no_splice) {
        copy_announced(output);
        return;
    }
    moved = platform_move(output->moving_from, output->fd, output->moving);
    if (moved > 0)
        output->moving -= (size_t)moved;
    else if (moved == 0 || (errno == EAGAIN && is_empty(output->moving_from)))
        fill_up_announced(output);
    else if (errno == EAGAIN || errno == EINTR || errno == EPIPE)
        write_failed(output);
    else
        output->no_splice = true; /* if nothing else can be done either, that will tell */
}

static void send_control(struct output *output)
{
    send_some(output, output->control, &output->control_at, output->control_end);
    if (output->control_at == output->control_end)
        output->control_at = output->control_end = 0;
}

RARE static void tell_ended(struct output *output, const struct stream *stream)
{
    protocol_data_header(output_control(output), stream->ended_tag, 0);
    output_queued(output, FRAME_HEADER);
}

static void close_stream(struct output *output, struct stream *stream)
{
    io_close(&stream->fd);
    stream->readable = false;
    if (stream->ended_tag != 0)
        tell_ended(output, stream);
}

/* The header of a frame of data that is sent now, under the window. */
static void account(struct output *output, const struct stream *stream, uint32_t size, uint64_t now_us)
{
    bool asks = window_sent(&output->window, size, now_us);

    protocol_data_header(output->bytes, asks ? stream->tag : stream->unasked_tag, size);
    output->total += size;
}

/* A frame whose payload stays in the pipe until it is spliced. False when there is too little for that to pay.
 *
 * A frame that has been announced must come whole before another stream's, an error or the end, and waits meanwhile for
 * room in the owner's pipe. So it is never longer than what a reader takes at a time. The VM reads 64 KB
 * (ERTS_SYS_READ_BUF_SZ), and what is cut off there costs it another read and another copy. */
static bool announce(struct output *output, struct stream *stream, size_t most, uint64_t now_us)
{
    int available = 0;
    size_t size;

    if (output->no_splice || most <= OUTPUT_COPY_MOST || ioctl(stream->fd, FIONREAD, &available) < 0 ||
        available <= (int)OUTPUT_COPY_MOST)
        return false;
    size = (size_t)available < most ? (size_t)available : most;
    size = size < OUTPUT_FRAME_MOST ? size : OUTPUT_FRAME_MOST;
    account(output, stream, (uint32_t)size, now_us);
    output->at = 0;
    output->end = FRAME_HEADER;
    output->moving_from = stream->fd;
    output->moving = size;
    return true;
}

#define END_OF_FILE (-1) /* no errno: what the terminals of other systems end with */

/* A read of a terminal's master may find the end, or nothing, although there is more. Linux hands on what was written
 * in a work of its own (drivers/tty/tty_buffer.c, flush_to_ldisc()). A read that has no bytes waits for the work that
 * was asked for before, looks for bytes once more, and only then whether the terminal has been closed
 * (drivers/tty/n_tty.c, n_tty_read()): what was written and closed during that wait is still on its way. Nor does it
 * wait for a work that the work itself asks for, because its reader has made room at that moment.
 *
 * So what a read has found is believed when the one before it has found the same. All that was written before an end
 * was on its way when that was found; the next read waits for it, and there is room for it, since nothing came between
 * the two. Nothing and then the end are not the same: the end may have come during the second read. */
static bool is_doubtful(struct stream *stream, int found)
{
    bool same = stream->found == found;

    stream->found = found;
    return stream->is_terminal && !same;
}

static void copy(struct output *output, struct stream *stream, size_t most, uint64_t now_us)
{
    ssize_t size = read(stream->fd, output->bytes + FRAME_HEADER, most < OUTPUT_COPY_MOST ? most : OUTPUT_COPY_MOST);

    if (size > 0) {
        stream->found = 0;
        if (throws_away(output))
            return;
        if (output->unacknowledged) {
            protocol_data_header(output->bytes, stream->tag, (uint32_t)size);
            output->total += (uint64_t)size;
        } else
            account(output, stream, (uint32_t)size, now_us);
        output->at = output->raw ? FRAME_HEADER : 0;
        output->end = FRAME_HEADER + (size_t)size;
    } else if ((size < 0 && errno == EINTR) || is_doubtful(stream, size < 0 ? errno : END_OF_FILE)) {
        return;
    } else if (size < 0 && errno == EAGAIN) {
        stream->readable = false;
    } else {
        if (size < 0 && !(stream->is_terminal && errno == EIO))
            output->unread = errno;
        close_stream(output, stream);
    }
}

/* One data frame from one stream, each in its turn. False when there is nothing to be had or no room for it. */
static bool send_data(struct output *output, uint64_t now_us)
{
    for (unsigned i = 0; i < OUTPUT_STREAMS; i++) {
        struct stream *stream = &output->streams[output->next++ % OUTPUT_STREAMS];
        size_t most = room(output);

        if (stream->fd < 0 || !stream->readable || most == 0)
            continue;
        if (throws_away(output) || output->unacknowledged || !announce(output, stream, most, now_us))
            copy(output, stream, most, now_us);
        return true;
    }
    return false;
}

/* A program may write as fast as its output is thrown away, and there are other events to see to. */
#define STEPS_MOST 256

void output_pump(struct output *output, uint64_t now_us)
{
    output->unfinished = false;
    for (int steps = 0; steps < STEPS_MOST && !output->blocked; steps++) {
        if (output->at < output->end)
            send_some(output, output->bytes, &output->at, output->end);
        else if (output->moving > 0)
            send_announced(output);
        else if (output->control_at < output->control_end)
            send_control(output);
        else if (!send_data(output, now_us))
            return;
    }
    output->unfinished = !output->blocked;
}
