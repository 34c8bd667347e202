/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DYING_MS 10000 /* so long may a process take that has been killed but is not dead yet */

static char directory[200];

/* ---- The sanitizer ---- */

/* What the tests have freed is kept for a while, and found when it is used then, but no more than this at a time. Of
 * the 256 MB that would be kept otherwise the kernel would have to copy the tables at each fork, of which there are
 * thousands here. The helper that they run has its own, as it is by default. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "quarantine_size_mb=8";
}

/* ---- The guardian ---- */

static pid_t any_child(void)
{
    char text[32] = "";
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        abort();
    (void)close(fd);
    return (pid_t)strtol(text, NULL, 10);
}

bool dies_within(pid_t pid, int milliseconds)
{
    struct pollfd dead = {.fd = (int)syscall(SYS_pidfd_open, pid, 0u), .events = POLLIN};
    bool is_dead = dead.fd < 0 || poll(&dead, 1, milliseconds) > 0;

    if (dead.fd >= 0)
        (void)close(dead.fd);
    return is_dead;
}

static void name_of(pid_t pid, char *name, size_t size)
{
    char path[64];
    int fd;
    ssize_t length;

    (void)snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? 0 : read(fd, name, size - 1);
    if (fd >= 0)
        (void)close(fd);
    name[length > 0 ? length : 0] = '\0';
    for (ssize_t i = 0; i + 1 < length; i++)
        if (name[i] == '\0')
            name[i] = ' ';
}

/* How many processes the tests have left behind. None is left when this returns. */
static unsigned clear_up(bool hung)
{
    unsigned left = 0;
    pid_t pid;

    while ((pid = any_child()) > 0) {
        if (hung || !dies_within(pid, DYING_MS)) {
            char name[256];

            name_of(pid, name, sizeof name);
            fprintf(stderr, "left behind: process %ld (%s)\n", (long)pid, name);
            (void)kill(pid, SIGKILL);
            left++;
        }
        (void)waitpid(pid, NULL, 0);
    }
    return left;
}

int run_guarded(int (*tests)(void))
{
    int status = 0;
    pid_t pid;
    pid_t dead;

    /* Where the tests run from has no say: an ignored SIGCHLD or an open descriptor would be inherited, and a pipe of a
     * test's would take the number of a standard stream that is closed. */
    (void)signal(SIGCHLD, SIG_DFL);
    (void)close_range(3, ~0u, 0);
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            abort();
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        abort();
    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        exit(tests() == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    do {
        dead = waitpid(-1, &status, 0);
    } while (dead != pid && (dead > 0 || errno == EINTR));
    if (WIFSIGNALED(status))
        fprintf(stderr, "the tests were ended by signal %d%s\n", WTERMSIG(status),
                WTERMSIG(status) == SIGALRM ? ": one of them hung" : "");
    if (clear_up(WIFSIGNALED(status)) > 0)
        return EXIT_FAILURE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* ---- Each test ---- */

int begin_test(void **state)
{
    (void)state;
    (void)alarm(TEST_SECONDS);
    return 0;
}

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *where)
{
    (void)found;
    (void)kind;
    (void)where;
    return remove(path);
}

int end_test(void **state)
{
    (void)state;
    (void)alarm(0);
    if (directory[0])
        (void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    directory[0] = '\0';
    return 0;
}

const char *own_directory(void)
{
    if (!directory[0]) {
        const char *temporary = getenv("TMPDIR");

        assert_true(snprintf(directory, sizeof directory, "%s/muontrap-test-XXXXXX",
                             temporary && temporary[0] ? temporary : "/tmp") < (int)sizeof directory);
        assert_non_null(mkdtemp(directory));
        assert_int_equal(chmod(directory, 0755), 0);
    }
    return directory;
}

const char *own_path(const char *name)
{
    static char paths[3][256];
    static unsigned turn;
    char *path = paths[turn++ % 3];

    (void)snprintf(path, sizeof paths[0], "%s/%s", own_directory(), name);
    return path;
}

const char *own_file(const char *name, const char *content, mode_t mode)
{
    const char *path = own_path(name);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

/* ---- Events ---- */

static bool ready(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int count;

    do {
        count = poll(&poll_fd, 1, timeout_ms);
    } while (count < 0 && errno == EINTR);
    return count > 0;
}

void await_readable(int fd)
{
    if (!ready(fd, LONG_ENOUGH_MS))
        fail_msg("nothing came in %d ms", LONG_ENOUGH_MS);
}

bool readable_now(int fd)
{
    return ready(fd, 0);
}

static size_t read_some(int fd, void *bytes, size_t size)
{
    for (;;) {
        ssize_t got;

        await_readable(fd);
        got = read(fd, bytes, size);
        if (got >= 0)
            return (size_t)got;
        if (errno != EINTR && errno != EAGAIN)
            fail_msg("read: %s", strerror(errno));
    }
}

size_t await_end(int fd)
{
    char bytes[4096];
    size_t total = 0;
    size_t got;

    while ((got = read_some(fd, bytes, sizeof bytes)) > 0)
        total += got;
    return total;
}

void read_exactly(int fd, void *bytes, size_t size)
{
    char *at = bytes;

    while (size > 0) {
        size_t got = read_some(fd, at, size);

        if (got == 0)
            fail_msg("it ended %lu bytes too early", (unsigned long)size);
        at += got;
        size -= got;
    }
}

size_t read_text(int fd, char *text, size_t size)
{
    size_t have = 0;
    size_t got;

    while (have < size - 1 && (got = read_some(fd, text + have, size - 1 - have)) > 0)
        have += got;
    text[have] = '\0';
    (void)close(fd);
    return have;
}

uint64_t slice_of(pid_t pid)
{
    uint64_t scheduling[6] = {0}; /* sched_setattr(2), the first version of its struct: sched_runtime is at 24 */

    return syscall(SYS_sched_getattr, pid, scheduling, sizeof scheduling, 0) == 0 ? scheduling[3] : 0;
}

bool lose_priority(void)
{
    const struct rlimit none = {0, 0};
    uint64_t usual[6] = {
        sizeof usual}; /* the size; policy 0, which is SCHED_OTHER; nice value 0, and the usual slice */

    (void)syscall(SYS_sched_setattr, 0, usual, 0); /* which lacks what this kernel lacks */
    return setrlimit(RLIMIT_NICE, &none) == 0 && setrlimit(RLIMIT_RTPRIO, &none) == 0 &&
           (geteuid() != 0 || setuid(54330) == 0);
}

/* proc(5): the state is what follows the last parenthesis, for the name may hold any. */
bool is_alive(pid_t pid)
{
    char path[64];
    char text[512];
    const char *state;
    int fd;
    ssize_t size;

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (size <= 0)
        return false;
    text[size] = '\0';
    state = strrchr(text, ')');
    return state && state[2] != 'Z' && state[2] != 'X';
}

void await_death(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0u);

    if (fd < 0)
        return;
    await_readable(fd);
    (void)close(fd);
}

/* ---- What is run ---- */

static const char *from_environment(const char *name)
{
    const char *path = getenv(name);

    if (!path)
        fail_msg("%s is not set: run the tests with make test-c", name);
    return path;
}

const char *trouble_path(void)
{
    return from_environment("TROUBLE");
}

const char *muontrap_path(void)
{
    return from_environment("MUONTRAP");
}
