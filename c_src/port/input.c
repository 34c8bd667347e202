/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* FIONREAD is no part of POSIX, but of all its systems */
#include "port/input.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"
#include "program/pty.h"

/* ---- The pipes' size ---- */

/* Frames come by standard input. The program's is -1 once it is closed. */
static void pipes_of(const struct input *input, int fds[PIPES])
{
    fds[0] = STDIN_FILENO;
    fds[1] = input->fd;
    fds[2] = -1;
}

void input_give_back_pipes(struct input *input)
{
    int fds[PIPES];

    pipes_of(input, fds);
    (void)pipes_shrink(&input->pipes, fds, PIPES_LEAST);
}

/* A step at a time. What a frame of the owner's doesn't find room for in the pipe costs both sides a turn. What only
 * fills the program's pipe has not been read by anybody. */
static void grow_pipes(struct input *input, uint64_t now_us)
{
    uint32_t size = input->pipes.size ? input->pipes.size : PIPES_LEAST;
    int fds[PIPES];

    if (size >= input->window || input->taken <= size || input->is_terminal)
        return;
    pipes_of(input, fds);
    pipes_grow(&input->pipes, fds, now_us);
}

static void close_program_end(struct input *input)
{
    io_close(&input->fd);
    if (input->pipes.size > 0)
        input_give_back_pipes(input);
}

/* ---- The input ---- */

void input_open(struct input *input, int fd, bool is_terminal)
{
    input->fd = fd;
    input->is_terminal = is_terminal;
}

void input_relay(struct input *input)
{
    input->relayed = true;
    input->window = input->owed = INPUT_WINDOW_LEAST;
}

bool input_take(struct input *input, uint32_t size)
{
    if (size > input->granted)
        return false;
    input->granted -= size;
    return true;
}

static void count_taken(struct input *input, size_t size)
{
    input->owed += (uint32_t)size;
    input->taken += (uint64_t)size;
}

size_t input_move(struct input *input, int from, size_t most)
{
    ssize_t moved;

    if (input->fd < 0 || input->count > 0 || input->blocked || input->no_splice || input->is_terminal)
        return 0;
    moved = platform_move(from, input->fd, most);
    if (moved < 0 && (errno == EINVAL || errno == ENOSYS))
        input->no_splice = true;
    if (moved <= 0)
        return 0;
    count_taken(input, (size_t)moved);
    return (size_t)moved;
}

uint8_t *input_room(struct input *input, size_t *most)
{
    size_t end = (input->at + input->count) % INPUT_WINDOW_MOST;

    if (input->fd < 0)
        *most = 0;
    else
        *most = end < input->at ? input->at - end : INPUT_WINDOW_MOST - end;
    if (input->count == INPUT_WINDOW_MOST)
        *most = 0;
    return input->bytes + end;
}

void input_put(struct input *input, size_t size)
{
    input->count += size;
}

void input_copy(struct input *input, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t most;
        uint8_t *room = input_room(input, &most);

        if (most == 0)
            return;
        if (most > size)
            most = size;
        memcpy(room, bytes, most);
        input_put(input, most);
        bytes += most;
        size -= most;
    }
}

RARE void input_forget(const struct input *input)
{
    platform_forget(input->bytes, INPUT_WINDOW_MOST);
}

void input_end(struct input *input)
{
    input->ending = true;
}

/* What is still in the pipe has not been read, and will not be. Of a terminal that can't be told. */
void input_lose(struct input *input)
{
    int unread = 0;

    if (input->fd < 0)
        return;
    if (!input->is_terminal && ioctl(input->fd, FIONREAD, &unread) == 0 && unread > 0)
        input->taken -= (uint64_t)unread < input->taken ? (uint64_t)unread : input->taken;
    close_program_end(input);
    input->at = input->count = 0;
    input->blocked = false;
    input->lost = true;
}

static void write_some(struct input *input)
{
    size_t most = INPUT_WINDOW_MOST - input->at;
    ssize_t size = write(input->fd, input->bytes + input->at, input->count < most ? input->count : most);

    if (size > 0) {
        const uint8_t *end = input->bytes + input->at + (size_t)size;

        input->last[0] = size > 1 ? end[-2] : input->last[1];
        input->last[1] = end[-1];
    }
    if (size >= 0) {
        input->count -= (size_t)size;
        input->at = input->count == 0 ? 0 : (input->at + (size_t)size) % INPUT_WINDOW_MOST;
        count_taken(input, (size_t)size);
    } else if (errno == EAGAIN) {
        input->blocked = true;
    } else if (errno != EINTR) {
        input_lose(input);
    }
}

static void write_all(struct input *input)
{
    while (input->fd >= 0 && input->count > 0 && !input->blocked)
        write_some(input);
}

/* When all else has been written, because the program may change the mode by what it reads. */
RARE static void type_end(struct input *input)
{
    uint8_t bytes[END_OF_INPUT_MOST];

    input->ended = true;
    input_copy(input, bytes, pty_end_of_input(input->fd, input->last, bytes));
    write_all(input);
}

void input_pump(struct input *input)
{
    write_all(input);
    if (!input->ending || input->count > 0 || input->fd < 0)
        return;
    if (input->is_terminal && !input->ended)
        type_end(input);
    if (input->count == 0)
        close_program_end(input);
}

/* A program that takes half of the window in this time may be waiting for more. */
#define FAST_US 10000u

/* Not for each little that is taken: a frame costs both sides a system call. */
uint32_t input_grant(struct input *input, uint64_t now_us)
{
    uint32_t granted = input->owed;

    if (granted < input->window / 2 || input->fd < 0 || input->ending)
        return 0;
    if (input->taken > 0 && now_us - input->granted_us <= FAST_US && input->window < INPUT_WINDOW_MOST) {
        granted += input->window;
        input->window *= 2;
    }
    grow_pipes(input, now_us);
    input->owed = 0;
    input->granted += granted;
    input->granted_us = now_us;
    return granted;
}
