# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Memory do
  @moduledoc false
  # What keeper and relay hold together, as smaps_rollup in proc(5) has it: while a program of theirs runs that writes
  # nothing, and while they wait for the next launch.

  @behaviour Bench.Subject

  alias Bench.{Daemons, Figure, Library, Numbers, Processes}

  @pairs 20
  @unit "KB"

  @impl Bench.Subject
  def title(), do: "memory"

  @impl Bench.Subject
  def promised(_times), do: running()

  @impl Bench.Subject
  def rest(), do: waiting()

  defp running() do
    Library.warm()
    supervisor = Daemons.supervisor()
    Daemons.start(supervisor, @pairs)
    memory = for program <- Daemons.programs(supervisor), do: program |> Processes.parent() |> pair()
    Daemons.stop(supervisor)
    figures(memory, :resident, :proportional, "a running program's keeper and relay")
  end

  # There are none, or those that the library keeps for the next launch.
  defp waiting() do
    Library.warm()
    for _ <- 1..4, do: Task.await_many(for _ <- 1..4, do: Task.async(fn -> {"", 0} = MuonTrap.cmd("true", []) end))
    keepers = Processes.children(Processes.child_setup())
    memory = for keeper <- keepers, relay <- Processes.children(keeper), do: pair(relay)

    if memory == [],
      do: [],
      else: figures(memory, :waiting_resident, :waiting_proportional, "a waiting keeper and relay")
  end

  defp pair(relay), do: Processes.memory([Processes.parent(relay), relay])

  defp figures(memory, resident, proportional, of) do
    [
      figure(resident, "#{of}, resident", for({rss, _pss} <- memory, do: rss)),
      figure(proportional, "#{of}, proportional", for({_rss, pss} <- memory, do: pss))
    ]
  end

  defp figure(id, what, kilobytes),
    do: %Figure{
      id: id,
      what: what,
      unit: @unit,
      values: [muontrap: Numbers.median(kilobytes)],
      rounds: length(kilobytes)
    }
end
