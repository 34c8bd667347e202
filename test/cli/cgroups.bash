# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What the tests of cgroups share. Each test has one cgroup of its own, $own, relative to $mount; what it makes there is
# removed after it, and no test needs that: nothing may be left below but what the test itself has made.
#
# CGROUP_BASE, if it is set, is the path of a cgroup in which who runs the tests may make others: one that
# `cgcreate -a USER -t USER` has made, with this shell somewhere below it.

load helper

# All that takes time takes so much more of it where the processor is emulated.
slowness=${SLOWNESS:-1}

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

# With all that is in it and below. Processes of ours that it can't be removed for are told by the tests themselves.
remove_cgroup() {
    local tries directory

    for ((tries = 0; tries < 500; tries++)); do
        echo 1 >"$1/cgroup.kill" || return 0
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

# The processes in a cgroup; cgroup_of, the other way round.
members() { cat "$mount/$1/cgroup.procs"; }
cgroup_of() { sed -n 's/^0:://p' "/proc/$1/cgroup"; }

populated() { grep -qx 'populated 1' "$mount/$1/cgroup.events"; }

# A process of the test's in that cgroup, in $stranger.
put_stranger_into() {
    env "$mark" sleep 100 >/dev/null 2>&1 3>&- &
    stranger=$!
    echo "$stranger" >"$mount/$1/cgroup.procs"
}

# The dead have no program any more, even where nobody has waited for them yet.
is_alive() { [ -e "/proc/$1/exe" ]; }
is_dead() { ! is_alive "$1"; }

# Until the condition holds: for what tells of itself by no event that a shell could wait for.
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

# Refused with these words, and the program has not run.
start_refused() { refused "$@" -- echo ran; }
