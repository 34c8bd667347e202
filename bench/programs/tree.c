// SPDX-FileCopyrightText: The MuonTrap contributors
// SPDX-License-Identifier: Apache-2.0
//
// tree SLEEPERS [kill]: forks so many children, which sleep, ignore SIGTERM as their parent does, and end after five
// minutes at the latest. When all are there it says "ready" and sleeps too. With "kill" it kills them instead, waits
// for them, and prints the microseconds that this took: it is what an end by the kernel costs.

#define _POSIX_C_SOURCE 200809L // clock_gettime, kill
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIFE_S = 300 };

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "tree: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long microseconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) == -1)
        die("clock_gettime");
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static _Noreturn void rest(void)
{
    alarm(LIFE_S);
    for (;;)
        pause();
}

static void kill_all(const pid_t *sleepers, long count)
{
    long begin = microseconds();
    for (long i = 0; i < count; i++)
        if (kill(sleepers[i], SIGKILL) == -1)
            die("kill");
    for (long i = 0; i < count; i++)
        if (wait(NULL) == -1)
            die("wait");
    printf("%ld\n", microseconds() - begin);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fputs("usage: tree SLEEPERS [kill]\n", stderr);
        return 2;
    }
    if (signal(SIGTERM, SIG_IGN) == SIG_ERR)
        die("signal");
    long count = strtol(argv[1], NULL, 10);
    pid_t *sleepers = calloc((size_t)count + 1, sizeof *sleepers);
    if (!sleepers)
        die("calloc");
    for (long i = 0; i < count; i++) {
        sleepers[i] = fork();
        if (sleepers[i] == -1)
            die("fork");
        if (sleepers[i] == 0)
            rest();
    }
    if (argc == 3) {
        kill_all(sleepers, count);
        return 0;
    }
    puts("ready");
    fflush(stdout);
    rest();
}
