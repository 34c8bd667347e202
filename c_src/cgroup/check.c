/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "cgroup/cgroup.h"
#include "cgroup/controllers.h"

struct check {
    const char *path;
    char mount[CGROUP_MOUNT_MOST];
    char own[1024];    /* our own cgroup, relative to the mount, "" for its root */
    char offered[256]; /* the controllers, by the root */
    const char *sudo;  /* what a command of root's begins with */
    struct controllers controllers;
};

__attribute__((format(printf, 2, 3))) static void line(const char *start, const char *words, ...)
{
    char text[2048];
    size_t size = strlen(start);
    va_list args;

    format(text, sizeof text, "%s", start);
    va_start(args, words);
    format_list(text + size, sizeof text - size - 1, words, args);
    va_end(args);
    size = strlen(text);
    text[size] = '\n';
    (void)io_write_all(STDOUT_FILENO, text, size + 1);
}

#define OK "ok: "
#define MISSING "missing: "
#define COMMAND "    "

/* ---- The mount ---- */

struct v1 {
    const char *controller;
    char mount[CGROUP_MOUNT_MOST];
    bool found;
};

static bool is_v1_with_controller(const char *text, void *context)
{
    struct v1 *v1 = context;

    v1->found = cgroup_v1_mount_of(text, v1->controller, v1->mount);
    return !v1->found;
}

static bool is_v1(const char *text, void *context)
{
    bool *found = context;

    *found = strstr(text, " - cgroup ") != NULL;
    return !*found;
}

/* They mostly lie below a file system of their own on /sys/fs/cgroup, which another one there would hide. */
static bool v1_is_there(void)
{
    bool found = false;

    return cgroup_mounts(is_v1, &found) && found;
}

static bool check_mount(struct check *check)
{
    struct statvfs found;

    if (!cgroup_mount_find(check->mount)) {
        line(MISSING, "no cgroup2 file system is mounted");
        if (v1_is_there())
            line(COMMAND,
                 "%ssh -c 'mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified'",
                 check->sudo);
        else
            line(COMMAND, "%smount -t cgroup2 cgroup2 /sys/fs/cgroup", check->sudo);
        return false;
    }
    if (statvfs(check->mount, &found) == 0 && (found.f_flag & ST_RDONLY) != 0) {
        line(MISSING, "cgroup2 is mounted on %s, but read-only", check->mount);
        line(COMMAND, "%smount -o remount,rw %s", check->sudo, check->mount);
        return false;
    }
    line(OK, "cgroup2 is mounted on %s", check->mount);
    return true;
}

/* The line "0::/path" (cgroups(7), /proc/pid/cgroup). */
static void find_own(struct check *check)
{
    char text[2048];
    const char *at = text;
    size_t size;

    if (!cgroup_read(AT_FDCWD, "/proc/self/cgroup", text, sizeof text))
        return;
    while (at && strncmp(at, "0::/", 4) != 0) {
        at = strchr(at, '\n');
        at = at ? at + 1 : NULL;
    }
    if (!at)
        return;
    size = strcspn(at + 4, "\n");
    format(check->own, sizeof check->own, "%.*s", (int)size, at + 4);
}

/* ---- What the kernel offers at the root ---- */

static bool check_kernel(struct check *check, int root)
{
    bool all = true;

    (void)cgroup_read(root, "cgroup.controllers", check->offered, sizeof check->offered);
    check->offered[strcspn(check->offered, "\n")] = '\0';
    line(OK, "controllers: %s",
         check->offered[0] ? check->offered : "none, so programs can be contained, but not limited");
    for (unsigned i = 0; i < check->controllers.count; i++) {
        const char *name = check->controllers.list[i].name;
        struct v1 v1 = {.controller = name};

        if (cgroup_has_word(check->offered, name))
            continue;
        all = false;
        if (cgroup_mounts(is_v1_with_controller, &v1) && v1.found) {
            line(MISSING,
                 "the controller %s is in use by cgroup v1; unmounted there, it is v2's when nothing else uses it",
                 name);
            /* The kernel hands it over a moment after the last user of the hierarchy has let go. */
            line(COMMAND, "%sumount %s && sleep 1", check->sudo, v1.mount);
        } else {
            line(MISSING,
                 "the kernel doesn't offer the controller %s (/proc/cgroups says whether it is built in; if it is, the "
                 "kernel's command line may disable it)",
                 name);
        }
    }
    return all;
}

/* ---- The way down ---- */

static bool may_write(int directory, const char *name)
{
    return faccessat(directory, name, W_OK, AT_EACCESS) == 0;
}

/* How much of the path is there. */
static size_t reach(const struct check *check, int root)
{
    char part[1024 + 1];
    size_t reached = 0;

    for (size_t end = strcspn(check->path, "/");; end += 1 + strcspn(check->path + end + 1, "/")) {
        int fd;

        format(part, sizeof part, "%.*s", (int)end, check->path);
        fd = cgroup_directory(root, part);
        if (fd < 0)
            return reached;
        (void)close(fd);
        reached = end;
        if (check->path[end] == '\0')
            return reached;
    }
}

static void add_name(char names[256], const char *name)
{
    size_t size = strlen(names);

    format(names + size, 256 - size, "%s%s", size > 0 ? "," : "", name);
}

/* The whole remedy of an ordinary user, who owns nothing there yet. Who has named no controllers gets those that
 * programs are mostly limited by. */
static void give(const struct check *check)
{
    static const char *const usual[] = {"cpu", "memory", "pids"};
    char names[256] = "";
    size_t first = strcspn(check->path, "/");

    for (unsigned i = 0; i < check->controllers.count; i++)
        add_name(names, check->controllers.list[i].name);
    for (size_t i = 0; check->controllers.count == 0 && i < sizeof usual / sizeof usual[0]; i++)
        if (cgroup_has_word(check->offered, usual[i]))
            add_name(names, usual[i]);
    /* cgroup-v2.rst, "Model of Delegation": these files and no others. */
    if (names[0])
        line(COMMAND, "sudo cgcreate -a $(id -un) -t $(id -un) -g %s:%.*s", names, (int)first, check->path);
    else
        line(COMMAND,
             "sudo sh -c 'mkdir -p %s/%.*s && cd %s/%.*s && chown '$(id -un)' . cgroup.procs cgroup.subtree_control "
             "cgroup.threads'",
             check->mount, (int)first, check->path, check->mount, (int)first, check->path);
}

static bool check_making(const struct check *check, int root, size_t reached)
{
    char place[1024 + 1];

    format(place, sizeof place, "%.*s", (int)reached, check->path);
    if (reached == strlen(check->path)) {
        line(OK, "%s/%s is there", check->mount, check->path);
        return true;
    }
    if (may_write(root, reached > 0 ? place : ".")) {
        line(OK, "cgroups may be made in %s%s%s", check->mount, reached > 0 ? "/" : "", place);
        return true;
    }
    line(MISSING, "cgroups may not be made in %s%s%s", check->mount, reached > 0 ? "/" : "", place);
    give(check);
    return false;
}

/* At one level above the cgroup: whether each controller is enabled for what is below it, or may be. */
static bool check_level(const struct check *check, int directory, size_t level)
{
    const char *slash = level > 0 ? "/" : "";
    char enabled[256];
    bool fine = true;
    bool inhabited;

    if (!cgroup_read(directory, "cgroup.subtree_control", enabled, sizeof enabled))
        enabled[0] = '\0';
    inhabited = controllers_inhabited(directory);
    for (unsigned i = 0; i < check->controllers.count; i++) {
        const char *name = check->controllers.list[i].name;

        if (cgroup_has_word(enabled, name))
            continue;
        if (inhabited) {
            line(MISSING, "the controller %s can't be enabled below %s%s%.*s while processes are in that cgroup itself",
                 name, check->mount, slash, (int)level, check->path);
            line(COMMAND,
                 "%ssh -c 'cd %s%s%.*s && mkdir -p inhabitants && while read p; do echo $p >inhabitants/cgroup.procs; "
                 "done <cgroup.procs'",
                 check->sudo, check->mount, slash, (int)level, check->path);
            return false;
        }
        if (may_write(directory, "cgroup.subtree_control"))
            continue;
        fine = false;
        line(MISSING, "the controller %s is not enabled below %s%s%.*s", name, check->mount, slash, (int)level,
             check->path);
        line(COMMAND, "sudo sh -c 'echo +%s >%s%s%.*s/cgroup.subtree_control'", name, check->mount, slash, (int)level,
             check->path);
    }
    return fine;
}

/* From the root down to what is above the cgroup, as far as that is there. */
static bool check_levels(const struct check *check, int root, size_t reached)
{
    const char *last = strrchr(check->path, '/');
    size_t above = last ? (size_t)(last - check->path) : 0;
    char place[1024 + 1];
    bool fine = check_level(check, root, 0);

    for (size_t end = strcspn(check->path, "/"); end <= reached && end <= above && check->path[end] != '\0';
         end += 1 + strcspn(check->path + end + 1, "/")) {
        int fd;

        format(place, sizeof place, "%.*s", (int)end, check->path);
        fd = cgroup_directory(root, place);
        if (fd >= 0 && !check_level(check, fd, end))
            fine = false;
        io_close(&fd);
    }
    if (fine && check->controllers.count > 0)
        line(OK, "the controllers are enabled on the way to %s/%s, or may be", check->mount, check->path);
    return fine;
}

/* ---- Starting a process there ---- */

/* cgroup-v2.rst, "Delegation Containment": who isn't root may bring a process from one cgroup into another only when
 * he may write the cgroup.procs of the one that both lie in, too. */
static bool check_moving(const struct check *check, int root)
{
    size_t common = 0;
    char place[1024 + 16];

    for (size_t i = 0;; i++) {
        bool own_ends = check->own[i] == '\0' || check->own[i] == '/';
        bool path_ends = check->path[i] == '\0' || check->path[i] == '/';

        if (own_ends && path_ends)
            common = i;
        if (check->own[i] == '\0' || check->own[i] != check->path[i])
            break;
    }
    format(place, sizeof place, "%.*s%scgroup.procs", (int)common, check->path, common > 0 ? "/" : "");
    if (may_write(root, place)) {
        line(OK, "processes may be moved from %s/%s to %s/%s", check->mount, check->own, check->mount, check->path);
        return true;
    }
    if (!strchr(check->path, '/')) {
        line(MISSING,
             "a process of %s/%s may not be moved to %s/%s, because %s/%s can't be written: for who is not root it "
             "takes a path with a part more, as %s/program",
             check->mount, check->own, check->mount, check->path, check->mount, place, check->path);
        return false;
    }
    line(MISSING,
         "a process of %s/%s may not be moved to %s/%s, because %s/%s can't be written: what starts muontrap "
         "has to be in a cgroup beside it",
         check->mount, check->own, check->mount, check->path, check->mount, place);
    line(COMMAND, "sudo sh -c 'mkdir -p %s/%.*s/callers && echo %ld >%s/%.*s/callers/cgroup.procs'", check->mount,
         (int)strcspn(check->path, "/"), check->path, (long)getppid(), check->mount, (int)strcspn(check->path, "/"),
         check->path);
    return false;
}

/* The errno of a process that could not be started there; 0 of one that could, -1 of one that was killed. */
static int start_in(const struct cgroup *cgroup, bool inside)
{
    int status;
    pid_t pid = cgroup_fork(cgroup, &inside);

    if (pid == 0)
        _exit(inside || cgroup_enter(cgroup) ? 0 : errno);
    if (pid < 0)
        return errno;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The proof. */
static bool try_it(const struct check *check, const struct options *options)
{
    static struct cgroup cgroup;
    struct failure why;
    int error;

    if (!cgroup_open(&cgroup, options, &why)) {
        line(MISSING, "%s", why.words);
        return false;
    }
    error = start_in(&cgroup, true);
    if (error < 0)
        error = start_in(&cgroup, false);
    if (error != 0)
        (void)cgroup_explain(&cgroup, error > 0 ? error : ECHILD, &why);
    if (cgroup_remove(&cgroup, &why) && error == 0) {
        line(OK, "a process was started in %s/%s", check->mount, check->path);
        return true;
    }
    line(MISSING, "%s", why.words);
    return false;
}

int check_run(struct options *options)
{
    static struct check check;
    static struct settings settings;
    struct failure why;
    size_t reached;
    bool fine;
    int root;

    if (!options->group)
        options->group = CHECK_PATH;
    check.path = options->group;
    check.sudo = geteuid() == 0 ? "" : "sudo ";
    if (!cgroup_check_path(check.path, &why) || !legacy_translate(&settings, options->sets, options->set_count, &why) ||
        !controllers_gather(&check.controllers, options, &settings, &why)) {
        line(MISSING, "%s", why.words);
        return 1;
    }
    if (!check_mount(&check))
        return 1;
    find_own(&check);
    root = cgroup_directory(AT_FDCWD, check.mount);
    reached = reach(&check, root);
    fine = check_kernel(&check, root);
    fine = check_making(&check, root, reached) && fine;
    fine = check_levels(&check, root, reached) && fine;
    fine = check_moving(&check, root) && fine;
    io_close(&root);
    return fine && try_it(&check, options) ? 0 : 1;
}
