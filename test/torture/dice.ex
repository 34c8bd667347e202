# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Dice do
  @moduledoc false
  # Random choices, from the state of `:rand` in the process's dictionary.

  @doc "So that the same seed gives the same choices"
  @spec seed(integer()) :: :ok
  def seed(seed) do
    :rand.seed(:exsss, seed)
    :ok
  end

  @doc "One of a list"
  @spec one_of([term(), ...]) :: term()
  def one_of(list), do: Enum.at(list, :rand.uniform(length(list)) - 1)

  @doc "One of those, by their weights"
  @spec pick([{pos_integer(), term()}, ...]) :: term()
  def pick(weighted) do
    total = weighted |> Enum.map(&elem(&1, 0)) |> Enum.sum()
    find(weighted, :rand.uniform(total))
  end

  defp find([{weight, what} | _rest], number) when number <= weight, do: what
  defp find([{weight, _what} | rest], number), do: find(rest, number - weight)

  @doc "Whether it comes true this time, in so many of a hundred times"
  @spec chance?(0..100) :: boolean()
  def chance?(percent), do: :rand.uniform(100) <= percent

  @doc "A number from 1 to that, whose size is as random as itself"
  @spec any_size(pos_integer()) :: pos_integer()
  def any_size(most), do: :rand.uniform(max(1, div(most, one_of([1, 10, 100, 1_000]))))
end
