// SPDX-FileCopyrightText: The MuonTrap contributors
// SPDX-License-Identifier: Apache-2.0
//
// spawn CALLERS LAUNCHES PROGRAM: what a launch costs without a VM. So many processes at once launch the program so
// many times each by posix_spawnp(3), read its output up to its end from a pipe, and wait for it. Prints the
// microseconds of each launch, a line each.

#define _GNU_SOURCE // pipe2
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static _Noreturn void die(const char *what, int number)
{
    fprintf(stderr, "spawn: %s: %s\n", what, strerror(number));
    exit(1);
}

static long microseconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) == -1)
        die("clock_gettime", errno);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static void launch(char *program)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == -1)
        die("pipe2", errno);
    posix_spawn_file_actions_t actions;
    int failed = posix_spawn_file_actions_init(&actions);
    if (!failed)
        failed = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    pid_t pid = 0;
    char *arguments[] = {program, NULL};
    if (!failed)
        failed = posix_spawnp(&pid, program, &actions, NULL, arguments, environ);
    if (failed)
        die(program, failed);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);

    char bytes[4096];
    ssize_t count;
    while ((count = read(ends[0], bytes, sizeof bytes)) > 0 || (count == -1 && errno == EINTR))
        ;
    if (count == -1)
        die("read", errno);
    (void)close(ends[0]);
    int status;
    if (waitpid(pid, &status, 0) == -1)
        die("waitpid", errno);
    if (status != 0) {
        fprintf(stderr, "spawn: %s has failed\n", program);
        exit(1);
    }
}

// Lines are written one by one, and so are not mixed with those of other callers (pipe(7), PIPE_BUF).
static void call(long launches, char *program)
{
    for (long i = 0; i < launches; i++) {
        long begin = microseconds();
        launch(program);
        if (dprintf(STDOUT_FILENO, "%ld\n", microseconds() - begin) < 0)
            die("write", errno);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: spawn CALLERS LAUNCHES PROGRAM\n", stderr);
        return 2;
    }
    long callers = strtol(argv[1], NULL, 10), launches = strtol(argv[2], NULL, 10);
    for (long i = 0; i < callers; i++) {
        pid_t pid = fork();
        if (pid == -1)
            die("fork", errno);
        if (pid == 0) {
            call(launches, argv[3]);
            return 0;
        }
    }
    int failed = 0, status;
    while (wait(&status) > 0)
        failed |= status;
    return failed != 0;
}
