/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * The descendants of this process without cgroups: adopted when orphaned, reaped, and killed by a sweep.
 * A pid is only ever signalled while it is an unreaped child of ours, so that it can't have passed to a stranger; what
 * is no child of ours is signalled by a descriptor that stands for it.
 */
#ifndef MUONTRAP_TREE_H
#define MUONTRAP_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/failure.h"
#include "base/platform.h"

#define SPARED_MOST 1024u /* children that a process may have before it becomes the keeper */

/* Children that are none of the program's, and are left alone. */
struct spared {
    unsigned count;
    pid_t children[SPARED_MOST];
};

#define TREE_NAMES_MOST 256u /* bytes, with the NUL */
#define TOLD_MOST 256u /* children outside of the program's group that are told to end; more have their time, untold */

/* Children that have got the signal themselves after the program's end. */
struct told {
    int signal;
    unsigned count;
    pid_t children[TOLD_MOST];
};

struct tree {
    int children;       /* the list of children */
    int attached;       /* stands for a process that is in the program's place, as platform_process_open() has it; 0
                         * without one, as usual */
    pid_t attached_pid; /* its pid, by which it is only ever named */
    pid_t program;      /* the child whose end is reported; 0 without one */
    pid_t stopper;      /* the child that runs the stop command; 0 without one, or once it has been reaped */
    int stopper_status; /* as of waitpid(2), then */
    bool program_ended;
    int program_status;          /* as of waitpid(2), once it has been reaped */
    bool program_stopped;        /* by job control, and not yet continued */
    unsigned program_stops;      /* how often it has been, as far as that was seen */
    int stop_signal;             /* by which it was */
    uint32_t killed;             /* descendants other than the program that the sweep has killed */
    char names[TREE_NAMES_MOST]; /* of the first of these, each ends with a newline */
    struct platform_usage used;  /* by those that have been reaped */
    pid_t refused;               /* a child that we are not permitted to kill; 0 without one */
    struct spared *spared;       /* NULL: there are none */
};

/* Makes this process the one that orphaned descendants fall to. */
bool tree_open(struct tree *tree, struct failure *why);

/* Makes it ready for another program, when nothing is left of the last one. */
void tree_renew(struct tree *tree);

/* Has the children that there are now spared by every sweep. */
bool tree_spare_children(struct tree *tree, struct spared *spared, struct failure *why);

/* The child has been reaped, so that its pid may become another's. */
void tree_forget_spared(struct tree *tree, pid_t child);

/* In a process that was forked: closes what is the other one's. */
void tree_close(struct tree *tree);

/* After a SIGCHLD or the end of the process in the program's place: reaps adopted orphans, and notes it when the
 * program has ended (but does not reap it: its pid, which is its process group's too, stays ours until the sweep) or
 * was stopped. True when there are more to be reaped. */
bool tree_reap(struct tree *tree);

/* The program's pid, or that of the process in its place. */
pid_t tree_program(const struct tree *tree);

/* Sends the signal to the program. As kill(2), with ESRCH where there is none. */
int tree_signal(const struct tree *tree, int signal);

/* Tells it to end: that signal, and SIGCONT, because who is stopped would not notice it (as timeout(1) does). */
void tree_terminate(const struct tree *tree, int signal);

/* The same for the program's process group. Nothing is known of that of a process in its place. */
void tree_terminate_group(const struct tree *tree, int signal);

/* Whether that process descends from the other one, or is it. */
bool tree_descends_from(pid_t pid, pid_t ancestor);

/* Whether it is the program or descends from it. */
bool tree_has(const struct tree *tree, pid_t pid);

/* The descriptor by which poll(2) tells with POLLIN that the process in the program's place has ended; -1 without one,
 * and once its end is known, or isn't waited for any more. */
static inline int tree_awaited(const struct tree *tree)
{
    return tree->attached > 0 && !tree->program_ended && tree->refused == 0 ? tree->attached : -1;
}

/* After the program's end, again and again: has those end that have been orphaned, outside of its group, each once, and
 * reaps who has ended. Returns how many children live still. Not for systems that don't make us the orphans' parent. */
unsigned tree_terminate_orphans(struct tree *tree, struct told *told);

enum sweep {
    SWEEP_GOES_ON, /* some are still dying: call again after the next SIGCHLD, unless some are dead already */
    SWEEP_DONE,    /* there is no descendant left, but for spared ones */
    SWEEP_REFUSED  /* what is left may not be killed by us: tree->refused is one of them */
};

/* Reaps who is dead, and tells whether nobody is left, so that no sweep is needed. */
bool tree_is_over(struct tree *tree);

/* What a pass of the sweep has left. */
struct left {
    unsigned dying; /* children that have been killed */
    bool dead;      /* of these some are dead already, and have been left unreaped: no SIGCHLD will come for them */
};

/* One pass of the sweep: reaps the dead, and kills the living. */
enum sweep tree_sweep(struct tree *tree, struct left *left);

/* Kills those that it would, and reaps nobody. */
void tree_kill(struct tree *tree);

#endif
