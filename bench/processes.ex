# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Processes do
  @moduledoc false
  # What proc(5) says of processes.

  @wait_ms 10

  # The VM's only child, which forks every program of a port and waits for it.
  def child_setup() do
    [pid] =
      for pid <- children(String.to_integer(System.pid())),
          File.read("/proc/#{pid}/comm") == {:ok, "erl_child_setup\n"},
          do: pid

    pid
  end

  def children(parent), do: for({pid, ^parent} <- parents(), do: pid)

  def parent(pid), do: Enum.at(stat(pid), 1)

  # Of every process, with the process that is its parent.
  defp parents() do
    for name <- File.ls!("/proc"),
        name =~ ~r/^\d+$/,
        fields = stat(name),
        do: {String.to_integer(name), Enum.at(fields, 1)}
  end

  # The fields from the third one, the state, on, numbers as such; nil when there is no such process.
  def stat(pid) do
    with {:ok, text} <- File.read("/proc/#{pid}/stat") do
      [_comm, fields] = String.split(text, ~r/.*\) /s, parts: 2)
      [state | numbers] = String.split(fields)
      [state | Enum.map(numbers, &String.to_integer/1)]
    else
      _gone -> nil
    end
  end

  def alive?(pid), do: File.exists?("/proc/#{pid}")

  # Kilobytes, of all these processes together: what is resident, and that with shared pages divided among who shares them.
  def memory(pids) do
    for(pid <- pids, do: rollup(pid)) |> Enum.reduce({0, 0}, fn {rss, pss}, {a, b} -> {rss + a, pss + b} end)
  end

  defp rollup(pid) do
    text = File.read!("/proc/#{pid}/smaps_rollup")
    {kilobytes(text, "Rss"), kilobytes(text, "Pss")}
  end

  defp kilobytes(text, name) do
    [_line, number] = Regex.run(~r/^#{name}: +(\d+) kB$/m, text)
    String.to_integer(number)
  end

  # Looks again and again, for half a minute at most.
  def wait_until(what, condition, deadline \\ System.monotonic_time(:millisecond) + 30_000) do
    cond do
      condition.() ->
        :ok

      System.monotonic_time(:millisecond) > deadline ->
        raise "the benchmark has waited for half a minute, and #{what} has not come about"

      true ->
        Process.sleep(@wait_ms)
        wait_until(what, condition, deadline)
    end
  end
end
