/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port/protocol.h"
#include "base/rare.h"
#include "base/signal_name.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static uint8_t *put_u8(uint8_t *at, unsigned value)
{
    *at = (uint8_t)(value & 0xffu);
    return at + 1;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        at = put_u8(at, value >> shift);
    return at;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    return put_u32(put_u32(at, (uint32_t)(value >> 32)), (uint32_t)(value & 0xffffffffu));
}

static uint8_t *put_text(uint8_t *at, const char *text, size_t most)
{
    size_t size = strlen(text);

    if (size > most)
        size = most;
    memcpy(at, text, size);
    return at + size;
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void protocol_data_header(uint8_t header[FRAME_HEADER], uint8_t tag, uint32_t payload)
{
    put_u8(put_u32(header, payload + 1), tag);
}

/* The payload has been written behind the header's room: puts the header before it, now that the size is known. */
static size_t finish(uint8_t *frame, uint8_t tag, const uint8_t *end)
{
    size_t size = (size_t)(end - frame);

    protocol_data_header(frame, tag, (uint32_t)(size - FRAME_HEADER));
    return size;
}

size_t protocol_started(uint8_t frame[FRAME_CONTROL_MOST], uint32_t pid, const char *cgroup_path)
{
    uint8_t *at = put_u32(frame + FRAME_HEADER, pid);

    return finish(frame, TAG_STARTED, put_text(at, cgroup_path, FRAME_CONTROL_MOST - FRAME_HEADER - 4));
}

/* As Erlang spells it, "sigterm"; nothing for a signal without a name. */
RARE static uint8_t *put_signal_name(uint8_t *at, uint32_t signal)
{
    const char *name = signal_name((int)signal);
    uint8_t *end = name ? put_text(put_text(at + 1, "sig", 3), name, SIGNAL_NAME_MOST - 3) : at + 1;

    for (uint8_t *letter = at + 4; letter < end; letter++)
        *letter = (uint8_t)tolower(*letter);
    (void)put_u8(at, (unsigned)(end - at - 1));
    return end;
}

size_t protocol_exited(uint8_t frame[FRAME_CONTROL_MOST], const struct ending *ending, const char *names)
{
    uint8_t *at = frame + FRAME_HEADER;

    at = put_u8(at, ending->unknown ? 2 : ending->signalled);
    at = put_u32(at, ending->code);
    at = put_u8(at, ending->core_dumped);
    at = put_u8(at, ending->oom_killed);
    at = put_u8(at, ending->stopped);
    at = put_u8(at, ending->forced);
    at = put_u64(at, ending->user_us);
    at = put_u64(at, ending->system_us);
    at = put_u64(at, ending->peak_bytes);
    at = put_u32(at, ending->stragglers);
    at = put_u8(at, ending->reusable);
    at = ending->signalled ? put_signal_name(at, ending->code) : put_u8(at, 0);
    return finish(frame, TAG_EXITED, put_text(at, names, FRAME_CONTROL_MOST - (size_t)(at - frame)));
}

RARE size_t protocol_waiting(uint8_t frame[FRAME_CONTROL_MOST], const char *words)
{
    return finish(frame, TAG_WAITING, put_text(frame + FRAME_HEADER, words, FRAME_CONTROL_MOST - FRAME_HEADER));
}

RARE size_t protocol_signalled(uint8_t frame[FRAME_CONTROL_MOST], uint32_t id, int error)
{
    uint8_t *at = put_u32(put_u32(frame + FRAME_HEADER, id), (uint32_t)error);

    return finish(frame, TAG_SIGNALLED, put_text(at, errno_name(error), 255));
}

RARE size_t protocol_unused(uint8_t frame[FRAME_HEADER])
{
    return finish(frame, TAG_UNUSED, frame + FRAME_HEADER);
}

RARE size_t protocol_credit(uint8_t frame[FRAME_CONTROL_MOST], uint32_t bytes)
{
    return finish(frame, TAG_CREDIT, put_u32(frame + FRAME_HEADER, bytes));
}

RARE size_t protocol_input_closed(uint8_t frame[FRAME_CONTROL_MOST], uint64_t taken)
{
    return finish(frame, TAG_INPUT_CLOSED, put_u64(frame + FRAME_HEADER, taken));
}

RARE size_t protocol_error(uint8_t frame[FRAME_CONTROL_MOST], const struct failure *failure)
{
    const char *name = errno_name(failure->error);
    uint8_t *at = frame + FRAME_HEADER;

    at = put_u8(at, failure->stage);
    at = put_u32(at, (uint32_t)failure->error);
    at = put_u8(at, (unsigned)strlen(name));
    at = put_text(at, name, 255);
    return finish(frame, TAG_ERROR, put_text(at, failure->words, sizeof failure->words));
}

/* The sizes that a frame may have, tag and payload, by its tag; 0 for a tag that is none. */
static uint32_t command_least(uint8_t tag)
{
    switch (tag) {
    case TAG_ACK:
    case TAG_RESIZE:
        return 5;
    case TAG_STOP:
    case TAG_DISCARD:
    case TAG_END_OF_INPUT:
        return 1;
    case TAG_SIGNAL:
        return SIGNAL_LEAST;
    case TAG_LAUNCH:
    case TAG_INPUT:
        return 2;
    default:
        return 0;
    }
}

static uint32_t command_most(uint8_t tag)
{
    switch (tag) {
    case TAG_SIGNAL:
        return SIGNAL_LEAST - 1 + SIGNAL_NAME_MOST;
    case TAG_LAUNCH:
        return LAUNCH_MOST;
    case TAG_INPUT:
        return INPUT_MOST;
    default:
        return command_least(tag);
    }
}

RARE static void malformed(struct command *command, uint32_t size, int tag)
{
    command->kind = COMMAND_MALFORMED;
    if (tag < 0)
        failed(&command->why, STAGE_PROTOCOL, EPROTO,
               "a frame of %lu bytes arrived on standard input, where 1 to %u are allowed; see the table of frames in "
               "docs/protocol.md",
               (unsigned long)size, INPUT_MOST);
    else if (command_least((uint8_t)tag) == 0)
        failed(&command->why, STAGE_PROTOCOL, EPROTO,
               "a frame with the unknown tag 0x%02x arrived on standard input; see the table of frames in "
               "docs/protocol.md",
               (unsigned)tag);
    else
        failed(&command->why, STAGE_PROTOCOL, EPROTO,
               "a frame '%c' of %lu bytes arrived on standard input, which has no less than %lu and no more than %lu; "
               "see the table of frames in docs/protocol.md",
               tag, (unsigned long)size, (unsigned long)command_least((uint8_t)tag),
               (unsigned long)command_most((uint8_t)tag));
}

RARE static void out_of_turn(struct command *command)
{
    command->kind = COMMAND_MALFORMED;
    failed(
        &command->why, STAGE_PROTOCOL, EPROTO,
        "a launch arrived on standard input before the last program's end had been told as that of a reusable helper; "
        "see docs/protocol.md");
}

/* Those that most programs' owners never send. */
RARE static void take_rare(const struct decoder *decoder, struct command *command, uint32_t size)
{
    switch (decoder->bytes[4]) {
    case TAG_SIGNAL:
        command->kind = COMMAND_SIGNAL;
        command->receiver = decoder->bytes[FRAME_HEADER];
        command->id = get_u32(decoder->bytes + FRAME_HEADER + 1);
        command->signal =
            signal_by_name((const char *)decoder->bytes + 4 + SIGNAL_LEAST - 1, size - (SIGNAL_LEAST - 1));
        break;
    case TAG_END_OF_INPUT:
        command->kind = COMMAND_END_OF_INPUT;
        break;
    case TAG_RESIZE:
        command->kind = COMMAND_RESIZE;
        command->rows = (uint16_t)(get_u32(decoder->bytes + FRAME_HEADER) >> 16);
        command->columns = (uint16_t)(get_u32(decoder->bytes + FRAME_HEADER) & 0xffffu);
        break;
    default:
        command->kind = COMMAND_DISCARD;
    }
}

/* Looks at what has arrived as early as it can be judged, so that a wrong length is not waited for. */
static void recognise_frame(struct decoder *decoder, struct command *command)
{
    uint32_t size;

    if (decoder->have < 4)
        return;
    size = get_u32(decoder->bytes);
    if (size < 1 || size > INPUT_MOST) {
        malformed(command, size, -1);
        return;
    }
    if (decoder->have < FRAME_HEADER)
        return;
    if (size < command_least(decoder->bytes[4]) || size > command_most(decoder->bytes[4])) {
        malformed(command, size, decoder->bytes[4]);
        return;
    }
    if (decoder->bytes[4] == TAG_LAUNCH && !decoder->expects_launch) {
        out_of_turn(command);
        return;
    }
    if (decoder->bytes[4] == TAG_INPUT) {
        command->kind = COMMAND_INPUT;
        command->bytes = decoder->left = size - 1;
        return;
    }
    if (decoder->have < 4 + size)
        return;
    switch (decoder->bytes[4]) {
    case TAG_ACK:
        command->kind = COMMAND_ACK;
        command->bytes = get_u32(decoder->bytes + FRAME_HEADER);
        break;
    case TAG_STOP:
        command->kind = COMMAND_STOP;
        break;
    case TAG_LAUNCH:
        command->kind = COMMAND_LAUNCH;
        command->text_size = size - 1;
        decoder->text[size - 1] = '\0';
        break;
    default:
        take_rare(decoder, command, size);
    }
}

/* Header and short payloads are kept together; a launch's payload has a place of its own. */
static void keep(struct decoder *decoder, uint8_t byte)
{
    if (decoder->have >= FRAME_HEADER && decoder->bytes[4] == TAG_LAUNCH)
        decoder->text[decoder->have - FRAME_HEADER] = (char)byte;
    else
        decoder->bytes[decoder->have] = byte;
    decoder->have++;
}

RARE static void take_piece(struct decoder *decoder, const uint8_t **input, size_t *size, struct command *command)
{
    command->kind = COMMAND_PIECE;
    command->piece = *input;
    command->piece_size = *size < decoder->left ? *size : decoder->left;
    decoder->left -= (uint32_t)command->piece_size;
    *input += command->piece_size;
    *size -= command->piece_size;
}

void protocol_decode(struct decoder *decoder, const uint8_t **input, size_t *size, struct command *command)
{
    command->kind = COMMAND_NONE;
    if (decoder->left > 0 && *size > 0) {
        take_piece(decoder, input, size, command);
        return;
    }
    while (*size > 0 && command->kind == COMMAND_NONE) {
        keep(decoder, **input);
        ++*input;
        --*size;
        recognise_frame(decoder, command);
    }
    if (command->kind != COMMAND_NONE)
        decoder->have = 0;
}
