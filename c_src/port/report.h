/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Tells the caller of a failure before there is a relay, or without one: an error frame in a port, else a line on
 * stderr.
 */
#ifndef MUONTRAP_REPORT_H
#define MUONTRAP_REPORT_H

#include "base/failure.h"
#include "options.h"

/* In a port, the frame and then a wait until the owner lets go, so that no write of its meets a closed pipe. */
void report_failure(const struct options *options, const struct failure *why);

/* "muontrap: " and the words on stderr. */
void report_words(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
