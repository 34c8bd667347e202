#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# An application as a systemd service with Delegate=yes and `cgroup_base: :auto` (service.ex), of root's, of another
# user's and of one that systemd makes up, each with another KillMode=. The three start together, because an Erlang VM
# takes seconds here.

load machine

setup_file() {
    setup
    in_machine '
        useradd --system --create-home worker
        service() { # NUMBER LINE...
            unit "app$1" Delegate=yes Restart=always RestartSec=0 "${@:2}" \
                "ExecStart=/opt/muontrap/bin/service 30000000 \"setsid sleep 100$1 & exec sleep 200$1\""
        }
        service 1 KillMode=mixed
        service 2 User=worker
        service 3 DynamicUser=yes KillMode=process
        systemctl start app1 app2 app3'
}

# The program and what it has left in a session of its own are there, once each, in a cgroup with the limit.
there='
    there() { # NUMBER
        [ "$(processes "sleep [12]00$1" | wc --lines)" = 2 ] &&
            [ "$(cat /sys/fs/cgroup/system.slice/app$1.service/muontrap/*/memory.max)" = 29999104 ] &&
            [ "$(cat /sys/fs/cgroup/system.slice/app$1.service/muontrap/*/cgroup.procs | wc --lines)" = 2 ]
    }'

@test "Delegate=yes and :auto give a program its limit, as root, as User= and with DynamicUser=" {
    in_machine "$there"'
        for number in 1 2 3; do
            await there $number
            await logged app$number "up: system.slice/app$number.service/muontrap/"
        done
        for number in 1 2 3; do
            [ "$(stat --format %u /sys/fs/cgroup/system.slice/app$number.service/muontrap)" = \
                "$(stat --format %u /proc/$(property app$number MainPID))" ]
            # Who DynamicUser= makes up has no name without the NSS module that systemd has for it.
            stat --format %U /proc/$(property app$number MainPID)
        done
        cat /sys/fs/cgroup/system.slice/app3.service/cgroup.subtree_control'
    [ "$output" = $'root\nworker\nUNKNOWN\nmemory' ]
}

@test "when the Erlang VM is killed or restarted, nothing is left beside the one that systemd starts in its place" {
    in_machine "$there"'
        before=$(property app2 MainPID)
        systemctl kill --kill-whom=main --signal KILL app1
        systemctl restart app2
        await has app1 NRestarts 1
        await there 1
        await there 2
        ! has app2 MainPID "$before"'
}

# How a stop leaves the unit, and what was logged of the program from then on.
stop='
    stop() { # NUMBER
        local before

        before=$(log_of app$1 | wc --lines)
        systemctl stop app$1
        property app$1 Result
        log_of app$1 | tail --lines +$((before + 1)) | grep -e "\[error\]" -e "\[warning\]" || true
    }
    '

@test "systemctl stop with KillMode=mixed leaves nothing, and logs no error" {
    in_machine "$stop"'stop 1
        none "sleep [12]001"
        [ ! -e /sys/fs/cgroup/system.slice/app1.service ]'
    [ "$output" = success ]
}

@test "systemctl stop with the default, KillMode=control-group, leaves nothing, and logs the program as failed" {
    in_machine "$stop"'stop 2
        none "sleep [12]002"
        [ ! -e /sys/fs/cgroup/system.slice/app2.service ]'
    output_has success "sh: the process was ended by signal 15"
}

@test "systemctl stop with KillMode=process ends the program all the same, and logs no error" {
    in_machine "$stop"'stop 3
        await test ! -e /sys/fs/cgroup/system.slice/app3.service/muontrap
        none "sleep [12]003"'
    [ "$output" = success ]
}

@test "Delegate= may name controllers, which --group auto has, with User=" {
    in_machine 'unit named Type=oneshot User=worker "Delegate=memory pids" \
            "ExecStart=$MUONTRAP -g auto -s memory.max=20M -s pids.max=9 -- sh -c \
                \"cd /sys/fs/cgroup && cd .\$\$(cut -d : -f 3 /proc/self/cgroup) && cat memory.max pids.max >/home/worker/limits\""
        systemctl start named
        cat /home/worker/limits'
    [ "$output" = $'20971520\n9' ]
}
