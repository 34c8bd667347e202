#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# Nothing survives: not the program's end, not a stop, not the death of any one of muontrap's own processes.

load helper

# Programs. Each prints "ready" when everything that it makes is there.

plain='echo ready; exec sleep 100'
background='sleep 100 & sleep 100 & echo ready; wait'
# Neither the program nor its children end on SIGTERM (or HUP, INT, QUIT); what the shell ignores, sleep ignores.
deaf='trap "" TERM HUP INT QUIT; sleep 100 & echo ready; sleep 100; sleep 100'

# Twice forked and in its own session, as a daemon is; it holds the output until it says otherwise. The program knows
# that it is there when its end of the pipe is closed.
# $1: what the program does after its daemon is there.
daemon='
    use POSIX ();
    my $then = shift;
    $SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT);
    pipe(my $out, my $in) or die;
    defined(my $pid = fork) or die;
    if (!$pid) {
        POSIX::setsid() > 0 or die;
        defined(my $second = fork) or die;
        POSIX::_exit(0) if $second;
        chdir "/";
        if ($then eq "closed") { open $_, "+<", "/dev/null" for *STDIN, *STDOUT, *STDERR }
        close $in;
        sleep 100;
        POSIX::_exit(0);
    }
    waitpid $pid, 0;
    close $in; sysread $out, my $nothing, 1;
    $SIG{$_} = "DEFAULT" for qw(TERM HUP INT QUIT);
    $| = 1; print "ready\n";
    exit 5 if $then eq "exit";
    sleep 100;'

# Three hundred: ten sessions of five groups of six, some deaf, some stopped.
forest='
    use POSIX ();
    $| = 1;
    pipe(my $out, my $in) or die;
    sub leaf { syswrite $in, "."; sleep 100; POSIX::_exit(0) }
    for my $i (1..10) {
        next if fork; POSIX::setsid();
        for my $j (1..5) {
            next if fork; setpgrp 0, 0; $SIG{TERM} = "IGNORE" if $j % 2;
            for my $k (1..5) { fork or leaf() }
            syswrite $in, ".";
            $i == 4 ? kill("STOP", $$) : sleep 100;
            sleep 100; POSIX::_exit(0);
        }
        POSIX::_exit(0) if $i % 2;
        sleep 100; POSIX::_exit(0);
    }
    my $seen = 0;
    while ($seen < 300) { my $n = sysread $out, my $bytes, 300; $seen += $n }
    print "ready\n";
    sleep 100;'

# Forks as fast as it can: thirty chains, each of which is a process that forks its successor and ends, so that none is
# there for longer than a moment. $1: "setsid" when every one leaves its session. They end by themselves after 5 s.
storm='
    use POSIX ();
    use Time::HiRes "time";
    my $how = shift;
    my $end = time + 5;
    $SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT CHLD);
    $| = 1;
    for (1..30) {
        next if fork;
        while (time < $end) {
            my $pid = fork;
            next if !defined $pid;
            POSIX::_exit(0) if $pid;
            POSIX::setsid() if $how eq "setsid";
        }
        POSIX::_exit(0);
    }
    print "ready\n";
    sleep 100;'

# The same as a growing tree, up to 300 at a time: whoever has forked stays.
growth='
    use POSIX ();
    use Time::HiRes "time";
    my ($program, $end) = ($$, time + 5);
    $SIG{$_} = "IGNORE" for qw(TERM HUP INT QUIT CHLD);
    $| = 1;
    print "ready\n";
    for my $depth (1..8) { fork; POSIX::setsid() if $depth % 3 == 0 }
    sleep 1 while time < $end || $$ == $program;'

run_daemon() { start perl -e "$daemon" "$1" </dev/null; }

# How many carry the mark besides keeper and relay.
others() { survivors | grep -vcx -e "$keeper" -e "$(relay_of "$keeper")"; }
others_are() { [ "$(others)" = "$1" ]; }

# ---- The program ends by itself ----

@test "a child that the program leaves behind dies with it" {
    stdin_that_contains
    start sh -c 'sleep 100 & echo ready; exit 6' <&7
    await ready
    everything_is_gone
    ends_with 6
}

@test "a daemon that the program leaves behind dies with it" {
    linux_only
    run_daemon exit
    await ready
    everything_is_gone
    ends_with 5
}

@test "muontrap ends after what the program left behind, not before" {
    linux_only
    # what is left has let go of the output, so nothing but muontrap itself can have waited for its death
    run -0 muontrap sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do setsid sleep 100 >/dev/null 2>&1 & done; exit 0'
    nothing_survives
}

@test "a daemon that has closed all its descriptors dies with the program" {
    linux_only
    run -0 muontrap perl -e '
        use POSIX ();
        pipe(my $out, my $in);
        if (!fork) { POSIX::setsid(); exit if fork; close $out; open STDOUT, ">", "/dev/null"; open STDERR, ">", "/dev/null";
                     $SIG{TERM} = "IGNORE"; syswrite $in, "."; sleep 100; exit }
        sysread $out, my $byte, 1;
        exit 0'
    nothing_survives
}

@test "a stopped process that the program leaves behind dies with it" {
    run -0 muontrap perl -e '
        my $pid = fork; if (!$pid) { kill "STOP", $$; sleep 100; exit }
        waitpid $pid, 2; # WUNTRACED
        exit 0'
    nothing_survives
}

# ---- A stop ----

stopped_by() {
    stdin_that_contains
    start sh -c "$background" <&7
    await ready
    eventually others_are 3 # the program and its children, which show no mark in the midst of execve(2)
    kill "-$1" "$keeper"
    everything_is_gone
    ends_with 143
}

@test "SIGTERM to muontrap ends the program and its children" { stopped_by TERM; }
@test "SIGHUP to muontrap ends the program and its children" { stopped_by HUP; }
@test "SIGINT to muontrap ends the program and its children" { stopped_by INT; }
@test "SIGQUIT to muontrap ends the program and its children" { stopped_by QUIT; }

@test "a program alone is ended by SIGTERM, SIGHUP, SIGINT and SIGQUIT to muontrap" {
    for signal in TERM HUP INT QUIT; do
        start sh -c "$plain" </dev/null
        await ready
        kill "-$signal" "$keeper"
        everything_is_gone
        ends_with 143
        make_room
    done
}

# A signal that is blocked and pending stays so across exec.
@test "SIGINT and SIGQUIT that come to muontrap before it has started the program stop it as later ones do" {
    for signal in INT QUIT INT QUIT INT QUIT; do
        # shellcheck disable=SC2016 # Perl's variables
        start_as perl -MPOSIX -e '
            my $signal = shift;
            sigprocmask(SIG_BLOCK, POSIX::SigSet->new($signal eq "INT" ? SIGINT : SIGQUIT));
            kill $signal, $$;
            exec @ARGV' "$signal" "$MUONTRAP" -- sleep 100 </dev/null
        everything_is_gone
        ends_with 143
        make_room
    done
}

@test "a signal to the relay stops as well as one to the keeper" {
    start sh -c "$plain" </dev/null
    await ready
    kill -TERM "$(relay_of "$keeper")"
    everything_is_gone
    ends_with 143
}

@test "many signals at once stop once" {
    start sh -c "$plain" </dev/null
    await ready
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        kill -TERM "$keeper" 2>/dev/null || break
        kill -HUP "$keeper" 2>/dev/null || break
    done
    everything_is_gone
    ends_with 143
}

@test "those that are deaf to every polite signal are killed" {
    stdin_that_contains
    start sh -c "$deaf" <&7
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 137
}

@test "a program that is deaf to SIGTERM is killed" {
    start perl -e '$SIG{TERM} = "IGNORE"; $| = 1; print "ready\n"; sleep 100' </dev/null
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 137
}

@test "a daemon dies in a stop" {
    linux_only
    run_daemon stay
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 143
}

@test "a stopped program is ended, too" {
    lifeline
    # with a lifeline: it is stopped by a SIGSTOP of its own, and nobody is there to continue it
    start sh -c 'echo ready; kill -STOP $$; exec sleep 100' <&7
    exec 7<&-
    await ready
    exec 8>&-
    everything_is_gone
    ends_with 143
}

@test "a tree of three hundred is gone after a stop" {
    linux_only
    start perl -e "$forest" </dev/null
    await ready
    [ "$(survivors | wc -l)" -ge 300 ]
    kill -TERM "$keeper"
    everything_is_gone
    ends_with 143
}

@test "a tree of three hundred is gone after kill -9 of the keeper" {
    linux_only
    start perl -e "$forest" </dev/null
    await ready
    kill -KILL "$keeper"
    everything_is_gone
    ends_with 137
}

@test "a tree of three hundred is gone after kill -9 of the relay" {
    linux_only
    start perl -e "$forest" </dev/null
    await ready
    kill -KILL "$(relay_of "$keeper")"
    everything_is_gone
    ends_with 125
}

# ---- The delay before SIGKILL ----

@test "a program that needs a while to end gets it" {
    start -k 20000 perl -e '
        use Time::HiRes ();
        $SIG{TERM} = sub { Time::HiRes::sleep(0.3); open my $f, ">", $ARGV[0]; print $f "tidy"; close $f; exit 9 };
        $| = 1; print "ready\n"; sleep 100' "$dir/file" </dev/null
    await ready
    begin=$(now_ms)
    kill -TERM "$keeper"
    everything_is_gone
    took=$(($(now_ms) - begin))
    ends_with 9
    [ "$(<"$dir/file")" = tidy ]
    # it is not the delay that is waited for, but the end
    [ "$took" -ge 300 ]
    [ "$took" -lt 15000 ]
}

@test "a program whose time is up is killed in the midst of it" {
    time_to_pass 3000
    start -k "$limit" perl -e '
        $SIG{TERM} = sub { print "term\n"; sleep 10000; open my $f, ">", $ARGV[0] };
        $| = 1; print "ready\n"; sleep 100' "$dir/file" </dev/null
    await ready
    begin=$(now_ms)
    kill -TERM "$keeper"
    await term
    everything_is_gone
    took=$(($(now_ms) - begin))
    ends_with 137
    [ ! -e "$dir/file" ]
    [ "$took" -ge "$limit" ]
}

@test "with a delay of 0 the program is killed at once" {
    start -k 0 perl -e '
        $SIG{TERM} = sub { sleep 2; open my $f, ">", $ARGV[0]; exit 9 };
        $| = 1; print "ready\n"; sleep 100' "$dir/file" </dev/null
    await ready
    kill -TERM "$keeper"
    everything_is_gone
    [ ! -e "$dir/file" ]
    # SIGTERM came first, and may have been enough where no handler was in time
    ends_with 137
}

@test "children have what is left of the time once the program has ended in a stop" {
    linux_only
    stdin_that_contains
    time_to_pass 3000
    start -k "$limit" sh -c 'trap "exit 9" TERM; (trap "" TERM; echo ready; sleep 10000; sleep 10000) & wait' <&7
    await ready
    begin=$(now_ms)
    kill -TERM "$keeper"
    everything_is_gone
    [ $(($(now_ms) - begin)) -ge "$limit" ]
    ends_with 9
}

# Long before its time is up.
ends_soon_with() {
    local begin
    begin=$(now_ms)
    everything_is_gone
    [ $(($(now_ms) - begin)) -lt 20000 ]
    ends_with "$1"
}

@test "children that end in that time hold up nothing" {
    stdin_that_contains
    start -k 60000 sh -c 'trap "exit 9" TERM; (trap "sleep 0.2; exit" TERM; echo ready; while :; do sleep 0.01; done) & wait' <&7
    await ready
    kill -TERM "$keeper"
    ends_soon_with 9
}

@test "children of a program that ends by itself get no time" {
    stdin_that_contains
    start -k 60000 sh -c '(trap "" TERM; sleep 100; sleep 100) & echo ready; exit 9' <&7
    ends_soon_with 9
}

# ---- kill -9 of one of ours ----

@test "kill -9 of the keeper ends the program" {
    start sh -c "$plain" </dev/null
    await ready
    kill -KILL "$keeper"
    everything_is_gone
    ends_with 137
}

@test "kill -9 of the keeper ends deaf children" {
    stdin_that_contains
    start sh -c "$deaf" <&7
    await ready
    kill -KILL "$keeper"
    everything_is_gone
    ends_with 137
}

@test "kill -9 of the keeper ends a daemon that has closed its descriptors" {
    linux_only
    run_daemon closed
    await ready
    kill -KILL "$keeper"
    survivors_end
    ends_with 137
}

@test "kill -9 of the keeper gives the program its time" {
    start -k 20000 perl -e '
        $SIG{TERM} = sub { open my $f, ">", $ARGV[0]; print $f "tidy"; close $f; exit 9 };
        $| = 1; print "ready\n"; sleep 100' "$dir/file" </dev/null
    await ready
    kill -KILL "$keeper"
    everything_is_gone
    [ "$(<"$dir/file")" = tidy ]
}

@test "kill -9 of the relay ends the program, and muontrap fails and says so" {
    start sh -c "$plain" </dev/null
    await ready
    relay=$(relay_of "$keeper")
    kill -KILL "$relay"
    everything_is_gone
    ends_with 125
    output=$(<"$dir/stderr")
    output_has "muontrap: " "$relay" "signal 9"
}

@test "kill -9 of the relay ends deaf children" {
    stdin_that_contains
    start sh -c "$deaf" <&7
    await ready
    kill -KILL "$(relay_of "$keeper")"
    everything_is_gone
    ends_with 125
}

@test "kill -9 of the relay ends a daemon that has closed its descriptors, before muontrap itself ends" {
    linux_only
    run_daemon closed
    await ready
    kill -KILL "$(relay_of "$keeper")"
    everything_is_gone
    ends_with 125
}

@test "kill -9 of the program ends its children, and gives 137" {
    linux_only
    start sh -c 'trap "" TERM; sleep 100 & setsid sleep 100 & echo ready $$; sleep 100; sleep 100' </dev/null
    await "ready *"
    kill -KILL "${line#ready }"
    everything_is_gone
    ends_with 137
}

@test "kill -9 of a keeper that is already stopping leaves nothing" {
    linux_only
    start -k 1000 sh -c "$deaf" </dev/null
    await ready
    kill -TERM "$keeper"
    kill -KILL "$keeper"
    everything_is_gone
    ends_with 137
}

@test "kill -9 of a stopped muontrap's keeper ends the program" {
    start sh -c "$plain" </dev/null
    await ready
    kill -STOP "$keeper"
    kill -KILL "$keeper"
    everything_is_gone
    ends_with 137
}

@test "when muontrap contains muontrap, kill -9 of the outer keeper ends all" {
    linux_only
    start "$MUONTRAP" sh -c "$deaf" </dev/null
    await ready
    kill -KILL "$keeper"
    everything_is_gone
    ends_with 137
}

@test "a shell that dies by kill -9 takes along what its lifeline held" {
    # the pipe's writer is the only one that has it, and is killed
    start_as bash -c 'sleep 100 | exec "$MUONTRAP" sh -c "echo ready; exec sleep 100"' </dev/null
    await ready
    writer=$(for pid in $(children_of "$keeper"); do grep -lx sleep "/proc/$pid/comm"; done | cut -d/ -f3)
    kill -KILL "$writer"
    everything_is_gone
    ends_with 143
}

# ---- Faster than the sweep? ----

weathered() {
    begin=$(now_ms)
    everything_is_gone
    in_time $(($(now_ms) - begin))
}

@test "chains of processes that fork as fast as they can are gone within 3 s of a stop" {
    linux_only
    time_limit 3000
    start -k 100 perl -e "$storm" plain </dev/null
    await ready
    kill -TERM "$keeper"
    weathered
    ends_with 137
}

@test "chains of processes that fork and leave their session as fast as they can are gone within 3 s of a stop" {
    linux_only
    time_limit 3000
    start -k 100 perl -e "$storm" setsid </dev/null
    await ready
    kill -TERM "$keeper"
    weathered
    ends_with 137
}

@test "such chains are gone within 3 s of kill -9 of the keeper" {
    linux_only
    time_limit 3000
    start -k 100 perl -e "$storm" setsid </dev/null
    await ready
    kill -KILL "$keeper"
    weathered
    ends_with 137
}

@test "such chains are gone within 3 s of kill -9 of the relay" {
    linux_only
    time_limit 3000
    start -k 100 perl -e "$storm" setsid </dev/null
    await ready
    kill -KILL "$(relay_of "$keeper")"
    weathered
    ends_with 125
}

@test "a tree that grows as fast as it can is gone within 3 s of a stop" {
    linux_only
    time_limit 3000
    start -k 0 perl -e "$growth" </dev/null
    await ready
    kill -TERM "$keeper"
    weathered
    ends_with 137
}
