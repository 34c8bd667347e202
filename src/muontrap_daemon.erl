%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

%% @doc A program in a supervision tree.
%%
%% This is the face for Erlang of the module `MuonTrap.Daemon', whose documentation says all. Options and errors are as
%% of the module {@link muontrap}.
%%
%% ```
%% init([]) ->
%%     Redis = muontrap_daemon:child_spec(#{command => "redis-server", args => ["--port", "0"],
%%                                          options => [{log_output, info}, {delay_to_sigkill, 10000}]}),
%%     {ok, {#{}, [Redis]}}.
%% '''
-module(muontrap_daemon).

-export([
    child_spec/1,
    start_link/2,
    start_link/3,
    os_pid/1,
    program_pid/1,
    signal/2,
    signal/3,
    cgroup_path/1,
    cgget/2,
    cgset/3,
    cgroup_config/1,
    statistics/1
]).

-type daemon() :: pid() | atom() | {atom(), node()} | {global, term()} | {via, module(), term()}.
-type child() ::
    {muontrap:text(), [muontrap:text()]}
    | {muontrap:text(), [muontrap:text()], muontrap:options()}
    | #{
        command := muontrap:text(),
        args => [muontrap:text()],
        options => muontrap:options(),
        id => term(),
        restart => permanent | transient | temporary,
        shutdown => brutal_kill | timeout(),
        significant => boolean()
    }.
-export_type([daemon/0, child/0]).

%% @doc A child of a supervisor.
%%
%% Of a map, what isn't `command', `args' or `options' goes into the specification as it is. By default the `id' is
%% this module, the daemon is permanent, and `shutdown' is as long as a stop may take by the options.
-spec child_spec(child()) -> supervisor:child_spec().
child_spec({Command, Args}) ->
    child_spec(#{command => Command, args => Args});
child_spec({Command, Args, Options}) ->
    child_spec(#{command => Command, args => Args, options => Options});
child_spec(#{command := Command} = Child) ->
    Args = maps:get(args, Child, []),
    Options = muontrap_terms:options(maps:get(options, Child, [])),
    #{shutdown := Shutdown} = 'Elixir.MuonTrap.Daemon':child_spec([Command, Args, Options]),
    maps:merge(
        #{
            id => ?MODULE,
            start => {?MODULE, start_link, [Command, Args, Options]},
            restart => permanent,
            shutdown => Shutdown,
            type => worker,
            modules => ['Elixir.MuonTrap.Daemon']
        },
        maps:without([command, args, options], Child)
    );
child_spec(Other) ->
    Kinds = "a child is {Command, Args}, {Command, Args, Options} or a map with command, not ~tp",
    Message = io_lib:format(Kinds, [Other]),
    erlang:error({badarg, unicode:characters_to_binary(Message)}).

%% @equiv start_link(Command, Args, [])
-spec start_link(muontrap:text(), [muontrap:text()]) -> {ok, pid()} | {error, muontrap:failure()}.
start_link(Command, Args) -> start_link(Command, Args, []).

%% @doc Starts a daemon that is linked to the caller. It ends with the program.
-spec start_link(muontrap:text(), [muontrap:text()], muontrap:options()) -> {ok, pid()} | {error, muontrap:failure()}.
start_link(Command, Args, Options) -> muontrap_terms:start_link('Elixir.MuonTrap.Daemon', Command, Args, Options).

%% @doc The process id of the helper that runs the program.
-spec os_pid(daemon()) -> non_neg_integer() | error.
os_pid(Daemon) -> 'Elixir.MuonTrap.Daemon':os_pid(Daemon).

%% @doc The process id of the program.
-spec program_pid(daemon()) -> pos_integer() | error.
program_pid(Daemon) -> 'Elixir.MuonTrap.Daemon':program_pid(Daemon).

%% @equiv signal(Daemon, Signal, program)
-spec signal(daemon(), muontrap_program:signal()) -> ok | {error, atom()}.
signal(Daemon, Signal) -> signal(Daemon, Signal, program).

%% @doc Sends a signal to the program, its process group, its tree or its cgroup.
-spec signal(daemon(), muontrap_program:signal(), program | group | tree | cgroup) -> ok | {error, atom()}.
signal(Daemon, Signal, To) ->
    muontrap_terms:call(fun() -> 'Elixir.MuonTrap.Daemon':signal(Daemon, Signal, To) end).

%% @doc The path of the program's cgroup, relative to the mount; `undefined' without one.
-spec cgroup_path(daemon()) -> binary() | undefined.
cgroup_path(Daemon) ->
    case 'Elixir.MuonTrap.Daemon':cgroup_path(Daemon) of
        nil -> undefined;
        Path -> Path
    end.

%% @doc Reads a file of the program's cgroup.
-spec cgget(daemon(), muontrap:text()) -> {ok, binary()} | {error, file:posix() | no_cgroup}.
cgget(Daemon, Name) -> 'Elixir.MuonTrap.Daemon':cgget(Daemon, muontrap_terms:text(Name)).

%% @doc Writes to a file of the program's cgroup.
-spec cgset(daemon(), muontrap:text(), muontrap:text()) -> ok | {error, file:posix() | no_cgroup}.
cgset(Daemon, Name, Value) ->
    'Elixir.MuonTrap.Daemon':cgset(Daemon, muontrap_terms:text(Name), muontrap_terms:text(Value)).

%% @doc The settings of the program's cgroup, as the option `cgroup' takes them.
-spec cgroup_config(daemon()) -> #{atom() => term()}.
cgroup_config(Daemon) -> 'Elixir.MuonTrap.Daemon':cgroup_config(Daemon).

%% @doc What the program has used and written.
-spec statistics(daemon()) -> #{atom() => term()}.
statistics(Daemon) -> 'Elixir.MuonTrap.Daemon':statistics(Daemon).
