# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.CodecTest do
  # The same frames in Elixir and in C (test/protocol/codec.c): what one side encodes the other one decodes, and bytes that
  # nobody has encoded are taken or refused as docs/protocol.md says, which is written here a second time.
  #
  # The frames are random, by ExUnit's seed. A failure says how to have the same again: PROTOCOL_SEED=n makes n the first
  # case's seed.

  use ExUnit.Case, async: true

  import MuonTrap.Torture.Dice

  alias MuonTrap.Protocol

  @cases 2_000
  @input_most 1_048_577

  # Numbers that are the same on each processor that Linux runs on, and one of each kind that has no name.
  @errnos [{1, :eperm}, {2, :enoent}, {3, :esrch}, {12, :enomem}, {13, :eacces}, {22, :einval}, {9_999, 9_999}]
  @signals [{1, :sighup}, {2, :sigint}, {9, :sigkill}, {11, :sigsegv}, {15, :sigterm}, {40, nil}]
  @signal_names [
    {"sighup", 1},
    {"SIGINT", 2},
    {"KILL", 9},
    {"Term", 15},
    {"40", 40},
    {"sig15", 15},
    {"no", -1},
    {"0", -1},
    {"65", -1},
    {"sixteen.letters.", -1}
  ]

  setup_all do
    environment = for name <- ["MAKEFLAGS", "MFLAGS", "MAKELEVEL"], do: {name, nil}
    codec = "build/protocol/codec"

    {output, status} = System.cmd("make", ["--no-print-directory", codec], env: environment, stderr_to_stdout: true)
    assert status == 0, output
    %{codec: codec, seed: String.to_integer(System.get_env("PROTOCOL_SEED") || "#{ExUnit.configuration()[:seed]}")}
  end

  setup %{codec: codec} do
    %{port: Port.open({:spawn_executable, codec}, [:binary, :exit_status, packet: 4])}
  end

  # ---- The cases ----

  test "the helper understands the library's commands, however they are cut", context do
    each_case(context, fn port ->
      commands = for _command <- 1..any_size(6), do: command()
      bytes = for command <- commands, into: "", do: framed(Protocol.encode(command))
      understood = {Enum.map(commands, &understood/1), :whole, byte_size(bytes)}

      {understood, decoded(port, bytes, true, cuts())}
    end)
  end

  test "the library understands the helper's events", context do
    each_case(context, fn port ->
      {request, event} = event()
      <<size::32, payload::binary>> = ask(port, "e" <> request)

      {{byte_size(payload), event}, {size, Protocol.decode(payload)}}
    end)
  end

  test "the helper takes and refuses bytes as the page says, however they are cut", context do
    each_case(context, fn port ->
      bytes = hostile()
      expects_launch = chance?(70)

      {as_the_page_says(bytes, expects_launch), decoded(port, bytes, expects_launch, cuts())}
    end)
  end

  test "where frames are cut makes no difference, at whichever byte", %{port: port, seed: seed} do
    seed(seed)

    commands = [
      {:input, "hi"},
      :stop,
      {:ack, 7},
      {:resize, 1, 2},
      {:launch, ["--", "a"]},
      {:signal, 1, "sighup", :tree}
    ]

    bytes = for command <- commands, into: "", do: framed(Protocol.encode(command))

    for bytes <- [bytes, bytes <> <<0, 0, 0, 2, ?a>>, bytes <> <<0, 0, 0, 9, ?i, ?x>>] do
      size = byte_size(bytes)
      expected = as_the_page_says(bytes, true)

      for at <- 1..(size - 1), do: assert(decoded(port, bytes, true, [at, size]) == expected)
      for piece <- 1..size, do: assert(decoded(port, bytes, true, [piece]) == expected)
      for at <- 0..(size - 1), do: beginning(port, binary_part(bytes, 0, at))
    end
  end

  defp beginning(port, bytes), do: assert(decoded(port, bytes, true, [1]) == as_the_page_says(bytes, true))

  test "the library takes and refuses events as the page says", context do
    each_case(context, fn port ->
      {request, _event} = event()
      <<_size::32, payload::binary>> = ask(port, "e" <> request)
      payload = if chance?(90), do: mutated(payload), else: :rand.bytes(any_size(100))

      {event?(payload), taken?(payload)}
    end)
  end

  defp taken?(payload) do
    is_tuple(Protocol.decode(payload)) or Protocol.decode(payload) in [:unused, :stdout_ended, :stderr_ended]
  rescue
    FunctionClauseError -> false
    ArgumentError -> false
  end

  # Each case says what is expected and what there is, which are to be the same.
  defp each_case(%{port: port, seed: seed}, fun) do
    for seed <- seed..(seed + @cases - 1) do
      seed(seed)
      {expected, found} = fun.(port)
      assert found == expected, "PROTOCOL_SEED=#{seed}: expected #{inspect(expected)}, got #{inspect(found)}"
    end
  end

  # ---- What the helper says ----

  defp ask(port, request) do
    Port.command(port, request)

    receive do
      {^port, {:data, answer}} -> answer
      {^port, {:exit_status, status}} -> flunk("the helper's half has left with #{status} on #{inspect(request)}")
    after
      60_000 -> flunk("the helper's half doesn't answer #{inspect(request)}")
    end
  end

  # The commands, how they end, and how many bytes were taken.
  defp decoded(port, bytes, expects_launch, cuts) do
    flag = if expects_launch, do: 1, else: 0
    sizes = for size <- cuts, into: <<>>, do: <<size::16>>

    port |> ask(<<?d, flag, length(cuts), sizes::binary, bytes::binary>>) |> told([])
  end

  defp told(<<?p, size::32, piece::binary-size(size), rest::binary>>, [{:input, size_of_all, data} | told]),
    do: told(rest, [{:input, size_of_all, data <> piece} | told])

  defp told(<<?a, bytes::32, rest::binary>>, told), do: told(rest, [{:ack, bytes} | told])
  defp told(<<?i, size::32, rest::binary>>, told), do: told(rest, [{:input, size, ""} | told])
  defp told(<<?s, rest::binary>>, told), do: told(rest, [:stop | told])
  defp told(<<?d, rest::binary>>, told), do: told(rest, [:discard | told])
  defp told(<<?z, rest::binary>>, told), do: told(rest, [:end_of_input | told])
  defp told(<<?w, rows::16, columns::16, rest::binary>>, told), do: told(rest, [{:resize, rows, columns} | told])

  defp told(<<?k, receiver, id::32, signal::32-signed, rest::binary>>, told),
    do: told(rest, [{:signal, receiver, id, signal} | told])

  defp told(<<?l, size::32, text::binary-size(size), rest::binary>>, told), do: told(rest, [{:launch, text} | told])
  defp told(<<"?.", taken::32, _have::32, _left::32>>, told), do: {Enum.reverse(told), :malformed, taken}
  defp told(<<?., taken::32, 0::32, 0::32>>, told), do: {Enum.reverse(told), :whole, taken}
  defp told(<<?., taken::32, have::32, left::32>>, told), do: {Enum.reverse(told), {:within, have, left}, taken}

  # ---- Commands ----

  defp framed(payload), do: <<IO.iodata_length(payload)::32, IO.iodata_to_binary(payload)::binary>>

  defp command do
    pick([
      {3, {:ack, number(32)}},
      {1, :stop},
      {1, :discard},
      {1, :end_of_input},
      {2, {:resize, max(1, number(16)), max(1, number(16))}},
      {3, {:signal, number(32), elem(one_of(@signal_names), 0), one_of([:program, :group, :tree, :cgroup])}},
      {3, {:launch, for(_argument <- 1..any_size(100), do: text(any_size(120)))}},
      {3, {:input, input()}}
    ])
  end

  defp input do
    bytes = :rand.bytes(any_size(if(chance?(2), do: @input_most - 1, else: 3_000)))
    if chance?(50), do: bytes, else: [bytes, [], [?x | "yz"]] |> Enum.shuffle() |> fitting()
  end

  defp fitting(data), do: if(IO.iodata_length(data) < @input_most, do: data, else: "x")

  # What the helper has to make of it.
  defp understood({:input, data}), do: {:input, IO.iodata_length(data), IO.iodata_to_binary(data)}
  defp understood({:launch, arguments}), do: {:launch, Enum.map_join(arguments, &(&1 <> <<0>>))}

  defp understood({:signal, id, name, receiver}) do
    {^name, signal} = List.keyfind(@signal_names, name, 0)
    {:signal, Map.fetch!(%{program: 0, group: 1, tree: 2, cgroup: 3}, receiver), id, signal}
  end

  defp understood(command), do: command

  # "From the owner", read a second time.
  defp as_the_page_says(bytes, expects_launch), do: read(bytes, expects_launch, [], 0)

  defp read("", _expects_launch, read, taken), do: {Enum.reverse(read), :whole, taken}

  defp read(<<size::32, _rest::binary>>, _expects_launch, read, taken) when size < 1 or size > @input_most,
    do: {Enum.reverse(read), :malformed, taken + 4}

  defp read(<<size::32, tag, rest::binary>>, expects_launch, read, taken) do
    cond do
      (size - 1) not in payload_sizes(tag) or (tag == ?l and not expects_launch) ->
        {Enum.reverse(read), :malformed, taken + 5}

      byte_size(rest) >= size - 1 ->
        <<payload::binary-size(size - 1), rest::binary>> = rest
        read(rest, expects_launch, [command_of(tag, payload) | read], taken + 4 + size)

      tag == ?i ->
        input = {:input, size - 1, rest}
        {Enum.reverse([input | read]), {:within, 0, size - 1 - byte_size(rest)}, taken + 5 + byte_size(rest)}

      true ->
        {Enum.reverse(read), {:within, 5 + byte_size(rest), 0}, taken + 5 + byte_size(rest)}
    end
  end

  defp read(bytes, _expects_launch, read, taken),
    do: {Enum.reverse(read), {:within, byte_size(bytes), 0}, taken + byte_size(bytes)}

  defp payload_sizes(tag) when tag in [?a, ?w], do: 4..4
  defp payload_sizes(tag) when tag in [?s, ?d, ?z], do: 0..0
  defp payload_sizes(?k), do: 6..21
  defp payload_sizes(?l), do: 1..16_383
  defp payload_sizes(?i), do: 1..(@input_most - 1)
  defp payload_sizes(_unknown), do: []

  defp command_of(?a, <<bytes::32>>), do: {:ack, bytes}
  defp command_of(?w, <<rows::16, columns::16>>), do: {:resize, rows, columns}
  defp command_of(?s, ""), do: :stop
  defp command_of(?d, ""), do: :discard
  defp command_of(?z, ""), do: :end_of_input
  defp command_of(?l, text), do: {:launch, text}
  defp command_of(?i, data), do: {:input, byte_size(data), data}

  defp command_of(?k, <<receiver, id::32, name::binary>>),
    do: {:signal, receiver, id, signal_of(String.upcase(name, :ascii))}

  # Others than these are none, and hostile() makes no names but by chance.
  defp signal_of(name) do
    case List.keyfind(Enum.map(@signal_names, fn {name, signal} -> {String.upcase(name), signal} end), name, 0) do
      {^name, signal} -> signal
      nil -> -1
    end
  end

  # Frames with a mistake, and what isn't frames at all.
  defp hostile do
    pick([
      {4, fn -> frames() |> mutated() end},
      {2, fn -> frames() <> <<number(32)::32>> <> :rand.bytes(any_size(40)) end},
      {2, fn -> frames() <> framed(<<one_of('astdlkizwx'), :rand.bytes(any_size(30))::binary>>) end},
      {1, fn -> frames() <> <<@input_most + any_size(2) - 1::32, one_of('il'), "x">> end},
      {1, fn -> frames() <> framed([?l | :binary.copy("x", 16_380 + any_size(6))]) end},
      {1, fn -> :rand.bytes(any_size(200)) end}
    ]).()
  end

  # No signals, of which a changed name may be another one's.
  defp frames do
    for _frame <- 1..any_size(5), into: "" do
      case command() do
        {:signal, id, _name, receiver} -> framed(Protocol.encode({:signal, id, "@@", receiver}))
        other -> framed(Protocol.encode(other))
      end
    end
  end

  # ---- Events ----

  # What codec.c is asked for, and the event that has to come of it.
  defp event do
    pick([
      {1, &started/0},
      {3, &data/0},
      {4, &exited/0},
      {2, &error/0},
      {1, fn -> with words <- text(any_size(900)), do: {"W" <> words, {:waiting, words}} end},
      {2, &signalled/0},
      {1, fn -> with bytes <- max(1, number(32)), do: {<<?C, bytes::32>>, {:credit, bytes}} end},
      {1, fn -> with taken <- number(64), do: {<<?I, taken::64>>, {:input_closed, taken}} end},
      {1, fn -> one_of([{"U", :unused}, {"Q", :stdout_ended}, {"q", :stderr_ended}]) end}
    ]).()
  end

  defp started do
    pid = max(1, number(31))
    path = if chance?(50), do: text(any_size(1_000)), else: ""
    {<<?P, pid::32, path::binary>>, {:started, pid, path}}
  end

  defp data do
    {tag, name} = one_of([{?O, :stdout}, {?o, :stdout}, {?E, :stderr}, {?e, :stderr}])
    bytes = :rand.bytes(any_size(65_531))
    {<<tag, bytes::binary>>, {name, bytes}}
  end

  defp exited do
    {how, code, status, signal, name} = outcome()
    flags = for _flag <- 1..5, do: one_of([0, 1])
    [core, oom, stopped, forced, reusable] = flags
    [user, system, peak] = for _number <- 1..3, do: number(64)
    stragglers = number(32)
    names = for _name <- 1..any_size(8), chance?(50), do: text(any_size(15))
    {signalled, unknown} = Map.fetch!(%{0 => {0, 0}, 1 => {1, 0}, 2 => {0, 1}}, how)

    {<<?X, signalled, unknown, code::32, core, oom, stopped, forced, user::64, system::64, peak::64, stragglers::32,
       reusable, Enum.map_join(names, &(&1 <> "\n"))::binary>>,
     {:exited,
      %{
        status: status,
        signal: signal,
        signal_name: name,
        core_dumped: core == 1,
        oom_killed: oom == 1,
        stopped: stopped == 1,
        forced: forced == 1,
        user_us: user,
        system_us: system,
        peak_bytes: peak,
        stragglers: stragglers,
        reusable: reusable == 1,
        names: names
      }}}
  end

  defp outcome do
    {signal, name} = one_of(@signals)
    status = number(8)
    one_of([{0, status, status, nil, nil}, {1, signal, 128 + signal, signal, name}, {2, 0, :unknown, nil, nil}])
  end

  defp error do
    {number, stage} = one_of(Enum.to_list(Protocol.stages()))
    {errno, reason} = one_of([{0, :failed} | @errnos])
    words = text(any_size(1_000))

    {<<?!, number, errno::32, words::binary>>, {:error, %MuonTrap.Error{stage: stage, reason: reason, message: words}}}
  end

  defp signalled do
    id = number(32)
    {errno, reason} = one_of([{0, nil} | @errnos])
    {<<?K, id::32, errno::32>>, {:signalled, id, if(reason, do: {:error, reason}, else: :ok)}}
  end

  # "To the owner", read a second time. A stage that isn't known is taken, as of a later helper.
  defp event?(<<?P, pid::32, _path::binary>>), do: pid > 0
  defp event?(<<tag, data::binary>>) when tag in 'OEoe', do: data != ""
  defp event?(<<?W, _words::binary>>), do: true
  defp event?(<<?K, _id::32, errno::32, name::binary>>), do: name?(errno, name)
  defp event?(<<?C, bytes::32>>), do: bytes > 0
  defp event?(<<?I, _taken::64>>), do: true
  defp event?(<<tag>>) when tag in 'QqU', do: true

  defp event?(<<?!, _stage, errno::32, n, name::binary-size(n), _words::binary>>), do: name?(errno, name)

  defp event?(<<?X, how, _code::32, flags::binary-4, _times::binary-24, _left::32, reusable, n, rest::binary>>) do
    how in 0..2 and Enum.all?([reusable | :binary.bin_to_list(flags)], &(&1 in 0..1)) and byte_size(rest) >= n and
      (how == 1 or n == 0) and String.valid?(binary_part(rest, 0, n))
  end

  defp event?(_other), do: false

  defp name?(0, name), do: name == ""
  defp name?(_errno, name), do: byte_size(name) < 256 and String.valid?(name)

  # ---- Bytes ----

  # Of so many bits, and often one at an edge.
  defp number(bits) do
    most = Integer.pow(2, bits) - 1
    one_of([0, 1, most, most - 1, div(most, 2), :rand.uniform(300) |> min(most), :rand.uniform(most)])
  end

  defp text(size), do: for(_byte <- 1..size, into: "", do: <<:rand.uniform(94) + 32>>)

  # How large the pieces are, one after the other, over and over; none: all in one.
  defp cuts, do: if(chance?(30), do: [], else: for(_size <- 1..any_size(5), do: any_size(pick([{3, 10}, {1, 60_000}]))))

  defp mutated(bytes) do
    at = :rand.uniform(byte_size(bytes)) - 1
    <<before::binary-size(at), byte, rest::binary>> = bytes

    pick([
      {3, before <> <<:rand.uniform(256) - 1>> <> rest},
      {2, before <> <<one_of([0, 1, 2, byte + 1, 255])>> <> rest},
      {1, before},
      {1, before <> rest},
      {1, before <> <<byte, byte>> <> rest},
      {1, bytes <> :rand.bytes(any_size(3))}
    ])
  end
end
