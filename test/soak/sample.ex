# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Sample do
  @moduledoc false
  # What this VM, and the system for it, hold at a moment.

  alias MuonTrap.Soak
  alias MuonTrap.Soak.Tally
  alias MuonTrap.Test.{Cgroups, OS}

  @names [
    :seconds,
    :commands,
    :restarts,
    :vm_memory_kb,
    :vm_rss_kb,
    :descriptors,
    :os_processes,
    :helpers_pss_kb,
    :processes,
    :ports,
    :ets_tables,
    :atoms,
    :cgroups
  ]

  @doc "The columns"
  @spec names() :: [atom()]
  def names(), do: @names

  # Garbage of others is theirs to collect: what they never do is what is looked for. But this process makes much at
  # once.
  @spec take(integer(), map()) :: %{atom() => number()}
  def take(started, plan) do
    descendants = OS.descendants([String.to_integer(System.pid())])
    pss = for(pid <- descendants, OS.helper?(pid), do: kilobytes(pid, "Pss")) |> Enum.sum()
    seconds = Float.round((Soak.now() - started) / 1_000, 1)
    :erlang.garbage_collect()

    %{
      seconds: seconds,
      commands: Tally.counted(:commands),
      restarts: Tally.counted(:restarts),
      vm_memory_kb: div(:erlang.memory(:total), 1_024),
      vm_rss_kb: kilobytes("self", "Rss"),
      descriptors: descriptors(),
      os_processes: length(descendants),
      helpers_pss_kb: pss,
      processes: :erlang.system_info(:process_count),
      ports: :erlang.system_info(:port_count),
      ets_tables: length(:ets.all()),
      atoms: :erlang.system_info(:atom_count),
      cgroups: if(plan.cgroup_base, do: length(Cgroups.children(plan.cgroup_base)), else: 0)
    }
  end

  # proc(5): of a process, `Rss` or `Pss`; 0 when it is gone.
  defp kilobytes(pid, name) do
    with {:ok, text} <- File.read("/proc/#{pid}/smaps_rollup"),
         [_line, number] <- Regex.run(~r/^#{name}: +(\d+) kB$/m, text) do
      String.to_integer(number)
    else
      _gone -> 0
    end
  end

  @doc "The VM's open descriptors"
  @spec descriptors() :: non_neg_integer()
  def descriptors(), do: length(File.ls!("/proc/self/fd"))
end
