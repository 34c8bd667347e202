# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Output do
  @moduledoc false
  # How fast output arrives, by the window and by the size of the program's writes.

  @behaviour Bench.Subject

  alias Bench.{Figure, Library, Programs, Turns}

  @megabyte 1_000_000
  @unit "MB/s"

  # What is copied with a fixed window takes longer, the smaller the window.
  @windows [{1_024, 10}, {4_096, 40}, {10_240, 100}, {65_536, 400}, {262_144, 400}, {1_048_576, 400}]

  # Bytes of each write, and megabytes that are written.
  @writes [{64, 10}, {512, 50}, {4_096, 400}, {65_536, 800}, {1_048_576, 800}]

  @impl Bench.Subject
  def title(), do: "output"

  @impl Bench.Subject
  def promised(times) do
    Library.warm()
    rounds = Turns.run(7 * times, head(:system_cmd) ++ window(10_240, 100) ++ head(:muontrap))

    [
      of(rounds, :muontrap, :output, "400 MB, default window"),
      of(rounds, :window_10240, :output_small_window, "100 MB, `stdio_window: 10_240`")
    ]
  end

  @impl Bench.Subject
  def rest() do
    Library.warm()
    windows = Enum.flat_map(@windows, fn {size, megabytes} -> window(size, megabytes) end)
    rounds = Turns.run(5, head(:system_cmd) ++ head(:port) ++ windows ++ head(:muontrap))

    by_window =
      for {size, _megabytes} <- @windows do
        of(rounds, :"window_#{size}", {:window, size}, "window of #{bytes(size)}")
      end

    by_window ++ [of(rounds, :muontrap, {:window, :default}, "window by default") | Enum.map(@writes, &writes/1)]
  end

  defp head(way), do: [{way, copy(way, 400, [])}]
  defp window(size, megabytes), do: [{:"window_#{size}", copy(:muontrap, megabytes, stdio_window: size)}]

  defp copy(way, megabytes, options) do
    bytes = megabytes * @megabyte
    fn -> rate(bytes, fn -> Programs.sink(way, "head", ["-c", "#{bytes}", "/dev/zero"], bytes, options) end) end
  end

  # Of the same rounds there is a figure for each window.
  defp of(rounds, contestant, id, what) do
    rounds = for round <- rounds, do: Keyword.take(round, [:system_cmd, :port]) ++ [muontrap: round[contestant]]
    Figure.compare(id, what, @unit, rounds, :system_cmd)
  end

  defp writes({size, megabytes}) do
    count = div(megabytes * @megabyte, size)

    contestants =
      for way <- [:system_cmd, :port, :muontrap] do
        run = fn -> Programs.sink(way, Programs.own("writer"), ["#{size}", "#{count}"], size * count, []) end
        {way, fn -> rate(size * count, run) end}
      end

    Figure.compare({:write, size}, "writes of #{bytes(size)}", @unit, Turns.run(5, contestants), :system_cmd)
  end

  defp bytes(size) when size >= 1_048_576, do: "#{div(size, 1_048_576)} MiB"
  defp bytes(size) when size >= 1_024, do: "#{div(size, 1_024)} KiB"
  defp bytes(size), do: "#{size} bytes"

  defp rate(bytes, run), do: bytes / @megabyte / (Turns.time(run) / 1000)
end
