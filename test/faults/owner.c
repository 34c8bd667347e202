/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void owner_init(struct owner *owner, int in, int out, bool speaks_frames)
{
    *owner = (struct owner){.in = in, .out = out, .speaks_frames = speaks_frames, .acknowledges = true};
}

void owner_free(struct owner *owner)
{
    free(owner->raw);
    free(owner->queue);
    free(owner->streams[0]);
    free(owner->streams[1]);
    owner_close(owner);
    if (owner->out >= 0)
        (void)close(owner->out);
}

void owner_close(struct owner *owner)
{
    if (owner->in >= 0)
        (void)close(owner->in);
    owner->in = -1;
    owner->queue_size = 0;
}

static void append(uint8_t **bytes, size_t *have, const void *more, size_t size)
{
    if (size == 0)
        return;
    *bytes = realloc(*bytes, *have + size);
    if (!*bytes)
        abort();
    memcpy(*bytes + *have, more, size);
    *have += size;
}

static void drop(uint8_t *bytes, size_t *have, size_t size)
{
    memmove(bytes, bytes + size, *have - size);
    *have -= size;
}

void owner_send(struct owner *owner, char tag, const void *payload, size_t size)
{
    size_t whole = size + 1;
    const uint8_t header[] = {(uint8_t)(whole >> 24), (uint8_t)(whole >> 16), (uint8_t)(whole >> 8), (uint8_t)whole,
                              (uint8_t)tag};

    if (owner->in < 0)
        return;
    append(&owner->queue, &owner->queue_size, header, sizeof header);
    append(&owner->queue, &owner->queue_size, payload, size);
    owner_write(owner);
}

void owner_launch(struct owner *owner, const char *const argv[])
{
    char text[4096];
    size_t size = 0;

    for (size_t i = 0; argv[i]; i++) {
        memcpy(text + size, argv[i], strlen(argv[i]) + 1);
        size += strlen(argv[i]) + 1;
    }
    owner->started = owner->errored = owner->ended = owner->exited = owner->reusable = false;
    owner->stopped = owner->forced = false;
    owner->sizes[0] = owner->sizes[1] = 0;
    owner_send(owner, 'l', text, size);
}

void owner_write(struct owner *owner)
{
    ssize_t size;

    if (owner->in < 0 || owner->queue_size == 0)
        return;
    size = write(owner->in, owner->queue, owner->queue_size);
    if (size > 0)
        drop(owner->queue, &owner->queue_size, (size_t)size);
    else if (errno != EAGAIN && errno != EINTR)
        owner_close(owner);
}

static void complain(struct owner *owner, const char *what, uint8_t tag)
{
    if (owner->wrong[0] == '\0')
        (void)snprintf(owner->wrong, sizeof owner->wrong, "%s ('%c')", what, tag);
}

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void take_error(struct owner *owner, const uint8_t *payload, size_t size)
{
    size_t name = size >= 6 ? payload[5] : 0;

    if (size < 6 + name + 10) {
        complain(owner, "an error has no words", '!');
        return;
    }
    if (owner->errored)
        return; /* the first one tells what has begun it */
    owner->errored = true;
    owner->stage = payload[0];
    owner->error = number(payload + 1);
    (void)snprintf(owner->words, sizeof owner->words, "%.*s", (int)(size - 6 - name), payload + 6 + name);
    owner->ended = !owner->started;
}

static void take_exited(struct owner *owner, const uint8_t *payload, size_t size)
{
    if (size < 39) {
        complain(owner, "an exited is too short", 'X');
        return;
    }
    owner->launches++;
    owner->ended = owner->exited = true;
    owner->how = payload[0];
    owner->code = number(payload + 1);
    owner->stopped = payload[7] != 0;
    owner->forced = payload[8] != 0;
    owner->reusable = payload[37] != 0;
}

static void take_data(struct owner *owner, int stream, const uint8_t *payload, size_t size)
{
    const uint8_t bytes[] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};

    append(&owner->streams[stream], &owner->sizes[stream], payload, size);
    if (owner->acknowledges)
        owner_send(owner, 'a', bytes, sizeof bytes);
}

static void take_frame(struct owner *owner, uint8_t tag, const uint8_t *payload, size_t size)
{
    if (owner->ended && tag != 'U')
        complain(owner, "a frame came after the last one", tag);
    if (!owner->started && !strchr("P!WKU", tag))
        complain(owner, "a frame came before started", tag);
    switch (tag) {
    case 'P':
        if (owner->started || size < 4)
            complain(owner, "a second started", tag);
        owner->started = true;
        owner->program = (long)number(payload);
        break;
    case 'O':
    case 'o':
        take_data(owner, 0, payload, size);
        break;
    case 'E':
    case 'e':
        take_data(owner, 1, payload, size);
        break;
    case 'X':
        take_exited(owner, payload, size);
        break;
    case '!':
        take_error(owner, payload, size);
        break;
    case 'C':
        owner->credit += number(payload);
        break;
    case 'I':
        owner->input_closed = true;
        break;
    case 'U':
        owner->told_unused = owner->ended = true;
        break;
    case 'W':
    case 'K':
    case 'Q':
    case 'q':
        break;
    default:
        complain(owner, "an unknown frame", tag);
    }
}

static void take_frames(struct owner *owner)
{
    while (owner->raw_size >= 5) {
        size_t whole = 4 + number(owner->raw);

        if (whole < 5 || whole > 2u * 1024 * 1024) {
            complain(owner, "a frame of no length, or too long", owner->raw[4]);
            owner->raw_size = 0;
            return;
        }
        if (owner->raw_size < whole)
            return;
        take_frame(owner, owner->raw[4], owner->raw + 5, whole - 5);
        drop(owner->raw, &owner->raw_size, whole);
    }
}

void owner_read(struct owner *owner, size_t most)
{
    static uint8_t bytes[65536];
    ssize_t size = read(owner->out, bytes, most < sizeof bytes ? most : sizeof bytes);

    if (size > 0) {
        append(&owner->raw, &owner->raw_size, bytes, (size_t)size);
        if (owner->speaks_frames)
            take_frames(owner);
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (owner->speaks_frames && owner->raw_size > 0)
            complain(owner, "the output ended within a frame", owner->raw_size > 4 ? owner->raw[4] : '?');
        (void)close(owner->out);
        owner->out = -1;
    }
}
