/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whatever arrives, and however it is cut into pieces, gives the same commands. The first byte of the input says how to
 * cut the rest, and whether a launch is expected.
 */
#include "fuzz.h"

#include "port/protocol.h"

#define COMMANDS_MOST 4096

struct heard {
    size_t count;
    enum command_kind kinds[COMMANDS_MOST];
    uint32_t bytes[COMMANDS_MOST];
    size_t left_within; /* a frame at the end */
    uint64_t input;     /* a sum of its bytes */
    size_t taken;
};

static void hear(struct heard *heard, const uint8_t *data, size_t size, unsigned seed, bool expects_launch)
{
    static char text[LAUNCH_MOST];
    struct decoder decoder = {.expects_launch = expects_launch, .text = text};
    struct command command = {.kind = COMMAND_NONE};

    memset(heard, 0, sizeof *heard);
    while (size > 0 && command.kind != COMMAND_MALFORMED && heard->count < COMMANDS_MOST) {
        size_t most = seed == 0 ? size : seed % 13 + 1;
        size_t piece = most < size ? most : size;
        /* A copy of exactly that size, so that a read behind its end is seen. */
        uint8_t *copy = malloc(piece);
        const uint8_t *at = copy;
        size_t left = piece;

        if (!copy)
            abort();
        memcpy(copy, data, piece);
        do {
            protocol_decode(&decoder, &at, &left, &command);
            /* How an input is cut is no difference, but what it is. */
            if (command.kind == COMMAND_PIECE) {
                if (command.piece_size == 0)
                    abort();
                for (size_t i = 0; i < command.piece_size; i++)
                    heard->input = heard->input * 31 + command.piece[i];
                continue;
            }
            if (command.kind != COMMAND_NONE) {
                heard->kinds[heard->count] = command.kind;
                heard->bytes[heard->count++] =
                    command.kind == COMMAND_ACK || command.kind == COMMAND_INPUT ? command.bytes
                    : command.kind == COMMAND_RESIZE ? (uint32_t)command.rows << 16 | command.columns
                                                     : 0;
            }
            if (command.kind == COMMAND_NONE && left > 0)
                abort();
            if (command.kind == COMMAND_MALFORMED &&
                (command.why.stage != STAGE_PROTOCOL || strlen(command.why.words) == 0))
                abort();
        } while (left > 0 && command.kind != COMMAND_MALFORMED && heard->count < COMMANDS_MOST);
        free(copy);
        heard->taken += piece - left;
        data += piece - left;
        size -= piece - left;
        seed = seed == 0 ? 0 : seed * 1103515245u + 12345u;
    }
    heard->left_within = decoder.have + decoder.left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct heard whole;
    static struct heard cut;

    if (size == 0)
        return 0;
    hear(&whole, data + 1, size - 1, 0, data[0] % 2 == 1);
    hear(&cut, data + 1, size - 1, data[0] + 1u, data[0] % 2 == 1);
    if (whole.count != cut.count || whole.left_within != cut.left_within || whole.taken != cut.taken ||
        whole.input != cut.input || memcmp(whole.kinds, cut.kinds, sizeof whole.kinds) != 0 ||
        memcmp(whole.bytes, cut.bytes, sizeof whole.bytes) != 0)
        abort();
    return 0;
}
