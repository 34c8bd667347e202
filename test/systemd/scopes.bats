#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# Whose cgroup is whose: scopes and services that systemd has delegated, and those that it has not.

load machine

setup_file() {
    setup
    in_machine 'useradd --create-home --shell /bin/bash ordinary
        echo "ALL ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/everybody
        loginctl enable-linger ordinary
        await test -S /run/user/$(id --user ordinary)/bus'
}

# `ordinary SCRIPT` runs it in a login of the user's.
as_ordinary='ordinary() { su --login ordinary --command "export MUONTRAP=$MUONTRAP; $1"; }
    scope="systemd-run --user --scope --quiet -p Delegate=yes --unit"
    '

@test "a user's delegated scope has the limits that --group auto sets in it, and nothing is left" {
    in_machine "$as_ordinary"'
        ordinary "$scope limited $MUONTRAP -g auto -s memory.max=20M -s pids.max=9 -- \
            sh -c \"setsid sleep 1300 & cat /proc/self/cgroup; cd /sys/fs/cgroup &&
                cd .\\\$(cut -d : -f 3 /proc/self/cgroup) && cat memory.max pids.max; '"head --bytes 100M /dev/zero | tail"'\"" || echo "left $?"
        none "sleep 1300"'
    [[ $output == 0::/user.slice/*/limited.scope/muontrap/*$'\n'20971520$'\n'9$'\n'* ]]
    [[ $output == *"left 137" ]]
}

@test "in a delegated scope --check without -g looks at the scope and finds nothing missing" {
    in_machine "$as_ordinary"'ordinary "$scope examined $MUONTRAP --check -c memory -c pids"'
    output_has "/examined.scope/muontrap"
    output_lacks missing:
}

# The drop-in of the documentation, for a user who has no other session.
@test "a user has the controllers that the administrator's drop-in for user@.service names" {
    in_machine 'useradd --create-home --shell /bin/bash entitled
        mkdir -p /etc/systemd/system/user@.service.d
        printf "[Service]\nDelegate=cpu cpuset io memory pids\n" >/etc/systemd/system/user@.service.d/delegate.conf
        systemctl daemon-reload
        loginctl enable-linger entitled
        await test -S /run/user/$(id --user entitled)/bus
        su --login entitled --command "systemd-run --user --scope --quiet -p Delegate=yes --unit entitled \
            $MUONTRAP -g auto -s cpuset.cpus=0 -s memory.max=20M -s cpu.weight=50 -- \
            sh -c \"cd /sys/fs/cgroup && cd .\\\$(cut -d : -f 3 /proc/self/cgroup) && cat cpuset.cpus cpu.weight\""
        loginctl disable-linger entitled
        rm -r /etc/systemd/system/user@.service.d
        systemctl daemon-reload'
    [ "$output" = $'0\n50' ]
}

@test "a user's login is not delegated, and no process is moved in it" {
    in_machine "$as_ordinary"'ordinary "$MUONTRAP -g auto -s memory.max=20M -- echo started" || echo "left $?"
        ordinary "$MUONTRAP --check -g auto -c memory" || echo "left $?"
        ordinary "cat /proc/self/cgroup; ls \"/sys/fs/cgroup/\$(cut -d : -f 3 /proc/self/cgroup)\""'
    output_has "left 125" "left 1" ".scope"
    output_lacks muontrap.vm started
}

@test "the commands that an ordinary user in a login is told give the shell a cgroup for --group auto" {
    in_machine "$as_ordinary"'
        cat >/srv/mend <<\END
            "$MUONTRAP" -g auto -s memory.max=20M -- true 2>/tmp/refused
            commands=$(sed -n "s/.*move there what starts muontrap: //p" /tmp/refused)
            eval "${commands//NAME/mine}"
            "$MUONTRAP" -g auto -s memory.max=20M -- cat /proc/self/cgroup
            cat /proc/self/cgroup
END
        ordinary ". /srv/mend"'
    [[ $output == *$'\n'0::/mine/muontrap/*$'\n'0::/mine/muontrap.vm ]]
}

@test "root by sudo in a user's login moves neither sudo nor the shell" {
    in_machine "$as_ordinary"'ordinary "sudo $MUONTRAP -g auto -s memory.max=20M -- echo started; echo left \$?
        cat /proc/self/cgroup"'
    output_has "left 125" "has not delegated it" ".scope"
    output_lacks $'\nstarted' muontrap.vm
}

@test "root by sudo in a scope of the user's systemd moves neither sudo nor the shell" {
    in_machine "$as_ordinary"'
        ordinary "systemd-run --user --scope --quiet --unit undelegated \
            sh -c \"sudo $MUONTRAP -g auto -s memory.max=20M -- echo started; echo left \\\$?; cat /proc/self/cgroup\""'
    output_has "left 125" "/undelegated.scope"
    output_lacks $'\nstarted' muontrap.vm
}

@test "in root's service without Delegate= :auto is refused, and --check has nobody's processes moved" {
    in_machine 'unit owned "ExecStart=sh -c \"$MUONTRAP -g auto -s memory.max=20M -- echo started; echo left \$\$?; \
            $MUONTRAP --check -g system.slice/owned.service/x -c memory; echo checked \$\$?; exec sleep 1000\""
        systemctl start owned
        await logged owned checked
        log_of owned
        cat /sys/fs/cgroup/system.slice/owned.service/cgroup.procs | wc --lines
        systemctl stop owned'
    output_has "left 125" "Delegate=" "checked 1"
    output_lacks $'\nstarted' inhabitants
    [[ $output == *$'\n1' ]]
}

@test "root in such a service has the limits of a cgroup that -g names elsewhere" {
    # Into a file, because the journal looks for the unit of a line by the cgroup of who wrote it.
    in_machine 'unit elsewhere Type=oneshot \
            "ExecStart=$MUONTRAP -g elsewhere/x -s memory.max=20M -- sh -c \"cat /proc/self/cgroup >/srv/elsewhere; \
                cat /sys/fs/cgroup/elsewhere/x/memory.max >>/srv/elsewhere\""
        systemctl start elsewhere
        cat /srv/elsewhere
        [ ! -e /sys/fs/cgroup/elsewhere/x ]'
    [ "$output" = $'0::/elsewhere/x\n20971520' ]
}
