/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Flow-control arithmetic: how many bytes of output may still be sent unacknowledged. Pure; the caller brings the time.
 * Promises that the bytes sent and not acknowledged never exceed the window's size at the time they were sent.
 */
#ifndef MUONTRAP_WINDOW_H
#define MUONTRAP_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_LEAST 10240u         /* bytes: where a window that follows its reader starts, and its floor */
#define WINDOW_MOST (1024u * 1024u) /* bytes: its ceiling */
#define WINDOW_SMALL 65536u         /* bytes: a larger one is used in large pieces, see window_room(), window_sent() */
#define WINDOW_FIXED_MOST 0x7fffffffu /* bytes: the largest --stdio-window */
#define WINDOW_FAST_US 10000u         /* a full window acknowledged within this time doubles */
#define WINDOW_BRISK_US 1000u         /* and the next acknowledgement after such a one is worth looking for */
#define WINDOW_SLOW_US 100000u        /* one that took longer than this halves */

struct window {
    uint32_t size;        /* bytes */
    uint32_t outstanding; /* bytes sent and not acknowledged */
    bool fixed;           /* the size was asked for: it stays */
    uint32_t measured;    /* bytes of the full window under measurement that are still to be acknowledged; 0: none */
    uint64_t full_at;     /* when it became full, in microseconds */
    bool brisk;           /* the last full window was acknowledged within WINDOW_BRISK_US */
    uint32_t unasked;     /* bytes sent since the reader was last asked for an acknowledgement */
};

/* A window of exactly that many bytes or, for 0, one that follows its reader. */
void window_init(struct window *window, uint32_t fixed_size);

/* How many bytes may be sent now. Of a window larger than WINDOW_SMALL that is none as long as it is less than a
 * quarter, so that acknowledgements of few bytes don't bring about frames of few bytes (the "silly window syndrome",
 * RFC 9293, 3.8.6.2). */
uint32_t window_room(const struct window *window);

/* Whether it is small and full, and the reader so fast that its acknowledgement is about to come. */
bool window_is_about_to_open(const struct window *window);

/* Bytes have been sent: at most window_room(). Returns whether the reader is to acknowledge them, and all before them,
 * when it has handled them. Of a window larger than WINDOW_SMALL it needn't before half of it was sent since it was
 * last asked, or no room is left: each acknowledgement costs both processes a system call and a wake-up. */
bool window_sent(struct window *window, uint32_t bytes, uint64_t now_us);

/* Bytes have been acknowledged. False, and nothing changed, when there were fewer outstanding. */
bool window_acknowledged(struct window *window, uint32_t bytes, uint64_t now_us);

#endif
