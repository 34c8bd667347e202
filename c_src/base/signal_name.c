/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE /* the signals that POSIX lacks */
#include "base/signal_name.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

struct named {
    char name[8];
    int signal;
};

/* POSIX, <signal.h>, and what Linux and the BSDs have beside that. Their numbers differ between processors. */
static const struct named names[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT},     {"BUS", SIGBUS},     {"FPE", SIGFPE},   {"KILL", SIGKILL}, {"USR1", SIGUSR1},
    {"SEGV", SIGSEGV},     {"USR2", SIGUSR2},   {"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD},     {"CONT", SIGCONT},   {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},     {"URG", SIGURG},     {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF},     {"WINCH", SIGWINCH}, {"SYS", SIGSYS},
#ifdef SIGIO
    {"IO", SIGIO},         {"POLL", SIGIO},
#endif
#ifdef SIGPWR
    {"PWR", SIGPWR},
#endif
#ifdef SIGSTKFLT
    {"STKFLT", SIGSTKFLT},
#endif
};

#define NAMES (sizeof names / sizeof names[0])

/* The highest number that a signal can have. */
#ifdef SIGRTMAX
#define SIGNAL_MOST SIGRTMAX
#else
#define SIGNAL_MOST 31
#endif

static int by_number(const char *text, size_t size)
{
    int number = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || number > SIGNAL_MOST)
            return -1;
        number = number * 10 + (text[i] - '0');
    }
    return size > 0 && number >= 1 && number <= SIGNAL_MOST ? number : -1;
}

int signal_by_name(const char *text, size_t size)
{
    if (size > 3 && strncasecmp(text, "SIG", 3) == 0) {
        text += 3;
        size -= 3;
    }
    for (size_t i = 0; i < NAMES; i++)
        if (strlen(names[i].name) == size && strncasecmp(text, names[i].name, size) == 0)
            return names[i].signal;
    return by_number(text, size);
}

const char *signal_name(int signal)
{
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].signal == signal)
            return names[i].name;
    return NULL;
}
