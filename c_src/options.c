/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include "base/format.h"
#include "base/rare.h"
#include "base/signal_name.h"
#include "port/window.h"

const char options_usage[] =
    "Usage: muontrap [OPTION]... [--] PROGRAM [ARG]...\n"
    "Run PROGRAM contained: when standard input ends, or PROGRAM does, kill all that descends from it.\n"
    "\n"
    "  -k, --delay-to-sigkill MS  milliseconds from SIGTERM to SIGKILL (default 500)\n"
    "      --stop-signal SIG[:MS] tell PROGRAM to end by that signal, not by SIGTERM. May be given again: each is\n"
    "                             sent when the MS milliseconds (or those of -k) after the one before are over\n"
    "      --stop-command WORD    run that program, instead of the first signal; further ones are its arguments.\n"
    "                             CHILD_PID in its environment is PROGRAM's process. Should it fail, the signal is\n"
    "                             sent\n"
    "      --stdin MODE           lifeline: its end means stop, and PROGRAM gets /dev/null; inherit: PROGRAM gets it;\n"
    "                             null: PROGRAM gets /dev/null; with --port also relay: it gets what comes in frames.\n"
    "                             Default: lifeline for a pipe, FIFO or socket (null if it has ended already), else\n"
    "                             inherit. TERM, HUP, INT and QUIT mean stop in any case; other signals are passed on\n"
    "                             to PROGRAM\n"
    "                             file:PATH: PROGRAM gets that file\n"
    "      --stdout MODE          inherit, null, (with --port) relay, or file[,append][,mode=OCTAL]:PATH\n"
    "      --stderr MODE          the same, or stdout: where stdout goes\n"
    "      --pty[=ROWSxCOLUMNS]   give PROGRAM a terminal of its own; what it would inherit as standard input is\n"
    "                             typed there\n"
    "      --pty-mode NAME=VALUE  with that mode, as ECHO=0; may be given again\n";

const char options_usage_rest[] =
    "      --cd DIR               start PROGRAM in DIR\n"
    "      --arg0 NAME            PROGRAM sees NAME as its argv[0]\n"
    "      --setenv NAME=VALUE    set that variable in PROGRAM's environment; may be given again\n"
    "      --unsetenv NAME        remove that variable from it; may be given again\n"
    "      --clear-env            PROGRAM gets only the variables that --setenv and --uid set\n"
    "      --rlimit NAME=SOFT[:HARD]\n"
    "                             set that resource limit (nofile, nproc, core, as, cpu ...), each a number or\n"
    "                             infinity; may be given again\n"
    "      --nice N               run PROGRAM with that nice value, from -20 to 19\n"
    "      --umask MODE           run PROGRAM with that umask, in octal\n"
    "      --cpus LIST            run PROGRAM on these processors only, such as 0,2-3\n"
    "      --oom-score-adj N      how willingly the OOM killer takes PROGRAM, from -1000 to 1000\n"
    "      --no-new-privs         PROGRAM can't gain privileges, as by a set-user-ID file\n"
    "      --uid USER             run PROGRAM as that user, by name or number; never 0. HOME, USER, LOGNAME and\n"
    "                             SHELL become the user's\n"
    "      --keepenv NAME         but for that one of them, which stays as it is; may be given again\n"
    "      --gid GROUP            run PROGRAM with that group, by name or number; never 0\n"
    "      --groups LIST          run PROGRAM with these supplementary groups, separated by commas\n"
    "      --attach PID           in PROGRAM's place, take a process that runs already, and what descends from it\n"
    "                             if -g is given too; its exit status can't be known\n"
    "      --lock FILE            hold a lock on FILE as long as PROGRAM or anything that descends from it lives;\n"
    "                             while another holds it, wait\n"
    "      --lock-timeout MS      give up when that has taken so many milliseconds\n"
    "  -g, --group PATH           run PROGRAM in that cgroup (v2), which is made, and removed at the end, unless it\n"
    "                             is there. -p and --path are the same. auto: a new one in the cgroup of muontrap\n"
    "                             itself, if that was delegated; what was in there moves to muontrap.vm in it\n"
    "  -c, --controller NAME      enable that controller for the cgroup; may be given again\n"
    "  -s, --set KEY=VALUE        write VALUE to the cgroup's file KEY, as memory.max=256M; may be given again, and\n"
    "                             enables the controller. Names of v1 are translated\n"
    "      --port                 speak frames on standard input and output, as an Erlang port with {packet, 4}; with\n"
    "                             nothing else, launches come by frames\n"
    "      --stdio-window BYTES   with --port: the most output that may be unacknowledged\n"
    "      --tell-ends            with --port: tell when PROGRAM's standard output and error end\n"
    "      --check                say whether --uid, -g, -c, -s are possible here, what would mend it, and leave\n"
    "      --clean                with -g: kill and remove what a killed muontrap has left there, and leave\n"
    "  -h, --help                 print this and leave\n"
    "  -V, --version              print the version and leave\n"
    "\n"
    "Exit status: PROGRAM's; 128+N when signal N ended it; 125 muontrap failed; 126 PROGRAM can't be executed;\n"
    "127 PROGRAM was not found.\n";

const char *const login_variables[] = {NULL, "HOME", "USER", "LOGNAME", "SHELL"};

static const char *const stdin_modes[] =
    {[STDIN_LIFELINE] = "lifeline", [STDIN_INHERIT] = "inherit", [STDIN_NULL] = "null", [STDIN_RELAY] = "relay"};
static const char *const output_modes[] =
    {[OUTPUT_INHERIT] = "inherit", [OUTPUT_NULL] = "null", [OUTPUT_STDOUT] = "stdout", [OUTPUT_RELAY] = "relay"};

/* What the setters get: where to store, the option as given (for messages), and its value. */
struct argument {
    struct options *options;
    const char *option;
    const char *value;
    struct failure *why;
};

static bool number(const struct argument *arg, uint32_t least, uint32_t most, const char *unit, uint32_t *result)
{
    uint64_t value = 0;
    const char *at = arg->value;

    for (; *at >= '0' && *at <= '9' && value <= most; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (at == arg->value || (*at != '\0' && (*at < '0' || *at > '9')))
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes a whole number of %s, not '%s'", arg->option, unit,
                      arg->value);
    if (value < least || value > most)
        return failed(arg->why, STAGE_OPTIONS, ERANGE, "%s takes %lu to %lu %s, not %s", arg->option,
                      (unsigned long)least, (unsigned long)most, unit, arg->value);
    *result = (uint32_t)value;
    return true;
}

/* The index of the value among the names, 0 (which none has) with the failure filled. */
static unsigned choice(const struct argument *arg, const char *const names[], size_t count, const char *said)
{
    for (unsigned i = 1; i < count; i++)
        if (strcmp(arg->value, names[i]) == 0)
            return i;
    failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes %s, not '%s'", arg->option, said, arg->value);
    return 0;
}

static bool text(const struct argument *arg, const char *what, const char **result)
{
    if (arg->value[0] == '\0')
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes %s, not an empty string", arg->option, what);
    *result = arg->value;
    return true;
}

RARE static bool set_help(const struct argument *arg)
{
    arg->options->help = true;
    return true;
}

RARE static bool set_version(const struct argument *arg)
{
    arg->options->version = true;
    return true;
}

RARE static bool not_the_library_s(const struct argument *arg)
{
    return failed(arg->why, STAGE_OPTIONS, EINVAL,
                  "this helper is muontrap %s, and the library that has started it is %s: install the helper of the "
                  "library's version ('make install' in the library's directory) and name it with config :muontrap, "
                  "helper_path:, or restart the VM if its files have been replaced",
                  MUONTRAP_VERSION, arg->value);
}

/* The library, and nobody else, gives it a value: its version, for a helper that was installed apart from it may be of
 * another one, whose options and frames mean something else. */
static bool set_port(const struct argument *arg)
{
    arg->options->port = true;
    if (arg->value && strcmp(arg->value, MUONTRAP_VERSION) != 0)
        return not_the_library_s(arg);
    return true;
}

static bool set_delay(const struct argument *arg)
{
    return number(arg, 0, INT_MAX, "milliseconds", &arg->options->delay_to_sigkill);
}

/* A step without a time gets --delay-to-sigkill's, which may be given later: STEP_DELAY until then. */
#define STEP_DELAY UINT32_MAX

RARE static bool set_stop_signal(const struct argument *arg)
{
    struct options *options = arg->options;
    size_t size = strcspn(arg->value, ":");
    struct stop_step step = {.signal = signal_by_name(arg->value, size), .ms = STEP_DELAY};
    struct argument time = *arg;

    if (step.signal < 0)
        return failed(arg->why, STAGE_OPTIONS, EINVAL,
                      "%s takes a signal's name or number, not '%.*s' (kill -l lists them)", arg->option, (int)size,
                      arg->value);
    if (step.signal == SIGKILL || step.signal == SIGSTOP)
        return failed(
            arg->why, STAGE_OPTIONS, EINVAL,
            "%s takes a signal that a program can end by itself for, not SIG%s; SIGKILL comes after the last one",
            arg->option, signal_name(step.signal));
    if (options->step_count == STEPS_MOST)
        return failed(arg->why, STAGE_OPTIONS, E2BIG, "%s can be given %u times at most", arg->option, STEPS_MOST);
    time.value += size + 1;
    if (arg->value[size] == ':' && !number(&time, 0, INT_MAX, "milliseconds", &step.ms))
        return false;
    options->steps[options->step_count++] = step;
    return true;
}

RARE static bool set_stop_command(const struct argument *arg)
{
    struct options *options = arg->options;

    if (options->stop_command_count == 0 && arg->value[0] == '\0')
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes a program, not an empty string", arg->option);
    if (options->stop_command_count == STOP_COMMAND_MOST)
        return failed(arg->why, STAGE_OPTIONS, E2BIG, "%s can be given %u times at most", arg->option,
                      STOP_COMMAND_MOST);
    options->stop_command[options->stop_command_count++] = (char *)(uintptr_t)arg->value; /* execve(2) only reads it */
    return true;
}

RARE static bool set_window(const struct argument *arg)
{
    return number(arg, 1, WINDOW_FIXED_MOST, "bytes", &arg->options->stdio_window);
}

RARE static bool set_tell_ends(const struct argument *arg)
{
    arg->options->tells_ends = true;
    return true;
}

/* What is behind file: in the value, which has to be something. */
static bool path_in(const struct argument *arg, const char *at, const char **path)
{
    *path = at + 1;
    if (at[1] == '\0')
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes file:PATH, not '%s' with an empty path", arg->option,
                      arg->value);
    return true;
}

RARE static bool set_stdin(const struct argument *arg)
{
    struct options *options = arg->options;

    if (strncmp(arg->value, "file:", 5) == 0) {
        options->stdin_mode = STDIN_FILE;
        return path_in(arg, arg->value + 4, &options->stdin_file);
    }
    options->stdin_mode = (enum stdin_mode)choice(arg, stdin_modes, sizeof stdin_modes / sizeof stdin_modes[0],
                                                  "lifeline, inherit, null, relay or file:PATH");
    return options->stdin_mode != STDIN_AUTO;
}

/* Octal, and no more than permissions. */
static bool read_mode(const char **at, mode_t *mode)
{
    const char *from = *at;

    for (*mode = 0; **at >= '0' && **at <= '7' && *mode <= 07777; ++*at)
        *mode = *mode * 8 + (mode_t)(**at - '0');
    return *at > from && *mode <= 07777;
}

/* file[,append][,mode=OCTAL]:PATH */
RARE static bool set_file(const struct argument *arg, struct output_file *file)
{
    const char *at = arg->value + 4;

    *file = (struct output_file){.mode = 0666};
    for (;;) {
        if (strncmp(at, ",append", 7) == 0 && (at[7] == ',' || at[7] == ':')) {
            file->append = true;
            at += 7;
        } else if (strncmp(at, ",mode=", 6) == 0) {
            at += 6;
            if (!read_mode(&at, &file->mode))
                return failed(arg->why, STAGE_OPTIONS, EINVAL,
                              "%s takes file,mode=OCTAL:PATH with permissions such as 600, not '%s'", arg->option,
                              arg->value);
        } else if (*at == ':') {
            return path_in(arg, at, &file->path);
        } else {
            return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes file[,append][,mode=OCTAL]:PATH, not '%s'",
                          arg->option, arg->value);
        }
    }
}

static bool is_file(const struct argument *arg)
{
    return strncmp(arg->value, "file:", 5) == 0 || strncmp(arg->value, "file,", 5) == 0;
}

static bool set_output(const struct argument *arg, enum output_mode *mode, struct output_file *file, const char *said)
{
    if (is_file(arg)) {
        *mode = OUTPUT_FILE;
        return set_file(arg, file);
    }
    *mode = (enum output_mode)choice(arg, output_modes, sizeof output_modes / sizeof output_modes[0], said);
    return *mode != OUTPUT_AUTO;
}

RARE static bool set_stdout(const struct argument *arg)
{
    struct options *options = arg->options;

    if (strcmp(arg->value, "stdout") == 0)
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes inherit, null, relay or file:PATH, not 'stdout'",
                      arg->option);
    return set_output(arg, &options->stdout_mode, &options->stdout_file, "inherit, null, relay or file:PATH");
}

static bool set_stderr(const struct argument *arg)
{
    struct options *options = arg->options;

    return set_output(arg, &options->stderr_mode, &options->stderr_file, "inherit, null, stdout, relay or file:PATH");
}

/* A number of rows or columns, and what must be behind it. */
static bool read_dimension(const char **at, char end, uint16_t *dimension)
{
    uint32_t value = 0;
    const char *from = *at;

    for (; **at >= '0' && **at <= '9' && value <= UINT16_MAX; ++*at)
        value = value * 10 + (uint32_t)(**at - '0');
    *dimension = (uint16_t)value;
    return *at > from && *(*at)++ == end && value >= 1 && value <= UINT16_MAX;
}

RARE static bool set_pty(const struct argument *arg)
{
    struct options *options = arg->options;
    const char *at = arg->value;

    options->pty = true;
    if (!arg->value ||
        (read_dimension(&at, 'x', &options->pty_rows) && read_dimension(&at, '\0', &options->pty_columns)))
        return true;
    return failed(arg->why, STAGE_OPTIONS, EINVAL,
                  "%s takes ROWSxCOLUMNS such as 24x80, each from 1 to %u, or nothing, not '%s'", arg->option,
                  (unsigned)UINT16_MAX, arg->value);
}

RARE static bool set_pty_mode(const struct argument *arg)
{
    struct options *options = arg->options;
    struct terminal_mode mode;
    const char *values = "";
    int size = (int)strcspn(arg->value, "=");
    enum terminal_mode_found found = terminal_mode_read(arg->value, &mode, &values);

    if (found == TERMINAL_MODE_UNKNOWN)
        return failed(arg->why, STAGE_OPTIONS, EINVAL,
                      "%s: no mode of a terminal is called '%.*s' (RFC 4254, section 8, lists them)", arg->option, size,
                      arg->value);
    if (found == TERMINAL_MODE_MISSING)
        return failed(arg->why, STAGE_OPTIONS, ENOTSUP, "%s: the terminals of this system have no mode '%.*s'",
                      arg->option, size, arg->value);
    if (found == TERMINAL_MODE_VALUE)
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s: the mode %.*s takes =VALUE, which is %s; not '%s'",
                      arg->option, size, arg->value, values, arg->value + size);
    if (options->pty_mode_count == PTY_MODES_MOST)
        return failed(arg->why, STAGE_OPTIONS, E2BIG, "%s can be given %u times at most", arg->option, PTY_MODES_MOST);
    options->pty_modes[options->pty_mode_count++] = mode;
    return true;
}

RARE static bool set_uid(const struct argument *arg)
{
    return text(arg, "a user's name or number", &arg->options->uid);
}

RARE static bool set_gid(const struct argument *arg)
{
    return text(arg, "a group's name or number", &arg->options->gid);
}

RARE static bool set_groups(const struct argument *arg)
{
    arg->options->groups = arg->value;
    return true;
}

RARE static bool set_arg0(const struct argument *arg)
{
    arg->options->arg0 = arg->value;
    return true;
}

static bool set_cd(const struct argument *arg)
{
    return text(arg, "a directory", &arg->options->cd);
}

static bool change_variable(const struct argument *arg)
{
    struct options *options = arg->options;

    if (options->setenv_count == SETENV_MOST)
        return failed(arg->why, STAGE_OPTIONS, E2BIG, "--setenv and --unsetenv can be given %u times at most",
                      SETENV_MOST);
    options->setenv[options->setenv_count++] = arg->value;
    return true;
}

/* POSIX, Base Definitions, 8.1: a name is not empty and has no = in it. */
static bool set_setenv(const struct argument *arg)
{
    if (arg->value[0] == '=' || !strchr(arg->value, '='))
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes NAME=VALUE, not '%s'", arg->option, arg->value);
    return change_variable(arg);
}

RARE static bool set_unsetenv(const struct argument *arg)
{
    if (arg->value[0] == '\0' || strchr(arg->value, '='))
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes a variable's NAME, not '%s'", arg->option, arg->value);
    return change_variable(arg);
}

RARE static bool set_keepenv(const struct argument *arg)
{
    unsigned which = choice(arg, login_variables, LOGIN_MOST + 1, "HOME, USER, LOGNAME or SHELL");

    arg->options->keepenv |= 1u << which;
    return which != 0;
}

RARE static bool set_clear_env(const struct argument *arg)
{
    arg->options->clears_env = true;
    return true;
}

/* A whole number that may be below 0. */
static bool level(const struct argument *arg, int least, int most, int *result)
{
    struct argument digits = *arg;
    uint32_t value = 0;

    digits.value += arg->value[0] == '-';
    for (const char *at = digits.value; *at || at == digits.value; at++) {
        if (*at < '0' || *at > '9' || value > 100000)
            return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes a whole number from %d to %d, not '%s'",
                          arg->option, least, most, arg->value);
        value = value * 10 + (uint32_t)(*at - '0');
    }
    *result = arg->value[0] == '-' ? -(int)value : (int)value;
    if (*result >= least && *result <= most)
        return true;
    return failed(arg->why, STAGE_OPTIONS, ERANGE, "%s takes a whole number from %d to %d, not %s", arg->option, least,
                  most, arg->value);
}

RARE static bool set_nice(const struct argument *arg)
{
    struct attributes *attributes = &arg->options->attributes;
    int nice = 0;

    if (!level(arg, NICE_LEAST, NICE_MOST, &nice))
        return false;
    attributes->nice = (int8_t)nice;
    return attributes->sets_nice = attributes->any = true;
}

RARE static bool set_oom_score_adj(const struct argument *arg)
{
    struct attributes *attributes = &arg->options->attributes;
    int adjustment = 0;

    if (!level(arg, -OOM_SCORE_ADJ_MOST, OOM_SCORE_ADJ_MOST, &adjustment))
        return false;
    attributes->oom_score_adj = (int16_t)adjustment;
    return attributes->sets_oom_score_adj = attributes->any = true;
}

RARE static bool set_umask(const struct argument *arg)
{
    struct attributes *attributes = &arg->options->attributes;
    const char *at = arg->value;
    mode_t mask;

    if (!read_mode(&at, &mask) || *at || mask > 0777)
        return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes permissions in octal from 0 to 777, not '%s'",
                      arg->option, arg->value);
    attributes->umask = (uint16_t)mask;
    return attributes->sets_umask = attributes->any = true;
}

RARE static bool set_no_new_privs(const struct argument *arg)
{
    return arg->options->attributes.no_new_privileges = arg->options->attributes.any = true;
}

RARE static bool set_cpus(const struct argument *arg)
{
    return attributes_set_cpus(&arg->options->attributes, arg->value, arg->option, arg->why);
}

RARE static bool set_rlimit(const struct argument *arg)
{
    return attributes_add_rlimit(&arg->options->attributes, arg->value, arg->option, arg->why);
}

RARE static bool set_lock(const struct argument *arg)
{
    return text(arg, "a file", &arg->options->lock);
}

RARE static bool set_lock_timeout(const struct argument *arg)
{
    return number(arg, 0, INT_MAX, "milliseconds", &arg->options->lock_timeout);
}

/* For the library, and so not in the usage. */
static bool set_fresh(const struct argument *arg)
{
    return number(arg, 1, INT_MAX, "a process's id", &arg->options->fresh);
}

RARE static bool set_attach(const struct argument *arg)
{
    arg->options->file = arg->value;
    if (number(arg, 1, INT_MAX, "", &arg->options->attach))
        return true;
    return failed(arg->why, STAGE_OPTIONS, EINVAL, "%s takes the number of a process, from 1 to %d, not '%s'",
                  arg->option, INT_MAX, arg->value);
}

static bool set_group(const struct argument *arg)
{
    /* An empty path is refused with the others that are none. */
    arg->options->group = arg->value;
    arg->options->auto_group = strcmp(arg->value, "auto") == 0;
    return true;
}

static bool add_text(const struct argument *arg, const char *what, const char *list[], unsigned *count, unsigned most)
{
    if (*count == most)
        return failed(arg->why, STAGE_OPTIONS, E2BIG, "%s can be given %u times at most", arg->option, most);
    return text(arg, what, &list[(*count)++]);
}

RARE static bool set_controller(const struct argument *arg)
{
    struct options *options = arg->options;

    return add_text(arg, "a controller's name", options->controllers, &options->controller_count, CONTROLLER_MOST);
}

RARE static bool set_set(const struct argument *arg)
{
    return add_text(arg, "KEY=VALUE", arg->options->sets, &arg->options->set_count, SETTINGS_MOST);
}

RARE static bool set_check(const struct argument *arg)
{
    arg->options->check = true;
    return true;
}

RARE static bool set_clean(const struct argument *arg)
{
    arg->options->clean = true;
    return true;
}

RARE static bool set_without(const struct argument *arg)
{
    static const char *const names[] =
        {[WITHOUT_CLONE_INTO_CGROUP] = "clone-into-cgroup", [WITHOUT_CGROUP_KILL] = "cgroup.kill"};
    unsigned which = choice(arg, names, sizeof names / sizeof names[0], "clone-into-cgroup or cgroup.kill");

    arg->options->without |= which;
    return which != 0;
}

static const struct option {
    const char *name;
    char letter;
    bool takes_value;
    bool (*set)(const struct argument *arg);
} table[] = {
    {"help", 'h', false, set_help},
    {"version", 'V', false, set_version},
    {"port", 0, false, set_port},
    {"delay-to-sigkill", 'k', true, set_delay},
    {"stop-signal", 0, true, set_stop_signal},
    {"stop-command", 0, true, set_stop_command},
    {"stdio-window", 0, true, set_window},
    {"tell-ends", 0, false, set_tell_ends},
    {"stdin", 0, true, set_stdin},
    {"stdout", 0, true, set_stdout},
    {"stderr", 0, true, set_stderr},
    {"pty", 0, true, set_pty},
    {"pty-mode", 0, true, set_pty_mode},
    {"uid", 0, true, set_uid},
    {"gid", 0, true, set_gid},
    {"groups", 0, true, set_groups},
    {"arg0", 0, true, set_arg0},
    {"cd", 0, true, set_cd},
    {"setenv", 0, true, set_setenv},
    {"unsetenv", 0, true, set_unsetenv},
    {"keepenv", 0, true, set_keepenv},
    {"clear-env", 0, false, set_clear_env},
    {"rlimit", 0, true, set_rlimit},
    {"nice", 0, true, set_nice},
    {"umask", 0, true, set_umask},
    {"cpus", 0, true, set_cpus},
    {"oom-score-adj", 0, true, set_oom_score_adj},
    {"no-new-privs", 0, false, set_no_new_privs},
    {"attach", 0, true, set_attach},
    {"lock", 0, true, set_lock},
    {"lock-timeout", 0, true, set_lock_timeout},
    {"group", 'g', true, set_group},
    {"path", 'p', true, set_group},
    {"controller", 'c', true, set_controller},
    {"set", 's', true, set_set},
    {"check", 0, false, set_check},
    {"clean", 0, false, set_clean},
    {"without", 0, true, set_without},
    {"fresh", 0, true, set_fresh},
};

static const struct option *by_name(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0)
            return &table[i];
    return NULL;
}

static const struct option *by_letter(char letter)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].letter == letter)
            return &table[i];
    return NULL;
}

/* The value of --pty may be left out. As an argument of its own it is one if it looks like one. */
static bool may_lack_value(const struct option *option, const char *next)
{
    if (option->set != set_pty)
        return false;
    return !next || next[strspn(next, "0123456789")] != 'x' || next[strspn(next, "0123456789x")] != '\0';
}

/* Takes the option at argv[*at], with the next argument as its value where it needs one, and moves on behind it. */
static bool parse_option(struct options *options, const char *const argv[], int *at, struct failure *why)
{
    const char *given = argv[(*at)++];
    bool is_long = given[1] == '-';
    const char *equals = is_long ? strchr(given, '=') : NULL;
    const struct option *option =
        is_long ? by_name(given + 2, equals ? (size_t)(equals - given) - 2 : strlen(given + 2)) : by_letter(given[1]);
    const char *attached = is_long ? (equals ? equals + 1 : NULL) : (given[2] ? given + 2 : NULL);
    struct argument arg = {.options = options, .option = given, .value = attached, .why = why};
    char shown[64];

    if (!option)
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "unknown option '%s'; muontrap --help lists those there are, and -- comes before a program whose "
                      "name begins with -",
                      given);
    if (!option->takes_value && attached && option->set != set_port)
        return failed(why, STAGE_OPTIONS, EINVAL, "'%s': --%s takes no value", given, option->name);
    if (option->takes_value && !attached && !may_lack_value(option, argv[*at])) {
        if (!argv[*at])
            return failed(why, STAGE_OPTIONS, EINVAL, "%s needs a value after it", given);
        arg.value = argv[(*at)++];
    }
    shown[0] = shown[1] = '-';
    format(shown + 2, sizeof shown - 2, "%s", option->name);
    arg.option = shown;
    return option->set(&arg);
}

bool options_same_variable(const char *a, const char *b)
{
    size_t size = strcspn(a, "=");

    return size == strcspn(b, "=") && memcmp(a, b, size) == 0;
}

/* Without --port the owner is whoever sees our standard input and output, and nothing is relayed. */
static bool settle_without_port(const struct options *options, struct failure *why)
{
    if (options->stdout_mode == OUTPUT_RELAY || options->stderr_mode == OUTPUT_RELAY)
        return failed(why, STAGE_OPTIONS, EINVAL, "--stdout relay and --stderr relay can be had only with --port");
    if (options->stdin_mode == STDIN_RELAY)
        return failed(why, STAGE_OPTIONS, EINVAL, "--stdin relay can be had only with --port");
    if (options->tells_ends)
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "--tell-ends can be had only with --port: without it nothing is relayed");
    if (options->stdio_window != 0)
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "--stdio-window can be had only with --port: without it nothing is relayed");
    return true;
}

static bool settle_with_port(const struct options *options, struct failure *why)
{
    if (options->stdin_mode == STDIN_INHERIT || options->stdin_mode == STDIN_LIFELINE)
        return failed(why, STAGE_OPTIONS, EINVAL, "--stdin %s can't be had with --port: standard input is frames then",
                      stdin_modes[options->stdin_mode]);
    if (options->stdout_mode == OUTPUT_INHERIT)
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "--stdout inherit can't be had with --port: standard output is frames then");
    return true;
}

/* What the program writes to its terminal is one stream, and what it reads there has one source. */
static bool settle_pty(const struct options *options, struct failure *why)
{
    if (options->stdin_mode == STDIN_FILE)
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "--stdin file:%s can't be had with --pty, where the terminal is standard input",
                      options->stdin_file);
    if (options->stdout_mode == OUTPUT_RELAY || options->stderr_mode == OUTPUT_RELAY)
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "--stdout relay and --stderr relay can't be had with --pty: the terminal is standard output and "
                      "error, and they are one stream");
    return true;
}

/* Two descriptors of one file that were opened apart write over each other, unless both write at its end. */
static bool writes_over(const struct options *options)
{
    return options->stdout_mode == OUTPUT_FILE && options->stderr_mode == OUTPUT_FILE &&
           strcmp(options->stdout_file.path, options->stderr_file.path) == 0 &&
           !(options->stdout_file.append && options->stderr_file.append);
}

static enum output_mode settled(const struct options *options, enum output_mode mode)
{
    if (mode != OUTPUT_AUTO)
        return mode;
    if (options->pty)
        return OUTPUT_TERMINAL;
    return options->port ? OUTPUT_RELAY : OUTPUT_INHERIT;
}

/* What is not said is decided here, and what makes no sense together is refused. */
static bool settle_stdio(struct options *options, struct failure *why)
{
    if (!(options->port ? settle_with_port(options, why) : settle_without_port(options, why)))
        return false;
    if (options->pty && !settle_pty(options, why))
        return false;
    if (!options->pty && options->pty_mode_count > 0)
        return failed(why, STAGE_OPTIONS, EINVAL, "--pty-mode needs --pty");
    if (writes_over(options))
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "--stdout and --stderr would write over each other in '%s': say --stderr stdout, or file,append "
                      "for both",
                      options->stdout_file.path);
    options->stdout_mode = settled(options, options->stdout_mode);
    options->stderr_mode = settled(options, options->stderr_mode);
    return true;
}

/* The option that makes no sense without a cgroup; NULL without one. */
static const char *cgroup_option(const struct options *options)
{
    if (options->clean)
        return "clean";
    if (options->check)
        return NULL; /* there is a path for that */
    if (options->set_count > 0)
        return "set";
    return options->controller_count > 0 ? "controller" : NULL;
}

static bool settle_program(struct options *options, struct failure *why)
{
    if (!options->program[0])
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "no program to run: the usage is muontrap [OPTION]... [--] PROGRAM [ARG]...");
    if (options->program[0][0] == '\0')
        return failed(why, STAGE_OPTIONS, ENOENT, "the program's name is an empty string");
    options->file = options->program[0];
    if (options->arg0)
        options->program[0] = (char *)(uintptr_t)options->arg0; /* execve(2) doesn't write to it */
    return true;
}

/* The first option that a process which runs already can't heed any more; NULL without one. */
RARE static const char *option_of_start(const struct options *options)
{
    const struct {
        bool given;
        const char *name;
    } starts[] = {
        {options->uid != NULL, "--uid"},
        {options->gid != NULL, "--gid"},
        {options->groups != NULL, "--groups"},
        {options->cd != NULL, "--cd"},
        {options->arg0 != NULL, "--arg0"},
        {options->setenv_count > 0, "--setenv or --unsetenv"},
        {options->clears_env, "--clear-env"},
        {options->attributes.any, "--rlimit, --nice, --umask, --cpus, --oom-score-adj or --no-new-privs"},
        {options->lock != NULL, "--lock"},
        {options->pty, "--pty"},
        {options->stdin_mode == STDIN_FILE || options->stdin_mode == STDIN_RELAY, "--stdin file or relay"},
        {options->stdout_mode != OUTPUT_AUTO, "--stdout"},
        {options->stderr_mode != OUTPUT_AUTO, "--stderr"},
        {options->tells_ends, "--tell-ends"},
        {options->stdio_window != 0, "--stdio-window"},
    };

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (starts[i].given)
            return starts[i].name;
    return NULL;
}

RARE static bool settle_attach(const struct options *options, struct failure *why)
{
    const char *start = option_of_start(options);

    if (options->program[0])
        return failed(why, STAGE_OPTIONS, EINVAL, "--attach takes a process that runs, and no program such as '%s'",
                      options->program[0]);
    if (start)
        return failed(why, STAGE_OPTIONS, EINVAL, "%s can't be had with --attach, for that process has started already",
                      start);
    return true;
}

static void settle_stop(struct options *options)
{
    if (options->step_count == 0)
        options->steps[options->step_count++] = (struct stop_step){.signal = SIGTERM, .ms = STEP_DELAY};
    for (unsigned i = 0; i < options->step_count; i++)
        if (options->steps[i].ms == STEP_DELAY)
            options->steps[i].ms = options->delay_to_sigkill;
}

static bool settle(struct options *options, struct failure *why)
{
    const char *lost = options->group ? NULL : cgroup_option(options);

    if (lost)
        return failed(why, STAGE_OPTIONS, EINVAL, "--%s needs a cgroup: say which with --group PATH", lost);
    if (options->clean && options->auto_group)
        return failed(why, STAGE_OPTIONS, EINVAL,
                      "--clean takes the path of the cgroup that a killed muontrap has left, not auto");
    if (options->lock_timeout != LOCK_FOREVER && !options->lock)
        return failed(why, STAGE_OPTIONS, EINVAL, "--lock-timeout needs a lock: say which with --lock FILE");
    if (options->attach != 0 && !settle_attach(options, why))
        return false;
    if ((options->check || options->clean) && options->program[0])
        return failed(why, STAGE_OPTIONS, EINVAL, "--%s runs no program: leave out '%s'",
                      options->check ? "check" : "clean", options->program[0]);
    settle_stop(options);
    if (!settle_stdio(options, why))
        return false;
    return options->check || options->clean || options->waits || options->attach != 0 || settle_program(options, why);
}

/* POSIX, Utility Conventions, guidelines 9 and 10: options come before the operands, and -- ends them. */
bool options_parse(struct options *options, int argc, char *argv[], struct failure *why)
{
    int at = argc > 0 ? 1 : 0;

    memset(options, 0, sizeof *options);
    options->delay_to_sigkill = DELAY_TO_SIGKILL_DEFAULT;
    options->lock_timeout = LOCK_FOREVER;
    while (argv[at] && argv[at][0] == '-' && argv[at][1] != '\0') {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (!parse_option(options, (const char *const *)argv, &at, why))
            return false;
        if (options->help || options->version)
            return true;
    }
    options->program = argv + at;
    options->waits = argc == 2 && options->port;
    return settle(options, why);
}
