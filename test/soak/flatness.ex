# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Flatness do
  @moduledoc false
  # Whether what was sampled has stayed the same. Pure.
  #
  # The median of the second sixth of the run is compared with that of the last one. The first sixth is left out, in
  # which the VM gets the memory that it then keeps. What may have been added is a part of the earlier median, or an
  # absolute number where that is more, which is how far a quantity differs from one moment to the next because of
  # what happens to run.

  # Percent, and the absolute number. The VM's allocators keep and return memory in large pieces, so that what is
  # resident goes up and down by 8 MB from one minute to the next; what the VM counts as used is the finer measure of
  # the two.
  @bounds [
    vm_memory_kb: {5, 4_096},
    vm_rss_kb: {5, 16_384},
    descriptors: {5, 10},
    os_processes: {5, 15},
    helpers_pss_kb: {5, 1_024},
    processes: {5, 15},
    ports: {5, 10},
    ets_tables: {0, 2},
    atoms: {0, 50},
    cgroups: {5, 5}
  ]

  # Two of each sixth.
  @samples_least 12

  @doc "What has grown by more than it may, in words"
  @spec complaints([map()]) :: [String.t()]
  def complaints(samples) when length(samples) < @samples_least do
    ["only #{length(samples)} samples were taken, which are too few to be compared: the machine is too busy"]
  end

  def complaints(samples) do
    for {name, earlier, later, allowed} <- compare(samples), later - earlier > allowed do
      "#{name} has grown from #{earlier} to #{later} (medians of the second and the last sixth), " <>
        "by #{later - earlier}, and #{allowed} are allowed"
    end
  end

  @doc "The same of all quantities, as lines of a table"
  @spec table([map()]) :: [String.t()]
  def table(samples) when length(samples) < @samples_least, do: []

  def table(samples) do
    rows =
      for {name, earlier, later, allowed} <- compare(samples), do: ["#{name}", earlier, later, later - earlier, allowed]

    for row <- [["median of", "2nd sixth", "last sixth", "growth", "allowed"] | rows], do: line(row)
  end

  defp line([name | numbers]) do
    "  " <> String.pad_trailing(name, 16) <> Enum.map_join(numbers, &String.pad_leading("#{&1}", 12))
  end

  defp compare(samples) do
    for {name, {percent, most}} <- @bounds do
      earlier = samples |> sixth(2) |> median(name)
      {name, earlier, samples |> sixth(6) |> median(name), max(div(earlier * percent, 100), most)}
    end
  end

  defp sixth(samples, n) do
    size = length(samples)
    Enum.slice(samples, div((n - 1) * size, 6)..(div(n * size, 6) - 1)//1)
  end

  defp median(samples, name) do
    samples |> Enum.map(& &1[name]) |> Enum.sort() |> Enum.at(div(length(samples), 2))
  end
end
