/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The program that the tests contain: it does what contained programs should not. It says on stdout when it has, with a
 * byte for each process, so that a test waits for what happened and not for a while. No process outlives two minutes.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *word)
{
    if (write(STDOUT_FILENO, word, strlen(word)) < 0)
        _exit(9);
}

static _Noreturn void pause_on(void)
{
    (void)alarm(120);
    for (;;)
        (void)pause();
}

static _Noreturn void stay(void)
{
    say(".");
    pause_on();
}

static void be_deaf(void)
{
    static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1};

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)signal(signals[i], SIG_IGN);
}

static void deaf(int number)
{
    (void)number;
    be_deaf();
    stay();
}

/* A child in the background; the program itself goes at once. */
static void background(int status)
{
    if (fork() == 0)
        stay();
    _exit(status);
}

/* The process between is gone when the first returns, so that nobody counts it among those that are left. */
static void daemonise(void)
{
    pid_t between = fork();

    if (between != 0) {
        (void)waitpid(between, NULL, 0);
        return;
    }
    (void)setsid();
    if (fork() != 0)
        _exit(0);
    be_deaf();
    stay();
}

/* As daemon(3), and the program goes. */
static void daemon_and_go(int status)
{
    daemonise();
    _exit(status);
}

static void daemon_and_stay(int number)
{
    (void)number;
    daemonise();
    stay();
}

/* So many processes: a chain with a side branch at each, every third in a session of its own, all deaf. */
static void tree(int number)
{
    be_deaf();
    for (; number > 1; number -= 2) {
        if (number > 2 && fork() == 0)
            stay();
        if (fork() != 0)
            stay();
        if (number % 3 == 0)
            (void)setsid();
    }
    stay();
}

static volatile uint32_t *shared_counter(void)
{
    uint32_t *counter = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (counter == MAP_FAILED)
        _exit(9);
    return counter;
}

/* Forks as fast as it can, everyone does; at most so many at all. */
static void bomb(int number)
{
    volatile uint32_t *counter = shared_counter();

    be_deaf();
    (void)alarm(120);
    while (__sync_add_and_fetch(counter, 1) < (uint32_t)number) {
        if (*counter == 100)
            say(".");
        (void)fork();
    }
    stay();
}

/* Never the same pid, session or parent for long: each forks its successor and goes. Says "." when under way, and "!"
 * when it came to its end without having been caught. */
static void chain(int number)
{
    if (fork() != 0)
        stay();
    be_deaf();
    for (int i = 0; i < number; i++) {
        if (fork() != 0)
            _exit(0);
        (void)setsid();
        if (i == 100)
            say(".");
    }
    say("!");
    _exit(0);
}

/* Children that end and are never waited for. */
static void zombies(int number)
{
    for (int i = 0; i < number; i++) {
        pid_t pid = fork();
        siginfo_t info;

        if (pid == 0)
            _exit(0);
        (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    }
    stay();
}

static void descriptors(int number)
{
    (void)number;
    for (int fd = 0; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("%d\n", fd);
    (void)fflush(stdout);
    _exit(0);
}

static void flags(int number)
{
    (void)number;
    for (int fd = 0; fd < 3; fd++)
        printf("%d\n", fcntl(fd, F_GETFL) & O_NONBLOCK);
    (void)fflush(stdout);
    _exit(0);
}

static _Noreturn void on_term(int signal)
{
    (void)signal;
    say("bye");
    _exit(7);
}

/* Ends in its own way when it is asked to. */
static void polite(int number)
{
    (void)number;
    (void)signal(SIGTERM, on_term);
    stay();
}

static _Noreturn void on_term_in_time(int signal)
{
    (void)signal;
    (void)usleep(300000);
    say("b");
    _exit(0);
}

/* So many children in sessions of their own, each of which takes its time to end when it is asked to. */
static void crowd(int number)
{
    for (int i = 0; i < number; i++)
        if (fork() == 0) {
            (void)setsid();
            (void)signal(SIGTERM, on_term_in_time);
            stay();
        }
    pause_on();
}

/* A deaf child whose own child ends so many milliseconds after the program has, and leaves one that ends when it is
 * asked to. */
static void late_orphan(int number)
{
    int ends[2];
    char byte;

    if (pipe(ends) < 0)
        _exit(9);
    if (fork() != 0)
        pause_on();
    be_deaf();
    (void)close(ends[1]);
    if (fork() != 0)
        pause_on();
    if (fork() == 0) {
        (void)setsid();
        (void)signal(SIGTERM, on_term_in_time);
        stay();
    }
    while (read(ends[0], &byte, 1) > 0)
        continue;
    (void)usleep((unsigned)number * 1000u);
    _exit(0);
}

/* Byte i of a stream is such that no shift or swap goes unnoticed (support for it: pattern_at() in client.c). */
static unsigned char pattern(uint32_t i)
{
    return (unsigned char)((i * 2654435761u) >> 24);
}

static void spill_to(int fd, uint32_t size)
{
    static unsigned char bytes[65536];
    uint32_t at = 0;

    while (at < size) {
        uint32_t part = size - at < sizeof bytes ? size - at : (uint32_t)sizeof bytes;
        ssize_t written;

        for (uint32_t i = 0; i < part; i++)
            bytes[i] = pattern(at + i);
        written = write(fd, bytes, part);
        if (written < 0)
            _exit(9);
        at += (uint32_t)written;
    }
}

static void spill(int number)
{
    spill_to(STDOUT_FILENO, (uint32_t)number);
    _exit(0);
}

static void spill_both(int number)
{
    pid_t other = fork();

    spill_to(other == 0 ? STDERR_FILENO : STDOUT_FILENO, (uint32_t)number);
    if (other > 0)
        (void)waitpid(other, NULL, 0);
    _exit(0);
}

/* Writes so much, says nothing, stays: what is in the pipe then must arrive although the program is killed. */
static void spill_and_stay(int number)
{
    spill_to(STDOUT_FILENO, (uint32_t)number);
    (void)alarm(120);
    for (;;)
        (void)pause();
}

/* So many processes that write without end. */
static void flood(int number)
{
    static char bytes[4096];

    be_deaf();
    (void)alarm(120);
    for (int i = 1; i < number && fork() != 0; i++)
        continue;
    memset(bytes, 'f', sizeof bytes);
    while (write(STDOUT_FILENO, bytes, sizeof bytes) > 0)
        continue;
    _exit(0);
}

static const struct {
    const char *name;
    void (*act)(int number);
} acts[] = {
    {"deaf", deaf},
    {"background", background},
    {"daemon-and-go", daemon_and_go},
    {"daemon-and-stay", daemon_and_stay},
    {"tree", tree},
    {"bomb", bomb},
    {"chain", chain},
    {"zombies", zombies},
    {"descriptors", descriptors},
    {"flags", flags},
    {"polite", polite},
    {"crowd", crowd},
    {"late-orphan", late_orphan},
    {"spill", spill},
    {"spill-both", spill_both},
    {"spill-and-stay", spill_and_stay},
    {"flood", flood},
};

int main(int argc, char *argv[])
{
    for (size_t i = 0; argc > 1 && i < sizeof acts / sizeof acts[0]; i++)
        if (strcmp(argv[1], acts[i].name) == 0)
            acts[i].act(argc > 2 ? atoi(argv[2]) : 0);
    return 64;
}
