# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What test/vm/cgroups and test/vm/kernel have in common: they run suites one after the other, to the last, and then say
# which have failed. In the project's directory, with the helper MUONTRAP and the test programs in C in TEST_BUILD.

export MUONTRAP=${MUONTRAP:-$PWD/build/host/muontrap}
export TEST_BUILD=${TEST_BUILD:-build/test-c}
export TROUBLE=$PWD/$TEST_BUILD/trouble
export CGROUPS_NEEDED=1 # what could be left out for want of a cgroup fails

failed=()

suite() { # NAME COMMAND...
    local name=$1 start=$SECONDS outcome=passed where
    where="as $(id -un), on Linux $(uname -r)"
    shift
    printf '\n== %s, %s\n' "$name" "$where"
    "$@" || outcome=FAILED
    printf '== %s, %s: %s, %d s\n' "$name" "$where" "$outcome" $((SECONDS - start))
    if [[ $outcome == FAILED ]]; then failed+=("$name"); fi
}

bats_on() { env --default-signal bats --formatter "$PWD/test/cli/formatter" "$@"; }

all_passed() {
    if ((${#failed[@]} > 0)); then
        echo "$0: failed as $(id -un), on Linux $(uname -r): ${failed[*]}" >&2
        return 1
    fi
}
