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

/* A file or directory that is there is taken as it is. Linux may refuse O_CREAT in a directory like /tmp for another
 * user's file (proc(5), protected_regular), so that comes last; and others have no business with a file that is made,
 * for whoever can open it can lock it. For reading, because the program inherits it, and may be another user's.
 * O_NONBLOCK, because a FIFO would wait for its writer; O_NOCTTY, because a terminal would become ours. */
static int open_lock(const char *path, int mode)
{
    int fd = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        fd = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_CREAT, 0600);
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

/* ---- What is said ---- */

#define PATH_SHOWN 500 /* bytes: so that the rest of the sentence fits */
#define HOLDERS_SHOWN 4u

struct holders {
    unsigned count;
    char text[HOLDERS_SHOWN * 40 + 80];
};

static void add_holder(pid_t pid, void *context)
{
    struct holders *holders = context;
    size_t size = strlen(holders->text);
    char name[PLATFORM_NAME_MOST] = "?";

    if (holders->count++ >= HOLDERS_SHOWN)
        return;
    (void)platform_name(pid, name);
    format(holders->text + size, sizeof holders->text - size, "%s%ld (%s)", holders->count > 1 ? ", " : "", (long)pid,
           name);
}

/* As a part of a sentence: "held by process 123 (redis-server), 124 (muontrap) and others". */
static void describe_holders(int fd, struct holders *holders)
{
    holders->count = 0;
    format(holders->text, sizeof holders->text, "held by process ");
    platform_lock_holders(fd, add_holder, holders);
    if (holders->count == 0)
        format(holders->text, sizeof holders->text, "held by a process that can't be seen from here");
    else if (holders->count > HOLDERS_SHOWN)
        format(holders->text + strlen(holders->text), sizeof " and others", " and others");
}

static enum lock lock_failed(const char *path, int error, struct failure *why)
{
    bool unsupported = error == ENOLCK || error == ENOSYS || error == EBADF || error == EOPNOTSUPP;

    failed(why, STAGE_LOCK, error, "cannot lock '%.*s': %s%s", PATH_SHOWN, path, strerror(error),
           unsupported ? " (it takes a file system that has flock(2); NFS wants a file that can be written)" : "");
    return LOCK_FAILED;
}

/* ---- Waiting ---- */

struct wait {
    struct launch *launch;
    pid_t waiter;
    int waiter_end; /* the pipe that ends with it */
    uint64_t tell_at;
    uint64_t until; /* 0: for ever */
};

/* How often a waiter looks that doesn't die with its parent. */
#define LOOK_MS 50

/* In the child. It keeps nothing open that somebody may wait for the end of. */
static _Noreturn void wait_in_child(int lock, pid_t parent)
{
    for (int fd = 0; fd < 3; fd++)
        (void)close(fd);
    if (!platform_die_with_parent(parent))
        _exit(ESRCH);
    while (!platform_lock(lock, platform_has_children)) {
        if (errno != EINTR && errno != EWOULDBLOCK)
            _exit(errno);
        if (!platform_has_children && (poll(NULL, 0, LOOK_MS) < 0 || getppid() != parent))
            _exit(ESRCH);
    }
    _exit(0);
}

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
        (void)close(ends[0]);
        wait_in_child(wait->launch->lock, parent);
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

/* Its status as of waitpid(2); that of one that was killed when it can't be known. */
static int end_waiter(struct wait *wait)
{
    int status = SIGKILL;

    (void)kill(wait->waiter, SIGKILL); /* which one that has left doesn't notice */
    while (waitpid(wait->waiter, &status, 0) < 0 && errno == EINTR)
        continue;
    io_close(&wait->waiter_end);
    return status;
}

static uint8_t frame[FRAME_CONTROL_MOST];

static void send_frame(size_t size)
{
    (void)io_write_all(STDOUT_FILENO, frame, size);
}

static void tell(struct wait *wait)
{
    const struct options *options = &wait->launch->options;
    struct holders holders;
    char words[1024];

    describe_holders(wait->launch->lock, &holders);
    format(words, sizeof words, "'%.*s' waits for the lock '%.*s', which is %s", PATH_SHOWN / 2, options->file,
           PATH_SHOWN, options->lock, holders.text);
    if (options->port)
        send_frame(protocol_waiting(frame, words));
    else
        report_words("%s", words);
    wait->tell_at = io_now_us() + AGAIN_US;
}

static enum lock cancelled(const struct wait *wait, struct failure *why)
{
    failed(why, STAGE_SPAWN, ECANCELED, "told to stop before '%s' had been started", wait->launch->options.file);
    return LOCK_CANCELLED;
}

/* What has come from the owner: LOCK_TAKEN when that is no reason to give up. Not a byte behind a frame is read, for
 * that is for who reports the failure. */
static enum lock read_control(struct wait *wait, struct failure *why)
{
    struct command command = {.kind = COMMAND_NONE};
    const uint8_t *at;
    uint8_t byte;
    ssize_t size;

    while ((size = platform_read_now(STDIN_FILENO, &byte, 1)) == 1) {
        size_t left = 1;

        at = &byte;
        protocol_decode(&wait->launch->decoder, &at, &left, &command);
        switch (command.kind) {
        case COMMAND_STOP:
            return cancelled(wait, why);
        case COMMAND_MALFORMED:
            *why = command.why;
            return LOCK_FAILED;
        case COMMAND_SIGNAL:
            send_frame(protocol_signalled(frame, command.id, ESRCH)); /* there is no program yet that could get one */
            break;
        case COMMAND_INPUT:
        case COMMAND_END_OF_INPUT:
        case COMMAND_RESIZE:
            failed(why, STAGE_PROTOCOL, EPROTO,
                   "input or a resize arrived on standard input before the program had been told as started; see "
                   "docs/protocol.md");
            return LOCK_FAILED;
        default:
            break;
        }
    }
    return size < 0 && (errno == EAGAIN || errno == EINTR) ? LOCK_TAKEN : cancelled(wait, why);
}

static enum lock timed_out(const struct wait *wait, struct failure *why)
{
    const struct options *options = &wait->launch->options;
    struct holders holders;

    describe_holders(wait->launch->lock, &holders);
    failed(
        why, STAGE_LOCK, ETIMEDOUT,
        "cannot start '%.*s': the lock '%.*s' could not be had within %lu ms, because it is %s; a longer lock timeout "
        "would wait for the end of that",
        PATH_SHOWN / 2, options->file, PATH_SHOWN, options->lock, (unsigned long)options->lock_timeout, holders.text);
    return LOCK_FAILED;
}

/* True when the waiter has left, with its status; false with the result when there is a reason to give up. */
static bool await_waiter(struct wait *wait, struct failure *why, enum lock *result)
{
    const struct launch *launch = wait->launch;
    struct pollfd control = {.fd = launch->options.port || launch->lifeline ? STDIN_FILENO : -1, .events = POLLIN};

    if (launch->lifeline)
        control.events = platform_poll_shut;
    for (*result = LOCK_TAKEN; *result == LOCK_TAKEN;) {
        uint64_t next = wait->until > 0 && wait->until < wait->tell_at ? wait->until : wait->tell_at;
        struct pollfd fds[] = {{.fd = wait->waiter_end, .events = POLLIN}, control};
        int ready = poll(fds, 2, io_left_ms(next));

        if (ready > 0 && fds[0].revents)
            return true;
        if (ready > 0 && fds[1].revents)
            *result = launch->lifeline ? cancelled(wait, why) : read_control(wait, why);
        else if (wait->until > 0 && io_now_us() >= wait->until)
            *result = timed_out(wait, why);
        else if (io_now_us() >= wait->tell_at)
            tell(wait);
    }
    return false;
}

/* A waiter that somebody has killed, as the kernel's OOM killer may, is followed by another. */
static enum lock wait_for_lock(struct wait *wait, struct failure *why)
{
    enum lock result;
    bool left;
    int status;

    do {
        if (!start_waiter(wait, why))
            return LOCK_FAILED;
        left = await_waiter(wait, why, &result);
        status = end_waiter(wait);
    } while (left && WIFSIGNALED(status));
    if (left && WEXITSTATUS(status) != 0)
        return lock_failed(wait->launch->options.lock, WEXITSTATUS(status), why);
    return result;
}

/* Opens the file and takes its lock. */
static enum lock take_as(int mode, struct wait *wait, struct failure *why)
{
    const char *path = wait->launch->options.lock;

    wait->launch->lock = open_lock(path, mode);
    if (wait->launch->lock < 0) {
        failed(why, STAGE_LOCK, errno,
               "cannot open the lock '%.*s': %s (its directory must be there, and this user be allowed to make a file "
               "in it or to open the one that is there)",
               PATH_SHOWN, path, strerror(errno));
        return LOCK_FAILED;
    }
    if (platform_lock(wait->launch->lock, false))
        return LOCK_TAKEN;
    return errno == EWOULDBLOCK ? wait_for_lock(wait, why) : lock_failed(path, errno, why);
}

/* flock(2): on NFS an exclusive lock takes a file that is open for writing. */
static enum lock take(struct wait *wait, struct failure *why)
{
    enum lock result = take_as(O_RDONLY, wait, why);

    if (result != LOCK_FAILED || why->error != EBADF)
        return result;
    io_close(&wait->launch->lock);
    return take_as(O_RDWR, wait, why);
}

enum lock lock_take(struct launch *launch, struct failure *why)
{
    struct wait wait = {.launch = launch, .tell_at = io_now_us() + LONG_US};
    enum lock result;

    if (launch->lifeline_ended)
        return cancelled(&wait, why);
    if (launch->options.lock_timeout != LOCK_FOREVER)
        wait.until = io_now_us() + (uint64_t)launch->options.lock_timeout * 1000u + 1;
    while ((result = take(&wait, why)) == LOCK_TAKEN && !is_same_file(launch->lock, launch->options.lock))
        io_close(&launch->lock);
    return result;
}

void lock_release(struct launch *launch)
{
    if (launch->lock > 0)
        platform_unlock(launch->lock);
}
