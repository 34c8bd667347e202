# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Page do
  @moduledoc false
  # docs/benchmarks.md, from the template beside this file, and its plots.

  alias Bench.{Cgroups, Machine, Plots, Table}

  @template Path.join(__DIR__, "page.md.eex")
  @external_resource @template

  # Of the load average.
  @busy 0.5

  @page "docs/benchmarks.md"

  def write(figures, judgements, load) do
    assigns = [
      machine: Machine.describe(),
      load: load,
      busy: String.to_float(load) > @busy,
      cgroup: without_cgroup(),
      vm_kb: vm_kb(figures),
      promises: Table.markdown_judgements(judgements),
      table: fn select -> figures |> Enum.filter(&select?(&1, select)) |> Table.markdown() end
    ]

    text = EEx.eval_file(@template, assigns: assigns)
    File.write!(@page, text)
    Plots.write(figures)
    IO.puts("\nwritten: #{@page} and its plots")
  end

  # Why there is no figure with a cgroup; nil when there is.
  defp without_cgroup() do
    case Cgroups.options() do
      {:ok, _options} -> nil
      {:error, why} -> why
    end
  end

  # Of the VM, for each daemon.
  defp vm_kb(figures) do
    [few, many] = for count <- [10, 2_000], do: Enum.find(figures, &(&1.id == {:memory_among, count})).values[:vm]
    round((many - few) * 1024 / 1_990)
  end

  # An id, or the first part of ids that are tuples.
  defp select?(figure, select) do
    Enum.any?(select, fn wanted -> figure.id == wanted or (is_tuple(figure.id) and elem(figure.id, 0) == wanted) end)
  end
end
