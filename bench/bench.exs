# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

# The figures of docs/benchmarks.md. Everything is a ratio of MuonTrap.cmd/3 to System.cmd/3, measured in pairs that take
# turns within one run, because a machine's speed changes from one run to the next, and of pairs the median counts.

defmodule Bench.Sink do
  @moduledoc false
  # Counts bytes and keeps none.
  defstruct bytes: 0

  defimpl Collectable do
    def into(sink), do: {sink, &collect/2}

    defp collect(sink, {:cont, data}), do: %{sink | bytes: sink.bytes + byte_size(data)}
    defp collect(sink, _end), do: sink
  end
end

defmodule Bench do
  @moduledoc false

  @launches 20
  @bytes 400_000_000

  def run() do
    {:ok, _started} = Application.ensure_all_started(:muontrap)

    IO.puts(
      "MuonTrap #{Application.spec(:muontrap, :vsn)}, Elixir #{System.version()}, OTP #{System.otp_release()}, helper #{helper()}\n"
    )

    launch = pairs(60, fn -> launches(&System.cmd/3) end, fn -> launches(&MuonTrap.cmd/3) end)
    row("launch of true", launch, "time", "ms", fn us -> us / @launches / 1_000 end, :at_most, 1.35)

    default = pairs(11, fn -> copy(&System.cmd/3, []) end, fn -> copy(&MuonTrap.cmd/3, []) end)
    row("400 MB, default window", default, "throughput", "MB/s", &rate/1, :at_least, 0.6)

    small = pairs(7, fn -> copy(&System.cmd/3, []) end, fn -> copy(&MuonTrap.cmd/3, stdio_window: 10_240) end)
    row("400 MB, stdio_window: 10_240", small, "throughput", "MB/s", &rate/1, :at_least, 0.12)
  end

  defp helper() do
    if File.read!(MuonTrap.muontrap_path()) =~ "ld-linux", do: "dynamic", else: "static"
  end

  # Microseconds of each, side by side, after one of each that doesn't count.
  defp pairs(count, base, ours) do
    base.()
    ours.()
    for _ <- 1..count, do: {time(base), time(ours)}
  end

  defp time(fun) do
    {us, _result} = :timer.tc(fun)
    us
  end

  defp launches(cmd), do: for(_ <- 1..@launches, do: {"", 0} = cmd.("true", [], []))

  defp copy(cmd, opts) do
    {%{bytes: @bytes}, 0} = cmd.("head", ["-c", "#{@bytes}", "/dev/zero"], [into: struct(Bench.Sink)] ++ opts)
  end

  defp rate(us), do: @bytes / us

  defp row(name, pairs, what, unit, convert, bound, limit) do
    base = median(for {base, _ours} <- pairs, do: convert.(base))
    ours = median(for {_base, ours} <- pairs, do: convert.(ours))
    ratio = median(for {base, ours} <- pairs, do: convert.(ours) / convert.(base))

    IO.puts("#{name}, #{what}, medians of #{length(pairs)} pairs")
    IO.puts("  System.cmd/3    #{number(base)} #{unit}")
    IO.puts("  MuonTrap.cmd/3  #{number(ours)} #{unit}")
    IO.puts("  ratio           #{number(ratio)} (#{words(bound)} #{limit}: #{verdict(bound, ratio, limit)})\n")
  end

  defp words(:at_most), do: "the aim is at most"
  defp words(:at_least), do: "the aim is at least"

  defp verdict(:at_most, ratio, limit), do: if(ratio <= limit, do: "met", else: "missed")
  defp verdict(:at_least, ratio, limit), do: if(ratio >= limit, do: "met", else: "missed")

  defp number(value) when value >= 100, do: :erlang.float_to_binary(value / 1, decimals: 0)
  defp number(value), do: :erlang.float_to_binary(value / 1, decimals: 2)

  defp median(values) do
    sorted = Enum.sort(values)
    Enum.at(sorted, div(length(sorted), 2))
  end
end

Bench.run()
