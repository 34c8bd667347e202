%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

%% @doc A running program to talk to: written to, read from, signalled, waited for.
%%
%% This is the face for Erlang of the module `MuonTrap.Program', whose documentation says all. Options and errors are
%% as of the module {@link muontrap}.
%%
%% ```
%% > {ok, Bc} = muontrap_program:start_link("bc", []).
%% > muontrap_program:write(Bc, "6 * 7\n").
%% ok
%% > muontrap_program:read(Bc).
%% {stdout,<<"42\n">>}
%% > muontrap_program:stop(Bc).
%% {ok,143}
%% '''
-module(muontrap_program).

-export([
    start_link/1,
    start_link/2,
    start_link/3,
    child_spec/1,
    write/2,
    write/3,
    close_stdin/1,
    read/1,
    read/2,
    set_active/2,
    signal/2,
    signal/3,
    resize/3,
    await/1,
    await/2,
    stop/1,
    stop/2,
    os_pid/1
]).

-type program() :: pid() | atom() | {atom(), node()} | {global, term()} | {via, module(), term()}.
-type item() :: {stdout, binary()} | {stderr, binary()} | eof.
-type signal() :: atom() | non_neg_integer().
%% Such as `sigterm', or a number.
-export_type([program/0, item/0, signal/0]).

%% @equiv start_link(Command, [], [])
-spec start_link(muontrap:text()) -> {ok, pid()} | ignore | {error, muontrap:failure()}.
start_link(Command) -> start_link(Command, [], []).

%% @equiv start_link(Command, Args, [])
-spec start_link(muontrap:text(), [muontrap:text()]) -> {ok, pid()} | ignore | {error, muontrap:failure()}.
start_link(Command, Args) -> start_link(Command, Args, []).

%% @doc Starts the program. Its owner is the caller, whose end is the program's.
%%
%% Among the options are `{name, {local, Name}}', `{owner, Pid}', `{active, once}' and `{when_done, stop}'.
-spec start_link(muontrap:text(), [muontrap:text()], muontrap:options()) ->
    {ok, pid()} | ignore | {error, muontrap:failure()}.
start_link(Command, Args, Options) -> muontrap_terms:start_link('Elixir.MuonTrap.Program', Command, Args, Options).

%% @doc A child of a supervisor: `{Command, Args}' or `{Command, Args, Options}'. It ends with the program.
-spec child_spec({muontrap:text(), [muontrap:text()]} | {muontrap:text(), [muontrap:text()], muontrap:options()}) ->
    supervisor:child_spec().
child_spec({Command, Args}) ->
    child_spec({Command, Args, []});
child_spec({Command, Args, Options}) ->
    Opts = muontrap_terms:options(Options),
    Spec = muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':child_spec([Command, Args, Opts]) end),
    #{start := {_Module, _Function, [_Command, _Args, Started]}} = Spec,
    Spec#{id := proplists:get_value(name, Opts, ?MODULE), start := {?MODULE, start_link, [Command, Args, Started]}}.

%% @equiv write(Program, Data, infinity)
-spec write(program(), iodata()) -> ok | {error, closed}.
write(Program, Data) -> write(Program, Data, infinity).

%% @doc Writes to the program's standard input, and returns when all has been handed over.
-spec write(program(), iodata(), timeout()) -> ok | {error, closed | timeout}.
write(Program, Data, Timeout) ->
    muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':write(Program, Data, Timeout) end).

%% @doc Ends the program's standard input.
-spec close_stdin(program()) -> ok.
close_stdin(Program) -> muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':close_stdin(Program) end).

%% @equiv read(Program, infinity)
-spec read(program()) -> item() | {error, timeout}.
read(Program) -> read(Program, infinity).

%% @doc The next of what the program has written; `eof' when all has been read and nothing will come any more.
-spec read(program(), timeout()) -> item() | {error, timeout}.
read(Program, Timeout) -> muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':read(Program, Timeout) end).

%% @doc Has what the program writes come as messages to the owner, as `inet:setopts/2' does for a socket.
%%
%% They are `{Program, {stdout, Binary}}', `{Program, {stderr, Binary}}', `{Program, eof}' and `{Program, {exit,
%% Status}}'.
-spec set_active(program(), boolean() | once | pos_integer()) -> ok.
set_active(Program, Active) ->
    muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':set_active(Program, Active) end).

%% @equiv signal(Program, Signal, program)
-spec signal(program(), signal()) -> ok | {error, atom()}.
signal(Program, Signal) -> signal(Program, Signal, program).

%% @doc Sends a signal to the program, its process group, its tree or its cgroup.
-spec signal(program(), signal(), program | group | tree | cgroup) -> ok | {error, atom()}.
signal(Program, Signal, To) ->
    muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':signal(Program, Signal, To) end).

%% @doc Sets the size of the program's terminal, where it has one.
-spec resize(program(), 1..65535, 1..65535) -> ok | {error, no_pty | exited}.
resize(Program, Rows, Columns) ->
    muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':resize(Program, Rows, Columns) end).

%% @equiv await(Program, infinity)
-spec await(program()) -> {ok, muontrap:status() | unknown} | {error, muontrap:failure()}.
await(Program) -> await(Program, infinity).

%% @doc Waits for the program's end, and returns its exit status; also after the end.
-spec await(program(), timeout()) -> {ok, muontrap:status() | unknown} | {error, timeout | muontrap:failure()}.
await(Program, Timeout) -> outcome(fun() -> 'Elixir.MuonTrap.Program':await(Program, Timeout) end).

%% @equiv stop(Program, infinity)
-spec stop(program()) -> {ok, muontrap:status() | unknown} | {error, muontrap:failure()}.
stop(Program) -> stop(Program, infinity).

%% @doc Ends the program and everything that descends from it, and returns the exit status when all is dead.
-spec stop(program(), timeout()) -> {ok, muontrap:status() | unknown} | {error, timeout | muontrap:failure()}.
stop(Program, Timeout) -> outcome(fun() -> 'Elixir.MuonTrap.Program':stop(Program, Timeout) end).

outcome(Fun) -> muontrap_terms:returned(muontrap_terms:call(Fun)).

%% @doc The program's own process id.
-spec os_pid(program()) -> pos_integer() | {error, exited}.
os_pid(Program) -> muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Program':os_pid(Program) end).
