#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What the program sees of the world: descriptors, signals, directory, name, environment.

load helper

@test "from a shell the program has the descriptors that the caller has left open, and no other" {
    not_under_valgrind "the program has its logs"
    run -0 bash -c 'for fd in {3..300}; do exec {fd}<&-; done
        exec 3</dev/null 9</dev/null 200</dev/null
        exec "$MUONTRAP" perl -e "print join q( ), grep { -e qq(/proc/self/fd/\$_) } 0..300"'
    # perl opens nothing of its own here
    output_is "0 1 2 3 9 200"
}

@test "in a port the program has the descriptors 0, 1 and 2 and no other" {
    not_under_valgrind "the program has its logs"
    # who says that it reads no more (protocol.md, `d`) need not end its input, either
    mkfifo "$dir/port"
    run -0 bash -c 'exec 3</dev/null 8<>"$0" 9</dev/null 200</dev/null
        printf "\0\0\0\1d" >&8
        "$MUONTRAP" --port --stderr inherit perl -e "print STDERR join q( ), grep { -e qq(/proc/self/fd/\$_) } 0..300" \
            2>&1 >/dev/null <&8' "$dir/port"
    output_is "0 1 2"
}

@test "the program reads what a process substitution writes" {
    run -0 bash -c '"$MUONTRAP" -- cat <(echo hi)'
    output_is hi
}

@test "the program takes part in make's job server" {
    printf 'all:\n\t+@"$$MUONTRAP" -- $(MAKE) --no-print-directory -f inner\n' >"$dir/outer"
    printf 'all: a b\na b:\n\t@echo $@\n' >"$dir/inner"
    run -0 make --no-print-directory -j2 -C "$dir" -f outer
    [[ $output != *jobserver* ]]
    output_has a b
}

@test "the helper itself keeps none of the caller's descriptors" {
    mkfifo "$dir/held"
    exec 8<>"$dir/held"
    start sh -c 'echo ready; exec sleep 100' </dev/null
    await ready
    for pid in "$keeper" $(children_of "$keeper"); do
        ! find "/proc/$pid/fd" -lname "$dir/held" | grep .
    done
    exec 8>&-
    kill -TERM "$keeper"
    everything_is_gone
}

@test "the program blocks and ignores no signal, whatever the caller does" {
    run -0 perl -MPOSIX -e '
        $SIG{$_} = "IGNORE" for qw(PIPE USR1 USR2 TERM CHLD TSTP TTIN TTOU ALRM CONT WINCH);
        my $all = POSIX::SigSet->new; $all->fillset; sigprocmask(SIG_BLOCK, $all);
        exec $ENV{MUONTRAP}, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"'
    without_internal
    output_is $'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000'
}

# Signals 32 to 34 belong to the C library; glibc's posix_spawn(3), which make and many others use, has the first two
# ignored in what it starts, of which QEMU mends one. A test of its own looks at them; the others don't.
without_internal() { output=${output//SigIgn:$'\t'0000000[01][08]0000/SigIgn:$'\t'0000000000000}; }

@test "the program ignores none of the C library's own signals, either" {
    linux_only "system calls of its own, which the C library has no part in"
    printf 'all:\n\t@"$$MUONTRAP" grep ^SigIgn /proc/self/status\n' >"$dir/Makefile"
    run -0 make --no-print-directory -s -f "$dir/Makefile" all
    output_is $'SigIgn:\t0000000000000000'
}

@test "an ignored SIGCHLD in the caller does not confuse the status" {
    run -7 perl -e '$SIG{CHLD} = "IGNORE"; exec $ENV{MUONTRAP}, "sh", "-c", "exit 7"'
}

@test "the helper heeds a stop when the caller had blocked every signal" {
    start_as perl -MPOSIX -e '
        my $all = POSIX::SigSet->new; $all->fillset; sigprocmask(SIG_BLOCK, $all);
        exec $ENV{MUONTRAP}, "sh", "-c", "echo ready; exec sleep 100"' </dev/null
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 143
}

@test "SIGTERM stops even when the caller ignored it" {
    start_as sh -c 'trap "" TERM; exec "$MUONTRAP" sh -c "echo ready; exec sleep 100"' </dev/null
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 143
}

@test "under nohup SIGHUP stays ignored by muontrap and by the program" {
    mkfifo "$dir/go"
    start_as nohup "$MUONTRAP" sh -c 'echo ready; read x <"$1"; echo $x; grep ^SigIgn /proc/self/status' sh "$dir/go" \
        </dev/null
    await ready
    relay=$(relay_of "$keeper")
    kill -HUP "$keeper"
    kill -HUP "$relay"
    kill -HUP "$(children_of "$relay" | tr -d ' ')"
    # all three signals have been dealt with before this is read
    timeout "$PATIENCE" sh -c 'echo on >"$1"' sh "$dir/go"
    await on
    await SigIgn:*
    output=$line
    without_internal
    output_is $'SigIgn:\t0000000000000001'
    everything_is_gone
    ends_with 0
}

@test "without nohup SIGHUP stops" {
    start sh -c 'echo ready; exec sleep 100' </dev/null
    await ready
    kill -HUP "$keeper"
    everything_is_gone
    ends_with 143
}

@test "--cd starts the program in another directory" {
    mkdir "$dir/there"
    run -0 muontrap --cd "$dir/there" pwd -P
    output_is "$(cd "$dir/there" && pwd -P)"
    cd "$dir"
    run -0 muontrap --cd=there pwd -P
    output_is "$(cd there && pwd -P)"
}

@test "a program named by a relative path is looked for in the directory of --cd" {
    mkdir "$dir/there"
    printf '#!/bin/sh\necho found\n' >"$dir/there/prog"
    chmod +x "$dir/there/prog"
    run -0 muontrap --cd "$dir/there" ./prog
    output_is found
    run -127 muontrap ./prog
}

@test "a directory that cannot be entered is named" {
    run -125 muontrap --cd "$dir/missing" true
    output_has "muontrap: " "$dir/missing" "No such file or directory"
    mkdir -m 0 "$dir/closed"
    if [ "$(id -u)" != 0 ]; then
        run -125 muontrap --cd "$dir/closed" true
        output_has "$dir/closed" "ermission denied"
    fi
    chmod 700 "$dir/closed"
}

@test "--arg0 is what the program sees as its name" {
    run -0 muontrap sh -c 'tr "\0" "\n" </proc/$$/cmdline | head -n 1'
    [ "$output" = sh ]
    run -0 muontrap --arg0 another-name sh -c 'tr "\0" " " </proc/$$/cmdline; echo; echo "$0"'
    [[ ${lines[0]} == "another-name -c "* ]]
    run -0 muontrap --arg0 '' cat /proc/self/cmdline
    run -0 muontrap --arg0=-sh perl -e 'open F, "/proc/$$/cmdline"; print((split /\0/, <F>)[0])'
    output_is -sh
}

@test "the environment is passed on as it is" {
    not_under_valgrind "it adds variables"
    run -0 env -i "A=b c" "E=" "$MUONTRAP" /usr/bin/env
    output_is $'A=b c\nE='
}

@test "limits, umask and niceness are the caller's" {
    run -0 bash -c 'ulimit -n 77; umask 027; nice -n 3 "$MUONTRAP" bash -c "ulimit -n; umask; nice"'
    output_is $'77\n0027\n'"$(($(nice) + 3))"
}

@test "the program stays in the process group of its job, so that the terminal's keys reach it" {
    linux_only "elsewhere that is so on a terminal alone"
    run -0 sh -c '"$MUONTRAP" sh -c "ps -o pgid= -p \$\$; ps -o pgid= -p \$PPID"'
    [ "${lines[0]// /}" = "${lines[1]// /}" ]
}

@test "muontrap can run muontrap" {
    run -7 muontrap "$MUONTRAP" "$MUONTRAP" sh -c 'exit 7'
    run -143 muontrap "$MUONTRAP" sh -c 'kill -TERM $$'
}

# ---- Signals that are passed on ----

@test "a signal that would end a process is passed on to the program, which decides" {
    passed="USR1 USR2 ALRM VTALRM PROF IO XCPU RTMIN RTMAX ABRT SEGV PIPE"
    # musl keeps it to itself, and lets nobody handle it who has but the functions of POSIX
    [ -z "${PORTABLE:-}" ] || has_glibc || passed=${passed/RTMIN/}
    [ -z "${VALGRIND:-}" ] || passed=${passed/RTMAX/} # which it keeps to itself
    start bash -c 'trap "echo got \$signal" USR1; for signal in USR1 USR2 ALRM VTALRM PROF IO XCPU RTMIN RTMAX ABRT SEGV PIPE
        do trap "echo got $signal" "$signal"; done; echo ready; while :; do sleep 1000 & wait $!; kill $!; done' </dev/null
    await ready
    for signal in $passed; do
        kill -s "$signal" "$keeper"
        await "got $signal"
    done
    kill -s USR1 "$(relay_of "$keeper")"
    await "got USR1"
    kill "$keeper"
    everything_is_gone
    ends_with 143
}

@test "a program that such a signal ends gives 128 and its number, and nothing survives" {
    start sh -c 'sleep 100 & echo ready; exec sleep 100' </dev/null
    await ready
    kill -s USR2 "$keeper"
    everything_is_gone
    ends_with $((128 + $(kill -l USR2)))
}

@test "SIGCONT continues a program that was stopped behind the helper's back" {
    lifeline
    start sh -c 'echo ready; kill -STOP $$; echo on; exec sleep 100' <&7
    exec 7<&-
    await ready
    program=$(children_of "$(relay_of "$keeper")")
    until grep -q '^State:.T' "/proc/${program% }/status"; do :; done
    kill -CONT "$keeper"
    await on
    exec 8>&-
    everything_is_gone
}

# A perl's, whose child in a process group of its own is the keeper, so that its stop is no orphan's.
@test "a keeper that has had more continuations than the relay could hear of still stops with its program" {
    linux_only strace
    not_under_valgrind "it gets the signals first, and lets them wait"
    run -0 env "$mark" perl -MPOSIX=:sys_wait_h -e '
        my ($helper, $trace) = @ARGV;
        sub children { open my $file, "<", "/proc/$_[0]/task/$_[0]/children" or die; <$file> =~ /(\d+)/g }
        sub nap { select undef, undef, undef, shift }
        my $keeper = fork;
        if (!$keeper) { setpgrp 0, 0; open STDIN, "<", "/dev/null"; exec $helper, "--", "sh", "-c", "echo ready >&2; exec sleep 100" }
        my ($relay, $program);
        nap 0.01 until ($relay) = children($keeper);
        nap 0.01 until ($program) = children($relay);
        my $tracer = fork;
        exec "strace", "-qq", "-o", $trace, "-e", "signal=none", "-e", "trace=recvfrom", "-e", "inject=recvfrom:delay_enter=2000000:when=1",
            "-p", $relay if !$tracer;
        my $held = sub { open my $file, "<", "/proc/$relay/status"; grep { /^TracerPid:\t[1-9]/ } <$file> };
        nap 0.01 until $held->();
        for (1 .. 600) { kill "CONT", $keeper; nap 0.0005 }
        nap 0.01 until -s $trace; # it has read the first of them
        kill "TERM", $tracer;
        waitpid $tracer, 0;
        # What it still has to read continues the program.
        for (my $stopped = 0; !$stopped;) {
            kill "TSTP", $program;
            for (1 .. 100) { last if $stopped = waitpid($keeper, WNOHANG | WUNTRACED) == $keeper; nap 0.01 }
        }
        open my $state, "<", "/proc/$keeper/stat";
        <$state> =~ /.*\) T / or die "the keeper has ended";
        kill "TERM", $keeper; kill "CONT", $keeper;
        waitpid $keeper, 0;
        print "stopped and ended\n"' "$MUONTRAP" "$dir/trace"
    output_is $'ready\nstopped and ended'
    nothing_survives
}

# ---- Children that are none of the program's ----

@test "children from before exec are left alone, while the program runs and at its end" {
    linux_only
    start_as sh -c 'sleep 50 & echo $!; exec "$MUONTRAP" -- echo done' </dev/null
    await
    before=$line
    await "done"
    ends_with 0
    kill -0 "$before"
    kill "$before"
    everything_is_gone
}

@test "children from before exec are left alone even when kill -9 of the relay ends the program" {
    linux_only
    start_as sh -c 'sleep 50 & echo $!; exec "$MUONTRAP" -- sh -c "setsid sleep 50 & echo \$!; exec sleep 50"' </dev/null
    await
    before=$line
    await
    relay=
    for pid in $(children_of "$keeper"); do [ "$pid" = "$before" ] || relay=$pid; done
    kill -9 "$relay"
    ends_with 125
    kill -0 "$before"
    [ ! -d "/proc/$line" ] || grep -q '^State:.Z' "/proc/$line/status"
    kill "$before"
    everything_is_gone
}

@test "a child from before exec that ends meanwhile is reaped" {
    linux_only
    start_as sh -c 'sh -c "read x <$0" & echo $!; exec "$MUONTRAP" -- sh -c "echo ready; exec sleep 50"' "$(mkfifo "$dir/go"; echo "$dir/go")" </dev/null
    await
    before=$line
    await ready
    echo go >"$dir/go"
    gone "$before"
    kill "$keeper"
    everything_is_gone
}

in_a_pid_namespace=(unshare --pid --fork --mount-proc --kill-child --)

@test "as the first process of a container it passes signals on, and its end is the program's" {
    linux_only
    root_only
    not_under_valgrind "what runs it makes processes, so that the relay's number isn't 2"
    mkfifo "$dir/ready"
    env --default-signal "${in_a_pid_namespace[@]}" "$MUONTRAP" -- sh -c "trap 'exit 7' USR1; echo \$PPID >$dir/ready; while :; do sleep 0.1; done" </dev/null 3>&- &
    outer=$!
    [ "$(timeout "$PATIENCE" cat "$dir/ready")" = 2 ]
    first=$(children_of "$outer")
    kill -USR1 "${first% }"
    status=0
    wait "$outer" || status=$?
    [ "$status" = 7 ]
}

@test "as the first process of a container it reaps the orphans that others leave" {
    linux_only
    root_only
    mkfifo "$dir/ready" "$dir/orphan"
    env --default-signal "${in_a_pid_namespace[@]}" "$MUONTRAP" -- sh -c "echo ready >$dir/ready; exec sleep 50" </dev/null 3>&- &
    outer=$!
    [ "$(timeout "$PATIENCE" cat "$dir/ready")" = ready ]
    first=$(children_of "$outer")
    first=${first% }
    # the shell that was entered from outside ends, and leaves its child to the first process
    nsenter --target "$first" --pid --mount sh -c "(read x <$dir/orphan) & exit 0" 3>&-
    orphan=
    for pid in $(children_of "$first"); do
        ! tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q 'read x' || orphan=$pid
    done
    [ -n "$orphan" ]
    echo go >"$dir/orphan"
    gone "$orphan"
    kill "$first"
    status=0
    wait "$outer" || status=$?
    [ "$status" = 143 ]
}

# ---- Job control ----

@test "a continuation that overtakes the stop is not lost" {
    linux_only strace
    run -143 timeout 60 perl -e '
        pipe(my $out, my $in) or die;
        defined(my $keeper = fork) or die;
        if (!$keeper) {
            setpgrp(0, 0); # or the group would be orphaned, and could not be stopped (setpgid(2))
            close $out; open STDOUT, ">&", $in or die; close $in;
            open STDIN, "<", "/dev/null" or die;
            exec $ENV{MUONTRAP}, "sh", "-c", q(echo $$; exec sleep 100);
        }
        close $in;
        chomp(my $program = <$out>);
        sub state { open my $stat, "<", "/proc/$_[0]/stat" or return "gone"; (split " ", <$stat>)[2] }
        # the keeper is slow to read what the relay tells it
        defined(my $tracer = fork) or die;
        if (!$tracer) {
            exec "strace", "-qq", "-o", "/dev/null", "-e", "trace=recvfrom", "-e", "inject=recvfrom:delay_enter=100000",
                "-p", $keeper;
        }
        for (;;) {
            open my $status, "<", "/proc/$keeper/status" or die;
            last if grep { /^TracerPid:\s+[1-9]/ } <$status>;
        }
        for (1 .. 5) {
            kill TSTP => $program;
            1 while state($program) ne "T";
            select undef, undef, undef, 0.02; # so that the relay has told the keeper, and that one has not read it
            kill CONT => $program;
            select undef, undef, undef, 0.3;
        }
        kill TERM => $keeper;
        waitpid $keeper, 0;
        my $status = $?;
        waitpid $tracer, 0;
        exit $status >> 8;'
}

# A job of its own: in an orphaned process group nothing could be stopped (setpgid(2)). What is run has $keeper, $relay and
# $program, and state(PID).
in_a_job() {
    timeout 60 perl -e '
        our ($keeper, $relay, $program, $daemon);
        pipe(my $out, my $in) or die;
        pipe(my $lifeline, my $hold) or die;
        defined($keeper = fork) or die;
        if (!$keeper) {
            setpgrp(0, 0);
            close $out; open STDOUT, ">&", $in or die; close $in;
            close $hold;
            open STDIN, $ENV{WITH_LIFELINE} ? "<&" : "<", $ENV{WITH_LIFELINE} ? $lifeline : "/dev/null" or die;
            close $lifeline;
            open STDERR, ">", "/dev/null" or die;
            exec $ENV{MUONTRAP}, "sh", "-c", q(setsid sleep 100 >/dev/null & echo $$ $PPID $!; exec sleep 100);
        }
        close $in;
        ($program, $relay, $daemon) = split " ", <$out>;
        sub state { open my $stat, "<", "/proc/$_[0]/stat" or return "gone"; (split " ", <$stat>)[2] }
        sub await { my ($pid, $is) = @_; 1 until state($pid) =~ $is }
        # The program may run before the keeper has gone on from its fork, and blocks signals no more.
        sub is_ready { open my $status, "<", "/proc/$keeper/status" or return; grep { /^SigBlk:\t0+$/ } <$status> }
        1 until is_ready();
        eval $ARGV[0]; die $@ if $@;
        waitpid $keeper, 0;
        exit($? & 127 ? 128 + ($? & 127) : $? >> 8);' "$1"
}

@test "a continuation of muontrap alone, right after a stop of the program, continues the program" {
    linux_only
    run -143 in_a_job '
        for (1 .. 100) {
            kill STOP => $program;
            kill CONT => $keeper;
            await($program, qr/[^T]/);
            await($keeper, qr/[^T]/);
        }
        kill TERM => $keeper;'
}

@test "a continuation of muontrap alone means the program, also after others had continued that alone" {
    linux_only
    # with a lifeline SIGSTOP is the program's own affair, and muontrap is not stopped with it
    WITH_LIFELINE=1 run -143 in_a_job '
        for (1 .. 20) {
            kill STOP => $program; await($program, qr/T/);
            kill CONT => $program; await($program, qr/[^T]/);
            kill STOP => $program; await($program, qr/T/);
            kill CONT => $keeper; await($program, qr/[^T]/);
        }
        kill TERM => $keeper;'
    takes_its_stop
    run -143 in_a_job '
        for (1 .. 20) {
            kill STOP => $program; await($keeper, qr/T/);
            kill CONT => $program; await($keeper, qr/[^T]/);
            kill STOP => $program; await($keeper, qr/T/);
            kill CONT => $keeper; await($program, qr/[^T]/); await($keeper, qr/[^T]/);
        }
        kill TERM => $keeper;'
}

@test "a job that is continued and stopped again at once stays stopped" {
    takes_its_stop
    linux_only
    run -143 in_a_job '
        for (1 .. 100) {
            kill TSTP => -$keeper;
            await($program, qr/T/);
            await($keeper, qr/T/);
            kill CONT => -$keeper;
            kill TSTP => -$keeper;
            await($program, qr/T/);
            await($keeper, qr/T/);
            select undef, undef, undef, 0.01; # time for a continuation that should not come
            die "the program was continued" if state($program) ne "T";
            kill CONT => -$keeper;
            await($program, qr/[^T]/);
        }
        kill TERM => $keeper;'
}

@test "SIGTERM and SIGCONT end a job that is just being stopped" {
    linux_only
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        run -143 in_a_job 'kill TSTP => $program, $keeper; kill TERM => $keeper; kill CONT => $keeper;'
    done
}

@test "kill -9 of the relay ends a job whose keeper has not yet followed the stop" {
    linux_only
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        run -125 in_a_job '
            kill STOP => $keeper; # it can do nothing until it is continued
            await($keeper, qr/T/);
            kill TSTP => $program;
            await($program, qr/T/);
            select undef, undef, undef, 0.01; # the relay tells the keeper, which does not read it
            kill KILL => $relay;
            await($daemon, qr/gone|Z/);'
    done
}

@test "a relay that somebody has stopped goes on for a stop and for a continuation" {
    linux_only
    run -143 in_a_job '
        kill STOP => -$keeper;
        await($_, qr/T/) for $keeper, $relay, $program;
        kill CONT => $keeper;
        await($_, qr/[^T]/) for $relay, $program;
        kill STOP => $relay;
        await($relay, qr/T/);
        kill TERM => $keeper;'
}
