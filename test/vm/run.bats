#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The virtual machine itself: what test/vm/run promises to the suites that run in it.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    vm=test/vm/run
    export MUONTRAP_VM_RUNS=$BATS_TEST_TMPDIR # for other suites may run in virtual machines beside
}

leaves_nothing() {
    [ -z "$(compgen -G "$MUONTRAP_VM_RUNS/run.*")" ]
}

@test "a command has all controllers of cgroup v2 and leaves with its status" {
    run "$vm" --timeout 600 sh -c 'cat /sys/fs/cgroup/cgroup.controllers; exit 7'
    [ "$status" -eq 7 ]
    for controller in cpuset cpu io memory pids; do [[ " $output " == *" $controller "* ]]; done
    leaves_nothing
}

@test "a command's bytes come out as they are, and all of them" {
    head -c 1000000 /dev/urandom >"build/vm/bytes"
    "$vm" --timeout 600 cat build/vm/bytes >"$BATS_TEST_TMPDIR/bytes"
    cmp build/vm/bytes "$BATS_TEST_TMPDIR/bytes"
    rm build/vm/bytes
}

@test "what any user puts into the directory that is kept comes out" {
    mkdir "$BATS_TEST_TMPDIR/kept"
    echo old >"$BATS_TEST_TMPDIR/kept/here"
    script='ls "$0" && mkdir "$0/below" && head -c 1000000 /dev/zero >"$0/below/zeros" && exit 3'
    # shellcheck disable=SC2016 # expands in the virtual machine
    MUONTRAP_VM_KEPT=$BATS_TEST_TMPDIR/kept run "$vm" --timeout 600 --user stranger sh -c "$script" \
        "$BATS_TEST_TMPDIR/kept"
    [ "$status" -eq 3 ]
    [ -z "$output" ]
    [ "$(cat "$BATS_TEST_TMPDIR"/kept/run.*/below/zeros | tr -d '\0' | wc -c)" -eq 0 ]
    [ "$(stat --format %s "$BATS_TEST_TMPDIR"/kept/run.*/below/zeros)" -eq 1000000 ]
    leaves_nothing
}

@test "an ordinary user starts in the cgroup that root has given him, and may write to the project" {
    script='cat /proc/self/cgroup; mkdir /sys/fs/cgroup/given/below && touch mix.exs && mktemp -p . && id -un'
    # shellcheck disable=SC2016 # expands in the virtual machine
    run "$vm" --timeout 600 --user stranger --setup 'cgcreate -a stranger -t stranger -g memory,cpu,pids:given
        echo $$ >/sys/fs/cgroup/given/cgroup.procs' sh -c "$script"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = 0::/given ]
    [ "${lines[-1]}" = stranger ]
}

@test "the hybrid layout has the controllers of the first version, and none has no cgroups" {
    run "$vm" --timeout 600 --cgroups hybrid sh -c 'cd /sys/fs/cgroup && ls memory/cgroup.procs unified/cgroup.procs'
    [ "$status" -eq 0 ]
    run "$vm" --timeout 600 --cgroups none sh -c 'ls /sys/fs/cgroup && grep cgroup /proc/mounts'
    [ "$status" -eq 1 ]
    [ -z "$output" ]
}

@test "a kernel or an image of what is no suite of Debian's is refused" {
    MUONTRAP_VM_KERNEL=../bookworm run "$vm" true
    [ "$status" -eq 125 ]
    [[ $output == *"MUONTRAP_VM_KERNEL is a suite of Debian's, as bookworm, not '../bookworm'"* ]]
    MUONTRAP_VM_SUITE=6.12 run "$vm" --systemd true
    [ "$status" -eq 125 ]
    [[ $output == *"MUONTRAP_VM_SUITE is a suite of Debian's, as bookworm, not '6.12'"* ]]
}

@test "a command that fails to be made ready for is not run" {
    run "$vm" --timeout 600 --setup false echo run
    [ "$status" -eq 125 ]
    [ "$output" = "test/vm/run: --setup left with status 1, so the command has not been run: see above" ]
}

@test "a command that hangs and a kernel that panics are told, and leave nothing" {
    run "$vm" --timeout 20 sh -c 'echo before; sleep 1000'
    [ "$status" -eq 125 ]
    [[ $output == before*"did not end within 20 s"* ]]
    run "$vm" --timeout 600 sh -c 'echo c >/proc/sysrq-trigger'
    [ "$status" -eq 125 ]
    [[ $output == *"has died"*"Kernel panic"* ]]
    leaves_nothing
}

@test "SIGTERM ends it, and leaves nothing" {
    "$vm" sh -c 'echo started; sleep 1000' >"$BATS_TEST_TMPDIR/output" 3>&- &
    for ((wait = 0; wait < 1000; wait++)); do
        if [ -s "$BATS_TEST_TMPDIR/output" ]; then break; fi
        sleep 0.1
    done
    children=$(pgrep --parent $!)
    kill -TERM $!
    status=0
    wait $! || status=$?
    [ "$status" -eq 143 ]
    for child in $children; do [ ! -e "/proc/$child/exe" ]; done
    leaves_nothing
}
