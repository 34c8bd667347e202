/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * tree LEDGER SPEC: a tree of processes that does what SPEC says, and writes down in the ledger what it has done. SPEC
 * is the root's number and its acts, as MuonTrap.Torture.Tree writes them:
 *
 *     0[w1,5000,100,0;f1[i;h];x3]
 *
 * The root writes 5,000 bytes to its standard output in pieces of 100, forks process 1, which ignores signals and holds
 * what it has, and exits with status 3. No process outlives four minutes.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ledger.h"

#define PERIOD 131071u /* of the pattern; a prime, so that no shift by a power of two goes unnoticed */
#define PIECE_MOST 65536u
#define HEADER 19u

static const char *ledger_path;
static int incarnation;
static struct ledger *ledger;
static struct process *self;
static int number;
static char pattern[PERIOD + PIECE_MOST];
static unsigned polite_ms;

static void run(const char *acts) __attribute__((noreturn));

static _Noreturn void fail(int error)
{
    if (self != NULL)
        self->error = (uint32_t)error;
    _exit(9);
}

/* Printable characters without a space. */
static void make_pattern(void)
{
    uint32_t state = 1;

    for (size_t i = 0; i < PERIOD; i++) {
        state = (state * 1103515245u + 12345u) & 0x7fffffffu;
        pattern[i] = (char)(33 + (state >> 16) % 94);
    }
    memcpy(pattern + PERIOD, pattern, PIECE_MOST);
}

static void map_ledger(int generation, bool *there)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof path, "%s.%d", ledger_path, generation);
    fd = open(path, O_RDWR | O_CLOEXEC);
    *there = fd >= 0;
    if (fd < 0)
        return;
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (ledger == MAP_FAILED)
        _exit(9);
    (void)close(fd);
}

/* Who of the tree before this one is alive. */
static uint32_t survivor(const struct ledger *before)
{
    for (int i = 0; i < LEDGER_PROCESSES; i++) {
        char state;
        uint32_t parent;
        uint64_t started;

        if (before->process[i].pid != 0 && process_stat(before->process[i].pid, &state, &parent, &started) &&
            started == before->process[i].started && state != 'Z' && state != 'X')
            return before->process[i].pid;
    }
    return 0;
}

/* The first ledger that nobody has: a daemon's program may be started again. */
static void claim_ledger(void)
{
    const struct ledger *before = NULL;
    bool there;

    for (incarnation = 0; incarnation < LEDGER_INCARNATIONS; incarnation++) {
        char state;
        uint32_t above;

        map_ledger(incarnation, &there);
        if (!there)
            _exit(10);
        if (__atomic_exchange_n(&ledger->claimed, 1, __ATOMIC_SEQ_CST) == 0) {
            ledger->overlap = before != NULL ? survivor(before) : 0;
            ledger->relay = (uint32_t)getppid();
            if (process_stat(ledger->relay, &state, &above, &ledger->relay_started)) {
                uint32_t outside;

                ledger->keeper = above;
                (void)process_stat(above, &state, &outside, &ledger->keeper_started);
            }
            return;
        }
        before = ledger;
    }
    _exit(10);
}

static void be(int which)
{
    char state;
    uint32_t parent;

    (void)alarm(240);
    number = which;
    self = &ledger->process[which];
    (void)process_stat((uint32_t)getpid(), &state, &parent, &self->started);
    __atomic_store_n(&self->pid, (uint32_t)getpid(), __ATOMIC_SEQ_CST);
}

static const char *number_after(const char *text, unsigned long long *value)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        fail(EINVAL);
    *value = strtoull(text, &end, 10);
    return *end == ',' ? end + 1 : end;
}

/* The end of what the bracket before it has opened. */
static const char *behind_bracket(const char *text)
{
    for (int depth = 1; depth > 0; text++) {
        if (*text == '\0')
            fail(EINVAL);
        depth += (*text == '[') - (*text == ']');
    }
    return text;
}

static void rest_for(unsigned long long us)
{
    struct timespec time = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

    while (nanosleep(&time, &time) < 0 && errno == EINTR)
        continue;
}

static _Noreturn void hold(void)
{
    for (;;)
        (void)pause();
}

/* Each piece says whose it is and where it belongs, and is a line. Up to PIPE_BUF it is written whole (POSIX). */
static void write_stream(int stream, uint64_t size, uint32_t piece, unsigned long long pause_us)
{
    static char buffer[PIECE_MOST + 1];
    uint64_t *written = &self->written[stream - 1];
    uint64_t until = *written + size;

    while (*written < until) {
        uint64_t offset = *written;
        uint32_t payload = piece - HEADER - 1;
        size_t done = 0;

        (void)snprintf(buffer, sizeof buffer, "R%x%02x%d%010llx%04x", incarnation, number, stream,
                       (unsigned long long)offset, payload);
        memcpy(buffer + HEADER, pattern + (offset + 7919u * (unsigned)number + 31337u * (unsigned)stream) % PERIOD,
               payload);
        buffer[piece - 1] = '\n';
        while (done < piece) {
            ssize_t some;

            self->writing[stream - 1] = (uint32_t)(piece - done);
            some = write(stream, buffer + done, piece - done);
            if (some < 0 && errno != EINTR)
                fail(errno);
            if (some > 0) {
                __atomic_store_n(written, *written + (uint64_t)some, __ATOMIC_SEQ_CST);
                done += (size_t)some;
            }
        }
        self->writing[stream - 1] = 0;
        if (pause_us > 0)
            rest_for(pause_us);
    }
}

static void read_input(void)
{
    static char buffer[PIECE_MOST];
    ssize_t some;

    while ((some = read(STDIN_FILENO, buffer, sizeof buffer)) != 0) {
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            fail(errno);
        if (memcmp(buffer, pattern + self->read % PERIOD, (size_t)some) != 0)
            self->bad_input = 1;
        self->read += (uint64_t)some;
    }
}

static void be_deaf(void)
{
    static const int signals[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGTSTP, SIGPIPE};

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)signal(signals[i], SIG_IGN);
}

static void on_term(int signal)
{
    (void)signal;
    rest_for(polite_ms * 1000ull);
    self->done = 1;
    _exit(7);
}

static pid_t must_fork(void)
{
    pid_t pid = fork();

    if (pid < 0)
        fail(errno);
    return pid;
}

/* Stops, and is continued by a child of its own. */
static void nap(unsigned long long ms)
{
    self->napping = 1;
    if (must_fork() == 0) {
        pid_t sleeper = getppid();

        (void)alarm(240);
        rest_for(ms * 1000);
        while (__atomic_load_n(&self->napping, __ATOMIC_SEQ_CST) && getppid() == sleeper) {
            (void)kill(sleeper, SIGCONT);
            rest_for(2000);
        }
        _exit(0);
    }
    (void)raise(SIGSTOP);
    __atomic_store_n(&self->napping, 0, __ATOMIC_SEQ_CST);
}

/* Never the same pid, session or parent for long. */
static void chain(unsigned long long links)
{
    if (must_fork() != 0)
        return;
    be_deaf();
    for (unsigned long long i = 0; i < links; i++) {
        if (fork() != 0)
            _exit(0);
        (void)setsid();
    }
    (void)alarm(240);
    hold();
}

static void leave_zombies(unsigned long long count)
{
    for (unsigned long long i = 0; i < count; i++)
        if (must_fork() == 0)
            _exit(0);
}

/* A cgroup below the own one, and into it, where that may be done: there may be no cgroups, or no right to them. */
static void nest(unsigned long long name)
{
    char line[4096], path[8192];
    FILE *file = fopen("/proc/self/cgroup", "re");
    int fd;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *mount = getenv("TORTURE_CGROUP2");

        if (strncmp(line, "0::", 3) != 0 || mount == NULL || strstr(line, "torture") == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(path, sizeof path, "%s%s/nest%llu", mount, line + 3, name);
        (void)mkdir(path, 0755);
        (void)strcat(path, "/cgroup.procs");
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0) {
            (void)!write(fd, "0", 1);
            (void)close(fd);
        }
    }
    if (file != NULL)
        (void)fclose(file);
}

/* Its standard output lies in a socket's queue, where no process has it open. */
static void put_in_flight(void)
{
    int ends[2], fd = STDOUT_FILENO;
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) < 0)
        fail(errno);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    (void)sendmsg(ends[0], &message, 0);
}

/* As the child of a terminal emulator, whose output nobody reads. */
static _Noreturn void run_on_terminal(const char *node)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave;

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
        fail(errno);
    (void)setsid();
    slave = open(ptsname(master), O_RDWR);
    for (int fd = 0; slave >= 0 && fd < 3; fd++)
        (void)dup2(slave, fd);
    run(node);
}

static void execute(const char *acts)
{
    char spec[65536], generation[16];

    (void)snprintf(spec, sizeof spec, "%d[%.*s", number, (int)(behind_bracket(acts) - acts), acts);
    (void)snprintf(generation, sizeof generation, "%d", incarnation);
    (void)execl("/proc/self/exe", "tree", ledger_path, spec, generation, (char *)NULL);
    fail(errno);
}

/* The acts behind the number and the bracket. */
static _Noreturn void run_node(const char *node)
{
    unsigned long long which;

    node = number_after(node, &which);
    if (*node != '[' || which >= LEDGER_PROCESSES)
        fail(EINVAL);
    be((int)which);
    run(node + 1);
}

static const char *begin_child(char how, const char *node)
{
    pid_t pid = must_fork();
    int status;

    if (pid == 0 && how == 'd' && must_fork() != 0)
        _exit(0);
    if (pid == 0 && how == 'p') {
        unsigned long long which;

        node = number_after(node, &which);
        be((int)which);
        run_on_terminal(node + 1);
    }
    if (pid == 0)
        run_node(node);
    while ((how == 'F' || how == 'd') && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    while (*node != '[')
        node++;
    return behind_bracket(node + 1);
}

static _Noreturn void end(unsigned long long status, unsigned long long signal_number)
{
    self->done = 1;
    if (signal_number != 0) {
        sigset_t all;

        (void)signal((int)signal_number, SIG_DFL);
        (void)sigfillset(&all);
        (void)sigprocmask(SIG_UNBLOCK, &all, NULL);
        (void)raise((int)signal_number);
    }
    _exit((int)status);
}

static const char *act(char what, const char *text)
{
    unsigned long long value[4] = {0};
    static const char with_one[] = "ntczGuxkZCP";

    if (what == 'w')
        for (int i = 0; i < 4; i++)
            text = number_after(text, &value[i]);
    else if (strchr(with_one, what) != NULL)
        text = number_after(text, &value[0]);
    switch (what) {
    case 'w':
        write_stream((int)value[0], value[1], (uint32_t)value[2], value[3]);
        break;
    case 'f':
    case 'F':
    case 'd':
    case 'p':
        return begin_child(what, text);
    case 's':
        (void)setsid();
        break;
    case 'g':
        (void)setpgid(0, 0);
        break;
    case 'e':
        execute(*text == ';' ? text + 1 : text);
        break;
    case 'i':
        be_deaf();
        break;
    case 't':
        polite_ms = (unsigned)value[0];
        (void)signal(SIGTERM, on_term);
        break;
    case 'n':
        nap(value[0]);
        break;
    case 'N':
        (void)raise(SIGSTOP);
        break;
    case 'c':
        (void)close((int)value[0]);
        break;
    case 'h':
        hold();
    case 'z':
        rest_for(value[0]);
        break;
    case 'r':
        read_input();
        break;
    case 'G':
        nest(value[0]);
        break;
    case 'u':
        if (setresgid((gid_t)value[0], (gid_t)value[0], (gid_t)value[0]) < 0 ||
            setresuid((uid_t)value[0], (uid_t)value[0], (uid_t)value[0]) < 0)
            fail(errno);
        break;
    case 'x':
        end(value[0], 0);
    case 'k':
        end(0, value[0]);
    case 'Z':
        leave_zombies(value[0]);
        break;
    case 'C':
        chain(value[0]);
        break;
    case 'q':
        put_in_flight();
        break;
    case 'P':
        (void)fcntl(STDOUT_FILENO, F_SETPIPE_SZ, (int)value[0]);
        break;
    default:
        fail(EINVAL);
    }
    return text;
}

static void run(const char *acts)
{
    while (*acts != ']') {
        char what = *acts;

        if (what == '\0')
            fail(EINVAL);
        __atomic_add_fetch(&self->act, 1, __ATOMIC_SEQ_CST);
        acts = act(what, acts + 1);
        if (*acts == ';')
            acts++;
    }
    end(0, 0);
}

int main(int argc, char *argv[])
{
    bool there = true;

    if (argc < 3)
        return 64;
    ledger_path = argv[1];
    make_pattern();
    if (argc > 3) {
        incarnation = atoi(argv[3]);
        map_ledger(incarnation, &there);
    } else {
        claim_ledger();
    }
    if (!there)
        return 10;
    run_node(argv[2]);
}
