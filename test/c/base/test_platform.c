/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What stands in for a kernel call that an older kernel lacks, and the small things of io.c and signals.c.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "base/signals.h"

static long missing = -1; /* the system call that this kernel is to lack */

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == missing) {
        errno = ENOSYS;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

/* For what a process can't undo. The function returns 0 if all is well. */
static void assert_well_in_child(int (*function)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(function());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Opens some, closes all from 3 up, and looks. */
static int close_all(void)
{
    struct rlimit limit = {.rlim_cur = 512, .rlim_max = 512};

    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || dup2(0, 3) < 0 || dup2(0, 7) < 0 || dup2(0, 511) < 0)
        return 2;
    platform_close_all();
    for (int fd = 0; fd < 512; fd++)
        if ((fcntl(fd, F_GETFD) >= 0) != (fd < 3))
            return 1;
    return 0;
}

static void what_was_inherited_is_closed(void **state)
{
    (void)state;
    assert_well_in_child(close_all);
}

static void what_was_inherited_is_closed_without_close_range(void **state)
{
    (void)state;
    LINUX_ONLY();
    missing = 436; /* close_range */
    assert_well_in_child(close_all);
    missing = -1;
}

/* Of an empty one. A kernel before 6.4 can't, and the plain call would wait, which is why poll(2) comes first. Asked
 * for no bytes at all, it says that it can. */
static bool kernel_reads_pipes_now(int fd)
{
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    bool does = syscall(SYS_preadv2, fd, &part, 1UL, -1L, -1L, RWF_NOWAIT) < 0 && errno == EAGAIN;

    if (!does)
        print_message(
            "[ LEFT OUT ] reading of an empty pipe now: needs RWF_NOWAIT for pipes, which Linux has from 6.4 on\n");
    return does;
}

static void reading_now_does_not_wait(void **state)
{
    int ends[2];
    char byte = 0;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], "x", 1), 1);
        if (i == 1)
            missing = SYS_preadv2;
        assert_int_equal(platform_read_now(ends[0], &byte, 1), 1);
        assert_int_equal(byte, 'x');
        missing = -1;
        if (IS_PORTABLE || (i == 0 && kernel_reads_pipes_now(ends[0]))) {
            errno = 0;
            assert_int_equal(platform_read_now(ends[0], &byte, 1), -1);
            assert_int_equal(errno, EAGAIN);
        }
        (void)close(ends[1]);
        assert_int_equal(platform_read_now(ends[0], &byte, 1), 0);
        (void)close(ends[0]);
    }
}

static int drop_capabilities(void)
{
    return platform_drop_capabilities() == 0 && !platform_has_capability(CAPABILITY_KILL) &&
                   !platform_has_capability(CAPABILITY_SETUID) && setuid(54330) < 0
               ? 0
               : 1;
}

static void dropped_capabilities_are_gone(void **state)
{
    (void)state;
    ROOT_ONLY();
    LINUX_ONLY();
    assert_true(platform_has_capability(CAPABILITY_KILL));
    assert_true(platform_has_capability(CAPABILITY_SETUID));
    assert_well_in_child(drop_capabilities);
}

/* As with a filter of system calls: the kernel is to refuse what really can't be done. */
static void where_capabilities_can_not_be_read_they_are_taken_to_be_there(void **state)
{
    (void)state;
    LINUX_ONLY();
    missing = SYS_capget;
    assert_true(platform_has_capability(CAPABILITY_KILL));
    missing = -1;
}

static int hurry_and_calm_as_ordinary_user(void)
{
    uint64_t usual;
    int nice;

    if (!lose_priority())
        return 1;
    usual = slice_of(0);
    nice = getpriority(PRIO_PROCESS, 0);
    platform_hurry(0);
    if (slice_of(0) != (usual == 0 ? 0 : 100000))
        return 2;
    platform_hurry(0);
    platform_calm();
    if (slice_of(0) != usual)
        return 3;
    platform_calm();
    return slice_of(0) == usual && sched_getscheduler(0) == SCHED_OTHER && getpriority(PRIO_PROCESS, 0) == nice ? 0 : 4;
}

static void who_may_have_no_priority_hurries_by_short_slices(void **state)
{
    (void)state;
    LINUX_ONLY();
    assert_well_in_child(hurry_and_calm_as_ordinary_user);
}

/* Where the kernel has slices, and this process may have one. */
static int change_slice(void)
{
    uint64_t other[6] = {0};

    if (!platform_is_like_child_of(getppid(), getppid()))
        return 1;
    if (syscall(SYS_sched_getattr, 0, other, sizeof other, 0) < 0)
        return 2;
    other[3] = 5000000;
    if (syscall(SYS_sched_setattr, 0, other, 0) < 0)
        return 3;
    return platform_is_like_child_of(getppid(), getppid()) == (slice_of(0) == 5000000) ? 4 : 0;
}

static void with_another_slice_it_is_no_longer_like_a_child(void **state)
{
    (void)state;
    LINUX_ONLY();
    assert_well_in_child(change_slice);
}

/* 4 pages of memory, from 100 bytes before a page on: 3 whole pages lie in it, and behind them a part of one. */
static void of_memory_whole_pages_are_given_back_and_no_more(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *around = mmap(NULL, 7 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *memory = around + 2 * page - 100;
    size_t lost = 0;

    (void)state;
    assert_ptr_not_equal(around, MAP_FAILED);
    (void)memset(around, 'x', 7 * page);
    platform_forget(memory, 0);
    platform_forget(memory, 99);
    platform_forget(memory, 100);
    platform_forget(memory, page);
    platform_forget(around, page - 1);
    for (size_t at = 0; at < 7 * page; at++)
        assert_int_equal(around[at], 'x');

    platform_forget(memory, 4 * page);
    for (size_t at = 0; at < 7 * page; at++) {
        if (around[at] == 'x')
            continue;
        assert_int_equal(around[at], 0);
        assert_in_range(at, 2 * page, 5 * page - 1);
        lost++;
    }
    assert_int_equal(lost, IS_PORTABLE ? 0 : 3 * page);
    (void)munmap(around, 7 * page);
}

/* ---- io.c ---- */

static void a_pipe_is_closed_on_exec(void **state)
{
    int ends[2];

    (void)state;
    assert_true(io_pipe(ends));
    assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(ends[1], F_GETFD), FD_CLOEXEC);
    io_close(&ends[0]);
    io_close(&ends[1]);
    assert_int_equal(ends[0], -1);
    io_close(&ends[0]);
}

static void flags_of_what_is_not_open_cannot_be_set(void **state)
{
    (void)state;
    assert_false(io_nonblocking(-1));
    assert_false(io_close_on_exec(-1));
}

/* More than the pipe holds, into a descriptor that doesn't block: the reader, another process, makes the room. */
static void all_is_written_however_little_room_there_is(void **state)
{
    static char bytes[1 << 20];
    int ends[2];
    int status;
    pid_t reader;

    (void)state;
    assert_true(io_pipe(ends));
    assert_true(io_nonblocking(ends[1]));
    reader = fork();
    assert_true(reader >= 0);
    if (reader == 0) {
        (void)close(ends[1]);
        (void)alarm(TEST_SECONDS);
        _exit(await_end(ends[0]) == sizeof bytes ? 0 : 1);
    }
    (void)close(ends[0]);
    assert_true(io_write_all(ends[1], bytes, sizeof bytes));
    (void)close(ends[1]);
    assert_int_equal(waitpid(reader, &status, 0), reader);
    assert_int_equal(status, 0);
}

static void a_write_without_reader_fails(void **state)
{
    int ends[2];

    (void)state;
    assert_true(io_pipe(ends));
    (void)close(ends[0]);
    assert_false(io_write_all(ends[1], "x", 1));
    assert_int_equal(errno, EPIPE);
    (void)close(ends[1]);
}

static void reading_some_waits_until_there_is_something_or_the_end(void **state)
{
    int ends[2];
    pid_t writer;
    char bytes[4096];
    size_t total = 0;
    size_t size;

    (void)state;
    assert_true(io_pipe(ends));
    assert_true(io_nonblocking(ends[0]));
    writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        static char much[70000];

        (void)close(ends[0]);
        _exit(io_write_all(ends[1], much, sizeof much) ? 0 : 1);
    }
    (void)close(ends[1]);
    while ((size = io_read_some(ends[0], bytes, sizeof bytes)) > 0)
        total += size;
    assert_int_equal(total, 70000);
    (void)close(ends[0]);
    assert_int_equal(waitpid(writer, NULL, 0), writer);
}

static void what_cannot_be_read_is_at_its_end(void **state)
{
    char byte;

    (void)state;
    assert_int_equal(io_read_some(-1, &byte, 1), 0);
}

static void the_clock_goes_forward(void **state)
{
    uint64_t first = io_now_us();

    (void)state;
    (void)poll(NULL, 0, 2);
    assert_true(io_now_us() - first >= 2000);
    assert_true(io_now_us() - first < 60000000);
}

/* ---- signals.c ---- */

static struct signals_kept kept;

/* Blocks the signals and installs the handlers. The descriptor to poll. */
static int open_signals(bool keep_ignored)
{
    struct failure why;
    int fd;

    signals_block(&kept, keep_ignored);
    fd = signals_open(&kept, &why);
    assert_true(fd >= 0);
    return fd;
}

static void signals_come_as_readable_notes(void **state)
{
    struct signals taken;
    int fd;

    (void)state;
    fd = open_signals(false);
    assert_int_equal(raise(SIGTERM), 0);
    assert_false(readable_now(fd)); /* blocked until now */
    signals_unblock();
    assert_true(readable_now(fd));
    taken = signals_take();
    assert_true(taken.stop);
    assert_false(taken.child);
    assert_false(readable_now(fd));
    taken = signals_take();
    assert_false(taken.stop);
    for (int i = 0; i < 200000; i++) /* more than the pipe holds */
        (void)raise(SIGCHLD);
    taken = signals_take();
    assert_true(taken.child);
    assert_false(readable_now(fd));
    signals_reset();
}

static void every_signal_that_means_stop_does(void **state)
{
    static const int meaning_stop[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};

    (void)state;
    (void)open_signals(false);
    signals_unblock();
    for (size_t i = 0; i < COUNT(meaning_stop); i++) {
        assert_int_equal(raise(meaning_stop[i]), 0);
        assert_true(signals_take().stop);
    }
    signals_reset();
}

/* What becomes of a program that sends these signals to itself, and exits with 3 if it still lives. */
static int status_of_program_that_kills_itself(const char *signals)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        signals_leave_to_program();
        (void)execl("/bin/sh", "sh", "-c", "for signal in $0; do kill -s \"$signal\" $$; done; exit 3", signals, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void what_nohup_ignores_stays_ignored_and_nothing_else(void **state)
{
    struct sigaction now;
    int status;

    (void)state;
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)open_signals(true);
    signals_unblock();
    assert_int_equal(raise(SIGHUP), 0);
    assert_false(signals_take().stop);
    assert_int_equal(raise(SIGTERM), 0);
    assert_true(signals_take().stop);
    assert_int_equal(sigaction(SIGHUP, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_IGN);
    status = status_of_program_that_kills_itself("HUP");
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    status = status_of_program_that_kills_itself("HUP TERM");
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    signals_reset();
    assert_int_equal(sigaction(SIGTERM, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* A new child that lets the signals come, and in which this one comes before or after that. Its wait status. */
static int status_of_child_with(int signal, bool before)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (before)
            (void)raise(signal);
        signals_leave_to_program();
        if (!before)
            (void)raise(signal);
        _exit(3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Between the fork and exec the child has the handler still, but each signal does what it would do to the program, and
 * the parent is told nothing. */
static void a_signal_to_a_new_child_does_what_it_would_do_to_the_program(void **state)
{
    static const int deadly[] = {SIGTERM, SIGINT, SIGUSR1, SIGALRM, SIGPIPE, SIGSEGV};
    static const int harmless[] = {SIGCHLD, SIGCONT, SIGURG, SIGWINCH};
    struct signals taken;

    (void)state;
    (void)open_signals(false);
    for (int before = 0; before < 2; before++) {
        for (size_t i = 0; i < COUNT(deadly); i++) {
            int status = status_of_child_with(deadly[i], before != 0);

            assert_true(WIFSIGNALED(status));
            assert_int_equal(WTERMSIG(status), deadly[i]);
        }
        for (size_t i = 0; i < COUNT(harmless); i++) {
            int status = status_of_child_with(harmless[i], before != 0);

            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 3);
        }
    }
    signals_unblock();
    taken = signals_take();
    assert_true(taken.child); /* the children have ended, and nothing else is told */
    assert_false(taken.stop);
    assert_false(taken.continued);
    assert_int_equal(taken.keys, 0);
    assert_int_equal(taken.passed_count, 0);
    signals_reset();
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Really none left: the limit is what is open now. */
static void without_descriptors_it_says_so(void **state)
{
    struct rlimit limit;
    struct rlimit low;
    struct failure why;

    (void)state;
    signals_block(&kept, false);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(signals_open(&kept, &why), -1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(why.stage, STAGE_SETUP);
    assert_int_equal(why.error, EMFILE);
    assert_non_null(strstr(why.words, "ulimit -n"));
    signals_reset();
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(what_was_inherited_is_closed),
        TEST(what_was_inherited_is_closed_without_close_range),
        TEST(reading_now_does_not_wait),
        TEST(dropped_capabilities_are_gone),
        TEST(where_capabilities_can_not_be_read_they_are_taken_to_be_there),
        TEST(who_may_have_no_priority_hurries_by_short_slices),
        TEST(with_another_slice_it_is_no_longer_like_a_child),
        TEST(of_memory_whole_pages_are_given_back_and_no_more),
        TEST(a_pipe_is_closed_on_exec),
        TEST(flags_of_what_is_not_open_cannot_be_set),
        TEST(all_is_written_however_little_room_there_is),
        TEST(a_write_without_reader_fails),
        TEST(reading_some_waits_until_there_is_something_or_the_end),
        TEST(what_cannot_be_read_is_at_its_end),
        TEST(the_clock_goes_forward),
        TEST(signals_come_as_readable_notes),
        TEST(every_signal_that_means_stop_does),
        TEST(what_nohup_ignores_stays_ignored_and_nothing_else),
        TEST(a_signal_to_a_new_child_does_what_it_would_do_to_the_program),
        TEST(without_descriptors_it_says_so),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
