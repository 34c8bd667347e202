/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The helper's half of the protocol, asked by test/muontrap/codec_test.exs. Requests and answers are packets with a
 * length of four bytes before them. A request is
 *   d expects_launch:8 n:8 n times size:16, bytes: what the helper makes of these bytes, when they come in pieces of
 *     those sizes, over and over; in one piece where there are none
 *   e and an event's tag and fields, as of encode(): the frame that the helper sends for it
 * Either is refused by leaving with 1, since the test knows what it may ask.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port/protocol.h"

#define PACKET_MOST (1u << 22)

static uint8_t request[PACKET_MOST];
static uint8_t answer[2 * PACKET_MOST];
static size_t answer_size;

static void require(bool holds)
{
    if (!holds)
        exit(1);
}

static uint64_t number(const uint8_t **at, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *(*at)++;
    return value;
}

static void add(const void *bytes, size_t size)
{
    require(size <= sizeof answer - answer_size);
    memcpy(answer + answer_size, bytes, size);
    answer_size += size;
}

static void add_number(uint64_t value, unsigned bytes)
{
    while (bytes-- > 0) {
        uint8_t byte = (uint8_t)(value >> 8 * bytes & 0xffu);

        add(&byte, 1);
    }
}

/* ---- Decoding ---- */

static void tell(const struct command *command, const char *text)
{
    static const char kinds[] = {[COMMAND_ACK] = TAG_ACK,         [COMMAND_STOP] = TAG_STOP,
                                 [COMMAND_DISCARD] = TAG_DISCARD, [COMMAND_SIGNAL] = TAG_SIGNAL,
                                 [COMMAND_LAUNCH] = TAG_LAUNCH,   [COMMAND_INPUT] = TAG_INPUT,
                                 [COMMAND_PIECE] = 'p',           [COMMAND_END_OF_INPUT] = TAG_END_OF_INPUT,
                                 [COMMAND_RESIZE] = TAG_RESIZE,   [COMMAND_MALFORMED] = '?'};

    add(&kinds[command->kind], 1);
    switch (command->kind) {
    case COMMAND_ACK:
    case COMMAND_INPUT:
        add_number(command->bytes, 4);
        break;
    case COMMAND_SIGNAL:
        add_number(command->receiver, 1);
        add_number(command->id, 4);
        add_number((uint32_t)command->signal, 4);
        break;
    case COMMAND_LAUNCH:
        require(text[command->text_size] == '\0');
        add_number(command->text_size, 4);
        add(text, command->text_size);
        break;
    case COMMAND_PIECE:
        require(command->piece_size > 0);
        add_number(command->piece_size, 4);
        add(command->piece, command->piece_size);
        break;
    case COMMAND_RESIZE:
        add_number(command->rows, 2);
        add_number(command->columns, 2);
        break;
    case COMMAND_MALFORMED:
        require(command->why.stage == STAGE_PROTOCOL && strlen(command->why.words) > 20);
        break;
    default:
        break;
    }
}

/* Takes the bytes of a piece, in memory of exactly that size. Returns how many it has taken: all of them, unless they
 * are malformed. */
static size_t decode_piece(struct decoder *decoder, const uint8_t *bytes, size_t size, bool *malformed)
{
    uint8_t *copy = malloc(size);
    const uint8_t *at = copy;
    size_t left = size;

    require(copy != NULL);
    memcpy(copy, bytes, size);
    while (left > 0 && !*malformed) {
        struct command command;

        protocol_decode(decoder, &at, &left, &command);
        require(command.kind != COMMAND_NONE || left == 0);
        if (command.kind != COMMAND_NONE)
            tell(&command, decoder->text);
        *malformed = command.kind == COMMAND_MALFORMED;
    }
    free(copy);
    return size - left;
}

static void decode(const uint8_t *at, const uint8_t *end)
{
    static char text[LAUNCH_MOST];
    struct decoder decoder = {.expects_launch = number(&at, 1) == 1, .text = text};
    unsigned count = (unsigned)number(&at, 1);
    const uint8_t *sizes = at;
    const uint8_t *bytes = at + 2 * count;
    const uint8_t *begin = bytes;
    bool malformed = false;

    for (unsigned i = 0; bytes < end && !malformed; i++) {
        const uint8_t *place = sizes + 2 * (count > 0 ? i % count : 0);
        size_t piece = count > 0 ? (size_t)number(&place, 2) : SIZE_MAX;

        require(piece > 0);
        if (piece > (size_t)(end - bytes))
            piece = (size_t)(end - bytes);
        bytes += decode_piece(&decoder, bytes, piece, &malformed);
    }
    add(".", 1);
    add_number((uint64_t)(bytes - begin), 4);
    add_number(decoder.have, 4);
    add_number(decoder.left, 4);
}

/* ---- Encoding ---- */

/* What is left, as a string. */
static const char *rest(const uint8_t *at, const uint8_t *end)
{
    static char text[PACKET_MOST + 1];

    memcpy(text, at, (size_t)(end - at));
    text[end - at] = '\0';
    return text;
}

static size_t encode_exited(uint8_t frame[FRAME_CONTROL_MOST], const uint8_t *at, const uint8_t *end)
{
    struct ending ending = {0};

    ending.signalled = number(&at, 1);
    ending.unknown = number(&at, 1);
    ending.code = (uint32_t)number(&at, 4);
    ending.core_dumped = number(&at, 1);
    ending.oom_killed = number(&at, 1);
    ending.stopped = number(&at, 1);
    ending.forced = number(&at, 1);
    ending.user_us = number(&at, 8);
    ending.system_us = number(&at, 8);
    ending.peak_bytes = number(&at, 8);
    ending.stragglers = (uint32_t)number(&at, 4);
    ending.reusable = number(&at, 1);
    return protocol_exited(frame, &ending, rest(at, end));
}

static size_t encode_error(uint8_t frame[FRAME_CONTROL_MOST], const uint8_t *at, const uint8_t *end)
{
    struct failure failure;

    failure.stage = (enum stage)number(&at, 1);
    failure.error = (int)number(&at, 4);
    (void)snprintf(failure.words, sizeof failure.words, "%s", rest(at, end));
    return protocol_error(frame, &failure);
}

/* A header, and the data that output.c has behind it. */
static void encode_data(uint8_t tag, const uint8_t *at, const uint8_t *end)
{
    uint8_t header[FRAME_HEADER];

    protocol_data_header(header, tag, (uint32_t)(end - at));
    add(header, sizeof header);
    add(at, (size_t)(end - at));
}

static void encode(const uint8_t *at, const uint8_t *end)
{
    uint8_t tag = (uint8_t)number(&at, 1);
    uint8_t *frame = malloc(FRAME_CONTROL_MOST);
    size_t size = 0;
    uint32_t first;

    require(frame != NULL);
    switch (tag) {
    case TAG_STARTED:
        first = (uint32_t)number(&at, 4);
        size = protocol_started(frame, first, rest(at, end));
        break;
    case TAG_EXITED:
        size = encode_exited(frame, at, end);
        break;
    case TAG_ERROR:
        size = encode_error(frame, at, end);
        break;
    case TAG_WAITING:
        size = protocol_waiting(frame, rest(at, end));
        break;
    case TAG_SIGNALLED:
        first = (uint32_t)number(&at, 4);
        size = protocol_signalled(frame, first, (int)number(&at, 4));
        break;
    case TAG_UNUSED:
        size = protocol_unused(frame);
        break;
    case TAG_CREDIT:
        size = protocol_credit(frame, (uint32_t)number(&at, 4));
        break;
    case TAG_INPUT_CLOSED:
        size = protocol_input_closed(frame, number(&at, 8));
        break;
    default:
        encode_data(tag, at, end);
    }
    require(size <= FRAME_CONTROL_MOST);
    add(frame, size);
    free(frame);
}

static bool read_packet(size_t *size)
{
    uint8_t header[4];
    const uint8_t *at = header;

    if (fread(header, 1, sizeof header, stdin) != sizeof header)
        return false;
    *size = (size_t)number(&at, 4);
    require(*size > 0 && *size <= sizeof request);
    return fread(request, 1, *size, stdin) == *size;
}

int main(void)
{
    size_t size;

    while (read_packet(&size)) {
        answer_size = 0;
        add_number(0, 4);
        if (request[0] == 'd')
            decode(request + 1, request + size);
        else
            encode(request + 1, request + size);
        size = answer_size;
        answer_size = 0;
        add_number(size - 4, 4);
        require(fwrite(answer, 1, size, stdout) == size && fflush(stdout) == 0);
    }
    return 0;
}
