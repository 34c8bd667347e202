# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# Reads valgrind's logs, each of a process and named by the helper's start and the pid, and prints what isn't as it
# should be: anything that isn't known to be harmless, and each descriptor that keeper or relay has open when it leaves
# and that neither came from outside nor is one of those that it keeps for its life. Fails when there is such a thing,
# or no log.

BEGIN {
    # Where descriptors are opened that a process keeps for its life; start_waiter's is that of a child that leaves, and
    # of a cgroup there are its directory, those above it that the launch began from, and its file of events.
    split("tether_open signals_reopen job_control_open tree_open open_lock console_input console_output start_waiter " \
          "cgroup_directory cgroup_events_open", names)
    for (i in names)
        kept[names[i]] = 1
}

FNR == 1 {
    end_descriptor()
    pid = FILENAME
    sub(/.*\//, "", pid)
    start = pid
    sub(/[0-9]+$/, "", start)
    logs[pid] = 1
}

# A command may have newlines.
!/^(==|--)[0-9]+(==|--)/ { next }

{ sub(/^(==|--)[0-9]+(==|--) ?/, "") }

/^Parent PID: / { parent[pid] = start $3; next }

/^Open / { end_descriptor(); descriptor = $0; origin = ""; is_kept = 0; next }
descriptor && /^   (at|by) 0x/ {
    origin = origin "\n    " $0
    if ($3 in kept)
        is_kept = 1
    next
}
is_ending && /^   (at|by) 0x/ { next }
{ is_ending = 0 }
descriptor && /<inherited from parent>/ { is_kept = 1; next }

/^ *$/ { end_descriptor(); next }
/^FILE DESCRIPTORS: / { next }
/^(Memcheck, a memory error detector|Copyright |Using Valgrind|Command: |For lists of detected|Rerun with )/ { next }
/^(HEAP SUMMARY|LEAK SUMMARY|All heap blocks were freed|Reachable blocks )/ { next }
/^ *(in use at exit|total heap usage|still reachable|suppressed|To see them)/ { next }
/^ +(definitely|indirectly|possibly) lost: 0 bytes/ { next }
# A descriptor that was open before the limit on them was lowered, and is none for valgrind.
/^Warning: invalid file descriptor [0-9]+ in syscall close\(\)/ { next }
# What is unusual for valgrind and the helper's way: it sets each signal's handler.
/^Warning: ignored attempt to set SIG/ || /^ +the SIG[A-Z0-9]+ signal is (used internally|uncatchable)/ { next }
# A stop, before there is a program, ends a process.
/^Process terminating with default action of signal [0-9]+ \(SIG(TERM|HUP|INT|QUIT)\)/ { is_ending = 1; next }
# A request that it doesn't know is passed on (TIOCGPTPEER), and a call fails for the helper as on an old kernel.
/^Warning: noted but unhandled ioctl 0x5441/ || /^ +(This could cause spurious value|See README_MISSING)/ { next }
/^WARNING: unhandled [a-z0-9-]+ syscall: / { next }
/^(You may be able to write|Read the file README_MISSING|Nevertheless we consider|it at http)/ { next }
/^ERROR SUMMARY: 0 errors/ { next }

{
    print pid ": " $0
    wrong++
}

function end_descriptor() {
    if (descriptor != "" && !is_kept)
        opened[pid] = opened[pid] pid ": " descriptor " is still open at its end:" origin "\n"
    descriptor = ""
}

# A child of the relay that didn't become a program leaves by _exit(2), and what it has open is of no account.
END {
    end_descriptor()
    for (pid in logs) {
        processes++
        if (opened[pid] != "" && !(parent[parent[pid]] in logs)) {
            printf "%s", opened[pid]
            wrong++
        }
    }
    print processes + 0 " processes under valgrind, " wrong + 0 " findings"
    exit wrong > 0 || processes == 0
}
