# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.StreamTest do
  # What a program writes as a stream, and what it reads as one.
  use ExUnit.Case, async: true

  alias MuonTrap.ExitError
  alias MuonTrap.Test.OS

  @megabyte 1_048_576

  setup do
    mark = OS.mark()
    {:ok, mark: mark, env: OS.marked(mark)}
  end

  defp sh(script, opts \\ []), do: MuonTrap.stream!("sh", ["-c", script], opts)
  defp megabytes(count), do: Stream.map(1..(count * 16), fn n -> :binary.copy(<<n::32>>, 16_384) end)

  defp sha256(chunks) do
    chunks |> Enum.reduce(:crypto.hash_init(:sha256), &:crypto.hash_update(&2, &1)) |> :crypto.hash_final()
  end

  # The bytes that this process keeps alive: not the garbage that looking at every process of the machine makes.
  defp held do
    :erlang.garbage_collect()
    [memory: heap, binary: binaries] = Process.info(self(), [:memory, :binary])
    heap + Enum.sum(for {_id, size, _count} <- binaries, do: size)
  end

  test "gives everything that the program writes, in order" do
    assert sh("echo one; echo two") |> Enum.join() == "one\ntwo\n"
    assert MuonTrap.stream!("true") |> Enum.to_list() == []
    {expected, 0} = MuonTrap.cmd("seq", ["100000"])
    assert MuonTrap.stream!("seq", ["100000"]) |> Enum.join() == expected
  end

  test "can be enumerated again, and starts the program each time" do
    stream = sh("echo $$")
    assert [first] = Enum.to_list(stream)
    assert [second] = Enum.to_list(stream)
    assert first != second
  end

  test "starts nothing before it is enumerated", %{mark: mark, env: env} do
    stream = sh("sleep 1000", env: env)
    assert OS.alive(mark) == []
    assert_raise ErlangError, ~r/enoent/, fn -> Enum.to_list(MuonTrap.stream!("no-such-program")) end
    assert is_function(stream) or is_struct(stream)
  end

  test "tells the streams apart, or joins them, or leaves stderr away" do
    both = "echo out; sleep 0.1; echo err >&2"
    assert sh(both, stderr: :tag) |> Enum.to_list() == [stdout: "out\n", stderr: "err\n"]
    assert sh(both, stderr: :stdout) |> Enum.join() == "out\nerr\n"
    assert sh(both, stderr_to_stdout: true) |> Enum.join() == "out\nerr\n"
    assert sh(both, stderr: :null) |> Enum.join() == "out\n"
    assert sh(both, capture_stderr_only: true) |> Enum.join() == "err\n"
  end

  test "raises for another status than 0, after the last element, unless that is to be returned" do
    test = self()
    each = &send(test, {:got, &1})

    error = assert_raise ExitError, "sh exited with status 3", fn -> Enum.each(sh("echo last; exit 3"), each) end
    assert %{command: "sh", status: 3, signal: nil} = error
    assert_received {:got, "last\n"}

    error =
      assert_raise ExitError, "sh was ended by the signal SIGKILL (status 137)", fn ->
        Enum.each(sh("kill -KILL $$"), each)
      end

    assert %{status: 137, signal: :sigkill} = error

    assert sh("echo last; exit 3", exit: :return) |> Enum.to_list() == ["last\n", {:exit, 3}]
    assert sh("exit 0", exit: :return) |> Enum.to_list() == [{:exit, 0}]
    assert sh("exit 0", exit: :raise) |> Enum.to_list() == []
  end

  test "ends the program when it is halted, when the consumer raises, and when it is killed", %{mark: mark, env: env} do
    endless = sh("echo up; sleep 1000 & sleep 1000", env: env)

    assert Enum.take(endless, 1) == ["up\n"]
    assert OS.alive(mark) == []
    assert_raise RuntimeError, "no", fn -> Enum.each(endless, fn _data -> raise "no" end) end
    assert OS.alive(mark) == []
    assert catch_throw(Enum.each(endless, fn _data -> throw(:ball) end)) == :ball
    assert OS.alive(mark) == []

    test = self()
    consumer = spawn(fn -> Enum.each(endless, fn data -> send(test, {:got, data}) end) end)
    assert_receive {:got, "up\n"}, 60_000
    Process.exit(consumer, :kill)
    OS.eventually(fn -> OS.alive(mark) == [] end)
  end

  test "holds the program up when it isn't read", %{mark: mark, env: env} do
    {:suspended, "y\n" <> _rest, continue} =
      "yes"
      |> MuonTrap.stream!([], env: env)
      |> Enumerable.reduce({:cont, nil}, fn data, _last -> {:suspend, data} end)

    before = held()
    [yes] = OS.alive(mark)
    OS.eventually(fn -> OS.blocked?(yes) end)
    assert held() - before < @megabyte
    {:halted, _last} = continue.({:halt, nil})
    refute_received _anything
  end

  test "takes part in a pipeline" do
    numbers = MuonTrap.stream!("seq", ["100000"])
    sorted = MuonTrap.stream!("sort", ["-rn"], input: numbers)
    assert MuonTrap.stream!("head", ["-n", "3"], input: sorted) |> Enum.join() == "100000\n99999\n99998\n"
  end

  test "two of them go side by side" do
    one = MuonTrap.stream!("seq", ["10000"]) |> Stream.flat_map(&String.codepoints/1)
    two = MuonTrap.stream!("seq", ["10000"]) |> Stream.flat_map(&String.codepoints/1)
    assert one |> Stream.zip(two) |> Enum.all?(fn {a, b} -> a == b end)
  end

  test "takes as much input as it gives output, at the same time" do
    assert sha256(MuonTrap.stream!("cat", [], input: megabytes(100))) == sha256(megabytes(100))
  end

  test "raises here what its input raises", %{mark: mark, env: env} do
    broken = Stream.map(1..3, fn n -> if n == 3, do: raise("over it"), else: "#{n}\n" end)
    assert_raise RuntimeError, "over it", fn -> Enum.to_list(MuonTrap.stream!("cat", [], input: broken, env: env)) end
    failing = MuonTrap.stream!("sh", ["-c", "exit 3"])
    assert_raise ExitError, fn -> Enum.to_list(MuonTrap.stream!("cat", [], input: failing, env: env)) end
    assert OS.alive(mark) == []
  end

  test "leaves no message, also in who traps exits" do
    Process.flag(:trap_exit, true)

    for _ <- 1..20 do
      assert MuonTrap.stream!("yes") |> Enum.take(3) |> length() == 3
      assert MuonTrap.stream!("cat", [], input: "hi") |> Enum.join() == "hi"
      assert MuonTrap.stream!("yes", [], input: Stream.cycle(["hi"])) |> Enum.take(1) |> length() == 1
    end

    refute_received _anything
    assert {:links, []} = Process.info(self(), :links)
  end

  defmodule Puller do
    # Holds a stream that it takes one element of at a time, as a producer of events does.
    use GenServer

    @impl GenServer
    def init({stream, test}) do
      {:ok, {&Enumerable.reduce(stream, &1, fn element, _last -> {:suspend, element} end), test}}
    end

    @impl GenServer
    def handle_call(:pull, _from, {continue, test}) do
      case continue.({:cont, nil}) do
        {:suspended, element, continue} -> {:reply, element, {continue, test}}
        {ended, _last} when ended in [:done, :halted] -> {:reply, :done, {nil, test}}
      end
    end

    @impl GenServer
    def handle_info(message, {_continue, test} = state) do
      send(test, {:unexpected, message})
      {:noreply, state}
    end
  end

  test "sends nothing to a consumer that does something else in between", %{mark: mark, env: env} do
    lines = sh("echo 1; read -r line; echo 2; echo 3", input: ["some", "thing\n"], env: env)
    {:ok, puller} = GenServer.start_link(Puller, {lines, self()})
    pull = fn -> GenServer.call(puller, :pull, 60_000) end
    first = pull.()
    # By then all has been written, and the end been told.
    OS.eventually(fn -> OS.alive(mark) == [] end)
    rest = pull |> Stream.repeatedly() |> Enum.take_while(&(&1 != :done))
    assert Enum.join([first | rest]) == "1\n2\n3\n"
    GenServer.stop(puller)
    refute_received {:unexpected, _message}
  end

  test "leaves another one alone that has got its helper" do
    numbers = fn ->
      first = sh("echo hi") |> Stream.flat_map(&[&1, :more]) |> Stream.take(2)
      second = sh("for n in 1 2 3 4 5 6; do echo $n; sleep 0.01; done")
      Stream.zip(Stream.concat(first, Stream.cycle([:-])), second) |> Enum.map_join(&elem(&1, 1))
    end

    for _ <- 1..50, do: assert(numbers.() == "1\n2\n3\n4\n5\n6\n")
  end

  test "is refused what makes no sense" do
    for {opts, words} <- [
          {[into: []], "unknown option :into for MuonTrap.stream!/3"},
          {[stderr: :nowhere], "expected :inherit, :null, :stdout, :tag, {:file, path} or"},
          {[exit: 3], "expected :raise or :return"},
          {[input: :none], "expected iodata"},
          {[stderr: :tag, stderr_to_stdout: true], "both say where stderr goes"}
        ] do
      error = assert_raise ArgumentError, fn -> MuonTrap.stream!("cat", [], opts) end
      assert error.message =~ words
    end
  end
end
