%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

-module(muontrap_daemon_tests).

-include_lib("eunit/include/eunit.hrl").

-compile([export_all, nowarn_export_all]).

daemon_test() ->
    process_flag(trap_exit, true),
    Test = self(),
    {ok, Daemon} = muontrap_daemon:start_link("sh", ["-c", "echo ready; exec sleep 1000"], [
        {logger_fun, fun(Line) -> Test ! {line, Line} end},
        {name, {local, my_daemon}}
    ]),
    receive
        {line, Line} -> ?assertEqual(<<"ready">>, Line)
    end,
    ?assert(is_integer(muontrap_daemon:os_pid(my_daemon))),
    ?assert(is_integer(muontrap_daemon:program_pid(my_daemon))),
    ?assertEqual(undefined, muontrap_daemon:cgroup_path(my_daemon)),
    ?assertEqual({error, no_cgroup}, muontrap_daemon:cgget(my_daemon, "memory.max")),
    ?assertEqual({error, no_cgroup}, muontrap_daemon:cgset(my_daemon, "memory.max", "max")),
    ?assertEqual(#{}, muontrap_daemon:cgroup_config(my_daemon)),
    ?assertMatch(#{output_byte_count := 6}, muontrap_daemon:statistics(my_daemon)),
    ?assertEqual(ok, muontrap_daemon:signal(my_daemon, sigterm)),
    receive
        {'EXIT', Daemon, Reason} -> ?assertEqual(error_exit_status, Reason)
    end.

child_spec_test_() ->
    Default = muontrap_daemon:child_spec({"sleep", ["1000"]}),
    [
        ?_assertMatch(#{id := muontrap_daemon, restart := permanent, shutdown := 5500, type := worker}, Default),
        ?_assertMatch(
            #{id := mine, restart := transient, shutdown := 15000, start := {_, start_link, ["sleep", [], _]}},
            muontrap_daemon:child_spec(#{
                command => "sleep", id => mine, restart => transient, options => #{delay_to_sigkill => 10000}
            })
        ),
        ?_assertError({badarg, <<"a child is {Command, Args}", _/binary>>}, muontrap_daemon:child_spec([])),
        ?_assertEqual(
            ok, supervisor:check_childspecs([Default, muontrap_daemon:child_spec(#{command => "x", id => 2})])
        )
    ].

supervised_test() ->
    process_flag(trap_exit, true),
    {ok, Supervisor} = supervisor:start_link(?MODULE, muontrap_daemon:child_spec({"sleep", ["1000"]})),
    [{muontrap_daemon, Daemon, worker, _}] = supervisor:which_children(Supervisor),
    Pid = muontrap_daemon:program_pid(Daemon),
    exit(Supervisor, shutdown),
    receive
        {'EXIT', Supervisor, shutdown} -> ok
    end,
    ?assertNot(filelib:is_dir("/proc/" ++ integer_to_list(Pid))).

init(Child) -> {ok, {#{}, [Child]}}.

errors_test() ->
    process_flag(trap_exit, true),
    ?assertEqual({error, enoent}, muontrap_daemon:start_link("no-such-program", [])),
    ?assertMatch({error, {badarg, _}}, muontrap_daemon:start_link("cat", [], [{no, 1}])),
    ?assertMatch({error, {muontrap, #{stage := cd}}}, muontrap_daemon:start_link("cat", [], [{cd, "/no/such"}])).
