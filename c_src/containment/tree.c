/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "containment/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/format.h"
#include "base/io.h"
#include "base/platform.h"
#include "base/rare.h"

bool tree_open(struct tree *tree, struct failure *why)
{
    *tree = (struct tree){.attached = tree->attached, .attached_pid = tree->attached_pid};
    if (!platform_adopt_orphans(why))
        return false;
    tree->children = platform_children_open(why);
    return tree->children >= 0;
}

void tree_renew(struct tree *tree)
{
    *tree = (struct tree){.children = tree->children};
}

void tree_close(struct tree *tree)
{
    io_close(&tree->children);
}

/* The next child that is dead and not reaped: its pid, 0 when there is none, -1 when there are no children at all. */
static pid_t next_dead(void)
{
    siginfo_t info;

    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
            return info.si_pid;
        if (errno != EINTR)
            return -1;
    }
}

static void spare(pid_t child, void *context)
{
    struct spared *spared = context;

    if (spared->count < SPARED_MOST)
        spared->children[spared->count] = child;
    spared->count++;
}

RARE static bool spare_all(struct tree *tree, struct spared *spared, struct failure *why)
{
    if (!platform_pids(tree->children, spare, spared))
        return failed(why, STAGE_SETUP, errno, "cannot read the list of children in /proc: %s", strerror(errno));
    if (spared->count > SPARED_MOST)
        return failed(
            why, STAGE_SETUP, E2BIG,
            "this process has %u children already, and can tell only %u apart from those of the program: start "
            "muontrap without exec",
            spared->count, SPARED_MOST);
    tree->spared = spared->count > 0 ? spared : NULL;
    return true;
}

/* Also such as tell their end by another signal than SIGCHLD, or by none (clone(2), waitid(2)). */
#ifndef __WALL
#define __WALL 0
#endif

static bool has_children(void)
{
    siginfo_t info;

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

bool tree_spare_children(struct tree *tree, struct spared *spared, struct failure *why)
{
    /* Mostly there are none at all. */
    return !platform_has_children || !has_children() || spare_all(tree, spared, why);
}

/* Its place among these children; their number when it is none of them. */
static unsigned place_among(const pid_t *children, unsigned count, pid_t child)
{
    unsigned place = 0;

    while (place < count && children[place] != child)
        place++;
    return place;
}

static void forget(pid_t *children, unsigned *count, pid_t child)
{
    unsigned place = place_among(children, *count, child);

    if (place < *count)
        children[place] = children[--*count];
}

static bool is_spared(const struct tree *tree, pid_t child)
{
    return tree->spared && place_among(tree->spared->children, tree->spared->count, child) < tree->spared->count;
}

void tree_forget_spared(struct tree *tree, pid_t child)
{
    if (tree->spared)
        forget(tree->spared->children, &tree->spared->count, child);
}

/* The name of a zombie can be read until it is reaped. */
RARE static void reap_descendant(struct tree *tree, pid_t pid)
{
    size_t size = strlen(tree->names);
    char name[PLATFORM_NAME_MOST];
    bool named = size + PLATFORM_NAME_MOST < sizeof tree->names && platform_name(pid, name);
    int status = platform_reap(pid, &tree->used);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return;
    tree->killed++;
    if (named)
        format(tree->names + size, sizeof tree->names - size, "%s\n", name);
}

/* Reaps a child that is dead. */
static void reap(struct tree *tree, pid_t pid)
{
    if (pid == tree->stopper)
        tree->stopper = 0;
    if (pid != tree->program) {
        reap_descendant(tree, pid);
        return;
    }
    tree->program_status = platform_reap(pid, &tree->used);
    tree->program_ended = true;
    tree->program = 0;
}

/* One that has ended before the sweep: an orphan, or the stop command. What that one leaves is an orphan as well, or is
 * reached by its group, whose number is its own for as long as it is not reaped. */
static void reap_meanwhile(struct tree *tree, pid_t pid)
{
    int status;

    if (!platform_has_children && pid == tree->stopper)
        (void)platform_kill(-pid, SIGKILL);
    status = platform_reap(pid, &tree->used);
    if (pid != tree->stopper)
        return;
    tree->stopper_status = status;
    tree->stopper = 0;
}

/* Of several such changes waitid(2) tells only of the last one, but of each only once: a program that is told to be
 * stopped when it was known to be stopped has been continued meanwhile. */
static void note_job_control(struct tree *tree)
{
    siginfo_t info;

    info.si_pid = 0;
    if (waitid(P_PID, (id_t)tree->program, &info, WSTOPPED | WCONTINUED | WNOHANG) < 0 || info.si_pid == 0)
        return;
    tree->program_stopped = info.si_code != CLD_CONTINUED;
    if (!tree->program_stopped)
        return;
    tree->program_stops++;
    tree->stop_signal = info.si_status;
}

/* So many at a time: orphans may come as fast as they are reaped, and there are other events to see to. */
#define REAPED_MOST 256

bool tree_reap(struct tree *tree)
{
    int reaped = 0;
    pid_t dead;

    while ((dead = next_dead()) > 0 && dead != tree->program && reaped++ < REAPED_MOST)
        reap_meanwhile(tree, dead);
    if (tree->attached > 0) {
        tree->program_ended = platform_process_ended(tree->attached);
    } else {
        tree->program_ended = tree->program == 0 || dead == tree->program;
        if (!tree->program_ended)
            note_job_control(tree);
    }
    return dead > 0 && !tree->program_ended;
}

/* ---- Signals ---- */

pid_t tree_program(const struct tree *tree)
{
    return tree->attached > 0 ? tree->attached_pid : tree->program;
}

int tree_signal(const struct tree *tree, int signal)
{
    if (tree->attached > 0)
        return platform_process_signal(tree->attached, signal);
    if (tree->program > 0)
        return platform_kill(tree->program, signal);
    errno = ESRCH;
    return -1;
}

void tree_terminate(const struct tree *tree, int signal)
{
    (void)tree_signal(tree, signal);
    (void)tree_signal(tree, SIGCONT);
}

static void terminate(pid_t to, int signal)
{
    (void)platform_kill(to, signal);
    (void)platform_kill(to, SIGCONT);
}

void tree_terminate_group(const struct tree *tree, int signal)
{
    if (tree->program > 0)
        terminate(-tree->program, signal);
}

/* When one on the way up dies while we climb, the one below it has got another parent, and we climb again. */
#define CLIMBS_MOST 4u

bool tree_descends_from(pid_t pid, pid_t ancestor)
{
    for (unsigned i = 0; i < CLIMBS_MOST; i++) {
        pid_t at = pid;

        while (at > 1 && at != ancestor)
            at = platform_parent(at);
        if (at == ancestor)
            return true;
        if (at == 1)
            return false;
    }
    return false;
}

/* Who is orphaned becomes our child, so that all that descends from the program descends from us, and nothing else.
 * Of a process that is in its place that is known only while it lives: afterwards its pid may be a stranger's. */
bool tree_has(const struct tree *tree, pid_t pid)
{
    if (tree->attached == 0)
        return pid != getpid() && tree_descends_from(pid, getpid());
    return tree_descends_from(pid, tree->attached_pid) && !platform_process_ended(tree->attached);
}

/* ---- The time that the rest of the tree has to end by itself ---- */

/* Once only, because for many a program the second signal means to drop everything. A process that the program's group
 * has got since it was told is what one of its members has started in order to end. */
RARE static void terminate_once(const struct tree *tree, struct told *told, pid_t child)
{
    if (getpgid(child) == tree->program || told->count == TOLD_MOST ||
        place_among(told->children, told->count, child) < told->count)
        return;
    told->children[told->count++] = child;
    terminate(child, told->signal);
}

struct orphans {
    struct tree *tree;
    struct told *told;
    unsigned living;
    bool reaped; /* somebody has been, and so another one may have been left out of the list (proc(5)) */
};

RARE static void see_to_orphan(pid_t child, void *context)
{
    struct orphans *orphans = context;
    siginfo_t info;

    if (child == orphans->tree->program || is_spared(orphans->tree, child))
        return;
    info.si_pid = 0;
    if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child) {
        forget(orphans->told->children, &orphans->told->count, child);
        reap_meanwhile(orphans->tree, child);
        orphans->reaped = true;
        return;
    }
    orphans->living++;
    terminate_once(orphans->tree, orphans->told, child);
}

/* So many passes at a time: orphans may come and end as fast as they are reaped. */
#define PASSES_MOST 16u

RARE unsigned tree_terminate_orphans(struct tree *tree, struct told *told)
{
    unsigned empty = 0; /* passes in a row that saw nobody */

    for (unsigned pass = 0; pass < PASSES_MOST && empty < 2; pass++) {
        struct orphans orphans = {.tree = tree, .told = told};

        (void)platform_pids(tree->children, see_to_orphan, &orphans);
        if (orphans.living > 0)
            return orphans.living;
        empty = orphans.reaped ? 0 : empty + 1;
    }
    return empty == 2 ? 0 : 1;
}

/* ---- The sweep ---- */

struct pass {
    struct tree *tree;
    unsigned seen;   /* children that the list named, but for the spared ones */
    unsigned killed; /* of these, those that will die */
};

/* The child and, where it leads one, its process group. kill(2) on a group reaches every member at once, and no fork
 * can slip out in between; and as long as the leader's pid is not reaped it can't be anyone else's, nor the group's. */
static void kill_child(pid_t child, void *context)
{
    struct pass *pass = context;

    if (is_spared(pass->tree, child))
        return;
    pass->seen++;
    (void)platform_kill(-child, SIGKILL);
    if (platform_kill(child, SIGKILL) == 0)
        pass->killed++;
    else if (errno == EPERM)
        pass->tree->refused = child;
}

/* With the process group that it may have led. */
static void reap_dead_one(struct tree *tree, pid_t dead)
{
    if (!is_spared(tree, dead))
        (void)platform_kill(-dead, SIGKILL);
    reap(tree, dead);
    tree_forget_spared(tree, dead);
}

/* Each look for a dead child goes through the living ones before it, and while it does, none of these can end. Of
 * thousands that are dying it would find one at a time. So the dead are left for later once they are so few that so
 * many looks take so many times as long as the reaping. */
#define LOOKS 16u
#define LOOKS_COST_MOST 4u

/* As of next_dead(): -1 when there are no children, 0 when none is dead any more, else one that is left for later. */
static pid_t reap_dead(struct tree *tree)
{
    uint64_t looking = 0;
    uint64_t reaping = 0;
    uint64_t before = io_now_us();
    pid_t dead = next_dead();

    for (unsigned looks = 1; dead > 0; looks++) {
        uint64_t found = io_now_us();

        looking += found - before;
        if (looks % LOOKS == 0) {
            if (looking > LOOKS_COST_MOST * reaping)
                break;
            looking = reaping = 0;
        }
        reap_dead_one(tree, dead);
        before = io_now_us();
        reaping += before - found;
        dead = next_dead();
    }
    return dead;
}

/* So many that have died with the program are reaped without haste. More may be a storm. */
#define QUIET_MOST 16u

bool tree_is_over(struct tree *tree)
{
    pid_t dead = platform_has_children ? next_dead() : 0;

    if (tree->attached > 0 && !platform_process_ended(tree->attached))
        return false;
    for (unsigned reaped = 0; dead > 0 && reaped < QUIET_MOST; reaped++) {
        reap_dead_one(tree, dead);
        dead = next_dead();
    }
    return dead < 0;
}

static struct pass kill_children(struct tree *tree)
{
    struct pass pass = {.tree = tree};

    if (!platform_has_children) {
        if (tree->program > 0)
            kill_child(tree->program, &pass);
        if (tree->stopper > 0)
            kill_child(tree->stopper, &pass);
    } else {
        tree->refused = 0;
        (void)platform_pids(tree->children, kill_child, &pass);
    }
    return pass;
}

/* Between two SIGCHLDs there is nothing to do: every child that was listed has been killed and will become a zombie,
 * and whoever is orphaned meanwhile is orphaned by one that dies, is our child before that one's SIGCHLD (the kernel
 * reparents first and notifies then), and so is listed by the pass that follows it. The list leaves out a child only
 * while another exits (proc(5)), so a pass that saw none, or killed none, is followed by another at once. */
static enum sweep sweep_children(struct tree *tree, struct left *left)
{
    unsigned only_spared = 0; /* passes in a row that saw no others */

    for (;;) {
        pid_t dead = reap_dead(tree);
        struct pass pass;

        if (dead < 0 || (!platform_has_children && tree->program <= 0 && tree->stopper <= 0))
            return SWEEP_DONE;
        pass = kill_children(tree);
        *left = (struct left){.dying = pass.killed, .dead = dead > 0};
        if (pass.seen == 0 && tree->spared && ++only_spared == 2)
            return SWEEP_DONE;
        if (pass.killed > 0)
            return SWEEP_GOES_ON;
        if (dead > 0)
            continue;
        if (pass.seen > 0 && tree->refused > 0)
            return SWEEP_REFUSED;
        (void)poll(NULL, 0, 1); /* sched_yield(2) wouldn't do: from a real-time priority it gives way to no other */
    }
}

/* Its end is no child's, and is waited for by its descriptor. */
RARE static enum sweep sweep_attached(struct tree *tree, struct left *left, enum sweep result)
{
    tree->program_ended = platform_process_ended(tree->attached);
    if (tree->program_ended)
        return result;
    if (platform_process_signal(tree->attached, SIGKILL) < 0 && errno == EPERM) {
        tree->refused = tree->attached_pid;
        return result == SWEEP_DONE ? SWEEP_REFUSED : result;
    }
    left->dying++;
    return SWEEP_GOES_ON;
}

enum sweep tree_sweep(struct tree *tree, struct left *left)
{
    enum sweep result = sweep_children(tree, left);

    return tree->attached > 0 ? sweep_attached(tree, left, result) : result;
}

void tree_kill(struct tree *tree)
{
    if (tree->attached > 0)
        (void)platform_process_signal(tree->attached, SIGKILL);
    (void)kill_children(tree);
}
