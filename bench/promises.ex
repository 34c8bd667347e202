# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Promises do
  @moduledoc false
  # What is promised, each with its limit. This is the one place that has them: the page and the verdicts come from here.
  #
  # A ratio, or a size, holds on every machine, and a run fails when it is missed by more than a fifth: what is measured
  # varies by less than that from run to run, also on a machine that has something else to do. Times depend on the machine,
  # and are promised for one like that which the page describes; missing them is told and doesn't fail the run.

  @tolerance 0.2

  # {figure, at most or at least, limit, kind}
  @promises [
    {:launch, :at_most, 0.85, :ratio},
    {:launch_p99, :at_most, 1.2, :ratio},
    {:launches_by_8, :at_most, 0.9, :ratio},
    {:output, :at_least, 1.0, :ratio},
    {:output_small_window, :at_least, 0.2, :ratio},
    {:lines, :at_least, 2.0, :ratio},
    {:both_ways, :at_least, 0.5, :ratio},
    {:cpu, :at_most, 1.15, :ratio},
    {:daemons, :at_most, 1.6, :ratio},
    {:launch_in_cgroup, :at_most, 1.3, :ratio},
    {:launch_among_2000, :at_most, 1.2, :ratio},
    {:memory_among_2000, :at_most, 1.2, :ratio},
    {:resident, :at_most, 100, :size},
    {:stop_1000, :at_most, 80, :time},
    {:stop_10000, :at_most, 800, :time},
    {:stop_daemons, :at_most, 500, :time}
  ]

  # The figures that are promised, each with its promise and verdict; in the order above.
  def judge(figures) do
    for {id, bound, limit, kind} <- @promises, figure = Enum.find(figures, &(&1.id == id)) do
      %{figure: figure, bound: bound, limit: limit, kind: kind, verdict: verdict(figure, bound, limit, kind)}
    end
  end

  # Whether the run fails because of it.
  def broken?(%{verdict: :broken, kind: kind}), do: kind != :time
  def broken?(_judgement), do: false

  # The number that the promise is about.
  def value(figure, :ratio), do: figure.ratio
  def value(figure, _kind), do: figure.values[figure.ours]

  def words(%{bound: :at_most, limit: limit}), do: "at most #{limit}"
  def words(%{bound: :at_least, limit: limit}), do: "at least #{limit}"

  defp verdict(%{missing: reason}, _bound, _limit, _kind) when reason != nil, do: :missing
  defp verdict(figure, bound, limit, kind), do: compare(value(figure, kind), bound, limit)

  defp compare(value, :at_most, limit) when value <= limit, do: :met
  defp compare(value, :at_most, limit) when value <= limit * (1 + @tolerance), do: :missed
  defp compare(value, :at_least, limit) when value >= limit, do: :met
  defp compare(value, :at_least, limit) when value >= limit * (1 - @tolerance), do: :missed
  defp compare(_value, _bound, _limit), do: :broken
end
