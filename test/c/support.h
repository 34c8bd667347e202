/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What every test program needs: CMocka, a deadline for each test, waits for events, and a guardian that fails the
 * program when it has left a process behind.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <sys/types.h>

#define TEST_SECONDS 300u     /* a test that takes longer hangs */
#define LONG_ENOUGH_MS 250000 /* so long is an event waited for, so that the test can say which failed to come */

#ifdef PORTABLE
#define IS_PORTABLE 1
#else
#define IS_PORTABLE 0
#endif

/* Runs the tests in a process of their own, in which SIGPIPE is ignored as in the VM. What they leave behind is killed
 * and makes them fail. Returns the exit status. */
int run_guarded(int (*tests)(void));

/* Each test begins with its alarm set and ends with it off. */
int begin_test(void **state);
int end_test(void **state);
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin_test, end_test)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A test that can't be done here is said to be left out, never passed over in silence. */
#define LEAVE_OUT(reason)                                                                                              \
    do {                                                                                                               \
        print_message("[ LEFT OUT ] %s: %s\n", __func__, reason);                                                      \
        skip();                                                                                                        \
    } while (0)
#define LINUX_ONLY()                                                                                                   \
    do {                                                                                                               \
        if (IS_PORTABLE)                                                                                               \
            LEAVE_OUT("the portable build contains process groups only");                                              \
    } while (0)
#define ROOT_ONLY()                                                                                                    \
    do {                                                                                                               \
        if (geteuid() != 0)                                                                                            \
            LEAVE_OUT("needs root");                                                                                   \
    } while (0)
#define ORDINARY_USER_ONLY()                                                                                           \
    do {                                                                                                               \
        if (geteuid() == 0)                                                                                            \
            LEAVE_OUT("needs an ordinary user");                                                                       \
    } while (0)

/* Waits until it can be read or has ended. */
void await_readable(int fd);
/* Whether it can be read, or has ended, at this moment. */
bool readable_now(int fd);
/* Waits until all holders of its other end are gone, and returns how many bytes they had written before. */
size_t await_end(int fd);
/* Reads exactly so many bytes. */
void read_exactly(int fd, void *bytes, size_t size);
/* Reads to the end, up to size - 1 bytes, and ends them with a NUL. Closes it. */
size_t read_text(int fd, char *text, size_t size);

/* The slice of a process in nanoseconds, 0 for the calling one; 0 where it can't be asked for, as before Linux 6.12. */
uint64_t slice_of(pid_t pid);
/* Whether the calling process is as any other now, with no right to a better priority. There is no way back for it. */
bool lose_priority(void);

bool is_alive(pid_t pid);
void await_death(pid_t pid);
/* For what may never happen, and then should not take all the time there is. */
bool dies_within(pid_t pid, int milliseconds);

/* A directory of the test's own, which end_test() removes with all in it. */
const char *own_directory(void);
/* The path of a file in it; three of them can be used at a time. */
const char *own_path(const char *name);
const char *own_file(const char *name, const char *content, mode_t mode);

/* The program whose misdeeds are trouble.c's, and the helper under test. */
const char *trouble_path(void);
const char *muontrap_path(void);

#endif
