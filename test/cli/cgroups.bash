# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of cgroups share. Each test has one cgroup of its own, $own, relative to $mount. It is removed after the
# test with all that is below, but a test fails by itself if muontrap has left anything there.
#
# CGROUP_BASE, if it is set, is the path of a cgroup in which the user may make others. `cgcreate -a USER -t USER` makes
# such a one. This shell has to be in a cgroup below it.

load helper

cgroup_setup() {
    common_setup
    linux_only cgroups
    find_mount
    own=${CGROUP_BASE:+$CGROUP_BASE/}muontrap-test-$$-$BATS_SUITE_TEST_NUMBER-$RANDOM
    top=$mount/$own
    mkdir "$top" 2>/dev/null || {
        [ -z "${CGROUP_BASE:-}${CGROUPS_NEEDED:-}" ] || {
            echo "no cgroup $top can be made" >&2
            return 1
        }
        skip "needs to make cgroups in $mount; make test-cgroups does it in a virtual machine"
    }
}

# proc(5), /proc/pid/mountinfo: behind a lone hyphen is the type.
find_mount() {
    mount=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
    [ -n "$mount" ] || {
        [ -z "${CGROUPS_NEEDED:-}" ] || return 1
        skip "needs cgroup2 mounted; make test-cgroups does it in a virtual machine"
    }
}

setup() { cgroup_setup; }

teardown() {
    [ -z "${top:-}" ] || [ ! -d "$top" ] || remove_cgroup "$top"
    [ -z "${mark:-}" ] || teardown_processes
}

teardown_processes() {
    local pid

    for pid in $(survivors); do
        kill -KILL "$pid" 2>/dev/null || :
    done
}

# Kills all processes in that directory's cgroup and below: one by one where Linux has no cgroup.kill (before 5.14).
kill_cgroup() {
    local pid

    if [ -e "$1/cgroup.kill" ]; then
        echo 1 >"$1/cgroup.kill"
    else
        while IFS= read -r pid; do
            kill -KILL "$pid" 2>/dev/null || :
        done < <(find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null)
    fi
}

# Removes the cgroup after killing all processes in it and below.
remove_cgroup() {
    local tries directory

    for ((tries = 0; tries < 500; tries++)); do
        kill_cgroup "$1" || return 0
        while IFS= read -r directory; do
            rmdir "$directory" 2>/dev/null || :
        done < <(find "$1" -depth -type d 2>/dev/null)
        [ -d "$1" ] || return 0
        sleep 0.02
    done
    echo "$1 could not be removed" >&2
    return 1
}

# What is below the test's own cgroup, one path a line, relative to it.
cgroups_left() { find "$top" -mindepth 1 -type d -printf '%P\n'; }

no_cgroup_is_left() {
    [ -z "$(cgroups_left)" ] || {
        echo "left behind below $top:" >&2
        cgroups_left | head >&2
        return 1
    }
}

# members prints the processes in a cgroup, cgroup_of the cgroup of a process.
members() { cat "$mount/$1/cgroup.procs"; }
cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }

populated() { grep -qx 'populated 1' "$mount/$1/cgroup.events"; }

# Starts a process in that cgroup that is no descendant of muontrap. Its pid is left in $stranger.
put_stranger_into() {
    env "$mark" sleep 100 >/dev/null 2>&1 3>&- &
    stranger=$!
    echo "$stranger" >"$mount/$1/cgroup.procs"
}

# A zombie, which nobody has waited for yet, has no program any more, and so is not alive.
is_alive() { [ -e "/proc/$1/exe" ]; }
is_dead() { ! is_alive "$1"; }

# Fails the test unless muontrap refuses these options with these words and does not run the program.
start_refused() { refused "$@" -- echo ran; }
