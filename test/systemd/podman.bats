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

# The machine's file system is one that podman 5.4 refuses to put its storage's overlay on.
@test "without root podman gives its container's root the same" {
    in_machine 'su --login rootless --command "STORAGE_DRIVER=vfs podman run --rm --network none --security-opt unmask=/sys/fs/cgroup \
            --rootfs /home/rootless/container muontrap -g auto -s memory.max=20M -- \
            sh -c \"cat /proc/self/cgroup /sys/fs/cgroup/muontrap/*/memory.max\""'
    output_has 0::/muontrap/ $'\n20971520'
}

# What docs/servers.md says of containers under a daemon, whose podman the helper starts as it does here.
contained='contained="$MUONTRAP -k 60000 -- podman run --rm --network none --log-driver none"
    '

@test "SIGTERM for podman run is the container's first process's, and the container is removed" {
    in_machine "$contained"'$contained --rootfs /srv/container sh -c "trap \"echo asked; exit 9\" TERM
            echo up; sleep 1403 & while :; do wait; done" >said 2>complained &
        await grep up said
        kill $!
        wait $! || echo "left $?"
        cat said
        none "sleep 1403"
        podman ps --all --quiet'
    [ "$output" = $'left 9\nup\nasked' ]
}

@test "without a handler it takes --init for the container's first process to end by SIGTERM" {
    in_machine "$contained"'$contained --init --rootfs /srv/container sleep 1404 &
        await processes "sleep 1404"
        kill $!
        wait $! || echo "left $?"
        none "sleep 1404"'
    output_has "left 143"
}

# Of a container whose conmon was killed podman 5.4 finds out when it is to be removed, fails, and knows it the next time.
@test "podman run -d ends at once, and the container is killed" {
    in_machine "$contained"'$contained --name detached --detach --rootfs /srv/container sleep 1405 >/dev/null
        none "sleep 1405"
        podman rm --force --ignore detached >/dev/null || podman rm --force --ignore detached >/dev/null'
}

@test "after podman was killed a start takes --replace, and no process of the container is left" {
    in_machine "$contained"'$contained --name bereft --rootfs /srv/container sleep 1406 &
        await processes "sleep 1406"
        pkill --signal KILL --full --exact -- "podman run .* --name bereft .*"
        wait $! || echo "left $?"
        none "sleep 1406"
        $contained --name bereft --rootfs /srv/container sh -c "exit 0" || echo "refused $?"
        for try in first second; do
            $contained --name bereft --replace --rootfs /srv/container sh -c "echo replaced" && break
        done'
    output_has "left 137" "already in use" "refused 125" $'\nreplaced'
}

@test "a container is in a cgroup of podman's, and killed with its podman all the same" {
    in_machine '$MUONTRAP -g limited/x -s memory.max=200M -- podman run --rm --network none --log-driver none \
            --rootfs /srv/container sleep 1407 &
        await processes "sleep 1407"
        cat "/proc/$(processes "sleep 1407")/cgroup"
        pkill --signal KILL --full --exact -- "podman run .* sleep 1407"
        wait $! || echo "left $?"
        none "sleep 1407"
        [ ! -e /sys/fs/cgroup/limited/x ]'
    output_lacks limited/x
    output_has 0::/ "left 137"
}
