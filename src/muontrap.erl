%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

%% @doc Runs programs that are contained: what descends from them is dead when the call returns, or when the caller
%% dies.
%%
%% This is the face for Erlang of the module `MuonTrap', whose documentation has all options; they have the same names
%% here. Texts may be strings or binaries everywhere. Options are a property list, of which the first value of a key
%% counts, or a map. What a program writes comes as binaries.
%%
%% Three options differ in what they take:
%%
%% <ul>
%% <li>`env': a list of `{Name, Value}', `false' as the value to remove a variable, or a function that returns
%% one;</li>
%% <li>`input': iodata, or a function without arguments that returns `{Data, NextFunction}' or `eof';</li>
%% <li>`into' is not there: use {@link stream/5}.</li>
%% </ul>
%%
%% == Errors ==
%%
%% <ul>
%% <li>`{badarg, Message}': an argument or option of the wrong type, or one that there is not;</li>
%% <li>`enoent', `eacces' and others of a file's: there is no such program, it may not be executed;</li>
%% <li>`{muontrap, #{stage, reason, message}}': what the helper has found, such as `#{stage => cd, reason => enoent,
%% message => <<"cannot change to ...">>}'.</li>
%% </ul>
-module(muontrap).

-export([
    cmd/2,
    cmd/3,
    shell/1,
    shell/2,
    stream/4,
    stream/5,
    attach/1,
    attach/2,
    list/0,
    check/0,
    check/1,
    muontrap_path/0
]).

-export_type([text/0, options/0, status/0, running/0, point/0, failure/0]).

-type text() :: muontrap_terms:text().
-type options() :: [proplists:property()] | #{atom() => term()}.
-type status() :: non_neg_integer().
%% The exit status, 0 to 255; 128 and the signal's number when a signal ended the program.
-type point() :: #{ok := boolean(), text := binary(), remedy := [binary()]}.
-type running() :: #{
    server := pid(),
    command := binary(),
    args := [binary()],
    owner := pid(),
    os_pid := pos_integer() | undefined,
    os_pids := [pos_integer()],
    started_at := calendar:datetime(),
    cgroup := binary() | undefined,
    output_byte_count := non_neg_integer(),
    cpu_us := non_neg_integer() | undefined,
    memory_bytes := non_neg_integer() | undefined,
    state := waiting | starting | running | suspended | stopping
}.
%% A program that runs; `started_at' is in UTC.
-type failure() ::
    {badarg, binary()}
    | {muontrap, #{stage := atom(), reason := atom(), message := binary()}}
    | file:posix().

%% @equiv cmd(Command, Args, [])
-spec cmd(text(), [text()]) -> {binary(), status()}.
cmd(Command, Args) -> cmd(Command, Args, []).

%% @doc Runs a program to its end, and returns what it has written to its standard output, and its exit status.
%%
%% With `{timeout, Milliseconds}' the program is stopped when these are over, and `timeout' is in the place of the
%% status. With `{stderr, tag}' the output is a list of `{stdout, Binary}' and `{stderr, Binary}', and with `{lines,
%% Bytes}' one of lines.
%%
%% ```
%% > muontrap:cmd("sort", ["-n"], [{input, "10\n9\n"}]).
%% {<<"9\n10\n">>,0}
%% '''
-spec cmd(text(), [text()], options()) -> {binary() | [term()], status() | timeout}.
cmd(Command, Args, Options) ->
    run(fun(Opts) ->
        'Elixir.MuonTrap':cmd(muontrap_terms:text(Command), muontrap_terms:texts(Args), Opts)
    end, Options).

%% @equiv shell(CommandLine, [])
-spec shell(text()) -> {binary(), status()}.
shell(CommandLine) -> shell(CommandLine, []).

%% @doc Runs a command line of the shell, as `sh -c' does; else as {@link cmd/3}.
-spec shell(text(), options()) -> {binary() | [term()], status() | timeout}.
shell(CommandLine, Options) ->
    run(fun(Opts) -> 'Elixir.MuonTrap':shell(muontrap_terms:text(CommandLine), Opts) end, Options).

run(Fun, Options) ->
    muontrap_terms:call(fun() -> Fun(collecting(muontrap_terms:options(Options, [into]))) end).

%% Pieces of more than a text's kind make a list.
collecting(Options) when is_list(Options) ->
    case lists:keyfind(stderr, 1, Options) =:= {stderr, tag} orelse lists:keymember(lines, 1, Options) of
        true -> [{into, []} | Options];
        false -> Options
    end;
collecting(Options) ->
    Options.

%% @equiv stream(Fun, Acc, Command, Args, [])
-spec stream(fun((binary(), Acc) -> Acc), Acc, text(), [text()]) -> {Acc, status()}.
stream(Fun, Acc, Command, Args) -> stream(Fun, Acc, Command, Args, []).

%% @doc Folds a function over what a program writes, as it comes, and returns the last accumulator with the exit
%% status.
%%
%% The program is held up while the function works, and what has been read but not handled is no more than its window
%% (see `stdio_window'). To end early, throw: the program and all that descends from it are dead when the exception is
%% caught. With `{stderr, tag}' the function is called with `{stdout, Binary}' and `{stderr, Binary}'.
%%
%% ```
%% > muontrap:stream(fun(Data, Size) -> Size + byte_size(Data) end, 0, "head", ["-c", "1000000", "/dev/zero"]).
%% {1000000,0}
%% '''
-spec stream(fun((term(), Acc) -> Acc), Acc, text(), [text()], options()) -> {Acc, status()}.
stream(Fun, Acc, Command, Args, Options) when is_function(Fun, 2) ->
    Stream = muontrap_terms:call(fun() ->
        Opts = muontrap_terms:options(Options, [exit]),
        'Elixir.MuonTrap':'stream!'(muontrap_terms:text(Command), muontrap_terms:texts(Args), returning(Opts))
    end),
    Step = fun
        ({exit, Status}, {Last, _None}) -> {Last, Status};
        (Data, {Last, None}) -> {apart(Fun, Data, Last), None}
    end,
    try
        muontrap_terms:call(fun() -> 'Elixir.Enum':reduce(Stream, {Acc, undefined}, Step) end)
    catch
        error:{muontrap_callback, Reason, Stack} -> erlang:raise(error, Reason, Stack)
    end.

%% So that an exception of the function's own is left as it is.
apart(Fun, Data, Acc) ->
    try
        Fun(Data, Acc)
    catch
        error:Reason:Stack -> erlang:error({muontrap_callback, Reason, Stack})
    end.

returning(Options) when is_list(Options) -> [{exit, return} | Options];
returning(Options) -> Options.

%% @equiv attach(OsPid, [])
-spec attach(pos_integer()) -> {ok, pid()} | ignore | {error, failure()}.
attach(OsPid) -> attach(OsPid, []).

%% @doc Takes charge of a process that somebody else has started, for {@link muontrap_program} to wait for, signal and
%% stop. Its exit status is `unknown'.
-spec attach(pos_integer(), options()) -> {ok, pid()} | ignore | {error, failure()}.
attach(OsPid, Options) ->
    muontrap_terms:returned(
        muontrap_terms:call(fun() -> 'Elixir.MuonTrap':attach(OsPid, muontrap_terms:options(Options)) end)
    ).

%% @doc What runs in this node, whichever module has started it: a map a program, the oldest first.
%%
%% The documentation of `MuonTrap.list/0' says what the figures are.
-spec list() -> [running()].
list() -> [listed(Program) || Program <- 'Elixir.MuonTrap':list()].

listed(#{started_at := At} = Program) ->
    DateTime = 'Elixir.NaiveDateTime':to_erl('Elixir.DateTime':to_naive(At)),
    maps:map(
        fun
            (_Key, nil) -> undefined;
            (_Key, Value) -> Value
        end,
        Program#{started_at := DateTime}
    ).

%% @equiv check([])
-spec check() -> {ok | error, [point()]}.
check() -> check([]).

%% @doc Tells whether a program could be started in a cgroup with these options, and of what is missing what would
%% help.
-spec check(options()) -> {ok | error, [point()]}.
check(Options) ->
    {Result, Points} = muontrap_terms:call(fun() -> 'Elixir.MuonTrap':check(muontrap_terms:options(Options)) end),
    {Result, [#{ok => Ok, text => Text, remedy => Remedy} || #{'ok?' := Ok, text := Text, remedy := Remedy} <- Points]}.

%% @doc The path of the helper, the command `muontrap'.
-spec muontrap_path() -> binary().
muontrap_path() -> 'Elixir.MuonTrap':muontrap_path().
