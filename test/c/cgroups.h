/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of cgroups share: a cgroup of each test's own, in which it makes others. Where cgroup2 is mounted is
 * read here again, not with cgroup_files.c, so that both have to be right.
 */
#ifndef TEST_CGROUPS_H
#define TEST_CGROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Makes the test's own cgroup, below CGROUP_BASE where that is set. Leaves the test out where that can't be done, and
 * fails it there if CGROUPS_NEEDED is set. */
#define OWN_CGROUP()                                                                                                   \
    do {                                                                                                               \
        LINUX_ONLY();                                                                                                  \
        if (!begin_cgroups())                                                                                          \
            LEAVE_OUT("needs to make cgroups; make test-cgroups does it in a virtual machine");                        \
    } while (0)
bool begin_cgroups(void);

/* Whether that cgroup has that file, which depends on the kernel. */
bool has_file(const char *cgroup, const char *file);

/* Each test of cgroups ends with this: fails it when anything is left in its own cgroup, which goes with all below. */
int end_cgroups(void **state);
#define CGROUP_TEST(function) cmocka_unit_test_setup_teardown(function, begin_test, end_cgroups)

/* Paths relative to the mount, of cgroups in the test's own; eight of them can be used at a time. */
const char *in_own(const char *name);
/* The same cgroup's directory, or a file in it. */
const char *path_of(const char *cgroup, const char *file);

void make_cgroup(const char *cgroup);
bool there_is(const char *cgroup);
void assert_file(const char *cgroup, const char *file, const char *expected);
/* Of a file whose changes nobody tells. */
void await_file(const char *cgroup, const char *file, const char *expected);
void write_file(const char *cgroup, const char *file, const char *value);
/* Of a flat keyed file. */
unsigned long long number_in(const char *cgroup, const char *file, const char *key);

/* Waits until it is there, that is not 0, or until it isn't, in a file of whose changes poll(2) tells. */
bool await_number(const char *cgroup, const char *file, const char *key, bool there);

/* Where that process is, relative to the mount. */
const char *cgroup_of(pid_t pid);

/* Moves the process there. */
void put_in(const char *cgroup, pid_t pid);

/* A child that stays until it is killed, in that cgroup; what is dead is reaped by its parent. */
pid_t stay_in(const char *cgroup);

#endif
