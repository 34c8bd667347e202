%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

-module(muontrap_program_tests).

-include_lib("eunit/include/eunit.hrl").

-compile([export_all, nowarn_export_all]).

dialogue_test() ->
    {ok, Bc} = muontrap_program:start_link("bc", []),
    ?assertEqual(ok, muontrap_program:write(Bc, "6 * 7\n")),
    ?assertEqual({stdout, <<"42\n">>}, muontrap_program:read(Bc)),
    ?assertEqual({error, timeout}, muontrap_program:read(Bc, 0)),
    ?assert(is_integer(muontrap_program:os_pid(Bc))),
    ?assertEqual(ok, muontrap_program:close_stdin(Bc)),
    ?assertEqual({ok, 0}, muontrap_program:await(Bc, 60000)),
    ?assertEqual(eof, muontrap_program:read(Bc)),
    ?assertEqual({error, closed}, muontrap_program:write(Bc, <<"1\n">>, 1000)),
    ?assertEqual({error, exited}, muontrap_program:os_pid(Bc)),
    ?assertEqual({ok, 0}, muontrap_program:stop(Bc)).

messages_test() ->
    {ok, Cat} = muontrap_program:start_link("cat", [], [{active, once}]),
    ok = muontrap_program:write(Cat, "one\n"),
    ?assertEqual({stdout, <<"one\n">>}, message(Cat)),
    ok = muontrap_program:set_active(Cat, true),
    ok = muontrap_program:close_stdin(Cat),
    ?assertEqual(eof, message(Cat)),
    ?assertEqual({exit, 0}, message(Cat)),
    {ok, 0} = muontrap_program:stop(Cat).

message(Program) ->
    receive
        {Program, Message} -> Message
    after 60000 -> timeout
    end.

signals_test() ->
    {ok, Sleep} = muontrap_program:start_link("sleep", ["1000"], #{name => {local, sleeper}}),
    ?assertEqual(Sleep, whereis(sleeper)),
    ?assertEqual(ok, muontrap_program:signal(sleeper, sigcont)),
    ?assertEqual(ok, muontrap_program:signal(sleeper, sigterm, group)),
    ?assertEqual({ok, 143}, muontrap_program:await(sleeper)),
    ?assertEqual({error, exited}, muontrap_program:signal(sleeper, 15)),
    ?assertEqual({ok, 143}, muontrap_program:stop(sleeper)).

terminal_test() ->
    Pty = [{rows, 24}, {cols, 80}, {echo, false}],
    {ok, Program} = muontrap_program:start_link("sh", ["-c", "read line; stty size"], [{pty, Pty}]),
    ?assertEqual(ok, muontrap_program:resize(Program, 30, 100)),
    ok = muontrap_program:write(Program, "\n"),
    ?assertEqual({stdout, <<"30 100\r\n">>}, muontrap_program:read(Program)),
    ?assertEqual({ok, 0}, muontrap_program:await(Program)),
    {ok, 0} = muontrap_program:stop(Program).

supervised_test() ->
    process_flag(trap_exit, true),
    #{id := ours, start := {muontrap_program, start_link, _}} =
        Child = muontrap_program:child_spec({"sleep", ["1000"], [{name, {local, ours}}]}),
    {ok, Supervisor} = supervisor:start_link(?MODULE, Child),
    [{ours, Program, worker, _}] = supervisor:which_children(Supervisor),
    Pid = muontrap_program:os_pid(Program),
    exit(Supervisor, shutdown),
    receive
        {'EXIT', Supervisor, shutdown} -> ok
    end,
    ?assertNot(filelib:is_dir("/proc/" ++ integer_to_list(Pid))).

init(Child) -> {ok, {#{}, [Child]}}.

errors_test_() ->
    [
        fun() ->
            process_flag(trap_exit, true),
            Start = fun(Options) -> muontrap_program:start_link("cat", [], Options) end,
            ?assertMatch({error, {badarg, <<"unknown option", _/binary>>}}, Start([{no, 1}])),
            ?assertEqual({error, enoent}, muontrap_program:start_link("no-such-program")),
            ?assertMatch({error, {muontrap, #{stage := cd}}}, Start([{cd, "/no/such"}]))
        end,
        fun() ->
            {ok, Cat} = muontrap_program:start_link("cat"),
            ?assertError(
                {badarg, <<"MuonTrap.Program.write/3 takes iodata", _/binary>>}, muontrap_program:write(Cat, text)
            ),
            ?assertError({badarg, _}, muontrap_program:signal(Cat, signone)),
            ?assertError({badarg, _}, muontrap_program:set_active(Cat, maybe)),
            ?assertError({badarg, _}, muontrap_program:resize(Cat, 0, 1)),
            ?assertEqual({error, no_pty}, muontrap_program:resize(Cat, 1, 1)),
            {ok, _} = muontrap_program:stop(Cat)
        end
    ].
