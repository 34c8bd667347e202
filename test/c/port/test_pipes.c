/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The shares and sizes of pipes, with real ones, as a user of whom there is nothing else: the kernel counts by user.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"
#include "base/platform.h"
#include "client.h"
#include "port/pipes.h"

/* The kernel counts what a real user id has made. The saved one is what the test gets back to root by. */
static void become_ordinary(void)
{
    uid_t uid = 2000000 + (uid_t)getpid();

    assert_int_equal(setresuid(uid, uid, 0), 0);
}

static void become_root(void)
{
    assert_int_equal(setresuid(0, 0, 0), 0);
    /* A change of user has cleared this, and without it the leak sanitizer can't look at this process (prctl(2)). */
    assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}

static int size_of(int fd)
{
    return fcntl(fd, F_GETPIPE_SZ);
}

static void sizes_are_powers_of_two_that_hold_the_window(void **state)
{
    (void)state;
    assert_int_equal(pipes_size_for(1), PIPES_LEAST);
    assert_int_equal(pipes_size_for(PIPES_LEAST), PIPES_LEAST);
    assert_int_equal(pipes_size_for(PIPES_LEAST + 1), 2 * PIPES_LEAST);
    assert_int_equal(pipes_size_for(PIPES_MOST), PIPES_MOST);
    assert_int_equal(pipes_size_for(UINT32_MAX), PIPES_MOST);
}

struct helper {
    struct pipes pipes;
    int ends[2];
    int fds[PIPES];
};

static void make_helper(struct helper *helper)
{
    *helper = (struct helper){.fds = {-1, -1, -1}};
    assert_true(io_pipe(helper->ends));
    helper->fds[0] = helper->ends[1];
}

static void end_helper(struct helper *helper)
{
    io_close(&helper->ends[0]);
    io_close(&helper->ends[1]);
    if (helper->pipes.share > 0)
        io_close(&helper->pipes.share);
}

static void no_more_grow_than_there_are_shares_and_who_ends_leaves_his(void **state)
{
    static struct helper helpers[200];
    unsigned grown = 0;
    unsigned shares = platform_pipe_bytes_most() / 4 / (PIPES * PIPES_MOST);

    (void)state;
    LINUX_ONLY();
    ROOT_ONLY();
    become_ordinary();
    for (unsigned i = 0; i < COUNT(helpers); i++) {
        make_helper(&helpers[i]);
        pipes_grow(&helpers[i].pipes, helpers[i].fds, 0);
        if (helpers[i].pipes.size == 0)
            assert_int_equal(size_of(helpers[i].ends[0]), PIPES_LEAST);
        else
            assert_int_equal(size_of(helpers[i].ends[0]), 2 * PIPES_LEAST);
        grown += helpers[i].pipes.size > 0;
    }
    assert_true(shares > 0);
    assert_int_equal(grown, shares);
    /* Its name is free again, but who was refused asks again only later. */
    end_helper(&helpers[0]);
    pipes_grow(&helpers[199].pipes, helpers[199].fds, PIPES_AGAIN_US - 1);
    assert_int_equal(helpers[199].pipes.size, 0);
    pipes_grow(&helpers[199].pipes, helpers[199].fds, PIPES_AGAIN_US);
    assert_int_equal(helpers[199].pipes.size, 2 * PIPES_LEAST);
    assert_true(pipes_shrink(&helpers[199].pipes, helpers[199].fds, PIPES_LEAST));
    assert_int_equal(size_of(helpers[199].ends[0]), PIPES_LEAST);
    assert_int_equal(helpers[199].pipes.share, 0);
    for (unsigned i = 1; i < COUNT(helpers); i++)
        end_helper(&helpers[i]);
    become_root();
}

/* pipe(7): over the limit an ordinary user's pipes don't grow, EPERM. */
static void at_the_kernels_limit_pipes_stay_as_they_are(void **state)
{
    static int others[1200][2];
    struct rlimit before;
    struct rlimit most;
    struct helper helper;
    unsigned made = 0;

    (void)state;
    LINUX_ONLY();
    ROOT_ONLY();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    most = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max < 4096 ? 4096 : before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &most), 0);
    become_ordinary();
    make_helper(&helper);
    do
        assert_true(made < COUNT(others) && io_pipe(others[made]));
    while (size_of(others[made++][0]) == (int)PIPES_LEAST);
    pipes_grow(&helper.pipes, helper.fds, 0);
    assert_int_equal(helper.pipes.size, 0);
    assert_int_equal(helper.pipes.share, 0);
    assert_int_equal(size_of(helper.ends[0]), PIPES_LEAST);
    end_helper(&helper);
    while (made-- > 0) {
        io_close(&others[made][0]);
        io_close(&others[made][1]);
    }
    become_root();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* ---- Many helpers that flood ---- */

#define FLOODING 200
#define ENOUGH (2u << 20) /* bytes: by then a window has grown to its most, if it ever will */

/* For a user who may not enter the directory of the helper under test. */
static void copy_helper(void)
{
    char command[4096];

    (void)snprintf(command, sizeof command, "cp '%s' '%s' && chmod 755 '%s' '%s'", muontrap_path(),
                   own_path("muontrap"), own_path("muontrap"), own_directory());
    assert_int_equal(system(command), 0);
    assert_int_equal(setenv("MUONTRAP", own_path("muontrap"), 1), 0);
}

/* A pipe that this user makes now. */
static int size_of_new_pipe(void)
{
    int ends[2];
    int size;

    assert_true(io_pipe(ends));
    size = size_of(ends[0]);
    io_close(&ends[0]);
    io_close(&ends[1]);
    return size;
}

/* One frame, acknowledged at once. */
static size_t take_frame(struct client *client)
{
    struct frame frame;

    assert_true(client_frame(client, &frame));
    if (frame.tag == 'P')
        client->program = 1;
    if (frame.tag != 'O' && frame.tag != 'o')
        return 0;
    client_ack(client, frame.size);
    return frame.size;
}

static void beside_programs_that_flood_new_pipes_keep_their_size(void **state)
{
    static struct client clients[FLOODING];
    unsigned grown = 0;
    char *helper;

    (void)state;
    LINUX_ONLY();
    ROOT_ONLY();
    helper = strdup(muontrap_path());
    copy_helper();
    become_ordinary();
    for (unsigned i = 0; i < FLOODING; i++) {
        START(&clients[i], "--", "cat", "/dev/zero");
        assert_int_equal(size_of(clients[i].out), PIPES_LEAST);
        while (clients[i].program == 0)
            (void)take_frame(&clients[i]);
    }
    /* One after the other has a fast reader. It keeps the size that its pipes have grown to. */
    for (unsigned i = 0; i < FLOODING; i++) {
        for (size_t size = 0; size < ENOUGH;)
            size += take_frame(&clients[i]);
        assert_int_equal(size_of_new_pipe(), PIPES_LEAST);
    }
    for (unsigned i = 0; i < FLOODING; i++)
        grown += size_of(clients[i].out) > (int)PIPES_LEAST;
    print_message("%u of %u have grown\n", grown, FLOODING);
    assert_in_range(grown, 1, platform_pipe_bytes_most() / 4 / (PIPES * PIPES_MOST));
    become_root();
    for (unsigned i = 0; i < FLOODING; i++)
        (void)client_leave(&clients[i]);
    assert_int_equal(setenv("MUONTRAP", helper, 1), 0);
    free(helper);
}

static int tests(void)
{
    const struct CMUnitTest all[] = {
        TEST(sizes_are_powers_of_two_that_hold_the_window),
        TEST(no_more_grow_than_there_are_shares_and_who_ends_leaves_his),
        TEST(at_the_kernels_limit_pipes_stay_as_they_are),
        TEST(beside_programs_that_flood_new_pipes_keep_their_size),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}

int main(void)
{
    return run_guarded(tests);
}
