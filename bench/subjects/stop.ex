# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Stop do
  @moduledoc false
  # What the stop of a program takes that has forked many others, all of which ignore SIGTERM, until all are dead. No time
  # is left them to end by themselves: it would only be added.

  @behaviour Bench.Subject

  alias Bench.{Cgroups, Figure, Library, Numbers, Programs, Turns}

  # Sizes of trees, and how often each is stopped.
  @sizes [{1, 15}, {10, 15}, {100, 9}, {1_000, 5}, {5_000, 3}, {10_000, 3}]
  @ready_ms 60_000

  @impl Bench.Subject
  def title(), do: "the stop of a tree"

  @impl Bench.Subject
  def promised(_times), do: []

  @impl Bench.Subject
  def rest() do
    Library.warm()

    in_cgroup =
      case Cgroups.options() do
        {:ok, options} -> [muontrap_cgroup: options]
        {:error, _why} -> []
      end

    figures = for {size, rounds} <- @sizes, do: stops(size, rounds, in_cgroup)
    Cgroups.remove_base()
    figures
  end

  defp stops(size, rounds, in_cgroup) do
    ways = for {way, options} <- [muontrap: []] ++ in_cgroup, do: {way, fn -> stop(size, options) end}
    rounds = Turns.run(rounds, [kernel: fn -> kill(size) end] ++ ways)
    Figure.compare(id(size), "the stop of #{Numbers.write(size)} sleepers that ignore SIGTERM", "ms", rounds, :kernel)
  end

  # Those that are promised have names.
  defp id(1_000), do: :stop_1000
  defp id(10_000), do: :stop_10000
  defp id(size), do: {:stop, size}

  defp kill(size) do
    [us] = Programs.numbers("tree", [size, "kill"])
    us / 1000
  end

  defp stop(size, options) do
    test = self()

    {:ok, daemon} =
      MuonTrap.Daemon.start_link(
        Programs.own("tree"),
        ["#{size}"],
        [delay_to_sigkill: 0, logger_fun: fn "ready" -> send(test, :ready) end] ++ options
      )

    receive do
      :ready -> :ok
    after
      @ready_ms -> raise "#{size} sleepers have not been forked in a minute"
    end

    Turns.time(fn -> GenServer.stop(daemon, :normal, 60_000) end)
  end
end
