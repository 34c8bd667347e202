/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * A process that somebody else has started, from outside: watched, signalled and ended, and never a stranger in its
 * place.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/platform.h"
#include "client.h"
#include "containment/tree.h"

static struct client client;

enum manners { POLITE, DEAF };

/* Ready when this returns. */
static pid_t start_target(enum manners manners)
{
    int ready[2];
    pid_t pid;
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    (void)fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (manners == DEAF)
            (void)signal(SIGTERM, SIG_IGN);
        (void)!write(ready[1], "r", 1);
        for (;;)
            (void)pause();
    }
    read_exactly(ready[0], &byte, 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

static const char *text_of(long number)
{
    static char text[24];

    (void)snprintf(text, sizeof text, "%ld", number);
    return text;
}

/* A polite one has all the time it takes. */
static void attach_to(pid_t pid, enum manners manners)
{
    START(&client, "-k", manners == DEAF ? "100" : "60000", "--attach", text_of(pid));
    client_await_started(&client);
    assert_int_equal(client.program, pid);
}

/* The signal that it was ended by; 0 for none. */
static int reap(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void assert_ended_unknown(void)
{
    client_follow(&client);
    assert_true(client.exited);
    assert_true(client.unknown);
    assert_false(client.reusable);
    client_leave_alive(&client);
}

/* ---- What is told of it, and how it ends ---- */

static void its_end_is_told_and_not_its_status(void **state)
{
    pid_t pid = start_target(POLITE);

    (void)state;
    LINUX_ONLY();
    attach_to(pid, POLITE);
    assert_int_equal(kill(pid, SIGUSR1), 0);
    client_follow(&client); /* a zombie has ended */
    assert_int_equal(reap(pid), SIGUSR1);
    assert_true(client.exited && client.unknown && !client.stopped);
    client_leave_alive(&client);
}

static void a_stop_ends_it(void **state)
{
    pid_t pid = start_target(POLITE);

    (void)state;
    LINUX_ONLY();
    attach_to(pid, POLITE);
    client_stop(&client);
    assert_ended_unknown();
    assert_int_equal(reap(pid), SIGTERM);
    assert_true(client.stopped && !client.forced);
}

static void a_stop_ends_a_stopped_one(void **state)
{
    pid_t pid = start_target(POLITE);

    (void)state;
    LINUX_ONLY();
    assert_int_equal(kill(pid, SIGSTOP), 0);
    attach_to(pid, POLITE);
    client_stop(&client);
    assert_ended_unknown();
    assert_int_equal(reap(pid), SIGTERM);
}

static void a_deaf_one_is_killed(void **state)
{
    pid_t pid = start_target(DEAF);

    (void)state;
    LINUX_ONLY();
    attach_to(pid, DEAF);
    client_stop(&client);
    assert_ended_unknown();
    assert_int_equal(reap(pid), SIGKILL);
    assert_true(client.forced);
}

static void it_ends_with_its_owner(void **state)
{
    pid_t pid = start_target(DEAF);

    (void)state;
    LINUX_ONLY();
    attach_to(pid, DEAF);
    client_leave_alive(&client);
    assert_int_equal(reap(pid), SIGKILL);
}

static void it_ends_with_the_relay(void **state)
{
    pid_t pid = start_target(DEAF);

    (void)state;
    LINUX_ONLY();
    attach_to(pid, DEAF);
    assert_int_equal(kill(client_relay(&client), SIGKILL), 0);
    client_follow(&client);
    assert_false(client.exited);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), pid); /* by then it is dead */
    assert_int_equal(client_leave(&client), 125 << 8);
}

static void it_ends_with_the_keeper(void **state)
{
    pid_t pid = start_target(DEAF);
    pid_t keeper;

    (void)state;
    LINUX_ONLY();
    attach_to(pid, DEAF);
    keeper = client.pid;
    assert_int_equal(kill(keeper, SIGKILL), 0);
    client_follow(&client);
    assert_true(client.exited);
    assert_int_equal(reap(pid), SIGKILL);
    assert_int_equal(client_leave(&client), SIGKILL);
}

/* ---- What is refused ---- */

static void assert_refused(long pid, int error, const char *words)
{
    START(&client, "--attach", text_of(pid));
    client_follow(&client);
    assert_true(client.errored);
    assert_int_equal(client.error_stage, 24);
    assert_int_equal(client.error_number, error);
    if (!strstr(client.error_words, words))
        fail_msg("'%s' doesn't say '%s'", client.error_words, words);
    client_leave_alive(&client);
}

static void what_must_not_be_stopped_is_refused(void **state)
{
    (void)state;
    LINUX_ONLY();
    assert_refused(1, EINVAL, "the init");
    assert_refused(getpid(), EINVAL, "descends from it");
    assert_refused(getppid(), EINVAL, "descends from it");
    assert_refused(2, EINVAL, "a thread of the kernel's");
    assert_true(is_alive(getppid()));
}

static void a_helper_is_refused(void **state)
{
    static struct client other;

    (void)state;
    LINUX_ONLY();
    START(&other, "--", "sleep", "1000");
    client_await_started(&other);
    assert_refused(other.pid, EINVAL, "a helper of MuonTrap's");
    assert_refused(client_relay(&other), EINVAL, "a helper of MuonTrap's");
    assert_false(readable_now(other.out));
    client_leave_alive(&other);
}

static void what_is_not_there_is_refused(void **state)
{
    pid_t pid = start_target(POLITE);

    (void)state;
    LINUX_ONLY();
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT);
    assert_refused(pid, ESRCH, "it has ended"); /* a zombie */
    assert_int_equal(reap(pid), SIGKILL);
    assert_refused(pid, ESRCH, "no such process");
    assert_refused(0x3FFFFF, ESRCH, "no such process");
}

/* ---- Whoever has got its pid ---- */

/* The next process that is made in this namespace gets the pid behind this one, if it is free (proc_sys_kernel(5)). */
static void set_last_pid(pid_t pid)
{
    int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
    char text[24];

    (void)snprintf(text, sizeof text, "%ld", (long)pid);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        fail_msg("cannot write /proc/sys/kernel/ns_last_pid: %s", strerror(errno));
    (void)close(fd);
}

struct stranger {
    pid_t pid;
    int let_go;
};

#define STRANGERS_MOST 64u
static struct stranger strangers[STRANGERS_MOST];
static unsigned stranger_count;

/* Tells by its status whether a signal has come to it that can be blocked. */
static _Noreturn void be_stranger(int let_go)
{
    sigset_t pending;
    char byte;

    while (read(let_go, &byte, 1) < 0 && errno == EINTR)
        continue;
    (void)sigpending(&pending);
    for (int signal = 1; signal < 32; signal++)
        if (sigismember(&pending, signal) == 1)
            _exit(signal);
    _exit(0);
}

static pid_t start_stranger(void)
{
    int ends[2];
    sigset_t all;
    sigset_t before;
    pid_t pid;

    assert_true(stranger_count < STRANGERS_MOST);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        (void)close(ends[1]);
        (void)close(client.in); /* whose end the helper waits for */
        (void)close(client.out);
        for (unsigned i = 0; i < stranger_count; i++)
            (void)close(strangers[i].let_go);
        be_stranger(ends[0]);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    assert_true(pid > 0);
    (void)close(ends[0]);
    strangers[stranger_count++] = (struct stranger){.pid = pid, .let_go = ends[1]};
    return pid;
}

/* Strangers until one has got that pid. */
static void give_away(pid_t pid)
{
    pid_t got = 0;

    for (unsigned tries = 0; got != pid && tries < STRANGERS_MOST; tries++) {
        set_last_pid(pid - 1);
        got = start_stranger();
    }
    assert_int_equal(got, pid);
}

static void assert_strangers_unharmed(void)
{
    while (stranger_count > 0) {
        struct stranger stranger = strangers[--stranger_count];
        int status;

        (void)close(stranger.let_go);
        assert_int_equal(waitpid(stranger.pid, &status, 0), stranger.pid);
        if (status != 0)
            fail_msg("a stranger with the pid %ld has got a signal: status %#x, program %ld, error %s",
                     (long)stranger.pid, (unsigned)status, (long)client.program, client.error_words);
    }
}

static void send_sigterm(void)
{
    client_send(&client, "\0\0\0\12k\0\0\0\0\1TERM", 14);
}

#define LOWEST 300
#define RANGE 300

/* In each round the process ends at another moment, and at once somebody else has its pid. */
static void attach_and_end(unsigned round)
{
    pid_t pid = start_target(round % 2 ? POLITE : DEAF);
    pid_t relay;

    START(&client, "-k", "0", "--attach", text_of(pid));
    if (round % 4 == 0) { /* during the call */
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (client.program == 0 && !client.errored && client_step(&client))
            continue;
        assert_true(client.program == pid || (client.error_stage == 24 && client.error_number == ESRCH));
        assert_int_equal(reap(pid), SIGKILL);
        give_away(pid);
    } else { /* when all have something to say */
        client_await_started(&client);
        assert_int_equal(client.program, pid);
        relay = client_relay(&client);
        if (round % 4 == 1)
            send_sigterm();
        if (round % 4 == 2)
            client_stop(&client);
        assert_int_equal(kill(pid, SIGKILL), 0);
        (void)reap(pid);
        give_away(pid);
        if (round % 4 == 3)
            assert_int_equal(kill(relay, SIGKILL), 0);
    }
    if (round % 4 != 3) {
        send_sigterm();
        client_stop(&client);
    }
    client_follow(&client);
    (void)client_leave(&client);
    assert_strangers_unharmed();
}

/* Whoever has got the pid is not taken for the process, nor for what descends from it. */
static void assert_a_reused_pid_is_another(void)
{
    pid_t pid = start_target(POLITE);
    struct tree tree = {.attached = platform_process_open(pid), .attached_pid = pid};

    assert_true(tree.attached > 0);
    assert_true(tree_has(&tree, pid));
    assert_int_equal(kill(pid, SIGKILL), 0);
    (void)reap(pid);
    give_away(pid);
    assert_false(tree_has(&tree, pid));
    assert_int_equal(tree_signal(&tree, SIGTERM), -1);
    tree_terminate(&tree, SIGTERM);
    tree_kill(&tree);
    (void)close(tree.attached);
    assert_strangers_unharmed();
}

static void attach_and_end_many(unsigned rounds)
{
    set_last_pid(LOWEST);
    assert_a_reused_pid_is_another();
    for (unsigned round = 0; round < rounds; round++) {
        /* pids begin at 300 again once they have been used up (kernel/pid.c, RESERVED_PIDS). */
        set_last_pid(LOWEST + (pid_t)(round * 7 % RANGE));
        attach_and_end(round);
    }
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

/* The first process of a namespace of pids of its own, with the /proc of that. What fails there ends it. */
static int be_init(const char *rounds)
{
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        perror("cannot mount /proc");
        return 1;
    }
    attach_and_end_many((unsigned)strtoul(rounds, NULL, 10));
    return 0;
}

static _Noreturn void execute_in_namespace(const char *rounds)
{
    char *const words[] = {(char *)(uintptr_t) "/proc/self/exe", (char *)(uintptr_t)rounds, NULL};
    pid_t init;
    int status;

    if (unshare(CLONE_NEWPID | CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0)
        _exit(2);
    client_check_leaks(false); /* the sanitizer's thread would be another process in there */
    init = fork();
    if (init == 0) {
        (void)execv(words[0], words);
        _exit(3);
    }
    _exit(init > 0 && waitpid(init, &status, 0) == init && WIFEXITED(status) ? WEXITSTATUS(status) : 4);
}

/* ATTACHES is how often. */
static void a_stranger_with_its_pid_is_never_signalled(void **state)
{
    const char *rounds = getenv("ATTACHES");
    pid_t child;
    int status;

    (void)state;
    LINUX_ONLY();
    (void)alarm(4 * TEST_SECONDS); /* it is a test of ten thousand */
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        execute_in_namespace(rounds && *rounds ? rounds : "400");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(its_end_is_told_and_not_its_status),
        TEST(a_stop_ends_it),
        TEST(a_stop_ends_a_stopped_one),
        TEST(a_deaf_one_is_killed),
        TEST(it_ends_with_its_owner),
        TEST(it_ends_with_the_relay),
        TEST(it_ends_with_the_keeper),
        TEST(what_must_not_be_stopped_is_refused),
        TEST(a_helper_is_refused),
        TEST(what_is_not_there_is_refused),
        TEST(a_stranger_with_its_pid_is_never_signalled),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char *argv[])
{
    return argc > 1 ? be_init(argv[1]) : run_guarded(tests);
}
