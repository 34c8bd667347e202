/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* vfork(2), which POSIX had until 2008 */
#include "program/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "base/signals.h"

/* The descriptors that become the program's 0, 1 and 2 (itself where it stays), and our ends of the pipes. */
struct stdio {
    int program[3];
    int null;
    bool stderr_is_stdout;
    int relay_stdout;
    int relay_stderr;
};

/* What the child tells: that it lives, where that isn't a matter of course (no stage), and when it could not become the
 * program. */
struct verdict {
    enum stage stage;
    int error;
};

static void stdio_close(struct stdio *stdio)
{
    for (int fd = 0; fd < 3; fd++)
        if (stdio->program[fd] > 2 && stdio->program[fd] != stdio->null && (fd != 2 || !stdio->stderr_is_stdout))
            io_close(&stdio->program[fd]);
    io_close(&stdio->null);
}

static bool relayed(int *program_end, int *our_end, struct failure *why)
{
    int ends[2];

    if (!io_pipe(ends))
        return failed(why, STAGE_SETUP, errno, "cannot make a pipe for the program's output: %s (raise ulimit -n)",
                      strerror(errno));
    *program_end = ends[1];
    *our_end = ends[0];
    /* Only our end: the flag belongs to the open file description, and each end of a pipe has its own. */
    if (!io_nonblocking(ends[0]))
        return failed(why, STAGE_SETUP, errno, "cannot make a pipe non-blocking: %s", strerror(errno));
    return true;
}

static bool stdio_open(struct stdio *stdio, const struct options *options, bool lifeline, struct failure *why)
{
    *stdio = (struct stdio){.program = {0, 1, 2}, .null = -1, .relay_stdout = -1, .relay_stderr = -1};
    stdio->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (stdio->null < 0)
        return failed(why, STAGE_SETUP, errno, "cannot open /dev/null: %s", strerror(errno));
    if (lifeline || options->port || options->stdin_mode == STDIN_NULL)
        stdio->program[0] = stdio->null;
    if (options->stdout_mode == OUTPUT_NULL)
        stdio->program[1] = stdio->null;
    else if (options->stdout_mode == OUTPUT_RELAY && !relayed(&stdio->program[1], &stdio->relay_stdout, why))
        return false;
    if (options->stderr_mode == OUTPUT_NULL)
        stdio->program[2] = stdio->null;
    else if (options->stderr_mode == OUTPUT_STDOUT) {
        stdio->program[2] = stdio->program[1];
        stdio->stderr_is_stdout = true;
    } else if (options->stderr_mode == OUTPUT_RELAY && !relayed(&stdio->program[2], &stdio->relay_stderr, why))
        return false;
    return true;
}

/* ---- In the child, from here to the next line like this one: no memory is allocated, nothing is printed. ---- */

static bool install_stdio(const struct stdio *stdio)
{
    /* 2 before 1: stderr may go to our own stdout, which 1 is until it is replaced. */
    static const int order[] = {2, 1, 0};

    for (int i = 0; i < 3; i++) {
        int fd = order[i];

        if (stdio->program[fd] != fd && dup2(stdio->program[fd], fd) < 0)
            return false;
    }
    return true;
}

static bool same_name(const char *a, const char *b)
{
    size_t size = strcspn(a, "=");

    return strncmp(a, b, size) == 0 && b[size] == '=';
}

/* Whether one of the --setenv from that on has the same name. */
static bool is_set(const struct options *options, unsigned from, const char *variable)
{
    for (unsigned i = from; i < options->setenv_count; i++)
        if (same_name(options->setenv[i], variable))
            return true;
    return false;
}

/* The PATH that the program gets, as env(1) has it. POSIX leaves the search without one to the system (confstr's
 * _CS_PATH); this is what the C libraries of Linux do. */
static const char *search_path(const struct options *options)
{
    const char *path = getenv("PATH");

    for (unsigned i = 0; i < options->setenv_count; i++)
        if (strncmp(options->setenv[i], "PATH=", 5) == 0)
            path = options->setenv[i] + 5;
    return path ? path : "/bin:/usr/bin";
}

/* The file of that name in the first directory of the path. Returns the rest of the path, NULL after the last. False in
 * *fits when it is too long to be one. */
static const char *next_in_path(const char *path, const char *name, char file[PATH_MAX], bool *fits)
{
    size_t size = strcspn(path, ":");

    *fits = size + 1 + strlen(name) < PATH_MAX;
    if (*fits)
        format(file, PATH_MAX, "%.*s%s%s", (int)size, path, size > 0 ? "/" : "", name);
    return path[size] == ':' ? path + size + 1 : NULL;
}

/* execvp(3), but without its turn to /bin/sh for a file that the kernel doesn't know: garbage is not a script.
 * An EACCES is remembered, because a later directory of PATH may hold the program that was meant. */
static void execute(const struct options *options, char *const environment[])
{
    int denied = ENOENT;

    if (strchr(options->file, '/')) {
        (void)execve(options->file, options->program, environment);
        return;
    }
    for (const char *path = search_path(options); path;) {
        static char file[PATH_MAX]; /* on the stack, which is the relay's, it would stay resident */
        bool fits;

        path = next_in_path(path, options->file, file, &fits);
        if (!fits)
            continue;
        (void)execve(file, options->program, environment);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return;
    }
    errno = denied;
}

static bool leave_our_group(const struct options *options, bool lifeline)
{
    if (child_shares_group(options, lifeline))
        return true;
    return options->port ? setsid() >= 0 : setpgid(0, 0) == 0;
}

/* What the child is to become, and who is to know. */
struct plan {
    const struct options *options;
    const struct identity *identity;
    const struct cgroup *cgroup;
    bool inside; /* the cgroup, by birth */
    const struct stdio *stdio;
    char **environment;
    bool lifeline;
    pid_t parent;
    int verdict_fd;
};

static bool enter(const struct plan *plan)
{
    const struct verdict alive = {.stage = 0};

    return (plan->inside || cgroup_enter(plan->cgroup)) &&
           write(plan->verdict_fd, &alive, sizeof alive) == (ssize_t)sizeof alive;
}

static _Noreturn void become_program(const struct plan *plan)
{
    const struct options *options = plan->options;
    struct verdict verdict = {.stage = STAGE_CGROUP};

    if (plan->cgroup && !enter(plan))
        goto failed;
    verdict.stage = STAGE_SPAWN;
    if (!leave_our_group(options, plan->lifeline) || !install_stdio(plan->stdio))
        goto failed;
    verdict.stage = STAGE_CD;
    if (options->cd && chdir(options->cd) < 0)
        goto failed;
    if (!identity_assume(plan->identity, &verdict.stage))
        goto failed;
    verdict.stage = STAGE_SPAWN;
    errno = ESRCH;
    if (!platform_die_with_parent(plan->parent))
        goto failed;
    signals_reset();
    verdict.stage = STAGE_EXEC;
    execute(options, plan->environment);
failed:
    verdict.error = errno;
    /* Less than PIPE_BUF bytes: written whole. When the parent is gone nobody needs to know. */
    if (write(plan->verdict_fd, &verdict, sizeof verdict) < 0)
        _exit(EXIT_MUONTRAP_FAILED);
    _exit(EXIT_NOT_FOUND);
}

/* ---- In the parent again. ---- */

/* Whether that file, which is relative to --cd, is there. `at` becomes its name as seen from here. */
static bool is_there(const struct options *options, const char *file, char at[PATH_MAX], struct stat *found)
{
    if (file[0] == '/' || !options->cd)
        format(at, PATH_MAX, "%s", file);
    else
        format(at, PATH_MAX, "%s/%s", options->cd, file);
    return stat(at, found) == 0;
}

/* The program's file as execute() looked for it, to tell why it failed. */
static bool locate(const struct options *options, char at[PATH_MAX], struct stat *found)
{
    if (strchr(options->file, '/'))
        return is_there(options, options->file, at, found);
    for (const char *path = search_path(options); path;) {
        char file[PATH_MAX];
        bool fits;

        path = next_in_path(path, options->file, file, &fits);
        if (fits && is_there(options, file, at, found))
            return true;
    }
    return false;
}

static bool exec_failed(const struct options *options, int error, struct failure *why)
{
    const char *program = options->file;
    char file[PATH_MAX];
    struct stat found;
    bool there = locate(options, file, &found);
    const char *path = search_path(options);

    switch (error) {
    case ENOENT:
        if (there)
            return failed(
                why, STAGE_EXEC, error,
                "cannot execute '%s': the file is there, but the interpreter in its first line, or the dynamic "
                "loader that it is linked for, is not",
                file);
        if (strchr(program, '/'))
            return failed(why, STAGE_EXEC, error, "cannot execute '%s': no such file", program);
        return failed(why, STAGE_EXEC, error, "cannot execute '%s': not found in any directory of PATH (%.*s)", program,
                      400, path);
    case EACCES:
        if (there && S_ISDIR(found.st_mode))
            return failed(why, STAGE_EXEC, error, "cannot execute '%s': it is a directory", file);
        return failed(
            why, STAGE_EXEC, error,
            "cannot execute '%s': permission denied (ls -l shows its mode, and chmod +x makes it executable; the "
            "directories above it must be searchable, the file system not mounted noexec)",
            there ? file : program);
    case ENOEXEC:
        return failed(why, STAGE_EXEC, error,
                      "cannot execute '%s': the kernel doesn't know its format (a script needs a first line like "
                      "#!/bin/sh; a binary must be whole and built for this machine)",
                      there ? file : program);
    case E2BIG:
        return failed(why, STAGE_EXEC, error,
                      "cannot execute '%s': its arguments and environment are larger than the kernel takes (getconf "
                      "ARG_MAX; 128 KiB for a single argument)",
                      program);
    default:
        return failed(why, STAGE_EXEC, error, "cannot execute '%s': %s", there ? file : program, strerror(error));
    }
}

static bool explain(const struct options *options, const struct identity *identity, const struct cgroup *cgroup,
                    const struct verdict *verdict, struct failure *why)
{
    const char *words = strerror(verdict->error);

    switch (verdict->stage) {
    case STAGE_CGROUP:
        return cgroup_explain(cgroup, verdict->error, why);
    case STAGE_EXEC:
        return exec_failed(options, verdict->error, why);
    case STAGE_CD:
        return failed(why, STAGE_CD, verdict->error, "cannot change to the directory '%s': %s", options->cd, words);
    case STAGE_GROUPS:
        return failed(why, STAGE_GROUPS, verdict->error,
                      "cannot set %lu supplementary groups: %s (this takes root or CAP_SETGID)",
                      (unsigned long)identity->group_count, words);
    case STAGE_GID:
        return failed(why, STAGE_GID, verdict->error, "cannot become group %lu: %s (this takes root or CAP_SETGID)",
                      (unsigned long)identity->gid, words);
    case STAGE_UID:
        return failed(why, STAGE_UID, verdict->error, "cannot become user %lu: %s (this takes root or CAP_SETUID)",
                      (unsigned long)identity->uid, words);
    default:
        return failed(why, STAGE_SPAWN, verdict->error, "cannot prepare the new process for '%s': %s", options->file,
                      words);
    }
}

enum judgement { RUNS, FAILED, DIED };

static bool hear(int verdict_fd, struct verdict *verdict)
{
    ssize_t size;

    do {
        size = read(verdict_fd, verdict, sizeof *verdict);
    } while (size < 0 && errno == EINTR);
    if (size > 0 && size != (ssize_t)sizeof *verdict)
        *verdict = (struct verdict){.stage = STAGE_SPAWN, .error = EIO};
    return size != 0;
}

/* The pipe is closed by exec, so end-of-file on it means that the program runs; but for a child that was to say first
 * that it is alive. */
static enum judgement judge(const struct plan *plan, pid_t pid, int verdict_fd, struct verdict *verdict)
{
    enum judgement judgement;

    if (plan->cgroup && !hear(verdict_fd, verdict))
        judgement = DIED;
    else if (plan->cgroup && verdict->stage != 0)
        judgement = FAILED;
    else
        judgement = hear(verdict_fd, verdict) ? FAILED : RUNS;
    while (judgement != RUNS && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return judgement;
}

/* Ours, but for what --setenv says, the last of each name. NULL with the failure filled.
 * Not inlined, for a vfork(2) in the same function would have its variables in question. */
__attribute__((noinline)) static char **environment_for(const struct options *options, struct failure *why)
{
    size_t count = options->setenv_count + 1;
    char **environment;

    if (options->setenv_count == 0)
        return environ;
    for (char **variable = environ; *variable; variable++)
        count++;
    environment = mmap(NULL, count * sizeof *environment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (environment == MAP_FAILED) {
        failed(why, STAGE_SETUP, errno, "cannot get memory for %lu environment variables: %s", (unsigned long)count,
               strerror(errno));
        return NULL;
    }
    count = 0;
    for (char **variable = environ; *variable; variable++)
        if (!is_set(options, 0, *variable))
            environment[count++] = *variable;
    for (unsigned i = 0; i < options->setenv_count; i++)
        if (!is_set(options, i + 1, options->setenv[i]))
            environment[count++] = (char *)(uintptr_t)options->setenv[i]; /* execve(2) doesn't write to it */
    return environment;
}

static pid_t fork_program(struct plan *plan)
{
    pid_t pid;

    if (plan->cgroup)
        pid = cgroup_fork(plan->cgroup, &plan->inside);
    else
        pid = platform_fork_to_exec();
    /* POSIX allows a child of vfork(2) next to nothing; platform.h says what the systems do where it is used. */
    if (pid == 0)
        become_program(plan); /* NOLINT */
    return pid;
}

static bool cannot_fork(const struct plan *plan, int error, struct failure *why)
{
    if (plan->cgroup && error != EAGAIN && error != ENOMEM)
        return cgroup_explain(plan->cgroup, error, why);
    return failed(why, STAGE_SPAWN, error,
                  "cannot make a process for '%s': %s (ulimit -u and the pids controller limit processes)",
                  plan->options->file, strerror(error));
}

static bool died(const struct plan *plan, struct failure *why)
{
    return failed(why, STAGE_SPAWN, 0,
                  "the new process for '%s' was killed before it could become the program (dmesg tells whether the "
                  "kernel's OOM killer struck)",
                  plan->options->file);
}

static enum judgement start_once(struct child *child, struct plan *plan, struct failure *why)
{
    enum judgement judgement = FAILED;
    struct verdict verdict;
    int ends[2];
    int error;

    if (!io_pipe(ends)) {
        failed(why, STAGE_SETUP, errno, "cannot make a pipe: %s (raise ulimit -n)", strerror(errno));
        return FAILED;
    }
    plan->verdict_fd = ends[1];
    child->pid = fork_program(plan);
    error = errno;
    io_close(&ends[1]);
    if (child->pid < 0)
        (void)cannot_fork(plan, error, why);
    else if ((judgement = judge(plan, child->pid, ends[0], &verdict)) == FAILED)
        (void)explain(plan->options, plan->identity, plan->cgroup, &verdict, why);
    else if (judgement == DIED)
        (void)died(plan, why);
    io_close(&ends[0]);
    return judgement;
}

static bool start(struct child *child, struct plan *plan, struct failure *why)
{
    enum judgement judgement;

    plan->environment = environment_for(plan->options, why);
    if (!plan->environment)
        return false;
    plan->parent = getpid();
    plan->inside = true;
    judgement = start_once(child, plan, why);
    if (judgement == DIED && plan->inside) {
        plan->inside = false;
        judgement = start_once(child, plan, why);
    }
    return judgement == RUNS;
}

bool child_shares_group(const struct options *options, bool lifeline)
{
    return !options->port &&
           (platform_has_children || (!lifeline && options->stdin_mode != STDIN_NULL && isatty(STDIN_FILENO)));
}

bool child_spawn(struct child *child, const struct options *options, const struct identity *identity,
                 const struct cgroup *cgroup, bool lifeline, struct failure *why)
{
    struct stdio stdio;
    struct plan plan = {.options = options,
                        .identity = identity,
                        .cgroup = cgroup,
                        .stdio = &stdio,
                        .lifeline = lifeline};
    bool started = stdio_open(&stdio, options, lifeline, why) && start(child, &plan, why);

    stdio_close(&stdio);
    child->stdout_fd = stdio.relay_stdout;
    child->stderr_fd = stdio.relay_stderr;
    return started;
}

int child_exit_status_of(const struct failure *why)
{
    if (why->stage != STAGE_EXEC)
        return EXIT_MUONTRAP_FAILED;
    return why->error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
