#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# A program that muontrap gives a terminal of its own, from a shell. What needs a terminal around it is a scene of
# pty.exp.

load helper

scene() { run_scene pty.exp "$1"; }

@test "the outer terminal is in raw mode meanwhile" { scene raw-during; nothing_survives; }
@test "the program has another terminal as its input, output, error and controlling terminal" {
    scene a-terminal-of-its-own
}
@test "it has the outer one's size and modes" { scene inherits; }
@test "what --pty and --pty-mode say comes before that" { scene what-is-said-comes-first; }
@test "a resize of the outer terminal is passed on" { scene resize; nothing_survives; }
@test "a resize while muontrap is stopped in the background is passed on when it is continued" {
    takes_its_stop
    scene resize-in-the-background
}
@test "Ctrl-C goes to the program's terminal, and its end is a status" { scene ctrl-c; nothing_survives; }
@test "a program that handles Ctrl-C goes on" { scene ctrl-c-handled; nothing_survives; }
@test "Ctrl-D is end of file for the program" { scene ctrl-d; nothing_survives; }
@test "Ctrl-Z goes to the program's terminal, and stops no job of the outer shell" { scene ctrl-z; nothing_survives; }
@test "muontrap --pty -- bash -i is a usable shell with job control" { scene shell-inside; nothing_survives; }
@test "it edits lines, and Ctrl-D ends it" { scene shell-inside-with-readline; nothing_survives; }
@test "the terminal is restored after a normal end" { scene status; }
@test "it is left alone when there is no such program" { scene no-such-program; }
@test "the terminal is restored after SIGTERM" { scene sigterm; nothing_survives; }
@test "the terminal is restored after kill -9 of the relay" {
    linux_only
    scene kill-of-the-relay
    survivors_end
}
@test "the terminal is restored after kill -9 of the keeper" {
    linux_only
    scene kill-of-the-keeper
    survivors_end
}
@test "a terminal that hangs up ends everything" { scene hang-up; survivors_end; }
@test "a terminal that hangs up ends those that are deaf, too" {
    linux_only
    scene hang-up-deaf
    survivors_end
}
@test "a terminal that hangs up with a shell on it ends everything" {
    linux_only
    scene hang-up-of-a-shell
    survivors_end
}
@test "in the background it is stopped until fg, and leaves the terminal alone" { takes_its_stop; scene background; nothing_survives; }
@test "bg stops it again" { takes_its_stop; scene background-twice; nothing_survives; }
@test "a job that somebody stops and fg continues takes the terminal again" {
    scene stopped-from-outside
    nothing_survives
}
@test "with /dev/null as standard input the terminal's input ends at once" { scene stdin-null; nothing_survives; }
@test "a terminal that is not the controlling one is read, too" { scene session-of-its-own; nothing_survives; }
@test "SIGTERM ends everything although the outer terminal holds up the output" {
    linux_only
    scene stopped-terminal
    survivors_end
}

@test "Ctrl-C ends a program that writes without end" { scene ctrl-c-of-a-flood; nothing_survives; }
@test "one within the other does as one does" { scene nested; nothing_survives; }
@test "a program that ends while muontrap is stopped in the background ends it" {
    takes_its_stop
    scene ends-in-the-background
    nothing_survives
}
@test "another user's terminal does as well" {
    root_only
    let_others_run_muontrap
    scene another-users-terminal
    nothing_survives
}
@test "SIGTERM ends everything although another user's terminal holds up the output" {
    root_only
    linux_only
    let_others_run_muontrap
    scene another-users-stopped-terminal
    survivors_end
}

# ---- Without a terminal around it ----

@test "a file as standard input is typed, and its end is" {
    printf 'one\ntwo' >"$dir/file"
    run -0 muontrap --pty --pty-mode ECHO=0 -- sh -c 'cat; echo "|end"' <"$dir/file"
    output_is $'one\r\ntwo|end\r'
}

@test "a pipe as standard input is a lifeline, of which nothing is typed" {
    lifeline
    echo lost >&8
    start --pty --pty-mode ECHO=0 -- sh -c 'cat; echo end; exit 3' <&7
    exec 7<&-
    await end*
    everything_is_gone
    ends_with 3
    exec 8>&-
}

@test "the end of that lifeline stops the program" {
    lifeline
    start --pty -- sh -c 'echo ready; exec sleep 100' <&7
    exec 7<&-
    await ready*
    exec 8>&-
    everything_is_gone
    ends_with 143
}

@test "it does so with no time to SIGKILL" {
    lifeline
    start --delay-to-sigkill 0 --pty -- sh -c 'trap "" TERM; echo ready; exec sleep 100' <&7
    exec 7<&-
    await ready*
    exec 8>&-
    everything_is_gone
    ends_with 137
}

@test "with --stdin inherit what comes through a pipe is typed" {
    run -0 bash -c 'seq 1000 | timeout 60 "$MUONTRAP" --pty --pty-mode ECHO=0 --stdin inherit -- sh -c "wc -l"'
    output_is $'1000\r'
}

@test "with --stdin null the terminal's input ends at once" {
    printf 'lost\n' >"$dir/file"
    run -0 muontrap --pty --stdin null -- sh -c 'tty >/dev/null && wc -c' <"$dir/file"
    [[ $output == *$'0\r' ]]
}

@test "without a terminal around it the program's has 24 rows and 80 columns" {
    run -0 muontrap --pty -- stty size
    output_is $'24 80\r'
}

@test "a pipe that is read slowly gets all of it" {
    run -0 bash -c 'timeout 60 "$MUONTRAP" --pty --pty-mode OPOST=0 -- seq 100000 |
        perl -e "\$| = 1; while (sysread STDIN, \$_, 4096) { select undef, undef, undef, 0.005; print }" |
        cmp - <(seq 100000) && echo same'
    output_is same
}

@test "a socket that is read slowly gets all of it, and can be stopped while it isn't" {
    run -0 timeout 60 perl -MSocket -e '
        for my $reads (1, 0) {
            socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die;
            defined(my $pid = fork) or die;
            if (!$pid) {
                close $ours;
                open STDOUT, ">&", $theirs or die; close $theirs;
                exec $ENV{MUONTRAP}, "-k", "200", "--pty", "--pty-mode", "OPOST=0", "--", $reads ? "seq" : "yes",
                    $reads ? 100000 : ();
            }
            close $theirs;
            my ($size, $last) = (0, "");
            if ($reads) {
                while (sysread $ours, my $bytes, 4096) {
                    select undef, undef, undef, 0.005;
                    $size += length $bytes;
                    $last = $bytes;
                }
                print $size, " ", substr $last, -7;
            } else {
                sysread $ours, my $bytes, 4096;
                select undef, undef, undef, 0.3;
                kill TERM => $pid;
            }
            waitpid $pid, 0;
            print $? >> 8, "\n";
        }'
    output_is $'588895 100000\n0\n143'
}

@test "a reader that goes away ends the program" {
    run -0 bash -c 'timeout 60 "$MUONTRAP" --pty -- yes | head -n 1; echo "${PIPESTATUS[0]}"'
    output_is $'y\r\n143'
}

@test "output that cannot be written is told, and is a failure" {
    [ -c /dev/full ] || skip "needs /dev/full"
    run -125 --separate-stderr sh -c '"$MUONTRAP" --pty -- yes >/dev/full'
    output=$stderr
    output_has "muontrap: " "standard output" "No space left"
    run -125 --separate-stderr sh -c '"$MUONTRAP" --pty -- echo hi >/dev/full'
    output=$stderr
    output_has "muontrap: " "standard output" "No space left"
}

@test "another user's pipe as standard output blocks nobody" {
    root_only
    let_others_run_muontrap
    mkfifo "$dir/out"
    exec 9<>"$dir/out"
    chmod 600 "$dir/out"
    as_user 65533 timeout 60 "$MUONTRAP" -k 200 --pty -- yes >&9 3>&- &
    keeper=$!
    read -r -t "$PATIENCE" -u 9
    sleep 0.3 # until it is full; if it isn't yet, that is no failure
    kill "$keeper"
    gone "$keeper"
    exec 9>&-
}

@test "a megabyte passes unharmed" {
    muontrap --pty --pty-mode OPOST=0 -- seq 200000 >"$dir/out" </dev/null
    seq 200000 | cmp - "$dir/out"
}
