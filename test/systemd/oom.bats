#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What becomes of a service when the kernel's OOM killer strikes below it, and who is told why.

load machine

# tail(1) keeps what is to be the last line.
hog='head --bytes 300M /dev/zero | tail'

@test "with Delegate=yes a service goes on when a program has used up its own limit" {
    in_machine 'unit lenient Delegate=yes \
            "ExecStart=sh -c \"$MUONTRAP -g auto -s memory.max=20M -- sh -c \\\"'"$hog"'\\\"; \
                echo left \$\$?; exec sleep 1000\""
        systemctl start lenient
        await logged lenient "left 137"
        property lenient OOMPolicy
        property lenient ActiveState
        systemctl stop lenient
        property lenient Result'
    [ "$output" = $'continue\nactive\nsuccess' ]
}

@test "with OOMPolicy=stop and kill a program's own limit ends the whole service" {
    local policy

    for policy in stop kill; do
        in_machine 'unit strict-'"$policy"' Delegate=yes OOMPolicy='"$policy"' \
                "ExecStart=sh -c \"$MUONTRAP -g auto -s memory.max=20M -- sh -c \\\"'"$hog"'\\\"; exec sleep 1001\""
            systemctl start strict-'"$policy"'
            await has strict-'"$policy"' ActiveState failed
            property strict-'"$policy"' Result
            none "sleep 1001"
            [ ! -e /sys/fs/cgroup/system.slice/strict-'"$policy"'.service ]'
        [ "$output" = oom-kill ]
    done
}

# The kernel counts it for the program only where the controller is enabled, as it is for a limit, however high.
@test "a daemon whose program has used up the unit's MemoryMax= names that limit, and the service goes on" {
    in_machine 'unit crowded Delegate=yes KillMode=mixed MemoryMax=120M MemorySwapMax=0 \
            "ExecStart=/opt/muontrap/bin/service 500000000 \"mkdir /run/struck || exec sleep 1002; '"$hog"'\""
        systemctl start crowded
        await logged crowded "OOM killer struck"
        await processes "sleep 1002"
        property crowded ActiveState
        log_of crowded | grep "OOM killer struck"
        systemctl stop crowded'
    output_has active "MemoryMax= of /system.slice/crowded.service: 125829120 bytes"
}
