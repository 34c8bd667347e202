#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# --group auto and what --check says of it, in cgroups as systemd and container engines make them. These have the
# directories, owners and marks of the real ones.

load cgroups

# `within CGROUP COMMAND...` runs the command in that cgroup below the test's own, which is made.
within() {
    mkdir -p "$top/$1"
    # shellcheck disable=SC2016 # expands in the other shell
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$top/$1" "${@:2}"
}

# The same where systemd is in charge, as sd_booted(3) tells it; systemctl says what $systemctl does, and notes that it
# was asked.
within_unit() {
    mkdir -p "$dir/bin"
    chmod 755 "$dir/bin"
    printf '#!/bin/sh\necho "$XDG_RUNTIME_DIR $*" >>"%s/asked"\n%s\n' "$dir" "${systemctl:-echo no}" >"$dir/bin/systemctl"
    chmod 755 "$dir/bin/systemctl"
    touch "$dir/asked"
    chmod 666 "$dir/asked"
    # shellcheck disable=SC2016 # expands in the other shell
    within "$1" unshare --mount sh -c 'mount -t overlay -o "lowerdir=$0:/usr/bin" systemctl /usr/bin &&
        mount -t tmpfs run /run && mkdir -p /run/systemd/system && exec "$@"' "$dir/bin" "${@:2}"
}

# As within a container: the cgroup of that name is mounted as the root, with these mount options.
within_container() {
    # shellcheck disable=SC2016 # expands in the other shell
    within "$1" unshare --cgroup --mount sh -c 'umount -l "$0" && mount -t cgroup2 -o "$1" cgroup2 "$0" && shift && exec "$@"' \
        "$mount" "${@:2}"
}

give_to() { chown "$1" "$top/$2" "$top/$2"/cgroup.{procs,threads,subtree_control}; }

# A systemctl of the program's, where root asks on behalf of another user.
@test "systemctl is not looked for in PATH" {
    root_only
    mkdir -p "$dir/evil"
    printf '#!/bin/sh\ntouch "%s/evil/done"\necho yes\n' "$dir" >"$dir/evil/systemctl"
    chmod 755 "$dir/evil/systemctl"
    systemctl='echo no' run -125 within_unit one.service env PATH="$dir/evil:$PATH" "$MUONTRAP" -g auto -- echo no
    output_has "has not delegated it"
    [ ! -e "$dir/evil/done" ]
}

show_cgroup=(sed -n 's/^0:://p' /proc/self/cgroup)

# ---- The command line ----

@test "auto runs the program in a new cgroup below that of muontrap, whose processes have moved to a leaf" {
    root_only
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 within delegated sh -c '
        sleep 100 & neighbour=$!
        "$@" -- sed -n s/^0:://p /proc/self/cgroup
        sed -n s/^0:://p /proc/self/cgroup /proc/$neighbour/cgroup
        "$@" -- sed -n s/^0:://p /proc/self/cgroup
        kill $neighbour' sh "$MUONTRAP" -g auto
    echo "$output"
    [[ ${lines[0]} =~ ^/"$own"/delegated/muontrap/[0-9a-f]{12}$ ]]
    [ "${lines[1]}" = "/$own/delegated/muontrap.vm" ]
    [ "${lines[2]}" = "/$own/delegated/muontrap.vm" ]
    [[ ${lines[3]} =~ ^/"$own"/delegated/muontrap/[0-9a-f]{12}$ ]]
    [ "${lines[3]}" != "${lines[0]}" ]
    [ "$(cgroups_left)" = $'delegated\ndelegated/muontrap.vm' ]
}

@test "auto in a program that auto has started makes a cgroup within that one's" {
    root_only
    run -0 within delegated "$MUONTRAP" -g auto -- "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
    [[ $output =~ ^/"$own"/delegated/muontrap/[0-9a-f]{12}/muontrap/[0-9a-f]{12}$ ]]
    [ "$(cgroups_left)" = $'delegated\ndelegated/muontrap.vm' ]
}

@test "many that start with auto at once each find the same cgroup, and none fails" {
    root_only
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 within delegated bash -c '
        for ((i = 0; i < 20; i++)); do "$@" & jobs+=($!); done
        for job in "${jobs[@]}"; do wait "$job" || echo "left with $?"; done' sh \
        "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
    [ "${#lines[@]}" -eq 20 ]
    [ "$(printf '%s\n' "${lines[@]}" | sort -u | grep -cE "^/$own/delegated/muontrap/[0-9a-f]{12}\$")" -eq 20 ]
    [ "$(cgroups_left)" = $'delegated\ndelegated/muontrap.vm' ]
}

@test "auto as a container's first process moves what is in the container's root, itself too" {
    root_only
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 within container unshare --cgroup --mount --pid --fork --mount-proc sh -c '
        umount -l "$0" && mount -t cgroup2 cgroup2 "$0" && exec "$@"' "$mount" "$MUONTRAP" -g auto -- \
        sh -c 'sed -n s/^0:://p /proc/self/cgroup /proc/1/cgroup'
    echo "$output"
    [[ ${lines[0]} =~ ^/muontrap/[0-9a-f]{12}$ ]]
    [ "${lines[1]}" = /muontrap.vm ]
    [ "$(cgroups_left)" = $'container\ncontainer/muontrap.vm' ]
}

@test "the program of auto is contained by its cgroup as any other" {
    root_only
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 within delegated "$MUONTRAP" -g auto -- \
        sh -c 'setsid env "$0" sleep 100 >/dev/null 2>&1 3>&- & echo started' "$mark"
    output_is started
    nothing_survives
    [ "$(cgroups_left)" = $'delegated\ndelegated/muontrap.vm' ]
}

@test "a user has auto in a cgroup that was given to him" {
    root_only
    let_others_run_muontrap
    mkdir "$top/given"
    give_to 65534 given
    run -0 within given setpriv --reuid 65534 --regid 65534 --clear-groups "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
    [[ $output =~ ^/"$own"/given/muontrap/[0-9a-f]{12}$ ]]
}

@test "a user who was given none is told how to get one, and whom to move: the VM with its erl_child_setup" {
    root_only
    let_others_run_muontrap
    # A VM starts its programs by a process of that name. exec keeps the process.
    cp "$(command -v bash)" "$dir/erl_child_setup"
    # shellcheck disable=SC2016 # expands in the other shell
    run -125 within root_s setpriv --reuid 65534 --regid 65534 --clear-groups bash -c 'echo "vm $$"
        "$@"; status=$?; exit $status' bash "$dir/erl_child_setup" -c 'echo "setup $$"; "$0" -g auto -- true; exit $?' \
        "$MUONTRAP"
    echo "$output"
    vm=${lines[0]#vm } setup=${lines[1]#setup }
    output_has "muontrap: found no cgroup for --group auto" "$top/root_s, may not be written to: Permission denied" \
        "sudo cgcreate -a \$(id -un) -t \$(id -un) -g memory,cpu,pids:NAME" \
        "C=$mount/NAME; echo $vm >\$C/cgroup.procs && echo $setup >\$C/cgroup.procs'"
    [ "$(cgroups_left)" = root_s ]
}

@test "a user whose caller is outside of the delegated tree is told whom to move there" {
    root_only
    let_others_run_muontrap
    mkdir "$top/given"
    give_to 65534 given
    # shellcheck disable=SC2016 # expands in the other shell
    run -125 setpriv --reuid 65534 --regid 65534 --clear-groups bash -c 'echo "shell $$"; "$@"; exit $?' bash \
        "$MUONTRAP" -g "$own/given/x" -- true
    echo "$output"
    shell=${lines[0]#shell }
    output_has "cannot start a process in the cgroup $top/given/x: Permission denied" \
        "sudo sh -c 'C=$mount/${own%%/*}/callers; mkdir -p \$C && echo $shell >\$C/cgroup.procs'"
    cp "$(command -v bash)" "$dir/erl_child_setup"
    # shellcheck disable=SC2016 # expands in the other shell
    run -125 setpriv --reuid 65534 --regid 65534 --clear-groups bash -c 'echo "vm $$"; "$@"; exit $?' bash \
        "$dir/erl_child_setup" -c 'echo "setup $$"; "$0" "$@"; exit $?' "$MUONTRAP" -g "$own/given/x" -- true
    vm=${lines[0]#vm } setup=${lines[1]#setup }
    output_has "echo $vm >\$C/cgroup.procs && echo $setup >\$C/cgroup.procs')"
}

@test "in a container, and to root, auto names other remedies" {
    root_only
    run -125 within_container closed ro "$MUONTRAP" -g auto -- true
    output_has "found no cgroup for --group auto" "Read-only file system" "--security-opt unmask=/sys/fs/cgroup"
    run -125 within_unit my.service "$MUONTRAP" -g auto -- true
    output_has "found no cgroup for --group auto" "--group mycgroup/NAME" 'cgroup_base: "mycgroup"'
    let_others_run_muontrap
    run -125 within_container open rw setpriv --reuid 65534 --regid 65534 --clear-groups "$MUONTRAP" -g auto -- true
    output_has "found no cgroup for --group auto" "Permission denied" "writable for its root" "--user root"
}

@test "auto is no cgroup that could be cleaned" {
    run -125 --separate-stderr muontrap --clean -g auto
    # shellcheck disable=SC2154 # bats sets it
    [[ $stderr == *"--clean takes the path of the cgroup"* ]]
}

@test "bash completes auto behind -g" {
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 bash -c '. /usr/share/bash-completion/bash_completion && . "$0" && shopt -s progcomp
        COMP_WORDS=(muontrap -g a) COMP_CWORD=2 COMP_LINE="muontrap -g a" COMP_POINT=13
        _muontrap && echo "${COMPREPLY[@]}"' "$BATS_TEST_DIRNAME/../../priv/completions/muontrap.bash"
    output_is auto
}

# ---- Where systemd is in charge ----

# A service of root's, or a login's scope, where sudo and the shell are.
@test "a unit that systemd has not delegated is refused to root, and nobody is moved" {
    root_only
    for unit in system.slice/my.service user.slice/user-1000.slice/session-3.scope; do
        run -125 within_unit "$unit" sh -c '"$@"; status=$?; cat /proc/self/cgroup; exit $status' sh \
            "$MUONTRAP" -g auto -- echo ran
        output_has "systemd manages what is in the unit ${unit##*/}, and has not delegated it" "0::/$own/$unit"
        [[ $output != *ran* ]]
        [ ! -d "$top/$unit/muontrap.vm" ]
    done
    grep -qx ".* show --property=Delegate --value -- session-3.scope" "$dir/asked"
}

@test "a unit that the system's manager has marked as delegated is used, without asking" {
    root_only
    for attribute in user trusted; do
        mkdir -p "$top/$attribute.service"
        setfattr -n "$attribute.delegate" -v 1 "$top/$attribute.service"
        run -0 within_unit "$attribute.service" "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
        [[ $output =~ ^/"$own/$attribute".service/muontrap/[0-9a-f]{12}$ ]]
        run -0 within_unit "$attribute.service/sub" "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
        [[ $output =~ ^/"$own/$attribute".service/sub/muontrap/[0-9a-f]{12}$ ]]
    done
    [ ! -s "$dir/asked" ]
}

@test "a unit that systemctl calls delegated is used" {
    root_only
    systemctl='echo yes' run -0 within_unit old.service "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
    [[ $output =~ ^/"$own"/old.service/muontrap/[0-9a-f]{12}$ ]]
    [ "$(wc -l <"$dir/asked")" -eq 1 ]
}

@test "a systemctl that fails, lies or is not there delegates nothing" {
    root_only
    # shellcheck disable=SC2016,SC2089,SC2090 # they are scripts
    for systemctl in 'echo yes indeed' 'echo' 'echo no'; do
        run -125 within_unit my.scope "$MUONTRAP" -g auto -- echo ran
        output_has "and has not delegated it"
    done
    # shellcheck disable=SC2016,SC2089,SC2090 # they are scripts
    for systemctl in 'exit 1' 'kill -KILL $$' 'exec /no/such/program'; do
        run -125 within_unit my.scope "$MUONTRAP" -g auto -- echo ran
        output_has "and systemctl doesn't say that it has delegated it"
    done
}

@test "a service's user owns its cgroup when the system's manager has delegated it, and a user's manager is asked" {
    root_only
    let_others_run_muontrap
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
    mkdir -p "$top/my.service"
    give_to 65534 my.service
    run -0 within_unit my.service "${as[@]}" "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
    [[ $output =~ ^/"$own"/my.service/muontrap/[0-9a-f]{12}$ ]]
    [ ! -s "$dir/asked" ]

    theirs=user.slice/user@65534.service/app.slice/run-u7.scope
    mkdir -p "$top/$theirs"
    give_to 65534 "$theirs"
    run -125 within_unit "$theirs" "${as[@]}" "$MUONTRAP" -g auto -- true
    output_has "systemd manages what is in the unit run-u7.scope, and has not delegated it (systemctl --user show"
    [ "$(cat "$dir/asked")" = "/run/user/65534 show --user --property=Delegate --value -- run-u7.scope" ]
    systemctl='echo yes' run -0 within_unit "$theirs" "${as[@]}" "$MUONTRAP" -g auto -- "${show_cgroup[@]}"
    [[ $output =~ ^/"$own/$theirs"/muontrap/[0-9a-f]{12}$ ]]
}

@test "a unit of a user's manager is not delegated to root, whatever that manager says" {
    root_only
    unit=user.slice/user@1000.service/app.slice/vte-spawn-1.scope
    systemctl='echo yes' run -125 within_unit "$unit" "$MUONTRAP" -g auto -- true
    output_has "has not delegated it to root"
    [ ! -s "$dir/asked" ]
    [ ! -d "$top/$unit/muontrap.vm" ]
}

# ---- --check ----

@test "--check without -g examines what auto would use, and moves nobody" {
    root_only
    for options in "" "-g auto"; do
        # shellcheck disable=SC2086 # words
        run -0 within a.scope sh -c '"$@"; cat /proc/self/cgroup' sh "$MUONTRAP" --check $options
        echo "$output"
        output_has "ok: --group auto makes programs' cgroups in $top/a.scope/muontrap, and first moves the processes" \
            "ok: a process was started in $top/a.scope/muontrap/check" "0::/$own/a.scope"
        [[ $output != *missing* ]]
    done
    [ "$(cgroups_left)" = a.scope ]
}

@test "--check without -g where nothing is delegated examines a cgroup outside of it" {
    root_only
    run -0 within_unit my.service "$MUONTRAP" --check
    [ "${lines[-1]}" = "ok: a process was started in $mount/muontrap/check" ]
    run -1 within_unit my.service "$MUONTRAP" --check -g auto
    output_has "missing: found no cgroup for --group auto" "has not delegated it"
}

@test "--check of a read-only container names what makes its cgroups writable, and no remount" {
    root_only
    run -1 within_container closed ro "$MUONTRAP" --check
    output_has "missing: cgroup2 is mounted on $mount, but read-only, as containers have it" "root in it" \
        $'\n    podman run --user root --security-opt unmask=/sys/fs/cgroup IMAGE'
    [[ $output != *remount* ]]
}

@test "--check takes a container with the host's cgroup namespace for one, too" {
    root_only
    for file in /run/.containerenv /run/host/container-manager; do
        # shellcheck disable=SC2016 # expands in the other shell
        run -1 within plain unshare --mount sh -c 'mount -t tmpfs run /run && mkdir -p "$(dirname "$1")" && touch "$1" &&
            mount -o remount,bind,ro "$0" && shift && exec "$@"' "$mount" "$file" "$MUONTRAP" --check
        output_has "as containers have it" "unmask=/sys/fs/cgroup"
    done
    # Without an engine's file it shows by the lack of what remounting takes.
    # shellcheck disable=SC2016 # expands in the other shell
    run -1 unshare --mount sh -c 'mount -o remount,bind,ro "$0" && exec "$@"' "$mount" \
        setpriv --bounding-set -sys_admin "$MUONTRAP" --check
    output_has "as containers have it" "unmask=/sys/fs/cgroup"
}
