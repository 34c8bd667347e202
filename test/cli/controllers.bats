#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# Limits. These tests take the controllers cpu, cpuset, memory and pids of cgroup2; make test-cgroups runs them where
# they are.

load cgroups

# Without CGROUP_BASE the controllers have to be enabled from the root down, and only root can do that and run cgcreate.
administrator() { [ -z "${CGROUP_BASE:-}" ] || skip "needs root"; }

# Allocates that many megabytes and says so.
hog='my $m = "x" x ($ARGV[0] << 20); print "took $ARGV[0]\n"'

# A value as cgget sees it.
witnessed() { cgget -n -v -r "$2" "$own/$1"; }

# ---- The examples of older documentation ----

# The command lines of MuonTrap 0.1's README, letter by letter. A muontrap and a myprogram are in the PATH.
printed() {
    local bin=$dir/bin
    mkdir "$bin"
    ln -s "$MUONTRAP" "$bin/muontrap"
    printf '#!/bin/sh\necho "$@"\nsed -n s/^0:://p /proc/self/cgroup\ncd "%s/mycgroup/test" && cat %s\n' \
        "$mount" "$2" >"$bin/myprogram"
    chmod 755 "$bin/myprogram"
    run -0 env "$mark" PATH="$bin:$PATH" bash -c "$1"
    [ ! -d "$mount/mycgroup/test" ]
}

# The cgcreate command is the one that is printed there, but for the name of the user.
mycgroup() {
    if [ "${CGROUP_BASE:-}" != mycgroup ]; then
        administrator
        run -0 cgcreate -a "$(id -un)" -g memory,cpu:mycgroup
    fi
}

done_with_mycgroup() { [ "${CGROUP_BASE:-}" = mycgroup ] || cgdelete -g memory,cpu:mycgroup; }

@test "a cgroup of cgcreate's is used as MuonTrap 0.1's README has it" {
    mycgroup
    printed 'muontrap -p mycgroup/test -c cpu -c memory -- myprogram myargs' cgroup.controllers
    done_with_mycgroup
    [ "${lines[0]}" = myargs ]
    [ "${lines[1]}" = /mycgroup/test ]
    for controller in cpu memory; do [[ " ${lines[2]} " == *" $controller "* ]]; done
}

@test "the processor is limited as MuonTrap 0.1's README has it" {
    mycgroup
    line='muontrap -p mycgroup/test -c cpu -s cpu.cfs_period_us=100000 -s cpu.cfs_quota_us=50000 -- myprogram myargs'
    printed "$line" cpu.max
    done_with_mycgroup
    output_is $'myargs\n/mycgroup/test\n50000 100000'
}

# ---- Settings ----

@test "cgget and lscgroup see what was made, as long as it is there" {
    start -g "$own/a/b" -c cpu -s memory.max=64M -s pids.max=7 -- sh -c 'echo ready; exec sleep 100'
    await ready
    [ "$(witnessed a/b memory.max)" = 67108864 ]
    [ "$(witnessed a/b pids.max)" = 7 ]
    [ "$(witnessed a/b cpu.max)" = "max 100000" ]
    lscgroup | grep -F ":/$own/a/b"
    kill -TERM "$keeper"
    everything_is_gone
    run -1 grep -F ":/$own/a" <(lscgroup)
    no_cgroup_is_left
}

@test "names of v1 set what v2 has" {
    run -0 muontrap -g "$own/a" -c cpuacct -s memory.limit_in_bytes=256M -s memory.soft_limit_in_bytes=128M \
        -s memory.memsw.limit_in_bytes=256M -s cpu.shares=512 -s cpu.cfs_quota_us=20000 -- \
        sh -c 'cd "$0" && cat memory.max memory.high memory.swap.max cpu.weight cpu.max' "$top/a"
    output_is $'268435456\n134217728\n0\n50\n20000 100000'
}

@test "a controller is enabled at every level on the way, and at no other" {
    start -g "$own/a/b/c" -c pids -- sh -c 'echo ready; exec sleep 100'
    await ready
    for level in . a a/b; do [ "$(<"$top/$level/cgroup.subtree_control")" = pids ]; done
    [ -z "$(<"$top/a/b/c/cgroup.subtree_control")" ]
    kill -TERM "$keeper"
    everything_is_gone
    no_cgroup_is_left
}

@test "a cgroup of cgcreate's with settings of cgset's is used with them, and stays" {
    echo +memory >"$top/cgroup.subtree_control"
    user=$(id -un)
    run -0 cgcreate -a "$user" -t "$user" -g "memory:$own/given"
    run -0 cgset -r memory.max=30M "$own/given"
    run -0 muontrap -g "$own/given" -- cat "$top/given/memory.max"
    output_is 31457280
    run -137 muontrap -g "$own/given" -s memory.swap.max=0 -- perl -e "$hog" 60
    [ "$(witnessed given memory.max)" = 31457280 ]
    [ "$(cgroups_left)" = given ]
    run -0 cgdelete -g "memory:$own/given"
    no_cgroup_is_left
}

@test "a program may enable controllers for what it makes in its own cgroup" {
    run -0 muontrap -g "$own/a" -c memory -c pids -- sh -ec 'cd "$0"; mkdir leaf limited; echo 0 >leaf/cgroup.procs
        echo "+memory +pids" >cgroup.subtree_control; echo 5 >limited/pids.max; sleep 100 & echo $! >limited/cgroup.procs
        cat limited/pids.current' "$top/a"
    output_is 1
    nothing_survives
    no_cgroup_is_left
}

# ---- Limits take effect ----

@test "a program that takes twice its memory is killed" {
    run -137 muontrap -g "$own/a" -s memory.max=20M -s memory.swap.max=0 -- perl -e "$hog" 40
    output_is ""
    run -0 muontrap -g "$own/a" -s memory.max=60M -- perl -e "$hog" 20
    output_is "took 20"
    no_cgroup_is_left
}

@test "with memory.oom.group its siblings are killed, too" {
    run -0 muontrap -g "$own/a" -s memory.max=20M -s memory.swap.max=0 -- \
        sh -c 'perl -e "$0" 40; echo survived' "$hog"
    output_is $'Killed\nsurvived'
    run -137 muontrap -g "$own/a" -s memory.max=20M -s memory.swap.max=0 -s memory.oom.group=1 -- \
        sh -c 'perl -e "$0" 40; echo survived' "$hog"
    output_is ""
}

@test "a program that is given half a processor uses no more" {
    # by the kernel's clock, so that the emulation's speed doesn't matter
    run -0 muontrap -g "$own/a" -s "cpu.max=50000 100000" -- perl -MTime::HiRes=clock_gettime,CLOCK_MONOTONIC -e '
        sub used { open my $file, "<", "$ARGV[0]/cpu.stat"; (map /^usage_usec (\d+)/, <$file>)[0] / 1e6 }
        my ($begin, $used) = (clock_gettime(CLOCK_MONOTONIC), used());
        1 while clock_gettime(CLOCK_MONOTONIC) < $begin + 5;
        printf "%d\n", 100 * (used() - $used) / (clock_gettime(CLOCK_MONOTONIC) - $begin)' "$top/a"
    echo "used $output %"
    [ "$output" -ge 40 ]
    [ "$output" -le 60 ]
}

@test "a fork bomb stays within its limit of fifty processes, and is dead within 1 s of a stop" {
    time_limit 1000
    start -k 100 -g "$own/a" -s pids.max=50 -- perl -e '
        $SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT CHLD); $| = 1; print "ready\n";
        while (1) { defined fork or select undef, undef, undef, 0.05 }'
    await ready
    eventually grep -q '^max [1-9]' "$top/a/pids.events"
    eventually grep -qx 50 "$top/a/pids.current" # who is refused has counted for a moment
    begin=$EPOCHREALTIME
    kill -TERM "$keeper"
    everything_is_gone
    end=$EPOCHREALTIME
    in_time $(((${end/./} - ${begin/./}) / 1000))
    no_cgroup_is_left
}

@test "a processor that was chosen is all that the program sees" {
    [ "$(nproc)" -gt 1 ] || skip "needs two processors"
    run -0 muontrap -g "$own/a" -s cpuset.cpus=1 -- nproc
    output_is 1
    run -0 muontrap -g "$own/a" -c cpuset -- nproc
    output_is "$(nproc)"
}

# ---- Failures: each is told in words and leaves nothing behind ----

@test "values that the kernel refuses are told with key, path, value and the errno" {
    start_refused "$top/a/memory.max" "'lots'" "Invalid argument" --- -g "$own/a" -s memory.max=lots
    start_refused "$top/a/cpu.max" "'1'" "Invalid argument" --- -g "$own/a" -s cpu.max=1
    start_refused "$top/a/cpu.weight" "'0'" --- -g "$own/a" -s cpu.weight=0
    start_refused "$top/a/cpu.weight" "'10001'" --- -g "$own/a" -s cpu.weight=10001
    start_refused "$top/a/cpuset.cpus" "'1000'" --- -g "$own/a" -s cpuset.cpus=1000
    start_refused "$top/a/pids.max" "'-1'" --- -g "$own/a" -s pids.max=5 -s pids.max=-1
    no_cgroup_is_left
}

@test "a file that the controller doesn't have is told" {
    start_refused "$top/a/b/memory.nosuch" "No such file" "this kernel doesn't have that file" --- \
        -g "$own/a/b" -s memory.nosuch=1
    no_cgroup_is_left
}

@test "a controller that processes keep from being enabled is told, with the remedy" {
    mkdir "$top/given"
    put_stranger_into "$own/given"
    # The kernel would enable pids, which makes all below a place where no process can be.
    for controller in memory pids; do
        start_refused "controller $controller" "$top/given," "processes are in that cgroup itself" --- \
            -g "$own/given/a" -c "$controller"
        [ -z "$(<"$top/given/cgroup.subtree_control")" ]
    done
    is_alive "$stranger"
    [ "$(cgroups_left)" = given ]
}

@test "a cgroup that enables controllers for others below it is refused in words" {
    mkdir "$top/given"
    echo +memory >"$top/cgroup.subtree_control"
    echo +memory >"$top/given/cgroup.subtree_control"
    for way in "" "--without clone-into-cgroup"; do
        # shellcheck disable=SC2086 # words are wanted
        start_refused "$top/given" "cgroup.subtree_control enables controllers" --- $way -g "$own/given"
    done
    [ "$(cgroups_left)" = given ]
}

# ---- Ordinary users ----

@test "a user to whom nothing was given is told what an administrator can do" {
    administrator
    let_others_run_muontrap
    as_nobody=(as_user 65534 "$MUONTRAP")
    run -125 "${as_nobody[@]}" -g muontrap-test-nobody -- echo ran
    output_has "cannot make the cgroup $mount/muontrap-test-nobody" "Permission denied" "sudo cgcreate -a"
    run -125 "${as_nobody[@]}" -g "$own/a" -c memory -- echo ran
    output_has "cannot make the cgroup $top/a" "Permission denied"
    no_cgroup_is_left
}

@test "a user outside of the cgroup that was given to the user is told to be moved there" {
    administrator
    let_others_run_muontrap
    run -0 cgcreate -a nobody -t nobody -g "memory,pids:$own/given"
    as_nobody=(as_user 65534 "$MUONTRAP")
    for way in "" "--without clone-into-cgroup"; do
        # shellcheck disable=SC2086 # words are wanted
        run -125 "${as_nobody[@]}" $way -g "$own/given/a" -- echo ran
        output_has "cannot start a process in the cgroup $top/given/a" "Permission denied" cgroup.procs
    done
    run -125 "${as_nobody[@]}" -g "$own/given/a" -c io -- echo ran
    output_has "the controller io is not enabled" "echo +io >$mount"
    [ "$(cgroups_left)" = given ]
}

@test "a user in a leaf of the cgroup that was given to the user may use all of it" {
    administrator
    let_others_run_muontrap
    run -0 cgcreate -a nobody -t nobody -g "memory,pids:$own/given"
    run -0 cgcreate -a nobody -t nobody -g "memory,pids:$own/given/leaf"
    run -0 bash -c 'echo $$ >"$0/leaf/cgroup.procs" && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' \
        "$top/given" "$MUONTRAP" -g "$own/given/a/b" -s memory.max=30M -s pids.max=5 -- \
        sh -c 'cat "$0/memory.max"; id -u' "$top/given/a/b"
    output_is $'31457280\n65534'
    [ "$(cgroups_left | sort)" = $'given\ngiven/leaf' ]
}

@test "a limit that the user may not set is a failure that says how to get the permission" {
    administrator
    let_others_run_muontrap
    mkdir "$top/given"
    echo +memory >"$top/cgroup.subtree_control"
    chown 65534 "$top/given" "$top/given/cgroup.procs"
    run -125 as_user 65534 "$MUONTRAP" -g "$own/given" -s memory.max=9M -- echo ran
    output_has "cannot set $top/given/memory.max to '9M'" "Permission denied" "chown"
}

# ---- --group auto ----

# What the program says of its cgroup, and of the limit that it was given with auto.
limited_by_auto=("$MUONTRAP" -g auto -s pids.max=7 -- sh -c '
    cgroup=$(sed -n s/^0:://p /proc/self/cgroup) && echo "$cgroup" && cat "$0$cgroup/pids.max"')

@test "auto limits a program though the caller was in the delegated cgroup itself" {
    mkdir "$top/delegated"
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 sh -c 'echo $$ >"$0/cgroup.procs" && "$@"; exit $?' "$top/delegated" "${limited_by_auto[@]}" "$mount"
    [[ ${lines[0]} == /"$own"/delegated/muontrap/* ]]
    [ "${lines[1]}" = 7 ]
}

# Whoever has started a container is in another cgroup, and has given it controllers.
@test "auto limits a program of a container's first process" {
    administrator
    mkdir "$top/container"
    run -0 muontrap -g "$own/enables" -c pids -- true
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 unshare --pid --fork --mount-proc --kill-child sh -c 'echo 0 >"$0/cgroup.procs" && exec "$@"' \
        "$top/container" unshare --cgroup --mount sh -c '
        umount -l "$0" && mount -t cgroup2 cgroup2 "$0" && exec "$@"' "$mount" "${limited_by_auto[@]}" "$mount"
    [[ ${lines[0]} == /muontrap/* ]]
    [ "${lines[1]}" = 7 ]
}

@test "--check tells a controller that a container is not given from one that the kernel doesn't have" {
    administrator
    mkdir "$top/container"
    run -0 muontrap -g "$own/enables" -c pids -- true
    # shellcheck disable=SC2016 # expands in the other shell
    run -1 sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$top/container" unshare --cgroup --mount sh -c '
        umount -l "$0" && mount -t cgroup2 cgroup2 "$0" && exec "$@"' "$mount" "$MUONTRAP" --check -c pids -c cpuset
    output_has "missing: the cgroup that is mounted on $mount, a container's, has not been given the controller cpuset"
    [[ $output != *"controller pids"* ]]
}

@test "--check -g auto says which controllers auto can have, and which it can't, and moves nobody" {
    mkdir "$top/delegated"
    # shellcheck disable=SC2016 # expands in the other shell
    checked=(sh -c 'echo $$ >"$0/cgroup.procs" && "$@"; status=$?; cat /proc/self/cgroup; exit $status' "$top/delegated"
        "$MUONTRAP" --check -g auto)
    run -0 "${checked[@]}" -c pids -s memory.max=1M
    output_has "ok: the controllers are enabled on the way to $top/delegated/muontrap/check, or may be" \
        "ok: a process was started in $top/delegated/muontrap/check" "0::/$own/delegated"
    [[ $output != *missing* ]]
    run -1 "${checked[@]}" -c nosuch
    output_has "missing: the kernel doesn't offer the controller nosuch" "0::/$own/delegated"
}

@test "--check doesn't advise to move what is in a unit that systemd has not delegated" {
    administrator
    mkdir -p "$top/my.service"
    # shellcheck disable=SC2016 # expands in the other shell
    within=(unshare --mount sh -c 'mount -t tmpfs run /run; mkdir -p /run/systemd/system; echo $$ >"$0/cgroup.procs"
        exec "$@"' "$top/my.service")
    run -1 "${within[@]}" "$MUONTRAP" --check -g "$own/my.service/x" -c pids
    output_has "missing: the controller pids can't be enabled below $top/my.service while processes are in that cgroup" \
        "are not to be moved: systemd manages what is in the unit my.service, and systemctl doesn't say that it has delegated it"
    [[ $output != *inhabitants* ]]
    run -0 "${within[@]}" "$MUONTRAP" --check -c pids
    [ "${lines[-1]}" = "ok: a process was started in $mount/muontrap/check" ]
}
