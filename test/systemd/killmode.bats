#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What KillMode= makes of a stop of an application's service.

load machine

setup_file() {
    setup
    in_machine '
        for mode in mixed control-group process; do
            unit mode-$mode Delegate=yes KillMode=$mode \
                "ExecStart=/opt/muontrap/bin/service 30000000 \"echo $mode; exec sleep 1500\""
        done
        systemctl start mode-{mixed,control-group,process}'
}

# Stops it when its program runs. Tells how it left the unit, and what its daemon logged of the program.
stop='
    stop() { # MODE
        await logged mode-$1 "up:"
        await logged mode-$1 "sh: $1\$"
        systemctl stop mode-$1
        property mode-$1 ActiveState
        log_of mode-$1 | grep "\[error\]" || true
    }
    '

@test "with KillMode=mixed a daemon is stopped, and nothing is logged of its program" {
    in_machine "$stop"'stop mixed; [ ! -e /sys/fs/cgroup/system.slice/mode-mixed.service ]'
    [ "$output" = inactive ]
}

@test "with the default, KillMode=control-group, the daemon logs the end of its program as an error" {
    in_machine "$stop"'stop control-group; [ ! -e /sys/fs/cgroup/system.slice/mode-control-group.service ]'
    output_has inactive "sh: the process was ended by signal 15"
}

@test "with KillMode=process the program is ended all the same" {
    in_machine "$stop"'stop process
        await test ! -e /sys/fs/cgroup/system.slice/mode-process.service/muontrap
        ! processes "sleep 1500"'
    [ "$output" = inactive ]
}
