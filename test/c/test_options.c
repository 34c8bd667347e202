/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "options.h"
#include "port/window.h"

static struct options options;
static struct failure why;

/* Whether muontrap would take that command line; `options` and `why` say the rest. */
static bool takes(char *argv[])
{
    int argc = 0;

    while (argv[argc])
        argc++;
    memset(&why, 0, sizeof why);
    return options_parse(&options, argc, argv, &why);
}
#define TAKES(...) takes((char *[]){(char *)"muontrap", __VA_ARGS__, NULL})

#define REFUSES(errno_value, words_of_it, ...)                                                                         \
    do {                                                                                                               \
        assert_false(TAKES(__VA_ARGS__));                                                                              \
        assert_int_equal(why.stage, STAGE_OPTIONS);                                                                    \
        assert_int_equal(why.error, errno_value);                                                                      \
        if (!strstr(why.words, words_of_it))                                                                           \
            fail_msg("'%s' doesn't say '%s'", why.words, words_of_it);                                                 \
    } while (0)

static void a_program_alone_gets_the_defaults(void **state)
{
    (void)state;
    assert_true(TAKES("true"));
    assert_string_equal(options.program[0], "true");
    assert_null(options.program[1]);
    assert_false(options.port || options.help || options.version);
    assert_int_equal(options.stdin_mode, STDIN_AUTO);
    assert_int_equal(options.stdout_mode, OUTPUT_INHERIT);
    assert_int_equal(options.stderr_mode, OUTPUT_INHERIT);
    assert_int_equal(options.delay_to_sigkill, 500);
    assert_int_equal(options.stdio_window, 0);
    assert_null(options.uid);
    assert_null(options.gid);
    assert_null(options.groups);
    assert_null(options.arg0);
    assert_null(options.cd);
}

static void options_end_at_the_program(void **state)
{
    (void)state;
    assert_true(TAKES("prog", "-x", "--port", "--"));
    assert_false(options.port);
    assert_string_equal(options.program[1], "-x");
    assert_string_equal(options.program[3], "--");
}

static void options_end_at_two_dashes(void **state)
{
    (void)state;
    assert_true(TAKES("--port", "--", "-x", "--"));
    assert_string_equal(options.program[0], "-x");
    assert_string_equal(options.program[1], "--");
}

static void a_single_dash_is_a_program(void **state)
{
    (void)state;
    assert_true(TAKES("-"));
    assert_string_equal(options.program[0], "-");
}

static void without_a_program_it_says_the_usage(void **state)
{
    char *nothing[] = {NULL};

    (void)state;
    REFUSES(EINVAL, "no program", "--port", "-k", "5");
    REFUSES(EINVAL, "no program", "--");
    REFUSES(EINVAL, "no program", "--stdin=null");
    assert_false(options_parse(&options, 0, nothing, &why));
    assert_non_null(strstr(why.words, "no program"));
}

static void a_port_with_nothing_else_waits_for_launches(void **state)
{
    (void)state;
    assert_true(TAKES("--port"));
    assert_true(options.waits);
    assert_true(TAKES("--port=" MUONTRAP_VERSION));
    assert_true(options.waits);
    assert_true(TAKES("--port", "true"));
    assert_false(options.waits);
}

static void a_library_of_another_version_is_refused(void **state)
{
    (void)state;
    assert_true(TAKES("--port=" MUONTRAP_VERSION, "true"));
    assert_true(options.port);
    assert_string_equal(options.file, "true");
    REFUSES(EINVAL, "the library that has started it is 1.0.0", "--port=1.0.0", "true");
    assert_true(options.port); /* so that it is told in a frame */
    REFUSES(EINVAL, "is " MUONTRAP_VERSION "0:", "--port=" MUONTRAP_VERSION "0");
}

static void a_launch_may_have_to_be_as_by_a_new_helper(void **state)
{
    (void)state;
    assert_true(TAKES("--port", "true"));
    assert_int_equal(options.fresh, 0);
    assert_true(TAKES("--port", "--fresh", "123", "true"));
    assert_int_equal(options.fresh, 123);
    REFUSES(ERANGE, "process's id", "--fresh", "0", "true");
}

static void an_empty_program_is_one_that_is_not_there(void **state)
{
    (void)state;
    REFUSES(ENOENT, "empty", "");
}

static void values_come_attached_or_behind(void **state)
{
    (void)state;
    assert_true(TAKES("-k", "1", "true"));
    assert_int_equal(options.delay_to_sigkill, 1);
    assert_true(TAKES("-k2", "true"));
    assert_int_equal(options.delay_to_sigkill, 2);
    assert_true(TAKES("--delay-to-sigkill", "3", "true"));
    assert_int_equal(options.delay_to_sigkill, 3);
    assert_true(TAKES("--delay-to-sigkill=4", "true"));
    assert_int_equal(options.delay_to_sigkill, 4);
}

static void the_last_of_two_counts(void **state)
{
    (void)state;
    assert_true(TAKES("-k", "1", "-k", "2", "true"));
    assert_int_equal(options.delay_to_sigkill, 2);
}

static void a_missing_value_is_said(void **state)
{
    (void)state;
    REFUSES(EINVAL, "--cd needs a value", "--cd");
    REFUSES(EINVAL, "-k needs a value", "-k");
}

static void a_value_where_none_belongs_is_refused(void **state)
{
    (void)state;
    REFUSES(EINVAL, "takes no value", "--check=1", "true");
    REFUSES(EINVAL, "takes no value", "--help=", "true");
    REFUSES(EINVAL, "takes no value", "-hx", "true");
}

static void unknown_options_are_named(void **state)
{
    (void)state;
    REFUSES(EINVAL, "'--nosuch'", "--nosuch", "true");
    REFUSES(EINVAL, "'--nosuch=1'", "--nosuch=1", "true");
    REFUSES(EINVAL, "'-z'", "-z", "true");
    REFUSES(EINVAL, "unknown", "--por", "true");
    REFUSES(EINVAL, "unknown", "--=x", "true");
    REFUSES(EINVAL, "unknown", "--posts", "true");
}

static void help_and_version_need_no_program(void **state)
{
    (void)state;
    assert_true(TAKES("-h"));
    assert_true(options.help);
    assert_true(TAKES("--help", "--nosuch"));
    assert_true(options.help);
    assert_true(TAKES("-V"));
    assert_true(options.version);
    assert_true(TAKES("--port", "--version"));
    assert_true(options.version);
}

static void the_usage_names_every_option(void **state)
{
    static const char *const names[] = {"-k, --delay-to-sigkill",
                                        "--stdin",
                                        "--stdout",
                                        "--stderr",
                                        "--cd",
                                        "--arg0",
                                        "--uid",
                                        "--gid",
                                        "--groups",
                                        "--setenv",
                                        "--keepenv",
                                        "--clear-env",
                                        "--rlimit NAME=SOFT[:HARD]",
                                        "--nice N",
                                        "--umask MODE",
                                        "--cpus LIST",
                                        "--oom-score-adj N",
                                        "--no-new-privs",
                                        "--stop-signal",
                                        "--stop-command WORD",
                                        "--attach PID",
                                        "--lock",
                                        "--lock-timeout",
                                        "--port",
                                        "--stdio-window",
                                        "--tell-ends",
                                        "--pty[=ROWSxCOLUMNS]",
                                        "--pty-mode NAME=VALUE",
                                        "file[,append][,mode=OCTAL]:PATH",
                                        "-h, --help",
                                        "-V, --version"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        assert_true(strstr(options_usage, names[i]) || strstr(options_usage_rest, names[i]));
}

static void attributes_of_the_program_are_numbers_in_their_range(void **state)
{
    (void)state;
    assert_true(TAKES("true"));
    assert_false(options.attributes.any);
    assert_false(options.clears_env);
    assert_true(TAKES("--nice", "-20", "--oom-score-adj=-1000", "--umask", "0", "--clear-env", "true"));
    assert_true(options.attributes.any && options.attributes.sets_nice && options.attributes.sets_oom_score_adj);
    assert_true(options.attributes.sets_umask && options.clears_env);
    assert_int_equal(options.attributes.nice, -20);
    assert_int_equal(options.attributes.oom_score_adj, -1000);
    assert_int_equal(options.attributes.umask, 0);
    assert_true(TAKES("--nice", "19", "--oom-score-adj", "1000", "--umask", "0777", "true"));
    assert_int_equal(options.attributes.nice, 19);
    assert_int_equal(options.attributes.oom_score_adj, 1000);
    assert_int_equal(options.attributes.umask, 0777);
    assert_true(TAKES("--no-new-privs", "true"));
    assert_true(options.attributes.any && options.attributes.no_new_privileges);
    assert_true(TAKES("--cpus", "0", "--rlimit", "core=0", "true"));
    assert_string_equal(options.attributes.cpus, "0");
    assert_int_equal(options.attributes.rlimit_count, 1);
    REFUSES(ERANGE, "--nice takes a whole number from -20 to 19, not 20", "--nice", "20", "true");
    REFUSES(ERANGE, "--nice takes a whole number from -20 to 19, not -21", "--nice", "-21", "true");
    REFUSES(EINVAL, "from -20 to 19, not '1x'", "--nice", "1x", "true");
    REFUSES(EINVAL, "from -20 to 19, not ''", "--nice=", "true");
    REFUSES(EINVAL, "from -20 to 19, not '-'", "--nice", "-", "true");
    REFUSES(EINVAL, "from -20 to 19, not '--1'", "--nice", "--1", "true");
    REFUSES(EINVAL, "from -1000 to 1000, not '99999999999999999999'", "--oom-score-adj", "99999999999999999999",
            "true");
    REFUSES(ERANGE, "from -1000 to 1000, not -1001", "--oom-score-adj", "-1001", "true");
    REFUSES(EINVAL, "--umask takes permissions in octal from 0 to 777, not '1000'", "--umask", "1000", "true");
    REFUSES(EINVAL, "not '8'", "--umask", "8", "true");
    REFUSES(EINVAL, "not '7x'", "--umask", "7x", "true");
    REFUSES(EINVAL, "not ''", "--umask", "", "true");
    REFUSES(EINVAL, "--cpus takes numbers", "--cpus", "x", "true");
    REFUSES(EINVAL, "--rlimit: no limit", "--rlimit", "x=1", "true");
    REFUSES(EINVAL, "takes no value", "--clear-env=1", "true");
}

static void a_process_to_attach_to_takes_nothing_of_a_start(void **state)
{
    static char *const starts[] = {"--uid=5",           "--gid=5",        "--groups=5",    "--cd=/",
                                   "--arg0=a",          "--setenv=A=1",   "--unsetenv=A",  "--clear-env",
                                   "--nice=1",          "--lock=/a",      "--pty",         "--stdin=file:/a",
                                   "--stdin=relay",     "--stdout=null",  "--stderr=null", "--tell-ends",
                                   "--stdio-window=10", "--rlimit=core=0"};

    (void)state;
    assert_true(TAKES("--attach", "5"));
    assert_int_equal(options.attach, 5);
    assert_string_equal(options.file, "5");
    assert_true(TAKES("--port", "--attach=2147483647", "-g", "a", "-k", "1", "--stop-command", "true"));
    assert_int_equal(options.attach, INT_MAX);
    assert_true(TAKES("true"));
    assert_int_equal(options.attach, 0);
    REFUSES(EINVAL, "--attach takes the number of a process, from 1 to 2147483647, not '0'", "--attach", "0");
    REFUSES(EINVAL, "--attach takes the number of a process, from 1 to 2147483647, not '-5'", "--attach", "-5");
    REFUSES(EINVAL, "--attach takes a process that runs, and no program such as 'true'", "--attach", "5", "true");
    for (size_t i = 0; i < COUNT(starts); i++)
        REFUSES(EINVAL, "can't be had with --attach, for that process has started already", "--port", "--attach", "5",
                (char *)starts[i]);
}

static void a_stop_command_is_a_program_and_words(void **state)
{
    char *words[2 * (STOP_COMMAND_MOST + 1) + 3] = {"muontrap"};
    int count = 1;

    (void)state;
    assert_true(TAKES("true"));
    assert_int_equal(options.stop_command_count, 0);
    assert_true(TAKES("--stop-command", "nginx", "--stop-command", "", "--stop-command=-s", "true"));
    assert_int_equal(options.stop_command_count, 3);
    assert_string_equal(options.stop_command[0], "nginx");
    assert_string_equal(options.stop_command[1], "");
    assert_string_equal(options.stop_command[2], "-s");
    assert_null(options.stop_command[3]);
    REFUSES(EINVAL, "--stop-command takes a program, not an empty string", "--stop-command", "", "true");
    for (unsigned i = 0; i <= STOP_COMMAND_MOST; i++) {
        words[count++] = "--stop-command";
        words[count++] = "x";
    }
    words[count] = "true";
    assert_false(options_parse(&options, count + 1, words, &why));
    assert_int_equal(why.error, E2BIG);
    assert_non_null(strstr(why.words, "--stop-command can be given 64 times at most"));
}

static void the_delay_is_whole_milliseconds(void **state)
{
    (void)state;
    assert_true(TAKES("-k", "0", "true"));
    assert_int_equal(options.delay_to_sigkill, 0);
    assert_true(TAKES("-k", "2147483647", "true"));
    assert_int_equal(options.delay_to_sigkill, INT_MAX);
    assert_true(TAKES("-k", "0000000000000007", "true"));
    assert_int_equal(options.delay_to_sigkill, 7);
    REFUSES(ERANGE, "2147483648", "-k", "2147483648", "true");
    REFUSES(ERANGE, "takes 0 to 2147483647 milliseconds", "-k", "99999999999999999999999999", "true");
    REFUSES(EINVAL, "'-1'", "-k", "-1", "true");
    REFUSES(EINVAL, "'+1'", "-k", "+1", "true");
    REFUSES(EINVAL, "' 1'", "-k", " 1", "true");
    REFUSES(EINVAL, "'1s'", "-k", "1s", "true");
    REFUSES(EINVAL, "'1:'", "-k", "1:", "true");
    REFUSES(EINVAL, "'1 2'", "-k", "1 2", "true");
    REFUSES(EINVAL, "'/'", "-k", "/", "true");
    REFUSES(EINVAL, "''", "-k", "", "true");
    REFUSES(EINVAL, "''", "--delay-to-sigkill=", "true");
}

static void without_a_stop_signal_it_is_sigterm_with_the_delay(void **state)
{
    (void)state;
    assert_true(TAKES("-k", "7", "true"));
    assert_int_equal(options.step_count, 1);
    assert_int_equal(options.steps[0].signal, SIGTERM);
    assert_int_equal(options.steps[0].ms, 7);
}

static void a_step_has_its_own_time_or_the_delay(void **state)
{
    (void)state;
    assert_true(TAKES("--stop-signal", "INT:10000", "--stop-signal=sigquit", "-k", "9", "--stop-signal", "15:0",
                      "true"));
    assert_int_equal(options.step_count, 3);
    assert_int_equal(options.steps[0].signal, SIGINT);
    assert_int_equal(options.steps[0].ms, 10000);
    assert_int_equal(options.steps[1].signal, SIGQUIT);
    assert_int_equal(options.steps[1].ms, 9);
    assert_int_equal(options.steps[2].signal, SIGTERM);
    assert_int_equal(options.steps[2].ms, 0);
    REFUSES(EINVAL, "'FOO'", "--stop-signal", "FOO:1", "true");
    REFUSES(EINVAL, "''", "--stop-signal", "", "true");
    REFUSES(EINVAL, "'x'", "--stop-signal", "INT:x", "true");
    REFUSES(EINVAL, "''", "--stop-signal", "INT:", "true");
    REFUSES(ERANGE, "0 to 2147483647", "--stop-signal", "INT:2147483648", "true");
}

static void sigkill_and_sigstop_are_no_steps(void **state)
{
    (void)state;
    REFUSES(EINVAL, "SIGKILL comes after", "--stop-signal", "KILL", "true");
    REFUSES(EINVAL, "not SIGSTOP", "--stop-signal", "SIGSTOP:5", "true");
}

static void more_steps_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    assert_true(TAKES("--stop-signal=1", "--stop-signal=1", "--stop-signal=1", "--stop-signal=1", "--stop-signal=1",
                      "--stop-signal=1", "--stop-signal=1", "--stop-signal=1", "true"));
    assert_int_equal(options.step_count, STEPS_MOST);
    REFUSES(E2BIG, "8 times", "--stop-signal=1", "--stop-signal=1", "--stop-signal=1", "--stop-signal=1",
            "--stop-signal=1", "--stop-signal=1", "--stop-signal=1", "--stop-signal=1", "--stop-signal=1", "true");
}

static void a_lock_is_a_file_and_may_have_a_timeout(void **state)
{
    (void)state;
    assert_true(TAKES("true"));
    assert_null(options.lock);
    assert_true(TAKES("--lock", "/run/x.lock", "true"));
    assert_string_equal(options.lock, "/run/x.lock");
    assert_int_equal(options.lock_timeout, LOCK_FOREVER);
    assert_true(TAKES("--lock-timeout", "0", "--lock", "/run/x.lock", "true"));
    assert_int_equal(options.lock_timeout, 0);
    REFUSES(EINVAL, "--lock takes a file", "--lock", "", "true");
    REFUSES(EINVAL, "needs a lock", "--lock-timeout", "1", "true");
    REFUSES(ERANGE, "0 to 2147483647", "--lock", "x", "--lock-timeout", "2147483648", "true");
}

static void a_login_variable_can_be_kept(void **state)
{
    (void)state;
    assert_true(TAKES("--keepenv", "HOME", "--keepenv=SHELL", "true"));
    assert_int_equal(options.keepenv, 1u << 1 | 1u << 4);
    REFUSES(EINVAL, "HOME, USER, LOGNAME or SHELL, not 'PATH'", "--keepenv", "PATH", "true");
}

static void a_variable_is_the_same_by_its_name(void **state)
{
    (void)state;
    assert_true(options_same_variable("A=b", "A"));
    assert_true(options_same_variable("A", "A=c"));
    assert_false(options_same_variable("A=b", "AB=b"));
    assert_false(options_same_variable("AB", "A"));
    assert_false(options_same_variable("A", "B"));
}

static void the_window_is_at_least_one_byte(void **state)
{
    (void)state;
    assert_true(TAKES("--port", "--stdio-window", "1", "true"));
    assert_int_equal(options.stdio_window, 1);
    assert_true(TAKES("--port", "--stdio-window", "2147483647", "true"));
    assert_int_equal(options.stdio_window, WINDOW_FIXED_MOST);
    REFUSES(ERANGE, "takes 1 to", "--port", "--stdio-window", "0", "true");
    REFUSES(ERANGE, "2147483648", "--port", "--stdio-window", "2147483648", "true");
    REFUSES(EINVAL, "whole number of bytes", "--port", "--stdio-window", "1k", "true");
}

static void a_window_needs_a_port(void **state)
{
    (void)state;
    REFUSES(EINVAL, "only with --port", "--stdio-window", "1", "true");
}

static void stdin_has_three_modes(void **state)
{
    (void)state;
    assert_true(TAKES("--stdin", "lifeline", "true"));
    assert_int_equal(options.stdin_mode, STDIN_LIFELINE);
    assert_true(TAKES("--stdin=inherit", "true"));
    assert_int_equal(options.stdin_mode, STDIN_INHERIT);
    assert_true(TAKES("--stdin", "null", "true"));
    assert_int_equal(options.stdin_mode, STDIN_NULL);
    REFUSES(EINVAL, "not 'x'", "--stdin", "x", "true");
    REFUSES(EINVAL, "not ''", "--stdin", "", "true");
}

static void in_a_port_stdin_can_be_null_or_relayed_only(void **state)
{
    (void)state;
    assert_true(TAKES("--port", "--stdin", "null", "true"));
    assert_true(TAKES("--port", "--stdin", "relay", "true"));
    assert_int_equal(options.stdin_mode, STDIN_RELAY);
    assert_false(options.tells_ends);
    assert_true(TAKES("--port", "--tell-ends", "true"));
    assert_true(options.tells_ends);
    REFUSES(EINVAL, "--stdin inherit can't be had with --port", "--port", "--stdin", "inherit", "true");
    REFUSES(EINVAL, "--stdin lifeline can't be had with --port", "--stdin", "lifeline", "--port", "true");
}

static void stdout_and_stderr_have_their_modes(void **state)
{
    (void)state;
    assert_true(TAKES("--stdout", "null", "--stderr", "stdout", "true"));
    assert_int_equal(options.stdout_mode, OUTPUT_NULL);
    assert_int_equal(options.stderr_mode, OUTPUT_STDOUT);
    assert_true(TAKES("--stdout", "inherit", "--stderr", "null", "true"));
    assert_int_equal(options.stdout_mode, OUTPUT_INHERIT);
    assert_int_equal(options.stderr_mode, OUTPUT_NULL);
    assert_true(TAKES("--port", "--stdout", "relay", "--stderr", "inherit", "true"));
    assert_int_equal(options.stdout_mode, OUTPUT_RELAY);
    assert_int_equal(options.stderr_mode, OUTPUT_INHERIT);
    REFUSES(EINVAL, "not 'x'", "--stdout", "x", "true");
    REFUSES(EINVAL, "not 'stdout'", "--stdout", "stdout", "true");
    REFUSES(EINVAL, "not 'x'", "--stderr", "x", "true");
}

static void in_a_port_output_is_relayed(void **state)
{
    (void)state;
    assert_true(TAKES("--port", "true"));
    assert_int_equal(options.stdout_mode, OUTPUT_RELAY);
    assert_int_equal(options.stderr_mode, OUTPUT_RELAY);
    REFUSES(EINVAL, "--stdout inherit can't be had with --port", "--port", "--stdout", "inherit", "true");
}

static void only_in_a_port_can_output_be_relayed(void **state)
{
    (void)state;
    REFUSES(EINVAL, "only with --port", "--stdout", "relay", "true");
    REFUSES(EINVAL, "only with --port", "--stderr", "relay", "true");
    REFUSES(EINVAL, "only with --port", "--stdin", "relay", "true");
    REFUSES(EINVAL, "only with --port", "--tell-ends", "true");
}

static void stdin_can_be_a_file(void **state)
{
    (void)state;
    assert_true(TAKES("--stdin", "file:/a,b:c", "true"));
    assert_int_equal(options.stdin_mode, STDIN_FILE);
    assert_string_equal(options.stdin_file, "/a,b:c");
    assert_true(TAKES("--port", "--stdin=file:x", "true"));
    assert_int_equal(options.stdin_mode, STDIN_FILE);
    REFUSES(EINVAL, "with an empty path", "--stdin", "file:", "true");
    REFUSES(EINVAL, "not 'file'", "--stdin", "file", "true");
    REFUSES(EINVAL, "not 'file,append:x'", "--stdin", "file,append:x", "true");
}

static void output_can_be_a_file(void **state)
{
    (void)state;
    assert_true(TAKES("--stdout", "file:/a:b", "--stderr", "file,append:,mode=1:c", "true"));
    assert_int_equal(options.stdout_mode, OUTPUT_FILE);
    assert_string_equal(options.stdout_file.path, "/a:b");
    assert_false(options.stdout_file.append);
    assert_int_equal(options.stdout_file.mode, 0666);
    assert_int_equal(options.stderr_mode, OUTPUT_FILE);
    assert_string_equal(options.stderr_file.path, ",mode=1:c");
    assert_true(options.stderr_file.append);
    assert_true(TAKES("--port", "--stdout", "file,mode=600,append:x", "true"));
    assert_int_equal(options.stdout_file.mode, 0600);
    assert_true(options.stdout_file.append);
    assert_true(TAKES("--stdout", "file,append,mode=7777:x", "true"));
    assert_int_equal(options.stdout_file.mode, 07777);
    assert_true(TAKES("--stdout", "file,mode=0:x", "true"));
    assert_int_equal(options.stdout_file.mode, 0);
}

static void a_file_that_is_not_spelt_so_is_refused(void **state)
{
    (void)state;
    REFUSES(EINVAL, "with an empty path", "--stdout", "file:", "true");
    REFUSES(EINVAL, "with an empty path", "--stderr", "file,append:", "true");
    REFUSES(EINVAL, "file[,append][,mode=OCTAL]:PATH", "--stdout", "file,", "true");
    REFUSES(EINVAL, "file[,append][,mode=OCTAL]:PATH", "--stdout", "file,append", "true");
    REFUSES(EINVAL, "file[,append][,mode=OCTAL]:PATH", "--stdout", "file,appendix:x", "true");
    REFUSES(EINVAL, "file[,append][,mode=OCTAL]:PATH", "--stdout", "file,mode=644", "true");
    REFUSES(EINVAL, "file[,append][,mode=OCTAL]:PATH", "--stdout", "file,mode=648:x", "true");
    REFUSES(EINVAL, "file[,append][,mode=OCTAL]:PATH", "--stdout", "file,x:x", "true");
    REFUSES(EINVAL, "permissions such as 600", "--stdout", "file,mode=:x", "true");
    REFUSES(EINVAL, "permissions such as 600", "--stdout", "file,mode=9:x", "true");
    REFUSES(EINVAL, "permissions such as 600", "--stderr", "file,mode=10000:x", "true");
    REFUSES(EINVAL, "permissions such as 600", "--stderr", "file,mode=777777777777777777777777:x", "true");
    REFUSES(EINVAL, "not 'file'", "--stdout", "file", "true");
}

static void one_file_for_both_has_to_be_appended_to(void **state)
{
    (void)state;
    REFUSES(EINVAL, "write over each other in 'x'", "--stdout", "file:x", "--stderr", "file:x", "true");
    REFUSES(EINVAL, "write over each other", "--stdout", "file,append:x", "--stderr", "file:x", "true");
    REFUSES(EINVAL, "write over each other", "--stdout", "file:x", "--stderr", "file,append:x", "true");
    assert_true(TAKES("--stdout", "file,append:x", "--stderr", "file,append:x", "true"));
    assert_true(TAKES("--stdout", "file:x", "--stderr", "file:y", "true"));
    assert_true(TAKES("--stdout", "file:x", "--stderr", "stdout", "true"));
    assert_true(TAKES("--stderr", "file:x", "true"));
}

static void a_terminal_may_have_a_size(void **state)
{
    (void)state;
    assert_true(TAKES("--pty", "true"));
    assert_true(options.pty);
    assert_int_equal(options.pty_rows, 0);
    assert_int_equal(options.stdout_mode, OUTPUT_TERMINAL);
    assert_int_equal(options.stderr_mode, OUTPUT_TERMINAL);
    assert_string_equal(options.program[0], "true");
    assert_true(TAKES("--pty", "24x80", "true"));
    assert_int_equal(options.pty_rows, 24);
    assert_int_equal(options.pty_columns, 80);
    assert_true(TAKES("--pty=1x65535", "24x80"));
    assert_int_equal(options.pty_rows, 1);
    assert_int_equal(options.pty_columns, 65535);
    assert_string_equal(options.program[0], "24x80");
    assert_true(TAKES("--pty", "--", "24x80"));
    assert_string_equal(options.program[0], "24x80");
    assert_true(TAKES("--pty", "24y", "true"));
    assert_string_equal(options.program[0], "24y");
    assert_true(TAKES("--pty", "24xterm", "true"));
    assert_string_equal(options.program[0], "24xterm");
    assert_true(TAKES("--port", "--pty", "true"));
    assert_int_equal(options.stdout_mode, OUTPUT_TERMINAL);
    REFUSES(EINVAL, "no program", "--pty");
}

static void a_size_is_two_numbers_from_1_to_65535(void **state)
{
    static const char *const wrong[] = {"0x80",   "24x0", "65536x80", "24x65536", "24x80x1", "24x",         "x",
                                        "24x80 ", "24",   "",         "-1x80",    "70000x1", "1x4294967297"};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        char option[64];

        (void)snprintf(option, sizeof option, "--pty=%s", wrong[i]);
        REFUSES(EINVAL, "ROWSxCOLUMNS such as 24x80, each from 1 to 65535", option, "true");
    }
    REFUSES(EINVAL, "not '0x0'", "--pty", "0x0", "true");
}

static void a_terminal_has_modes_by_their_names(void **state)
{
    (void)state;
    assert_true(TAKES("--pty", "--pty-mode", "ECHO=0", "--pty-mode=veof=24", "true"));
    assert_int_equal(options.pty_mode_count, 2);
    assert_int_equal(options.pty_modes[0].value, 0);
    assert_int_equal(options.pty_modes[1].value, 24);
    REFUSES(EINVAL, "no mode of a terminal is called 'NOSUCH'", "--pty", "--pty-mode", "NOSUCH=1", "true");
    REFUSES(ENOTSUP, "have no mode 'VFLUSH'", "--pty", "--pty-mode", "VFLUSH=1", "true");
    REFUSES(EINVAL, "ECHO takes =VALUE, which is 0 or 1; not '=2'", "--pty", "--pty-mode", "ECHO=2", "true");
    REFUSES(EINVAL, "needs --pty", "--pty-mode", "ECHO=0", "true");
}

static void more_modes_than_there_is_room_for_are_refused(void **state)
{
    static char *argv[PTY_MODES_MOST + 5];

    (void)state;
    argv[0] = (char *)"muontrap";
    argv[1] = (char *)"--pty";
    for (unsigned i = 2; i < PTY_MODES_MOST + 2; i++)
        argv[i] = (char *)"--pty-mode=ECHO=1";
    argv[PTY_MODES_MOST + 2] = (char *)"true";
    assert_true(takes(argv));
    assert_int_equal(options.pty_mode_count, PTY_MODES_MOST);
    argv[PTY_MODES_MOST + 2] = argv[2];
    argv[PTY_MODES_MOST + 3] = (char *)"true";
    assert_false(takes(argv));
    assert_int_equal(why.error, E2BIG);
}

static void a_terminal_is_one_stream_and_has_its_own_input(void **state)
{
    (void)state;
    REFUSES(EINVAL, "where the terminal is standard input", "--pty", "--stdin", "file:x", "true");
    REFUSES(EINVAL, "they are one stream", "--port", "--pty", "--stdout", "relay", "true");
    REFUSES(EINVAL, "they are one stream", "--port", "--pty", "--stderr", "relay", "true");
    assert_true(TAKES("--pty", "--stdout", "file:x", "--stderr", "null", "true"));
    assert_int_equal(options.stdout_mode, OUTPUT_FILE);
    assert_int_equal(options.stderr_mode, OUTPUT_NULL);
    assert_true(TAKES("--port", "--pty", "--stdin", "relay", "true"));
}

static void names_are_kept_as_given(void **state)
{
    (void)state;
    assert_true(TAKES("--uid", "nobody", "--gid", "7", "--groups", "a,b", "--arg0", "", "--cd", "/tmp", "true"));
    assert_string_equal(options.uid, "nobody");
    assert_string_equal(options.gid, "7");
    assert_string_equal(options.groups, "a,b");
    assert_string_equal(options.arg0, "");
    assert_string_equal(options.file, "true");
    assert_string_equal(options.program[0], "");
    assert_string_equal(options.cd, "/tmp");
    assert_true(TAKES("--groups=", "true"));
    assert_string_equal(options.groups, "");
}

static void empty_names_are_refused(void **state)
{
    (void)state;
    REFUSES(EINVAL, "--uid takes a user's name or number", "--uid", "", "true");
    REFUSES(EINVAL, "--gid takes a group's name or number", "--gid=", "true");
    REFUSES(EINVAL, "--cd takes a directory", "--cd", "", "true");
}

static void a_value_may_look_like_an_option(void **state)
{
    (void)state;
    assert_true(TAKES("--arg0", "--port", "true"));
    assert_string_equal(options.arg0, "--port");
    assert_false(options.port);
}

static void variables_are_kept_in_order(void **state)
{
    (void)state;
    assert_true(TAKES("--setenv", "A=1", "--setenv=B=", "--setenv", "C=x=y", "true"));
    assert_int_equal(options.setenv_count, 3);
    assert_string_equal(options.setenv[0], "A=1");
    assert_string_equal(options.setenv[1], "B=");
    assert_string_equal(options.setenv[2], "C=x=y");
    REFUSES(EINVAL, "NAME=VALUE, not 'A'", "--setenv", "A", "true");
    REFUSES(EINVAL, "NAME=VALUE, not '=1'", "--setenv", "=1", "true");
    REFUSES(EINVAL, "NAME=VALUE, not ''", "--setenv=", "true");
}

static void variables_can_be_removed(void **state)
{
    (void)state;
    assert_true(TAKES("--setenv", "A=1", "--unsetenv", "A", "true"));
    assert_int_equal(options.setenv_count, 2);
    assert_string_equal(options.setenv[1], "A");
    REFUSES(EINVAL, "a variable's NAME, not 'A=1'", "--unsetenv", "A=1", "true");
    REFUSES(EINVAL, "a variable's NAME, not ''", "--unsetenv=", "true");
}

static void more_variables_than_there_is_room_for_are_refused(void **state)
{
    static char *argv[SETENV_MOST + 4];

    (void)state;
    argv[0] = (char *)"muontrap";
    for (unsigned i = 1; i <= SETENV_MOST; i++)
        argv[i] = (char *)"--setenv=A=1";
    argv[SETENV_MOST + 1] = (char *)"true";
    assert_true(takes(argv));
    assert_int_equal(options.setenv_count, SETENV_MOST);
    argv[SETENV_MOST + 1] = argv[1];
    argv[SETENV_MOST + 2] = (char *)"true";
    assert_false(takes(argv));
    assert_int_equal(why.error, E2BIG);
}

static void a_cgroup_has_a_path_controllers_and_settings(void **state)
{
    (void)state;
    assert_true(TAKES("-p", "a/b", "-c", "cpu", "--controller=memory", "-s", "memory.max=1M", "--set", "pids.max=5",
                      "true"));
    assert_string_equal(options.group, "a/b");
    assert_int_equal(options.controller_count, 2);
    assert_string_equal(options.controllers[0], "cpu");
    assert_string_equal(options.controllers[1], "memory");
    assert_int_equal(options.set_count, 2);
    assert_string_equal(options.sets[0], "memory.max=1M");
    assert_string_equal(options.sets[1], "pids.max=5");
    assert_true(TAKES("-g", "a", "true"));
    assert_string_equal(options.group, "a");
    assert_true(TAKES("--group=a", "true"));
    assert_true(TAKES("--path", "a", "true"));
    REFUSES(EINVAL, "a controller's name", "-g", "a", "-c", "", "true");
    REFUSES(EINVAL, "--controller needs a cgroup", "-c", "cpu", "true");
    REFUSES(EINVAL, "--set needs a cgroup", "-s", "memory.max=1M", "true");
}

static void the_cgroup_auto_is_none_of_that_name(void **state)
{
    (void)state;
    assert_true(TAKES("-g", "a", "-g", "auto", "-s", "memory.max=1M", "true"));
    assert_true(options.auto_group);
    assert_true(TAKES("-g", "auto", "-g", "a", "true"));
    assert_false(options.auto_group);
    assert_true(TAKES("--group=auto/a", "true"));
    assert_false(options.auto_group);
    assert_true(TAKES("--check", "--group", "auto"));
    assert_true(options.auto_group);
    REFUSES(EINVAL, "--clean takes the path", "--clean", "-g", "auto");
}

static void what_looks_or_cleans_needs_no_program(void **state)
{
    (void)state;
    assert_true(TAKES("--check"));
    assert_true(options.check);
    assert_true(TAKES("--check", "-c", "cpu", "-s", "memory.max=1M"));
    assert_true(TAKES("--clean", "-g", "a"));
    assert_true(options.clean);
    REFUSES(EINVAL, "--clean needs a cgroup", "--clean");
    REFUSES(EINVAL, "--clean runs no program: leave out 'prog'", "--clean", "-g", "a", "prog", "arg");
    REFUSES(EINVAL, "--check runs no program", "--check", "--", "prog");
}

static void kernels_without_something_can_be_played(void **state)
{
    (void)state;
    assert_true(TAKES("--without", "clone-into-cgroup", "--without=cgroup.kill", "true"));
    assert_int_equal(options.without, WITHOUT_CLONE_INTO_CGROUP | WITHOUT_CGROUP_KILL);
    REFUSES(EINVAL, "clone-into-cgroup or cgroup.kill", "--without", "anything", "true");
}

static void more_controllers_than_there_is_room_for_are_refused(void **state)
{
    static char *argv[CONTROLLER_MOST + 4];

    (void)state;
    argv[0] = (char *)"muontrap";
    argv[1] = (char *)"-ga";
    for (unsigned i = 2; i < CONTROLLER_MOST + 2; i++)
        argv[i] = (char *)"-ccpu";
    argv[CONTROLLER_MOST + 2] = (char *)"true";
    assert_true(takes(argv));
    argv[CONTROLLER_MOST + 2] = argv[2];
    assert_false(takes(argv));
    assert_int_equal(why.error, E2BIG);
}

static void that_it_is_a_port_is_known_even_when_the_rest_is_wrong(void **state)
{
    (void)state;
    assert_false(TAKES("--port", "--nosuch", "true"));
    assert_true(options.port);
}

static void a_very_long_argument_fits_the_words(void **state)
{
    static char argument[5000];

    (void)state;
    memset(argument, '-', sizeof argument - 1);
    assert_false(TAKES(argument));
    assert_int_equal(strlen(why.words), sizeof why.words - 1);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(a_program_alone_gets_the_defaults),
        TEST(options_end_at_the_program),
        TEST(options_end_at_two_dashes),
        TEST(a_single_dash_is_a_program),
        TEST(without_a_program_it_says_the_usage),
        TEST(a_port_with_nothing_else_waits_for_launches),
        TEST(a_library_of_another_version_is_refused),
        TEST(a_launch_may_have_to_be_as_by_a_new_helper),
        TEST(an_empty_program_is_one_that_is_not_there),
        TEST(values_come_attached_or_behind),
        TEST(the_last_of_two_counts),
        TEST(a_missing_value_is_said),
        TEST(a_value_where_none_belongs_is_refused),
        TEST(unknown_options_are_named),
        TEST(help_and_version_need_no_program),
        TEST(the_usage_names_every_option),
        TEST(attributes_of_the_program_are_numbers_in_their_range),
        TEST(a_process_to_attach_to_takes_nothing_of_a_start),
        TEST(a_stop_command_is_a_program_and_words),
        TEST(the_delay_is_whole_milliseconds),
        TEST(without_a_stop_signal_it_is_sigterm_with_the_delay),
        TEST(a_step_has_its_own_time_or_the_delay),
        TEST(sigkill_and_sigstop_are_no_steps),
        TEST(more_steps_than_there_is_room_for_are_refused),
        TEST(a_lock_is_a_file_and_may_have_a_timeout),
        TEST(a_login_variable_can_be_kept),
        TEST(a_variable_is_the_same_by_its_name),
        TEST(the_window_is_at_least_one_byte),
        TEST(a_window_needs_a_port),
        TEST(stdin_has_three_modes),
        TEST(in_a_port_stdin_can_be_null_or_relayed_only),
        TEST(stdout_and_stderr_have_their_modes),
        TEST(in_a_port_output_is_relayed),
        TEST(only_in_a_port_can_output_be_relayed),
        TEST(stdin_can_be_a_file),
        TEST(output_can_be_a_file),
        TEST(a_file_that_is_not_spelt_so_is_refused),
        TEST(one_file_for_both_has_to_be_appended_to),
        TEST(a_terminal_may_have_a_size),
        TEST(a_size_is_two_numbers_from_1_to_65535),
        TEST(a_terminal_has_modes_by_their_names),
        TEST(more_modes_than_there_is_room_for_are_refused),
        TEST(a_terminal_is_one_stream_and_has_its_own_input),
        TEST(names_are_kept_as_given),
        TEST(empty_names_are_refused),
        TEST(a_value_may_look_like_an_option),
        TEST(variables_are_kept_in_order),
        TEST(variables_can_be_removed),
        TEST(more_variables_than_there_is_room_for_are_refused),
        TEST(a_cgroup_has_a_path_controllers_and_settings),
        TEST(the_cgroup_auto_is_none_of_that_name),
        TEST(what_looks_or_cleans_needs_no_program),
        TEST(kernels_without_something_can_be_played),
        TEST(more_controllers_than_there_is_room_for_are_refused),
        TEST(that_it_is_a_port_is_known_even_when_the_rest_is_wrong),
        TEST(a_very_long_argument_fits_the_words),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
