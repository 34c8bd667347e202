%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

%% Counts which lines of the library a VM runs, whatever starts the VM. ERL_AFLAGS has erl(1) call start/0 before all else.
%% What is counted is written again and again, because tests kill many of their VMs.
-module(muontrap_coverage).

-export([start/0]).

%% Milliseconds: so long at least, and so long that writing takes a tenth of the time at most.
-define(EVERY, 300).

start() ->
    Ebin = os:getenv("MUONTRAP_COVERAGE_BEAMS"),
    Beams = filelib:wildcard(filename:join(Ebin, "*.beam")),
    %% Mix adds no paths for a task whose module is loaded.
    true = code:add_pathz(Ebin),
    {ok, _Server} = cover:start(),
    _ = cover:compile_beam([Beam || Beam <- Beams, counts(filename:basename(Beam))]),
    %% A pid is used again.
    Name = os:getpid() ++ "-" ++ integer_to_list(os:system_time()) ++ ".coverdata",
    File = filename:join(os:getenv("MUONTRAP_COVERAGE_LINES"), Name),
    _ = spawn(fun() -> export(File, ?EVERY) end),
    ok.

%% As mix.exs says.
counts(Name) -> re:run(Name, "MuonTrap\\.(Test|Torture|Soak)\\b") =:= nomatch.

%% Whoever reads the file has it whole.
export(File, After) ->
    timer:sleep(After),
    Start = erlang:monotonic_time(millisecond),
    _ = cover:export(File ++ ".new"),
    _ = file:rename(File ++ ".new", File),
    export(File, max(?EVERY, 9 * (erlang:monotonic_time(millisecond) - Start))).
