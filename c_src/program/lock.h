/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The lock that keeps a program from meeting its predecessor. It is flock(2)'s, which belongs to the open file
 * description: keeper, relay, program and all that descends from it share that, and the kernel lets go of the lock when
 * the last of them has ended or closed it, however that came.
 */
#ifndef MUONTRAP_LOCK_H
#define MUONTRAP_LOCK_H

#include "base/failure.h"
#include "launch.h"

enum lock {
    LOCK_TAKEN,
    LOCK_FAILED,   /* the failure says why */
    LOCK_CANCELLED /* told to stop meanwhile */
};

/* Takes the lock of the options, and tells whoever reads when it waits for long. The launch's signals must not be
 * blocked yet: there is nothing to clean up, and one that ends a process ends the wait. */
enum lock lock_take(struct launch *launch, struct failure *why);

#endif
