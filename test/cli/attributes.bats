#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# What the program inherits beside descriptors and user: limits, nice value, umask, processors, environment.

load helper

setup() { common_setup; }

teardown() { end_survivors; }

# As somebody who may raise nothing, which root without capabilities is.
unprivileged() {
    if [ "$(id -u)" = 0 ]; then setpriv --inh-caps=-all --bounding-set=-all "$@"; else "$@"; fi
}

@test "--rlimit sets the soft and the hard limit, or both, and the last one counts" {
    run -0 muontrap --rlimit nofile=100:200 --rlimit core=0 --rlimit core=1024 sh -c 'ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc'
    output_is "100
200
2
2"
}

@test "a limit may be raised again up to the hard one" {
    run -0 prlimit --nofile=50:100 "$MUONTRAP" --rlimit nofile=100 sh -c 'ulimit -Sn; ulimit -Hn'
    output_is "100
100"
}

@test "a limit that may not be raised is refused by name, with the one in force" {
    run -125 unprivileged prlimit --nofile=50:100 "$MUONTRAP" --rlimit core=0 --rlimit nofile=101 true
    output_has "cannot set the limit nofile=101: Operation not permitted (50:100 descriptors are in force;"
    run -125 unprivileged prlimit --core=0 "$MUONTRAP" --rlimit core=0:infinity true
    output_has "cannot set the limit core=0:infinity: Operation not permitted (0:0 bytes are in force;"
}

@test "--nice sets the nice value, and its session's where the program has one" {
    linux_only
    nice=$(nice -n 7 nice) # what may be had, whatever the tests run with
    run -0 nice -n 3 "$MUONTRAP" --nice "$nice" nice
    output_is "$nice"
    if [ -e /proc/self/autogroup ]; then
        run -0 muontrap --pty --nice "$nice" cat /proc/self/autogroup
        output_has "nice $nice"
    fi
}

@test "a nice value that takes privilege is refused" {
    nice=$(($(nice -n 7 nice) - 1))
    run -125 unprivileged nice -n 7 "$MUONTRAP" --nice "$nice" true
    output_has "cannot set the nice value to $nice: Permission denied (below what it is takes root, CAP_SYS_NICE or a limit nice)"
}

@test "--umask is the program's, and that of the files that its output goes to" {
    run -0 muontrap --umask 027 sh -c umask
    output_is 0027
    run -0 muontrap --umask 077 --stdout "file:$dir/file" true
    [ "$(stat -c %a "$dir/file")" = 600 ]
}

@test "--cpus keeps the program on some processors" {
    linux_only
    allowed=$(taskset -cp $$ | sed 's/.*: //')
    one=${allowed%%[-,]*}
    run -0 muontrap --cpus "$one" sh -c 'nproc; grep Cpus_allowed_list /proc/self/status'
    output_is "1
Cpus_allowed_list:	$one"
    run -0 muontrap --cpus "$allowed" nproc
    output_is "$(nproc)"
}

@test "a processor that there is not is refused, also among others" {
    linux_only
    for list in 8191 0,8191 0-8191; do
        run -125 muontrap --cpus "$list" true
        output_has "cannot run it on the processors $list: not all of them may be used"
    done
    one=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
    run -125 taskset -c "$one" "$MUONTRAP" --cpus 0-8000 true
    many=$(seq -s, 0 8191)
    run -125 muontrap --cpus "$many" true
    output_has "cannot run it on the processors 0,1,2," "not all of them may be used" "cpuset.cpus.effective"
}

@test "--oom-score-adj is the program's and its descendants'" {
    linux_only
    run -0 muontrap --oom-score-adj 1000 sh -c 'cat /proc/self/oom_score_adj; sh -c "cat /proc/self/oom_score_adj"'
    output_is "1000
1000"
    run -125 unprivileged "$MUONTRAP" --oom-score-adj -999 true
    output_has "cannot set oom_score_adj to -999: Permission denied"
}

@test "--no-new-privs keeps privileges from the program" {
    linux_only
    run -0 muontrap --no-new-privs grep NoNewPrivs /proc/self/status
    output_is "NoNewPrivs:	1"
}

@test "what this system has not is refused" {
    [ -n "$PORTABLE" ] || skip "is for a helper of POSIX alone"
    for option in --cpus=0 --oom-score-adj=1 --no-new-privs; do
        run -125 muontrap "$option" true
        output_has "${option%%=*} can't be had: this system has nothing of the kind"
    done
}

@test "--clear-env leaves what --setenv sets" {
    run -0 env ONE=1 "$MUONTRAP" --clear-env --setenv TWO=2 --setenv EMPTY= env
    output_is "TWO=2
EMPTY="
    run -0 muontrap --clear-env env
    output_is ""
    PATH=$dir:$PATH run -127 muontrap --clear-env --setenv "PATH=$dir" ls
    output_has "not found in any directory of PATH ($dir)"
}

@test "muontrap itself keeps what it was started with" {
    lifeline
    start --nice 11 --rlimit nofile=64 sh -c 'echo $PPID; exec sleep 100' <&7
    exec 7<&-
    await '[0-9]*'
    relay=$line
    [ "$(ps -o ni= -p "$relay" | tr -d ' ')" = "$(nice)" ]
    grep -q "Max open files *$(ulimit -Sn) " "/proc/$relay/limits"
    exec 8>&-
    everything_is_gone
}

@test "that a limit leaves no room for the arguments is told" {
    linux_only
    words=$(head -c 100000 /dev/zero | tr '\0' x)
    run -126 muontrap --rlimit stack=65536 true "$words" "$words"
    output_has "are larger than the kernel takes (a quarter of the limit stack, as getconf ARG_MAX says;"
}

@test "what makes no sense is refused" {
    run -125 muontrap --nice 20 true
    output_has "--nice takes a whole number from -20 to 19, not 20"
    run -125 muontrap --umask 8 true
    output_has "--umask takes permissions in octal from 0 to 777, not '8'"
    run -125 muontrap --cpus 1- true
    output_has "--cpus takes numbers of processors from 0 to 8191, and ranges of them, such as 0,2-3, not '1-'"
    run -125 muontrap --rlimit files=1 true
    output_has "--rlimit: no limit of this system is called 'files'; there are as, core, cpu,"
    run -125 muontrap --rlimit nofile true
    output_has "the limit nofile takes =SOFT or =SOFT:HARD, each a whole number of descriptors or infinity, not ''"
}
