/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define PATH_SIZE 1024

static char mount[PATH_SIZE / 4];
static char own[PATH_SIZE / 4];

static bool find_mount(void)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    const struct mntent *entry;

    assert_non_null(mounts);
    mount[0] = '\0';
    while (!mount[0] && (entry = getmntent(mounts)))
        if (strcmp(entry->mnt_type, "cgroup2") == 0)
            (void)snprintf(mount, sizeof mount, "%s", entry->mnt_dir);
    (void)endmntent(mounts);
    return mount[0] != '\0';
}

bool begin_cgroups(void)
{
    static unsigned tests;
    const char *base = getenv("CGROUP_BASE");
    bool made;

    (void)snprintf(own, sizeof own, "%s%smuontrap-test-%ld-%u", base ? base : "", base && *base ? "/" : "",
                   (long)getpid(), tests++);
    made = find_mount() && mkdir(path_of(own, ""), 0755) == 0;
    if (!made) {
        own[0] = '\0';
        if (getenv("CGROUPS_NEEDED"))
            fail_msg("no cgroup can be made: %s", strerror(errno));
    }
    return made;
}

/* What is read is no news any more, so it comes before the look. */
bool await_number(const char *cgroup, const char *file, const char *key, bool there)
{
    struct pollfd news = {.fd = open(path_of(cgroup, file), O_RDONLY | O_CLOEXEC), .events = POLLPRI};
    bool is_so = false;
    char text[512];

    assert_true(news.fd >= 0);
    do {
        if (pread(news.fd, text, sizeof text, 0) < 0)
            break;
        is_so = (number_in(cgroup, file, key) > 0) == there;
    } while (!is_so && poll(&news, 1, LONG_ENOUGH_MS) != 0);
    (void)close(news.fd);
    return is_so;
}

static int remove_directory(const char *path, const struct stat *found, int kind, struct FTW *where)
{
    (void)found;
    if (kind != FTW_DP)
        return 0;
    if (where->level > 0)
        print_message("left behind: %s\n", path);
    (void)rmdir(path);
    return 0;
}

bool has_file(const char *cgroup, const char *file)
{
    return access(path_of(cgroup, file), F_OK) == 0;
}

static int kill_members(const char *path, const struct stat *found, int kind, struct FTW *where)
{
    char file[PATH_SIZE + 32];
    FILE *members;
    long pid;

    (void)found;
    (void)where;
    if (kind != FTW_D)
        return 0;
    (void)snprintf(file, sizeof file, "%s/cgroup.procs", path);
    members = fopen(file, "re");
    while (members && fscanf(members, "%ld", &pid) == 1)
        (void)kill((pid_t)pid, SIGKILL);
    if (members)
        (void)fclose(members);
    return 0;
}

/* Linux has cgroup.kill from 5.14 on. Before, what is frozen doesn't fork while it is killed one by one. */
static void kill_all(const char *cgroup)
{
    if (has_file(cgroup, "cgroup.kill")) {
        write_file(cgroup, "cgroup.kill", "1");
        return;
    }
    write_file(cgroup, "cgroup.freeze", "1");
    if (number_in(cgroup, "cgroup.events", "populated") > 0)
        (void)await_number(cgroup, "cgroup.events", "frozen", true);
    (void)nftw(path_of(cgroup, ""), kill_members, 32, FTW_PHYS);
    write_file(cgroup, "cgroup.freeze", "0");
}

int end_cgroups(void **state)
{
    struct stat found;
    bool clean = true;

    if (own[0]) {
        assert_int_equal(stat(path_of(own, ""), &found), 0);
        clean = found.st_nlink == 2 && number_in(own, "cgroup.events", "populated") == 0;
        if (number_in(own, "cgroup.events", "populated") > 0)
            print_message("left behind: processes in %s\n", own);
        kill_all(own);
        (void)await_number(own, "cgroup.events", "populated", false); /* who is killed leaves in his own time */
        (void)nftw(path_of(own, ""), remove_directory, 32, FTW_DEPTH | FTW_PHYS);
        own[0] = '\0';
    }
    (void)end_test(state);
    return clean ? 0 : -1;
}

const char *in_own(const char *name)
{
    static char paths[8][PATH_SIZE / 2];
    static unsigned turn;
    char *path = paths[turn++ % COUNT(paths)];

    (void)snprintf(path, sizeof paths[0], "%s/%s", own, name);
    return path;
}

const char *path_of(const char *cgroup, const char *file)
{
    static char paths[4][PATH_SIZE];
    static unsigned turn;
    char *path = paths[turn++ % COUNT(paths)];

    (void)snprintf(path, sizeof paths[0], "%s/%s%s%s", mount, cgroup, *file ? "/" : "", file);
    return path;
}

void make_cgroup(const char *cgroup)
{
    if (mkdir(path_of(cgroup, ""), 0755) < 0)
        fail_msg("cannot make %s: %s", cgroup, strerror(errno));
}

bool there_is(const char *cgroup)
{
    return access(path_of(cgroup, ""), F_OK) == 0;
}

static const char *content_of(const char *path)
{
    static char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0)
        fail_msg("cannot open %s: %s", path, strerror(errno));
    size = read(fd, text, sizeof text - 1);
    (void)close(fd);
    assert_true(size >= 0);
    text[size] = '\0';
    return text;
}

void assert_file(const char *cgroup, const char *file, const char *expected)
{
    char with_end[256];

    (void)snprintf(with_end, sizeof with_end, "%s\n", expected);
    assert_string_equal(content_of(path_of(cgroup, file)), with_end);
}

void await_file(const char *cgroup, const char *file, const char *expected)
{
    char with_end[256];

    (void)snprintf(with_end, sizeof with_end, "%s\n", expected);
    for (int ms = 0; ms < LONG_ENOUGH_MS && strcmp(content_of(path_of(cgroup, file)), with_end) != 0; ms++)
        (void)poll(NULL, 0, 1);
    assert_file(cgroup, file, expected);
}

void write_file(const char *cgroup, const char *file, const char *value)
{
    int fd = open(path_of(cgroup, file), O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        fail_msg("cannot write '%s' to %s of %s: %s", value, file, cgroup, strerror(errno));
    (void)close(fd);
}

unsigned long long number_in(const char *cgroup, const char *file, const char *key)
{
    char wanted[64];
    char text[4097] = "\n";
    const char *at;

    (void)snprintf(wanted, sizeof wanted, "\n%s ", key);
    (void)snprintf(text + 1, sizeof text - 1, "%s", content_of(path_of(cgroup, file)));
    at = strstr(text, wanted);
    if (!at)
        fail_msg("there is no %s in %s of %s", key, file, cgroup);
    return strtoull(at + strlen(wanted), NULL, 10);
}

const char *cgroup_of(pid_t pid)
{
    static char found[PATH_SIZE];
    char path[64];
    const char *at;

    (void)snprintf(path, sizeof path, "/proc/%ld/cgroup", (long)pid);
    at = strstr(content_of(path), "0::/");
    assert_non_null(at);
    (void)snprintf(found, sizeof found, "%.*s", (int)strcspn(at, "\n") - 4, at + 4);
    return found;
}

void put_in(const char *cgroup, pid_t pid)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%ld", (long)pid);
    write_file(cgroup, "cgroup.procs", text);
    assert_string_equal(cgroup_of(pid), cgroup);
}

pid_t stay_in(const char *cgroup)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        for (;;)
            (void)pause();
    put_in(cgroup, pid);
    return pid;
}
