#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The command line as what a service executes, without Erlang.

load machine

@test "systemctl stop leaves a service failed whose SuccessExitStatus= lacks 143, as the program's status" {
    in_machine 'unit stopped "ExecStart=$MUONTRAP -- sleep 1234"
        systemctl start stopped
        await processes "sleep 1234"
        systemctl stop stopped
        property stopped ActiveState; property stopped ExecMainStatus
        none "sleep 1234"'
    [ "$output" = $'failed\n143' ]
}

@test "with SuccessExitStatus=143 systemctl stop leaves it inactive, and nothing of what the program left" {
    in_machine 'unit clean SuccessExitStatus=143 "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1235 & exec sleep 1234\""
        systemctl start clean
        await processes "sleep 1235"
        await processes "sleep 1234"
        systemctl stop clean
        property clean ActiveState; property clean Result
        none "sleep 123[45]"'
    [ "$output" = $'inactive\nsuccess' ]
}

@test "the program's own failure is the service's" {
    in_machine 'unit failing SuccessExitStatus=143 "ExecStart=$MUONTRAP -- sh -c \"exit 3\""
        systemctl start failing
        await has failing ActiveState failed
        property failing ExecMainStatus'
    [ "$output" = 3 ]
}

@test "a program that tells systemd that it is ready is heard with NotifyAccess=all, and not without" {
    in_machine 'unit ready Type=notify NotifyAccess=all SuccessExitStatus=143 \
            "ExecStart=$MUONTRAP -- sh -c \"systemd-notify --ready --status=served; exec sleep 1234\""
        systemctl start ready
        property ready ActiveState; property ready StatusText
        systemctl stop ready
        property ready ActiveState
        unit unheard Type=notify TimeoutStartSec=infinity SuccessExitStatus=143 \
            "ExecStart=$MUONTRAP -- sh -c \"systemd-notify --ready --status=served; exec sleep 1234\""
        systemctl start --no-block unheard
        await processes "sleep 1234" # systemd-notify(1) waits until what it has sent has been taken or refused
        property unheard ActiveState
        systemctl stop unheard'
    [ "$output" = $'active\nserved\ninactive\nactivating' ]
}

@test "with KillMode=process the program's descendants die all the same, and with them what left its session" {
    in_machine 'unit process KillMode=process SuccessExitStatus=143 \
            "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1235 & exec sleep 1234\""
        systemctl start process
        await processes "sleep 1235"
        await processes "sleep 1234"
        systemctl stop process
        none "sleep 123[45]"
        [ ! -e /sys/fs/cgroup/system.slice/process.service ]
        property process ActiveState'
    [ "$output" = inactive ]
}

@test "KillMode=process and a keeper that is killed by SIGKILL: the program dies by the relay" {
    in_machine 'unit bereft KillMode=process "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1235 & exec sleep 1234\""
        systemctl start bereft
        await processes "sleep 1235"
        await processes "sleep 1234"
        systemctl kill --kill-whom=main --signal KILL bereft
        nothing() { none "sleep 123[45]"; }
        await nothing'
}

@test "systemctl restart ends all of the old program before there is a new one, and systemctl kill all of that" {
    in_machine 'unit again SuccessExitStatus=143 "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1237 & exec sleep 1236\""
        both() { [ "$(processes "sleep 123[67]" | wc --lines)" = 2 ]; }
        systemctl start again
        await both
        before=$(processes "sleep 123[67]")
        systemctl restart again
        await both
        for pid in $before; do [ ! -e "/proc/$pid" ]; done
        systemctl kill again
        await has again ActiveState inactive
        none "sleep 123[67]"
        property again Result'
    [ "$output" = success ]
}

@test "what a timer starts is gone when its program has ended, also where systemd kills nothing" {
    in_machine 'unit job Type=oneshot KillMode=process \
            "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1238 & echo worked\""
        systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms --unit job
        await logged job worked
        await has job ActiveState inactive
        none "sleep 1238"
        property job Result'
    [ "$output" = success ]
}
