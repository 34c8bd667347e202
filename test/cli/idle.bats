#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What muontrap costs while nothing happens.

load helper

WATCHED_SECONDS=5

idle_program() {
    lifeline
    start sh -c 'echo ready; exec sleep 100' <&7
    exec 7<&-
    await ready
    relay=$(relay_of "$keeper")
    eventually have_slept_for_a_second
}

switches() { grep -h '^voluntary_ctxt_switches' "/proc/$keeper/status" "/proc/$relay/status"; }

sleeps() { grep -q '^State:.S' "/proc/$1/status"; }

# The relay wakes up once of its own accord, a moment after the start, when it gives back what only a start needs. Who
# sleeps at the end of a second, and has slept all along, has no such thing before it any more.
have_slept_for_a_second() {
    before=$(switches)
    sleep 1
    sleeps "$keeper" && sleeps "$relay" && [ "$(switches)" = "$before" ]
}

@test "an idle keeper and relay never wake up" {
    idle_program
    before=$(switches)
    sleep "$WATCHED_SECONDS"
    output=$(switches)
    output_is "$before"
}

@test "an idle keeper and relay make no system call" {
    command -v strace >/dev/null || skip "needs strace"
    idle_program
    status=0
    timeout -s INT "$WATCHED_SECONDS" strace -f -o "$dir/trace" -p "$keeper" -p "$relay" 2>"$dir/strace" || status=$?
    ! grep -q 'Operation not permitted' "$dir/strace" || skip "strace may not attach here"
    [ "$(grep -c ' attached$' "$dir/strace")" = 2 ]
    # strace itself interrupts the call that each is in, which shows as its being resumed, once
    output=$(grep -Ev 'restart_syscall\(<\.\.\. resuming|<detached \.\.\.>$' "$dir/trace" || :)
    output_is ""
    [ "$(wc -l <"$dir/trace")" -le 4 ]
}

@test "keeper and relay are small: under 150 KB of memory together" {
    not_under_valgrind "it takes 45 MB for each"
    linux_only "madvise(2), to give back what only a start needs"
    LC_ALL=C ldd "$MUONTRAP" 2>&1 | grep -Eq 'statically linked|not a dynamic executable' || skip "is for a static build"
    ! has_glibc || skip "is for a static build with musl"
    idle_program
    total=0
    for pid in "$keeper" "$relay"; do
        size=$(awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status")
        echo "process $pid: $size KB resident, of which $(awk '/^RssAnon:/ { print $2 }' "/proc/$pid/status") KB its own"
        total=$((total + size))
    done
    [ "$total" -lt 150 ]
}

@test "an idle keeper and relay hold few descriptors" {
    not_under_valgrind "each has a log"
    idle_program
    for pid in "$keeper" "$relay"; do
        [ "$(find "/proc/$pid/fd" -type l | wc -l)" -le 8 ]
    done
}

@test "a stopped and ended program leaves no zombie while the helper runs on" {
    start sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do setsid sh -c "sleep 0 &" & done; wait; echo ready; exec sleep 100' </dev/null
    await ready
    relay=$(relay_of "$keeper")
    timeout "$PATIENCE" sh -c 'while [ "$(wc -w <"/proc/$1/task/$1/children")" != 1 ]; do :; done' sh "$relay"
}

# proc_pid_stat(5): priority, nice value and scheduling policy.
how_it_runs='{ print $18, $19, $41 }'

@test "only the keeper comes before others, where it may" {
    linux_only
    idle_program
    ours=$(awk "$how_it_runs" /proc/self/stat)
    output=$(awk "$how_it_runs" "/proc/$(children_of "$relay" | tr -d ' ')/stat")
    output_is "$ours"
    output=$(awk "$how_it_runs" "/proc/$relay/stat")
    output_is "$ours"
    output=$(awk "$how_it_runs" "/proc/$keeper/stat")
    output_is "$(nice -n -40 awk "$how_it_runs" /proc/self/stat 2>/dev/null)"
}
