#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# muontrap as what podman starts. The container's file system is busybox and the static helper, a directory; it has no
# network.

load machine

setup_file() {
    setup
    in_machine 'mkdir -p /srv/container/{bin,dev,proc,sys,tmp,etc,run}
        cp /bin/busybox "$MUONTRAP" /srv/container/bin/
        for name in sh cat cut head id ls sleep tail wc; do ln -s busybox "/srv/container/bin/$name"; done
        printf "root:x:0:0::/:/bin/sh\nworker:x:1000:1000::/:/bin/sh\n" >/srv/container/etc/passwd
        printf "root:x:0:\nworker:x:1000:\n" >/srv/container/etc/group
        useradd --create-home --shell /bin/bash rootless
        cp -R /srv/container /home/rootless/
        chown -R rootless: /home/rootless/container
        loginctl enable-linger rootless
        await test -S "/run/user/$(id --user rootless)/bus"'
}

# `container OPTION... /srv/container COMMAND...` with a limit, because what hangs would hang the machine.
container='container() { podman run --rm --network none --rootfs "$@"; }
    writable="--security-opt unmask=/sys/fs/cgroup"
    '

@test "as entry point muontrap leaves with the program's status" {
    in_machine "$container"'container --entrypoint muontrap /srv/container -- sh -c "exit 7" || echo "left $?"'
    output_has "left 7"
}

@test "podman stop ends the program and what has left its session, and the container" {
    in_machine "$container"'podman run --detach --name stopped --network none --entrypoint muontrap \
            --rootfs /srv/container -- sh -c "setsid sleep 1401 & exec sleep 1402" >/dev/null
        await processes "sleep 1402"
        podman stop --time 60 stopped >/dev/null
        podman inspect --format "{{.State.ExitCode}}" stopped
        none "sleep 140[12]"
        podman rm stopped >/dev/null'
    [ "$output" = 143 ]
}

@test "in a container's read-only cgroup --check names the option of podman's, and no remount" {
    in_machine "$container"'container /srv/container muontrap --check -c memory || echo "left $?"'
    output_has "read-only" "--security-opt unmask=/sys/fs/cgroup" "left 1"
    output_lacks remount
}

@test "with that option --check finds nothing missing, and --group auto sets its limits" {
    in_machine "$container"'container $writable /srv/container muontrap --check -c memory -c pids
        container $writable /srv/container muontrap -g auto -s memory.max=20M -- \
            sh -c "cat /proc/self/cgroup /sys/fs/cgroup/muontrap/*/memory.max; head -c 104857600 /dev/zero | tail" ||
            echo "left $?"'
    output_lacks missing:
    output_has 0::/muontrap/ $'\n20971520' "left 137"
}

@test "with that option another user than root is refused" {
    in_machine "$container"'container $writable --user worker /srv/container muontrap -g auto -s memory.max=20M -- \
        echo started || echo "left $?"'
    output_has "left 125" "may not be written to: Permission denied"
    output_lacks $'\nstarted'
}

@test "without root podman gives its container's root the same" {
    in_machine 'su --login rootless --command "podman run --rm --network none --security-opt unmask=/sys/fs/cgroup \
            --rootfs /home/rootless/container muontrap -g auto -s memory.max=20M -- \
            sh -c \"cat /proc/self/cgroup /sys/fs/cgroup/muontrap/*/memory.max\""'
    output_has 0::/muontrap/ $'\n20971520'
}
