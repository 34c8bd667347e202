#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# --attach: a process that somebody else has started.

load cgroups

setup() {
    common_setup
    linux_only "pidfd_open(2)"
    lifeline
}

# `target SCRIPT` starts a shell in the background that isn't muontrap's; its pid is in $target, and it is ready.
target() {
    mkfifo "$dir/ready"
    env "$mark" ready="$dir/ready" sh -c "$1" 3>"$dir/said" 7<&- 8>&- &
    target=$!
    read -r -t "$PATIENCE" _ <"$dir/ready"
    rm "$dir/ready"
}

quiet='echo ready >"$ready"; exec sleep 100'

# In the background, as `start` does it, with the lifeline at descriptor 8.
attach() {
    start --attach "$target" <&7
    exec 7<&-
}

# The relay watches when it has its pidfd; the keeper has two children then, or one.
is_attached() {
    local tries

    for ((tries = 0; tries < 3000; tries++)); do
        [ -z "$(children_of "$keeper" 2>/dev/null)" ] || return 0
        sleep 0.01
    done
    cat "$dir/stderr" >&2
    return 1
}

@test "its end ends muontrap, with status 0" {
    target "$quiet"
    attach
    is_attached
    kill -USR1 "$target"
    everything_is_gone
    ends_with 0
    [ ! -s "$dir/stderr" ]
}

@test "the end of the lifeline stops it, and so does a signal" {
    target "$quiet"
    attach
    is_attached
    exec 8>&-
    gone "$target"
    ends_with 0
    make_room

    target "$quiet"
    start --attach "$target"
    is_attached
    kill "$keeper"
    gone "$target"
    ends_with 0
}

@test "other signals are passed on to it" {
    target 'trap "echo usr1 >&3; exit" USR1; echo ready >"$ready"; while :; do sleep 0.05; done'
    attach
    is_attached
    kill -USR1 "$keeper"
    everything_is_gone
    ends_with 0
    [ "$(<"$dir/said")" = usr1 ]
}

@test "what must not be stopped, or isn't there, is refused" {
    refused "process 1: it is the init" --- --attach 1
    refused "process $$: muontrap itself descends from it" --- --attach $$
    refused "process 4194303: there is no such process" "ps -p 4194303" --- --attach 4194303
    start sleep 100
    is_attached
    refused "process $keeper: it is a helper of MuonTrap's" --- --attach "$keeper"
    kill "$keeper"
    everything_is_gone
}

@test "what makes no sense with a process that runs already is refused by name" {
    local option

    refused "no program such as 'true'" --- --attach 5 true
    refused "takes the number of a process" "not 'abc'" --- --attach abc
    refused "takes the number of a process" "not '0'" --- --attach 0
    for option in --uid=5 --gid=5 --groups=5 --cd=/ --arg0=a --setenv=A=1 --clear-env --nice=1 --lock=/tmp --pty \
        --stdin=file:/dev/null --stdout=null --stderr=null --rlimit=core=0; do
        refused "${option%%=*}" "can't be had with --attach" --- --attach 5 "$option"
    done
}

@test "an ordinary user can't attach to another's" {
    root_only
    let_others_run_muontrap
    target "$quiet"
    run -125 as_user 65533 timeout -k 5 60 "$MUONTRAP" --attach "$target"
    output_is "muontrap: cannot attach to process $target: it may not be signalled: Operation not permitted (it runs as another user; that takes root or CAP_KILL)"
    kill "$target"
}

@test "an ordinary user can attach to one of his own, and root to any" {
    root_only
    let_others_run_muontrap
    mkfifo "$dir/ready"
    chmod 666 "$dir/ready"
    for user in 65533 0; do
        setpriv --reuid 65533 --regid 65533 --clear-groups env "$mark" ready="$dir/ready" sh -c "$quiet" 7<&- 8>&- &
        target=$!
        read -r -t "$PATIENCE" _ <"$dir/ready"
        start_as setpriv --reuid "$user" --regid "$user" --clear-groups bash -c 'exec "$0" "$@"' "$MUONTRAP" --attach \
            "$target" <&7
        is_attached
        kill "$target"
        everything_is_gone
        ends_with 0
        make_room
        rm "$dir/ready"
        mkfifo "$dir/ready"
        chmod 666 "$dir/ready"
    done
    nothing_survives
}

@test "with a cgroup its descendants end with it" {
    cgroup_setup
    target 'setsid sleep 100 & (sleep 100 & exec setsid sleep 100) & echo ready >"$ready"; wait'
    exec 7<&-
    start --group "$own/it" --attach "$target"
    is_attached
    run cat "$top/it/cgroup.procs"
    until [ "$(wc -l <"$top/it/cgroup.procs")" -ge 4 ]; do sleep 0.01; done
    kill -KILL "$target"
    everything_is_gone
    ends_with 0
    [ -z "$(cgroups_left)" ]
}
