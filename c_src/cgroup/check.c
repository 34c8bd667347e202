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
#include "cgroup/delegation.h"
#include "cgroup/v1_users.h"
#include "port/report.h"
#include "program/child.h"

struct check {
    const char *path;
    char chosen[CGROUP_PATH_MOST + 1];
    char mount[CGROUP_MOUNT_MOST];
    char own[CGROUP_PATH_MOST + 1]; /* this process's own cgroup, relative to the mount; "" for the one mounted there */
    char offered[256];              /* the controllers that the root cgroup has */
    int root;                       /* the mount's directory */
    bool to_settle;                 /* --group auto would move the processes of `delegation` first */
    struct delegation delegation;
    const char *sudo; /* what a command that only root may run begins with: "sudo ", or "" for root */
    struct controllers controllers;
};

static int write_error; /* the errno of a line that could not be written */

__attribute__((format(printf, 2, 3))) static void print_line(const char *start, const char *words, ...)
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
    if (!io_write_all(STDOUT_FILENO, text, size + 1))
        write_error = errno;
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

/* Hierarchies of v1 are mostly mounted below a tmpfs on /sys/fs/cgroup, which a cgroup2 mounted there would hide. */
static bool has_v1_mount(void)
{
    bool found = false;

    return cgroup_mounts(is_v1, &found) && found;
}

/* mount(8) is refused to the root of a container, which lacks CAP_SYS_ADMIN or may not change what was mounted for it
 * (mount_namespaces(7), "Restrictions on mount namespaces"). */
static void print_read_only(const struct check *check)
{
    int root = cgroup_directory(AT_FDCWD, check->mount);

    if (root >= 0 && delegation_in_container(root)) {
        print_line(
            MISSING,
            "cgroup2 is mounted on %s, but read-only, as containers have it: who starts the container can have it "
            "writable for root, and then muontrap, or the VM, has to be root in it",
            check->mount);
        print_line(COMMAND, DELEGATION_UNMASK);
    } else {
        print_line(MISSING, "cgroup2 is mounted on %s, but read-only", check->mount);
        print_line(COMMAND, "%smount -o remount,rw %s", check->sudo, check->mount);
    }
    io_close(&root);
}

static bool check_mount(struct check *check)
{
    struct statvfs found;

    if (!cgroup_mount_find(check->mount)) {
        print_line(MISSING, "no cgroup2 file system is mounted");
        if (has_v1_mount())
            print_line(COMMAND,
                       "%ssh -c 'mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified'",
                       check->sudo);
        else
            print_line(COMMAND, "%smount -t cgroup2 cgroup2 /sys/fs/cgroup", check->sudo);
        return false;
    }
    if (statvfs(check->mount, &found) == 0 && (found.f_flag & ST_RDONLY) != 0) {
        print_read_only(check);
        return false;
    }
    print_line(OK, "cgroup2 is mounted on %s", check->mount);
    return true;
}

/* Which cgroup is to be examined: none when --group auto finds none. */
static bool choose_path(struct check *check, const struct options *options)
{
    struct failure why;

    if (!cgroup_find_own(check->mount, check->own))
        check->own[0] = '\0';
    check->path = options->group ? options->group : CHECK_PATH;
    if (options->group && !options->auto_group)
        return true;
    if (delegation_find(&check->delegation, check->mount, check->root, &why) &&
        delegation_name(&check->delegation, "check", check->chosen, &why)) {
        check->path = check->chosen;
        check->to_settle = !check->delegation.settled;
        print_line(OK, "--group auto makes programs' cgroups in %s/%.*s%s", check->mount,
                   (int)(strrchr(check->path, '/') - check->path), check->path,
                   check->to_settle ? ", and first moves the processes of the cgroup above to " DELEGATION_LEAF " there"
                                    : "");
        return true;
    }
    if (!options->auto_group)
        return true;
    check->path = NULL;
    print_line(MISSING, "%s", why.words);
    return false;
}

/* ---- What the kernel offers at the root ---- */

/* Who else has it, and what that means: kernel/cgroup/cgroup-v1.c, cgroup_kill_sb(), lets go of the controllers of a
 * hierarchy only when no cgroup is left in it. */
static void print_v1(const struct check *check, const char *name, const char *mount)
{
    static struct v1_users users;
    char users_words[700];

    v1_users_find(&users, mount);
    if (users.inhabited > 0)
        format(users_words, sizeof users_words,
               "%u cgroups there hold processes: %s%s; they would lose their limits, and v2 gets the controller only "
               "when these cgroups have been removed",
               users.inhabited, users.names, users.inhabited > users.named ? " and others" : "");
    else if (users.cgroups > 0)
        format(users_words, sizeof users_words,
               "%u cgroups there hold no process, but v2 gets the controller only when they have been removed",
               users.cgroups);
    else
        format(users_words, sizeof users_words, "no cgroup is there but the root");
    print_line(MISSING,
               "the controller %s is in use by cgroup v1, mounted on %s. Do without the limits that it makes, or boot "
               "with systemd.unified_cgroup_hierarchy=1 on the kernel's command line, with which all controllers are "
               "v2's. As the last resort unmount it, which takes it from all who use it: %s",
               name, mount, users_words);
    /* The kernel gives it to v2 a moment after the v1 hierarchy has lost its last user. */
    if (users.cgroups == 0)
        print_line(COMMAND, "%sumount %s && sleep 1", check->sudo, mount);
}

static bool check_kernel(struct check *check)
{
    bool all = true;

    (void)cgroup_read(check->root, "cgroup.controllers", check->offered, sizeof check->offered);
    check->offered[strcspn(check->offered, "\n")] = '\0';
    print_line(OK, "controllers: %s",
               check->offered[0] ? check->offered : "none, so programs can be contained, but not limited");
    for (unsigned i = 0; i < check->controllers.count; i++) {
        const char *name = check->controllers.list[i].name;
        struct v1 v1 = {.controller = name};

        if (cgroup_has_word(check->offered, name))
            continue;
        all = false;
        if (cgroup_mounts(is_v1_with_controller, &v1) && v1.found) {
            print_v1(check, name, v1.mount);
        } else if (!cgroup_is_whole_tree(check->root)) {
            print_line(MISSING,
                       "the cgroup that is mounted on %s, a container's, has not been given the controller %s: who "
                       "starts the container can enable it for what is above",
                       check->mount, name);
        } else {
            print_line(
                MISSING,
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

/* How many bytes of the path are there already. */
static size_t existing_part(const struct check *check)
{
    char part[1024 + 1];
    size_t reached = 0;

    for (size_t end = strcspn(check->path, "/");; end += 1 + strcspn(check->path + end + 1, "/")) {
        int fd;

        format(part, sizeof part, "%.*s", (int)end, check->path);
        fd = cgroup_directory(check->root, part);
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

/* Prints the command with which root gives an ordinary user a cgroup. If no controllers were named, it has those by
 * which programs are mostly limited. */
static void print_delegation(const struct check *check)
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
        print_line(COMMAND, "sudo cgcreate -a $(id -un) -t $(id -un) -g %s:%.*s", names, (int)first, check->path);
    else
        print_line(
            COMMAND,
            "sudo sh -c 'mkdir -p %s/%.*s && cd %s/%.*s && chown '$(id -un)' . cgroup.procs cgroup.subtree_control "
            "cgroup.threads'",
            check->mount, (int)first, check->path, check->mount, (int)first, check->path);
}

static bool check_directory(const struct check *check, size_t reached)
{
    char place[1024 + 1];

    format(place, sizeof place, "%.*s", (int)reached, check->path);
    if (reached == strlen(check->path)) {
        print_line(OK, "%s/%s is there", check->mount, check->path);
        return true;
    }
    if (may_write(check->root, reached > 0 ? place : ".")) {
        print_line(OK, "cgroups may be made in %s%s%s", check->mount, reached > 0 ? "/" : "", place);
        return true;
    }
    print_line(MISSING, "cgroups may not be made in %s%s%s", check->mount, reached > 0 ? "/" : "", place);
    print_delegation(check);
    return false;
}

/* Whether that is the cgroup whose processes --group auto moves away. */
static bool is_to_be_settled(const struct check *check, size_t level)
{
    const char *path = check->delegation.path;

    return check->to_settle && strlen(path) == level && strncmp(path, check->path, level) == 0;
}

/* The processes of a unit of systemd's are not for others to move, unless the unit is delegated. */
static void print_inhabited(const struct check *check, const char *name, size_t level)
{
    const char *slash = level > 0 ? "/" : "";
    char place[CGROUP_PATH_MOST + 1];
    struct failure why;

    format(place, sizeof place, "%.*s", (int)level, check->path);
    if (!delegation_permits(check->root, place, &why)) {
        print_line(
            MISSING,
            "the controller %s can't be enabled below %s%s%s while processes are in that cgroup itself, and these "
            "are not to be moved: %s. Name a cgroup that is not below it, or set Delegate=yes there and use "
            "--group auto (in Elixir cgroup_base: :auto)",
            name, check->mount, slash, place, why.words);
        return;
    }
    print_line(MISSING, "the controller %s can't be enabled below %s%s%s while processes are in that cgroup itself",
               name, check->mount, slash, place);
    print_line(COMMAND,
               "%ssh -c 'cd %s%s%s && mkdir -p inhabitants && while read p; do echo $p >inhabitants/cgroup.procs; done "
               "<cgroup.procs'",
               check->sudo, check->mount, slash, place);
}

/* Whether, in one directory above the cgroup, each controller is enabled for what is below it, or may be enabled. */
static bool check_level(const struct check *check, int directory, size_t level)
{
    const char *slash = level > 0 ? "/" : "";
    char enabled[256];
    bool fine = true;
    bool inhabited;

    if (!cgroup_read(directory, "cgroup.subtree_control", enabled, sizeof enabled))
        enabled[0] = '\0';
    inhabited = controllers_inhabited(directory) && !is_to_be_settled(check, level);
    for (unsigned i = 0; i < check->controllers.count; i++) {
        const char *name = check->controllers.list[i].name;

        if (cgroup_has_word(enabled, name))
            continue;
        if (inhabited) {
            print_inhabited(check, name, level);
            return false;
        }
        if (may_write(directory, "cgroup.subtree_control"))
            continue;
        fine = false;
        print_line(MISSING, "the controller %s is not enabled below %s%s%.*s", name, check->mount, slash, (int)level,
                   check->path);
        print_line(COMMAND, "sudo sh -c 'echo +%s >%s%s%.*s/cgroup.subtree_control'", name, check->mount, slash,
                   (int)level, check->path);
    }
    return fine;
}

/* The same for all directories above the cgroup that are there, from the root down. */
static bool check_levels(const struct check *check, size_t reached)
{
    const char *last = strrchr(check->path, '/');
    size_t above = last ? (size_t)(last - check->path) : 0;
    char place[1024 + 1];
    bool fine = check_level(check, check->root, 0);

    for (size_t end = strcspn(check->path, "/"); end <= reached && end <= above && check->path[end] != '\0';
         end += 1 + strcspn(check->path + end + 1, "/")) {
        int fd;

        format(place, sizeof place, "%.*s", (int)end, check->path);
        fd = cgroup_directory(check->root, place);
        if (fd >= 0 && !check_level(check, fd, end))
            fine = false;
        io_close(&fd);
    }
    if (fine && check->controllers.count > 0)
        print_line(OK, "the controllers are enabled on the way to %s/%s, or may be", check->mount, check->path);
    return fine;
}

/* ---- Starting a process there ---- */

/* cgroup-v2.rst, "Delegation Containment": an ordinary user may move a process from one cgroup into another only when
 * the user may also write the cgroup.procs of the nearest cgroup that both lie in. */
static bool check_migration(const struct check *check)
{
    size_t common = 0;
    char place[1024 + 16];
    char callers[CGROUP_MOUNT_MOST + CGROUP_PART_SIZE];
    char move[1200];

    for (size_t i = 0;; i++) {
        bool own_ends = check->own[i] == '\0' || check->own[i] == '/';
        bool path_ends = check->path[i] == '\0' || check->path[i] == '/';

        if (own_ends && path_ends)
            common = i;
        if (check->own[i] == '\0' || check->own[i] != check->path[i])
            break;
    }
    format(place, sizeof place, "%.*s%scgroup.procs", (int)common, check->path, common > 0 ? "/" : "");
    if (may_write(check->root, place)) {
        print_line(OK, "processes may be moved from %s/%s to %s/%s", check->mount, check->own, check->mount,
                   check->path);
        return true;
    }
    if (!strchr(check->path, '/')) {
        print_line(MISSING,
                   "a process of %s/%s may not be moved to %s/%s, because %s/%s can't be written: an ordinary user "
                   "needs a path with one more part, as %s/program",
                   check->mount, check->own, check->mount, check->path, check->mount, place, check->path);
        return false;
    }
    print_line(MISSING,
               "a process of %s/%s may not be moved to %s/%s, because %s/%s can't be written: what starts muontrap "
               "has to be in a cgroup beside it",
               check->mount, check->own, check->mount, check->path, check->mount, place);
    format(callers, sizeof callers, "%s/%.*s/callers", check->mount, (int)strcspn(check->path, "/"), check->path);
    delegation_move_command(move, sizeof move, callers, getppid());
    print_line(COMMAND, "sudo sh -c 'mkdir -p %s && %s'", callers, move);
    return false;
}

/* Starts a process in the cgroup. Returns 0, or the errno when that failed, or -1 when the process was killed. */
static int start_process(const struct cgroup *cgroup, bool inside)
{
    int status = -1;
    pid_t pid = cgroup_fork(cgroup, &inside);

    if (pid == 0)
        _exit(inside || cgroup_enter(cgroup) ? 0 : errno);
    if (pid < 0)
        return errno;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Opens the cgroup as a launch would and starts a process in it. */
static bool check_launch(const struct check *check, const struct options *options)
{
    static struct cgroup cgroup;
    struct failure why;
    int error;

    if (!cgroup_open(&cgroup, options, &why)) {
        print_line(MISSING, "%s", why.words);
        return false;
    }
    error = start_process(&cgroup, true);
    if (error < 0)
        error = start_process(&cgroup, false);
    if (error != 0)
        (void)cgroup_explain(&cgroup, error > 0 ? error : ECHILD, &why);
    if (cgroup_remove(&cgroup, &why) && error == 0) {
        print_line(OK, "a process was started in %s/%s", check->mount, check->path);
        return true;
    }
    print_line(MISSING, "%s", why.words);
    return false;
}

/* What --group auto would move is not moved for a check, so that controllers can't be enabled yet. */
static void launch_as_checked(const struct check *check, struct options *options)
{
    options->group = check->path;
    options->auto_group = false;
    if (check->to_settle)
        options->controller_count = options->set_count = 0;
}

static int look(struct options *options, const char *users)
{
    static struct check check;
    static struct settings settings;
    struct failure why;
    bool fine;

    check.sudo = geteuid() == 0 ? "" : "sudo ";
    if ((options->group && !options->auto_group && !cgroup_path_check(options->group, &why)) ||
        !legacy_translate(&settings, options->sets, options->set_count, &why) ||
        !controllers_gather(&check.controllers, options, &settings, &why)) {
        print_line(MISSING, "%s", why.words);
        return 1;
    }
    print_line(OK, "%s", users);
    if (!check_mount(&check))
        return 1;
    check.root = cgroup_directory(AT_FDCWD, check.mount);
    fine = choose_path(&check, options);
    fine = check_kernel(&check) && fine;
    if (check.path) {
        size_t reached = existing_part(&check);

        fine = check_directory(&check, reached) && fine;
        fine = check_levels(&check, reached) && fine;
        fine = check_migration(&check) && fine;
    }
    io_close(&check.root);
    launch_as_checked(&check, options);
    return fine && check_launch(&check, options) ? 0 : 1;
}

/* A line that was lost may be the one that says what is missing. */
int check_run(struct options *options, const char *users)
{
    int status = look(options, users);

    if (write_error == 0)
        return status;
    report_words("cannot write to standard output: %s", strerror(write_error));
    return EXIT_MUONTRAP_FAILED;
}
