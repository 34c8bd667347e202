# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench do
  @moduledoc false
  # What `make bench` and its shorter forms do.
  #
  #   all                measures everything, and writes docs/benchmarks.md and its plots
  #   short [SUBJECT]…   measures what is promised and does not depend on the machine's speed, of these subjects or of all
  #   only SUBJECT…      measures everything of these subjects

  alias Bench.{Library, Machine, Page, Promises, Table}
  alias Bench.Subjects.{Calls, Cgroup, Cpu, Growth, Launch, Lines, Many, Memory, Output, Stop, Talk}

  # Memory first, while the VM has done little.
  @subjects [
    memory: Memory,
    launch: Launch,
    cgroup: Cgroup,
    output: Output,
    lines: Lines,
    cpu: Cpu,
    calls: Calls,
    many: Many,
    growth: Growth,
    stop: Stop,
    talk: Talk
  ]

  # Times the rounds of the short form.
  @long 3

  def main(["all"]) do
    load = prepare()
    figures = measure(Keyword.values(@subjects))
    judgements = Promises.judge(figures)
    Page.write(figures, judgements, load)
    finish(judgements)
  end

  def main(["short"]), do: main(["short" | for({name, _subject} <- @subjects, do: Atom.to_string(name))])

  def main(["short" | names]) do
    prepare()

    for subject <- Enum.map(names, &subject/1) do
      figures = announce(subject, fn -> subject.promised(1) end)
      figures |> Promises.judge() |> measure_again(subject)
    end
    |> List.flatten()
    |> finish()
  end

  def main(["only" | names]) do
    prepare()
    subjects = for name <- names, do: subject(name)
    subjects |> measure() |> Promises.judge() |> finish()
  end

  defp subject(name) do
    Enum.find_value(@subjects, fn {known, subject} -> if Atom.to_string(known) == name, do: subject end) ||
      raise ArgumentError, "there is no subject #{name}; there are: #{Enum.map_join(@subjects, " ", &elem(&1, 0))}"
  end

  # Returns the load of the machine before.
  defp prepare() do
    load = Machine.load()
    Machine.check_limits!()
    Library.warm()
    IO.puts("#{Machine.describe()}, load #{load}")
    load
  end

  defp measure(subjects) do
    Enum.flat_map(subjects, &announce(&1, fn -> &1.promised(@long) ++ &1.rest() end))
  end

  defp announce(subject, measure) do
    IO.puts("\n#{subject.title()}")
    {us, figures} = :timer.tc(measure)
    IO.puts(Table.plain(figures))
    IO.puts("  in #{round(us / 1_000_000)} s")
    figures
  end

  # The short form has few rounds, of which something else that the machine does can spoil more than half. So what seems to
  # be broken is measured once more with as many rounds as in the long form, and that alone counts. A ratio that is really
  # missed by more than a fifth is missed the more surely, the more rounds there are.
  defp measure_again(judgements, subject) do
    if Enum.any?(judgements, &Promises.broken?/1) do
      IO.puts("  missed by more than a fifth; once more, with #{@long} times the rounds")
      announce(subject, fn -> subject.promised(@long) end) |> Promises.judge()
    else
      judgements
    end
  end

  defp finish(judgements) do
    Library.stop()
    IO.puts("\n" <> Table.plain_judgements(judgements))

    case Enum.filter(judgements, &Promises.broken?/1) do
      [] ->
        :ok

      broken ->
        IO.puts("\nmissed by more than a fifth: #{Enum.map_join(broken, "; ", & &1.figure.what)}")
        exit({:shutdown, 1})
    end
  end
end
