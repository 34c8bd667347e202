/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Real pipes on both sides, all in this process: what the program would write goes into one pipe, what the owner would
 * read comes out of another. Nothing waits: output.c never does. Terminals come last.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/io.h"
#include "options.h"
#include "port/output.h"
#include "program/pty.h"

#define PIPE_SIZE (1 << 20)

static struct output output;
static int to_stdout; /* the program's ends */
static int to_stderr;
static int reader; /* the owner's end */

static uint8_t received[8 << 20]; /* as it came */
static size_t received_size;

static void make_pipe(int ends[2])
{
    assert_true(io_pipe(ends));
    assert_true(io_nonblocking(ends[0]) && io_nonblocking(ends[1]));
}

static void open_output(uint32_t window)
{
    int port[2];
    int streams[2][2];

    make_pipe(port);
    make_pipe(streams[0]);
    make_pipe(streams[1]);
    reader = port[0];
    to_stdout = streams[0][1];
    to_stderr = streams[1][1];
    received_size = 0;
    memset(&output, 0, sizeof output);
    output_init(&output, port[1], window);
    output_open_streams(&output, streams[0][0], streams[1][0], false);
}

static void close_output(void)
{
    io_close(&reader);
    io_close(&to_stdout);
    io_close(&to_stderr);
    io_close(&output.fd);
    io_close(&output.streams[0].fd);
    io_close(&output.streams[1].fd);
}

/* What poll(2) would find. */
static void pump(void)
{
    output.streams[0].readable = output.streams[0].fd >= 0;
    output.streams[1].readable = output.streams[1].fd >= 0;
    output.blocked = false;
    output_pump(&output, 0);
}

static size_t receive(void)
{
    size_t before = received_size;
    ssize_t size;

    while ((size = read(reader, received + received_size, sizeof received - received_size)) > 0)
        received_size += (size_t)size;
    return received_size - before;
}

static uint8_t pattern(size_t i, int stream)
{
    return (uint8_t)((i * 2654435761u >> 16) + (size_t)stream * 85);
}

static size_t write_pattern(int fd, int stream, size_t from, size_t size)
{
    static uint8_t bytes[1 << 20];
    ssize_t written;

    assert_true(size <= sizeof bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(from + i, stream);
    written = write(fd, bytes, size);
    return written < 0 ? 0 : (size_t)written;
}

struct seen {
    size_t data[2];
    size_t controls;
    size_t frames;
    size_t longest;
};

/* Takes what was received apart, and checks each byte of it. */
static struct seen parse(void)
{
    struct seen seen = {.controls = 0};
    size_t at = 0;

    while (at < received_size) {
        size_t size;
        uint8_t tag;

        assert_true(at + FRAME_HEADER <= received_size);
        size = (size_t)received[at] << 24 | (size_t)received[at + 1] << 16 | (size_t)received[at + 2] << 8 |
               received[at + 3];
        tag = received[at + 4];
        assert_true(size >= 1);
        size--;
        at += FRAME_HEADER;
        assert_true(at + size <= received_size);
        if (tag != TAG_EXITED) {
            int stream = tag == TAG_STDERR || tag == TAG_STDERR_UNASKED;

            assert_true(stream || tag == TAG_STDOUT || tag == TAG_STDOUT_UNASKED);

            assert_true(size > 0);
            for (size_t i = 0; i < size; i++)
                if (received[at + i] != pattern(seen.data[stream] + i, stream))
                    fail_msg("byte %lu of stream %d is wrong", (unsigned long)(seen.data[stream] + i), stream);
            seen.data[stream] += size;
            seen.longest = size > seen.longest ? size : seen.longest;
        } else {
            seen.controls++;
        }
        seen.frames++;
        at += size;
    }
    return seen;
}

static void what_is_written_comes_as_a_frame(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 4, 'O', 'h', 'i', '\n'};

    (void)state;
    open_output(0);
    assert_int_equal(write(to_stdout, "hi\n", 3), 3);
    pump();
    assert_int_equal(receive(), sizeof expected);
    assert_memory_equal(received, expected, sizeof expected);
    close_output();
}

static void stderr_has_its_own_tag(void **state)
{
    static const uint8_t expected[] = {0, 0, 0, 3, 'E', 'n', 'o'};

    (void)state;
    open_output(0);
    assert_int_equal(write(to_stderr, "no", 2), 2);
    pump();
    assert_int_equal(receive(), sizeof expected);
    assert_memory_equal(received, expected, sizeof expected);
    close_output();
}

static void streams_take_turns(void **state)
{
    struct seen seen;

    (void)state;
    open_output(1000);
    (void)write_pattern(to_stdout, 0, 0, 60000);
    (void)write_pattern(to_stderr, 1, 0, 60000);
    for (int i = 0; i < 10; i++) {
        pump();
        (void)receive();
        assert_true(window_acknowledged(&output.window, output.window.outstanding, 0));
    }
    seen = parse();
    assert_in_range(seen.data[0], 4000, 6000);
    assert_in_range(seen.data[1], 4000, 6000);
    close_output();
}

/* Everything through, with acknowledgements of all kinds of size; never more outstanding than the window allows. */
static void pass_through(uint32_t window, size_t total, bool no_splice)
{
    size_t written[2] = {0, 0};
    size_t acknowledged = 0;
    struct seen seen;

    open_output(window);
    (void)fcntl(to_stdout, F_SETPIPE_SZ, PIPE_SIZE);
    output.no_splice = no_splice;
    srandom(2);
    while (!output_ended(&output) || !output_drained(&output)) {
        uint32_t limit = output.window.size;
        size_t part = (size_t)random() % 100000 + 1;
        uint32_t bytes;

        for (int i = 0; i < 2; i++) {
            int *fd = i == 0 ? &to_stdout : &to_stderr;

            if (*fd >= 0)
                written[i] += write_pattern(*fd, i, written[i], part < total - written[i] ? part : total - written[i]);
            if (written[i] == total)
                io_close(fd);
        }
        pump();
        (void)receive();
        if (window != 0)
            assert_true(output.window.outstanding <= limit);
        bytes = output.window.outstanding == 0 ? 0 : (uint32_t)random() % (output.window.outstanding + 1);
        if (random() % 2)
            bytes = output.window.outstanding;
        assert_true(window_acknowledged(&output.window, bytes, 0));
        acknowledged += bytes;
    }
    (void)receive();
    seen = parse();
    assert_int_equal(seen.data[0], total);
    assert_int_equal(seen.data[1], total);
    assert_true(window == 0 || seen.longest <= window);
    assert_int_equal(acknowledged + output.window.outstanding, 2 * total);
    close_output();
}

static void a_window_of_one_byte_passes_everything(void **state)
{
    (void)state;
    pass_through(1, 300, false);
    pass_through(1, 300, true);
}

static void a_window_of_sixteen_bytes_passes_everything(void **state)
{
    (void)state;
    pass_through(16, 5000, false);
    pass_through(16, 5000, true);
}

static void the_least_window_passes_everything(void **state)
{
    (void)state;
    pass_through(10240, 500000, false);
    pass_through(10240, 500000, true);
}

static void a_large_window_passes_everything_spliced_or_copied(void **state)
{
    (void)state;
    pass_through(200000, 3000000, false);
    pass_through(200000, 3000000, true);
}

static void a_window_that_follows_passes_everything(void **state)
{
    (void)state;
    pass_through(0, 3000000, false);
    pass_through(0, 3000000, true);
}

static void a_full_window_ends_the_reading(void **state)
{
    struct seen seen;

    (void)state;
    open_output(16);
    (void)write_pattern(to_stdout, 0, 0, 100);
    pump();
    pump();
    (void)receive();
    seen = parse();
    assert_int_equal(seen.data[0], 16);
    assert_false(output_wants(&output, &output.streams[0]));
    assert_false(output_drained(&output));
    assert_true(window_acknowledged(&output.window, 1, 0));
    assert_true(output_wants(&output, &output.streams[0]));
    pump();
    (void)receive();
    seen = parse();
    assert_int_equal(seen.data[0], 17);
    close_output();
}

/* A frame too large for the port's pipe, so that it is under way when the control frame is queued. */
static void control_frames_never_come_inside_data_frames(void **state)
{
    const struct ending ending = {.code = 1};

    (void)state;
    for (int no_splice = 0; no_splice < 2; no_splice++) {
        struct seen seen;

        open_output(600000);
        output.no_splice = no_splice;
        (void)fcntl(to_stdout, F_SETPIPE_SZ, PIPE_SIZE);
        assert_int_equal(write_pattern(to_stdout, 0, 0, 400000), 400000);
        pump();
        assert_true(output.blocked);
        assert_false(output_wants(&output, &output.streams[0]));
        output_queued(&output, protocol_exited(output_control(&output), &ending, ""));
        output_queued(&output, protocol_exited(output_control(&output), &ending, ""));
        while (receive() > 0)
            pump();
        seen = parse();
        assert_int_equal(seen.data[0], 400000);
        assert_int_equal(seen.controls, 2);
        assert_true(output_drained(&output));
        close_output();
    }
}

static void splicing_is_what_large_frames_are_for(void **state)
{
    (void)state;
    LINUX_ONLY();
    open_output(500000);
    assert_int_equal(write_pattern(to_stdout, 0, 0, 60000), 60000);
    pump();
    (void)receive();
    assert_int_equal(parse().longest, 60000);
    assert_false(output.no_splice);
    close_output();
}

/* However much there is, a header promises no more than the VM reads at a time. What was queued or written to the other
 * stream while such a frame was on its way comes right after it, and not after all that there is. */
static void a_frame_promises_no_more_than_a_reader_takes_at_a_time(void **state)
{
    const struct ending ending = {.code = 1};
    size_t promised;
    struct seen seen;

    (void)state;
    open_output(500000);
    (void)fcntl(to_stdout, F_SETPIPE_SZ, PIPE_SIZE);
    assert_int_equal(write_pattern(to_stdout, 0, 0, 300000), 300000);
    pump();
    assert_true(output.blocked);
    promised = output.window.outstanding;
    assert_true(promised <= PIPES_LEAST + OUTPUT_FRAME_MOST);
    output_queued(&output, protocol_exited(output_control(&output), &ending, ""));
    assert_int_equal(write_pattern(to_stderr, 1, 0, 10), 10);
    while (receive() > 0) {
        bool was_queued = output.control_end > 0;

        pump();
        if (was_queued && output.control_end == 0) /* it is in the pipe, behind what was promised before alone */
            assert_true(received_size <= promised + 2 * FRAME_HEADER);
    }
    seen = parse();
    assert_true(seen.longest <= OUTPUT_FRAME_MOST);
    assert_int_equal(seen.data[0], 300000);
    assert_int_equal(seen.data[1], 10);
    assert_int_equal(seen.controls, 1);
    close_output();
}

static int size_of(int fd)
{
    return fcntl(fd, F_GETPIPE_SZ);
}

/* All that is there is sent and read, and acknowledged at that time. */
static void handle_all(uint64_t now_us)
{
    pump();
    while (receive() > 0)
        pump();
    received_size = 0;
    assert_true(output_acknowledged(&output, output.window.outstanding, now_us));
}

static void fill_window(void)
{
    while (window_room(&output.window) > 0) {
        (void)write_pattern(to_stdout, 0, 0, 1 << 20);
        pump();
        (void)receive();
    }
}

/* With a reader that is as fast as can be. */
static void flood(void)
{
    for (int i = 0; i < 10; i++) {
        fill_window();
        handle_all(0);
    }
    for (int i = 0; i < 4; i++) /* and what is in the program's pipe */
        handle_all(0);
}

static void pipes_grow_with_the_window_and_shrink_at_the_end(void **state)
{
    (void)state;
    LINUX_ONLY();
    open_output(0);
    (void)write_pattern(to_stdout, 0, 0, 60000);
    handle_all(0);
    assert_int_equal(output.pipes.size, 0);
    assert_int_equal(size_of(reader), PIPES_LEAST);
    flood();
    assert_int_equal(output.window.size, WINDOW_MOST);
    assert_int_equal(size_of(reader), PIPES_MOST);
    assert_int_equal(size_of(to_stdout), PIPES_MOST);
    output_close_streams(&output);
    assert_int_equal(size_of(reader), PIPES_LEAST);
    assert_int_equal(size_of(to_stdout), PIPES_LEAST);
    assert_int_equal(output.pipes.size, 0);
    close_output();
}

static void a_pipe_that_is_too_full_to_shrink_does_so_when_it_was_read(void **state)
{
    (void)state;
    LINUX_ONLY();
    open_output(0);
    flood();
    assert_int_equal(write_pattern(to_stdout, 0, 0, 200000), 200000);
    pump();
    output_close_streams(&output);
    assert_int_equal(size_of(reader), PIPES_MOST);
    handle_all(0);
    assert_int_equal(size_of(reader), PIPES_LEAST);
    close_output();
}

static void pipes_shrink_with_the_window(void **state)
{
    uint64_t now = 0;

    (void)state;
    LINUX_ONLY();
    open_output(0);
    flood();
    while (output.window.size > PIPES_LEAST) {
        fill_window();
        now += WINDOW_SLOW_US + 1;
        handle_all(now);
        assert_true(size_of(reader) <= (int)pipes_size_for(output.window.size));
    }
    assert_int_equal(size_of(reader), PIPES_LEAST);
    close_output();
}

/* A file that is appended to is one that splice(2) refuses. */
static void what_cannot_be_spliced_to_is_copied_to(void **state)
{
    const char *path = own_path("append");
    int fd;

    (void)state;
    open_output(500000);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    io_close(&output.fd);
    output.fd = fd;
    assert_int_equal(write_pattern(to_stdout, 0, 0, 60000), 60000);
    pump();
    if (!IS_PORTABLE)
        assert_true(output.no_splice);
    io_close(&reader);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    (void)receive();
    assert_int_equal(parse().data[0], 60000);
    close_output();
}

static void a_stream_that_has_ended_is_closed_when_all_of_it_is_sent(void **state)
{
    (void)state;
    open_output(0);
    (void)write_pattern(to_stdout, 0, 0, 10);
    io_close(&to_stdout);
    pump();
    assert_int_equal(output.streams[0].fd, -1);
    assert_false(output_ended(&output));
    assert_false(output_wants(&output, &output.streams[0]));
    io_close(&to_stderr);
    pump();
    assert_true(output_ended(&output));
    assert_true(output_drained(&output));
    (void)receive();
    assert_int_equal(parse().data[0], 10);
    close_output();
}

static void when_the_reader_is_gone_the_rest_is_thrown_away(void **state)
{
    (void)state;
    for (int large = 0; large < 2; large++) {
        const struct ending ending = {.code = 1};

        open_output(500000);
        (void)write_pattern(to_stdout, 0, 0, large ? 60000 : 10);
        io_close(&reader);
        pump();
        pump();
        assert_true(output.gone);
        output_queued(&output, protocol_exited(output_control(&output), &ending, ""));
        assert_int_equal(output.control_end, 0);
        for (int i = 0; i < 100; i++) { /* more than the pipe and the window hold */
            assert_int_equal(write_pattern(to_stdout, 0, 0, 60000), 60000);
            pump();
        }
        assert_true(output_drained(&output));
        close_output();
    }
}

static void discarding_needs_no_window_and_sends_no_data(void **state)
{
    const struct ending ending = {.code = 1};
    struct seen seen;

    (void)state;
    open_output(16);
    (void)write_pattern(to_stdout, 0, 0, 100);
    pump();
    output.discard = true;
    for (int i = 0; i < 100; i++) {
        assert_true(output_wants(&output, &output.streams[0]));
        assert_int_equal(write_pattern(to_stdout, 0, 0, 60000), 60000);
        pump();
    }
    assert_true(output_drained(&output));
    /* What had been sent before is still acknowledged. */
    assert_true(window_acknowledged(&output.window, 16, 0));
    output_queued(&output, protocol_exited(output_control(&output), &ending, ""));
    pump();
    (void)receive();
    seen = parse();
    assert_int_equal(seen.data[0], 16);
    assert_int_equal(seen.controls, 1);
    close_output();
}

/* The header has promised the bytes, so they have to come. */
static void discarding_does_not_break_off_a_frame(void **state)
{
    (void)state;
    open_output(500000);
    (void)fcntl(to_stdout, F_SETPIPE_SZ, PIPE_SIZE);
    assert_int_equal(write_pattern(to_stdout, 0, 0, 400000), 400000);
    pump();
    assert_true(output.blocked);
    output.discard = true;
    while (receive() > 0)
        pump();
    assert_true(parse().data[0] > 0);
    assert_true(output_drained(&output));
    close_output();
}

static void without_acknowledgements_to_come_the_window_does_not_count(void **state)
{
    (void)state;
    open_output(16);
    (void)write_pattern(to_stdout, 0, 0, 60000);
    pump();
    output.unacknowledged = true;
    pump();
    while (receive() > 0)
        pump();
    assert_int_equal(parse().data[0], 60000);
    close_output();
}

static void it_can_be_abandoned_while_blocked(void **state)
{
    (void)state;
    open_output(500000);
    (void)fcntl(to_stdout, F_SETPIPE_SZ, PIPE_SIZE);
    assert_int_equal(write_pattern(to_stdout, 0, 0, 400000), 400000);
    pump();
    assert_true(output.blocked);
    output_abandon(&output);
    assert_false(output.blocked);
    pump();
    assert_true(output_drained(&output));
    close_output();
}

static void streams_that_were_never_there_have_ended(void **state)
{
    (void)state;
    memset(&output, 0, sizeof output);
    output_init(&output, -1, 0);
    assert_true(output_ended(&output));
    output_pump(&output, 0);
    assert_false(output_wants(&output, &output.streams[0]));
}

/* ---- Terminals ---- */

/* The same bytes come out as have been written. */
static void open_raw_terminal(int *master, int *terminal)
{
    struct options options = {.pty = true};
    struct termios raw = {.c_cflag = CS8 | CREAD};
    struct failure why;

    assert_true(pty_open(master, terminal, &options, NULL, &raw, &why));
}

/* Takes the place of standard output. It has to be closed by whoever opens the next. */
static void open_master(int master)
{
    output.unacknowledged = true;
    output_open_streams(&output, master, -1, false);
    output.streams[0].is_terminal = true;
}

/* The program that writes and ends between the two looks of a read that finds nothing: Linux has looked for bytes, and
 * looks now whether the terminal has been closed. */
static struct {
    int master;
    int terminal;
    unsigned empty_reads_before;
    size_t size;
} late = {.master = -1};

ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
    ssize_t result = __real_read(fd, bytes, size);

    if (fd == late.master && result < 0 && errno == EAGAIN && late.empty_reads_before-- == 0) {
        assert_int_equal(write_pattern(late.terminal, 0, 0, late.size), late.size);
        io_close(&late.terminal);
        late.master = -1;
        errno = EIO;
    }
    return result;
}

static void what_is_written_and_closed_during_a_read_is_not_lost(void **state)
{
    (void)state;
    for (unsigned empty_reads_before = 0; empty_reads_before < 2; empty_reads_before++) {
        open_output(0);
        io_close(&output.streams[0].fd);
        io_close(&output.streams[1].fd);
        open_raw_terminal(&late.master, &late.terminal);
        late.empty_reads_before = empty_reads_before;
        late.size = 2000;
        open_master(late.master);
        pump();
        (void)receive();
        assert_int_equal(late.master, -1);
        assert_int_equal(parse().data[0], late.size);
        assert_true(output_ended(&output));
        close_output();
    }
}

/* The end of a terminal, as often as seconds allow, because what Linux does between a last write, a close and a read
 * that finds nothing depends on microseconds. Where the first end that is found is believed, one in some hundreds or
 * thousands comes too early, as measured on Linux 6.18. */
#define ENDINGS_SECONDS 5
#define ENDINGS_AT_ONCE 2   /* each has its writer, so that there are more than processors, or as many */
#define ENDING_SIZE 8390u   /* bytes: more than twice what Linux's terminals hold, N_TTY_BUF_SIZE - 1, ... */
#define ENDING_PIECE 4095u  /* ... and that as a piece */
#define ENDING_PAUSE 30000u /* rounds of a loop at most: tens of microseconds */

static void write_and_close(int terminal)
{
    for (size_t at = 0; at < ENDING_SIZE;) {
        size_t size = ENDING_SIZE - at < ENDING_PIECE ? ENDING_SIZE - at : ENDING_PIECE;
        volatile unsigned pause = (unsigned)random() % ENDING_PAUSE;

        if (write_pattern(terminal, 0, at, size) != size)
            _exit(1);
        while (pause > 0)
            pause--;
        at += size;
    }
    (void)close(terminal);
}

/* Opens, tells it, writes and closes, each time that it is told to. */
static pid_t start_writer(const char *name, int *go, int *opened)
{
    int orders[2], answers[2];
    pid_t writer;

    assert_true(io_pipe(orders) && io_pipe(answers));
    writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        char order;

        (void)close(orders[1]);
        while (read(orders[0], &order, 1) == 1) {
            int terminal = open(name, O_RDWR | O_NOCTTY);

            if (terminal < 0 || write(answers[1], &order, 1) != 1)
                _exit(1);
            write_and_close(terminal);
        }
        _exit(0);
    }
    (void)close(orders[0]);
    (void)close(answers[1]);
    *go = orders[1];
    *opened = answers[0];
    return writer;
}

/* How many of them came too early, and how many there were. */
struct endings {
    unsigned early;
    unsigned all;
};

static size_t read_to_the_end(int master)
{
    received_size = 0;
    open_master(fcntl(master, F_DUPFD_CLOEXEC, 3));
    while (!output_ended(&output)) {
        struct pollfd fds = {.fd = output.streams[0].fd, .events = POLLIN};

        assert_int_not_equal(poll(&fds, 1, LONG_ENOUGH_MS), 0);
        pump();
        (void)receive();
    }
    return parse().data[0];
}

static struct endings watch_endings(void)
{
    uint64_t until = io_now_us() + ENDINGS_SECONDS * 1000000u;
    struct endings endings = {0, 0};
    int master, terminal, go, opened, status;
    char order = 0;
    pid_t writer;

    open_output(0);
    io_close(&output.streams[0].fd);
    io_close(&output.streams[1].fd);
    open_raw_terminal(&master, &terminal);
    io_close(&terminal);
    writer = start_writer(ptsname(master), &go, &opened);
    while (io_now_us() < until) {
        assert_int_equal(write(go, &order, 1), 1);
        read_exactly(opened, &order, 1);
        endings.early += read_to_the_end(master) != ENDING_SIZE;
        endings.all++;
        while (read(master, received, sizeof received) > 0 || errno != EIO)
            ; /* what is left of an end that came too early is not the next one's */
    }
    io_close(&go);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_int_equal(status, 0);
    io_close(&opened);
    io_close(&master);
    close_output();
    return endings;
}

static void no_end_of_a_terminal_comes_too_early(void **state)
{
    struct endings endings = {0, 0};
    int results[2];

    (void)state;
    assert_true(io_pipe(results));
    for (int i = 0; i < ENDINGS_AT_ONCE; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            srandom((unsigned)getpid());
            endings = watch_endings();
            _exit(write(results[1], &endings, sizeof endings) != sizeof endings);
        }
    }
    io_close(&results[1]);
    for (int i = 0; i < ENDINGS_AT_ONCE; i++) {
        int status;

        read_exactly(results[0], &endings, sizeof endings);
        print_message("%u of %u ends came too early\n", endings.early, endings.all);
        assert_true(endings.all > 0);
        assert_int_equal(endings.early, 0);
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    io_close(&results[0]);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(what_is_written_comes_as_a_frame),
        TEST(stderr_has_its_own_tag),
        TEST(streams_take_turns),
        TEST(a_window_of_one_byte_passes_everything),
        TEST(a_window_of_sixteen_bytes_passes_everything),
        TEST(the_least_window_passes_everything),
        TEST(a_large_window_passes_everything_spliced_or_copied),
        TEST(a_window_that_follows_passes_everything),
        TEST(a_full_window_ends_the_reading),
        TEST(control_frames_never_come_inside_data_frames),
        TEST(splicing_is_what_large_frames_are_for),
        TEST(a_frame_promises_no_more_than_a_reader_takes_at_a_time),
        TEST(pipes_grow_with_the_window_and_shrink_at_the_end),
        TEST(a_pipe_that_is_too_full_to_shrink_does_so_when_it_was_read),
        TEST(pipes_shrink_with_the_window),
        TEST(what_cannot_be_spliced_to_is_copied_to),
        TEST(a_stream_that_has_ended_is_closed_when_all_of_it_is_sent),
        TEST(when_the_reader_is_gone_the_rest_is_thrown_away),
        TEST(discarding_needs_no_window_and_sends_no_data),
        TEST(discarding_does_not_break_off_a_frame),
        TEST(without_acknowledgements_to_come_the_window_does_not_count),
        TEST(it_can_be_abandoned_while_blocked),
        TEST(streams_that_were_never_there_have_ended),
        TEST(what_is_written_and_closed_during_a_read_is_not_lost),
        TEST(no_end_of_a_terminal_comes_too_early),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
