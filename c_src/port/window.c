/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "port/window.h"

void window_init(struct window *window, uint32_t fixed_size)
{
    *window = (struct window){
        .size = fixed_size ? fixed_size : WINDOW_LEAST,
        .fixed = fixed_size != 0,
    };
}

uint32_t window_room(const struct window *window)
{
    uint32_t room = window->size > window->outstanding ? window->size - window->outstanding : 0;

    return window->size > WINDOW_SMALL && room < window->size / 4 ? 0 : room;
}

bool window_is_about_to_open(const struct window *window)
{
    return window->brisk && window->size <= WINDOW_SMALL && window_room(window) == 0;
}

bool window_sent(struct window *window, uint32_t bytes, uint64_t now_us)
{
    window->outstanding += bytes;
    window->unasked += bytes;
    if (window->measured == 0 && window_room(window) == 0) {
        window->measured = window->outstanding;
        window->full_at = now_us;
    }
    if (window->size > WINDOW_SMALL && window->unasked < window->size / 2 && window_room(window) > 0)
        return false;
    window->unasked = 0;
    return true;
}

/* The reader of a full window has handled all of it: its pace decides what may be outstanding from now on. The window
 * does not shrink while bytes are on their way for which no acknowledgement was asked: it could be full of them. */
static void follow_reader(struct window *window, uint64_t took_us)
{
    window->brisk = took_us <= WINDOW_BRISK_US;
    if (window->fixed)
        return;
    if (took_us <= WINDOW_FAST_US && window->size < WINDOW_MOST)
        window->size = window->size > WINDOW_MOST / 2 ? WINDOW_MOST : window->size * 2;
    else if (took_us > WINDOW_SLOW_US && window->size > WINDOW_LEAST && window->unasked == 0)
        window->size = window->size / 2 < WINDOW_LEAST ? WINDOW_LEAST : window->size / 2;
}

bool window_acknowledged(struct window *window, uint32_t bytes, uint64_t now_us)
{
    if (bytes > window->outstanding)
        return false;
    window->outstanding -= bytes;
    if (window->measured > 0) {
        window->measured -= bytes < window->measured ? bytes : window->measured;
        if (window->measured == 0)
            follow_reader(window, now_us - window->full_at);
    }
    return true;
}
