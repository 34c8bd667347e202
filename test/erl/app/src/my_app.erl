%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

-module(my_app).

-export([run/0]).

%% As an application of rebar3's users would: with the library started as an application, and its helper where that has
%% put it.
run() ->
    {ok, _Started} = application:ensure_all_started(my_app),
    {ok, Modules} = application:get_key(muontrap, modules),
    true = lists:member(muontrap, Modules) andalso lists:member('Elixir.MuonTrap', Modules),
    {<<"hello\n">>, 0} = muontrap:cmd("echo", ["hello"]),
    {ok, Program} = muontrap_program:start_link("cat"),
    ok = muontrap_program:write(Program, "hi"),
    {stdout, <<"hi">>} = muontrap_program:read(Program),
    {ok, _Status} = muontrap_program:stop(Program),
    io:format("ok~n"),
    halt(0).
