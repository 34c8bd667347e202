/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

#define FRAME_MOST (2u * 1024 * 1024)
#define INPUT_MOST (65536u - 5)

static uint8_t payload[FRAME_MOST];

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t get_u64(const uint8_t *at)
{
    return (uint64_t)get_u32(at) << 32 | get_u32(at + 4);
}

void client_check_leaks(bool check)
{
    if (check)
        (void)unsetenv("ASAN_OPTIONS");
    else
        (void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
}

void client_start_limited(struct client *client, rlim_t open_files, const char *const argv[])
{
    char *all[32] = {(char *)(uintptr_t)muontrap_path(), (char *)(uintptr_t) "--port"};
    int to[2];
    int from[2];

    memset(client, 0, sizeof *client);
    for (size_t i = 0; argv[i]; i++) {
        assert_true(i + 3 < COUNT(all));
        all[i + 2] = (char *)(uintptr_t)argv[i];
    }
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    (void)fflush(NULL);
    client->pid = fork();
    assert_true(client->pid >= 0);
    if (client->pid == 0) {
        struct rlimit limit;

        (void)getrlimit(RLIMIT_NOFILE, &limit);
        if (open_files) {
            limit.rlim_cur = open_files;
            client_check_leaks(false); /* the sanitizer needs descriptors for it */
        }
        if (dup2(to[0], 0) < 0 || dup2(from[1], 1) < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
            _exit(200);
        (void)execv(all[0], all);
        _exit(201);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    client->in = to[1];
    client->out = from[0];
    client->acknowledge = true;
}

static size_t put_launch(uint8_t *frame, size_t most, const char *const argv[])
{
    size_t size = 5;

    for (size_t i = 0; argv[i]; i++) {
        assert_true(size + strlen(argv[i]) < most);
        memcpy(frame + size, argv[i], strlen(argv[i]) + 1);
        size += strlen(argv[i]) + 1;
    }
    frame[0] = frame[1] = 0;
    frame[2] = (uint8_t)((size - 4) >> 8);
    frame[3] = (uint8_t)(size - 4);
    frame[4] = 'l';
    return size;
}

void client_launch(struct client *client, const char *const argv[])
{
    static uint8_t frame[5 + 16384];
    size_t size = put_launch(frame, sizeof frame, argv);

    for (int i = 0; i < 2; i++)
        free(client->streams[i]);
    *client = (struct client){.pid = client->pid,
                              .takes_launches = client->takes_launches,
                              .in = client->in,
                              .out = client->out,
                              .acknowledge = client->acknowledge};
    client_send(client, frame, size);
}

static bool has_lock(const char *const argv[])
{
    for (size_t i = 0; argv[i] && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--lock") == 0)
            return true;
    return false;
}

void client_start(struct client *client, const char *const argv[])
{
    static const char *const nothing[] = {NULL};

    if (!getenv("REUSED") || !argv[0] || has_lock(argv)) {
        client_start_limited(client, 0, argv);
        return;
    }
    client_start_limited(client, 0, nothing);
    client->takes_launches = true;
    LAUNCH(client, "--", "sh", "-c", "echo before; exit 7");
    client_follow(client);
    assert_int_equal(client->code, 7);
    assert_true(client->reusable);
    client_launch(client, argv);
}

bool client_frame(struct client *client, struct frame *frame)
{
    uint8_t header[5];
    ssize_t size;

    await_readable(client->out);
    size = read(client->out, header, 1);
    if (size == 0)
        return false;
    assert_int_equal(size, 1);
    read_exactly(client->out, header + 1, sizeof header - 1);
    frame->size = get_u32(header) - 1;
    assert_true(frame->size <= FRAME_MOST);
    read_exactly(client->out, payload, frame->size);
    frame->tag = header[4];
    frame->payload = payload;
    return true;
}

static void take_started(struct client *client, const struct frame *frame)
{
    assert_true(frame->size >= 4 && frame->size - 4 < sizeof client->cgroup);
    client->program = (pid_t)get_u32(frame->payload);
    memcpy(client->cgroup, frame->payload + 4, frame->size - 4); /* the rest is zero */
}

static void take_data(struct client *client, int stream, const struct frame *frame)
{
    size_t size = client->sizes[stream];

    assert_true(frame->size > 0);
    /* Twice as much each time: the sanitizer's realloc() copies all that there is. */
    if (size + frame->size + 1 > client->rooms[stream]) {
        client->rooms[stream] = 2 * (size + frame->size + 1);
        client->streams[stream] = realloc(client->streams[stream], client->rooms[stream]);
        assert_non_null(client->streams[stream]);
    }
    memcpy(client->streams[stream] + size, frame->payload, frame->size);
    client->sizes[stream] = size + frame->size;
    client->streams[stream][client->sizes[stream]] = '\0';
    client->outstanding += frame->size;
    if (client->outstanding > client->most_outstanding)
        client->most_outstanding = client->outstanding;
    if (client->acknowledge && client->in >= 0)
        client_ack(client, frame->size);
}

static void take_error(struct client *client, const struct frame *frame)
{
    uint8_t name_size = frame->payload[5];

    assert_true(frame->size >= 6u + name_size);
    client->errored = true;
    client->error_stage = frame->payload[0];
    client->error_number = get_u32(frame->payload + 1);
    (void)snprintf(client->error_name, sizeof client->error_name, "%.*s", name_size, frame->payload + 6);
    (void)snprintf(client->error_words, sizeof client->error_words, "%.*s", (int)(frame->size - 6u - name_size),
                   frame->payload + 6 + name_size);
    assert_true(strlen(client->error_words) > 10);
}

static void take_exited(struct client *client, const struct frame *frame)
{
    uint8_t signal_size = frame->size >= 39 ? frame->payload[38] : 0;

    assert_true(frame->size >= 39u + signal_size);
    client->exited = true;
    client->signalled = frame->payload[0] == 1;
    client->unknown = frame->payload[0] == 2;
    client->code = get_u32(frame->payload + 1);
    client->oom_killed = frame->payload[6] == 1;
    client->stopped = frame->payload[7] == 1;
    client->forced = frame->payload[8] == 1;
    client->user_us = get_u64(frame->payload + 9);
    client->peak_bytes = get_u64(frame->payload + 25);
    client->stragglers = get_u32(frame->payload + 33);
    client->reusable = frame->payload[37] == 1;
    (void)snprintf(client->signal, sizeof client->signal, "%.*s", signal_size, frame->payload + 39);
    (void)snprintf(client->names, sizeof client->names, "%.*s", (int)(frame->size - 39 - signal_size),
                   frame->payload + 39 + signal_size);
}

bool client_step(struct client *client)
{
    struct frame frame;

    if (!client_frame(client, &frame))
        return false;
    /* docs/protocol.md, "The order of things": started or error first, nothing after exited. */
    if (client->exited || (client->errored && client->program == 0))
        fail_msg("a frame '%c' came after the last one (%s)", frame.tag, client->error_words);
    if (!strchr("P!WKU", frame.tag) && client->program == 0)
        fail_msg("a frame '%c' came before started", frame.tag);
    switch (frame.tag) {
    case 'P':
        assert_int_equal(client->program, 0);
        take_started(client, &frame);
        break;
    case 'O':
    case 'o':
    case 'E':
    case 'e':
        client->asked = frame.tag == 'O' || frame.tag == 'E';
        assert_false(client->ended[frame.tag == 'E' || frame.tag == 'e']);
        take_data(client, frame.tag == 'E' || frame.tag == 'e', &frame);
        break;
    case 'W':
        (void)snprintf(client->waits, sizeof client->waits, "%.*s", (int)frame.size, frame.payload);
        break;
    case 'C':
        assert_false(client->input_closed);
        client->credit += get_u32(frame.payload);
        break;
    case 'I':
        assert_false(client->input_closed);
        client->input_closed = true;
        client->taken = get_u64(frame.payload);
        break;
    case 'Q':
    case 'q':
        assert_false(client->ended[frame.tag == 'q']);
        client->ended[frame.tag == 'q'] = true;
        break;
    case 'K':
        client->answers++;
        client->answer_id = get_u32(frame.payload);
        client->answer = get_u32(frame.payload + 4);
        break;
    case 'U':
        client->unused = true;
        break;
    case 'X':
        take_exited(client, &frame);
        break;
    case '!':
        take_error(client, &frame);
        break;
    default:
        fail_msg("a frame with the unknown tag %d came", frame.tag);
    }
    return true;
}

void client_await_started(struct client *client)
{
    assert_true(client_step(client));
    if (client->errored)
        fail_msg("not started: %s", client->error_words);
}

void client_await_bytes(struct client *client, size_t size)
{
    while (client->sizes[0] + client->sizes[1] < size) {
        assert_true(client_step(client));
        if (client->exited)
            fail_msg("exited after %lu bytes", (unsigned long)(client->sizes[0] + client->sizes[1]));
    }
}

void client_follow(struct client *client)
{
    while (!client->exited && !(client->errored && client->program == 0) && client_step(client))
        continue;
}

void client_send(struct client *client, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t written = write(client->in, at, size);

        if (written < 0)
            fail_msg("a write met %s", strerror(errno)); /* the promise: no write ever meets a closed pipe */
        at += written;
        size -= (size_t)written;
    }
}

void client_ack(struct client *client, uint32_t bytes)
{
    const uint8_t frame[] =
        {0, 0, 0, 5, 'a', (uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8), (uint8_t)bytes};

    client_send(client, frame, sizeof frame);
    client->outstanding -= bytes < client->outstanding ? bytes : client->outstanding;
}

void client_stop(struct client *client)
{
    client_send(client, "\0\0\0\1s", 5);
}

size_t client_some_input(struct client *client, const void *bytes, size_t size)
{
    uint8_t header[5] = {0, 0, 0, 0, 'i'};

    if (size > client->credit)
        size = client->credit;
    if (size > INPUT_MOST)
        size = INPUT_MOST;
    if (size == 0)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        header[i] = (uint8_t)((size + 1) >> (24 - 8 * i));
    client_send(client, header, sizeof header);
    client_send(client, bytes, size);
    client->credit -= size;
    return size;
}

void client_input(struct client *client, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0 && !client->input_closed) {
        size_t sent = client_some_input(client, at, size);

        at += sent;
        size -= sent;
        if (sent == 0)
            assert_true(client_step(client));
    }
}

void client_await_credit(struct client *client)
{
    while (client->credit == 0)
        assert_true(client_step(client));
}

void client_end_input(struct client *client)
{
    client_send(client, "\0\0\0\1z", 5);
}

void client_resize(struct client *client, unsigned rows, unsigned columns)
{
    const uint8_t frame[] =
        {0, 0, 0, 5, 'w', (uint8_t)(rows >> 8), (uint8_t)rows, (uint8_t)(columns >> 8), (uint8_t)columns};

    client_send(client, frame, sizeof frame);
}

void client_discard(struct client *client)
{
    client_send(client, "\0\0\0\1d", 5);
}

void client_half_close(struct client *client)
{
    (void)close(client->in);
    client->in = -1;
}

int client_leave(struct client *client)
{
    int status = 0;

    if (client->in >= 0)
        (void)close(client->in);
    (void)close(client->out);
    while (waitpid(client->pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    for (int i = 0; i < 2; i++)
        free(client->streams[i]);
    client->streams[0] = client->streams[1] = NULL;
    client->rooms[0] = client->rooms[1] = 0;
    return status;
}

pid_t client_relay(const struct client *client)
{
    char path[64];
    char text[64] = "";
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)client->pid, (long)client->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    while (read(fd, text, sizeof text - 1) <= 0) { /* it isn't there yet */
        (void)poll(NULL, 0, 1);
        (void)lseek(fd, 0, SEEK_SET);
    }
    (void)close(fd);
    return (pid_t)strtol(text, NULL, 10);
}

void client_leave_alive(struct client *client)
{
    int status = client_leave(client);

    if (!WIFEXITED(status))
        fail_msg("the helper was ended by signal %d", WTERMSIG(status));
}

void client_assert_ended_well(struct client *client)
{
    client_follow(client);
    if (client->errored)
        fail_msg("%s", client->error_words);
    assert_true(client->exited);
    if (client->signalled || client->code != 0)
        fail_msg("ended with %u: %s", client->code, client->streams[0] ? (char *)client->streams[0] : "");
}

unsigned open_descriptors(pid_t pid)
{
    char path[64];
    unsigned count = 0;
    DIR *directory;

    (void)snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count;
}

uint8_t pattern_at(size_t index)
{
    return (uint8_t)(((uint32_t)index * 2654435761u) >> 24);
}

void assert_pattern(const struct client *client, int stream, size_t size)
{
    assert_int_equal(client->sizes[stream], size);
    for (size_t i = 0; i < size; i++)
        if (client->streams[stream][i] != pattern_at(i))
            fail_msg("byte %lu is not what was written", (unsigned long)i);
}
