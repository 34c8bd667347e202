# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Processes do
  @moduledoc false
  # What proc(5) says of processes, for many of them at a time.

  @doc "When a process was started, which tells it from one that has got its number later; nil when there is none"
  @spec started(pos_integer() | nil) :: non_neg_integer() | nil
  def started(pid) do
    case stat(pid) do
      nil -> nil
      fields -> fields |> Enum.at(19) |> String.to_integer()
    end
  end

  @doc "Whether that is a process of the helper"
  @spec helper?(pos_integer()) :: boolean()
  def helper?(pid) do
    case File.read_link("/proc/#{pid}/exe") do
      {:ok, path} -> path |> Path.basename() |> String.starts_with?("muontrap")
      {:error, _gone} -> false
    end
  end

  @doc "Kilobytes of a process, `Rss` or `Pss`; 0 when it is gone"
  @spec kilobytes(pos_integer() | String.t(), String.t()) :: non_neg_integer()
  def kilobytes(pid, name) do
    with {:ok, text} <- File.read("/proc/#{pid}/smaps_rollup"),
         [_line, number] <- Regex.run(~r/^#{name}: +(\d+) kB$/m, text) do
      String.to_integer(number)
    else
      _gone -> 0
    end
  end

  # The fields from the third one, the state, on.
  defp stat(pid) do
    case File.read("/proc/#{pid}/stat") do
      {:ok, text} -> text |> String.split(")") |> List.last() |> String.split()
      {:error, _gone} -> nil
    end
  end
end
