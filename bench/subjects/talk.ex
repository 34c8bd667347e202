# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Talk do
  @moduledoc false
  # Talking to programs: how fast both ways at once are, and how long a signal and a stop take while both are full.

  @behaviour Bench.Subject

  alias Bench.{Figure, Library, Turns}
  alias MuonTrap.Program

  @megabyte 1_000_000
  @megabytes 500
  @block 65_536
  @stops 50

  # Each holds up what it can.
  @scripts [
    {"a program that never reads", "exec sleep 1000"},
    {"a program that never writes", "exec cat >/dev/null"},
    {"a program that writes all that it reads", "exec cat"},
    {"a program that has closed its stdout", "exec sleep 1000 >&-"},
    {"a program that has closed its stdin", "exec <&-; exec yes"}
  ]

  @impl Bench.Subject
  def title(), do: "talking"

  @impl Bench.Subject
  def promised(times) do
    Library.warm()
    rounds = Turns.run(5 * times, one_way: fn -> one_way() end, muontrap: fn -> both_ways() end)
    [Figure.compare(:both_ways, "#{@megabytes} MB through `cat`, both ways at once", "MB/s", rounds, :one_way)]
  end

  @impl Bench.Subject
  def rest() do
    Library.warm()

    for {what, script} <- @scripts do
      times = for _ <- 1..@stops, do: held_up(script)

      %Figure{
        id: {:answers, what},
        what: what,
        unit: "ms",
        values: [
          signal: times |> Enum.map(&elem(&1, 0)) |> Enum.max(),
          stop: times |> Enum.map(&elem(&1, 1)) |> Enum.max()
        ],
        rounds: @stops
      }
    end
  end

  defp one_way(), do: rate(fn -> {"", 0} = MuonTrap.cmd("cat", [], input: input(), stdout: :null) end)

  defp both_ways() do
    rate(fn ->
      bytes = "cat" |> MuonTrap.stream!([], input: input()) |> Enum.reduce(0, &(byte_size(&1) + &2))
      ^bytes = blocks() * @block
    end)
  end

  defp blocks(), do: div(@megabytes * @megabyte, @block)

  defp input() do
    block = :binary.copy("0123456789abcdef", div(@block, 16))
    Stream.duplicate(block, blocks())
  end

  defp rate(run), do: @megabytes / (Turns.time(run) / 1000)

  # A program that has been written to until it took no more, and of which nothing has been read.
  defp held_up(script) do
    {:ok, program} = Program.start_link("sh", ["-c", script], delay_to_sigkill: 0)
    block = :binary.copy("x", 4_000_000)
    writer = spawn(fn -> Program.write(program, block) end)
    Process.sleep(20)
    signal = Turns.time(fn -> :ok = Program.signal(program, :sigcont) end)
    stop = Turns.time(fn -> {:ok, _status} = Program.stop(program) end)
    Process.exit(writer, :kill)
    {signal, stop}
  end
end
