#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The user and groups that the program runs as. Tests of what only root can do are skipped for other users; others test
# that these users are refused.

load helper
load users

# nobody is an account that every system has, but its group has one of two names.
setup() {
    common_setup
    other=nobody
    other_uid=$(id -u nobody)
    other_gid=$(id -g nobody)
    other_group=$(id -gn nobody)
}

teardown() {
    end_survivors
    end_inside
    remove_helper
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

@test "a program of another user can neither signal muontrap nor look into it" {
    root_only
    linux_only "/proc"
    # shellcheck disable=SC2016 # these are perl's variables
    run -0 muontrap --uid "$other" perl -e 'use Fcntl; my $relay = getppid;
        exit 1 if kill(KILL => $relay) || kill(0 => $relay);
        for ("mem", "environ", "fd/1") { exit 2 if sysopen(my $file, "/proc/$relay/$_", O_RDWR) or !$!{EACCES} }
        exit 3 if opendir(my $directory, "/proc/$relay/fd");
        print "shut out"'
    output_is "shut out"
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

# ---- Capabilities without root ----

# These run the helper as an ordinary user that has capabilities, which can get them in two ways: ambient ones from the
# process that starts the helper, or those of the helper's file. With the latter it takes root's word for each user and
# group as well (users.bats), which is given here. Each test runs once in either way.
former=54330
to_be_former=(setpriv --reuid "$former" --regid "$former" --clear-groups)

muontrap_as_ordinary_user() { as_former timeout -k 5 60 env "$mark" "$helper" "$@"; }
as_former() { inside "${to_be_former[@]}" "${privileges[@]}" "$@"; }
start_as_ordinary_user() {
    start_as nsenter --mount --target "$holder" "${to_be_former[@]}" "${privileges[@]}" "$helper" "$@"
}

# $1: setuid,setgid,kill or some of these.
with_ambient_capabilities() {
    local set=+${1//,/,+}

    prepare
    no_rules
    setcap -r "$helper" 2>/dev/null || :
    privileges=(--inh-caps "$set" --ambient-caps "$set")
}

with_file_capabilities() {
    prepare
    rules "by user $former allow user 54331 allow group 54332 allow group 54333"
    privileges=()
    setcap "cap_${1//,/,cap_}+ep" "$helper"
}

prepare() {
    [ -n "${helper:-}" ] || {
        make_helper "$MUONTRAP"
        make_inside
    }
}

capabilities_only() {
    root_only
    linux_only capabilities
}

# How the helper comes by them. Valgrind is a program without any that reads the helper's file.
ways="with_ambient_capabilities with_file_capabilities"
[ -z "${VALGRIND:-}" ] || ways=with_ambient_capabilities

no_capability='CapInh: 0000000000000000
CapPrm: 0000000000000000
CapEff: 0000000000000000
CapAmb: 0000000000000000'
capabilities='grep -E "^Cap(Inh|Prm|Eff|Amb):" /proc/self/status | tr "\t" " "'

@test "a user with CAP_SETUID, CAP_SETGID and CAP_KILL may become another, and no capability is left" {
    capabilities_only
    for way in $ways; do
        $way setuid,setgid,kill
        run -0 muontrap_as_ordinary_user --uid 54331 --gid 54332 --groups 54333 sh -c "$identity; $capabilities"
        output_is "Uid: 54331 54331 54331 54331
Gid: 54332 54332 54332 54332
Groups: 54333
$no_capability"
    done
}

@test "another group takes no other user, and no capability is left then either" {
    capabilities_only
    for way in $ways; do
        $way setuid,setgid,kill
        run -0 muontrap_as_ordinary_user --gid 54332 sh -c "$identity; $capabilities"
        output_has "Uid: $former $former $former $former" "Gid: 54332 54332 54332 54332" "$no_capability"
        run -0 muontrap_as_ordinary_user --groups 54333 sh -c "$identity; $capabilities"
        output_has "Gid: $former" "Groups: 54333" "$no_capability"
        run -0 muontrap_as_ordinary_user --gid "$former" sh -c "$capabilities"
        output_is "$no_capability"
    done
}

@test "with capabilities there is no way back to root, nor to the user and group that there were before" {
    capabilities_only
    for way in $ways; do
        $way setuid,setgid,kill
        for id in 0 "$former"; do
            # shellcheck disable=SC2016 # these are perl's variables
            run -0 muontrap_as_ordinary_user --uid 54331 --gid 54332 perl -e 'use POSIX ();
                exit((POSIX::setuid($ARGV[0]) || POSIX::setgid($ARGV[0])) ? 1 : 0)' "$id"
        done
    done
}

@test "capabilities that a program gets without asking for another identity are left to it" {
    capabilities_only
    with_ambient_capabilities setuid,kill
    run -0 muontrap_as_ordinary_user sh -c "$capabilities"
    output_is "${no_capability//0000000000000000/00000000000000a0}"
}

@test "a root program that is put into another group stays root, with its capabilities" {
    capabilities_only
    expected=$(sh -c "$capabilities")
    run -0 muontrap --gid 54332 sh -c "$capabilities"
    output_is "$expected"
}

@test "with capabilities a daemon of another user is stopped and swept, too" {
    capabilities_only
    for way in $ways; do
        $way setuid,setgid,kill
        start_as_ordinary_user -k 100 --uid 54331 --gid 54332 -- sh -c 'trap "" TERM
            setsid sh -c "trap \"\" TERM; sleep 100 & echo ready; sleep 100" &
            sleep 100; sleep 100'
        await ready
        kill -TERM "$keeper"
        everything_is_gone
        ends_with 137
        make_room
    done
}

@test "with capabilities a killed relay takes a program of another user along" {
    capabilities_only
    for way in $ways; do
        $way setuid,setgid,kill
        start_as_ordinary_user --uid 54331 --gid 54332 -- sh -c 'setsid sleep 100 & echo ready; sleep 100'
        await ready
        kill -KILL "$(relay_of "$keeper")"
        everything_is_gone
        ends_with 125
        make_room
    done
}

# What /proc has of a process with capabilities of its file's is root's.
@test "with capabilities the OOM killer is told of a program that it may take" {
    capabilities_only
    for way in $ways; do
        $way setuid,setgid,kill
        for whom in --oom-score-adj=1000 --uid=54331; do
            run -0 muontrap_as_ordinary_user --gid 54332 "$whom" --oom-score-adj 1000 cat /proc/self/oom_score_adj
            output_is 1000
        done
    done
}

@test "without CAP_KILL no program is started as another user, for it could not be stopped" {
    capabilities_only
    for way in $ways; do
        $way setuid,setgid
        run -125 muontrap_as_ordinary_user --uid 54331 --gid 54332 echo ran
        output_has "muontrap: " 54331 CAP_KILL "setcap cap_setuid,cap_setgid,cap_kill+ep"
        [[ $output != *ran* ]]
        run -0 muontrap_as_ordinary_user --gid 54332 id -g
        output_is 54332
    done
}

@test "a group that the program is in by its gid alone is set when --gid changes that" {
    root_only
    run -0 setpriv --regid 54334 --clear-groups env "$mark" "$MUONTRAP" --gid 54332 --groups 54334 id -G
    output_is "54332 54334"
}
