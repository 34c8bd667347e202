# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Many do
  @moduledoc false
  # Hundreds of daemons, started one after another as a supervisor does, and stopped all at once.

  @behaviour Bench.Subject

  alias Bench.{Daemons, Figure, Library, Numbers, Turns}

  @impl Bench.Subject
  def title(), do: "many daemons"

  @impl Bench.Subject
  def promised(times) do
    rounds = rounds(500, 2 * times + 1)
    [%{start(rounds, 500) | id: :daemons}, stop(rounds, 500)]
  end

  @impl Bench.Subject
  def rest() do
    rounds = rounds(1000, 3)
    [start(rounds, 1000), %{stop(rounds, 1000) | id: :stop_daemons}]
  end

  defp rounds(count, rounds) do
    Library.warm()

    Turns.run(rounds,
      port: fn -> Daemons.start_and_stop_ports(count) end,
      muontrap: fn -> Daemons.start_and_stop(count) end
    )
  end

  defp start(rounds, count),
    do: Figure.compare({:start, count}, "#{Numbers.write(count)} daemons started", "ms", rounds, :port, & &1.start)

  defp stop(rounds, count),
    do:
      Figure.compare(
        {:stop_all, count},
        "#{Numbers.write(count)} daemons stopped at once, until all are dead",
        "ms",
        rounds,
        :port,
        & &1.stop
      )
end
