#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# muontrap --check: what it finds missing is missing, and the commands that it prints mend it.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return
    vm=test/vm/run
    export MUONTRAP=${MUONTRAP:-$PWD/build/host/muontrap}
    # shellcheck disable=SC2016 # expands in the virtual machine
    sudo='echo "ALL ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/everybody'
}

# With a machine of those options, that command is what mends it.
mends() { # COMMAND OPTION...
    local command=$1
    shift
    run "$vm" --timeout 600 "$@" test/vm/mend -g given/x -c memory
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"run $command"* ]]
    [ "${lines[-1]}" = started ]
}

@test "root has all that a program in a cgroup needs" {
    run "$vm" --timeout 600 test/vm/mend -g given/x -c memory -c cpu -c pids
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *missing* ]]
    [ "${lines[-1]}" = started ]
}

@test "a user who has nothing is told the commands that give him a cgroup and put him beside it" {
    run "$vm" --timeout 600 --user stranger --setup "$sudo" test/vm/mend -g given/x -c memory -c pids
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"run sudo cgcreate -a \$(id -un) -t \$(id -un) -g memory,pids:given"* ]]
    [[ $output == *"run sudo sh -c 'mkdir -p /sys/fs/cgroup/given/callers"* ]]
    [ "${lines[-1]}" = started ]
}

@test "a user with a delegated cgroup, who is in it himself, is told to move down, and a controller that is not enabled" {
    run "$vm" --timeout 600 --user stranger --setup "$sudo; cgcreate -a stranger -t stranger -g memory:given
        echo \$\$ >/sys/fs/cgroup/given/cgroup.procs" test/vm/mend -g given/x -c memory -c pids
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"run sudo sh -c 'echo +pids >/sys/fs/cgroup/cgroup.subtree_control'"* ]]
    [[ $output == *inhabitants* ]]
    [ "${lines[-1]}" = started ]
}

@test "a user in a leaf of a delegated cgroup has all that is needed" {
    run "$vm" --timeout 600 --user stranger --setup 'cgcreate -a stranger -t stranger -g memory,pids:given
        cgcreate -a stranger -t stranger -g memory,pids:given/leaf
        echo $$ >/sys/fs/cgroup/given/leaf/cgroup.procs' test/vm/mend -g given/x -c memory -c pids
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output != *missing* ]]
    [ "${lines[-1]}" = started ]
}

@test "a controller that cgroup v1 has is taken from it" {
    mends "umount /sys/fs/cgroup/memory && sleep 1" --cgroups hybrid
}

@test "without any cgroup file system, the second version's is mounted" {
    mends "mount -t cgroup2 cgroup2 /sys/fs/cgroup" --cgroups none
}

@test "one that is mounted read-only is made writable" {
    mends "mount -o remount,rw /sys/fs/cgroup" --setup 'mount -o remount,ro /sys/fs/cgroup'
}

@test "a controller of cgroup v1 is told with who uses it, and gentler ways than to unmount it" {
    # shellcheck disable=SC2016 # expands in the virtual machine
    script='cd /sys/fs/cgroup/memory && mkdir -p db/main web idle
        for place in db/main web web web web; do
            sleep 1000 & echo $! >$place/cgroup.procs
            until grep -qx sleep /proc/$!/comm; do :; done
        done
        "$0" --check -g given/x -c memory; status=$?
        echo "pid $(cat db/main/cgroup.procs)"; jobs -p; exit $status'
    run "$vm" --timeout 600 --cgroups hybrid bash -c "$script" "$MUONTRAP"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"missing: the controller memory is in use by cgroup v1, mounted on /sys/fs/cgroup/memory."* ]]
    [[ $output =~ db/main\ \(([0-9]+)\ sleep\) ]]
    [[ $output == *"pid ${BASH_REMATCH[1]}"* ]]
    [[ $output == *"2 cgroups there hold processes: "*"web ("*" sleep, "*" sleep and 1 more)"* ]]
    # Gentler ways first. Unmounting gives v2 nothing as long as these are there, so no command is printed for it.
    [[ $output == *"Do without"*"systemd.unified_cgroup_hierarchy=1"*"As the last resort unmount"*"2 cgroups"* ]]
    [[ $output != *"    umount"* ]]
}

@test "the commands that cgroup_base: :auto tells an ordinary user mend it for the VM that runs already" {
    env MIX_ENV=test mix compile
    # shellcheck disable=SC2016 # Elixir's
    code='{:ok, _} = Application.ensure_all_started(:muontrap)
        opts = [cgroup_base: :auto, cgroup: %{pids_max: 33}]
        own = fn -> MuonTrap.cmd("sh", ["-c", "cat /proc/self/cgroup /proc/$PPID/cgroup"], opts) end
        error = try do own.() rescue error in MuonTrap.Error -> error end
        IO.puts("error " <> error.message)
        [commands] = Regex.run(~r/sudo cgcreate.*$/, error.message)
        {said, status} = System.cmd("sh", ["-c", String.replace(commands, "NAME", "mine")], stderr_to_stdout: true)
        IO.puts("mended #{status} " <> said)
        for _ <- 1..2, do: IO.inspect(own.())
        IO.puts("vm " <> File.read!("/proc/self/cgroup"))'
    run "$vm" --timeout 600 --user stranger --setup "$sudo" elixir -pa _build/test/lib/muontrap/ebin -e "$code"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"error found no cgroup for --group auto (cgroup_base: :auto): "*"Permission denied"* ]]
    [[ $output == *"mended 0 "* ]]
    [ "$(grep -cE '^\{"0::/mine/muontrap/[0-9a-f]{12}\\n0::/mine/muontrap.vm\\n", 0\}$' <<<"$output")" -eq 2 ]
    [[ $output == *"vm 0::/mine/muontrap.vm"* ]]
}
