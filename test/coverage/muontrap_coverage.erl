%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

%% Counts which lines of the library a VM runs, whatever starts the VM. ERL_AFLAGS has erl(1) call start/0 before all else.
%% What is counted is written again and again, because tests kill many of their VMs.
-module(muontrap_coverage).

-export([start/0]).

%% Milliseconds.
-define(EVERY, 300).

start() ->
    Ebin = os:getenv("MUONTRAP_COVERAGE_BEAMS"),
    Beams = filelib:wildcard(filename:join(Ebin, "*.beam")),
    %% Mix adds no paths for a task whose module is loaded.
    true = code:add_pathz(Ebin),
    {ok, _Server} = cover:start(),
    _ = cover:compile_beam([Beam || Beam <- Beams, counts(filename:basename(Beam))]),
    File = filename:join(os:getenv("MUONTRAP_COVERAGE_LINES"), os:getpid() ++ ".coverdata"),
    _ = spawn(fun() -> export(File) end),
    ok.

%% As mix.exs says.
counts(Name) -> re:run(Name, "MuonTrap\\.(Test|Torture|Soak)\\b") =:= nomatch.

%% Whoever reads the file has it whole.
export(File) ->
    timer:sleep(?EVERY),
    _ = cover:export(File ++ ".new"),
    _ = file:rename(File ++ ".new", File),
    export(File).
