#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# Standard input, output and error as seen from a shell. What standard input is decides what its end means.

load helper

muontrap_without_output() { muontrap "$@" >&-; }

@test "muontrap -- echo hi </dev/null prints hi" {
    run -0 sh -c '"$MUONTRAP" -- echo hi </dev/null'
    output_is hi
}

@test "sleep 2 | muontrap -- sleep 100 ends when the sleep of the left side does" {
    not_under_valgrind "it may take as long to start"
    begin=$(now_ms)
    # the pipe ends, which it must not have before muontrap looks, and muontrap stops the program with SIGTERM: 128 + 15
    run -143 timeout 60 sh -c '{ until [ -e "$0" ]; do sleep 0.05; done; exec sleep 2; } |
        "$MUONTRAP" -- sh -c "touch $0; exec sleep 100"' "$dir/runs"
    took=$(($(now_ms) - begin))
    [ "$took" -ge 2000 ]
    [ "$took" -lt 50000 ]
}

@test "a file as standard input is passed on" {
    printf 'first\nsecond\n' >"$dir/file"
    run -0 muontrap cat <"$dir/file"
    output_is $'first\nsecond'
}

@test "a file's offset is shared with the program, as under env" {
    printf '12345' >"$dir/file"
    run -0 sh -c '"$MUONTRAP" dd bs=2 count=1 status=none && cat' <"$dir/file"
    output_is 12345
    run -0 sh -c '"$MUONTRAP" dd bs=2 count=1 status=none >/dev/null && cat' <"$dir/file"
    output_is 345
}

@test "/dev/null as standard input is passed on, and its end does not stop the program" {
    run -0 muontrap sh -c 'readlink /proc/self/fd/0; cat; sleep 0.3; echo on' </dev/null
    output_is $'/dev/null\non'
}

@test "a pipe is the lifeline: the program has /dev/null" {
    mkfifo "$dir/out"
    # the writing end stays open until the program has told all, so it is not the pipe's end that ends cat
    exec 8> >(muontrap sh -c 'readlink /proc/self/fd/0; cat; echo end' >"$dir/out" 3>&-)
    output=$(timeout "$PATIENCE" cat "$dir/out")
    exec 8>&-
    output_is $'/dev/null\nend'
}

@test "a FIFO is the lifeline: the program has /dev/null" {
    mkfifo "$dir/fifo"
    exec 8<>"$dir/fifo"
    run -0 muontrap sh -c 'readlink /proc/self/fd/0; cat; echo end' <"$dir/fifo" 8>&-
    exec 8>&-
    output_is $'/dev/null\nend'
}

@test "the end of a pipe stops the program" {
    mkfifo "$dir/out"
    exec 8> >(
        muontrap sh -c 'echo ready; exec sleep 100' >"$dir/out" 3>&- || echo $? >"$dir/status"
    )
    pipe=$!
    exec {alive}<"$dir/out"
    await ready
    exec 8>&-
    everything_is_gone
    gone "$pipe"
    [ "$(<"$dir/status")" = 143 ]
}

@test "the end of a FIFO stops the program" {
    lifeline
    start sh -c 'echo ready; exec sleep 100' <&7
    exec 7<&-
    await ready
    exec 8>&-
    everything_is_gone
    ends_with 143
}

@test "the lifeline holds as long as one writer is left" {
    lifeline
    start sh -c 'echo ready; exec sleep 100' <&7
    exec 9>&8 7<&- 8>&-
    await ready
    [ -d "/proc/$keeper" ]
    exec 9>&-
    everything_is_gone
    ends_with 143
}

@test "what is written into the lifeline is left there for who comes after" {
    lifeline
    start sh -c 'echo ready; exec sleep 100' <&7
    await ready
    echo later >&8
    exec 8>&-
    everything_is_gone
    ends_with 143
    read -r -u 7 line
    [ "$line" = later ]
    exec 7<&-
}

@test "a script on standard input is not eaten" {
    run -0 bash -c 'printf "\"\$MUONTRAP\" -- echo one\necho two\n" | bash'
    output_is $'one\ntwo'
}

@test "a pipe that has ended before the start is no lifeline, and the program gets /dev/null" {
    run -0 bash -c ': | (until read -r -t 0.01 x || [ $? = 1 ]; do :; done
        exec timeout 60 "$MUONTRAP" sh -c "readlink /proc/self/fd/0; cat; sleep 0.3; echo on")'
    output_is $'/dev/null\non'
}

@test "a socket that has ended before the start is no lifeline" {
    run -0 timeout 60 perl -MSocket -e '
        socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die;
        close $ours;
        open STDIN, "<&", $theirs or die;
        exec $ENV{MUONTRAP}, "sh", "-c", "sleep 0.3; echo on";'
    output_is on
}

@test "with --stdin lifeline a pipe that has ended before the start stops the program" {
    run -143 bash -c ': | (until read -r -t 0.01 x || [ $? = 1 ]; do :; done
        exec timeout 60 "$MUONTRAP" --stdin lifeline sleep 100)'
    output_is ""
}

@test "the end of a socket stops the program" {
    run -143 timeout 60 perl -MSocket -e '
        socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die;
        pipe(my $out, my $in) or die;
        defined(my $pid = fork) or die;
        if (!$pid) {
            close $ours; close $out;
            open STDIN, "<&", $theirs or die; open STDOUT, ">&", $in or die; close $theirs; close $in;
            exec $ENV{MUONTRAP}, "sh", "-c", "readlink /proc/self/fd/0; exec sleep 100";
        }
        close $theirs; close $in;
        my $line = <$out>; print $line;
        $line eq "/dev/null\n" or die;
        close $ours;
        print while <$out>;
        waitpid $pid, 0;
        exit $? >> 8;'
    output_is /dev/null
}

@test "a socket whose writing half is shut stops the program, too" {
    run -143 timeout 60 perl -MSocket -e '
        socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0) or die;
        pipe(my $out, my $in) or die;
        defined(my $pid = fork) or die;
        if (!$pid) {
            close $ours; close $out;
            open STDIN, "<&", $theirs or die; open STDOUT, ">&", $in or die; close $theirs; close $in;
            exec $ENV{MUONTRAP}, "sh", "-c", "echo ready; exec sleep 100";
        }
        close $theirs; close $in;
        my $line = <$out>;
        shutdown $ours, 1;
        print while <$out>;
        waitpid $pid, 0;
        exit $? >> 8;'
    output_is ""
}

@test "--stdin inherit passes a pipe on, and its end is the program's affair" {
    run -0 bash -c 'printf "a\nb\n" | timeout 60 "$MUONTRAP" --stdin inherit cat; exit "${PIPESTATUS[1]}"'
    output_is $'a\nb'
    run -0 bash -c ': | timeout 60 "$MUONTRAP" --stdin inherit sh -c "cat; sleep 0.3; echo on"; exit "${PIPESTATUS[1]}"'
    output_is on
}

@test "--stdin null gives the program /dev/null and ignores the end of the pipe" {
    run -0 bash -c 'echo lost | timeout 60 "$MUONTRAP" --stdin null sh -c "readlink /proc/self/fd/0; cat; sleep 0.3; echo on"
        exit "${PIPESTATUS[1]}"'
    output_is $'/dev/null\non'
    printf 'lost\n' >"$dir/file"
    run -0 muontrap --stdin null cat <"$dir/file"
    output_is ""
}

@test "--stdin lifeline makes a lifeline of a file, whose end is there at once" {
    : >"$dir/file"
    run -143 muontrap --stdin=lifeline sleep 100 <"$dir/file"
    run -143 muontrap --stdin=lifeline sleep 100 </dev/null
}

@test "with closed standard input the program gets /dev/null and runs" {
    not_under_valgrind "its log takes the closed descriptor"
    run -0 sh -c '"$MUONTRAP" sh -c "readlink /proc/self/fd/0; cat; echo end" <&-'
    output_is $'/dev/null\nend'
}

@test "with closed standard output the program runs, and gets no other file for it" {
    not_under_valgrind "its log takes the closed descriptor"
    # perl, because a shell's redirection of what it asks would change the answer
    run -4 muontrap_without_output perl -e 'print STDERR readlink "/proc/self/fd/1"; print "lost\n"; exit 4'
    output_is /dev/null
}

@test "with closed standard error the program runs, and a failure has its status" {
    not_under_valgrind "its log takes the closed descriptor"
    run -4 sh -c '"$MUONTRAP" sh -c "readlink /proc/self/fd/2; exit 4" 2>&-'
    output_is /dev/null
    run -127 sh -c '"$MUONTRAP" /no/such/program 2>&-'
    output_is ""
}

@test "with everything closed the program runs" {
    run -4 sh -c '"$MUONTRAP" sh -c "exit 4" <&- >&- 2>&-'
}

@test "standard output and error are muontrap's own" {
    run -0 --separate-stderr muontrap sh -c 'echo out; echo err >&2'
    output_is out
    [ "$stderr" = err ]
    run -0 muontrap sh -c 'readlink /proc/self/fd/1' </dev/null
    [[ $output == pipe:* ]]
}

@test "a megabyte passes unharmed" {
    muontrap sh -c 'seq 200000' >"$dir/out"
    seq 200000 | cmp - "$dir/out"
}

@test "--stdout null throws the output away, and not the errors" {
    run -0 --separate-stderr muontrap --stdout null perl -e 'print STDERR readlink "/proc/self/fd/1"; print "lost\n"'
    output_is ""
    [ "$stderr" = /dev/null ]
}

@test "--stderr null throws the errors away, and not the output" {
    run -0 --separate-stderr muontrap --stderr null sh -c 'echo out; echo lost >&2'
    output_is out
    [ -z "$stderr" ]
}

@test "--stderr stdout sends errors where output goes, in order" {
    run -0 --separate-stderr muontrap --stderr stdout sh -c 'echo 1; echo 2 >&2; echo 3'
    output_is $'1\n2\n3'
    [ -z "$stderr" ]
    run -0 --separate-stderr muontrap --stdout null --stderr stdout sh -c 'echo 1; echo 2 >&2'
    output_is ""
    [ -z "$stderr" ]
}

@test "--stdout inherit and --stderr inherit are what is done anyway" {
    run -0 --separate-stderr muontrap --stdout inherit --stderr inherit sh -c 'echo out; echo err >&2'
    output_is out
    [ "$stderr" = err ]
}

@test "muontrap's own messages reach standard error whatever is said of the program's" {
    run -127 --separate-stderr muontrap --stderr null /no/such/program
    [[ $stderr == "muontrap: "* ]]
}

@test "the program gets SIGPIPE when nobody reads, as under env" {
    run -0 bash -c 'timeout 60 "$MUONTRAP" yes | head -n 1; echo "${PIPESTATUS[0]}"'
    output_is $'y\n141'
}

@test "output that the program leaves in a descendant's hands comes before the end" {
    run -0 muontrap sh -c 'echo one; sh -c "echo two"; echo three'
    output_is $'one\ntwo\nthree'
}

# ---- Files ----

@test "--stdin file:PATH gives the program that file, and standard input stays the lifeline" {
    printf 'from the file\n' >"$dir/file"
    run -0 muontrap --stdin "file:$dir/file" cat </dev/null
    output_is "from the file"
    lifeline
    start --stdin "file:$dir/file" sh -c 'cat; exec sleep 100' <&7
    exec 7<&-
    await "from the file"
    exec 8>&-
    everything_is_gone
    ends_with 143
}

@test "--stdout file:PATH makes the file, and empties one that is there" {
    run -0 muontrap --stdout "file:$dir/file" echo one
    output_is ""
    [ "$(<"$dir/file")" = one ]
    run -0 muontrap --stdout "file:$dir/file" echo 2
    [ "$(<"$dir/file")" = 2 ]
}

@test "--stdout file,append:PATH writes at its end" {
    run -0 muontrap --stdout "file,append:$dir/file" echo one
    run -0 muontrap --stdout "file,append:$dir/file" echo two
    [ "$(<"$dir/file")" = $'one\ntwo' ]
}

@test "--stderr file:PATH takes the errors alone" {
    run -0 --separate-stderr muontrap --stderr "file:$dir/file" sh -c 'echo out; echo err >&2'
    output_is out
    [ -z "$stderr" ]
    [ "$(<"$dir/file")" = err ]
}

@test "--stdout file:PATH and --stderr stdout go to the same file, in order" {
    run -0 muontrap --stdout "file:$dir/file" --stderr stdout sh -c 'echo 1; echo 2 >&2; echo 3'
    output_is ""
    [ "$(<"$dir/file")" = $'1\n2\n3' ]
}

@test "both can be appended to one file, in order" {
    run -0 muontrap --stdout "file,append:$dir/file" --stderr "file,append:$dir/file" sh -c 'echo 1; echo 2 >&2; echo 3'
    [ "$(<"$dir/file")" = $'1\n2\n3' ]
}

@test "a file that is standard input as well is not emptied for output, but can be appended to" {
    echo all >"$dir/file"
    ln "$dir/file" "$dir/link"
    for stdin in "file:$dir/file" inherit; do
        for output in --stdout --stderr; do
            run -125 muontrap --stdin "$stdin" "$output" "file:$dir/link" sort <"$dir/file"
            output_has "is standard input as well, and would be emptied before it is read"
            [ "$(<"$dir/file")" = all ]
        done
    done
    # On a terminal it is typed, and read by muontrap itself.
    run -125 muontrap --pty --stdout "file:$dir/link" cat <"$dir/file"
    output_has "is standard input as well, and would be emptied before it is read"
    [ "$(<"$dir/file")" = all ]
    run -0 muontrap --stdin "file:$dir/file" --stdout "file,append:$dir/file" head -n 1
    [ "$(<"$dir/file")" = $'all\nall' ]
    run -0 muontrap --stdin file:/dev/null --stdout file:/dev/null cat
}

@test "a new file has the mode that is said, less the umask, and one that is there keeps its own" {
    run -0 bash -c 'umask 022; "$MUONTRAP" --stdout "file:$0" --stderr "file,mode=666:$0.1" true' "$dir/file"
    [ "$(stat -c %a "$dir/file")" = 644 ]
    [ "$(stat -c %a "$dir/file.1")" = 644 ]
    run -0 muontrap --stdout "file,mode=600:$dir/secret" true
    [ "$(stat -c %a "$dir/secret")" = 600 ]
    run -0 muontrap --stdout "file,mode=600:$dir/file" true
    [ "$(stat -c %a "$dir/file")" = 644 ]
}

@test "a path may have colons, commas and spaces in it" {
    run -0 muontrap --stdout "file:$dir/a:b,mode=1: c" echo hi
    [ "$(<"$dir/a:b,mode=1: c")" = hi ]
}

@test "a relative path is one from where muontrap was started, not from --cd" {
    mkdir "$dir/here" "$dir/there"
    run -0 bash -c 'cd "$0/here" && "$MUONTRAP" --cd ../there --stdout file:out pwd' "$dir"
    [ "$(<"$dir/here/out")" = "$dir/there" ]
}

@test "a file that cannot be opened is named, with the reason, and the program does not run" {
    refused "cannot open '$dir/no/file'" "standard input" "No such file" --- \
        --stdin "file:$dir/no/file" touch "$dir/ran"
    refused "cannot open '$dir/no/file'" "standard output" "No such file" --- \
        --stdout "file:$dir/no/file" touch "$dir/ran"
    refused "cannot open '$dir/no/file'" "standard error" "No such file" --- \
        --stderr "file:$dir/no/file" touch "$dir/ran"
    refused "cannot open '$dir'" "directory" --- --stdout "file:$dir" touch "$dir/ran"
    [ ! -e "$dir/ran" ]
}

@test "a file that another user may not open is told so" {
    root_only
    let_others_run_muontrap
    echo secret >"$dir/secret"
    chmod 600 "$dir/secret"
    run -125 as_user 65533 "$MUONTRAP" --stdin "file:$dir/secret" cat
    output_has "$dir/secret" "ermission denied"
    run -125 as_user 65533 "$MUONTRAP" --stdout "file:$dir/secret" echo lost
    output_has "$dir/secret" "ermission denied"
    [ "$(<"$dir/secret")" = secret ]
}

@test "with --uid the files are opened as who started muontrap" {
    root_only
    echo secret >"$dir/secret"
    chmod 600 "$dir/secret"
    run -0 muontrap --uid nobody --stdin "file:$dir/secret" --stdout "file,mode=600:$dir/out" sh -c 'cat; id -u'
    [ "$(<"$dir/out")" = "secret"$'\n'"$(id -u nobody)" ]
    [ "$(stat -c %u "$dir/out")" = 0 ]
}

@test "a symbolic link is followed, as by a shell" {
    mkdir "$dir/open"
    ln -s "$dir/target" "$dir/open/link"
    run -0 muontrap --stdout "file:$dir/open/link" echo hello
    [ "$(<"$dir/target")" = hello ]
    run -0 muontrap --stdin "file:$dir/open/link" cat
    output_is hello
}

@test "a FIFO waits for its other end" {
    mkfifo "$dir/fifo"
    start --stdout "file:$dir/fifo" sh -c 'echo through the FIFO'
    run -0 timeout "$PATIENCE" cat "$dir/fifo"
    output_is "through the FIFO"
    everything_is_gone
    ends_with 0
}

# There is the process that is to become the program. It waits in open(2), or is about to.
process_is_made() {
    local deadline=$((SECONDS + PATIENCE))

    until relay=$(relay_of "$keeper" 2>/dev/null) && [ -n "$(children_of "$relay" 2>/dev/null)" ]; do
        [ "$SECONDS" -lt "$deadline" ] || return
        sleep 0.02
    done
}

@test "a FIFO whose other end is not there can be stopped" {
    mkfifo "$dir/fifo"
    for option in --stdin --stdout --stderr; do
        start "$option" "file:$dir/fifo" sleep 100
        process_is_made
        kill "$keeper"
        everything_is_gone
        ends_with 143
        make_room
    done
}

@test "who waits for a FIFO dies with keeper and relay" {
    linux_only
    mkfifo "$dir/fifo"
    start --stdout "file:$dir/fifo" sleep 100
    process_is_made
    kill -KILL "$keeper" "$relay"
    everything_is_gone
    ends_with 137
}
