# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Page do
  @moduledoc false
  # docs/benchmarks.md, from the template beside this file, and its plots.

  alias Bench.{Machine, Plots, Table}

  @template Path.join(__DIR__, "page.md.eex")
  @external_resource @template

  @page "docs/benchmarks.md"

  def write(figures, judgements, load) do
    assigns = [
      machine: Machine.describe(),
      load: load,
      promises: Table.markdown_judgements(judgements),
      table: fn select -> figures |> Enum.filter(&select?(&1, select)) |> Table.markdown() end
    ]

    text = EEx.eval_file(@template, assigns: assigns)
    File.write!(@page, text)
    Plots.write(figures)
    IO.puts("\nwritten: #{@page} and its plots")
  end

  # An id, or the first part of ids that are tuples.
  defp select?(figure, select) do
    Enum.any?(select, fn wanted -> figure.id == wanted or (is_tuple(figure.id) and elem(figure.id, 0) == wanted) end)
  end
end
