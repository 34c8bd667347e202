/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _GNU_SOURCE
#include "cgroup/delegation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "cgroup/cgroup_files.h"
#include "cgroup/controllers.h"

#define ROUNDS_MOST 100         /* of moving what others fork meanwhile */
#define ANSWER_MOST_US 5000000  /* for systemctl */
#define CAP_SYS_ADMIN_NUMBER 21 /* linux/capability.h, which musl doesn't come with */

/* ---- Who starts muontrap ---- */

void delegation_move_command(char *text, size_t size, const char *directory, pid_t starter)
{
    char name[PLATFORM_NAME_MOST];
    bool has_vm = platform_name(starter, name) && strcmp(name, "erl_child_setup") == 0;
    pid_t vm = has_vm ? platform_parent(starter) : 0;

    if (vm > 0)
        format(text, size, "echo %ld >%s/cgroup.procs && echo %ld >%s/cgroup.procs", (long)vm, directory, (long)starter,
               directory);
    else
        format(text, size, "echo %ld >%s/cgroup.procs", (long)(starter > 0 ? starter : getpid()), directory);
}

/* ---- What systemd says ---- */

/* systemd's CGROUP_DELEGATION: the system's manager marks a delegated unit's cgroup so; with "user.", which anybody may
 * read, since 251. A user's manager sets no mark (src/core/cgroup.c, cgroup_xattr_apply()). */
static bool is_marked(int directory)
{
    static const char *const names[] = {"user.delegate", "trusted.delegate"};
    char value[2];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (fgetxattr(directory, names[i], value, sizeof value) == 1 && value[0] == '1')
            return true;
    return false;
}

/* In the child. systemctl finds a user's manager by XDG_RUNTIME_DIR (pam_systemd(8)), which sudo and su take away. It
 * is not looked for in PATH, which may be meant for the program: we may be root, and the program be another user. It
 * gets a process group of its own, so that what it has started ends with it. */
static void execute_systemctl(char *unit, bool of_user, int output)
{
    char *argv[] = {"systemctl", "show", "--property=Delegate", "--value", "--", unit, NULL, NULL};
    char runtime[64];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (of_user)
        memmove(&argv[2], (char *[]){"--user", "--property=Delegate", "--value", "--", unit}, 5 * sizeof argv[0]);
    format(runtime, sizeof runtime, "XDG_RUNTIME_DIR=/run/user/%lu", (unsigned long)geteuid());
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0 &&
        dup2(output, STDOUT_FILENO) >= 0 && setpgid(0, 0) == 0) {
        char *environment[] = {"PATH=/usr/bin:/bin", runtime, NULL};

        (void)execve("/usr/bin/systemctl", argv, environment);
        (void)execve("/bin/systemctl", argv, environment);
    }
    _exit(127);
}

/* Reads to the end of the pipe, for which there is a limit. */
static void read_answer(int fd, char *text, size_t size)
{
    uint64_t deadline = io_now_us() + ANSWER_MOST_US;
    size_t have = 0;
    uint64_t now;

    while (have < size - 1 && (now = io_now_us()) < deadline) {
        struct pollfd input = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (poll(&input, 1, (int)((deadline - now) / 1000) + 1) <= 0)
            continue;
        got = read(fd, text + have, size - 1 - have);
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    text[have] = '\0';
}

/* Asks the manager whether it has delegated the unit: "yes\n", "no\n", or nothing when it gives no answer. */
static void ask_manager(char *unit, bool of_user, char answer[16])
{
    int ends[2];
    pid_t pid;

    answer[0] = '\0';
    if (!io_pipe(ends))
        return;
    pid = fork();
    if (pid == 0)
        execute_systemctl(unit, of_user, ends[1]);
    io_close(&ends[1]);
    if (pid > 0) {
        read_answer(ends[0], answer, 16);
        (void)kill(-pid, SIGKILL); /* it has ended, or said all, or takes too long */
        (void)kill(pid, SIGKILL);  /* which has no group of its own yet */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    io_close(&ends[0]);
}

/* A directory of the user's own is a delegated one where the system's manager made it. A user's manager owns all below
 * its own cgroup, delegated or not. */
static bool is_own(int directory)
{
    struct stat found;

    return geteuid() != 0 && fstat(directory, &found) == 0 && found.st_uid == geteuid();
}

static bool is_of_user(const char *manager, uid_t user)
{
    char own[32];

    format(own, sizeof own, "%lu.service", (unsigned long)user);
    return strncmp(manager, own, strlen(own)) == 0;
}

/* sd_booted(3): systemd is in charge where that directory is. */
bool delegation_permits(int root, const char *path, struct failure *why)
{
    char cgroup[CGROUP_PATH_MOST + 1];
    struct cgroup_unit unit;
    char answer[16] = "no\n"; /* nobody else is asked about another one's unit */
    bool permits;
    int directory;

    if (access("/run/systemd/system", F_OK) < 0 || !cgroup_path_unit(path, &unit))
        return true;
    format(cgroup, sizeof cgroup, "%.*s", (int)unit.end, path);
    directory = cgroup_directory(root, cgroup);
    permits = directory >= 0 && (is_marked(directory) || (!unit.manager && is_own(directory)));
    io_close(&directory);
    if (!permits && (!unit.manager || is_of_user(unit.manager, geteuid())))
        ask_manager(cgroup + unit.name, unit.manager != NULL, answer);
    if (permits || strcmp(answer, "yes\n") == 0)
        return true;
    return failed(why, STAGE_CGROUP, EPERM,
                  "systemd manages what is in the unit %s, and %s%s (systemctl%s show -p Delegate %s)",
                  cgroup + unit.name,
                  answer[0] ? "has not delegated it" : "systemctl doesn't say that it has delegated it",
                  unit.manager && geteuid() == 0 ? " to root" : "", unit.manager ? " --user" : "", cgroup + unit.name);
}

/* ---- Where it is ---- */

/* What can be done depends on who asks, and where. */
static bool none(const struct delegation *delegation, int error, struct failure *why, const char *format_of_reason, ...)
    __attribute__((format(printf, 4, 5)));
static bool none(const struct delegation *delegation, int error, struct failure *why, const char *format_of_reason, ...)
{
    bool is_root = geteuid() == 0;
    char reason[480];
    char move[128];
    va_list args;

    va_start(args, format_of_reason);
    format_list(reason, sizeof reason, format_of_reason, args);
    va_end(args);
    if (error == EROFS || (!is_root && delegation->path[0] == '\0' && delegation_in_container(delegation->root)))
        return failed(why, STAGE_CGROUP, error,
                      "found no cgroup for --group auto (cgroup_base: :auto): %s. A container's cgroups can be made "
                      "writable for its root, which muontrap, or the VM, then has to be: " DELEGATION_UNMASK,
                      reason);
    if (is_root)
        return failed(why, STAGE_CGROUP, error,
                      "found no cgroup for --group auto (cgroup_base: :auto): %s. Root may name any other: --group "
                      "mycgroup/NAME, in Elixir cgroup_base: \"mycgroup\"; or start in a delegated one "
                      "(systemd-run --scope -p Delegate=yes, in a service's unit file Delegate=yes)",
                      reason);
    delegation_move_command(move, sizeof move, "$C", delegation->starter > 0 ? delegation->starter : getppid());
    return failed(why, STAGE_CGROUP, error,
                  "found no cgroup for --group auto (cgroup_base: :auto): %s. Start in a delegated one (systemd-run "
                  "--user --scope -p Delegate=yes, in a service's unit file Delegate=yes), or have one made, and move "
                  "there what starts muontrap: sudo cgcreate -a $(id -un) -t $(id -un) -g memory,cpu,pids:NAME && "
                  "sudo sh -c 'C=%s/NAME; %s'",
                  reason, delegation->mount, move);
}

/* The directory that the path names, which may be that of the mount. */
static const char *directory_name(const char *path)
{
    return path[0] ? path : ".";
}

/* Whoever is in the leaf has been settled before, and the cgroup is the one above. */
static void leave_leaf(char *path)
{
    char *slash = strrchr(path, '/');

    if (strcmp(slash ? slash + 1 : path, DELEGATION_LEAF) == 0)
        *(slash ? slash : path) = '\0';
}

bool delegation_find(struct delegation *delegation, const char *mount, int root, struct failure *why)
{
    char *path = delegation->path;
    struct failure not_permitted;
    bool may_write;
    int directory;
    int error;

    delegation->mount = mount;
    delegation->root = root;
    path[0] = '\0';
    if (!cgroup_find_own(mount, path))
        return none(delegation, errno, why, "that of this process is not below %s, where cgroup2 is mounted", mount);
    leave_leaf(path);
    directory = cgroup_directory(root, directory_name(path));
    may_write = directory >= 0 && faccessat(directory, ".", W_OK, AT_EACCESS) == 0 &&
                faccessat(directory, "cgroup.procs", W_OK, AT_EACCESS) == 0;
    error = errno;
    delegation->settled = directory >= 0 && !controllers_inhabited(directory);
    io_close(&directory);
    if (!may_write)
        return none(delegation, error, why, "that of this process, %s/%s, may not be written to: %s", mount, path,
                    strerror(error));
    if (!delegation->settled && !delegation_permits(root, path, &not_permitted))
        return none(delegation, EPERM, why, "this process is in %s/%s: %s", mount, path, not_permitted.words);
    return true;
}

/* ---- The leaf ---- */

struct moving {
    int leaf;
    unsigned moved;
    pid_t refused; /* one that could not be moved, and why */
    int error;
};

static void move_process(pid_t pid, void *context)
{
    struct moving *moving = context;
    char text[24];

    format(text, sizeof text, "%ld", (long)pid);
    if (cgroup_write(moving->leaf, "cgroup.procs", text)) {
        moving->moved++;
    } else if (errno != ESRCH) { /* else it has ended */
        moving->refused = pid;
        moving->error = errno;
    }
}

/* The list doesn't tell of what comes while it is read, so it is read until nothing more can be moved. Left are those
 * that the kernel doesn't let us move, as processes of a pid namespace above, which have no number here. */
static void move_all(int directory, struct moving *moving)
{
    for (int round = 0; round < ROUNDS_MOST && controllers_inhabited(directory); round++) {
        moving->moved = 0;
        if (!cgroup_processes(directory, move_process, moving) || moving->moved == 0)
            return;
    }
}

bool delegation_settle(const struct delegation *delegation, struct failure *why)
{
    struct moving moving = {.leaf = -1};
    char own[CGROUP_PATH_MOST + 1];
    int directory;

    if (delegation->settled)
        return true;
    directory = cgroup_directory(delegation->root, directory_name(delegation->path));
    if (directory >= 0 && (mkdirat(directory, DELEGATION_LEAF, 0755) == 0 || errno == EEXIST))
        moving.leaf = cgroup_directory(directory, DELEGATION_LEAF);
    if (moving.leaf < 0)
        moving.error = errno;
    else
        move_all(directory, &moving);
    io_close(&directory);
    if (moving.leaf < 0)
        return none(delegation, moving.error, why, "cannot make %s/%s/" DELEGATION_LEAF ": %s", delegation->mount,
                    delegation->path, strerror(moving.error));
    io_close(&moving.leaf);
    /* Others may stay: then it is a controller that can't be enabled, and that is told, if one is wanted. */
    if (moving.refused != 0 && cgroup_find_own(delegation->mount, own) && strcmp(own, delegation->path) == 0)
        return none(delegation, moving.error, why, "cannot move process %ld to %s/%s/" DELEGATION_LEAF ": %s",
                    (long)moving.refused, delegation->mount, delegation->path, strerror(moving.error));
    return true;
}

/* ---- The name ---- */

bool delegation_name(const struct delegation *delegation, const char *name, char path[CGROUP_PATH_MOST + 1],
                     struct failure *why)
{
    unsigned char bytes[6] = {0};
    char fresh[2 * sizeof bytes + 1];
    int random = name ? -1 : open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    const char *slash = delegation->path[0] ? "/" : "";

    /* Without that file, the name may be that of another, and then it is in use and refused. */
    if (random >= 0)
        (void)!read(random, bytes, sizeof bytes);
    io_close(&random);
    for (size_t i = 0; i < sizeof bytes; i++)
        format(fresh + 2 * i, 3, "%02x", bytes[i]);
    if (!name)
        name = fresh;
    if (strlen(delegation->path) + sizeof DELEGATION_BASE + strlen(name) + 1 > CGROUP_PATH_MOST)
        return failed(why, STAGE_CGROUP, ENAMETOOLONG,
                      "the path of this process's cgroup is too long for one below it");
    format(path, CGROUP_PATH_MOST + 1, "%s%s" DELEGATION_BASE "/%s", delegation->path, slash, name);
    return true;
}

/* ---- Containers ---- */

/* A container has a cgroup namespace mostly, where the root has a cgroup.events. With the host's namespace it shows by
 * the file of its engine (podman-run(1) promises /run/.containerenv, systemd's CONTAINER_INTERFACE
 * /run/host/container-manager), or by the capability that mount(2) takes, which even its root can't get back
 * (capabilities(7), "Capability bounding set"). Docker's /.dockerenv says nothing: it is there, too, in a machine that
 * was made from an image. */
bool delegation_in_container(int root)
{
    return !cgroup_is_whole_tree(root) || access("/run/.containerenv", F_OK) == 0 ||
           access("/run/host/container-manager", F_OK) == 0 || prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN_NUMBER) == 0;
}
