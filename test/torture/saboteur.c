/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * saboteur burn keeps a processor busy.
 * saboteur LEDGER VM FAULT...: does what nobody should do to the processes of a case, at the moment that each FAULT
 * names, and says what it did. It ends what it has begun, and leaves, when something comes on its standard input or
 * that ends, and not before.
 *
 *     WHEN:WHOM:WHAT
 *
 * WHEN is s<us>, so long after the root's start, or a<number>.<acts>.<us>, so long after process `number` has begun its
 * act `acts`. WHOM is P, R, K, B, V, D<number> or G: the program, relay, keeper, both of these at once, the VM, a
 * descendant, or the cgroup. WHAT is k<signal>, s<ms> (stopped for so long); and for a cgroup f<ms> (frozen for so
 * long), m<ms> (removed again and again for so long, with what is below), j (a stranger joins) or d (others are made in
 * it).
 *
 * A process is known by its pid and start, and signalled by its pidfd, so that no other one is ever hit.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"

static struct ledger *ledger;
static uint32_t vm;
static uint64_t vm_started;
static volatile sig_atomic_t ending;

static void on_end(int signal)
{
    (void)signal;
    ending = 1;
}

static uint64_t now_us(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000u + (uint64_t)time.tv_nsec / 1000u;
}

/* Shorter when it is to end. */
static void rest_for(uint64_t us)
{
    uint64_t until = now_us() + us;

    while (!ending && now_us() < until) {
        uint64_t left = until - now_us(), part = left < 20000 ? left : 20000;
        struct timespec time = {.tv_nsec = (long)part * 1000};

        if (left < 1000000)
            (void)nanosleep(&time, NULL);
    }
}

static bool await(const char *when)
{
    unsigned number = 0, acts = 0, us = 0;

    if (when[0] == 's' ? sscanf(when, "s%u", &us) != 1 : sscanf(when, "a%u.%u.%u", &number, &acts, &us) != 3)
        return false;
    if (number >= LEDGER_PROCESSES)
        return false;
    while (!ending && (__atomic_load_n(&ledger->process[number].pid, __ATOMIC_SEQ_CST) == 0 ||
                       __atomic_load_n(&ledger->process[number].act, __ATOMIC_SEQ_CST) < acts))
        (void)usleep(50);
    if (us > 0)
        rest_for(us);
    return !ending;
}

/* -1 when it is not there any more. */
static int open_process(uint32_t pid, uint64_t started)
{
    int fd = pid == 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    char state;
    uint32_t parent;
    uint64_t start;

    if (fd >= 0 && (!process_stat(pid, &state, &parent, &start) || start != started)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static int open_victim(const char *whom)
{
    unsigned number = 0;

    if (whom[0] == 'R')
        return open_process(ledger->relay, ledger->relay_started);
    if (whom[0] == 'K')
        return open_process(ledger->keeper, ledger->keeper_started);
    if (whom[0] == 'V')
        return open_process(vm, vm_started);
    if (whom[0] == 'D' && (sscanf(whom, "D%u", &number) != 1 || number >= LEDGER_PROCESSES))
        return -1;
    return open_process(ledger->process[number].pid, ledger->process[number].started);
}

static int send_by(int fd, int number)
{
    return (int)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
}

static const char *harm(const char *whom, const char *what)
{
    int first = open_victim(whom[0] == 'B' ? "R" : whom), second = whom[0] == 'B' ? open_victim("K") : -1;
    int number = atoi(what + 1);

    if (first < 0 && second < 0)
        return "gone";
    if (what[0] == 'k') {
        bool first_hit = first >= 0 && send_by(first, number) == 0;
        bool second_hit = second >= 0 && send_by(second, number) == 0;

        if (whom[0] == 'B' && first_hit != second_hit) /* the other one may have left because this one was hit */
            return first_hit ? "relay" : "keeper";
        return first_hit ? "done" : "gone";
    }
    if (send_by(first, SIGSTOP) < 0)
        return "gone";
    rest_for((uint64_t)number * 1000u);
    return send_by(first, SIGCONT) < 0 ? "died" : "done";
}

static bool cgroup_of(uint32_t pid, char *path, size_t size)
{
    char line[4096], name[64];
    const char *mount = getenv("TORTURE_CGROUP2");
    FILE *file;
    bool found = false;

    (void)snprintf(name, sizeof name, "/proc/%u/cgroup", pid);
    file = fopen(name, "re");
    while (file != NULL && mount != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        char *nest;

        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::/", 4) == 0 && strstr(line, "torture") != NULL;
        nest = strstr(line, "/nest");
        if (found && nest != NULL)
            *nest = '\0';
        if (found)
            (void)snprintf(path, size, "%s%s", mount, line + 3);
    }
    if (file != NULL)
        (void)fclose(file);
    return found;
}

static bool put(const char *directory, const char *name, const char *value)
{
    char path[8192];
    int fd;
    bool good;

    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    good = write(fd, value, strlen(value)) > 0;
    (void)close(fd);
    return good;
}

static void remove_below(const char *directory, int depth)
{
    DIR *list = depth < 4 ? opendir(directory) : NULL;
    const struct dirent *entry;
    char path[8192];

    while (list != NULL && (entry = readdir(list)) != NULL) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        remove_below(path, depth + 1);
    }
    if (list != NULL)
        (void)closedir(list);
    (void)rmdir(directory);
}

/* By a new program, so that the mark is in its environment, where proc(5) shows it. */
static _Noreturn void join(const char *path)
{
    char mark[256], *environment[] = {mark, NULL};
    const char *value = getenv("TORTURE_STRANGER");

    (void)snprintf(mark, sizeof mark, "MUONTRAP_TEST_MARK=%s", value == NULL ? "" : value);

    (void)alarm(240);
    (void)signal(SIGTERM, SIG_IGN);
    if (put(path, "cgroup.procs", "0"))
        (void)execle("/proc/self/exe", "saboteur", "stay", (char *)NULL, environment);
    _exit(0);
}

/* Until standard input ends. */
static void burn(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    while (poll(&input, 1, 0) == 0)
        for (volatile int i = 0; i < 10000000; i++)
            continue;
}

static const char *meddle(const char *what)
{
    char path[4096], other[8192];
    unsigned ms = (unsigned)atoi(what + 1);
    uint64_t until = now_us() + ms * 1000u;

    if (!cgroup_of(ledger->process[0].pid, path, sizeof path))
        return "gone";
    switch (what[0]) {
    case 'f':
        if (!put(path, "cgroup.freeze", "1"))
            return "gone";
        rest_for(ms * 1000u);
        return put(path, "cgroup.freeze", "0") ? "done" : "died";
    case 'm':
        while (!ending && now_us() < until) {
            remove_below(path, 0);
            (void)usleep(20);
        }
        return "done";
    case 'j':
        if (fork() == 0)
            join(path);
        return "done";
    default:
        for (int i = 0; i < 3; i++) {
            (void)snprintf(other, sizeof other, "%s/other%d", path, i);
            (void)mkdir(other, 0755);
            (void)snprintf(other, sizeof other, "%s/other%d/below", path, i);
            (void)mkdir(other, 0755);
        }
        return "done";
    }
}

static void commit(int index, char *fault)
{
    const char *when = strtok(fault, ":"), *whom = strtok(NULL, ":"), *what = strtok(NULL, ":");
    const char *result = "never";

    (void)signal(SIGTERM, on_end);
    (void)alarm(240);
    if (when == NULL || whom == NULL || what == NULL)
        result = "malformed";
    else if (await(when))
        result = whom[0] == 'G' ? meddle(what) : harm(whom, what);
    (void)printf("%d %s\n", index, result);
    (void)fflush(stdout);
    _exit(0);
}

int main(int argc, char *argv[])
{
    int fd = argc < 3 ? -1 : open(argv[1], O_RDWR | O_CLOEXEC);
    pid_t children[16];
    int count = 0;
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char state;
    uint32_t parent;

    if (argc == 2 && strcmp(argv[1], "stay") == 0)
        for (;;)
            (void)pause();
    if (argc == 2 && strcmp(argv[1], "burn") == 0) {
        burn();
        return 0;
    }
    ledger = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *ledger, PROT_READ, MAP_SHARED, fd, 0);
    if (ledger == MAP_FAILED)
        return 64;
    vm = (uint32_t)atoi(argv[2]);
    (void)process_stat(vm, &state, &parent, &vm_started);
    for (int i = 3; i < argc && count < 16; i++) {
        children[count] = fork();
        if (children[count] == 0)
            commit(i - 3, argv[i]);
        count++;
    }
    (void)printf("ready\n");
    (void)fflush(stdout);
    for (int left = count; left > 0 || input.fd >= 0;) {
        (void)poll(&input, 1, input.fd < 0 ? 20 : 5);
        if (input.fd >= 0 && input.revents != 0) {
            for (int i = 0; i < count; i++)
                if (children[i] > 0)
                    (void)kill(children[i], SIGTERM);
            input.fd = -1;
        }
        for (int i = 0; i < count; i++)
            if (children[i] > 0 && waitpid(children[i], NULL, WNOHANG) > 0) {
                children[i] = 0;
                left--;
            }
    }
    return 0;
}
