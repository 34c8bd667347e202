# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Growth do
  @moduledoc false
  # What a launch costs, and what memory is held, while many programs run.

  @behaviour Bench.Subject

  alias Bench.{Daemons, Figure, Library, Numbers, Processes, Turns}

  @counts [10, 100, 1_000, 2_000]
  @launches 20

  @impl Bench.Subject
  def title(), do: "growth"

  @impl Bench.Subject
  def promised(times), do: measure(@counts, 15 * times)

  @impl Bench.Subject
  def rest(), do: []

  # The first number comes once more at the end, so that what has changed meanwhile is not taken for the others' doing.
  defp measure([few | _more] = counts, rounds) do
    Library.warm()
    among = for {count, supervisor} <- grow(counts), do: {count, launches(rounds), memory(supervisor), supervisor}
    {_count, _launches, _memory, supervisor} = List.last(among)
    Daemons.stop(supervisor)

    [{^few, last}] = for {count, supervisor} <- grow([few]), do: {count, {launches(rounds), Daemons.stop(supervisor)}}
    {again, :ok} = last
    [{^few, first, _memory, _supervisor} | _more] = among
    base = Enum.map([first, again], & &1[:muontrap]) |> Enum.sum() |> Kernel./(2)

    launches = for {count, values, _memory, _supervisor} <- among, do: launch_figure(count, values, base, rounds)
    memory = for {count, _values, memory, _supervisor} <- among, do: memory_figure(count, memory)
    launches ++ memory ++ [linear(for {count, _values, memory, _supervisor} <- among, do: {count, memory})]
  end

  # Lazily: the next daemons are started once the last numbers have been measured.
  defp grow(counts) do
    supervisor = Daemons.supervisor()

    Stream.transform(counts, 0, fn count, running ->
      Daemons.start(supervisor, count - running)
      {[{count, supervisor}], count}
    end)
  end

  defp launches(rounds) do
    rounds =
      Turns.run(rounds,
        system_cmd: fn -> median(fn -> {"", 0} = System.cmd("true", []) end) end,
        muontrap: fn -> median(fn -> {"", 0} = MuonTrap.cmd("true", []) end) end
      )

    for contestant <- [:system_cmd, :muontrap],
        do: {contestant, Numbers.median(for round <- rounds, do: round[contestant])}
  end

  defp median(launch), do: Numbers.median(for _ <- 1..@launches, do: Turns.time(launch))

  # Kilobytes of the VM and of the helpers.
  defp memory(supervisor) do
    Enum.each(Process.list(), &:erlang.garbage_collect/1)
    relays = for program <- Daemons.programs(supervisor), do: Processes.parent(program)
    helpers = relays ++ Enum.map(relays, &Processes.parent/1)
    {_rss, pss} = Processes.memory(helpers)
    %{vm: div(:erlang.memory(:total), 1024), helpers: pss}
  end

  defp launch_figure(count, values, base, rounds) do
    %Figure{
      id: :"launch_among_#{count}",
      what: "a launch among #{count} programs",
      unit: "ms",
      values: [{:among_10, base} | values],
      against: :among_10,
      ratio: values[:muontrap] / base,
      rounds: rounds
    }
  end

  defp memory_figure(count, memory) do
    %Figure{
      id: {:memory_among, count},
      what: "held with #{count} programs",
      unit: "MB",
      values: [vm: memory.vm / 1024, helpers: memory.helpers / 1024],
      ours: :helpers
    }
  end

  # Linear means that each of the last programs takes no more than each of those before.
  defp linear(memory) do
    [{last, last_memory}, {middle, middle_memory}, _hundred, {first, first_memory}] = Enum.reverse(memory)
    later = (total(last_memory) - total(middle_memory)) / (last - middle)
    earlier = (total(middle_memory) - total(first_memory)) / (middle - first)

    %Figure{
      id: :memory_among_2000,
      what: "held for each of the programs 1,001 to 2,000",
      unit: "KB",
      values: [first_1000: earlier, muontrap: later],
      against: :first_1000,
      ratio: later / earlier
    }
  end

  defp total(memory), do: memory.vm + memory.helpers
end
