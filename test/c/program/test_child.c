/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/signals.h"
#include "launch.h"
#include "program/child.h"

static struct failure why;
static struct launch launch;
static struct child *const child = &launch.child;

/* ---- System calls that fail on demand: 0, or the errno ---- */

static int fork_error, pipe_error, setsid_error, dup2_error, prctl_error, open_error;
static int setgroups_error, setgid_error, setuid_error;
static unsigned pipes_before_error; /* so many succeed first */

#define FAILS(error)                                                                                                   \
    if (error) {                                                                                                       \
        errno = error;                                                                                                 \
        return -1;                                                                                                     \
    }

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
    FAILS(fork_error)
    return __real_fork();
}

int __real_pipe(int ends[2]);
int __wrap_pipe(int ends[2]);
int __wrap_pipe(int ends[2])
{
    if (pipe_error && pipes_before_error-- == 0) {
        errno = pipe_error;
        return -1;
    }
    return __real_pipe(ends);
}

pid_t __real_setsid(void);
pid_t __wrap_setsid(void);
pid_t __wrap_setsid(void)
{
    FAILS(setsid_error)
    return __real_setsid();
}

int __real_dup2(int from, int to);
int __wrap_dup2(int from, int to);
int __wrap_dup2(int from, int to)
{
    FAILS(dup2_error)
    return __real_dup2(from, to);
}

int __real_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int __wrap_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    FAILS(prctl_error)
    return __real_prctl(option, a, b, c, d);
}

int __real_platform_setgroups(size_t count, const gid_t *groups);
int __wrap_platform_setgroups(size_t count, const gid_t *groups);
int __wrap_platform_setgroups(size_t count, const gid_t *groups)
{
    FAILS(setgroups_error)
    return __real_platform_setgroups(count, groups);
}

int __real_platform_setgid(gid_t gid);
int __wrap_platform_setgid(gid_t gid);
int __wrap_platform_setgid(gid_t gid)
{
    FAILS(setgid_error)
    return __real_platform_setgid(gid);
}

int __real_platform_setuid(uid_t uid);
int __wrap_platform_setuid(uid_t uid);
int __wrap_platform_setuid(uid_t uid)
{
    FAILS(setuid_error)
    return __real_platform_setuid(uid);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode)
{
    FAILS(open_error)
    return __real_open(path, flags, mode);
}

static int openpt_error, unlockpt_error, control_error, size_error, duplicate_error;

int __real_posix_openpt(int flags);
int __wrap_posix_openpt(int flags);
int __wrap_posix_openpt(int flags)
{
    FAILS(openpt_error)
    return __real_posix_openpt(flags);
}

int __real_unlockpt(int fd);
int __wrap_unlockpt(int fd);
int __wrap_unlockpt(int fd)
{
    FAILS(unlockpt_error)
    return __real_unlockpt(fd);
}

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument)
{
    if (request == TIOCSCTTY)
        FAILS(control_error)
    if (request == TIOCSWINSZ)
        FAILS(size_error)
    return __real_ioctl(fd, request, argument);
}

int __real_fcntl(int fd, int command, long argument);
int __wrap_fcntl(int fd, int command, long argument);
int __wrap_fcntl(int fd, int command, long argument)
{
    if (command == F_DUPFD_CLOEXEC)
        FAILS(duplicate_error)
    return __real_fcntl(fd, command, argument);
}

/* ---- */

static struct options relayed_options(char *program[])
{
    struct options options = {.port = true, .program = program, .file = program[0]};

    options.stdout_mode = OUTPUT_RELAY;
    options.stderr_mode = OUTPUT_RELAY;
    return options;
}
#define PROGRAM(...) ((char *[]){__VA_ARGS__, NULL})
#define OPTIONS(...) relayed_options(PROGRAM(__VA_ARGS__))

/* In memory that the new process has, too. */
static atomic_int *shared_decision(void)
{
    static atomic_int *decision;

    if (!decision) {
        decision = mmap(NULL, sizeof *decision, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(decision, MAP_FAILED);
    }
    return decision;
}

/* Starts it and waits for the verdict. */
static bool spawns_as(const struct options *options, const struct identity *identity)
{
    enum verdict verdict = VERDICT_PENDING;

    memset(&why, 0, sizeof why);
    launch = (struct launch){.options = *options, .identity = *identity, .null_stdin = true};
    if (!child_start(&launch, shared_decision(), &why))
        return false;
    while (verdict == VERDICT_PENDING) {
        await_readable(child->verdict_fd);
        verdict = child_verdict(&launch, &why);
    }
    child_started(child);
    if (verdict == VERDICT_FAILED)
        assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    return verdict == VERDICT_RUNS;
}

static bool spawns(const struct options *options)
{
    static const struct identity same;

    return spawns_as(options, &same);
}

static void close_child(void)
{
    stdio_abandon(&child->stdio);
}

/* Whether there is no child, as after every failure. */
static void assert_failed(enum stage stage, int error, const char *words)
{
    assert_int_equal(why.stage, stage);
    assert_int_equal(why.error, error);
    if (!strstr(why.words, words))
        fail_msg("'%s' doesn't say '%s'", why.words, words);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    close_child();
}

/* What the program prints, and then its exit status. */
static int output_of(const struct options *options, char *text, size_t size)
{
    int status;

    if (!spawns(options))
        fail_msg("not started: %s", why.words);
    (void)io_nonblocking(child->stdio.relay_stdout);
    (void)read_text(child->stdio.relay_stdout, text, size);
    child->stdio.relay_stdout = -1;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close_child();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_program_is_executed_with_its_arguments(void **state)
{
    struct options options = OPTIONS("sh", "-c", "echo \"$0|$1|$2\"; exit 3", "zero", "one two", "");
    char text[100];

    (void)state;
    assert_int_equal(output_of(&options, text, sizeof text), 3);
    assert_string_equal(text, "zero|one two|\n");
}

static void stderr_has_a_pipe_of_its_own(void **state)
{
    struct options options = OPTIONS("sh", "-c", "echo no >&2");
    char text[100];

    (void)state;
    assert_true(spawns(&options));
    (void)read_text(child->stdio.relay_stderr, text, sizeof text);
    child->stdio.relay_stderr = -1;
    assert_string_equal(text, "no\n");
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    close_child();
}

static void stderr_can_go_where_stdout_goes(void **state)
{
    struct options options = OPTIONS("sh", "-c", "echo 1; echo 2 >&2; echo 3");
    char text[100];

    (void)state;
    options.stderr_mode = OUTPUT_STDOUT;
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "1\n2\n3\n");
}

static void output_can_go_nowhere(void **state)
{
    struct options options = OPTIONS("sh", "-c", "exec 3>&1; readlink /proc/self/fd/3 /proc/self/fd/0 >&2");
    char text[100];

    (void)state;
    options.stdout_mode = OUTPUT_NULL;
    assert_true(spawns(&options));
    assert_int_equal(child->stdio.relay_stdout, -1);
    (void)read_text(child->stdio.relay_stderr, text, sizeof text);
    child->stdio.relay_stderr = -1;
    assert_string_equal(text, "/dev/null\n/dev/null\n");
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    options.stderr_mode = OUTPUT_NULL;
    assert_true(spawns(&options));
    assert_int_equal(child->stdio.relay_stderr, -1);
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}

static void the_program_has_descriptors_0_1_and_2_only(void **state)
{
    struct options options = OPTIONS((char *)(uintptr_t)trouble_path(), "descriptors");
    char text[200];

    (void)state;
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "0\n1\n2\n");
}

/* Many programs can't deal with EAGAIN. Our ends are non-blocking, its are not. */
static void the_program_s_descriptors_block(void **state)
{
    struct options options = OPTIONS((char *)(uintptr_t)trouble_path(), "flags");
    char text[200];

    (void)state;
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "0\n0\n0\n");
}

static unsigned long mask_in(const char *status, const char *name)
{
    const char *at = strstr(status, name);

    assert_non_null(at);
    return strtoul(at + strlen(name), NULL, 16);
}

static void no_signal_is_blocked_ignored_or_pending_in_the_program(void **state)
{
    struct options options = OPTIONS("cat", "/proc/self/status");
    static char text[8192];
    /* 32 and 33 are the C library's own: it lets nobody touch them. */
    const unsigned long own = 3ul << 31;

    (void)state;
    signals_block(&launch.kept_signals, false); /* as the helper does; SIGPIPE and more are ignored then */
    assert_true(signals_open(&launch.kept_signals, &why) >= 0);
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    signals_reset();
    assert_int_equal(mask_in(text, "\nSigBlk:"), 0);
    assert_int_equal(mask_in(text, "\nSigPnd:"), 0);
    assert_int_equal(mask_in(text, "\nShdPnd:"), 0);
    assert_int_equal(mask_in(text, "\nSigIgn:") & ~own, 0);
    assert_int_equal(mask_in(text, "\nSigCgt:"), 0);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void in_a_port_the_program_leads_a_session(void **state)
{
    struct options options = OPTIONS("cat", "/proc/self/stat");
    char text[1000];
    long pid;
    long group;
    long session;

    (void)state;
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_int_equal(sscanf(strrchr(text, ')'), ") %*c %*d %ld %ld", &group, &session), 2);
    pid = strtol(text, NULL, 10);
    assert_int_equal(group, pid);
    assert_int_equal(session, pid);
}

static void from_a_shell_the_program_stays_in_the_job(void **state)
{
    struct options options = OPTIONS("cat", "/proc/self/stat");
    char text[1000];
    long group;
    long session;

    (void)state;
    options.port = false;
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_int_equal(sscanf(strrchr(text, ')'), ") %*c %*d %ld %ld", &group, &session), 2);
    /* Where its group is all that contains it, it has one of its own unless it is to read from the terminal. */
    assert_int_equal(group == getpgrp(), !IS_PORTABLE || isatty(STDIN_FILENO));
    assert_int_equal(session, getsid(0));
}

static void the_directory_is_changed(void **state)
{
    struct options options = OPTIONS("pwd");
    char text[1000];

    (void)state;
    options.cd = "/usr";
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "/usr\n");
}

static void a_relative_program_is_relative_to_the_new_directory(void **state)
{
    struct options options = OPTIONS("./here");
    char text[1000];

    (void)state;
    (void)own_file("here", "#!/bin/sh\necho there\n", 0755);
    options.cd = own_directory();
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "there\n");
}

static void a_directory_that_is_not_there_is_named(void **state)
{
    struct options options = OPTIONS("true");

    (void)state;
    options.cd = "/no/such/directory";
    assert_false(spawns(&options));
    assert_failed(STAGE_CD, ENOENT, "'/no/such/directory'");
    assert_int_equal(child_exit_status_of(&why), 125);
    options.cd = "/dev/null";
    assert_false(spawns(&options));
    assert_failed(STAGE_CD, ENOTDIR, "'/dev/null'");
}

static void the_name_it_sees_can_be_another(void **state)
{
    struct options options = OPTIONS("sh", "-c", "tr '\\0' ' ' </proc/$$/cmdline");
    char text[1000];

    (void)state;
    options.arg0 = "another"; /* as options_parse() does for --arg0, and: */
    options.program[0] = (char *)"another";
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_memory_equal(text, "another -c ", 11);
}

static void the_name_it_sees_is_its_path_in_a_port_and_its_name_from_a_shell(void **state)
{
    char text[1000];

    (void)state;
    for (int port = 0; port <= 1; port++) {
        struct options options = OPTIONS("sh", "-c", "tr '\\0' ' ' </proc/$$/cmdline");

        options.port = port != 0;
        assert_int_equal(output_of(&options, text, sizeof text), 0);
        assert_int_equal(text[0] == '/', port);
        assert_non_null(strstr(text, "sh -c "));
    }
}

static void variables_are_set_in_its_environment(void **state)
{
    struct options options = OPTIONS("sh", "-c", "echo \"$TEST_A|$TEST_B\"");
    char text[100];

    (void)state;
    options.setenv[options.setenv_count++] = "TEST_A=1";
    options.setenv[options.setenv_count++] = "TEST_B=x=y";
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "1|x=y\n");
    assert_null(getenv("TEST_A"));
}

static void a_variable_that_is_set_replaces_the_one_inherited(void **state)
{
    struct options options = OPTIONS("printenv", "TEST_A");
    char text[100];

    (void)state;
    assert_int_equal(setenv("TEST_A", "0", 1), 0);
    options.setenv[options.setenv_count++] = "TEST_A=1";
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_int_equal(unsetenv("TEST_A"), 0);
    assert_string_equal(text, "1\n");
}

static void of_two_variables_of_one_name_the_last_counts(void **state)
{
    struct options options = OPTIONS("printenv", "TEST_A");
    char text[100];

    (void)state;
    options.setenv[options.setenv_count++] = "TEST_A=1";
    options.setenv[options.setenv_count++] = "TEST_A=2";
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "2\n");
}

static void a_variable_does_not_replace_one_whose_name_it_begins(void **state)
{
    struct options options = OPTIONS("printenv", "TEST_AB");
    char text[100];

    (void)state;
    assert_int_equal(setenv("TEST_AB", "0", 1), 0);
    options.setenv[options.setenv_count++] = "TEST_A=1";
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_int_equal(unsetenv("TEST_AB"), 0);
    assert_string_equal(text, "0\n");
}

/* ---- What can't be executed ---- */

static void a_program_that_is_not_there_is_not_found(void **state)
{
    struct options options = OPTIONS("/no/such/program");

    (void)state;
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, ENOENT, "'/no/such/program': no such file");
    assert_int_equal(child_exit_status_of(&why), 127);
}

static void a_program_without_permission_is_not_executable(void **state)
{
    struct options options = OPTIONS((char *)(uintptr_t)own_file("plain", "#!/bin/sh\n", 0644));

    (void)state;
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, EACCES, "chmod +x");
    assert_int_equal(child_exit_status_of(&why), 126);
}

static void a_directory_is_not_executable(void **state)
{
    struct options options = OPTIONS("/usr");

    (void)state;
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, EACCES, "it is a directory");
    assert_int_equal(child_exit_status_of(&why), 126);
}

static void garbage_is_not_executable_and_no_script(void **state)
{
    struct options options = OPTIONS((char *)(uintptr_t)own_file("garbage", "echo hi\n", 0755));

    (void)state;
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, ENOEXEC, "#!/bin/sh");
    assert_int_equal(child_exit_status_of(&why), 126);
}

static void a_missing_interpreter_is_told_from_a_missing_program(void **state)
{
    struct options options = OPTIONS((char *)(uintptr_t)own_file("script", "#!/no/such/interpreter\n", 0755));

    (void)state;
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, ENOENT, "the file is there, but the interpreter");
}

static void an_argument_that_is_too_long_is_said(void **state)
{
    char *argument = malloc(300000);
    struct options options = OPTIONS("true", argument);

    (void)state;
    assert_non_null(argument);
    memset(argument, 'x', 299999);
    argument[299999] = '\0';
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, E2BIG, "ARG_MAX");
    free(argument);
}

static void a_name_that_is_too_long_is_said(void **state)
{
    char name[3000];
    struct options options = OPTIONS(name);

    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, ENAMETOOLONG, "cannot execute");
}

/* ---- PATH ---- */

static char saved_path[4096];

static void set_path(const char *path)
{
    assert_int_equal(path ? setenv("PATH", path, 1) : unsetenv("PATH"), 0);
}

static int begin_path_test(void **state)
{
    (void)snprintf(saved_path, sizeof saved_path, "%s", getenv("PATH"));
    return begin_test(state);
}

static int end_path_test(void **state)
{
    return setenv("PATH", saved_path, 1) == 0 ? end_test(state) : -1;
}
#define PATH_TEST(function) cmocka_unit_test_setup_teardown(function, begin_path_test, end_path_test)

static void make_directory(const char *name)
{
    assert_int_equal(mkdir(own_path(name), 0755), 0);
}

static void a_program_that_is_nowhere_in_the_path_is_not_found_and_the_path_is_said(void **state)
{
    struct options options = OPTIONS("no-such-program");

    (void)state;
    set_path("/usr/bin:/bin");
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, ENOENT, "PATH (/usr/bin:/bin)");
    assert_int_equal(child_exit_status_of(&why), 127);
}

static void a_file_that_is_not_executable_does_not_hide_a_later_one(void **state)
{
    struct options options = OPTIONS("prog");
    char path[600];
    char text[100];

    (void)state;
    make_directory("a");
    make_directory("b");
    (void)own_file("a/prog", "#!/bin/sh\necho wrong\n", 0644);
    (void)own_file("b/prog", "#!/bin/sh\necho right\n", 0755);
    (void)snprintf(path, sizeof path, "/dev/null/x:%s:%s", own_path("a"), own_path("b"));
    set_path(path);
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "right\n");
}

static void a_file_that_is_not_executable_is_named_when_there_is_no_later_one(void **state)
{
    struct options options = OPTIONS("prog");
    char path[600];

    (void)state;
    make_directory("a");
    (void)own_file("a/prog", "#!/bin/sh\necho wrong\n", 0644);
    (void)snprintf(path, sizeof path, "%s:/usr/bin", own_path("a"));
    set_path(path);
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, EACCES, "a/prog");
}

static void an_empty_directory_in_the_path_is_the_current_one(void **state)
{
    struct options options = OPTIONS("prog");
    char text[100];

    (void)state;
    (void)own_file("prog", "#!/bin/sh\necho here\n", 0755);
    options.cd = own_directory();
    set_path("/nowhere::/nowhere");
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_string_equal(text, "here\n");
}

/* The failure must be told of the file that execve(2) was given. */
static void a_file_in_the_current_directory_that_the_path_names_is_explained(void **state)
{
    struct options options = OPTIONS("prog");

    (void)state;
    (void)own_file("prog", "#!/no/such/interpreter\n", 0755);
    options.cd = own_directory();
    set_path("");
    assert_false(spawns(&options));
    assert_failed(STAGE_EXEC, ENOENT, "the file is there, but the interpreter");
}

static void without_a_path_the_usual_directories_are_searched(void **state)
{
    struct options options = OPTIONS("true");
    struct options missing = OPTIONS("no-such-program");
    char text[100];

    (void)state;
    set_path(NULL);
    assert_int_equal(output_of(&options, text, sizeof text), 0);
    assert_false(spawns(&missing));
    assert_failed(STAGE_EXEC, ENOENT, "PATH (/bin:/usr/bin)");
}

static void a_directory_in_the_path_that_is_too_long_is_passed_over(void **state)
{
    struct options options = OPTIONS("true");
    static char path[PATH_MAX + 100];
    char text[100];

    (void)state;
    memset(path, 'x', PATH_MAX);
    (void)strcpy(path + PATH_MAX, ":/usr/bin:/bin");
    set_path(path);
    assert_int_equal(output_of(&options, text, sizeof text), 0);
}

/* ---- What fails before ---- */

#define FAILS_WITH(variable, error, ...)                                                                               \
    do {                                                                                                               \
        struct options asked = OPTIONS("true");                                                                        \
                                                                                                                       \
        variable = error;                                                                                              \
        assert_false(spawns(&asked));                                                                                  \
        variable = 0;                                                                                                  \
        assert_failed(__VA_ARGS__);                                                                                    \
        assert_int_equal(child_exit_status_of(&why), 125);                                                             \
    } while (0)

static void without_processes_it_says_so(void **state)
{
    (void)state;
    FAILS_WITH(fork_error, EAGAIN, STAGE_SPAWN, EAGAIN, "ulimit -u");
}

static void without_descriptors_it_says_so_and_keeps_none(void **state)
{
    int before = dup(0);
    int after;

    (void)state;
    (void)close(before);
    for (unsigned i = 0; i < 3; i++) {
        pipes_before_error = i;
        FAILS_WITH(pipe_error, EMFILE, STAGE_SETUP, EMFILE, "ulimit -n");
    }
    after = dup(0);
    (void)close(after);
    assert_int_equal(after, before);
}

static void without_dev_null_it_says_so(void **state)
{
    (void)state;
    FAILS_WITH(open_error, ENOENT, STAGE_SETUP, ENOENT, "/dev/null");
}

static void what_fails_in_the_new_process_is_told_with_its_stage(void **state)
{
    (void)state;
    FAILS_WITH(setsid_error, EPERM, STAGE_SPAWN, EPERM, "prepare the new process for 'true'");
    FAILS_WITH(dup2_error, EBUSY, STAGE_SPAWN, EBUSY, "prepare");
    if (!IS_PORTABLE)
        FAILS_WITH(prctl_error, EINVAL, STAGE_SPAWN, EINVAL, "prepare");
}

#define TERMINAL_FAILS_WITH(which, code, at_stage, words)                                                              \
    do {                                                                                                               \
        which = code;                                                                                                  \
        assert_false(spawns(&options));                                                                                \
        which = 0;                                                                                                     \
        assert_failed(at_stage, code, words);                                                                          \
    } while (0)

static void a_terminal_that_cannot_be_had_is_told_with_its_stage(void **state)
{
    struct options options = OPTIONS("true");

    (void)state;
    options.pty = true;
    options.stdout_mode = options.stderr_mode = OUTPUT_TERMINAL;
    TERMINAL_FAILS_WITH(openpt_error, ENOSPC, STAGE_PTY, "kernel/pty/max");
    TERMINAL_FAILS_WITH(unlockpt_error, EINVAL, STAGE_PTY, "devpts");
    TERMINAL_FAILS_WITH(size_error, ENOTTY, STAGE_PTY, "size of a pseudo-terminal");
    TERMINAL_FAILS_WITH(duplicate_error, EMFILE, STAGE_PTY, "ulimit -n");
    TERMINAL_FAILS_WITH(control_error, EPERM, STAGE_TERMINAL, "controlling terminal of 'true'");
    assert_true(spawns(&options));
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    close_child();
}

static void a_file_that_cannot_be_opened_is_told_with_its_stage(void **state)
{
    struct options options = OPTIONS("true");

    (void)state;
    options.stdin_mode = STDIN_FILE;
    options.stdin_file = own_path("none");
    assert_false(spawns(&options));
    assert_failed(STAGE_STDIN, ENOENT, options.stdin_file);
    options = OPTIONS("true");
    options.stdout_mode = OUTPUT_FILE;
    options.stdout_file = (struct output_file){.path = own_path("none/a"), .mode = 0666};
    assert_false(spawns(&options));
    assert_failed(STAGE_STDOUT, ENOENT, options.stdout_file.path);
    options = OPTIONS("true");
    options.stderr_mode = OUTPUT_FILE;
    options.stderr_file = (struct output_file){.path = own_directory(), .mode = 0666};
    assert_false(spawns(&options));
    assert_failed(STAGE_STDERR, EISDIR, options.stderr_file.path);
}

/* The new process waits until its FIFO has a reader, and finds then that it may not go on. */
static void a_process_that_is_cancelled_in_time_executes_nothing(void **state)
{
    const char *fifo = own_path("fifo");
    const char *touched = own_path("touched");
    int reader, status;

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    launch = (struct launch){.options = OPTIONS("touch", (char *)(uintptr_t)touched), .null_stdin = true};
    launch.options.stdout_mode = OUTPUT_FILE;
    launch.options.stdout_file = (struct output_file){.path = fifo, .mode = 0600};
    assert_true(child_start(&launch, shared_decision(), &why));
    assert_true(child_cancel(child));
    reader = open(fifo, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_MUONTRAP_FAILED);
    assert_int_equal(access(touched, F_OK), -1);
    (void)close(reader);
    child_started(child);
    close_child();
}

static void it_is_too_late_to_cancel_one_that_has_executed(void **state)
{
    struct options options = OPTIONS("true");

    (void)state;
    assert_true(spawns(&options));
    assert_false(child_cancel(child));
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    close_child();
}

static void credentials_that_cannot_be_had_are_told_with_their_stage(void **state)
{
    static gid_t groups[] = {3999998};
    const struct identity other = {.change_uid = true,
                                   .change_gid = true,
                                   .change_groups = true,
                                   .uid = 3999999,
                                   .gid = 3999998,
                                   .groups = groups,
                                   .group_count = 1};
    struct options options = OPTIONS("true");

    (void)state;
    setgroups_error = EPERM;
    assert_false(spawns_as(&options, &other));
    assert_failed(STAGE_GROUPS, EPERM, "CAP_SETGID");
    setgroups_error = 0;
    ROOT_ONLY();
    setgid_error = EPERM;
    assert_false(spawns_as(&options, &other));
    assert_failed(STAGE_GID, EPERM, "group 3999998");
    setgid_error = 0;
    setuid_error = EAGAIN;
    assert_false(spawns_as(&options, &other));
    assert_failed(STAGE_UID, EAGAIN, "user 3999999");
    setuid_error = 0;
}

static void the_program_runs_as_who_was_asked_for(void **state)
{
    static gid_t groups[] = {3999998, 3999997};
    const struct identity other = {.change_uid = true,
                                   .change_gid = true,
                                   .change_groups = true,
                                   .uid = 3999999,
                                   .gid = 3999998,
                                   .groups = groups,
                                   .group_count = 2};
    struct options options = OPTIONS("cat", "/proc/self/status");
    static char text[8192];

    (void)state;
    ROOT_ONLY();
    if (!spawns_as(&options, &other))
        fail_msg("not started: %s", why.words);
    (void)read_text(child->stdio.relay_stdout, text, sizeof text);
    child->stdio.relay_stdout = -1;
    assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
    close_child();
    assert_non_null(strstr(text, "\nUid:\t3999999\t3999999\t3999999\t3999999\n"));
    assert_non_null(strstr(text, "\nGid:\t3999998\t3999998\t3999998\t3999998\n"));
    assert_non_null(strstr(text, "\nGroups:\t3999997 3999998"));
}

/* Also as another user: the death signal is cleared when credentials change. */
static void the_program_dies_with_its_parent(void **state)
{
    const struct identity other = {.change_uid = geteuid() == 0,
                                   .change_gid = geteuid() == 0,
                                   .uid = 3999999,
                                   .gid = 3999998};
    struct options options = OPTIONS("sleep", "1000");
    int ends[2];
    pid_t parent;

    (void)state;
    LINUX_ONLY();
    assert_int_equal(pipe(ends), 0);
    parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        options.stdout_mode = OUTPUT_INHERIT;
        if (dup2(ends[1], 1) < 0 || !spawns_as(&options, &other))
            _exit(1);
        (void)close(ends[0]);
        if (write(ends[1], ".", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ends[1]);
    read_exactly(ends[0], &(char){0}, 1);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(await_end(ends[0]), 0);
    (void)close(ends[0]);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(a_program_is_executed_with_its_arguments),
        TEST(stderr_has_a_pipe_of_its_own),
        TEST(stderr_can_go_where_stdout_goes),
        TEST(output_can_go_nowhere),
        TEST(the_program_has_descriptors_0_1_and_2_only),
        TEST(the_program_s_descriptors_block),
        TEST(no_signal_is_blocked_ignored_or_pending_in_the_program),
        TEST(in_a_port_the_program_leads_a_session),
        TEST(from_a_shell_the_program_stays_in_the_job),
        TEST(the_directory_is_changed),
        TEST(a_relative_program_is_relative_to_the_new_directory),
        TEST(a_directory_that_is_not_there_is_named),
        TEST(the_name_it_sees_can_be_another),
        TEST(the_name_it_sees_is_its_path_in_a_port_and_its_name_from_a_shell),
        TEST(variables_are_set_in_its_environment),
        TEST(a_variable_that_is_set_replaces_the_one_inherited),
        TEST(of_two_variables_of_one_name_the_last_counts),
        TEST(a_variable_does_not_replace_one_whose_name_it_begins),
        TEST(a_program_that_is_not_there_is_not_found),
        PATH_TEST(a_program_that_is_nowhere_in_the_path_is_not_found_and_the_path_is_said),
        TEST(a_program_without_permission_is_not_executable),
        TEST(a_directory_is_not_executable),
        TEST(garbage_is_not_executable_and_no_script),
        TEST(a_missing_interpreter_is_told_from_a_missing_program),
        TEST(an_argument_that_is_too_long_is_said),
        TEST(a_name_that_is_too_long_is_said),
        PATH_TEST(a_file_that_is_not_executable_does_not_hide_a_later_one),
        PATH_TEST(a_file_that_is_not_executable_is_named_when_there_is_no_later_one),
        PATH_TEST(an_empty_directory_in_the_path_is_the_current_one),
        PATH_TEST(a_file_in_the_current_directory_that_the_path_names_is_explained),
        PATH_TEST(without_a_path_the_usual_directories_are_searched),
        PATH_TEST(a_directory_in_the_path_that_is_too_long_is_passed_over),
        TEST(without_processes_it_says_so),
        TEST(without_descriptors_it_says_so_and_keeps_none),
        TEST(without_dev_null_it_says_so),
        TEST(what_fails_in_the_new_process_is_told_with_its_stage),
        TEST(a_terminal_that_cannot_be_had_is_told_with_its_stage),
        TEST(a_file_that_cannot_be_opened_is_told_with_its_stage),
        TEST(a_process_that_is_cancelled_in_time_executes_nothing),
        TEST(it_is_too_late_to_cancel_one_that_has_executed),
        TEST(credentials_that_cannot_be_had_are_told_with_their_stage),
        TEST(the_program_runs_as_who_was_asked_for),
        TEST(the_program_dies_with_its_parent),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
