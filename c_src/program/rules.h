/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The text of /etc/muontrap.conf: which users and groups a helper that has the capabilities of its file may give to
 * whom (docs/users.md). Pure: users and groups are ids here, which permission.c looks up.
 * Promises that a text that is not understood to its last byte is refused, with the file and the line.
 */
#ifndef MUONTRAP_RULES_H
#define MUONTRAP_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/failure.h"

#define RULES_BYTES_MOST 65536u
#define RULES_LINE_MOST 1024u /* bytes of a line, without its newline */
#define RULES_MOST 1024u

enum rule_kind { RULE_ALLOW_USER, RULE_ALLOW_GROUP, RULE_BY_USER };

/* A clause: `allow user NAME`, `allow group NAME` or `by user NAME`. */
struct rule {
    const char *name;
    unsigned size; /* of the name, behind which there is a NUL */
    unsigned line;
    unsigned block;
    enum rule_kind kind;
    uint32_t id; /* which whoever has read the rules fills in */
};

struct rules {
    unsigned count;
    struct rule list[RULES_MOST];
};

/* Reads the text, in which the names stay, and which has room for one more byte than its size. On failure the words
 * begin with the file's name and the line. */
bool rules_read(struct rules *rules, const char *file, char *text, size_t size, struct failure *why);

/* Whether there is a block by that caller. */
bool rules_know(const struct rules *rules, uint32_t caller);

/* Whether the clause is in a block by that caller. */
bool rules_is_for(const struct rules *rules, const struct rule *rule, uint32_t caller);

/* Whether a block by that caller has that user or group. */
bool rules_allow(const struct rules *rules, uint32_t caller, enum rule_kind kind, uint32_t id);

#endif
