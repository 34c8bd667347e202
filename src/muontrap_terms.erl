%% SPDX-FileCopyrightText: The MuonTrap contributors
%% SPDX-License-Identifier: Apache-2.0

%% @private What Erlang's users write, as the library takes it, and what it returns or raises, as they expect it.
-module(muontrap_terms).

-export_type([text/0]).
-export([text/1, texts/1, options/1, options/2, start_link/4, returned/1, call/1]).

-type text() :: binary() | string().

%% A string of characters is one in UTF-8, as with open_port/2 where file names are.
-spec text(term()) -> term().
text(Text) when is_list(Text) ->
    try unicode:characters_to_binary(Text) of
        Binary when is_binary(Binary) -> Binary;
        _NoText -> Text
    catch
        error:badarg -> Text
    end;
text(Text) ->
    Text.

-spec texts(term()) -> term().
texts([Text | Texts]) -> [text(Text) | texts(Texts)];
texts(Texts) -> Texts.

%% A property list, of which the first value of a key counts, or a map.
-spec options(term()) -> term().
options(Options) -> options(Options, []).

%% The same without those that are another's.
-spec options(term(), [atom()]) -> term().
options(Options, NotHere) when is_map(Options) ->
    lists:foreach(
        fun(Key) -> is_map_key(Key, Options) andalso erlang:error({badarg, unknown(Key)}) end,
        NotHere
    ),
    maps:to_list(maps:map(fun option/2, Options));
options(Options, NotHere) when is_list(Options) ->
    case [Other || Other <- Options, not is_property(Other)] of
        [] -> options(maps:from_list(lists:reverse(proplists:unfold(Options))), NotHere);
        _NoProperties -> Options
    end;
options(Options, _NotHere) ->
    Options.

unknown(Key) -> unicode:characters_to_binary(io_lib:format("unknown option ~tp", [Key])).

is_property({Key, _Value}) -> is_atom(Key);
is_property(Key) -> is_atom(Key).

option(Key, Value) when Key =:= cd; Key =:= arg0; Key =:= lock; Key =:= log_prefix; Key =:= uid; Key =:= gid ->
    text(Value);
option(Key, Value) when Key =:= cgroup_path; Key =:= cgroup_base -> text(Value);
option(Key, Value) when Key =:= groups; Key =:= stop_command; Key =:= cgroup_controllers -> texts(Value);
option(env, Value) when is_function(Value, 0) -> fun() -> variables(Value()) end;
option(env, Value) ->
    variables(Value);
option(Key, {file, Path}) when Key =:= stdin; Key =:= stdout; Key =:= stderr -> {file, text(Path)};
option(Key, {file, Path, How}) when Key =:= stdout; Key =:= stderr -> {file, text(Path), How};
option(input, Next) when is_function(Next, 0) -> 'Elixir.Stream':unfold(Next, fun next_input/1);
option(cgroup_sets, Sets) when is_list(Sets) -> [cgroup_set(Set) || Set <- Sets];
option(name, {local, Name}) ->
    Name;
option(_Key, Value) ->
    Value.

%% As of open_port/2, false removes a variable.
variables(Variables) when is_list(Variables) -> [variable(Variable) || Variable <- Variables];
variables(Variables) when is_map(Variables) -> variables(maps:to_list(Variables));
variables(Variables) -> Variables.

variable({Name, false}) -> {text(Name), nil};
variable({Name, Value}) -> {text(Name), text(Value)};
variable(Other) -> Other.

next_input(Next) ->
    case Next() of
        eof -> nil;
        {Data, More} when is_function(More, 0) -> {Data, More};
        _Other ->
            Words = <<"a function of the option input returns eof, or a tuple of iodata and the next function">>,
            erlang:error({badarg, Words})
    end.

cgroup_set({Controller, Name, Value}) -> {text(Controller), text(Name), text(Value)};
cgroup_set(Other) -> Other.

%% Starts a program by one of the library's modules for that.
-spec start_link(module(), text(), [text()], term()) -> term().
start_link(Module, Command, Args, Options) ->
    returned(call(fun() -> Module:start_link(text(Command), texts(Args), options(Options)) end)).

%% What a start returns, or a wait.
-spec returned(term()) -> term().
returned({error, {#{'__exception__' := true} = Exception, Stack}}) when is_list(Stack) -> {error, reason(Exception)};
returned({error, {Reason, Stack}}) when is_atom(Reason), is_list(Stack) -> {error, Reason};
returned({error, #{'__exception__' := true} = Exception}) ->
    {error, reason(Exception)};
returned(Result) ->
    Result.

%% Calls the library, whose exceptions become errors of Erlang's kind.
-spec call(fun(() -> Result)) -> Result.
call(Fun) ->
    try
        Fun()
    catch
        error:#{'__exception__' := true} = Exception:Stack -> erlang:raise(error, reason(Exception), Stack)
    end.

reason(#{'__struct__' := 'Elixir.ArgumentError', message := Message}) ->
    {badarg, Message};
reason(#{'__struct__' := 'Elixir.MuonTrap.Error', stage := Stage, reason := Reason, message := Message}) ->
    {muontrap, #{stage => Stage, reason => Reason, message => Message}};
reason(Other) ->
    Other.
