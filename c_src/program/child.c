/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* environ, MAP_ANONYMOUS */
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
#include "base/rare.h"
#include "base/signals.h"
#include "launch.h"
#include "program/attributes.h"

/* A new process tells a child_message over the verdict pipe: that it is alive, where that isn't a matter of course, and
 * why it could not become the program. */

/* ---- In the child, from here to the next line like this one: no memory is allocated, nothing is printed. ---- */

/* Whether one of the --setenv from that on, or of what --uid sets or unsets, has the same name. */
static bool is_set(const struct options *options, unsigned from, const char *variable)
{
    for (unsigned i = from; i < options->setenv_count; i++)
        if (options_same_variable(options->setenv[i], variable))
            return true;
    return false;
}

/* The PATH that the program gets, as env(1) has it. POSIX leaves the search without one to the system (confstr's
 * _CS_PATH); this is what the C libraries of Linux do. */
static const char *search_path(const struct options *options)
{
    const char *path = options->clears_env ? NULL : getenv("PATH");

    for (unsigned i = 0; i < options->setenv_count; i++)
        if (options_same_variable(options->setenv[i], "PATH"))
            path = options->setenv[i][4] == '=' ? options->setenv[i] + 5 : NULL;
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

/* Whether System.cmd/3 would have taken that file for the program. */
RARE static bool looks_executable(const char *file)
{
    struct stat found;

    return stat(file, &found) == 0 && S_ISREG(found.st_mode) && (found.st_mode & 0111) != 0;
}

/* To be told so by stat(2) takes a third of the time that execve(2) takes for it, and PATH may have a dozen
 * directories. */
static bool is_absent(const char *file)
{
    struct stat found;

    return stat(file, &found) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* An EACCES is remembered, because a later directory of PATH may hold the program that was meant. This is a function of
 * its own because the new process gets a copy of each page of the stack that it touches, and many launches give a
 * path.
 *
 * In a port the search is that of System.cmd/3: what looks like the program is it, and its path is argv[0], as with
 * erlang:open_port/2's spawn_executable. From a shell it is POSIX's (exec(3p)), which goes on and gives the name. */
static void execute_from_path(const struct options *options, char *const environment[])
{
    int denied = ENOENT;

    for (const char *path = search_path(options); path;) {
        char file[PATH_MAX];
        bool fits;
        int error;

        path = next_in_path(path, options->file, file, &fits);
        if (!fits || is_absent(file))
            continue;
        if (options->port && !options->arg0)
            options->program[0] = file;
        (void)execve(file, options->program, environment);
        error = errno;
        if (error == EACCES)
            denied = EACCES;
        if ((error != EACCES && error != ENOENT && error != ENOTDIR) || (options->port && looks_executable(file))) {
            errno = error;
            return;
        }
    }
    errno = denied;
}

/* execvp(3), but without its turn to /bin/sh for a file that the kernel doesn't know: garbage is not a script. */
static void execute(const struct options *options, char *const environment[])
{
    if (strchr(options->file, '/'))
        (void)execve(options->file, options->program, environment);
    else
        execute_from_path(options, environment);
}

static bool leads_session(const struct launch *launch)
{
    return !child_shares_group(launch) && (launch->options.port || launch->options.pty);
}

static bool leave_our_group(const struct launch *launch)
{
    if (child_shares_group(launch))
        return true;
    return leads_session(launch) ? setsid() >= 0 : setpgid(0, 0) == 0;
}

static bool enter_cgroup(const struct launch *launch, int verdict_fd)
{
    const struct child_message alive = {.stage = 0};

    return (launch->child.born_inside || cgroup_enter(launch->cgroup)) &&
           write(verdict_fd, &alive, sizeof alive) == (ssize_t)sizeof alive;
}

/* To open a file may take for ever, as with a FIFO that has no other end. That comes before the identity is changed, by
 * which this is forgotten (prctl(2), PR_SET_PDEATHSIG). */
static bool dies_with_us_while_it_opens_files(const struct options *options, pid_t parent)
{
    if (options->stdin_mode != STDIN_FILE && options->stdout_mode != OUTPUT_FILE && options->stderr_mode != OUTPUT_FILE)
        return true;
    errno = ESRCH;
    return platform_die_with_parent(parent);
}

static bool decide(atomic_int *decision, enum decision what)
{
    int undecided = UNDECIDED;

    return !decision || atomic_compare_exchange_strong(decision, &undecided, (int)what);
}

static _Noreturn void become_program(struct launch *launch, pid_t parent, int verdict_fd)
{
    const struct options *options = &launch->options;
    struct child_message message = {.stage = STAGE_CGROUP};

    if (launch->cgroup && !enter_cgroup(launch, verdict_fd))
        goto failed;
    message.stage = STAGE_SPAWN;
    if (!dies_with_us_while_it_opens_files(options, parent))
        goto failed;
    if (options->attributes.any)
        attributes_assume_umask(&options->attributes);
    if (!leave_our_group(launch) || !stdio_install(&launch->child.stdio, options, &message.stage))
        goto failed;
    message.stage = STAGE_CD;
    if (options->cd && chdir(options->cd) < 0)
        goto failed;
    if (options->attributes.any &&
        !attributes_assume(&options->attributes, leads_session(launch), &message.stage, &message.which))
        goto failed;
    if (!identity_assume(&launch->identity, &message.stage))
        goto failed;
    message.stage = STAGE_NO_NEW_PRIVS;
    if (options->attributes.any && !attributes_forgo_privileges(&options->attributes))
        goto failed;
    message.stage = STAGE_SPAWN;
    if (launch->lock > 0 && fcntl(launch->lock, F_SETFD, 0) < 0)
        goto failed;
    errno = ESRCH;
    if (!platform_die_with_parent(parent))
        goto failed;
    signals_leave_to_program();
    message.stage = STAGE_EXEC;
    if (!decide(launch->child.decision, EXECUTES))
        _exit(EXIT_MUONTRAP_FAILED); /* as if it had been killed already, which comes next */
    execute(options, launch->child.environment ? launch->child.environment : environ);
failed:
    message.error = errno;
    /* Less than PIPE_BUF bytes: written whole. When the parent is gone nobody needs to know. */
    if (write(verdict_fd, &message, sizeof message) < 0)
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

#define IDENTITY_TAKES                                                                                                 \
    "another user or group takes root, or CAP_SETUID, CAP_SETGID and CAP_KILL: muontrap --check says how"

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
                      "cannot execute '%s': its arguments and environment are larger than the kernel takes (a quarter "
                      "of the limit stack, as getconf ARG_MAX says; 128 KiB for a single argument)",
                      program);
    default:
        return failed(why, STAGE_EXEC, error, "cannot execute '%s': %s", there ? file : program, strerror(error));
    }
}

RARE static bool explain(const struct launch *launch, const struct child_message *message, struct failure *why)
{
    const struct options *options = &launch->options;
    const struct identity *identity = &launch->identity;
    const char *words = strerror(message->error);

    switch (message->stage) {
    case STAGE_CGROUP:
        return cgroup_explain(launch->cgroup, message->error, why);
    case STAGE_EXEC:
        return exec_failed(options, message->error, why);
    case STAGE_TERMINAL:
        return failed(why, STAGE_TERMINAL, message->error,
                      "cannot make a pseudo-terminal the controlling terminal of '%s': %s", options->file, words);
    case STAGE_STDIN:
        return failed(why, STAGE_STDIN, message->error, "cannot open '%s' as standard input: %s", options->stdin_file,
                      words);
    case STAGE_STDOUT:
    case STAGE_STDERR:
        if (message->error == STDIO_IS_STDIN)
            words = "it is standard input as well, and would be emptied before it is read (write to another file, and "
                    "rename that one afterwards)";
        return failed(why, message->stage, message->error, "cannot open '%s' as standard %s: %s",
                      message->stage == STAGE_STDOUT ? options->stdout_file.path : options->stderr_file.path,
                      message->stage == STAGE_STDOUT ? "output" : "error", words);
    case STAGE_CD:
        return failed(why, STAGE_CD, message->error, "cannot change to the directory '%s': %s", options->cd, words);
    case STAGE_GROUPS:
        return failed(why, STAGE_GROUPS, message->error, "cannot set %lu supplementary groups: %s (" IDENTITY_TAKES ")",
                      (unsigned long)identity->group_count, words);
    case STAGE_GID:
        return failed(why, STAGE_GID, message->error, "cannot become group %lu: %s (" IDENTITY_TAKES ")",
                      (unsigned long)identity->gid, words);
    case STAGE_UID:
        if (message->error == EDQUOT)
            return failed(
                why, STAGE_UID, EDQUOT,
                "cannot give a program of user %lu a session keyring of its own: %s (it is one of so many keys "
                "as that user may have: raise kernel.keys.maxkeys, or have fewer such programs at a time)",
                (unsigned long)identity->uid, words);
        return failed(why, STAGE_UID, message->error, "cannot become user %lu: %s (" IDENTITY_TAKES ")",
                      (unsigned long)identity->uid, words);
    case STAGE_RLIMIT:
    case STAGE_NICE:
    case STAGE_CPUS:
    case STAGE_OOM_SCORE_ADJ:
    case STAGE_NO_NEW_PRIVS:
        return attributes_explain(&options->attributes, message->stage, message->which, message->error, why);
    default:
        return failed(why, STAGE_SPAWN, message->error, "cannot prepare the new process for '%s': %s", options->file,
                      words);
    }
}

/* Ours, unless it is to be empty, but for what --setenv and --uid say; of each name the last counts. */
static bool make_environment(struct child *child, const struct options *options, struct failure *why)
{
    size_t count = options->setenv_count + 1;
    void *memory;

    for (char **variable = environ; *variable; variable++)
        count++;
    memory = mmap(NULL, count * sizeof *environ, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return failed(why, STAGE_SETUP, errno, "cannot get memory for %lu environment variables: %s",
                      (unsigned long)count, strerror(errno));
    child->environment = memory;
    child->environment_size = count * sizeof *environ;
    count = 0;
    for (char **variable = environ; *variable && !options->clears_env; variable++)
        if (!is_set(options, 0, *variable))
            child->environment[count++] = *variable;
    for (unsigned i = 0; i < options->setenv_count; i++)
        if (strchr(options->setenv[i], '=') && !is_set(options, i + 1, options->setenv[i]))
            child->environment[count++] = (char *)(uintptr_t)options->setenv[i]; /* execve(2) doesn't write to it */
    return true;
}

static bool cannot_fork(const struct launch *launch, int error, struct failure *why)
{
    if (launch->cgroup && error != EAGAIN && error != ENOMEM)
        return cgroup_explain(launch->cgroup, error, why);
    return failed(why, STAGE_SPAWN, error,
                  "cannot make a process for '%s': %s (ulimit -u and the pids controller limit processes)",
                  launch->options.file, strerror(error));
}

/* fork(2) and not vfork(2), which would hold up this process until the new one executes the program. */
static bool make_process(struct launch *launch, struct failure *why)
{
    struct child *child = &launch->child;
    pid_t parent = getpid();
    int error;
    int ends[2];

    if (!io_pipe(ends) || !io_nonblocking(ends[0]))
        return failed(why, STAGE_SETUP, errno, "cannot make a pipe: %s (raise ulimit -n)", strerror(errno));
    child->pid = launch->cgroup ? cgroup_fork(launch->cgroup, &child->born_inside) : fork();
    if (child->pid == 0)
        become_program(launch, parent, ends[1]);
    error = errno;
    io_close(&ends[1]);
    child->verdict_fd = ends[0];
    return child->pid > 0 || cannot_fork(launch, error, why);
}

bool child_start(struct launch *launch, atomic_int *decision, struct failure *why)
{
    struct child *child = &launch->child;

    *child = (struct child){.verdict_fd = -1, .born_inside = true, .decision = decision};
    atomic_store(decision, UNDECIDED);
    if (stdio_open(&child->stdio, launch, why) &&
        ((launch->options.setenv_count == 0 && !launch->options.clears_env) ||
         make_environment(child, &launch->options, why)) &&
        make_process(launch, why))
        return true;
    child_started(child);
    return false;
}

bool child_cancel(const struct child *child)
{
    return decide(child->decision, CANCELLED);
}

/* Becomes the stop command, or returns with the message saying why not. */
RARE static void become_stop_command(struct launch *launch, pid_t parent, struct child_message *message)
{
    static char variable[32];
    struct options *options = &launch->options;
    struct failure why;
    int null;

    platform_calm();
    format(variable, sizeof variable, "CHILD_PID=%ld", (long)tree_program(&launch->tree));
    options->setenv[options->setenv_count++] = variable;
    options->file = options->stop_command[0];
    options->program = options->stop_command;
    options->arg0 = options->file; /* and not its path */
    message->stage = STAGE_CGROUP;
    if (launch->cgroup && !cgroup_enter(launch->cgroup))
        return;
    message->stage = STAGE_SPAWN;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || setsid() < 0 || dup2(null, 0) < 0 || dup2(STDERR_FILENO, 1) < 0)
        return;
    message->stage = STAGE_CD;
    if (options->cd && chdir(options->cd) < 0)
        return;
    attributes_assume_umask(&options->attributes);
    if (!attributes_assume(&options->attributes, true, &message->stage, &message->which) ||
        !identity_assume(&launch->identity, &message->stage))
        return;
    message->stage = STAGE_NO_NEW_PRIVS;
    if (!attributes_forgo_privileges(&options->attributes))
        return;
    message->stage = STAGE_SPAWN;
    if (!make_environment(&launch->child, options, &why))
        return;
    errno = ESRCH;
    if (!platform_die_with_parent(parent))
        return;
    signals_leave_to_program();
    message->stage = STAGE_EXEC;
    execute(options, launch->child.environment);
}

pid_t child_run_stop_command(struct launch *launch, struct child_message *message)
{
    pid_t parent = getpid();
    pid_t child;

    *message = (struct child_message){.stage = 0};
    child = fork();
    if (child == 0) {
        struct child_message failure = {.stage = 0};

        become_stop_command(launch, parent, &failure);
        failure.error = errno;
        *message = failure;
        _exit(EXIT_NOT_FOUND);
    }
    return child;
}

void child_explain_stop_command(struct launch *launch, const struct child_message *message, struct failure *why)
{
    const char *program = launch->options.file;

    launch->options.file = launch->options.stop_command[0];
    (void)explain(launch, message, why);
    launch->options.file = program;
}

void child_close_inherited(const struct launch *launch)
{
    if (!launch->options.port)
        platform_close_inherited();
}

void child_started(struct child *child)
{
    stdio_close(&child->stdio);
    io_close(&child->verdict_fd);
    if (child->environment)
        (void)munmap(child->environment, child->environment_size);
    child->environment = NULL;
}

/* The process has ended before it could say that it lives. Some kernels kill one at once that is born in a cgroup
 * (cgroup.h), and then a second one, which enters the cgroup by itself, may do better. */
RARE static enum verdict died(struct launch *launch, struct failure *why)
{
    struct child *child = &launch->child;

    if (child->born_inside) {
        while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        io_close(&child->verdict_fd);
        child->born_inside = false;
        return make_process(launch, why) ? VERDICT_PENDING : VERDICT_FAILED;
    }
    failed(why, STAGE_SPAWN, 0,
           "the new process for '%s' was killed before it could become the program (dmesg tells whether the kernel's "
           "OOM killer struck)",
           launch->options.file);
    return VERDICT_FAILED;
}

/* The pipe is closed by exec, so end-of-file on it means that the program runs; but for a process that was to say first
 * that it is alive. */
enum verdict child_verdict(struct launch *launch, struct failure *why)
{
    struct child *child = &launch->child;
    struct child_message message;
    ssize_t size = read(child->verdict_fd, &message, sizeof message);

    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return VERDICT_PENDING;
    if (size == 0)
        return !launch->cgroup || child->is_alive ? VERDICT_RUNS : died(launch, why);
    if (size != (ssize_t)sizeof message)
        message = (struct child_message){.stage = STAGE_SPAWN, .error = EIO};
    if (message.stage != 0) {
        (void)explain(launch, &message, why);
        return VERDICT_FAILED;
    }
    child->is_alive = true;
    return VERDICT_PENDING;
}

bool child_shares_group(const struct launch *launch)
{
    return !launch->options.port && !launch->options.pty &&
           (platform_has_children || (!launch->null_stdin && isatty(STDIN_FILENO)));
}

int child_exit_status_of_cancelled(const struct options *options)
{
    return 128 + options->steps[0].signal;
}

int child_exit_status_of(const struct failure *why)
{
    if (why->stage != STAGE_EXEC)
        return EXIT_MUONTRAP_FAILED;
    return why->error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
