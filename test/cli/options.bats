#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# The command line: what is taken, and what is refused with words that name it.

load helper

@test "--help and -h print the usage to standard output" {
    for option in --help -h; do
        run -0 --separate-stderr muontrap "$option"
        output_has "Usage: muontrap [OPTION]... [--] PROGRAM [ARG]..." --delay-to-sigkill --stdin --stdout --stderr \
            --cd --arg0 --uid --gid --groups --port --stdio-window --version "Exit status"
        [ -z "$stderr" ]
    done
}

@test "no line of the help is wider than 120 columns" {
    run -0 muontrap --help
    for line in "${lines[@]}"; do
        [ "${#line}" -le 120 ]
    done
}

@test "--version and -V print the version to standard output" {
    for option in --version -V; do
        run -0 --separate-stderr muontrap "$option"
        [[ $output =~ ^muontrap\ [0-9]+\.[0-9]+\.[0-9]+ ]]
        [ "${#lines[@]}" = 1 ]
        [ -z "$stderr" ]
    done
}

@test "an answer that cannot be printed is a failure, and said to be one" {
    [ -c /dev/full ] || skip "needs /dev/full"
    for asked in --help --version --check; do
        # which has nothing to print there
        if [ "$asked" = --check ] && [ -n "${PORTABLE:-}" ]; then continue; fi
        run -125 sh -c '"$MUONTRAP" "$0" >/dev/full' "$asked"
        output_is "muontrap: cannot write to standard output: No space left on device"
    done
}

@test "an unknown option is named, and the help is pointed to" {
    refused --no-such-option --help --- --no-such-option true
    refused -x --help --- -x true
    refused --delay --help --- --delay 5 true
    refused --stdinn --- --stdinn=null true
}

@test "an option without its value is named" {
    for option in -k --delay-to-sigkill --stdio-window --stdin --stdout --stderr --uid --gid --groups --arg0 --cd; do
        refused "$option" value --- "$option"
    done
}

@test "a value for an option that takes none is refused" {
    refused --check "no value" --- --check=yes true
    refused --help "no value" --- --help=me true
    refused -V "no value" --- -Vx true
}

@test "--delay-to-sigkill takes a whole number of milliseconds only" {
    for value in abc -1 1.5 1s 0x10 '' ' 1' +1 99999999999 18446744073709551617 2147483648; do
        refused --delay-to-sigkill millisecond --- -k "$value" true
        refused --delay-to-sigkill millisecond --- --delay-to-sigkill="$value" true
    done
    refused "'abc'" --- -k abc true
    refused 99999999999 --- -k 99999999999 true
}

@test "the delay may be attached, apart, or follow an equals sign" {
    run -0 muontrap -k100 echo hi
    output_is hi
    run -0 muontrap -k 100 echo hi
    output_is hi
    run -0 muontrap --delay-to-sigkill 100 echo hi
    output_is hi
    run -0 muontrap --delay-to-sigkill=100 echo hi
    output_is hi
    run -0 muontrap -k 0 -k 2147483647 echo hi
    output_is hi
}

# With --port a failure is a frame: its tag !, its stage 1 (options), its errno, and the words. `tr` takes out the zeros.
framed() {
    run -125 bash -c '"$MUONTRAP" --port "$@" true </dev/null | tr -d "\0"; exit "${PIPESTATUS[0]}"' bash "$@"
    [[ $output == *'!'$'\x01'* ]]
}

@test "--stdio-window takes a number of bytes above 0 only" {
    for value in 0 -1 abc 1k '' 99999999999 18446744073709551616; do
        framed --stdio-window "$value"
        output_has --stdio-window bytes "$value"
    done
    run -125 muontrap --stdio-window abc true
    output_has "--stdio-window" "'abc'"
}

@test "--stdio-window without --port is refused" {
    refused --stdio-window --port --- --stdio-window 100 true
}

@test "--tell-ends without --port is refused" {
    refused --tell-ends --port --- --tell-ends true
}

@test "a mode that there is not is named together with those there are" {
    refused --stdin lifeline inherit null relay "'bogus'" --- --stdin bogus true
    refused --stdout inherit null "'bogus'" --- --stdout bogus true
    refused --stdout inherit null "'stdout'" --- --stdout stdout true
    refused --stderr inherit null stdout "'bogus'" --- --stderr=bogus true
    refused --stdin "''" --- --stdin= true
}

@test "relay is a mode of the port alone" {
    refused relay --port --- --stdout relay true
    refused relay --port --- --stderr relay true
    refused relay --port --- --stdin relay true
}

@test "one file for standard output and error is refused, unless both append" {
    refused "write over each other" "--stderr stdout" "file,append" --- --stdout file:x --stderr file:x true
    refused "write over each other" --- --stdout file,append:x --stderr file:x true
}

@test "a file is spelt file[,append][,mode=OCTAL]:PATH" {
    refused --stdin "empty path" --- --stdin file: true
    refused --stdout "empty path" --- --stdout file: true
    refused --stdout "file[,append][,mode=OCTAL]:PATH" "'file,apend:x'" --- --stdout file,apend:x true
    refused --stderr "permissions such as 600" --- --stderr file,mode=8:x true
    refused --stderr "permissions such as 600" --- --stderr file,mode=70000:x true
}

@test "a terminal has 1 to 65535 rows and columns" {
    for size in 0x80 24x0 70000x80 24x70000 24 24x 24x80x2 x abc; do
        refused --pty ROWSxCOLUMNS "1 to 65535" "'$size'" --- "--pty=$size" true
    done
    refused "'0x80'" --- --pty 0x80 true
}

@test "a terminal's mode is named, and has a value" {
    refused "'NOSUCH'" "RFC 4254" --- --pty --pty-mode NOSUCH=1 true
    refused ECHO "0 or 1" --- --pty --pty-mode ECHO true
    refused ECHO "0 or 1" "'=2'" --- --pty --pty-mode ECHO=2 true
    refused VEOF "0 to 255" --- --pty --pty-mode VEOF=256 true
    refused TTY_OP_OSPEED 38400 --- --pty --pty-mode TTY_OP_OSPEED=9601 true
    refused VFLUSH "have no mode" --- --pty --pty-mode VFLUSH=1 true
    refused --pty-mode "needs --pty" --- --pty-mode ECHO=0 true
}

@test "a terminal is standard input, and output and error in one" {
    refused "--stdin file:x can't be had with --pty" --- --pty --stdin file:x true
    framed --pty --stdout relay
    output_has "one stream"
    framed --pty --stderr relay
    output_has "one stream"
}

@test "what makes no sense in a port is refused with a frame" {
    for combination in "--stdin inherit" "--stdin lifeline" "--stdout inherit"; do
        # shellcheck disable=SC2086 # two words
        framed $combination
        output_has "$combination can't be had with --port"
    done
}

@test "a program has to be named" {
    refused "no program" usage ---
    refused "no program" usage --- --
    refused "no program" usage --- -k 100
    refused "no program" usage --- -k 100 --
}

@test "a program's name that is empty is refused" {
    run -125 muontrap ''
    output_has "muontrap: " "empty"
    run -125 muontrap -- ''
    output_has "muontrap: " "empty"
}

@test "a directory, user or group that is empty is refused" {
    refused --cd empty --- --cd '' true
    refused --cd empty --- --cd= true
    refused --uid empty --- --uid '' true
    refused --gid empty --- --gid '' true
}

@test "options end at the first word that is none" {
    run -0 muontrap echo -k --help -- -x
    output_is "-k --help -- -x"
    run -0 muontrap -k 100 echo -V
    output_is "-V"
}

@test "-- ends the options and is not passed on" {
    run -0 muontrap -- echo -k
    output_is "-k"
    run -0 muontrap -- echo -- hi
    output_is "-- hi"
    run -127 muontrap -- -k
    output_has "'-k'"
}

@test "a lone - is a program's name" {
    run -127 muontrap -
    output_has "'-'"
}

@test "the first mistake is the one that is told" {
    refused -x --- -x --also-wrong true
}

@test "arguments reach the program as they are" {
    run -0 muontrap printf '<%s>' '' 'a b' '*' "it's" $'new\nline' "$(printf 'caf\xc3\xa9')" $'\xff'
    output_is "<><a b><*><it's><"$'new\nline'"><$(printf 'caf\xc3\xa9')><"$'\xff'">"
}

@test "two thousand arguments reach the program" {
    # shellcheck disable=SC2046 # as many words
    run -0 muontrap sh -c 'echo $#' sh $(seq 2000)
    output_is 2000
}

# `table false` the options that take no value, `table true` those that do, as the helper itself has them; but for those which
# are for its tests (--without) and the library (--fresh), and stand in no document.
table() {
    sed -n 's/^    {"\([a-z0-9-]*\)", .*, '"$1"', set_.*/\1/p' "$BATS_TEST_DIRNAME/../../c_src/options.c" |
        grep -vx -e without -e fresh
}

missing() {
    echo "$1"
    return 1
}

@test "every option stands in the usage, in the man page, and in zsh's completion" {
    local priv=$BATS_TEST_DIRNAME/../../priv
    [ "$(table true | wc -l)" -gt 25 ]
    [ "$(table false | wc -l)" -gt 5 ]
    run -0 muontrap --help
    for option in $(table true) $(table false); do
        grep -qE -- "--$option( |=|\[|,|\$)" <<<"$output" || missing "the usage lacks --$option"
        grep -qE "^\.It Fl (.* )?-$option( |\$)" "$priv/man/man1/muontrap.1" || missing "the man page lacks --$option"
        grep -qE -- "--${option}[,=}[]" "$priv/completions/_muontrap" || missing "zsh's completion lacks --$option"
    done
}

# What bash completes these words to.
completed() {
    bash -c '. /usr/share/bash-completion/bash_completion && . "$0" && shopt -s progcomp
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
        _muontrap && printf "%s\n" "${COMPREPLY[@]}"' "$BATS_TEST_DIRNAME/../../priv/completions/muontrap.bash" "$@"
}

@test "every option is completed by bash, also behind every other that takes a value" {
    run -0 completed muontrap --port --
    for option in $(table true) $(table false); do
        grep -qxF -- "--$option" <<<"$output" || missing "bash's completion lacks --$option"
    done
    for option in $(table true); do
        run -0 completed muontrap "--$option" 24x80 --cd
        output_is --cd
    done
    for option in $(table false); do
        run -0 completed muontrap "--$option" --cd
        output_is --cd
    done
}

# A value for each that takes one, which makes no sense. Any text does for --arg0.
@test "every wrong value is refused, with the option's name" {
    declare -A wrong=(
        [delay-to-sigkill]=soon [stop-signal]=NOSUCH [stop-command]='' [stdio-window]=0 [stdin]=bogus [stdout]=bogus
        [stderr]=bogus [pty]=0x0 [pty-mode]=NOSUCH=1 [uid]='' [gid]='' [groups]=no-such-group [cd]='' [setenv]==x
        [unsetenv]=A=B [keepenv]=PATH [rlimit]=nofile=many [nice]=20 [umask]=8 [cpus]=1- [oom-score-adj]=1001 [lock]='' [attach]=abc
        [lock-timeout]=soon [group]=/x [path]=/x [controller]='' [set]=''
    )
    for option in $(table true); do
        [ "$option" != arg0 ] || continue
        [[ -v wrong[$option] ]] || missing "there is no wrong value for --$option in this table"
        run -125 muontrap "--$option=${wrong[$option]}" true
        case $option in
            groups) output_has "there is no group 'no-such-group'" ;;
            group | path) if [ -n "${PORTABLE:-}" ]; then output_has --group; else output_has "'/x' is no"; fi ;;
            *) output_has "--$option" ;;
        esac
    done
}

# The other tests of --attach take Linux.
@test "a helper of POSIX alone attaches to nothing, and says why" {
    [ -n "${PORTABLE:-}" ] || skip "is for a helper of POSIX alone"
    run -125 muontrap --attach $$
    output_has "cannot attach to process $$: this system has no pidfd_open(2)"
}
