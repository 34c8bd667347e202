#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The command line as what a service executes, without Erlang.

load machine

teardown() {
    in_machine 'systemctl stop server || true; rm -f /run/systemd/system/server.service
        systemctl daemon-reload; systemctl reset-failed'
}

@test "systemctl stop leaves a service failed whose SuccessExitStatus= lacks 143, as the program's status" {
    in_machine 'unit server "ExecStart=$MUONTRAP -- sleep 1234"
        systemctl start server
        await processes "sleep 1234"
        systemctl stop server
        property server ActiveState; property server ExecMainStatus
        ! processes "sleep 1234"'
    [ "$output" = $'failed\n143' ]
}

@test "with SuccessExitStatus=143 systemctl stop leaves it inactive, and nothing of what the program left in sessions of its own" {
    in_machine 'unit server SuccessExitStatus=143 "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1235 & exec sleep 1234\""
        systemctl start server
        await processes "sleep 1235"
        await processes "sleep 1234"
        systemctl stop server
        property server ActiveState; property server Result
        ! processes "sleep 123[45]"'
    [ "$output" = $'inactive\nsuccess' ]
}

@test "the program's own failure is the service's" {
    in_machine 'unit server SuccessExitStatus=143 "ExecStart=$MUONTRAP -- sh -c \"exit 3\""
        systemctl start server
        await has server ActiveState failed
        property server ExecMainStatus'
    [ "$output" = 3 ]
}

@test "a program that tells systemd that it is ready is heard with NotifyAccess=all, and not without" {
    in_machine 'unit server Type=notify NotifyAccess=all SuccessExitStatus=143 \
            "ExecStart=$MUONTRAP -- sh -c \"systemd-notify --ready --status=served; exec sleep 1234\""
        systemctl start server
        property server ActiveState; property server StatusText
        systemctl stop server
        property server ActiveState
        unit server Type=notify TimeoutStartSec=infinity SuccessExitStatus=143 \
            "ExecStart=$MUONTRAP -- sh -c \"systemd-notify --ready --status=served; exec sleep 1234\""
        systemctl start --no-block server
        await logged server "reception only permitted for main PID"
        property server ActiveState
        systemctl stop server'
    [ "$output" = $'active\nserved\ninactive\nactivating' ]
}

@test "with KillMode=process the program's descendants die all the same, and with them what left its session" {
    in_machine 'unit server KillMode=process SuccessExitStatus=143 \
            "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1235 & exec sleep 1234\""
        systemctl start server
        await processes "sleep 1235"
        await processes "sleep 1234"
        systemctl stop server
        ! processes "sleep 123[45]"
        [ ! -e /sys/fs/cgroup/system.slice/server.service ]
        property server ActiveState'
    [ "$output" = inactive ]
}

@test "KillMode=process and a keeper that is killed by SIGKILL: the program dies by the relay" {
    in_machine 'unit server KillMode=process "ExecStart=$MUONTRAP -- sh -c \"setsid sleep 1235 & exec sleep 1234\""
        systemctl start server
        await processes "sleep 1235"
        await processes "sleep 1234"
        systemctl kill --kill-whom=main --signal KILL server
        nothing() { ! processes "sleep 123[45]"; }
        await nothing'
}
