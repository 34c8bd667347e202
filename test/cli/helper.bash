# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What the tests share. Every process that a test makes carries the test's own mark in its environment, and so is found
# in /proc whatever it has done to its parents, its session and its name. And every one holds standard output, which is a
# FIFO, unless it lets go of it on purpose: the end of the FIFO is the event that tells that all are gone.

bats_require_minimum_version 1.5.0

# Where the processor is emulated, everything takes this many times longer.
slowness=${SLOWNESS:-1}

# What is done so many times is done fewer times there.
fewer() { printf '%s\n' $(($1 / (slowness > 1 ? 5 : 1))); }

# Whether the helper has been linked with the GNU C library, statically or not.
has_glibc() { grep -aq -e GLIBC_TUNABLES -e 'GLIBC_2\.' "$MUONTRAP"; }

# Seconds that an event may take before the test fails; none takes more than a few, nor more than some ten where the
# processor is emulated, of a machine that has nothing else to do.
PATIENCE=$((slowness > 1 ? 150 : 30))

# Seconds that all of a test may take which one command does: it ends a little before bats would end the test.
LONGEST=$((${BATS_TEST_TIMEOUT:-120} - 10))

# `time_limit MILLISECONDS` sets $limit to the time that something may take which may take so long on an idle machine. It
# is called before that begins, because it measures what else the machine does.
time_limit() {
    idle_limit=$1
    limit=$(($1 * slowness * $("$BATS_TEST_DIRNAME/../busyness")))
}

# Whether what took so many milliseconds was in time. What else the machine does may have begun since that was measured.
in_time() {
    [ "$1" -lt "$limit" ] || {
        time_limit "$idle_limit"
        echo "took $1 ms, of $limit by what else the machine does now"
        [ "$1" -lt "$limit" ]
    }
}

# The same for a time that is waited out, which leaves patience for what comes after it.
time_to_pass() {
    time_limit "$1"
    [ "$limit" -le $((PATIENCE * 1000 / 2)) ] || limit=$((PATIENCE * 1000 / 2))
}

common_setup() {
    [ -x "${MUONTRAP:-}" ] || {
        echo "MUONTRAP has to be the path of the helper; make test-cli sets it" >&2
        return 1
    }
    left_out
    exec </dev/null
    searchable_path
    dir=$BATS_TEST_TMPDIR
    chmod 755 "$dir"
    mark=MUONTRAP_CLI_TEST=$$.$BATS_SUITE_TEST_NUMBER.$RANDOM$RANDOM
    keeper=
}

# Skips what the file that LEFT_OUT names has: below a line `because REASON`, lines `FILE: NAME OF THE TEST`, or
# `FILE: *` for all of a file.
left_out() {
    local line reason=

    [ -n "${LEFT_OUT:-}" ] || return 0
    while IFS= read -r line; do
        case $line in
            'because '*) reason=${line#because } ;;
            "${BATS_TEST_FILENAME##*/}: $BATS_TEST_DESCRIPTION" | "${BATS_TEST_FILENAME##*/}: *") skip "$reason" ;;
        esac
    done <"$LEFT_OUT"
}

# A directory of PATH that may not be searched (root's own, after su) makes a missing program one that is denied: 126.
searchable_path() {
    local directory path=

    while IFS= read -r -d : directory; do
        [ ! -x "$directory" ] || path+=${path:+:}$directory
    done <<<"$PATH:"
    PATH=$path
}

setup() { common_setup; }

teardown() { end_survivors; }

# By pid, and only what carries this test's mark.
end_survivors() {
    local pid pass left looks=0

    # Twice nobody, because a look may miss one who forks or executes a program at that moment.
    for pass in 1 2 3 4 5; do
        left=$(survivors)
        [ -n "$left" ] || ((++looks < 2)) || break
        for pid in $left; do
            kill -KILL "$pid" 2>/dev/null || :
        done
    done
}

linux_only() { [ -z "${PORTABLE:-}" ] || skip "needs Linux: ${1:-a child subreaper}"; }
# For what the sanitizers can't have (make test-sanitized), and for what valgrind changes (make test-valgrind).
not_sanitized() { [ -z "${SANITIZED:-}" ] || skip "not with the sanitizers: $1"; }
not_under_valgrind() { [ -z "${VALGRIND:-}" ] || skip "not under valgrind: $1"; }
# For tests in which job control stops the helper.
takes_its_stop() { not_under_valgrind "no signal of job control stops what it runs"; }
root_only() { [ "$(id -u)" = 0 ] || skip "needs root"; }

# `run_scene FILE NAME` runs a scene on a terminal that expect has.
run_scene() {
    command -v expect >/dev/null || skip "needs expect"
    run timeout -k 5 "$LONGEST" env --default-signal MARK="$mark" DIR="$dir" MUONTRAP="$MUONTRAP" \
        expect -f "$BATS_TEST_DIRNAME/$1" "$2"
    # shellcheck disable=SC2154 # bats sets it
    [ "$status" = 0 ] || {
        cat -v <<<"$output" >&2
        return 1
    }
}

# `as_user UID COMMAND...` runs the command as that user, who has no groups. bash starts the command, because setpriv
# still has root's capabilities when it executes a program, and would find one that the user may not reach.
as_user() {
    local uid=$1

    shift
    # shellcheck disable=SC2016 # expands in the other shell
    setpriv --reuid "$uid" --regid "$uid" --clear-groups bash -c 'exec "$0" "$@"' "$@"
}

# For tests in which another user runs the helper: $MUONTRAP becomes a copy in $dir, and $dir is opened to others. The
# project may lie where they may not go, as in root's home, and mktemp(1) closes bats' own directories to them.
let_others_run_muontrap() {
    local place=$dir

    until [ "$place" = "$BATS_TMPDIR" ] || [ "$place" = / ]; do
        chmod o+x "$place"
        place=$(dirname "$place")
    done
    install -m 755 "$MUONTRAP" "$dir/muontrap"
    MUONTRAP=$dir/muontrap
    as_user 65533 "$MUONTRAP" --version >/dev/null || {
        echo "another user cannot execute $MUONTRAP, a copy of the helper: TMPDIR has to be a directory below which" \
            "others may execute programs, and $BATS_TMPDIR may be closed to them, or mounted noexec: try TMPDIR=/tmp" >&2
        return 1
    }
}

# The helper in the foreground, for `run`, guarded and marked. Its programs sleep for 100 s at most, so what
# may survive a broken helper, and hold the pipe that `run` reads, doesn't hold up the suite for good.
muontrap() { timeout -k 5 60 env "$mark" "$MUONTRAP" "$@"; }

# The helper in the background: its output goes to the FIFO that `await` and `everything_is_gone` read, its pid to
# $keeper. Background jobs of a script ignore SIGINT and SIGQUIT unless told otherwise.
start() { start_as "$MUONTRAP" "$@"; }

start_as() {
    mkfifo "$dir/alive"
    env --default-signal "$mark" "$@" <&0 >"$dir/alive" 2>"$dir/stderr" 3>&- 7<&- 8>&- &
    keeper=$!
    exec {alive}<"$dir/alive"
}

# For the next start in the same test.
make_room() {
    exec {alive}<&-
    rm "$dir/alive"
}

# A lifeline: 7 is what muontrap is to read, 8 the writing end that keeps it alive. The FIFO is first opened for both, so
# that neither open waits for the other.
lifeline() {
    mkfifo "$dir/lifeline"
    exec 6<>"$dir/lifeline" 7<"$dir/lifeline" 8>"$dir/lifeline" 6>&-
}

# Descriptor 7 is standard input with which the program's children are contained, too. That is any, but for the portable
# build: it contains a process group, and the program has one of its own only when it doesn't read from ours.
stdin_that_contains() {
    if [ -n "${PORTABLE:-}" ]; then lifeline; else exec 7</dev/null; fi
}

# The next line of output, which has to be the one given (a pattern), or any; it is left in $line.
await() {
    local pattern=${1:-*}

    IFS= read -r -t "$PATIENCE" -u "$alive" line || {
        echo "waited for '$pattern', but output ended" >&2
        cat "$dir/stderr" >&2
        return 1
    }
    # shellcheck disable=SC2053 # a pattern is wanted
    [[ $line == $pattern ]] || {
        echo "waited for '$pattern', but '$line' came" >&2
        return 1
    }
}

# Waits for the end of every holder of the output, whatever it prints.
output_ends() {
    timeout "$PATIENCE" cat <&"$alive" >"$dir/rest" || {
        echo "these are still there after $PATIENCE s:" >&2
        show_survivors
        return 1
    }
}

# After that nothing has the mark any more.
everything_is_gone() {
    output_ends
    nothing_survives
}

# For what has let go of the output: there is no event then but the end of the process itself. Only for the processes
# that die after the helper (which is the case when a part of the helper was killed).
survivors_end() {
    local pid

    for pid in $(survivors); do
        gone "$pid" || return 1
    done
    nothing_survives
}

gone() {
    timeout "$PATIENCE" tail --pid="$1" -s 0.02 -f /dev/null || {
        echo "process $1 is still there after $PATIENCE s; there are:" >&2
        show_survivors
        return 1
    }
}

# How the helper left; in $status. Its output has ended, so it has, or will at once.
ends_with() {
    status=0
    wait "$keeper" || status=$?
    [ "$status" = "$1" ] || {
        echo "muontrap ended with $status instead of $1" >&2
        cat "$dir/stderr" >&2
        return 1
    }
}

# The processes that carry the mark, zombies left out (they have no environment any more).
survivors() {
    local file

    grep -lsazFx -- "$mark" /proc/[0-9]*/environ | while IFS= read -r file; do
        file=${file#/proc/}
        printf '%s\n' "${file%/environ}"
    done
}

show_survivors() {
    local pid

    for pid in $(survivors); do
        { printf '%s: ' "$pid" && tr '\0' ' ' <"/proc/$pid/cmdline" && grep -E '^(State|PPid)' "/proc/$pid/status"; } >&2
    done
}

# Twice nobody, as in end_survivors.
nothing_survives() {
    [ -z "$(survivors)$(survivors)" ] || {
        echo "survived:" >&2
        show_survivors
        return 1
    }
}

# The relay is the keeper's only child.
relay_of() {
    local pids

    read -r -a pids <"/proc/$1/task/$1/children"
    [ "${#pids[@]}" = 1 ]
    printf '%s\n' "${pids[0]}"
}

children_of() { cat "/proc/$1/task/$1/children"; }

now_ms() { printf '%s\n' "${EPOCHREALTIME/./}" | sed 's/...$//'; }

# Waits until the command succeeds, for conditions of whose change no event tells that a shell could wait for.
eventually() {
    local begin=$SECONDS

    until "$@"; do
        [ $((SECONDS - begin)) -lt "$PATIENCE" ] || {
            echo "waited $PATIENCE s for: $*" >&2
            return 1
        }
        sleep 0.02
    done
}

# Assertions on `run`'s $output that say what they saw.
output_is() {
    # shellcheck disable=SC2154 # bats sets it
    [ "$output" = "$1" ] || {
        printf 'expected: %s\ngot:      %s\n' "$1" "$output" >&2
        return 1
    }
}

output_has() {
    local words

    for words in "$@"; do
        [[ $output == *"$words"* ]] || {
            printf 'expected somewhere: %s\ngot: %s\n' "$words" "$output" >&2
            return 1
        }
    done
}

# Refused with status 125, one line, and the words given; the program has not run.
refused() {
    local words=()

    while [ "$1" != --- ]; do
        words+=("$1")
        shift
    done
    shift
    run -125 --separate-stderr muontrap "$@"
    output_is ""
    # shellcheck disable=SC2154 # bats sets it
    output=$stderr
    output_has "muontrap: " "${words[@]}"
    [ "${#stderr_lines[@]}" = 1 ]
}
