#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The program's cgroup: how it is made, entered, emptied and removed. These tests take what every cgroup2 mount has, and
# no controller; those that take one are in controllers.bats.

load cgroups

# What the helper does on older kernels: on 5.6 and before, and on 5.13 and before.
fork_then_enter=(--without clone-into-cgroup)
freeze_then_kill=(--without cgroup.kill)

# Programs. Each prints "ready" when everything that it makes is there.

plain='echo ready; exec sleep 100'
deaf='trap "" TERM HUP INT QUIT; sleep 100 & echo ready; sleep 100; sleep 100'

# Leaves a daemon behind: it has forked twice, is in a session of its own, and has none of the program's descriptors.
daemon='
    use POSIX ();
    pipe(my $out, my $in);
    if (!fork) {
        POSIX::setsid(); exit if fork; close $out; open $_, "+<", "/dev/null" for *STDIN, *STDOUT, *STDERR;
        $SIG{TERM} = "IGNORE"; syswrite $in, "."; sleep 100; exit
    }
    sysread $out, my $byte, 1;
    $| = 1; print "ready\n";
    exit 5 if $ARGV[0] eq "exit";
    sleep 100'

# Makes cgroups in its own, three levels of two, and moves a child into each of these.
# $1: the directory of the program's cgroup; $2: "exit" to end then.
nested='
    use POSIX ();
    $| = 1;
    my ($top, $then) = @ARGV;
    my @made = ($top);
    for my $level (1..3) {
        @made = map { my $at = $_; map { mkdir "$at/$_" or die; "$at/$_" } 1, 2 } @made;
        push @all, @made;
    }
    for my $directory (@all) {
        defined(my $pid = fork) or die;
        if (!$pid) { $SIG{$_} = "IGNORE" for qw(TERM HUP); POSIX::setsid(); sleep 100; POSIX::_exit(0) }
        open my $file, ">", "$directory/cgroup.procs" or die; syswrite $file, $pid or die "$directory: $!"; close $file;
    }
    print "ready\n";
    exit 5 if $then eq "exit";
    sleep 100'

# Each process forks as fast as it can, up to three hundred at a time, which it says when that many have been reached: one
# that finds no place for another ends and frees its own. They end by themselves after a minute. With thousands of them the test itself would get no processor time.
bomb='
    use POSIX ();
    use Fcntl;
    use Time::HiRes "time";
    my $end = time + 60;
    $SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT CHLD);
    pipe(my $places, my $free); fcntl $places, F_SETFL, O_NONBLOCK;
    syswrite $free, "." x 300;
    pipe(my $first, my $once); fcntl $first, F_SETFL, O_NONBLOCK; syswrite $once, ".";
    if (fork) { sleep 60; exit }
    while (time < $end) {
        if (!sysread $places, my $place, 1) {
            syswrite STDOUT, "ready\n" if sysread $first, my $full, 1;
            syswrite $free, ".";
            POSIX::_exit(0);
        }
        defined fork or syswrite $free, ".";
    }'

# ---- Entering the cgroup ----

@test "every spelling of the option runs the program in that cgroup" {
    for way in "-g $own/a" "-g$own/a" "-p $own/a" "--group $own/a" "--group=$own/a" "--path $own/a" "--path=$own/a"; do
        # shellcheck disable=SC2086 # words are wanted
        run -0 muontrap $way -- grep ^0:: /proc/self/cgroup
        output_is "0::/$own/a"
        no_cgroup_is_left
    done
}

@test "of two paths the last counts" {
    run -0 muontrap -g "$own/a" -p "$own/b" -- grep ^0:: /proc/self/cgroup
    output_is "0::/$own/b"
}

@test "the program is in its cgroup from its first instruction, made there or moved there" {
    for way in "" "${fork_then_enter[*]}"; do
        # shellcheck disable=SC2086 # words are wanted
        run -0 muontrap $way -g "$own/a" -- sed -n s/^0:://p /proc/self/cgroup
        output_is "/$own/a"
    done
}

@test "nothing of muontrap itself is in the program's cgroup" {
    for way in "" "${fork_then_enter[*]}"; do
        # shellcheck disable=SC2086 # words are wanted
        start $way -g "$own/a" -- sh -c 'echo ready $$; exec sleep 100'
        await "ready *"
        [ "$(members "$own/a")" = "${line#ready }" ]
        kill -TERM "$keeper"
        everything_is_gone
        ends_with 143
        make_room
    done
}

@test "the program can't tell by its descriptors that it has a cgroup" {
    not_under_valgrind "the program has its logs"
    run -0 bash -c 'for fd in {3..300}; do exec {fd}<&-; done
        exec "$MUONTRAP" -g "$1" -- perl -e "print join q( ), grep { -e qq(/proc/self/fd/\$_) } 0..300"' bash "$own/a"
    output_is "0 1 2"
}

@test "the exit status in a cgroup is the program's" {
    run -3 muontrap -g "$own/a" -- sh -c 'exit 3'
    run -137 muontrap -g "$own/a" -- sh -c 'kill -KILL $$'
    run -126 muontrap -g "$own/a" -- /
    run -127 muontrap -g "$own/a" -- "$dir/no/such/program"
    run -125 muontrap -g "$own/a" --cd "$dir/no/such/directory" -- true
    no_cgroup_is_left
}

# ---- Made and removed ----

@test "directories that are made above the cgroup are removed, too" {
    run -0 muontrap -g "$own/a/b/c/d" -- sed -n s/^0:://p /proc/self/cgroup
    output_is "/$own/a/b/c/d"
    no_cgroup_is_left
    run -127 muontrap -g "$own/a/b/c/d" -- "$dir/no/such/program"
    no_cgroup_is_left
}

@test "directories that were there before are left, with their settings" {
    mkdir -p "$top/given/below"
    echo 7 >"$top/given/cgroup.max.descendants"
    echo 3 >"$top/given/below/cgroup.max.depth"
    run -0 muontrap -g "$own/given/below" -- sed -n s/^0:://p /proc/self/cgroup
    output_is "/$own/given/below"
    run -0 muontrap -g "$own/given/below/made/made" -- true
    [ "$(cgroups_left)" = $'given\ngiven/below' ]
    [ "$(<"$top/given/cgroup.max.descendants")" = 7 ]
    [ "$(<"$top/given/below/cgroup.max.depth")" = 3 ]
}

@test "what the program has made in a cgroup that was there is killed, and the cgroup left" {
    mkdir "$top/given"
    run -5 muontrap -g "$own/given" -- perl -e "$daemon" exit
    nothing_survives
    [ "$(cgroups_left)" = given ]
    [ -z "$(members "$own/given")" ]
}

@test "a directory that was made above the cgroup stays as long as another uses it" {
    start -g "$own/a/b" -- sh -c "$plain"
    await ready
    run -0 muontrap -g "$own/a/c" -- true
    [ "$(cgroups_left | sort)" = $'a\na/b' ]
    kill -TERM "$keeper"
    everything_is_gone
    no_cgroup_is_left
}

@test "settings of the core are written" {
    run -0 muontrap -g "$own/a" -s cgroup.max.depth=4 -s cgroup.max.descendants=5 -- \
        sh -c 'cat "$0/cgroup.max.depth" "$0/cgroup.max.descendants"' "$top/a"
    output_is $'4\n5'
}

@test "names of v1's controllers that v2 has in its core need nothing" {
    run -0 muontrap -g "$own/a" -c freezer -c perf_event -- echo ran
    output_is ran
}

# ---- Nothing survives ----

dies_with_its_program() {
    run -5 muontrap "$@" -g "$own/a" -- perl -e "$daemon" exit
    nothing_survives
    no_cgroup_is_left
}

@test "a daemon that the program leaves behind dies with it" { dies_with_its_program; }
@test "a daemon that the program leaves behind dies without cgroup.kill, too" {
    dies_with_its_program "${freeze_then_kill[@]}"
}
@test "a daemon that the program leaves behind dies without clone3, too" {
    dies_with_its_program "${fork_then_enter[@]}"
}

deaf_and_stopped() {
    start -k 100 "$@" -g "$own/a" -- sh -c "$deaf"
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 137
    no_cgroup_is_left
}

@test "processes that ignore every other signal are killed" { deaf_and_stopped; }
@test "processes that ignore every other signal are killed without cgroup.kill, too" {
    deaf_and_stopped "${freeze_then_kill[@]}"
}
@test "processes that ignore every other signal are killed without clone3, too" {
    deaf_and_stopped "${fork_then_enter[@]}"
}

nested_and_ended() {
    run -5 muontrap "$@" -g "$own/a" -- perl -e "$nested" "$top/a" exit
    nothing_survives
    no_cgroup_is_left
}

@test "processes in nested cgroups die with the program, and all directories are removed" { nested_and_ended; }
@test "nested cgroups are emptied and removed without cgroup.kill, too" { nested_and_ended "${freeze_then_kill[@]}"; }

nested_and_stopped() {
    start -k 100 "$@" -g "$own/a" -- perl -e "$nested" "$top/a" stay
    await ready
    [ "$(cgroups_left | wc -l)" = 15 ]
    kill -TERM "$keeper"
    everything_is_gone
    no_cgroup_is_left
}

@test "processes in nested cgroups die in a stop, and all directories are removed" { nested_and_stopped; }
@test "nested cgroups are emptied and removed in a stop without cgroup.kill, too" {
    nested_and_stopped "${freeze_then_kill[@]}"
}

@test "nested cgroups of a cgroup that was there before are removed, and it stays" {
    mkdir "$top/given"
    run -5 muontrap -g "$own/given" -- perl -e "$nested" "$top/given" exit
    nothing_survives
    [ "$(cgroups_left)" = given ]
}

# Makes so many cgroups, each within the one before.
# $1: the directory above the first; $2: how many; $3: the mode that they all get in the end, if any.
chain='
    my ($top, $count, $mode) = @ARGV;
    chdir $top or die;
    for my $level (1..$count) {
        mkdir "n" or die "$level: $!"; chdir "n" or die "$level: $!";
        push @all, "$all[-1]/n";
    }
    if (defined $mode) { chmod oct $mode, "$top$_" or die for reverse "", @all }'

@test "cgroups that are nested deeper than a small stack could hold are removed" {
    for way in "" "${freeze_then_kill[*]}"; do
        # shellcheck disable=SC2016,SC2086 # the shell that is run is to expand these; words are wanted
        run -0 timeout 100 env "$mark" bash -c 'ulimit -Ss 512; exec "$MUONTRAP" "$@"' - $way -g "$own/a" -- \
            perl -e "$chain" "$top/a" 500
        no_cgroup_is_left
    done
}

@test "nested cgroups without any permissions are removed" {
    for mode in 0 444 555; do
        run -0 muontrap -g "$own/a" -- perl -e "$chain" "$top/a" 3 "$mode"
        no_cgroup_is_left
    done
}

@test "cgroups that are nested deeper than there may be descriptors are removed" {
    for way in "" "${freeze_then_kill[*]}"; do
        # shellcheck disable=SC2086 # words are wanted
        run -0 timeout 60 env "$mark" bash -c 'ulimit -n 64; exec "$MUONTRAP" "$@"' - $way -g "$own/a" -- perl -e '
            chdir shift or die; for (1..200) { mkdir "n" or die "$_: $!"; chdir "n" or die }
            defined(my $pid = fork) or die; if (!$pid) { sleep 100; exit }
            open my $file, ">", "cgroup.procs" or die; syswrite $file, $pid or die' "$top/a"
        nothing_survives
        no_cgroup_is_left
    done
}

moved_in_from_outside() {
    start "$@" -g "$own/a" -- sh -c "$plain"
    await ready
    put_stranger_into "$own/a"
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 143
    gone "$stranger"
    no_cgroup_is_left
}

@test "a process that was moved into the cgroup from outside dies, too" { moved_in_from_outside; }
@test "a process that was moved into the cgroup dies without cgroup.kill, too" {
    moved_in_from_outside "${freeze_then_kill[@]}"
}

@test "more processes from outside than a read of cgroup.procs tells of die without cgroup.kill, too" {
    start -k 0 "${freeze_then_kill[@]}" -g "$own/a" -- sh -c "$plain"
    await ready
    env "$mark" perl -e 'open my $file, ">", "$ARGV[0]/cgroup.procs" or die; syswrite $file, 0; close $file;
        for (1..900) { defined(my $pid = fork) or die; if (!$pid) { sleep 100; exit } }
        open my $ready, ">", $ARGV[1]; close $ready; sleep 100' "$top/a" "$dir/forked" 3>&- &
    eventually test -e "$dir/forked"
    kill -TERM "$keeper"
    everything_is_gone
    no_cgroup_is_left
}

@test "a program that has frozen itself is killed" {
    start -k 100 -g "$own/a" -- sh -c 'echo ready; echo 1 >"$0/cgroup.freeze"; exec sleep 100' "$top/a"
    await ready
    eventually grep -qx 'frozen 1' "$top/a/cgroup.events"
    kill -TERM "$keeper"
    everything_is_gone
    no_cgroup_is_left
}

@test "a nested cgroup that is frozen is removed without cgroup.kill, too" {
    start -k 100 "${freeze_then_kill[@]}" -g "$own/a" -- sh -c '
        mkdir "$0/n"; sleep 100 & echo $! >"$0/n/cgroup.procs"; echo 1 >"$0/n/cgroup.freeze"; echo ready; wait' "$top/a"
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    no_cgroup_is_left
}

bombed() {
    time_limit 1000
    start -k 100 "$@" -g "$own/a" -- perl -e "$bomb"
    await ready
    begin=$EPOCHREALTIME
    kill -TERM "$keeper"
    while IFS= read -r -t "$PATIENCE" -u "$alive" _; do :; done
    end=$EPOCHREALTIME
    everything_is_gone
    in_time $(((${end/./} - ${begin/./}) / 1000))
    no_cgroup_is_left
}

# bats test_tags=bomb
@test "a fork bomb is dead within 1 s of a stop" { bombed; }
# bats test_tags=bomb
@test "a fork bomb is dead within 1 s of a stop without cgroup.kill, too" { bombed "${freeze_then_kill[@]}"; }

# ---- kill -9 of one of the helper's processes ----

keeper_killed() {
    start -k 100 "$@" -g "$own/a/b" -- perl -e "$nested" "$top/a/b" stay
    await ready
    kill -KILL "$keeper"
    everything_is_gone
    ends_with 137
    eventually no_cgroup_is_left
}

@test "kill -9 of the keeper ends all, and removes all directories" { keeper_killed; }
@test "kill -9 of the keeper does so without cgroup.kill, too" { keeper_killed "${freeze_then_kill[@]}"; }

relay_killed() {
    start -k 100 "$@" -g "$own/a/b" -- perl -e "$nested" "$top/a/b" stay
    await ready
    kill -KILL "$(relay_of "$keeper")"
    everything_is_gone
    ends_with 125
    no_cgroup_is_left
}

@test "kill -9 of the relay ends all, and removes all directories" { relay_killed; }
@test "kill -9 of the relay does so without cgroup.kill, too" { relay_killed "${freeze_then_kill[@]}"; }

@test "kill -9 of the relay ends a process that was moved in from outside" {
    start -g "$own/a" -- sh -c "$plain"
    await ready
    put_stranger_into "$own/a"
    kill -KILL "$(relay_of "$keeper")"
    everything_is_gone
    ends_with 125
    gone "$stranger"
    no_cgroup_is_left
}

# Kills keeper and relay at once, so that neither can clean up. The program dies with them, its descendants live on.
# $1: the cgroup; $2 and on: options.
both_killed() {
    start -g "$own/$1" "${@:2}" -- perl -e "$daemon" stay
    await ready
    relay=$(relay_of "$keeper")
    # the relay is told of the keeper's death: it must not be able to act on it
    kill -STOP "$relay" "$keeper"
    # and the end of the relay would continue the keeper
    kill -KILL "$keeper" "$relay"
    ends_with 137
    # the process has ended then, but may be a zombie until the process that adopted it reaps it
    eventually is_dead "$relay"
    eventually has_lines "$top/$1/cgroup.procs" 1
    make_room
}

has_lines() { [ "$(wc -l <"$1")" = "$2" ]; }

@test "what is left of a dead muontrap is killed and removed by the next start in the same cgroup" {
    both_killed a
    populated "$own/a"
    run -0 muontrap -g "$own/a" -- cat "$top/a/cgroup.procs"
    [ "${#lines[@]}" = 1 ]
    nothing_survives
    no_cgroup_is_left
}

@test "what is left of a dead muontrap is killed and removed by the next start beside it" {
    both_killed a
    both_killed b "${freeze_then_kill[@]}"
    [ "$(cgroups_left)" = b ]
    run -0 muontrap -g "$own/c" -- true
    nothing_survives
    no_cgroup_is_left
}

@test "what is left of a dead muontrap is killed and removed by --clean" {
    for way in "" "${freeze_then_kill[*]}"; do
        both_killed a/b/c
        # shellcheck disable=SC2086 # words are wanted
        run -0 muontrap --clean $way -g "$own/a/b/c"
        output_is ""
        nothing_survives
        no_cgroup_is_left
    done
}

@test "what is left in a cgroup that was there is killed by --clean, and the cgroup left" {
    mkdir "$top/given"
    both_killed given
    populated "$own/given"
    run -0 muontrap --clean -g "$own/given"
    nothing_survives
    [ "$(cgroups_left)" = given ]
}

@test "--clean of a cgroup that is not there succeeds" {
    run -0 muontrap --clean -g "$own/a/b"
    output_is ""
}

@test "what a dead muontrap has left above its cgroup is removed by --clean" {
    mkdir -m 1755 "$top/a"
    mkdir -m 1755 "$top/a/b"
    run -0 muontrap --clean -g "$own/a/b/c"
    output_is ""
    no_cgroup_is_left
}

@test "a live neighbour is not touched by the next start, nor by --clean" {
    mkfifo "$dir/fifo"
    start --stdin inherit -g "$own/live" -- sh -c 'echo ready; read -r _; echo still here' <>"$dir/fifo"
    await ready
    first=$keeper first_alive=$alive
    mv "$dir/alive" "$dir/first_alive"
    both_killed dead
    run -0 muontrap -g "$own/next" -- true
    run -125 muontrap --clean -g "$own/live"
    output_has "$own/live" "in use by another muontrap, which lives"
    [ "$(cgroups_left)" = live ]
    keeper=$first alive=$first_alive
    echo >"$dir/fifo"
    await "still here"
    everything_is_gone
    ends_with 0
    no_cgroup_is_left
}

@test "a directory of another user is no dead helper's, however it is marked" {
    root_only
    for mark_bits in 1755 4755; do
        mkdir "$top/theirs"
        chown nobody "$top/theirs"
        chmod "$mark_bits" "$top/theirs"
        put_stranger_into "$own/theirs"
        run -0 muontrap -g "$own/next" -- true
        start_refused "$top/theirs" "holds processes already" --- -g "$own/theirs"
        is_alive "$stranger"
        [ "$(cgroups_left)" = theirs ]
        kill -KILL "$stranger"
        eventually is_dead "$stranger"
        eventually rmdir "$top/theirs"
    done
}

# flock(2) takes no more than an open descriptor, which anybody may have who can read the directory.
@test "who holds the lock of a cgroup that was there keeps it from being used, and no more" {
    mkdir "$top/given"
    mkfifo "$dir/let_go"
    flock "$top/given" sh -c 'echo held; read -r _' <>"$dir/let_go" >"$dir/held" 3>&- &
    locker=$!
    eventually grep -q held "$dir/held"
    start_refused "$top/given" "in use by another muontrap" --- -g "$own/given"
    run -0 muontrap -g "$own/next" -- true
    echo >"$dir/let_go"
    wait "$locker"
    run -0 muontrap -g "$own/given" -- true
    [ "$(cgroups_left)" = given ]
}

@test "there are no symbolic links among cgroups" {
    run ! ln -s "$dir" "$top/link"
    no_cgroup_is_left
}

# ---- Cgroups that are refused ----

@test "a cgroup that holds processes is refused, and they live on" {
    mkdir "$top/given"
    put_stranger_into "$own/given"
    start_refused "$top/given" "holds processes already" "echo 1 >$top/given/cgroup.kill" "5.14" --- -g "$own/given"
    is_alive "$stranger"
    [ "$(members "$own/given")" = "$stranger" ]
}

@test "a cgroup that holds processes below it only is refused, and they live on" {
    mkdir -p "$top/given/below"
    put_stranger_into "$own/given/below"
    start_refused "$top/given" "holds processes already" --- -g "$own/given"
    is_alive "$stranger"
    [ "$(cgroups_left)" = $'given\ngiven/below' ]
}

@test "a cgroup that another muontrap uses is refused, and it goes on" {
    for given in "" given; do
        [ -z "$given" ] || mkdir "$top/given"
        start -g "$own/${given:-made}" -- sh -c "$plain"
        await ready
        start_refused "$top/${given:-made}" "in use by another muontrap" --- -g "$own/${given:-made}"
        populated "$own/${given:-made}"
        kill -TERM "$keeper"
        everything_is_gone
        ends_with 143
        make_room
    done
}

@test "a cgroup that is frozen is refused" {
    mkdir "$top/given"
    echo 1 >"$top/given/cgroup.freeze"
    start_refused "$top/given" frozen --- -g "$own/given"
}

@test "a cgroup that may hold no processes is refused" {
    mkdir -p "$top/given/below"
    echo threaded >"$top/given/below/cgroup.type"
    mkdir "$top/given/other"
    # the kernel calls it "domain invalid" now
    start_refused "$top/given/other" "cannot start a process in the cgroup" --- -g "$own/given/other"
}

# ---- Failures: each is told in words and leaves nothing behind ----

# bats test_tags=words
@test "a path that no cgroup can have is refused" {
    start_refused "'' is no cgroup's path" empty --- -g ""
    start_refused "'../x' is no cgroup's path" ".." --- -g ../x
    start_refused "'$own/../../b'" ".." --- -g "$own/../../b"
    start_refused "'$own/..'" ".." --- -g "$own/.."
    start_refused "'.'" --- -p .
    start_refused "'./x'" --- -p ./x
    start_refused "'/$own'" slash --- -g "/$own"
    start_refused "'$own/'" empty --- -g "$own/"
    start_refused "'$own//x'" empty --- --path "$own//x"
    start_refused "255 bytes" --- -g "$own/$(printf '%0256d' 0)"
    start_refused "too long" --- -g "$own$(printf '/%0200d' 1 2 3 4 5 6)"
    no_cgroup_is_left
}

@test "a path with parts of 255 bytes is accepted" {
    part=$(printf '%0255d' 0)
    run -0 muontrap -g "$own/$part/$part" -- sed -n s/^0:://p /proc/self/cgroup
    output_is "/$own/$part/$part"
    no_cgroup_is_left
}

@test "a path with any character but a line end is accepted" {
    odd="a b'c\"d\\e*?\$x%s-ü~"
    run -0 muontrap -g "$own/$odd" -- true
    no_cgroup_is_left
    run -125 muontrap -g "$own/a"$'\n'"b" -- echo ran
    output_has "cannot make the cgroup" "Invalid argument"
    no_cgroup_is_left
}

@test "a path through a file is refused" {
    start_refused "$top/cgroup.procs" "Not a directory" --- -g "$own/cgroup.procs"
    start_refused "$top/cgroup.procs" "Not a directory" --- -g "$own/cgroup.procs/x"
    start_refused "$top/a/cgroup.procs" "Not a directory" --- -g "$own/a/cgroup.procs"
    no_cgroup_is_left
}

# bats test_tags=words
@test "a key that no file can have is refused" {
    for key in ../../y=1 y/z=1 "a b.c=1" =1 memory.max memory.max= memory=1 .max=1 Memory.max=1; do
        start_refused "--set takes KEY=VALUE" "'$key'" --- -g "$own/a" -s "$key"
    done
    start_refused "--set takes KEY=VALUE" --- -g "$own/a" -s ""
    no_cgroup_is_left
}

# bats test_tags=words
@test "a key with which the program is contained is refused" {
    for key in cgroup.procs cgroup.threads cgroup.kill cgroup.freeze cgroup.type cgroup.subtree_control; do
        start_refused "$key can't be set" --- -g "$own/a" -s "$key=1"
    done
    no_cgroup_is_left
}

# bats test_tags=words
@test "a key of v1 that v2 has nothing for is refused" {
    start_refused "no counterpart to memory.swappiness" memory.swap.max --- -g "$own/a" -s memory.swappiness=1
    start_refused "no counterpart to cpu.rt_runtime_us" --- -g "$own/a" -s cpu.rt_runtime_us=1
    start_refused "no controller net_cls" --- -g "$own/a" -c net_cls
    no_cgroup_is_left
}

@test "a value that the kernel refuses is told with key, path, value and the errno" {
    start_refused "$top/a/cgroup.max.depth" "'deep'" "Invalid argument" --- -g "$own/a" -s cgroup.max.depth=deep
    start_refused "$top/a/b/cgroup.max.depth" "'-1'" "(the kernel doesn't take that value" --- \
        -g "$own/a/b" -s cgroup.max.descendants=3 -s cgroup.max.depth=-1
    no_cgroup_is_left
}

@test "a setting that fails leaves a cgroup that was there before in place" {
    mkdir "$top/given"
    start_refused "$top/given/cgroup.max.depth" --- -g "$own/given" -s cgroup.max.depth=deep
    [ "$(cgroups_left)" = given ]
}

@test "a controller that isn't there is named, with the place where it should be" {
    start_refused "no controller nosuch in $mount" cgroup.controllers --- -g "$own/a/b" -c nosuch
    start_refused "no controller nosuch in $mount" --- -g "$own/a/b" -s nosuch.max=1
    start_refused "'../x' is no controller's name" --- -g "$own/a" -c ../x
    no_cgroup_is_left
}

@test "a limit on how many cgroups there may be is told" {
    echo 0 >"$top/cgroup.max.descendants"
    start_refused "$top/a" "cgroup.max.descendants" --- -g "$own/a"
    echo 2 >"$top/cgroup.max.descendants"
    start_refused "$top/a/b/c" "cgroup.max.descendants" --- -g "$own/a/b/c"
    no_cgroup_is_left
}

@test "a read-only mount is told, with the remedy" {
    root_only
    read_only=(unshare -m sh -c 'mount -o remount,bind,ro "$0" && exec "$@"' "$mount" "$MUONTRAP")
    run -125 "${read_only[@]}" -g "$own/a" -- echo ran
    output_has "cannot make the cgroup $top/a" "Read-only file system" "remount,rw"
    mkdir "$top/given"
    run -125 "${read_only[@]}" -g "$own/given" -- echo ran
    output_has "$top/given" "Read-only file system" "remount,rw"
    [ "$(cgroups_left)" = given ]
}

@test "that no cgroup2 is mounted is told, with the remedy" {
    root_only
    run -125 unshare -m sh -c 'umount "$0" && exec "$@"' "$mount" "$MUONTRAP" -g "$own/a" -- echo ran
    output_has "no cgroup2 file system is mounted" "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    no_cgroup_is_left
}

@test "a mount at another place is found" {
    root_only
    mkdir "$dir/a b"
    run -0 unshare -m sh -c 'mount --move "$1" "$2" 2>/dev/null || { mount -t cgroup2 cgroup2 "$2" && umount "$1"; }
        shift 2; exec "$@"' - "$mount" "$dir/a b" "$MUONTRAP" -g "$own/a" -- sed -n s/^0:://p /proc/self/cgroup
    output_is "/$own/a"
    run -125 unshare -m sh -c 'mount -t cgroup2 cgroup2 "$2" && umount "$1"; shift 2; exec "$@"' - "$mount" "$dir/a b" \
        "$MUONTRAP" -g "$own/a" -c nosuch -- true
    output_has "no controller nosuch in $dir/a b"
    no_cgroup_is_left
}

# ---- Many at once ----

many() {
    local i jobs=()

    for ((i = 0; i < $1; i++)); do
        env --default-signal "$mark" "$MUONTRAP" -k 100 "${@:2}" -g "$own/many/$i" -- \
            sh -c 'sleep 100 & echo ready; wait' <&0 >>"$dir/out" 2>>"$dir/err" 3>&- &
        jobs+=($!)
    done
    eventually has_lines "$dir/out" "$1"
    [ "$(cgroups_left | wc -l)" = $(($1 + 1)) ]
    kill -TERM "${jobs[@]}"
    for i in "${jobs[@]}"; do gone "$i"; done
    [ ! -s "$dir/err" ]
    nothing_survives
    no_cgroup_is_left
}

# So many at once take the machine some seconds.
@test "many at once under one base leave nothing" { many "$(fewer 200)"; }
@test "many at once leave nothing on older kernels either" {
    many "$(fewer 50)" "${fork_then_enter[@]}" "${freeze_then_kill[@]}"
}

@test "of many that start at once beside the cgroup of a dead helper, none fails" {
    both_killed many/1
    jobs=()
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        muontrap -g "$own/many/$i" -- true 2>>"$dir/err" 3>&- &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || echo "left with $?" >>"$dir/err"; done
    cat "$dir/err"
    [ ! -s "$dir/err" ]
    nothing_survives
    no_cgroup_is_left
}

@test "a signal that comes during the start leaves nothing" {
    for i in 1 2 3 4 5 6 7 8 9 10; do
        env --default-signal "$mark" perl -MTime::HiRes=usleep -e '
            for (1..20) {
                defined(my $pid = fork) or die;
                if (!$pid) { exec @ARGV or die }
                usleep(rand 4000); kill TERM => $pid; waitpid $pid, 0;
            }' "$MUONTRAP" -g "$own/a/b" -- sleep 100 3>&-
        no_cgroup_is_left
    done
    nothing_survives
}
