# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# Completion of muontrap(1) for bash, on bash-completion.

# What compgen says of the options and arguments, for the word under the cursor.
_muontrap_reply()
{
    mapfile -t COMPREPLY < <(compgen "$@" -- "$cur")
}

# Sets `program` to the index in COMP_WORDS where the program stands, to nothing while the cursor is before it, and
# `port` when --port has been given.
_muontrap_scan()
{
    local i at words cword

    # As the shell splits them; COMP_WORDS has each = and : as a word of its own.
    _get_comp_words_by_ref -n =: words cword
    for ((i = 1; i <= cword; i++)); do
        case ${words[i]} in
            --)
                ((i++))
                break
                ;;
            --port)
                port=yes
                ;;
            --pty) # its value may be left out
                [[ ${words[i + 1]-} != +([0-9])x+([0-9]) ]] || ((i++))
                ;;
            -k | --delay-to-sigkill | --stop-signal | --stop-command | --attach | --lock | --lock-timeout | --stdin | --stdout | --stderr | --cd | \
                --pty-mode | --setenv | --unsetenv | --keepenv | --rlimit | --nice | --umask | --cpus | --oom-score-adj | --arg0 | --uid | --gid | --groups | --stdio-window | -g | -p | --group | --path | -c | --controller | -s | --set)
                ((i++))
                ;;
            -*) ;;
            *)
                break
                ;;
        esac
    done
    ((i <= cword)) || return
    at=$i
    for ((i = 1, program = 1; i < at; i++)); do
        _muontrap_pieces "${words[i]}"
    done
}

# Moves `program` over the words of COMP_WORDS that make up this one.
_muontrap_pieces()
{
    local joined=''

    while [[ $joined != "$1" ]] && ((program < COMP_CWORD)); do
        joined+=${COMP_WORDS[program]}
        ((program++))
    done
}

_muontrap_modes()
{
    local modes

    case $cur in
        file:* | file,*:*)
            _muontrap_reply_file
            return
            ;;
    esac
    case $1${port:+ --port} in
        --stdin) modes='inherit lifeline null' ;;
        --stdout) modes='inherit null' ;;
        --stderr) modes='inherit null stdout' ;;
        '--stdin --port') modes='null relay' ;;
        '--stdout --port') modes='null relay' ;;
        '--stderr --port') modes='inherit null relay stdout' ;;
    esac
    modes+=' file:'
    [[ $1 == --stdin ]] || modes+=' file,append:'
    compopt -o nospace
    _muontrap_reply -W "$modes"
    __ltrim_colon_completions "$cur"
}

# The path behind file: or file,append:.
_muontrap_reply_file()
{
    mapfile -t COMPREPLY < <(compgen -P "${cur%%:*}:" -f -- "${cur#*:}")
    compopt -o nospace
    __ltrim_colon_completions "$cur"
}

# The last name of a list separated by commas; those before it stay.
_muontrap_groups()
{
    local before=''

    [[ $cur == *,* ]] && before=${cur%,*},
    cur=${cur##*,}
    _muontrap_reply -P "$before" -g
}

_muontrap()
{
    # shellcheck disable=SC2034 # _init_completion sets words and cword
    local cur prev words cword split program='' port=''
    _init_completion -s -n : || return

    _muontrap_scan
    if [[ $program ]]; then
        _command_offset "$program"
        return
    fi

    case $prev in
        --stdin | --stdout | --stderr)
            _muontrap_modes "$prev"
            return
            ;;
        --cd)
            _filedir -d
            return
            ;;
        --uid)
            _muontrap_reply -u
            return
            ;;
        --gid)
            _muontrap_reply -g
            return
            ;;
        --groups)
            _muontrap_groups
            return
            ;;
        -k | --delay-to-sigkill)
            _muontrap_reply -W '0 500 1000 5000 10000'
            return
            ;;
        --attach)
            _muontrap_reply -W "$(cd /proc && echo [0-9]*)"
            return
            ;;
        --lock-timeout)
            _muontrap_reply -W '0 1000 10000 60000'
            return
            ;;
        --stop-signal)
            _muontrap_reply -W 'TERM INT QUIT HUP USR1 USR2 WINCH'
            return
            ;;
        --stop-command)
            _muontrap_reply -c
            return
            ;;
        --lock)
            _filedir
            return
            ;;
        --keepenv)
            _muontrap_reply -W 'HOME USER LOGNAME SHELL'
            return
            ;;
        --rlimit)
            _muontrap_reply -S = -W 'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'
            compopt -o nospace
            return
            ;;
        --nice)
            _muontrap_reply -W '-5 5 10 19'
            return
            ;;
        --umask)
            _muontrap_reply -W '022 027 077'
            return
            ;;
        --cpus)
            _muontrap_reply -W '0 0-1'
            return
            ;;
        --oom-score-adj)
            _muontrap_reply -W '-1000 0 500 1000'
            return
            ;;
        --pty)
            _muontrap_reply -W '24x80'
            ((${#COMPREPLY[@]} == 0)) || return
            ;;
        --pty-mode)
            _muontrap_reply -S = -W 'ECHO ICANON ISIG IXON ICRNL ONLCR OPOST IUTF8 VEOF VERASE VINTR VKILL VQUIT VSUSP'
            compopt -o nospace
            return
            ;;
        --stdio-window)
            _muontrap_reply -W '10240 65536 1048576'
            return
            ;;
        --unsetenv)
            _muontrap_reply -v
            return
            ;;
        --setenv)
            _muontrap_reply -v -S =
            compopt -o nospace
            return
            ;;
        -c | --controller)
            _muontrap_reply -W 'cpu cpuset io memory pids'
            return
            ;;
        -g | -p | --group | --path)
            _muontrap_reply -W 'auto'
            return
            ;;
        --arg0 | -s | --set)
            return
            ;;
    esac
    $split && return

    if [[ $cur == -* ]]; then
        local options='--delay-to-sigkill --stop-signal --stop-command --attach --lock --lock-timeout --stdin --stdout --stderr --pty --pty-mode --cd --setenv
            --unsetenv --keepenv --clear-env --rlimit --nice --umask --cpus --oom-score-adj --no-new-privs --arg0 --uid --gid --groups
            --group --path --controller --set --check --clean --port --help --version -k -g -p -c -s -h -V'
        [[ $port ]] && options+=' --stdio-window --tell-ends'
        _muontrap_reply -W "$options"
    fi
} &&
    complete -F _muontrap muontrap

# ex: filetype=sh
