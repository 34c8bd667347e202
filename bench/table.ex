# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Table do
  @moduledoc false
  # Figures and verdicts as tables, for a terminal and for a page.

  alias Bench.{Numbers, Promises}

  @names [
    system_cmd: "`System.cmd/3`",
    port: "bare port",
    line_port: "port of `{:line, n}`",
    posix_spawn: "posix_spawn(3) in C",
    kernel: "kill(2) in C",
    one_way: "input alone",
    signal: "signal",
    stop: "stop",
    among_10: "MuonTrap among 10",
    first_1000: "each of the first 1,000",
    vm: "the VM",
    helpers: "all helpers",
    muontrap: "MuonTrap",
    muontrap_cgroup: "MuonTrap in a cgroup"
  ]

  @verdicts [met: "met", missed: "missed", broken: "missed by more than a fifth", missing: "not measured"]

  def markdown(figures), do: figures |> rows() |> markdown_rows()
  def plain(figures), do: figures |> rows() |> plain_rows()

  def markdown_judgements(judgements), do: judgements |> judgement_rows() |> markdown_rows()
  def plain_judgements(judgements), do: judgements |> judgement_rows() |> plain_rows()

  defp rows([]), do: []

  defp rows(figures) do
    columns = for {column, _name} <- @names, Enum.any?(figures, &Keyword.has_key?(&1.values, column)), do: column
    ratio? = Enum.any?(figures, & &1.ratio)
    head = ["", "unit"] ++ Enum.map(columns, &@names[&1]) ++ if(ratio?, do: ["ratio", "to", "rounds"], else: ["rounds"])
    [head | Enum.map(figures, &row(&1, columns, ratio?))]
  end

  defp row(%{missing: why} = figure, _columns, _ratio?) when why != nil, do: [figure.what, "not measured: #{why}"]

  defp row(figure, columns, ratio?) do
    values = for column <- columns, do: if(value = figure.values[column], do: Numbers.write(value), else: "–")
    ratio = if ratio?, do: [ratio(figure), @names[figure.against] || "–"], else: []
    [figure.what, figure.unit] ++ values ++ ratio ++ ["#{figure.rounds}"]
  end

  defp ratio(%{ratio: nil}), do: "–"
  defp ratio(%{spread: nil, ratio: ratio}), do: Numbers.write(ratio)

  defp ratio(%{spread: {low, high}, ratio: ratio}),
    do: "#{Numbers.write(ratio)} (#{Numbers.write(low)}–#{Numbers.write(high)})"

  defp judgement_rows(judgements) do
    [["", "against", "unit", "its", "ours", "ratio", "promised", "verdict"] | Enum.map(judgements, &judgement_row/1)]
  end

  defp judgement_row(%{verdict: :missing, figure: figure} = judgement) do
    [figure.what, "–", "–", "–", "–", "–", Promises.words(judgement), "not measured: #{figure.missing}"]
  end

  defp judgement_row(%{figure: figure, kind: :ratio} = judgement) do
    [its, ours] = for contestant <- [figure.against, figure.ours], do: Numbers.write(figure.values[contestant])
    ratio = Numbers.write(figure.ratio)
    [figure.what, @names[figure.against], figure.unit, its, ours, ratio, Promises.words(judgement), verdict(judgement)]
  end

  defp judgement_row(%{figure: figure} = judgement) do
    ours = Numbers.write(figure.values[figure.ours])
    promise = "#{Promises.words(judgement)} #{figure.unit}"
    [figure.what, "–", figure.unit, "–", ours, "–", promise, verdict(judgement)]
  end

  # Of what does not fail the run there is more to tell.
  defp verdict(%{verdict: :broken, kind: :time, figure: figure, limit: limit}),
    do: "missed by #{round((Promises.value(figure, :time) / limit - 1) * 100)} %"

  defp verdict(judgement), do: @verdicts[judgement.verdict]

  defp markdown_rows([]), do: ""

  defp markdown_rows([head | rows]) do
    [line(head), line(List.duplicate("---", length(head))) | Enum.map(rows, &line(fill(&1, length(head))))]
    |> Enum.join("\n")
  end

  defp line(cells), do: "| " <> Enum.join(cells, " | ") <> " |"

  defp fill(cells, count), do: cells ++ List.duplicate("", count - length(cells))

  defp plain_rows(rows) do
    # What is as long as a sentence makes no column wide.
    columns = rows |> Enum.map(&length/1) |> Enum.max(fn -> 0 end)
    whole = Enum.filter(rows, &(length(&1) == columns))

    widths =
      for column <- 0..(columns - 1)//1,
          do: whole |> Enum.map(&(&1 |> Enum.at(column) |> String.length())) |> Enum.max()

    Enum.map_join(rows, "\n", fn row ->
      cells = row |> Enum.zip(widths) |> Enum.map_join("  ", fn {cell, width} -> String.pad_trailing(cell, width) end)
      "  " <> String.trim_trailing(cells)
    end)
  end
end
