# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Cgroups do
  @moduledoc false
  # Whether programs can be run in cgroups here, and below which one.

  @base "muontrap_bench"

  # {:ok, options} for who runs a program, or {:error, why} it can't be done.
  def options() do
    case MuonTrap.check(cgroup_base: @base) do
      {:ok, _points} -> {:ok, [cgroup_base: @base]}
      {:error, points} -> {:error, points |> Enum.reject(& &1.ok?) |> Enum.map_join("; ", & &1.text)}
    end
  end

  # The base, which is made with the first cgroup in it and stays.
  def remove_base() do
    for mount <- Regex.scan(~r/^.* - cgroup2 .*$/m, File.read!("/proc/self/mountinfo")) do
      _gone_or_never_there = mount |> hd() |> String.split() |> Enum.at(4) |> Path.join(@base) |> File.rmdir()
    end
  end
end
