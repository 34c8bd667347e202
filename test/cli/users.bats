#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# Other users by a helper that has capabilities of its file, started by an ordinary user, and what root has to say to
# that in /etc/muontrap.conf.

load cgroups
load users

setup() {
    common_setup
    linux_only capabilities
    root_only
    make_helper "$MUONTRAP" setuid,setgid,kill
    make_inside
}

teardown() {
    end_survivors
    [ -z "${top:-}" ] || remove_cgroup "$top"
    end_inside
    remove_helper
}

identity='grep -E "^(Uid|Gid|Groups|Cap(Inh|Prm|Eff|Amb)):" /proc/self/status | tr -s "\t " " " | sed "s/ \$//"'
no_capability='CapInh: 0000000000000000
CapPrm: 0000000000000000
CapEff: 0000000000000000
CapAmb: 0000000000000000'

runs_as() { # UID GID GROUPS, of `run`'s output
    output_is "Uid: $1 $1 $1 $1
Gid: $2 $2 $2 $2
Groups: $3
$no_capability"
}

# `app_refused WORDS... --- ARG...`: as `refused`, with the user app.
app_refused() {
    local words=()

    while [ "$1" != --- ]; do
        words+=("$1")
        shift
    done
    shift
    run -125 --separate-stderr app "$@" -- echo ran
    output_is ""
    # shellcheck disable=SC2154 # bats sets it
    output=$stderr
    output_has "muontrap: " "${words[@]}"
    [ "${#stderr_lines[@]}" = 1 ]
}

# ---- Who may have what ----

@test "without the file nobody gets anybody else's user or groups" {
    for option in --uid=worker --uid=54331 --gid=tools --groups=tools --groups= --gid=helpers; do
        app_refused "${option/=/ } is refused: " "/etc/muontrap.conf is not there" --- "$option"
    done
}

@test "what the caller is already needs no file, and the program gets no capability" {
    run -0 app sh -c "$identity"
    runs_as 54330 54330 "54330 54342"
    run -0 app --uid app sh -c "$identity"
    runs_as 54330 54330 "54330 54342"
    run -0 app --gid app --groups app,helpers sh -c "$identity"
    runs_as 54330 54330 "54330 54342"
}

@test "a user that is allowed comes with its groups, and nobody else" {
    rules 'allow user worker by user app'
    run -0 app --uid worker sh -c "$identity"
    runs_as 54331 54331 "54331 54340"
    run -0 app --uid 54331 sh -c "$identity"
    runs_as 54331 54331 "54331 54340"
    # shellcheck disable=SC2016 # expands in the other shell
    run -0 app --uid worker sh -c 'echo $HOME $USER $LOGNAME $SHELL'
    output_is "/srv/worker worker worker /bin/sh"
    app_refused "--uid other is refused: /etc/muontrap.conf doesn't allow user other to user app" --- --uid other
    app_refused "--uid nobody is refused" "user nobody" --- --uid nobody
}

@test "a number that no user has is allowed as a number" {
    rules 'allow user 54399 allow group 54398 by user 54330'
    run -0 app --uid 54399 --gid 54398 sh -c "$identity"
    runs_as 54399 54398 54398
    app_refused "--gid 54397 is refused" "group 54397" --- --uid 54399 --gid 54397
    app_refused "--gid app is refused" "group 54330" --- --uid 54399 --gid app
}

@test "what is allowed is for the callers of its block alone" {
    rules 'by user other by user daemon' 'allow user worker' 'by user app' 'allow user nobody'
    app_refused "doesn't allow user worker to user app" --- --uid worker
    run -0 app --uid nobody id -u
    output_is 65534
    to_be_app=(setpriv --reuid 54332 --regid 54332 --clear-groups)
    run -0 app --uid worker id -u
    output_is 54331
    to_be_app=(setpriv --reuid 54333 --regid 54333 --groups 54333)
    app_refused "/etc/muontrap.conf allows nothing to user rooted" --- --uid worker
    app_refused "/etc/muontrap.conf allows nothing to user rooted" --- --groups ''
}

@test "groups that aren't the user's own have to be allowed themselves" {
    rules 'allow user worker by user app'
    run -0 app --uid worker --gid tools sh -c "$identity"
    runs_as 54331 54340 "54340"
    run -0 app --uid worker --groups tools sh -c "$identity"
    runs_as 54331 54331 54340
    run -0 app --uid worker --groups '' sh -c "$identity"
    output_has "Groups:
Cap"
    app_refused "--gid extra is refused: /etc/muontrap.conf doesn't allow group 54341" --- --uid worker --gid extra
    app_refused "--groups tools,extra is refused" "group 54341" --- --uid worker --groups tools,extra
    app_refused "--groups helpers is refused" "group 54342" --- --uid worker --groups helpers
    rules 'allow user worker allow group extra by user app'
    run -0 app --uid worker --gid extra --groups extra,tools sh -c "$identity"
    output_has "Gid: 54341 54341 54341 54341"
}

@test "a group for the caller itself has to be allowed, and leaving out one takes a block, too" {
    rules 'allow group extra by user app' 'allow user worker by user other'
    run -0 app --gid extra --groups extra,helpers sh -c "$identity"
    runs_as 54330 54341 "54341 54342"
    run -0 app --groups helpers sh -c "$identity"
    runs_as 54330 54330 54342
    app_refused "--gid tools is refused" "group 54340" --- --gid tools
    app_refused "--groups extra,tools is refused" "group 54340" --- --groups extra,tools
    to_be_app=(setpriv --reuid 54333 --regid 54333 "--groups=54333,54342")
    app_refused "--groups rooted is refused: /etc/muontrap.conf allows nothing to user rooted" --- --groups rooted
    app_refused "--gid helpers is refused" --- --gid helpers
}

@test "groups of one's own user that the process hasn't got have to be allowed" {
    to_be_app=(setpriv --reuid 54330 --regid 54330 --clear-groups)
    rules 'allow user worker by user app'
    app_refused "--uid app is refused" "group 54342" --- --uid app
    rules 'allow user app by user app'
    run -0 app --uid app sh -c "$identity"
    runs_as 54330 54330 "54330 54342"
}

# An entry of the database with the same number is not the one that was allowed, as far as groups go.
@test "another name of an allowed user brings no groups, and a number those of the entry that it is found by" {
    rules 'allow user worker by user app'
    app_refused "--uid twin is refused" "allow group 54332" --- --uid twin
    rules 'allow user worker allow group 54332 by user app'
    run -0 app --uid twin sh -c "$identity"
    runs_as 54331 54332 54332
    rules 'allow user twin by user other allow user worker by user app'
    app_refused "--uid twin is refused" "allow group 54332" --- --uid twin
    rules 'allow user 54331 by user app'
    run -0 app --uid twin sh -c "$identity"
    runs_as 54331 54332 54332
}

@test "groups of the caller's own don't come along with another user" {
    rules 'allow user worker by user app'
    app_refused "--gid app is refused" --- --uid worker --gid app
    app_refused "--groups 54330 is refused" --- --uid worker --groups 54330
}

@test "root's group never comes along" {
    rules 'allow user rooted allow user prime allow group tools by user app'
    app_refused "--uid rooted is refused: group 0" --- --uid rooted
    app_refused "--uid prime is refused: group 0" --- --uid prime
    app_refused "group 0 is root's" --- --uid prime --gid 0
    run -0 app --uid rooted --groups rooted sh -c "$identity"
    runs_as 54333 54333 54333
    run -0 app --uid prime --gid tools --groups tools sh -c "$identity"
    runs_as 54334 54340 54340
}

@test "root can be neither asked for nor allowed" {
    rules 'allow user worker by user app'
    for root in root 0 000; do
        app_refused "root" --- --uid "$root"
        app_refused "root" --- --gid "$root"
        app_refused "root" --- --groups "$root"
    done
    for root in 'user root' 'user 0' 'user 00' 'group root' 'group 0'; do
        rules 'allow user worker by user app' '' "allow $root by user app"
        app_refused "/etc/muontrap.conf:3: '${root#* }' is root's, and root can't be allowed" --- --uid worker
    done
}

@test "each start reads the file anew" {
    rules 'allow user worker by user app'
    run -0 app --uid worker id -u
    rules 'allow user other by user app'
    app_refused "user worker" --- --uid worker
    run -0 app --uid other id -u
    no_rules
    app_refused "is not there" --- --uid other
}

@test "the example in docs/users.md allows what it seems to" {
    awk '/^## /{ on = /muontrap.conf/ } on && /^    /{ print substr($0, 5) }' "$BATS_TEST_DIRNAME/../../docs/users.md" |
        sed 's/reports/other/; s/media/extra/; s/user ci/user daemon/; s/deploy/nobody/; s/builder/rooted/' |
        inside sh -c 'umask 022; cat >/etc/muontrap.conf; grep -q rooted /etc/muontrap.conf'
    run as_app "$helper" --check
    output_has "ok: programs run as user app, and as /etc/muontrap.conf allows: worker, other, group extra
"
    for uid in 1 65534; do
        to_be_app=(setpriv --reuid "$uid" --regid 54342 --clear-groups)
        run as_app "$helper" --check
        output_has "and as /etc/muontrap.conf allows: rooted
"
    done
}

# ---- The file itself ----

# `only_after_remedy WORDS REMEDY`: it is refused with these words, of which REMEDY is a part, and as the remedy says it
# is mended.
only_after_remedy() {
    app_refused "--uid worker is refused: $1" "($2" --- --uid worker
    inside sh -c "$2"
    run -0 app --uid worker id -u
    output_is 54331
}

@test "a file that isn't root's, or that others can write, allows nothing until that is mended" {
    rules 'allow user worker by user app'
    inside chown 54330 /etc/muontrap.conf
    only_after_remedy "/etc/muontrap.conf belongs to user 54330 and not to root" "chown root: /etc/muontrap.conf"
    for mode in 664 646 666; do
        inside chmod "$mode" /etc/muontrap.conf
        only_after_remedy "/etc/muontrap.conf can be written by others than root" "chmod go-w /etc/muontrap.conf"
    done
    inside chmod 600 /etc/muontrap.conf
    only_after_remedy "/etc/muontrap.conf can't be read" "chmod a+r /etc/muontrap.conf"
}

@test "an /etc that isn't root's, or that others can write, allows nothing either" {
    rules 'allow user worker by user app'
    inside chown 54330 /etc
    only_after_remedy "/etc belongs to user 54330 and not to root" "chown root: /etc"
    for mode in 775 757 1777; do
        inside chmod "$mode" /etc
        only_after_remedy "/etc can be written by others than root" "chmod go-w /etc"
    done
}

@test "what isn't a regular file allows nothing" {
    rules 'allow user worker by user app'
    inside sh -c 'mv /etc/muontrap.conf /etc/muontrap.real && ln -s muontrap.real /etc/muontrap.conf'
    app_refused "/etc/muontrap.conf is a symbolic link" --- --uid worker
    inside sh -c 'rm /etc/muontrap.conf && mkfifo /etc/muontrap.conf'
    app_refused "/etc/muontrap.conf is no regular file" --- --uid worker
    inside sh -c 'rm /etc/muontrap.conf && mkdir /etc/muontrap.conf'
    app_refused "/etc/muontrap.conf is no regular file" --- --uid worker
    inside sh -c 'rmdir /etc/muontrap.conf && ln -s /dev/zero /etc/muontrap.conf'
    app_refused "/etc/muontrap.conf is a symbolic link" --- --uid worker
    inside sh -c 'rm /etc/muontrap.conf && ln /etc/muontrap.real /etc/muontrap.conf'
    run -0 app --uid worker id -u
}

@test "a file with anything wrong in it allows nothing at all, and names the line" {
    while IFS='|' read -r line words; do
        rules 'allow user worker by user app' '# more'
        # shellcheck disable=SC2059 # a line may be a format
        printf "$line" | inside sh -c 'cat >>/etc/muontrap.conf'
        app_refused "--uid worker is refused: /etc/muontrap.conf:3: $words" "until it is mended" --- --uid worker
    done <<'END'
allow user no-such-user by user app|there is no user 'no-such-user' (getent passwd
allow group no-such-group by user app|there is no group 'no-such-group' (getent group
allow user other by user no-such-user|there is no user 'no-such-user'
allow user other by user 4294967295|there is no user '4294967295'
allow user other by user -1|there is no user '-1'
permit user other|'permit' is neither 'allow' nor 'by'
allow other|what follows 'allow' is 'other'
allow user|no name follows 'allow user'
allow user other|the block that begins here names nobody
by group app|what follows 'by' is 'group'
other\000|the line has a null byte
%01025d|the line has more than 1024 bytes
END
    rules 'allow user worker by user app' "$(printf '#%01000d\n' {1..66})"
    app_refused "/etc/muontrap.conf has more than 65536 bytes" --- --uid worker
}

@test "where the file is, is built in, and neither the environment nor an option says otherwise" {
    rules 'allow user worker by user app'
    echo 'allow user other by user app' >"$dir/own.conf"
    run -125 as_app env MUONTRAP_RULES="$dir/own.conf" MUONTRAP_CONF="$dir/own.conf" "$helper" --uid other id -u
    output_has "/etc/muontrap.conf doesn't allow user other"
    # In a directory of root's below one that is sticky, as /tmp is.
    mkdir -m 755 "$helper_directory/conf"
    make -s -C "$BATS_TEST_DIRNAME/../.." BUILD="$dir/build" MUONTRAP_RULES="$helper_directory/conf/rules"
    install -m 755 "$dir/build/muontrap" "$helper"
    setcap cap_setuid,cap_setgid,cap_kill+ep "$helper"
    app_refused "$helper_directory/conf/rules is not there" --- --uid other
    install -m 644 "$dir/own.conf" "$helper_directory/conf/rules"
    run -0 app --uid other id -u
    output_is 54332
    chown 54330 "$helper_directory"
    app_refused "$helper_directory belongs to user 54330" --- --uid other
}

# ---- What the capabilities are used for, and what not ----

capabilities_of() { sed -n 's/^Cap\(Inh\|Prm\|Eff\|Amb\):\t0*\(.*\)$/\1 \2/p' "/proc/$1/status" | xargs; }

@test "the helper holds three capabilities in reserve, and none at all when it needs none" {
    rules 'allow user worker by user app'
    setcap cap_setuid,cap_setgid,cap_kill,cap_dac_override,cap_sys_admin+ep "$helper"
    start_app --uid worker sh -c 'echo ready; exec sleep 100'
    await ready
    [ "$(capabilities_of "$keeper")" = "Inh Prm e0 Eff Amb" ]
    [ "$(capabilities_of "$(relay_of "$keeper")")" = "Inh Prm e0 Eff Amb" ]
    kill -TERM "$keeper"
    everything_is_gone
    make_room
    start_app sh -c 'echo ready; exec sleep 100'
    await ready
    [ "$(capabilities_of "$keeper")" = "Inh Prm Eff Amb" ]
    [ "$(capabilities_of "$(relay_of "$keeper")")" = "Inh Prm Eff Amb" ]
    kill -TERM "$keeper"
    everything_is_gone
}

@test "nobody of the caller's can trace the helper, or read its memory" {
    rules 'allow user worker by user app'
    start_app --uid worker --oom-score-adj 500 sh -c 'echo ready; exec sleep 100'
    await ready
    for pid in "$keeper" "$(relay_of "$keeper")"; do
        # ptrace(2): 16 is PTRACE_ATTACH, 0x4206 PTRACE_SEIZE.
        run -0 as_app /usr/bin/python3 -c 'import ctypes, sys
pid = int(sys.argv[1])
for request in (16, 0x4206):
    assert ctypes.CDLL(None).ptrace(request, pid, 0, 0) == -1
for file in ("mem", "maps", "environ", "fd/0", "exe"):
    try:
        open("/proc/%d/%s" % (pid, file), "rb").read(1)
    except OSError:
        continue
    raise AssertionError(file)' "$pid"
    done
    kill -TERM "$keeper"
    everything_is_gone
}

@test "other options may do what the caller may do" {
    local place=$helper_directory

    rules 'allow user worker by user app'
    mkdir -m 700 "$place/roots"
    echo secret >"$place/roots/secret"
    echo secret >"$place/secret"
    chmod 600 "$place/secret"
    setcap cap_setuid,cap_setgid,cap_kill,cap_dac_override,cap_fowner,cap_sys_nice+ep "$helper"
    # shellcheck disable=SC2016 # expands in the other shell
    for option in "--stdin=file:$place/secret" "--stdout=file:$place/new" "--stderr=file:$place/secret" \
        "--cd=$place/roots" --nice=-5 --rlimit=nofile=9999999 --oom-score-adj=-500 "--lock=$place/lock"; do
        for whom in app worker; do
            run -125 as_app timeout -k 5 60 env "$mark" sh -c 'ulimit -n 64 && exec "$@"' sh \
                "$helper" "$option" --uid "$whom" -- cat
            [[ $output == muontrap:*ermission\ denied* || $output == muontrap:*not\ permitted* ]] || {
                echo "$option: $output" >&2
                return 1
            }
        done
    done
    [ ! -e "$place/new" ] && [ ! -e "$place/lock" ] && [ "$(cat "$place/secret")" = secret ]
}

@test "a process that somebody else has started is attached to with the caller's permissions" {
    rules 'allow user worker by user app'
    for user in 0 54331; do
        inside setpriv --reuid "$user" --clear-groups env "$mark" sleep 50 {hold}>&- 3>&- &
        stranger=$!
        run -125 app --attach "$stranger"
        output_has "cannot attach to process $stranger" "may not be signalled"
        kill -0 "$stranger"
        kill "$stranger"
    done
}

@test "a set-user-ID or set-group-ID helper runs nothing for an ordinary user, and names the remedy" {
    rules 'allow user worker by user app'
    for owner in 0:0 54331:0 0:54331; do
        for mode in 4755 2755 6755; do
            chown "$owner" "$helper"
            chmod "$mode" "$helper"
            for arguments in "id -u" "--uid worker id" "--uid app id" --check --version; do
                # shellcheck disable=SC2086 # several words
                run -125 app $arguments
                output_has "muontrap: muontrap is a set-user-ID or set-group-ID program" "chmod u-s,g-s" setcap
                [ "${#lines[@]}" = 1 ]
            done
        done
    done
    # With --port the words come in a frame.
    run -125 app --port </dev/null
    output_has "muontrap is a set-user-ID or set-group-ID program"
    [[ $output != muontrap:* ]]
}

@test "root needs no file, whatever capabilities the helper's file has" {
    run -0 inside "$helper" --uid worker --gid tools id -u
    output_is 54331
}

@test "a program of another user is stopped with all that descends from it, also when a helper process is killed" {
    rules 'allow user worker by user app'
    for how in stop relay keeper; do
        start_app -k 200 --uid worker sh -c 'trap "" TERM
            setsid sh -c "trap \"\" TERM; sleep 100 & echo ready; sleep 100" & sleep 100; sleep 100'
        await ready
        case $how in
            stop) kill -TERM "$keeper" ;;
            relay) kill -KILL "$(relay_of "$keeper")" ;;
            keeper) kill -KILL "$keeper" ;;
        esac
        everything_is_gone
        make_room
    done
}

# Without cgroup.kill, as before Linux 5.14, its members are killed one by one, which the caller alone may not do.
@test "a program of another user is in its cgroup, and is killed there" {
    find_mount
    rules 'allow user worker by user app'
    top=$mount/muontrap-test-$$-$RANDOM
    mkdir "$top" "$top/callers"
    chown 54330 "$top" "$top/callers" "$top"/{,callers/}cgroup.{procs,threads,subtree_control}
    for without in clone-into-cgroup cgroup.kill; do
        # shellcheck disable=SC2016 # expands in the other shell
        start_as sh -c 'echo $$ >"$0/callers/cgroup.procs" && exec "$@"' "$top" \
            nsenter --mount --target "$holder" "${to_be_app[@]}" "$helper" -k 100 --without "$without" \
            -g "${top##*/}/program" --uid worker sh -c 'trap "" TERM
            setsid sh -c "trap \"\" TERM; sleep 100 & sleep 100" &
            id -un; cat /proc/self/cgroup | grep ^0:; echo ready; sleep 100; sleep 100'
        await worker
        await "0::*/program"
        await ready
        kill -TERM "$keeper"
        everything_is_gone
        ends_with 137
        [ ! -d "$top/program" ]
        make_room
    done
}

@test "in the caller's session no stranger is killed who has joined the program's process group" {
    rules 'allow user worker by user app'
    mkfifo "$helper_directory/group"
    chmod 666 "$helper_directory/group"
    # The stranger is root's, of the same session, and no descendant of the helper's.
    # shellcheck disable=SC2016 # expands in the other shells
    start_as nsenter --mount --target "$holder" setsid sh -c '
        fifo=$1; shift
        perl -e "open(my \$f, q(<), shift); chomp(my \$group = <\$f>);
            setpgrp(0, \$group) or die; \$| = 1; print qq(joined \$\$\n); sleep 100" "$fifo" &
        exec "$@"' sh "$helper_directory/group" "${to_be_app[@]}" "$helper" -k 100 --uid worker -- \
        perl -e 'setpgrp(0, 0); $SIG{TERM} = "IGNORE"; open(my $f, ">", shift); print $f "$$\n"; close $f; sleep 100' \
        "$helper_directory/group"
    await 'joined *'
    stranger=${line#joined }
    kill -TERM "$keeper"
    gone "$keeper"
    kill -0 "$stranger"
    kill -KILL "$stranger"
    everything_is_gone
}

# A stand-in for sudo(8), and a process of root's by it, whose pid is in $stranger once it has begun.
make_sudo() {
    install -m 4755 "$(command -v setpriv)" "$helper_directory/sudo"
    mkfifo "$helper_directory/pid"
    chmod 666 "$helper_directory/pid"
}
# shellcheck disable=SC2016 # expands in the other shells
as_root='"$0/sudo" --reuid 0 --regid 0 --clear-groups sh -c "echo \$\$ >$0/pid; exec sleep 100"'
await_stranger() { IFS= read -r -t "$PATIENCE" stranger <"$helper_directory/pid"; }

is_left_alone() {
    gone "$keeper"
    eventually grep -qx sleep "/proc/$stranger/comm" # it has told its pid before it executes that
    kill -KILL "$stranger"
}

# The caller could not end it either. A helper that waits learns later whom a program is to run as.
@test "a process of root's that a program of the caller's own has started is left alone" {
    make_sudo
    rules 'allow user worker by user app'
    mkfifo "$dir/input"
    for way in plain groups waits; do
        for how in stop relay; do
            writer=
            case $way in
                plain) start_app -k 100 sh -c "$as_root" "$helper_directory" ;;
                groups) start_app -k 100 --groups helpers sh -c "$as_root" "$helper_directory" ;;
                waits)
                    # shellcheck disable=SC2016 # is perl's
                    perl -e '$| = 1; print pack("N/a*", join("", "l", map { "$_\0" } @ARGV)); sleep 100' \
                        -- -k 100 -- sh -c "$as_root" "$helper_directory" >"$dir/input" 3>&- &
                    writer=$!
                    start_app --port <"$dir/input"
                    ;;
            esac
            await_stranger
            if [ "$how" = relay ]; then kill -KILL "$(relay_of "$keeper")"; else kill -TERM "$keeper"; fi
            [ -z "$writer" ] || kill "$writer"
            is_left_alone
            everything_is_gone
            make_room
        done
    done
}

# The keeper adopts it as it adopts what the program leaves, and can't tell them apart. So the program is left, too.
@test "a process of root's that a child from before the start has left is left alone" {
    make_sudo
    rules 'allow user worker by user app'
    mkfifo "$helper_directory/go"
    chmod 666 "$helper_directory/go"
    # shellcheck disable=SC2016 # expands in the other shells
    start_as nsenter --mount --target "$holder" "${to_be_app[@]}" sh -c '
        daemon=$1; shift
        (read -r _ <"$0/go"; setsid sh -c "$daemon" "$0" &) &
        exec "$0/muontrap" "$@"' "$helper_directory" "exec $as_root" -k 100 --uid worker sh -c 'echo ready; sleep 100'
    await ready
    echo go >"$helper_directory/go"
    await_stranger
    eventually adopts "$keeper" "$stranger"
    kill -KILL "$(pgrep -P "$keeper" -x muontrap)"
    is_left_alone
    output=$(cat "$dir/stderr")
    output_has "could not be killed and is left running"
}

adopts() { grep -q "^PPid:[[:space:]]*$1\$" "/proc/$2/status"; }

@test "in effect or not, the capabilities of the file are enough" {
    rules 'allow user worker by user app'
    setcap cap_setuid,cap_setgid,cap_kill+p "$helper"
    run -0 app --uid worker sh -c "$identity"
    runs_as 54331 54331 "54331 54340"
    app_refused "user other" --- --uid other
}

# ---- Hostile ways to start it ----

make_probe() {
    cc -D_GNU_SOURCE -O1 -static -DLOG="\"$helper_directory/log\"" -o "$helper_directory/probe" \
        "$BATS_TEST_DIRNAME/probe.c"
    cc -D_GNU_SOURCE -O1 -shared -fPIC -DLIBRARY -DLOG="\"$helper_directory/log\"" \
        -o "$helper_directory/probe.so" "$BATS_TEST_DIRNAME/probe.c"
    chmod 755 "$helper_directory"/probe*
}

hostile() {
    inside timeout -k 5 "$LONGEST" env "$mark" "$BATS_TEST_DIRNAME/hostile" "$helper" "$helper_directory" "$@"
}

# So many of them from that number on.
hostile_get_nowhere() { # FIRST COUNT
    run hostile "$1" $(($1 - 1 + $(fewer "$2")))
    if [ "$status" != 0 ] || [ "${#lines[@]}" != 1 ]; then
        printf 'status %s: %s\n' "$status" "$output" >&2
        return 1
    fi
}

hostile_setup() {
    not_sanitized "some of them limit the address space, of which AddressSanitizer takes terabytes"
    make_probe
}

@test "hostile command lines and environments get nowhere" {
    hostile_setup
    hostile_get_nowhere 1 100
}

@test "other hostile command lines and environments get nowhere either" {
    hostile_setup
    hostile_get_nowhere 101 100
}

# The dynamic loader and the C library of such a one listen to the environment.
@test "nor do they with a helper that is dynamically linked to the GNU C library" {
    hostile_setup
    make -s -C "$BATS_TEST_DIRNAME/../.." BUILD="$dir/build" CC=gcc
    install -m 755 "$dir/build/muontrap" "$helper"
    setcap cap_setuid,cap_setgid,cap_kill+ep "$helper"
    # The library is loaded where nothing keeps it out.
    mkdir -m 1777 "$helper_directory/log"
    LD_PRELOAD=$helper_directory/probe.so as_app true
    [ -n "$(find "$helper_directory/log" -name 'library *')" ]
    rm -r "$helper_directory/log"
    hostile_get_nowhere 201 200
}

# ---- Namespaces ----

# A file with capabilities has them in a caller's user namespace as well, but there only.
@test "a user namespace with an /etc of the caller's own gives nobody but the caller" {
    local made=$helper_directory/made

    to_be_app=(setpriv --reuid 54330 --regid 54330 --clear-groups)
    mkdir -m 1777 "$made"
    for owner in 0 54330; do
        inside cp -a /etc "$helper_directory/etc-$owner"
        printf '%s\n' 'allow user worker allow user other allow group tools allow group 54331' \
            'by user app by user worker by user other by user nobody' >"$helper_directory/etc-$owner/muontrap.conf"
        chmod 644 "$helper_directory/etc-$owner/muontrap.conf"
        chown -R "$owner" "$helper_directory/etc-$owner"
        for map in "--map-root-user" "--map-user=54330 --map-group=54330" "--map-user=54331 --map-group=54331" \
            "--map-user=54332 --map-group=54340" ""; do
            for arguments in "--uid worker" "--uid other" "--gid tools" "--uid 54331 --gid 54340" \
                "--uid worker --groups 54331"; do
                # shellcheck disable=SC2016,SC2086 # expands in the other shell; several words
                run as_app timeout -k 5 60 env "$mark" unshare --user --mount --keep-caps $map sh -c '
                    mount --bind "$1" /etc && grep -q tools /etc/muontrap.conf && echo prepared && shift && "$@"' \
                    sh "$helper_directory/etc-$owner" "$helper" $arguments -- sh -c 'id; touch "$0/$$"' "$made"
                output_has prepared
                [[ $output == *uid=* || $output == *"muontrap: "* ]]
            done
        done
    done
    # Seen from here each of them was the caller.
    [ "$(find "$made" -type f | wc -l)" -ge 2 ]
    [ -z "$(find "$made" -type f '(' ! -uid 54330 -o ! -gid 54330 ')')" ]
}

@test "no_new_privs leaves the helper an ordinary one, and so does a file system that is mounted nosuid" {
    rules 'allow user worker by user app'
    to_be_app+=(--no-new-privs)
    app_refused "not permitted" "CAP_SETGID" --- --uid worker
    run -0 app sh -c "$identity"
    runs_as 54330 54330 "54330 54342"
    to_be_app=("${to_be_app[@]:0:7}")
    inside mount --bind "$helper_directory" "$helper_directory"
    inside mount -o remount,bind,nosuid "$helper_directory"
    app_refused "not permitted" "CAP_SETGID" --- --uid worker
}

# ---- muontrap --check ----

@test "--check says whom programs may be run as" {
    run as_app "$helper" --check
    output_has "ok: programs run as user app only: /etc/muontrap.conf is not there"
    rules 'by user app allow user worker allow user nobody allow group extra' \
        'by user other allow user rooted allow user worker'
    run as_app "$helper" --check
    output_has "ok: programs run as user app, and as /etc/muontrap.conf allows: worker, nobody, group extra
"
    rules 'allow user worker by user other'
    run as_app "$helper" --check
    output_has "ok: programs run as user app only: /etc/muontrap.conf allows nothing to that user"
    setcap cap_setuid,cap_setgid+ep "$helper"
    run as_app "$helper" --check
    output_has "ok: programs run as user app only: other users take more capabilities" "cap_kill+ep"
    setcap -r "$helper"
    run as_app "$helper" --check
    output_has "ok: programs run as user app only: other users take root, or 'setcap cap_setuid,cap_setgid,cap_kill+ep'"
    run inside "$helper" --check
    output_has "ok: programs may be run as other users"
}
