#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# muontrap --check on this machine's own cgroup2 mount, whatever controllers it has. test/vm/check.bats has the others.

load helper

mounts() { awk '$3 == "cgroup2" { print $2 }' /proc/mounts; }

setup() {
    common_setup
    linux_only
    root_only
    [ -n "$(mounts)" ] || {
        echo "no cgroup2 file system is mounted here: mount -t cgroup2 cgroup2 /sys/fs/cgroup" >&2
        return 1
    }
}

@test "what has been checked is what a start finds" {
    run -0 muontrap --check -g "check-$$/x"
    [[ $output != *missing* ]]
    [ "${lines[-1]}" = "ok: a process was started in $(mounts)/check-$$/x" ]
    [ ! -e "$(mounts)/check-$$" ]
    run -0 muontrap -g "check-$$/x" -- echo started
    [ "$output" = started ]
}

@test "a controller that there is nowhere is missing, and a start says so too" {
    run -1 muontrap --check -g "check-$$/x" -c nosuch
    [[ $output == *"missing: the kernel doesn't offer the controller nosuch"* ]]
    run -125 muontrap -g "check-$$/x" -c nosuch -- true
    [[ $output == *"there is no controller nosuch in $(mounts)"* ]]
    [ ! -e "$(mounts)/check-$$" ]
}

@test "an ordinary user who was given nothing is told what would" {
    let_others_run_muontrap
    run -1 as_user 65534 "$MUONTRAP" --check -g "check-$$/x"
    [[ $output == *"missing: cgroups may not be made in $(mounts)"*"
    sudo "* ]]
    [[ $output == *"missing: a process of "*"/callers/cgroup.procs'"* ]]
}

@test "without a mount, the command that mounts it is printed, and mends it" {
    # shellcheck disable=SC2016 # expands in the other namespace
    run -0 unshare --mount sh -c '
        umount "$2" && mkdir -p /sys/fs/cgroup && ! "$1" --check -g x/y >/dev/null &&
        "$1" --check -g x/y | sed -n "s/^    //p" | sh -e && "$1" -g x/y -- echo started' sh "$MUONTRAP" "$(mounts)"
    [ "$output" = started ]
}

@test "a mount that is read-only is told, and a start says so too" {
    # shellcheck disable=SC2016 # expands in the other namespace
    run -125 unshare --mount sh -c '
        mount -o remount,bind,ro "$2" && "$1" --check -g x/y; "$1" -g x/y -- true' sh "$MUONTRAP" "$(mounts)"
    [[ $output == *"missing: cgroup2 is mounted on $(mounts), but read-only"* ]]
    [[ $output == *"cannot make the cgroup $(mounts)/x: Read-only file system (the cgroup file system is mounted read-only"* ]]
}

@test "a path that is none is refused" {
    run -1 muontrap --check -g a/../b
    [ "$output" = "missing: 'a/../b' is no cgroup's path: it has . or .. in it; it is relative to where cgroup2 is mounted, as \
in mygroup/test" ]
}
