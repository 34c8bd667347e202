# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Growth do
  @moduledoc false
  # What a launch costs, and what memory is held, while many programs run.

  @behaviour Bench.Subject

  alias Bench.{Daemons, Figure, Library, Numbers, Processes, Programs, Turns}

  @counts [10, 100, 1_000, 2_000]
  @launches 20

  @impl Bench.Subject
  def title(), do: "growth"

  @impl Bench.Subject
  def promised(times), do: measure(@counts, 10 * times)

  @impl Bench.Subject
  def rest(), do: []

  # Between the first numbers and the last ones the machine's speed may have changed. So what a launch takes is divided by
  # what one by posix_spawn(3) takes in the same round, which doesn't depend on what runs in the VM, before it is compared.
  defp measure([few | _more] = counts, rounds) do
    Library.warm()
    supervisor = Daemons.supervisor()
    among = for count <- grow(supervisor, counts), do: {count, launches(rounds), memory(supervisor)}
    Daemons.stop(supervisor)

    [{^few, first, _memory} | _more] = among
    launches = for {count, launches, _memory} <- among, do: launch_figure(count, launches, first)
    memory = for {count, _launches, memory} <- among, do: memory_figure(count, memory)
    launches ++ memory ++ [linear(for {count, _launches, memory} <- among, do: {count, memory})]
  end

  # Lazily: the next daemons are started once the last numbers have been measured.
  defp grow(supervisor, counts) do
    Stream.transform(counts, 0, fn count, running ->
      Daemons.start(supervisor, count - running)
      {[count], count}
    end)
  end

  defp launches(rounds) do
    Turns.run(rounds,
      posix_spawn: fn -> Numbers.median(Programs.numbers("spawn", [1, @launches, "true"])) / 1000 end,
      system_cmd: fn -> median(fn -> {"", 0} = System.cmd("true", []) end) end,
      muontrap: fn -> median(fn -> {"", 0} = MuonTrap.cmd("true", []) end) end
    )
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

  defp launch_figure(count, rounds, first) do
    figure =
      Figure.compare(
        :"launch_among_#{count}",
        "a launch among #{Numbers.write(count)} programs",
        "ms",
        rounds,
        :posix_spawn
      )

    among_10 = Figure.compare(:among_10, "", "ms", first, :posix_spawn)
    values = [{:among_10, among_10.values[:muontrap]} | figure.values]
    %{figure | values: values, against: :among_10, ratio: figure.ratio / among_10.ratio, spread: nil}
  end

  defp memory_figure(count, memory) do
    %Figure{
      id: {:memory_among, count},
      what: "memory held with #{Numbers.write(count)} programs",
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
      what: "memory held for each of the programs 1,001 to 2,000",
      unit: "KB",
      values: [first_1000: earlier, muontrap: later],
      against: :first_1000,
      ratio: later / earlier
    }
  end

  defp total(memory), do: memory.vm + memory.helpers
end
