/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANGS_AFTER_MS 60000 /* the machine may be busy, and be traced takes its time */
#define ENDS_WITHIN_MS                                                                                                 \
    5000 /* so long its output may be open after it has left; what holds it open is looked for then */
#define QUIET_MS 3
#define OPEN_FILES 64 /* what is closed one by one, where close_range(2) is missing */
#define ARGS_MOST 64

char run_cgroup_base[200];
const char *run_lock_file;

static int signals;
static char directory[200];

void run_complain(struct run *run, const char *format, ...)
{
    va_list args;

    if (run->wrong[0] != '\0')
        return;
    va_start(args, format);
    (void)vsnprintf(run->wrong, sizeof run->wrong, format, args);
    va_end(args);
}

static long now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- What belongs to this process ---- */

static void make_cgroup_base(void)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const struct mntent *mount;

    while (mounts && (mount = getmntent(mounts)))
        if (strcmp(mount->mnt_type, "cgroup2") == 0) {
            (void)snprintf(run_cgroup_base, sizeof run_cgroup_base, "%s/muontrap_faults_%ld", mount->mnt_dir,
                           (long)getpid());
            if (mkdir(run_cgroup_base, 0755) == 0)
                break;
            run_cgroup_base[0] = '\0';
        }
    if (mounts)
        (void)endmntent(mounts);
}

void run_prepare(void)
{
    static char lock[256];
    const char *temporary = getenv("TMPDIR");
    sigset_t child;

    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &child, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    (void)snprintf(directory, sizeof directory, "%s/muontrap-faults-XXXXXX",
                   temporary && temporary[0] ? temporary : "/tmp");
    if (signals < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || !mkdtemp(directory)) {
        perror("faults");
        exit(EXIT_FAILURE);
    }
    (void)chmod(directory, 0755);
    (void)snprintf(lock, sizeof lock, "%s/lock", directory);
    run_lock_file = lock;
    make_cgroup_base();
}

void run_clean_up(void)
{
    (void)unlink(run_lock_file);
    (void)rmdir(directory);
    if (run_cgroup_base[0] != '\0')
        (void)rmdir(run_cgroup_base);
    (void)close(signals);
}

/* ---- The start ---- */

static const char *filled_in(const struct run *run, const char *arg, char *text, size_t size)
{
    if (strcmp(arg, "@trouble") == 0)
        return getenv("TROUBLE");
    if (strcmp(arg, "@lock") == 0)
        return run_lock_file;
    if (strcmp(arg, "@rest") == 0)
        (void)snprintf(text, size, "'%s' polite & wait", getenv("TROUBLE"));
    else if (strcmp(arg, "@group") == 0)
        (void)snprintf(text, size, "%s/case", strrchr(run_cgroup_base, '/') + 1);
    else if (strcmp(arg, "@target") == 0)
        (void)snprintf(text, size, "%ld", (long)run->target);
    else
        return arg;
    return text;
}

static void unblock(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Ready when this returns. */
static void start_target(struct run *run)
{
    int ready[2];
    char byte;

    if (pipe2(ready, O_CLOEXEC) < 0 || (run->target = fork()) < 0)
        abort();
    if (run->target == 0) {
        unblock();
        if (dup2(ready[1], STDOUT_FILENO) >= 0)
            (void)execl(getenv("TROUBLE"), "trouble", "polite", NULL);
        _exit(9);
    }
    (void)close(ready[1]);
    (void)!read(ready[0], &byte, 1);
    (void)close(ready[0]);
}

static _Noreturn void become_helper(const struct run *run, const int fds[3], int go)
{
    static char texts[ARGS_MOST][256];
    const struct rlimit limit = {.rlim_cur = OPEN_FILES, .rlim_max = OPEN_FILES};
    char *args[ARGS_MOST] = {getenv("MUONTRAP")};
    char byte;

    for (size_t i = 0; run->scenario->args[i] && i + 2 < ARGS_MOST; i++)
        args[i + 1] = (char *)(size_t)filled_in(run, run->scenario->args[i], texts[i], sizeof texts[i]);
    (void)!read(go, &byte, 1);
    for (int fd = 0; fd < 3; fd++)
        if (dup2(fds[fd], fd) < 0)
            _exit(9);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    unblock();
    (void)execv(args[0], args);
    _exit(9);
}

static void start(struct run *run)
{
    int in[2];
    int out[2];
    int err[2];
    int go[2];
    pid_t pid;

    run->lock = -1;
    if (run->scenario->is_locked) {
        run->lock = open(run_lock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (run->lock < 0 || flock(run->lock, LOCK_EX) < 0)
            abort();
    }
    if (run->scenario->has_target)
        start_target(run);
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
        pipe2(go, O_CLOEXEC) < 0 || (pid = fork()) < 0)
        abort();
    if (pid == 0) {
        const int fds[] = {in[0], out[1], err[1]};

        (void)close(go[1]);
        become_helper(run, fds, go[0]);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    (void)close(err[1]);
    (void)close(go[0]);
    if (fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
        fcntl(err[0], F_SETFL, O_NONBLOCK) < 0)
        abort();
    owner_init(&run->owner, in[1], out[0], run->scenario->speaks_frames);
    run->err = err[0];
    tracer_begin(&run->tracer, pid);
    (void)close(go[1]);
}

/* ---- One turn ---- */

static void name_of(pid_t pid, char *name, size_t size)
{
    char path[64];
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    file = fopen(path, "re");
    if (!file || !fgets(name, (int)size, file))
        name[0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    if (file)
        (void)fclose(file);
}

/* Who has it killed may have been told that it can't be. */
static void note_left(struct run *run, pid_t pid, const char *how)
{
    char name[64];

    name_of(pid, name, sizeof name);
    if (run->left[0] == '\0')
        (void)snprintf(run->left, sizeof run->left, "process %ld (%s) %s", (long)pid, name, how);
}

static void take_wait_status(struct run *run, pid_t pid, int status)
{
    if (tracer_take(&run->tracer, pid, status))
        return;
    if (pid == run->tracer.keeper) {
        run->has_left = true;
        run->status = status;
    } else if (pid == run->target) {
        run->target_ended = true;
    } else {
        note_left(run, pid, "outlived the helper");
    }
}

static bool take_children(struct run *run)
{
    struct signalfd_siginfo info;
    bool any = false;
    int status;
    pid_t pid;

    while (read(signals, &info, sizeof info) > 0)
        continue;
    while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
        take_wait_status(run, pid, status);
        any = true;
    }
    return any;
}

static void read_words(struct run *run)
{
    char bytes[512];
    ssize_t size = read(run->err, bytes, sizeof bytes);

    if (size > 0) {
        size_t room = sizeof run->words - 1 - run->words_size;
        size_t more = (size_t)size < room ? (size_t)size : room;

        memcpy(run->words + run->words_size, bytes, more);
        run->words_size += more;
    } else if (size == 0 || errno != EAGAIN) {
        (void)close(run->err);
        run->err = -1;
    }
}

static void take_turn(struct run *run)
{
    bool slow = run->scenario->reads_slowly;
    struct owner *owner = &run->owner;
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = slow ? -1 : owner->out, .events = POLLIN},
                           {.fd = run->err, .events = POLLIN},
                           {.fd = owner->queue_size > 0 ? owner->in : -1, .events = POLLOUT}};
    int ready = poll(fds, 4, QUIET_MS);

    run->is_quiet = ready == 0;
    if (fds[0].revents)
        while (take_children(run))
            continue;
    if (fds[1].revents)
        owner_read(owner, 65536);
    if (fds[2].revents)
        read_words(run);
    if (fds[3].revents)
        owner_write(owner);
    if (slow && run->is_quiet && owner->out >= 0)
        owner_read(owner, 16384);
}

/* ---- What must be so in the end ---- */

static void look_for_cgroups(struct run *run)
{
    DIR *base = run_cgroup_base[0] ? opendir(run_cgroup_base) : NULL;
    const struct dirent *entry;

    while (base && (entry = readdir(base)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            char path[512];

            run_complain(run, "the cgroup %s was left", entry->d_name);
            (void)snprintf(path, sizeof path, "%s/%s", run_cgroup_base, entry->d_name);
            (void)rmdir(path);
        }
    if (base)
        (void)closedir(base);
}

/* The target lives on where nothing has come of the attachment. */
static void end_target(struct run *run)
{
    if (run->target == 0 || run->target_ended)
        return;
    if (run->owner.started && !run->owner.errored)
        run_complain(run, "the process that was attached to was left alive");
    (void)kill(run->target, SIGKILL);
    (void)waitpid(run->target, NULL, 0);
}

/* Whatever has escaped has fallen to this process. */
static void kill_what_is_left(struct run *run)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    for (;;) {
        int status;
        long pid = 0;
        FILE *file = fopen(path, "re");

        if (!file)
            abort();
        if (fscanf(file, "%ld", &pid) != 1)
            pid = 0;
        (void)fclose(file);
        if (pid == 0)
            return;
        if (waitpid((pid_t)pid, &status, __WALL | WNOHANG) == 0) {
            note_left(run, (pid_t)pid, "was left alive");
            (void)kill((pid_t)pid, SIGKILL);
            (void)waitpid((pid_t)pid, &status, __WALL);
        } else {
            note_left(run, (pid_t)pid, "was left dead and not reaped");
        }
    }
}

static void give_up(struct run *run, const char *what)
{
    run_complain(run, "%s", what);
    tracer_kill(&run->tracer);
    while (tracer_follows_any(&run->tracer)) {
        struct pollfd news = {.fd = signals, .events = POLLIN};

        (void)poll(&news, 1, 100);
        (void)take_children(run);
    }
}

unsigned run_descriptors(const struct run *run)
{
    const pid_t both[] = {run->tracer.keeper, run->tracer.relay};
    unsigned number = 0;

    for (int i = 0; i < 2; i++) {
        char path[64];
        DIR *listing;

        (void)snprintf(path, sizeof path, "/proc/%ld/fd", (long)both[i]);
        listing = opendir(path);
        while (listing && readdir(listing))
            number++;
        if (listing)
            (void)closedir(listing);
    }
    return number;
}

/* A process closes its descriptors some time before it can be waited for. */
static bool has_ended(const struct run *run)
{
    return run->has_left && run->owner.out < 0 && run->err < 0 && !tracer_follows_any(&run->tracer);
}

void run_scenario(struct run *run, const struct scenario *scenario, const struct fault *fault, bool gone)
{
    long until = now_ms() + HANGS_AFTER_MS;

    *run = (struct run){.scenario = scenario, .gone = gone};
    run->tracer.waits_for_lock = scenario->is_locked;
    run->tracer.counts = scenario->counts_from_start || getenv("FAULTS_ALL");
    if (fault)
        run->tracer.fault = *fault;
    start(run);
    while (now_ms() < until && !has_ended(run)) {
        bool had_left = run->has_left;

        take_turn(run);
        if (run->has_left && !had_left)
            until = now_ms() + ENDS_WITHIN_MS;
        scenario->step(run);
        if (run->gone && run->tracer.fault.hit)
            owner_close(&run->owner);
    }
    if (!run->has_left)
        give_up(run, "the helper hangs");
    end_target(run);
    kill_what_is_left(run);
    if (run->left[0] == '\0' && (run->owner.out >= 0 || run->err >= 0))
        run_complain(run, "the helper's output is held open by what is no child of its");
    look_for_cgroups(run);
    if (run->lock >= 0)
        (void)close(run->lock);
}

void run_free(struct run *run)
{
    owner_free(&run->owner);
    if (run->err >= 0)
        (void)close(run->err);
}
