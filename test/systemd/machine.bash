# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The virtual machine with systemd, from outside. One serves all tests: setup_suite starts it, and they have it run
# scripts. $machine is the directory of what belongs to it.

bats_require_minimum_version 1.5.0

# Before all tests. What takes the processor time is made outside.
start_machine() {
    local files=$BATS_SUITE_TMPDIR/files limit=300

    export machine=$BATS_SUITE_TMPDIR/machine
    mkdir "$machine" "$files"
    mkdir -p "$files"/{bin,lib/muontrap/priv,lib/service/ebin}
    cp -R "${LIBRARY:?}/ebin" "$files/lib/muontrap/"
    cp "$LIBRARY/priv/muontrap" "$files/lib/muontrap/priv/"
    ln -s ../lib/muontrap/priv/muontrap "$files/bin/muontrap"
    make_service "$files"
    install -m 644 "$BATS_TEST_DIRNAME/guest.bash" "$files/"
    install "$BATS_TEST_DIRNAME/serve" "$files/"
    chmod -R go+rX "$files"
    mkfifo "$machine/scripts" "$machine/output"
    # Both ends of each, so that no opening waits for the other.
    "$BATS_TEST_DIRNAME/../vm/run" --systemd --files "$files" --input "$machine/scripts" --env "LIMIT=$limit" \
        --setup 'ln -s /run/muontrap-vm/files /opt/muontrap' \
        bash /opt/muontrap/serve </dev/null 1<>"$machine/output" 2>"$machine/errors" 3>&- &
    echo $! >"$machine/pid"
    exec 5<>"$machine/output"
    next_line
    [ "$line" = ready ]
}

# The program `service` of service.ex. Without Elixir's command line, which loads the compiler, with few threads, and
# none of them waiting busily, an Erlang VM starts in half the time here.
make_service() { # FILES
    elixirc -pa "$LIBRARY/ebin" --ignore-module-conflict -o "$1/lib/service/ebin" "$BATS_TEST_DIRNAME/service.ex"
    echo '{application, service, [{mod, {'\''Elixir.Service'\'', []}}, {applications, [logger, muontrap]}]}.' \
        >"$1/lib/service/ebin/service.app"
    cat >"$1/bin/service" <<'END'
#!/bin/sh
export ERL_LIBS=/opt/muontrap/lib:/usr/lib/elixir/lib HOME="${HOME:-/}"
exec erl +S 1:1 +SDcpu 1:1 +SDio 1 +A 1 +sbwt none +sbwtdcpu none +sbwtdio none -noinput \
    -eval '{ok, _} = application:ensure_all_started(service, permanent).' -extra "$@"
END
    chmod 755 "$1/bin/service"
}

end_machine() {
    local pid

    pid=$(cat "$machine/pid")
    if kill -TERM "$pid"; then wait "$pid" || true; fi
}

# The next line that comes from the machine, in $line; fails with what is told of it when it has died.
next_line() {
    local part

    line=
    until IFS= read -r -t 1 -u 5 part; do
        line+=$part # half a line, as far as it has come
        if ! kill -0 "$(cat "$machine/pid")" 2>/dev/null; then
            echo "the virtual machine has ended:" >&2
            cat "$machine/errors" >&2
            return 1
        fi
    done
    line+=$part
}

# Before each test.
setup() { exec 5<>"$machine/output"; }

# `in_machine SCRIPT`: bash runs it there, as root, up to the first command that fails. Its output, of both kinds, is in
# $output, which is printed, and its status has to be 0.
in_machine() {
    local size line status

    size=$(printf '%s\n' "$1" | wc --bytes)
    printf '%s\n%s\n' "$size" "$1" 1<>"$machine/scripts"
    next_line
    read -r status size <<<"$line"
    output=$(head --bytes "$size" <&5)
    printf '%s\n' "$output"
    [ "$status" = 0 ] || {
        echo "the script left with status $status" >&2
        return 1
    }
}

output_has() {
    local words

    for words in "$@"; do
        [[ $output == *"$words"* ]] || {
            printf 'expected somewhere: %s\n' "$words" >&2
            return 1
        }
    done
}

output_lacks() {
    local words

    for words in "$@"; do
        [[ $output != *"$words"* ]] || {
            printf 'not expected anywhere: %s\n' "$words" >&2
            return 1
        }
    done
}
