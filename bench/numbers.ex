# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Numbers do
  @moduledoc false
  # Medians, percentiles, and how numbers are written.

  def median(values), do: percentile(values, 50)

  # The nearest rank: the smallest value that so many percent of the values don't exceed.
  def percentile(values, percent) do
    sorted = Enum.sort(values)
    Enum.at(sorted, max(ceil(length(sorted) * percent / 100), 1) - 1)
  end

  # Three significant digits, and thousands with a comma.
  def write(value) when is_integer(value), do: value |> Integer.to_string() |> group()
  def write(value) when value >= 100, do: value |> round() |> Integer.to_string() |> group()
  def write(value) when value >= 10, do: :erlang.float_to_binary(value / 1, decimals: 1)
  def write(value) when value >= 0.1 or value == 0, do: :erlang.float_to_binary(value / 1, decimals: 2)
  def write(value), do: :erlang.float_to_binary(value / 1, decimals: 4)

  defp group(digits), do: String.replace(digits, ~r/(?<=\d)(?=(\d{3})+$)/, ",")
end
