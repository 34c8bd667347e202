#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The exit status tells how the program ended, or why it never ran (as env(1), nohup(1) and timeout(1) do).

load helper

@test "a program that succeeds gives status 0" {
    run -0 muontrap true
    output_is ""
}

@test "the program's exit status is passed on" {
    for status in 1 2 7 42 124 125 126 127 128 255; do
        run "-$status" muontrap sh -c "exit $status"
        output_is ""
    done
}

@test "a program that a signal ended gives 128 and the signal's number" {
    run -143 muontrap sh -c 'kill -TERM $$'
    run -137 muontrap sh -c 'kill -KILL $$'
    run -139 muontrap sh -c 'ulimit -c 0; kill -SEGV $$'
    run -129 muontrap sh -c 'kill -HUP $$'
    run -130 muontrap sh -c 'kill -INT $$'
    run -134 muontrap sh -c 'ulimit -c 0; kill -ABRT $$'
    run -138 muontrap sh -c 'kill -USR1 $$'
}

@test "the program's status counts, not that of what it left behind" {
    linux_only
    run -3 muontrap sh -c '(sleep 100; exit 9) & exit 3'
}

@test "a program without a slash in its name is looked for in PATH" {
    mkdir "$dir/one" "$dir/two"
    printf '#!/bin/sh\necho one\n' >"$dir/one/found-$$"
    printf '#!/bin/sh\necho two\n' >"$dir/two/found-$$"
    chmod +x "$dir/one/found-$$" "$dir/two/found-$$"
    PATH="$dir/one:$dir/two:$PATH" run -0 muontrap "found-$$"
    output_is one
    # as execvp(3): what may not be executed is passed over, but remembered
    chmod -x "$dir/one/found-$$"
    PATH="$dir/one:$dir/two:$PATH" run -0 muontrap "found-$$"
    output_is two
    chmod -x "$dir/two/found-$$"
    PATH="$dir/one:$dir/two:$PATH" run -126 muontrap "found-$$"
    output_has "found-$$" "ermission denied"
}

@test "a program that is in no directory of PATH gives 127" {
    run -127 muontrap no-such-program-here
    output_has "muontrap: " no-such-program-here "not found" PATH
}

@test "a path that does not exist gives 127" {
    run -127 muontrap /no/such/program
    output_has "muontrap: " /no/such/program "no such file"
    run -127 muontrap ./no-such-program
    output_has ./no-such-program
}

@test "without PATH a program is looked for where the system has its own" {
    run -0 timeout 60 env -u PATH "$MUONTRAP" echo hi
    output_is hi
    run -127 timeout 60 env -u PATH "$MUONTRAP" no-such-program-here
    output_has no-such-program-here "not found" PATH
}

@test "an empty PATH means the current directory" {
    printf '#!/bin/sh\necho here\n' >"$dir/prog-$$"
    chmod +x "$dir/prog-$$"
    cd "$dir"
    run -0 "$(command -v timeout)" 60 "$(command -v env)" PATH= "$MUONTRAP" "prog-$$"
    output_is here
}

@test "a file without permission to execute gives 126" {
    printf '#!/bin/sh\n' >"$dir/script"
    chmod 644 "$dir/script"
    run -126 muontrap "$dir/script"
    output_has "muontrap: " "$dir/script" "ermission denied"
}

@test "a directory gives 126" {
    run -126 muontrap "$dir"
    output_has "muontrap: " "$dir" "is a directory"
}

@test "a file that is no program gives 126" {
    head -c 64 /bin/sh >"$dir/elf"
    printf 'echo hello\n' >"$dir/script"
    : >"$dir/empty"
    chmod +x "$dir/elf" "$dir/script" "$dir/empty"
    for file in elf script empty; do
        run -126 muontrap "$dir/$file"
        output_has "muontrap: " "$dir/$file" "format"
    done
}

@test "a script whose interpreter is missing is told from a missing script" {
    not_under_valgrind "it ends a process whose exec fails so"
    printf '#!/no/such/interpreter\n' >"$dir/script"
    chmod +x "$dir/script"
    run -127 muontrap "$dir/script"
    output_has "$dir/script" interpreter
}

@test "a failure of muontrap itself gives 125" {
    run -125 muontrap --no-such-option true
    run -125 muontrap
    run -125 muontrap --cd /no/such/directory true
    output_has "muontrap: " /no/such/directory "No such file"
    run -125 muontrap --cd /dev/null true
    output_has /dev/null "Not a directory"
}

@test "a program that cannot be started leaves nothing and prints one line" {
    run -127 --separate-stderr muontrap /no/such/program
    [ -z "$output" ]
    # shellcheck disable=SC2154 # bats sets it
    [ "${#stderr_lines[@]}" = 1 ]
    nothing_survives
}

@test "without processes to be had the failure says so" {
    root_only
    not_under_valgrind "what runs it makes processes"
    let_others_run_muontrap
    # another user's limit is not in our way
    run -125 as_user 65533 prlimit --nproc=1 "$MUONTRAP" true
    output_has "cannot make a process" "ulimit -u"
}

@test "without descriptors to be had the failure says so" {
    not_under_valgrind "it takes some itself"
    # bats' own descriptors would leave none to the dynamic loader of a helper that needs one
    run -125 bash -c 'exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; exec prlimit --nofile=5 "$MUONTRAP" true'
    output_has "muontrap: "
    grep -Eq 'Too many open files|No file descriptors available' <<<"$output" # glibc's words, musl's words
}
