# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Launch do
  @moduledoc false
  # What a launch of `true` takes, until its exit status is there.

  @behaviour Bench.Subject

  alias Bench.{Figure, Library, Numbers, Programs, Turns}

  # Of one turn, by each caller. Several, because what a launch leaves to be done afterwards is a part of its cost, and
  # would otherwise be another contestant's.
  @by_one 20
  @by_many 5

  # Callers, and rounds.
  @many [{8, 40}, {64, 8}]

  # For the 99th percentile, rounds are put together until there are so many launches of each contestant.
  @launches_together 400

  @impl Bench.Subject
  def title(), do: "a launch"

  @impl Bench.Subject
  def promised(times) do
    Library.warm()
    [p50, p99] = by(1, @by_one, 60 * times, "warm")
    eight = Turns.run(5 * times, system_cmd: total(&system_cmd/0), muontrap: total(&muontrap/0))

    [
      %{p50 | id: :launch, what: "a launch of `true`, warm, 1 caller, median"},
      %{p99 | id: :launch_p99, what: "a launch of `true`, warm, 1 caller, 99th percentile"},
      Figure.compare(:launches_by_8, "800 launches of `true` by 8 callers at once", "ms", eight, :system_cmd)
    ]
  end

  @impl Bench.Subject
  def rest() do
    Library.warm()
    warm = for {callers, rounds} <- @many, do: by(callers, @by_many, rounds, "warm")
    Library.cold()

    one = by(1, @by_one, 100, "cold")
    cold = for {callers, rounds} <- @many, do: by(callers, @by_many, rounds, "cold")
    List.flatten([warm, one, cold])
  end

  # The medians, and the 99th percentiles, of the launches by so many callers at once.
  defp by(callers, each, rounds, state) do
    rounds =
      Turns.run(rounds,
        system_cmd: fn -> launches(callers, each, &system_cmd/0) end,
        port: port(callers, each),
        posix_spawn: fn -> posix_spawn(callers, each) end,
        muontrap: fn -> launches(callers, each, &muontrap/0) end
      )

    for {percent, name, rounds} <- [{50, "median", rounds}, {99, "99th percentile", together(rounds, callers * each)}] do
      what = "#{state}, #{callers} #{if callers == 1, do: "caller", else: "callers"}, #{name}"
      convert = &Numbers.percentile(&1, percent)
      Figure.compare({:launch, state, callers, percent}, what, "ms", rounds, :system_cmd, convert)
    end
  end

  defp together(rounds, launches) do
    count = ceil(@launches_together / launches)

    for chunk <- Enum.chunk_every(rounds, count, count, :discard) do
      for contestant <- Keyword.keys(hd(chunk)), do: {contestant, Enum.flat_map(chunk, & &1[contestant])}
    end
  end

  defp total(launch), do: fn -> Turns.time(fn -> launches(8, 100, launch) end) end

  # Milliseconds of each launch.
  defp launches(1, each, launch), do: for(_ <- 1..each, do: Turns.time(launch))

  defp launches(callers, each, launch) do
    tasks = for _ <- 1..callers, do: Task.async(fn -> launches(1, each, launch) end)
    tasks |> Task.await_many(60_000) |> List.flatten()
  end

  defp posix_spawn(callers, each), do: for(us <- Programs.numbers("spawn", [callers, each, "true"]), do: us / 1000)

  # It is given the path, and so is spared the search that the others make each time.
  defp port(callers, each) do
    path = Programs.find("true")

    fn ->
      launches(callers, each, fn ->
        port = Programs.open(path, [])

        receive do
          {^port, {:exit_status, 0}} -> :ok
        end
      end)
    end
  end

  defp system_cmd(), do: {"", 0} = System.cmd("true", [])
  defp muontrap(), do: {"", 0} = MuonTrap.cmd("true", [])
end
