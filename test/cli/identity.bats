#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# As whom the program runs. What only root can do is skipped for others, who are refused instead.

load helper

# An account that every system has; nobody's group has two names.
setup() {
    common_setup
    other=nobody
    other_uid=$(id -u nobody)
    other_gid=$(id -g nobody)
    other_group=$(id -gn nobody)
}

not_root() { [ "$(id -u)" != 0 ] || skip "is for an ordinary user"; }

identity='grep -E "^(Uid|Gid|Groups):" /proc/self/status | tr -s "\t " " " | sed "s/ \$//"'

@test "--uid by name takes the user's group and groups, too" {
    root_only
    run -0 muontrap --uid "$other" sh -c "$identity"
    output_is "Uid: $other_uid $other_uid $other_uid $other_uid
Gid: $other_gid $other_gid $other_gid $other_gid
Groups: $(id -G nobody)"
}

@test "--uid by number of a known user is the same as by name" {
    root_only
    run -0 muontrap --uid "$other_uid" sh -c "$identity"
    output_has "Uid: $other_uid $other_uid $other_uid $other_uid" "Gid: $other_gid" "Groups: $(id -G nobody)"
}

@test "a user that is in no database needs a group, and then is taken by number" {
    root_only
    run -125 muontrap --uid 54321 true
    output_has "54321" "--gid"
    run -0 muontrap --uid 54321 --gid 54322 sh -c "$identity"
    output_is "Uid: 54321 54321 54321 54321
Gid: 54322 54322 54322 54322
Groups: 54322"
}

@test "--gid by name and by number sets the group" {
    root_only
    run -0 muontrap --gid "$other_group" sh -c "$identity"
    output_has "Uid: 0 0 0 0" "Gid: $other_gid $other_gid $other_gid $other_gid"
    run -0 muontrap --uid "$other" --gid 54322 sh -c "$identity"
    output_has "Uid: $other_uid" "Gid: 54322 54322 54322 54322"
}

@test "--groups sets the supplementary groups, and those only" {
    root_only
    run -0 muontrap --uid "$other" --groups "54323,$other_group" sh -c "$identity | sed s/Groups:/Groups:\ /"
    line=${lines[2]}
    [ "$(xargs -n 1 <<<"${line#Groups:}" | sort -n | xargs)" = "$(printf '%s\n' 54323 "$other_gid" | sort -n | xargs)" ]
}

@test "an empty --groups leaves no supplementary group" {
    root_only
    run -0 muontrap --uid "$other" --groups '' sh -c "$identity"
    output_has "Uid: $other_uid" "Gid: $other_gid"
    [ "${lines[2]}" = "Groups:" ]
}

@test "there is no way back to root" {
    root_only
    run -1 muontrap --uid "$other" perl -e '$< = 0; $> = 0; exit($< && $> ? 1 : 0)'
}

@test "a program of another user is stopped, too" {
    root_only
    stdin_that_contains
    start --uid "$other" sh -c 'trap "" TERM; sleep 100 & echo ready; sleep 100' <&7
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 137
}

@test "the directory of --cd is entered as root, the program executed as the user" {
    root_only
    # bats' own directory is closed to others: a relative path from within is all that the user has
    mkdir "$dir/there"
    run -0 muontrap --uid "$other" --cd "$dir/there" sh -c 'id -un'
    output_is "$other"
    printf '#!/bin/sh\n' >"$dir/private"
    chmod 700 "$dir/private"
    run -126 muontrap --uid "$other" "$dir/private"
    output_has "$dir/private" "ermission denied"
}

@test "root is refused as a user and as a group, by name and by number" {
    for user in 0 00 root; do
        run -125 muontrap --uid "$user" true
        output_has "muontrap: " "--uid $user" root
    done
    for group in 0 "$(id -gn 0)"; do
        run -125 muontrap --gid "$group" true
        output_has "muontrap: " "group $group" root
        run -125 muontrap --groups "$group" true
        output_has "muontrap: " "group $group" root
    done
}

@test "a user or group that there is not is named" {
    run -125 muontrap --uid no-such-user true
    output_has "muontrap: " "no user 'no-such-user'"
    run -125 muontrap --gid no-such-group true
    output_has "muontrap: " "no group 'no-such-group'"
    run -125 muontrap --groups no-such-group true
    output_has "muontrap: " "no group 'no-such-group'"
}

@test "numbers that no id can be are refused" {
    for id in -1 4294967295 4294967296 18446744073709551616 1x; do
        run -125 muontrap --uid="$id" true
        output_has "muontrap: " "$id"
        run -125 muontrap --gid="$id" true
        output_has "muontrap: " "$id"
        run -125 muontrap --groups="$id" true
        output_has "muontrap: " "$id"
    done
}

@test "an ordinary user may not become another, and is told what it takes" {
    not_root
    run -125 muontrap --uid "$other" true
    output_has "muontrap: " "not permitted" root
    run -125 muontrap --gid "$other_group" true
    output_has "muontrap: " "not permitted" root
    run -125 muontrap --groups 54323 true
    output_has "muontrap: " "not permitted" CAP_SETGID
}

@test "an ordinary user may ask for what it is already" {
    not_root
    run -0 muontrap --uid "$(id -u)" --gid "$(id -g)" echo hi
    output_is hi
}
