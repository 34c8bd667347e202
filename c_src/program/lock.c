/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "program/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "port/protocol.h"
#include "port/report.h"

/* When the wait has been long enough to be told of, and how often after that. */
#define LONG_US 1000000u
#define AGAIN_US 60000000u

/* The program inherits the lock, and must not lose it by what programs do with low numbers: shells give their scripts
 * those up to 9 (POSIX, Shell Command Language, 2.7), and take the next ones themselves. */
#define LOCK_LEAST 200

/* A number that may be too high for the limit on open files, and then stays as it is. */
static int move_up(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, LOCK_LEAST);

    if (high < 0)
        return fd;
    (void)close(fd);
    return high;
}

/* A file or directory that is there is taken as it is. O_NONBLOCK, because a FIFO would wait for its writer. Linux may
 * refuse O_CREAT in a directory like /tmp for another user's file (proc(5), protected_regular). */
static int open_lock(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_CREAT, 0644);
    return move_up(fd);
}

/* Whether the path names the locked file still, and not another one that was made when somebody had removed that. */
static bool is_same_file(int fd, const char *path)
{
    struct stat locked;
    struct stat named;

    return fstat(fd, &locked) == 0 && stat(path, &named) == 0 && locked.st_dev == named.st_dev &&
           locked.st_ino == named.st_ino;
}

static bool lock_failed(const char *path, int error, struct failure *why)
{
    return failed(why, STAGE_LOCK, error, "cannot lock '%s': %s (it takes a file system that has flock(2))", path,
                  strerror(error));
}

/* ---- Who has it ---- */

#define HOLDERS_SHOWN 4u

struct holders {
    unsigned count;
    char text[HOLDERS_SHOWN * 40];
};

static void add_holder(pid_t pid, void *context)
{
    struct holders *holders = context;
    size_t size = strlen(holders->text);
    char name[PLATFORM_NAME_MOST] = "?";

    if (holders->count++ >= HOLDERS_SHOWN)
        return;
    (void)platform_name(pid, name);
    format(holders->text + size, sizeof holders->text - size, "%s%ld (%s)", size > 0 ? ", " : "", (long)pid, name);
}

static struct holders holders_of(int fd)
{
    struct holders holders = {.count = 0, .text = ""};

    platform_lock_holders(fd, add_holder, &holders);
    return holders;
}

/* As the end of a sentence: "held by process 123 (redis-server), 124 (muontrap) and others". */
static void describe_holders(int fd, char text[sizeof(struct holders) + 40])
{
    struct holders holders = holders_of(fd);

    if (holders.count == 0)
        format(text, sizeof holders + 40, "held by a process that can't be seen from here");
    else
        format(text, sizeof holders + 40, "held by process %s%s", holders.text,
               holders.count > HOLDERS_SHOWN ? " and others" : "");
}

/* ---- Waiting ---- */

struct wait {
    struct launch *launch;
    pid_t waiter;
    int waiter_end; /* the pipe that ends with it */
    uint64_t tell_at;
    uint64_t until; /* 0: for ever */
};

/* flock(2) can't be waited for together with other things. So a child waits in it, for the description that is ours as
 * well; when it has left, the lock is taken, or it left with the errno. */
static bool start_waiter(struct wait *wait, struct failure *why)
{
    pid_t parent = getpid();
    int ends[2];

    if (!io_pipe(ends))
        return failed(why, STAGE_SETUP, errno, "cannot make a pipe: %s (raise ulimit -n)", strerror(errno));
    wait->waiter = fork();
    if (wait->waiter == 0) {
        if (!platform_die_with_parent(parent))
            _exit(ESRCH);
        while (!platform_lock(wait->launch->lock, true))
            if (errno != EINTR)
                _exit(errno);
        _exit(0);
    }
    (void)close(ends[1]);
    wait->waiter_end = ends[0];
    if (wait->waiter < 0) {
        io_close(&wait->waiter_end);
        return failed(why, STAGE_SETUP, errno, "cannot make a process: %s (ulimit -u limits processes)",
                      strerror(errno));
    }
    return true;
}

static int end_waiter(struct wait *wait)
{
    int status = 0;

    (void)kill(wait->waiter, SIGKILL); /* which one that has left doesn't notice */
    while (waitpid(wait->waiter, &status, 0) < 0 && errno == EINTR)
        continue;
    io_close(&wait->waiter_end);
    return WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

static void tell_owner(const char *words)
{
    static uint8_t frame[FRAME_CONTROL_MOST];

    (void)io_write_all(STDOUT_FILENO, frame, protocol_waiting(frame, words));
}

static void tell(struct wait *wait)
{
    char holders[sizeof(struct holders) + 40];
    char words[1024];

    describe_holders(wait->launch->lock, holders);
    format(words, sizeof words, "'%s' waits for the lock '%s', which is %s", wait->launch->options.file,
           wait->launch->options.lock, holders);
    if (wait->launch->options.port)
        tell_owner(words);
    else
        report_words("%s", words);
    wait->tell_at = io_now_us() + AGAIN_US;
}

/* Whether the owner has said so, or is gone. Not a byte more than the frame is read: what follows is for who reports
 * that the launch was cancelled. */
static bool reads_stop(void)
{
    struct decoder decoder = {.have = 0};
    struct command command = {.kind = COMMAND_NONE};

    while (command.kind == COMMAND_NONE) {
        uint8_t byte;
        const uint8_t *at = &byte;
        size_t size = io_read_some(STDIN_FILENO, &byte, 1);

        if (size == 0)
            return true;
        protocol_decode(&decoder, &at, &size, &command);
    }
    return command.kind == COMMAND_STOP || command.kind == COMMAND_MALFORMED;
}

static enum lock cancelled(struct wait *wait, struct failure *why)
{
    (void)end_waiter(wait);
    failed(why, STAGE_SPAWN, ECANCELED, "told to stop before '%s' had been started", wait->launch->options.file);
    return LOCK_CANCELLED;
}

static enum lock timed_out(struct wait *wait, struct failure *why)
{
    char holders[sizeof(struct holders) + 40];

    describe_holders(wait->launch->lock, holders);
    (void)end_waiter(wait);
    failed(why, STAGE_LOCK, ETIMEDOUT,
           "cannot start '%s': the lock '%s' could not be had within %lu ms, because it is %s; a longer lock timeout "
           "would wait for the end of that",
           wait->launch->options.file, wait->launch->options.lock, (unsigned long)wait->launch->options.lock_timeout,
           holders);
    return LOCK_FAILED;
}

static enum lock taken(struct wait *wait, struct failure *why)
{
    int error = end_waiter(wait);

    if (error == 0)
        return LOCK_TAKEN;
    lock_failed(wait->launch->options.lock, error, why);
    return LOCK_FAILED;
}

static enum lock wait_for_lock(struct wait *wait, struct failure *why)
{
    const struct launch *launch = wait->launch;
    struct pollfd control = {.fd = launch->options.port || launch->lifeline ? STDIN_FILENO : -1, .events = POLLIN};

    if (launch->lifeline)
        control.events = platform_poll_shut;
    if (!start_waiter(wait, why))
        return LOCK_FAILED;
    for (;;) {
        uint64_t next = wait->until > 0 && wait->until < wait->tell_at ? wait->until : wait->tell_at;
        struct pollfd fds[] = {{.fd = wait->waiter_end, .events = POLLIN}, control};
        int ready = poll(fds, 2, io_left_ms(next));

        if (ready > 0 && fds[0].revents)
            return taken(wait, why);
        if (ready > 0 && fds[1].revents && (launch->lifeline || reads_stop()))
            return cancelled(wait, why);
        if (wait->until > 0 && io_now_us() >= wait->until)
            return timed_out(wait, why);
        if (io_now_us() >= wait->tell_at)
            tell(wait);
    }
}

/* Opens the file and takes its lock. */
static enum lock take(struct wait *wait, struct failure *why)
{
    const char *path = wait->launch->options.lock;

    wait->launch->lock = open_lock(path);
    if (wait->launch->lock < 0) {
        failed(
            why, STAGE_LOCK, errno,
            "cannot open the lock '%s': %s (its directory must be there, and this user be allowed to make a file in it "
            "or to read the one that is there)",
            path, strerror(errno));
        return LOCK_FAILED;
    }
    if (platform_lock(wait->launch->lock, false))
        return LOCK_TAKEN;
    if (errno == EWOULDBLOCK)
        return wait_for_lock(wait, why);
    lock_failed(path, errno, why);
    return LOCK_FAILED;
}

enum lock lock_take(struct launch *launch, struct failure *why)
{
    struct wait wait = {.launch = launch, .tell_at = io_now_us() + LONG_US};
    enum lock result;

    if (launch->options.lock_timeout != LOCK_FOREVER)
        wait.until = io_now_us() + (uint64_t)launch->options.lock_timeout * 1000u + 1;
    while ((result = take(&wait, why)) == LOCK_TAKEN && !is_same_file(launch->lock, launch->options.lock))
        io_close(&launch->lock);
    return result;
}
