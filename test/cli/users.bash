# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What the tests share in which muontrap has capabilities of its file. It runs as the user app, in a mount namespace
# that has an /etc of its own (test/support/own-etc).

# Before the first `inside`. What is in the namespace stays there for as long as this process has it open.
make_inside() {
    mkfifo "$dir/holder" "$dir/made"
    # shellcheck disable=SC2016 # expands in the other shell
    "$BATS_TEST_DIRNAME/../support/own-etc" sh -c 'echo made >"$0" && exec cat' "$dir/made" \
        <"$dir/holder" >/dev/null 3>&- &
    holder=$!
    exec {hold}>"$dir/holder"
    IFS= read -r -t "$PATIENCE" _ <"$dir/made" || {
        echo "test/support/own-etc has failed: it takes root that may make mount namespaces (CAP_SYS_ADMIN)" >&2
        return 1
    }
}

end_inside() {
    [ -z "${holder:-}" ] || kill "$holder" 2>/dev/null || :
}

# `inside COMMAND...` runs a command as root there, `as_app COMMAND...` as the user app, and `app ARG...` muontrap as
# that user; `start_app ARG...` starts muontrap as `start` does.
to_be_app=(setpriv --reuid 54330 --regid 54330 "--groups=54330,54342")
inside() { nsenter --mount --target "$holder" "$@"; }
as_app() { inside "${to_be_app[@]}" "$@" {hold}>&-; }
app() { as_app timeout -k 5 60 env "$mark" "$helper" "$@"; }
start_app() { start_as nsenter --mount --target "$holder" "${to_be_app[@]}" "$helper" "$@"; }

# `rules LINE...` writes what root allows, in which "" is no file at all.
rules() { printf '%s\n' "$@" | inside sh -c 'rm -rf /etc/muontrap.conf && umask 022 && cat >/etc/muontrap.conf'; }
no_rules() { inside rm -rf /etc/muontrap.conf; }

# Makes $helper a copy of $1 that another user can execute, with these capabilities ($2, as "setuid,setgid,kill"), or
# without any. Not each directory will do: the file system has to keep capabilities, and not to be mounted nosuid.
make_helper() {
    local place tried=

    for place in "${TMPDIR:-/tmp}" /tmp /var/tmp /run; do
        [[ " $tried " != *" $place "* ]] || continue
        tried+=${tried:+ }$place
        helper_directory=$(mktemp -d "$place/muontrap-test-XXXXXX") || continue
        chmod 755 "$helper_directory"
        if heeds_capabilities "$helper_directory"; then
            helper=$helper_directory/muontrap
            install -m 755 "$1" "$helper"
            [ -z "${2-}" ] || setcap "cap_${2//,/,cap_}+ep" "$helper"
            return
        fi
        rm -r "$helper_directory"
    done
    helper_directory=
    echo "a program can get no capabilities by its file in any of: $tried. That takes setcap(8), the capability" \
        "CAP_SETFCAP, and a directory that others may execute programs in and that isn't mounted nosuid or noexec:" \
        "name one by TMPDIR. (no_new_privs, too, keeps programs from getting any.)" >&2
    return 1
}

heeds_capabilities() {
    local cat=$1/cat

    install -m 755 "$(command -v cat)" "$cat" && setcap cap_kill+ep "$cat" &&
        setpriv --reuid 54330 --regid 54330 --clear-groups "$cat" /proc/self/status | grep -q '^CapEff:.*20$'
}

remove_helper() {
    [ -z "${helper_directory:-}" ] || rm -r "$helper_directory"
}
