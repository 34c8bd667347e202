# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Lines do
  @moduledoc false
  # How fast a daemon passes lines to `:logger_fun`, and a port of mode {:line, n} to who calls the same function.

  @behaviour Bench.Subject

  alias Bench.{Figure, Library, Programs, Turns}

  @lines 1_000_000
  @longest 65_536

  @impl Bench.Subject
  def title(), do: "lines"

  @impl Bench.Subject
  def promised(times) do
    Library.warm()
    rounds = Turns.run(3 * times, line_port: fn -> rate(&port/1) end, muontrap: fn -> rate(&daemon/1) end)
    [Figure.compare(:lines, "1,000,000 lines of at most 7 bytes, to `:logger_fun`", "lines/ms", rounds, :line_port)]
  end

  @impl Bench.Subject
  def rest(), do: []

  defp rate(run) do
    counter = :counters.new(1, [])
    ms = Turns.time(fn -> run.(fn _line -> :counters.add(counter, 1, 1) end) end)
    @lines = :counters.get(counter, 1)
    @lines / ms
  end

  defp port(fun), do: "seq" |> Programs.find() |> Programs.open(["#{@lines}"], line: @longest) |> receive_lines(fun)

  defp receive_lines(port, fun) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        fun.(line)
        receive_lines(port, fun)

      {^port, {:exit_status, 0}} ->
        :ok
    end
  end

  defp daemon(fun) do
    {:ok, daemon} = MuonTrap.Daemon.start_link("seq", ["#{@lines}"], logger_fun: fun)
    reference = Process.monitor(daemon)

    receive do
      {:DOWN, ^reference, :process, _pid, reason} when reason in [:normal, :noproc] -> :ok
    end
  end
end
