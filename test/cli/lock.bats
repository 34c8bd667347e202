#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# --lock: a start waits until all that its predecessor ran is dead.

load helper

setup() {
    common_setup
    lock=$dir/lock
}

# A program that holds the lock until it is killed.
hold() {
    start --lock "$lock" sh -c 'echo held; exec sleep 100' </dev/null
    await held
    eventually grep -qx sleep "/proc/$(children_of "$(relay_of "$keeper")" | tr -d ' ')/comm"
}

# Waits in the background; its output goes to the file of that name, and what it says to another.
wait_for_lock() {
    env "$mark" "$MUONTRAP" --lock "$lock" "${@:2}" </dev/null >"$dir/$1" 2>"$dir/$1.said" &
    waiting=$!
}

says_that_it_waits() { eventually test -s "$dir/$1.said"; }

# The one that waited, before it could touch the file.
has_been_stopped() {
    status=0
    wait "$waiting" || status=$?
    [ "$status" = 143 ]
    [ ! -e "$dir/started" ]
}

@test "without another one it starts at once, and the file stays" {
    run -0 muontrap --lock "$lock" echo hi
    output_is hi
    [ -f "$lock" ]
    run -0 muontrap --lock "$lock" echo again
    output_is again
}

@test "a start waits until the program before it has ended, and says that it waits for whom" {
    not_under_valgrind "the helper has its name"
    hold
    wait_for_lock second --lock-timeout 60000 echo started
    says_that_it_waits second
    [ ! -s "$dir/second" ]
    kill "$keeper"
    wait "$waiting"
    [ "$(cat "$dir/second")" = started ]
    output=$(cat "$dir/second.said")
    output_has "'echo' waits for the lock '$lock', which is held by "
    [ -n "${PORTABLE:-}" ] || output_has "process $keeper (muontrap)" "(sleep)"
    ends_with 143
}

@test "of more than four who hold the lock four are named" {
    linux_only
    start --lock "$lock" sh -c 'for i in 1 2 3 4 5 6; do sleep 100 & done; echo held; wait' </dev/null
    await held
    refused " and others" --- --lock "$lock" --lock-timeout 0 echo no
    [ "$(grep -o '[0-9] (' <<<"$output" | wc -l)" = 4 ]
    kill "$keeper"
    ends_with 143
}

# Sets $left. One that executes a program shows no mark meanwhile.
only_the_sleep_is_left() {
    left=$(survivors)
    [ -n "$left" ] && [ "$(cat "/proc/$left/comm")" = sleep ]
}

@test "it waits for what outlives both processes of the helper" {
    linux_only
    start --lock "$lock" sh -c 'setsid sh -c "echo held; exec sleep 100" & wait' </dev/null
    await held
    relay=$(relay_of "$keeper")
    kill -STOP "$relay" # so that it doesn't see the keeper's end before its own
    kill -KILL "$keeper" "$relay"
    ends_with 137
    eventually only_the_sleep_is_left
    run -125 muontrap --lock "$lock" --lock-timeout 300 echo no
    output_has "cannot start 'echo': the lock '$lock' could not be had within 300 ms" "(sleep)"
    wait_for_lock second echo started
    kill -KILL "$left"
    wait "$waiting"
    [ "$(cat "$dir/second")" = started ]
}

@test "of many that wait for each other no two run at the same time" {
    pids=()
    for i in {1..20}; do
        env "$mark" "$MUONTRAP" --lock "$lock" sh -c 'mkdir "$0" || echo two; sleep 0.02; rmdir "$0"' "$dir/alone" \
            </dev/null >"$dir/out.$i" 2>/dev/null &
        pids+=("$!")
    done
    wait "${pids[@]}"
    [ -z "$(cat "$dir"/out.*)" ]
}

@test "a timeout of nothing doesn't wait" {
    hold
    refused "could not be had within 0 ms" --- --lock "$lock" --lock-timeout 0 echo no
}

@test "SIGTERM ends the wait, and nothing was started" {
    hold
    wait_for_lock second touch "$dir/started"
    says_that_it_waits second
    kill "$waiting"
    has_been_stopped
}

@test "the lifeline's end ends the wait, and nothing was started" {
    hold
    lifeline
    env "$mark" "$MUONTRAP" --lock "$lock" touch "$dir/started" <&7 8>&- 2>"$dir/second.said" &
    waiting=$!
    says_that_it_waits second
    exec 8>&-
    has_been_stopped
}

@test "a lifeline that has ended from the start waits for nothing" {
    hold
    run -143 muontrap --stdin lifeline --lock "$lock" touch "$dir/started" </dev/null
    [ ! -e "$dir/started" ]
}

@test "a waiter that was killed is followed by another, also where SIGCHLD is ignored" {
    linux_only
    hold
    env --ignore-signal=CHLD "$mark" "$MUONTRAP" --lock "$lock" touch "$dir/started" </dev/null 2>"$dir/second.said" &
    waiting=$!
    says_that_it_waits second
    kill -KILL "$(tr -d ' ' <"/proc/$waiting/task/$waiting/children")"
    until [ -n "$(tr -d ' ' <"/proc/$waiting/task/$waiting/children")" ]; do sleep 0.02; done
    [ ! -e "$dir/started" ]
    kill "$keeper"
    wait "$waiting"
    [ -e "$dir/started" ]
}

@test "kill -9 of one that waits leaves nothing" {
    hold
    wait_for_lock second touch "$dir/started"
    says_that_it_waits second
    kill -KILL "$waiting"
    wait "$waiting" || :
    # while the lock is held still: a waiter that was left would be seen
    until [ "$(survivors | wc -l)" -le 3 ]; do sleep 0.05; done
    kill "$keeper"
    ends_with 143
    everything_is_gone
    [ ! -e "$dir/started" ]
}

@test "a file that was removed meanwhile locks nobody out" {
    hold
    wait_for_lock second sh -c 'echo started; exec sleep 100'
    says_that_it_waits second
    rm "$lock"
    kill "$keeper"
    until [ -s "$dir/second" ]; do sleep 0.02; done
    refused "could not be had" --- --lock "$lock" --lock-timeout 0 echo no
    kill "$waiting"
}

@test "a directory can be locked, and a FIFO" {
    mkdir "$dir/data"
    mkfifo "$dir/fifo"
    run -0 muontrap --lock "$dir/data" echo hi
    output_is hi
    run -0 muontrap --lock "$dir/fifo" echo hi
    output_is hi
}

@test "a lock that can't be opened is refused, and why" {
    refused "cannot open the lock '$dir/none/lock'" "No such file or directory" --- --lock "$dir/none/lock" echo no
}

@test "the program inherits the lock and no more" {
    linux_only
    run -0 muontrap sh -c 'ls -l /proc/self/fd'
    without=$(grep -c -- '-> ' <<<"$output")
    run -0 muontrap --lock "$lock" sh -c 'ls -l /proc/self/fd'
    [ "$(grep -c -- '-> ' <<<"$output")" = $((without + 1)) ]
    output_has "$lock"
}
