# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Remains do
  @moduledoc false
  # Whether anything is left when all has been stopped. The helpers that the pool holds may be, with a port and two
  # descriptors each.

  alias MuonTrap.HelperPort.Pool
  alias MuonTrap.Soak.Sample
  alias MuonTrap.Test.{Cgroups, OS}

  @servers MuonTrap.HelperPort.Supervisor
  # What is told to end, or closed, may take a while on a machine that is busy.
  @within_ms 60_000
  # A look reads all of /proc.
  @pause_ms 100

  @doc "What there is in the VM before the run"
  @spec baseline() :: map()
  def baseline() do
    OS.remaining(fn -> if(servers() == 0, do: [], else: ["servers"]) end, @within_ms, @pause_ms)
    here()
  end

  @doc "What is left, in words, and more than was there before; nothing, or after a minute"
  @spec left(map(), map()) :: [String.t()]
  def left(before, plan) do
    OS.remaining(fn -> look(before, plan) end, @within_ms, @pause_ms)
  end

  defp look(before, plan) do
    here = here()
    helpers = length(OS.helpers_of_vm())
    idle = Pool.idle()

    for(
      {what, number} <- here,
      number > before[what],
      do: "#{number} #{what} are in the VM, and #{before[what]} were before"
    ) ++
      for(pid <- OS.alive(plan.mark), do: "process #{pid} of a program has survived") ++
      if(servers() > 0, do: ["#{servers()} servers of programs are left"], else: []) ++
      if(helpers != 2 * idle, do: ["#{helpers} processes of helpers are there, and #{idle} helpers idle"], else: []) ++
      if(plan.cgroup_base, do: for(name <- Cgroups.children(plan.cgroup_base), do: "cgroup #{name} is left"), else: [])
  end

  defp here() do
    idle = Pool.idle()

    %{
      descriptors: Sample.descriptors() - 2 * idle,
      ports: :erlang.system_info(:port_count) - idle,
      processes: :erlang.system_info(:process_count),
      ets_tables: length(:ets.all())
    }
  end

  defp servers(), do: DynamicSupervisor.count_children(@servers).active
end
