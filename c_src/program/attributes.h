/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the program inherits beside descriptors and identity: resource limits, nice value, umask, processors, how the
 * OOM killer sees it, and that it gains no privileges.
 */
#ifndef MUONTRAP_ATTRIBUTES_H
#define MUONTRAP_ATTRIBUTES_H

#include <stdbool.h>

#include "base/failure.h"
#include "program/attributes_text.h"

/* In the child, before files are opened: what they are made with. */
void attributes_assume_umask(const struct attributes *attributes);

/* In the child, while it may have the privilege for it. On failure *stage and errno say which step failed, *which which
 * of the limits. */
bool attributes_assume(const struct attributes *attributes, bool is_session, enum stage *stage, unsigned *which);

/* In the child, before it executes the program. */
bool attributes_forgo_privileges(const struct attributes *attributes);

/* In the parent, whose limits are what the child's were. Returns false, as failed() does. */
bool attributes_explain(const struct attributes *attributes, enum stage stage, unsigned which, int error,
                        struct failure *why);

#endif
