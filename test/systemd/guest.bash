# shellcheck shell=bash
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts have that run in the virtual machine (BASH_ENV). All is as slow there as the emulated processor, and
# what takes no more than seconds elsewhere is given minutes: the limits are bounds on hanging.
export MUONTRAP=/opt/muontrap/bin/muontrap

# `await COMMAND...` repeats it until it succeeds; serve's limit ends the script when it never does.
await() { until "$@" >/dev/null 2>&1; do sleep 0.2; done; }

# `unit NAME LINE...` makes a service's unit file of lines of its section [Service]. The name has to be new, for systemd
# reads such a file without a daemon-reload, which takes seconds here.
unit() {
    local file=/run/systemd/system/$1.service
    shift
    [ ! -e "$file" ] || {
        echo "there is a $file already" >&2
        return 1
    }
    printf '%s\n' '[Service]' "$@" >"$file"
}

property() { systemctl show --property="$2" --value "$1"; } # UNIT PROPERTY
has() { [ "$(property "$1" "$2")" = "$3" ]; }               # UNIT PROPERTY VALUE

# Processes by their whole command lines (a regular expression).
processes() { pgrep --full --exact -- "$1"; }

# Fails in the middle of a script, too, where bash lets pass what is behind a "!".
none() { if processes "$1"; then return 1; fi; }

# What the unit has written to the journal.
log_of() {
    journalctl --sync
    journalctl --quiet --no-pager --output cat --unit "$1"
}

logged() { log_of "$1" | grep -q -- "$2"; } # UNIT PATTERN
