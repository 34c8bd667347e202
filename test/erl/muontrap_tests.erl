%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

%% Erlang's face of the library.
-module(muontrap_tests).

-include_lib("eunit/include/eunit.hrl").

-compile([export_all, nowarn_export_all]).

%% Strings and binaries, property lists and maps.
cmd_test_() ->
    [
        ?_assertEqual({<<"hello\n">>, 0}, muontrap:cmd("echo", ["hello"])),
        ?_assertEqual({<<"hello\n">>, 0}, muontrap:cmd(<<"echo">>, [<<"hello">>], #{})),
        ?_assertEqual({<<"ä €\n"/utf8>>, 0}, muontrap:cmd("echo", ["ä €"], [])),
        ?_assertEqual({<<>>, 3}, muontrap:cmd("sh", ["-c", "exit 3"], [])),
        ?_assertEqual({<<"/\n">>, 0}, muontrap:cmd("pwd", [], [{cd, "/"}])),
        ?_assertEqual({<<"/\n">>, 0}, muontrap:cmd("pwd", [], #{cd => <<"/">>})),
        ?_assertEqual({<<"me\n">>, 0}, muontrap:cmd("sh", ["-c", "echo $0"], [{arg0, "me"}])),
        ?_assertEqual({<<"out\nerr\n">>, 0}, muontrap:cmd("sh", ["-c", "echo out; echo err >&2"], [stderr_to_stdout])),
        ?_assertEqual({<<"7\n">>, 0}, muontrap:cmd("nice", [], [{nice, 7}, {nice, 9}])),
        ?_assertMatch({_Begun, timeout}, muontrap:cmd("sleep", ["1000"], [{timeout, 100}])),
        ?_assertEqual({[<<"1">>, <<"2">>], 0}, muontrap:cmd("seq", ["2"], [{lines, 100}])),
        ?_assertEqual({[{stderr, <<"err\n">>}], 0}, muontrap:cmd("sh", ["-c", "echo err >&2"], [{stderr, tag}]))
    ].

env_test_() ->
    Get = fun(Env) -> muontrap:cmd("sh", ["-c", "echo ${ONE-none} ${HOME-none}"], [{env, Env}]) end,
    [
        ?_assertEqual({<<"1 none\n">>, 0}, Get([{"ONE", "1"}, {"HOME", false}])),
        ?_assertEqual({<<"2 none\n">>, 0}, Get(#{<<"ONE">> => <<"2">>, "HOME" => false})),
        ?_assertEqual({<<"3 none\n">>, 0}, Get(fun() -> [{"ONE", "3"}, {"HOME", false}] end)),
        ?_assertEqual({<<"A=b\n">>, 0}, muontrap:cmd("env", [], [clear_env, {env, [{"A", "b"}]}]))
    ].

input_test_() ->
    [
        ?_assertEqual({<<"9\n10\n">>, 0}, muontrap:cmd("sort", ["-n"], [{input, ["10", $\n, <<"9\n">>]}])),
        ?_assertEqual({<<"3\n2\n1\n">>, 0}, muontrap:cmd("cat", [], [{input, fun() -> count_down(3) end}])),
        %% A program that ends early is no error of who writes without end.
        ?_assertEqual({<<"y\ny\n">>, 0}, muontrap:cmd("head", ["-n", "2"], [{input, fun yes/0}])),
        ?_assertError({badarg, <<"a function of the option input", _/binary>>},
            muontrap:cmd("cat", [], [{input, fun() -> foo end}]))
    ].

count_down(0) -> eof;
count_down(N) -> {integer_to_list(N) ++ "\n", fun() -> count_down(N - 1) end}.

yes() -> {"y\n", fun yes/0}.

files_test() ->
    Path = "muontrap-" ++ os:getpid() ++ "-" ++ integer_to_list(erlang:unique_integer([positive])),
    File = filename:join("/tmp", Path),
    ?assertEqual({<<>>, 0}, muontrap:cmd("echo", ["one"], [{stdout, {file, File}}])),
    ?assertEqual({<<>>, 0}, muontrap:cmd("echo", ["two"], [{stdout, {file, list_to_binary(File), [append]}}])),
    ?assertEqual({<<"one\ntwo\n">>, 0}, muontrap:cmd("cat", [], [{stdin, {file, File}}])),
    ok = file:delete(File).

shell_test_() ->
    [
        ?_assertEqual({<<"3\n">>, 0}, muontrap:shell("seq 3 | tail -n 1")),
        ?_assertEqual({<<"hi">>, 4}, muontrap:shell(<<"cat; exit 4">>, [{input, "hi"}]))
    ].

stream_test_() ->
    Size = fun(Data, Sum) -> Sum + byte_size(Data) end,
    [
        ?_assertEqual({1000000, 0}, muontrap:stream(Size, 0, "head", ["-c", "1000000", "/dev/zero"])),
        ?_assertEqual({0, 3}, muontrap:stream(Size, 0, "sh", ["-c", "exit 3"])),
        ?_assertEqual(
            {[{stderr, <<"e">>}], 0},
            muontrap:stream(fun(Item, Items) -> [Item | Items] end, [], "sh", ["-c", "printf e >&2"], [{stderr, tag}])
        ),
        ?_assertThrow(enough, muontrap:stream(fun(_Data, _Acc) -> throw(enough) end, 0, "yes", [])),
        ?_assertError(mine, muontrap:stream(fun(_Data, _Acc) -> error(mine) end, 0, "yes", []))
    ].

%% Nothing runs on after a function that throws.
stream_is_contained_test() ->
    Pid = fun(Data, _Acc) -> throw({pid, string:trim(Data)}) end,
    {pid, Text} = (catch muontrap:stream(Pid, none, "sh", ["-c", "echo $$; exec sleep 1000"])),
    ?assertNot(filelib:is_dir(<<"/proc/", Text/binary>>)).

errors_test_() ->
    [
        ?_assertError(
            {badarg, <<"unknown option :inpu for MuonTrap.cmd/3", _/binary>>}, muontrap:cmd("cat", [], [{inpu, 1}])
        ),
        ?_assertError({badarg, <<"unknown option into">>}, muontrap:cmd("cat", [], [{into, []}])),
        ?_assertError(
            {badarg, <<"unknown option exit">>}, muontrap:stream(fun max/2, 0, "cat", [], #{exit => return})
        ),
        ?_assertError({badarg, _}, muontrap:cmd(cat, [])),
        ?_assertError({badarg, _}, muontrap:cmd("cat", [a])),
        ?_assertError({badarg, _}, muontrap:cmd("cat", "no list of texts")),
        ?_assertError({badarg, _}, muontrap:cmd("cat", [], [1])),
        ?_assertError({badarg, _}, muontrap:cmd("cat", [], [{cd, 5}])),
        ?_assertError({badarg, _}, muontrap:cmd("cat", [], [{env, [{"A=", "b"}]}])),
        ?_assertError({badarg, _}, muontrap:shell([a])),
        ?_assertError(enoent, muontrap:cmd("no-such-program", [])),
        ?_assertError(eacces, muontrap:cmd("/etc/passwd", [])),
        ?_assertError(
            {muontrap, #{stage := cd, reason := enoent, message := <<"cannot change to the directory", _/binary>>}},
            muontrap:cmd("true", [], [{cd, "/no/such"}])
        ),
        ?_assertError(function_clause, muontrap:stream(no_function, 0, "true", []))
    ].

attach_test() ->
    Port = open_port({spawn_executable, os:find_executable("sleep")}, [{args, ["1000"]}]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    {ok, Sleep} = muontrap:attach(OsPid, [{stop_signal, sigint}]),
    ?assertEqual(OsPid, muontrap_program:os_pid(Sleep)),
    ?assertEqual({ok, unknown}, muontrap_program:stop(Sleep)),
    ?assertMatch(
        {error, {muontrap, #{stage := attach, reason := einval, message := <<"cannot attach to", _/binary>>}}},
        muontrap:attach(1)
    ),
    ?assertError({badarg, _}, muontrap:attach("5")),
    ?assertError({badarg, _}, muontrap:attach(5, #{cd => "/"})).

list_test() ->
    {ok, Daemon} = muontrap_daemon:start_link("sleep", ["1000"]),
    [Listed] = [Program || #{owner := Owner} = Program <- muontrap:list(), Owner =:= Daemon],
    ?assertMatch(
        #{command := <<"sleep">>, args := [<<"1000">>], os_pid := Pid, os_pids := [Pid], state := running},
        Listed
    ),
    ?assertMatch(#{started_at := {{_, _, _}, {_, _, _}}, cgroup := undefined}, Listed),
    gen_server:stop(Daemon).

check_test() ->
    {Result, Points} = muontrap:check(),
    ?assert(lists:member(Result, [ok, error])),
    ?assertMatch([#{ok := _, text := <<_/binary>>, remedy := _} | _], Points).

muontrap_path_test() -> ?assert(filelib:is_regular(muontrap:muontrap_path())).
