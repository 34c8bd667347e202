#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# --stop-command: a program that is run in place of the first signal.

load helper

# Without orphans that fall to it the helper can't hold who leaves the group.
setup() {
    common_setup
    setsid=setsid
    [ -z "${PORTABLE:-}" ] || setsid=
}

teardown() { end_survivors; }

# What the command has started doesn't hold the program's output, and a portable build can't wait for its death.
everything_is_gone() {
    output_ends
    if [ -n "${PORTABLE:-}" ]; then survivors_end; else nothing_survives; fi
}

# A program that says what it is told to end by.
told='trap "echo usr1; exit 5" USR1; trap "echo term; exit 6" TERM; trap "echo int" INT; echo ready; while :; do sleep 0.05; done'

only_child_of() { children_of "$1" | tr -d ' \n'; }

# `start_with OPTION... `: that program with these options, and the lifeline at descriptor 8.
start_with() {
    rm -f "$dir/lifeline"
    lifeline
    start "$@" sh -c "$told" <&7
    exec 7<&-
    await ready
}

@test "the command is run in place of the signal, with the program's pid" {
    start_with --stop-command sh --stop-command -c --stop-command 'echo "$0 $#" >&2; kill -USR1 $CHILD_PID' \
        --stop-command 'a b' --stop-command '' --stop-command -k --delay-to-sigkill 60000
    exec 8>&-
    await usr1
    everything_is_gone
    ends_with 5
    [ "$(<"$dir/stderr")" = 'a b 2' ]
}

# `fails WORDS [OPTION VALUE]...`
fails() {
    start_with --delay-to-sigkill 60000 --stop-command "${@:2}"
    exec 8>&-
    await term
    everything_is_gone
    ends_with 6
    [ "$(<"$dir/stderr")" = "muontrap: the stop command '$2' $1; 'sh' is told to end by SIGTERM instead" ]
    make_room
}

# `cannot_be_run WORDS [OPTION VALUE]...`: it fails before it is executed.
cannot_be_run() {
    fails "was not run: cannot execute '$2': $1" "${@:2}"
}

@test "a command that fails is told of, and the signal is sent" {
    fails 'exited with status 1' false
    fails 'exited with status 127' sh --stop-command -c --stop-command 'exit 127'
    fails 'was ended by signal 15' sh --stop-command -c --stop-command 'kill $$'
}

@test "a command that can't be run is told of with the reason" {
    cannot_be_run "not found in any directory of PATH ($PATH)" no-such-program
    cannot_be_run "no such file" /no/such/program
    cannot_be_run "it is a directory" "$dir"
    echo no program >"$dir/text"
    chmod 644 "$dir/text"
    permission="permission denied (ls -l shows its mode, and chmod +x makes it executable; the directories above it must"
    cannot_be_run "$permission be searchable, the file system not mounted noexec)" "$dir/text"
    chmod 755 "$dir/text"
    format="the kernel doesn't know its format (a script needs a first line like #!/bin/sh; a binary must be whole and"
    cannot_be_run "$format built for this machine)" "$dir/text"
}

@test "a command whose directory is gone is told of with the reason" {
    mkdir "$dir/work"
    start_with --cd "$dir/work" --delay-to-sigkill 60000 --stop-command true
    rmdir "$dir/work"
    exec 8>&-
    await term
    everything_is_gone
    ends_with 6
    reason="was not run: cannot change to the directory '$dir/work': No such file or directory"
    [ "$(<"$dir/stderr")" = "muontrap: the stop command 'true' $reason; 'sh' is told to end by SIGTERM instead" ]
}

@test "a command that takes too long is killed with the program" {
    start_with --delay-to-sigkill 300 --stop-command sh --stop-command -c --stop-command "sleep 100 & $setsid sleep 100"
    exec 8>&-
    everything_is_gone
    ends_with 137
}

@test "what a command has left when it ended is gone when all is over" {
    start_with --delay-to-sigkill 60000 --stop-command sh --stop-command -c \
        --stop-command "sleep 100 & $setsid sleep 100 & echo \$\$ >&2"
    program=$(only_child_of "$(only_child_of "$keeper")")
    exec 8>&-
    until grep -q . "$dir/stderr"; do :; done
    while kill -0 "$(<"$dir/stderr")" 2>/dev/null; do :; done
    kill -USR1 "$program"
    await usr1
    everything_is_gone
    ends_with 5
}

# It may wait for that in vain, for a process that has ended is there until it is reaped.
@test "a command that goes on after the program's end is told to end, and then killed" {
    start_with --delay-to-sigkill 60000 --stop-command sh --stop-command -c \
        --stop-command 'kill -USR1 $CHILD_PID; while kill -0 $CHILD_PID; do sleep 0.05; done 2>/dev/null'
    exec 8>&-
    await usr1
    everything_is_gone
    ends_with 5
    make_room
    time_to_pass 3000
    start_with --delay-to-sigkill "$limit" --stop-command sh --stop-command -c \
        --stop-command 'trap "" TERM; kill -USR1 $CHILD_PID; sleep 10000; sleep 10000'
    exec 8>&-
    await usr1
    everything_is_gone
    ends_with 5
}

@test "the next signal comes when the first one's time is over" {
    start_with --stop-signal INT:300 --stop-signal TERM:60000 --stop-command true
    exec 8>&-
    await term
    everything_is_gone
    ends_with 6
}

@test "a stopped program is continued for the command" {
    start_with --delay-to-sigkill 60000 --stop-command sh --stop-command -c --stop-command 'kill -USR1 $CHILD_PID'
    kill -STOP "$(only_child_of "$(only_child_of "$keeper")")"
    exec 8>&-
    await usr1
    everything_is_gone
}

@test "the command has the program's directory, environment, limits and user" {
    not_under_valgrind "it keeps descriptors above the limit"
    start_with --cd / --setenv A=b --clear-env --setenv "PATH=$PATH" --rlimit nofile=77 --nice 9 --delay-to-sigkill 60000 \
        --stop-command sh --stop-command -c --stop-command 'echo "$(pwd) $A $(ulimit -n) $(nice) $HOME" >&2; kill -USR1 $CHILD_PID'
    exec 8>&-
    await usr1
    everything_is_gone
    [ "$(<"$dir/stderr")" = '/ b 77 9 ' ]
}

@test "the command runs as the program's user" {
    root_only
    start_with --uid nobody --delay-to-sigkill 60000 \
        --stop-command sh --stop-command -c --stop-command 'id -un >&2; kill -USR1 $CHILD_PID'
    exec 8>&-
    await usr1
    everything_is_gone
    [ "$(<"$dir/stderr")" = nobody ]
}

@test "the command is not in the hurry that the helper is in" {
    linux_only
    start_with --delay-to-sigkill 60000 --stop-command sh --stop-command -c \
        --stop-command 'chrt -p $$ >&2; nice >&2; kill -USR1 $CHILD_PID'
    kill -TERM "$keeper"
    await usr1
    everything_is_gone
    grep -q "policy: SCHED_OTHER" "$dir/stderr"
    [ "$(tail -n 1 "$dir/stderr")" = "$(nice)" ]
}

@test "nothing of the command survives keeper or relay" {
    for which in keeper relay; do
        start_with --delay-to-sigkill 60000 --stop-command sh --stop-command -c \
            --stop-command "echo running >&2; $setsid sleep 100 & sleep 100"
        relay=$(only_child_of "$keeper")
        program=$(only_child_of "$relay")
        exec 8>&-
        until grep -q running "$dir/stderr"; do :; done
        kill -KILL "${!which}"
        # a relay goes on with the stop, which is over with the program
        [ "$which" = relay ] || kill -USR1 "$program"
        survivors_end # the command doesn't hold the program's output
        make_room
    done
}

@test "a program that ends by itself has no command run" {
    run -0 muontrap --stop-command sh --stop-command -c --stop-command 'echo no >&2' true
    output_is ""
}

@test "a command is a program and words" {
    run -125 muontrap --stop-command '' true
    output_has "--stop-command takes a program, not an empty string"
    run -125 muontrap --stop-command
    output_has "--stop-command needs a value after it"
    mapfile -t words < <(for ((i = 0; i < 65; i++)); do printf '%s\n' --stop-command x; done)
    run -125 muontrap "${words[@]}" true
    output_has "--stop-command can be given 64 times at most"
}
