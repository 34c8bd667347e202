/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 *
 * Has each system call of the helper fail in turn. Of each scenario there is a run without a fault, which tells what
 * calls there are and what should come of it. Then there is a run for each call and each error, in which that call of
 * the shipped helper fails, once. Either that harms nothing, and the same comes of it, or the owner is told an error,
 * and no program is left running. In any case all is ended and removed in the end, and the helper has left.
 *
 *   faults                      each call, with one error
 *   FAULTS_ALL=1 faults         with each error that its manual page has, and the calls that scenarios have in common
 *   faults SCENARIO CALL        one run: faults start 'relay:fork#1=EAGAIN'
 *   faults SCENARIO             one scenario
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "names.h"
#include "owner.h"
#include "run.h"
#include "tracer.h"

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- The scenarios ---- */

static void count(struct run *run)
{
    run->tracer.counts = true;
}

/* An owner that has got the end lets go. */
static void just_follow(struct run *run)
{
    if (run->owner.ended)
        owner_close(&run->owner);
}

static void wait_and_see(struct run *run)
{
    (void)run;
}

#define TREE 5u
#define TREE_ARGS "@trouble", "tree", "5"

static bool tree_is_there(const struct run *run)
{
    return (run->owner.speaks_frames ? run->owner.sizes[0] : run->owner.raw_size) >= TREE;
}

static void stop_tree(struct run *run)
{
    if (run->phase == 0 && tree_is_there(run)) {
        count(run);
        owner_send(&run->owner, 's', NULL, 0);
        run->phase++;
    }
    just_follow(run);
}

/* The first byte says that it is ready. */
static void stop_program(struct run *run)
{
    if (run->phase == 0 && run->owner.sizes[0] > 0) {
        count(run);
        owner_send(&run->owner, 's', NULL, 0);
        run->phase++;
    }
    just_follow(run);
}

static void close_on_tree(struct run *run)
{
    if (run->phase == 0 && tree_is_there(run)) {
        count(run);
        owner_close(&run->owner);
        run->phase++;
    }
}

static void kill_one(struct run *run, pid_t pid)
{
    if (run->phase == 0 && tree_is_there(run)) {
        count(run);
        (void)kill(pid, SIGKILL);
        run->phase++;
    }
    just_follow(run);
}

static void kill_relay(struct run *run)
{
    kill_one(run, run->tracer.relay);
}

static void kill_keeper(struct run *run)
{
    kill_one(run, run->tracer.keeper);
}

static void drain(struct run *run)
{
    if (run->owner.started)
        count(run);
    just_follow(run);
}

static void unlock(struct run *run)
{
    if (run->phase == 0 && run->is_quiet) {
        (void)flock(run->lock, LOCK_UN);
        run->phase++;
    }
    just_follow(run);
}

#define INPUT 100000u

static void give_input(struct run *run)
{
    static const char bytes[INPUT] = {'i'};
    struct owner *owner = &run->owner;

    if (owner->started)
        count(run);
    while (owner->credit > 0 && owner->input_sent < INPUT && owner->in >= 0) {
        size_t most = INPUT - owner->input_sent < 16384 ? INPUT - owner->input_sent : 16384;
        size_t size = owner->credit < most ? owner->credit : most;

        owner_send(owner, 'i', bytes + owner->input_sent, size);
        owner->credit -= size;
        owner->input_sent += size;
        if (owner->input_sent == INPUT)
            owner_send(owner, 'z', NULL, 0);
    }
    just_follow(run);
}

static void stop_attached(struct run *run)
{
    if (run->phase == 0 && run->owner.started) {
        owner_send(&run->owner, 's', NULL, 0);
        run->phase++;
    }
    just_follow(run);
}

static void check_third(struct run *run)
{
    if (run->owner.sizes[0] != 10)
        run_complain(run, "the program after the next one wrote %lu bytes", (unsigned long)run->owner.sizes[0]);
}

/* A first launch; the second one is that with the fault; and a third one in what has become of the helper. */
static void launch_thrice(struct run *run, const char *const second[])
{
    const char *const plain[] = {"--", getenv("TROUBLE"), "spill", "10", NULL};
    struct owner *owner = &run->owner;

    if (owner->ended && !owner->reusable) {
        owner_close(owner);
    } else if (run->phase == 0) {
        owner_launch(owner, plain);
        run->phase++;
    } else if (run->phase == 1 && owner->reusable && run->is_quiet) {
        run->descriptors = run_descriptors(run);
        count(run);
        owner_launch(owner, second);
        run->phase++;
    } else if (run->phase == 2 && owner->reusable && run->is_quiet) {
        struct owner kept = *owner;

        if (run_descriptors(run) != run->descriptors)
            run_complain(run, "the helper has %u descriptors in place of %u", run_descriptors(run), run->descriptors);
        run->tracer.counts = false;
        owner->streams[0] = owner->streams[1] = NULL;
        owner_launch(owner, plain);
        free(kept.streams[0]);
        free(kept.streams[1]);
        run->phase++;
    } else if (run->phase == 3 && owner->reusable) {
        check_third(run);
        owner_close(owner);
        run->phase++;
    }
}

static void launch_frame(struct run *run)
{
    const char *const args[] = {"--", getenv("TROUBLE"), "spill-both", "3000", NULL};

    launch_thrice(run, args);
}

static void launch_in_cgroup(struct run *run)
{
    char group[256];
    const char *const args[] = {"-g", group, "--", getenv("TROUBLE"), "spill-both", "3000", NULL};

    (void)snprintf(group, sizeof group, "%s/case", strrchr(run_cgroup_base, '/') + 1);
    launch_thrice(run, args);
}

static const struct scenario scenarios[] = {
    {.name = "start",
     .args = ARGS("--port", "--", "@trouble", "descriptors"),
     .speaks_frames = true,
     .counts_from_start = true,
     .step = just_follow},
    {.name = "attributes",
     .args = ARGS("--port", "--uid", "65534", "--gid", "65534", "--groups", "65534", "--nice", "5", "--umask", "022",
                  "--rlimit", "core=0", "--cpus", "0", "--oom-score-adj", "500", "--no-new-privs", "--cd", "/",
                  "--setenv", "A=b", "--lock", "@lock", "--stdin", "file:/dev/null", "--stderr", "file:/dev/null", "--",
                  "/bin/echo", "done"),
     .speaks_frames = true,
     .needs_root = true,
     .counts_from_start = true,
     .step = just_follow},
    {.name = "launch", .args = ARGS("--port"), .speaks_frames = true, .step = launch_frame},
    {.name = "cgroup-launch",
     .args = ARGS("--port"),
     .speaks_frames = true,
     .needs_cgroup = true,
     .step = launch_in_cgroup},
    {.name = "stop", .args = ARGS("--port", "-k", "50", "--", TREE_ARGS), .speaks_frames = true, .step = stop_tree},
    {.name = "polite",
     .args = ARGS("--port", "-k", "5000", "--", "@trouble", "polite"),
     .speaks_frames = true,
     .step = stop_program},
    {.name = "rest",
     .args = ARGS("--port", "-k", "5000", "--", "sh", "-c", "@rest"),
     .speaks_frames = true,
     .step = stop_program},
    {.name = "stop-command",
     .args = ARGS("--port", "-k", "5000", "--stop-command", "sh", "--stop-command", "-c", "--stop-command",
                  "kill -TERM $CHILD_PID", "--", "@trouble", "polite"),
     .speaks_frames = true,
     .step = stop_program},
    {.name = "drain",
     .args = ARGS("--port", "--stdio-window", "1048576", "--", "@trouble", "spill", "200000"),
     .speaks_frames = true,
     .reads_slowly = true,
     .step = drain},
    {.name = "small-window",
     .args = ARGS("--port", "--stdio-window", "4096", "--", "@trouble", "spill-both", "9000"),
     .speaks_frames = true,
     .step = drain},
    {.name = "input",
     .args = ARGS("--port", "--stdin", "relay", "--", "cat"),
     .speaks_frames = true,
     .step = give_input},
    {.name = "pty",
     .args = ARGS("--port", "--pty=30x100", "--pty-mode", "OPOST=0", "--", "@trouble", "spill", "3000"),
     .speaks_frames = true,
     .counts_from_start = true,
     .step = just_follow},
    {.name = "shell", .args = ARGS("--", "@trouble", "spill", "1000"), .counts_from_start = true, .step = wait_and_see},
    {.name = "lifeline", .args = ARGS("-k", "50", "--", TREE_ARGS), .step = close_on_tree},
    {.name = "shell-pty",
     .args = ARGS("--pty", "--", "@trouble", "spill", "3000"),
     .counts_from_start = true,
     .step = wait_and_see},
    {.name = "lock",
     .args = ARGS("--port", "--lock", "@lock", "--", "@trouble", "spill", "10"),
     .speaks_frames = true,
     .is_locked = true,
     .counts_from_start = true,
     .step = unlock},
    {.name = "cgroup",
     .args = ARGS("--port", "-k", "50", "-g", "@group", "--", TREE_ARGS),
     .speaks_frames = true,
     .needs_cgroup = true,
     .counts_from_start = true,
     .step = stop_tree},
    {.name = "attach",
     .args = ARGS("--port", "-k", "5000", "--attach", "@target"),
     .speaks_frames = true,
     .has_target = true,
     .counts_from_start = true,
     .step = stop_attached},
    {.name = "cgroup-attach",
     .args = ARGS("--port", "-k", "5000", "--attach", "@target", "-g", "@group"),
     .speaks_frames = true,
     .needs_cgroup = true,
     .has_target = true,
     .counts_from_start = true,
     .step = stop_attached},
    {.name = "kill-relay",
     .args = ARGS("--port", "--", TREE_ARGS),
     .speaks_frames = true,
     .dies_silently = true,
     .step = kill_relay},
    {.name = "cgroup-kill-relay",
     .args = ARGS("--port", "-g", "@group", "--", TREE_ARGS),
     .speaks_frames = true,
     .needs_cgroup = true,
     .dies_silently = true,
     .step = kill_relay},
    {.name = "kill-keeper",
     .args = ARGS("--port", "-k", "50", "--", TREE_ARGS),
     .speaks_frames = true,
     .step = kill_keeper},
};

/* ---- Right or wrong ---- */

struct totals {
    unsigned runs;
    unsigned missed;   /* the call didn't come this time */
    unsigned harmless; /* the same came of it */
    unsigned told;     /* an error */
    unsigned failures;
    unsigned excused; /* calls */
};

/* What was not written to the program's standard input is told by *input_closed*. */
static bool tells_of_input(const struct run *run)
{
    return run->owner.input_closed && strstr(run->tracer.fault.name, "write(pipe)");
}

static bool is_told(const struct run *run)
{
    if (!run->owner.speaks_frames)
        return strstr(run->words, "muontrap: ") != NULL;
    return run->owner.errored || tells_of_input(run) || (run->owner.told_unused && !run->owner.started) ||
           strstr(run->words, "muontrap: ") != NULL;
}

static bool has_same_output(const struct owner *owner, const struct owner *right)
{
    if (!owner->speaks_frames)
        return owner->raw_size == right->raw_size &&
               (owner->raw_size == 0 || memcmp(owner->raw, right->raw, right->raw_size) == 0);
    for (int i = 0; i < 2; i++)
        if (owner->sizes[i] != right->sizes[i] ||
            (right->sizes[i] > 0 && memcmp(owner->streams[i], right->streams[i], right->sizes[i]) != 0))
            return false;
    return true;
}

/* The rest of it may be lost when that is told, but nothing else may have come in its place. */
static bool has_beginning_of_output(const struct owner *owner, const struct owner *right)
{
    for (int i = 0; i < 2; i++)
        if (owner->sizes[i] > right->sizes[i] ||
            (owner->sizes[i] > 0 && memcmp(owner->streams[i], right->streams[i], owner->sizes[i]) != 0))
            return false;
    return true;
}

static bool is_same(const struct run *run, const struct run *right)
{
    const struct owner *owner = &run->owner;
    const struct owner *expected = &right->owner;

    return run->status == right->status && owner->exited == expected->exited && owner->how == expected->how &&
           owner->code == expected->code && owner->launches == expected->launches &&
           owner->stopped == expected->stopped && owner->forced == expected->forced && has_same_output(owner, expected);
}

/* docs/protocol.md: "When a process may not be killed, ... an *error* of the stage *sweep* names it". */
static bool tells_of_survivor(const struct run *run)
{
    return strstr(run->owner.words, "could not be killed") || strstr(run->words, "could not be killed");
}

static void judge(struct run *run, const struct run *right, const struct row *row)
{
    const struct owner *owner = &run->owner;

    if (run->left[0] != '\0' && !(row->may_force && tells_of_survivor(run)))
        run_complain(run, "%s", run->left);
    if (owner->wrong[0] != '\0' && !run->gone)
        run_complain(run, "%s", owner->wrong);
    if (run->gone || is_same(run, right))
        return;
    if (owner->started && !owner->exited && !run->scenario->dies_silently && owner->speaks_frames)
        run_complain(run, "the program was told as started and never as exited");
    if (right->owner.launches <= 1 && !has_beginning_of_output(owner, &right->owner))
        run_complain(run, "an error was told, and the output before it is not what the program wrote");
    if (is_told(run) || (row->may_force && owner->forced))
        return;
    run_complain(run,
                 "it came to something else, and nothing tells why: status %#x, exited %d (%u %u, stopped %d, forced "
                 "%d), launches %u, %lu and %lu bytes",
                 (unsigned)run->status, owner->exited, owner->how, (unsigned)owner->code, owner->stopped, owner->forced,
                 owner->launches, (unsigned long)(owner->speaks_frames ? owner->sizes[0] : owner->raw_size),
                 (unsigned long)owner->sizes[1]);
}

static void print_failure(const struct run *run, const struct fault *fault)
{
    printf("FAILED %s '%s#%u=%s'\n    %s\n", run->scenario->name, fault->name, fault->number,
           name_of_error(fault->error), run->wrong);
    if (run->owner.errored)
        printf("    error: stage %d: %s\n", run->owner.stage, run->owner.words);
    if (run->words_size > 0)
        printf("    stderr: %s", run->words);
    (void)fflush(stdout);
}

/* False when the call didn't come. */
static bool try_one(const struct scenario *scenario, const struct run *right, struct fault fault, const struct row *row,
                    bool gone, struct totals *totals)
{
    struct run run;
    bool hit;

    fault.performed = row->performed;
    run_scenario(&run, scenario, &fault, gone);
    hit = run.tracer.fault.hit;
    judge(&run, right, row);
    if (run.wrong[0] != '\0') {
        print_failure(&run, &fault);
        __sync_add_and_fetch(&totals->failures, 1);
    }
    __sync_add_and_fetch(&totals->runs, 1);
    if (!hit)
        __sync_add_and_fetch(&totals->missed, 1);
    else if (is_same(&run, right))
        __sync_add_and_fetch(&totals->harmless, 1);
    else
        __sync_add_and_fetch(&totals->told, 1);
    run_free(&run);
    return hit;
}

/* ---- All of them ---- */

/* Of what is called again and again, as read(2) and poll(2) are, so many calls. */
#define EACH_MOST 4u

static bool tries_all(void)
{
    return getenv("FAULTS_ALL") != NULL;
}

/* A call that doesn't come in one run may come in the next one: what is called how often depends on who is faster. */
static bool try_twice(const struct scenario *scenario, const struct run *right, const struct fault *fault,
                      const struct row *row, bool gone, struct totals *totals)
{
    return try_one(scenario, right, *fault, row, gone, totals) || try_one(scenario, right, *fault, row, gone, totals);
}

/* With each of its errors, or with one in turn. */
static bool try_call(const struct scenario *scenario, const struct run *right, const struct fault *call,
                     const struct row *row, struct totals *totals)
{
    struct fault fault = *call;
    bool came = true;

    for (size_t i = 0; came && i < ERRORS_MOST && row->errors[i] != 0; i++) {
        fault.error = row->errors[i];
        came = try_twice(scenario, right, &fault, row, false, totals);
        if (!tries_all())
            break;
    }
    for (size_t i = 0; came && i < ERRORS_MOST && row->gone[i] != 0; i++) {
        fault.error = row->gone[i];
        came = try_twice(scenario, right, &fault, row, true, totals);
        if (!tries_all())
            break;
    }
    return came;
}

static void try_calls(const struct scenario *scenario, const struct run *right, const struct calls *calls,
                      struct totals *totals)
{
    const struct row *row = row_of_call(calls->name);
    unsigned most = tries_all() ? 1000 : EACH_MOST;

    if (!row) {
        printf("FAILED %s: names.c has no row for the call '%s'\n", scenario->name, calls->name);
        __sync_add_and_fetch(&totals->failures, 1);
        return;
    }
    if (row->excuse) {
        __sync_add_and_fetch(&totals->excused, 1);
        return;
    }
    for (unsigned number = 1; number <= most; number++) {
        const struct fault call = {.name = calls->name, .number = number};

        if (number > calls->count || !try_call(scenario, right, &call, row, totals))
            return;
    }
}

/* NULL, or why it can't be done here. */
static const char *left_out(const struct scenario *scenario)
{
    if (scenario->needs_cgroup && run_cgroup_base[0] == '\0')
        return "it takes a cgroup2 mount in which a cgroup can be made";
    if (scenario->needs_root && geteuid() != 0)
        return "it takes root";
    return NULL;
}

/* Without a fault. */
static bool run_rightly(const struct scenario *scenario, struct run *right)
{
    run_scenario(right, scenario, NULL, false);
    if (right->owner.wrong[0] != '\0')
        run_complain(right, "%s", right->owner.wrong);
    if (right->owner.errored)
        run_complain(right, "without a fault: %s", right->owner.words);
    if (right->left[0] != '\0')
        run_complain(right, "%s", right->left);
    if (right->wrong[0] == '\0')
        return true;
    printf("FAILED %s without a fault: %s\n", scenario->name, right->wrong);
    return false;
}

/* One worker's part of the calls. */
static void try_scenario(const struct scenario *scenario, unsigned worker, unsigned workers, struct totals *totals)
{
    struct run right;

    if (run_rightly(scenario, &right))
        for (unsigned i = 0; i < right.tracer.call_count; i++) {
            if (i % workers == worker)
                try_calls(scenario, &right, &right.tracer.calls[i], totals);
        }
    else
        __sync_add_and_fetch(&totals->failures, 1);
    run_free(&right);
}

static void try_in_workers(const struct scenario *scenario, unsigned workers, struct totals *totals)
{
    (void)fflush(stdout);
    for (unsigned i = 0; i < workers; i++) {
        pid_t pid = fork();

        if (pid < 0)
            abort();
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            run_prepare();
            try_scenario(scenario, i, workers, totals);
            run_clean_up();
            (void)fflush(stdout);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < workers; i++) {
        int status = 0;

        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            __sync_add_and_fetch(&totals->failures, 1);
    }
}

static const struct scenario *scenario_named(const char *name)
{
    for (size_t i = 0; i < COUNT(scenarios); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    fprintf(stderr, "faults: there is no scenario '%s'\n", name);
    exit(2);
}

static int error_named(const char *name)
{
    for (int error = 1; error < 200; error++)
        if (strcmp(name_of_error(error), name) == 0)
            return error;
    fprintf(stderr, "faults: there is no error '%s'\n", name);
    exit(2);
}

static bool is_among(const int *errors, int error)
{
    for (size_t i = 0; i < ERRORS_MOST && errors[i] != 0; i++)
        if (errors[i] == error)
            return true;
    return false;
}

/* "relay:fork#1=EAGAIN" */
static int replay(const struct scenario *scenario, char *call)
{
    struct totals totals = {0};
    struct run right;
    char *hash = strrchr(call, '#');
    char *equals = hash ? strchr(hash, '=') : NULL;
    const struct row *row;
    struct fault fault = {.name = call};

    if (!equals) {
        fprintf(stderr, "faults: '%s' is not like relay:fork#1=EAGAIN\n", call);
        return 2;
    }
    *hash = *equals = '\0';
    fault.number = (unsigned)strtoul(hash + 1, NULL, 10);
    fault.error = error_named(equals + 1);
    row = row_of_call(call);
    run_prepare();
    if (row && run_rightly(scenario, &right)) {
        (void)try_one(scenario, &right, fault, row, is_among(row->gone, fault.error), &totals);
        printf("%s\n", totals.failures > 0 ? "wrong"
                       : totals.missed > 0 ? "missed"
                       : totals.told > 0   ? "told"
                                           : "harmless");
        run_free(&right);
    } else {
        totals.failures++;
    }
    run_clean_up();
    return totals.failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned workers = processors > 1 ? (unsigned)processors : 1;
    unsigned failures = 0;

    if (!tracer_works_here) {
        printf("left out: how a system call is made to fail is not known for this processor\n");
        return EXIT_SUCCESS;
    }
    if (!getenv("MUONTRAP") || !getenv("TROUBLE")) {
        fprintf(stderr, "faults: MUONTRAP and TROUBLE are not set: run it with make faults\n");
        return 2;
    }
    if (argc > 2)
        return replay(scenario_named(argv[1]), argv[2]);
    run_prepare(); /* to know whether there are cgroups */
    run_clean_up();
    for (size_t i = 0; i < COUNT(scenarios); i++) {
        const struct scenario *scenario = &scenarios[i];
        struct totals *totals = mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (totals == MAP_FAILED)
            abort();
        if (argc > 1 && scenario != scenario_named(argv[1]))
            continue;
        if (left_out(scenario)) {
            printf("%-18s left out: %s\n", scenario->name, left_out(scenario));
            continue;
        }
        try_in_workers(scenario, workers, totals);
        printf("%-18s %5u runs: %5u harmless, %5u told, %5u not reached; %3u names excused; %u failed\n",
               scenario->name, totals->runs, totals->harmless, totals->told, totals->missed, totals->excused,
               totals->failures);
        (void)fflush(stdout);
        failures += totals->failures;
    }
    return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
