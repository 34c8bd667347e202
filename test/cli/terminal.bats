#!/usr/bin/env bats
# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0
#
# On a terminal muontrap behaves as env(1) would. Each test is a scene of terminal.exp.

load helper

scene() { run_scene terminal.exp "$1"; }

# What was hung up dies after the scene has ended: keeper, relay, program and all.
then_nothing_survives() { survivors_end; }

@test "Ctrl-C ends muontrap by the signal that it ends the program by" { scene ctrl-c; nothing_survives; }
@test "Ctrl-C in an interactive shell stops the job, with status 130" { scene ctrl-c-of-a-job; nothing_survives; }
@test "Ctrl-\\ ends muontrap by the signal that it ends the program by" { scene ctrl-backslash; nothing_survives; }
@test "Ctrl-C does not spare a child that ignores it" {
    linux_only
    scene ctrl-c-kills-children
    nothing_survives
}
@test "Ctrl-C ends a script that runs muontrap in a loop" { scene ctrl-c-ends-a-script; nothing_survives; }
@test "Ctrl-C stops a program that is in a session of its own" { scene ctrl-c-of-a-session-of-its-own; nothing_survives; }
@test "Ctrl-C before the relay is forked ends muontrap" {
    linux_only strace
    scene ctrl-c-before-the-relay
    nothing_survives
}
@test "Ctrl-C before the program's process is made ends muontrap" {
    linux_only strace
    scene ctrl-c-before-the-program
    nothing_survives
}
@test "Ctrl-C after the program has begun to run is the program's, also when the relay is late" {
    linux_only strace
    scene ctrl-c-before-the-relay-looks
    nothing_survives
}
@test "a program that leaves with status 130 after Ctrl-C gives that status" { scene a-status-of-130; nothing_survives; }
@test "a program that handles Ctrl-C itself goes on" { scene ctrl-c-handled; nothing_survives; }
@test "a program that ignores Ctrl-C goes on" { scene ctrl-c-ignored; nothing_survives; }
@test "a program reads from the terminal" { scene interactive; nothing_survives; }
@test "Ctrl-D is end of file for the program, and no stop" { scene end-of-file; nothing_survives; }
@test "the program has the terminal as its input, output, error and controlling terminal" { scene is-a-terminal; }
@test "Ctrl-Z stops the job, and fg continues it" { takes_its_stop; scene ctrl-z-fg; nothing_survives; }
@test "after Ctrl-Z the shell sees status 148, as under env" { takes_its_stop; scene ctrl-z-status; survivors_end; }
@test "Ctrl-Z and fg do so a second time" { takes_its_stop; scene ctrl-z-twice; nothing_survives; }
@test "Ctrl-Z and fg do so a second time, also when the keeper is late to ignore that key again" {
    linux_only strace
    takes_its_stop
    scene ctrl-z-finds-the-keeper-late
    nothing_survives
}
@test "after Ctrl-Z and fg, Ctrl-C stops the program" { takes_its_stop; scene ctrl-z-ctrl-c; nothing_survives; }
@test "after Ctrl-Z, bg continues the job" { takes_its_stop; scene ctrl-z-bg; nothing_survives; }
@test "after Ctrl-Z, kill %1 ends the job and its children" {
    takes_its_stop
    scene ctrl-z-kill
    [ -n "${PORTABLE:-}" ] || nothing_survives
}
@test "after Ctrl-Z, kill -9 %1 ends the job" { takes_its_stop; scene ctrl-z-kill-9; survivors_end; }
@test "after Ctrl-Z, kill -9 of the relay ends the job and what has left it, although nobody continues it" {
    linux_only
    takes_its_stop
    scene kill-of-the-relay-of-a-stopped-job
    survivors_end
}
@test "a background job is ended by kill %1" { scene background; }
@test "a background job that reads from the terminal is stopped until fg" { scene background-reader-stops; }
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
@test "muontrap -- bash -i is a usable shell with job control, whose exit status is passed on" {
    scene shell-inside
    nothing_survives
}
@test "jobs that such a shell leaves behind are ended with it" {
    linux_only
    scene shell-inside-leaves-jobs
    nothing_survives
}
@test "muontrap leaves the terminal's settings alone" { scene terminal-restored; }
