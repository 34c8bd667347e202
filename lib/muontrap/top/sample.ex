# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.Sample do
  @moduledoc false
  # What MuonTrap.top/1 shows, as it is at one moment. It is called on the node that is watched, when somebody watches it.

  alias MuonTrap.Cgroup
  alias MuonTrap.Cgroup.Statistics

  @typedoc """
  The programs as `MuonTrap.list/0` has them, each with its `:owner_name`, in words: the name that the owner is registered by, if
  there is one, or its pid. `:ms` is the node's monotonic time, `:now` the time of day.
  """
  @type t :: %{
          node: node(),
          ms: integer(),
          now: DateTime.t(),
          uptime_s: non_neg_integer(),
          programs: [map()]
        }

  @doc """
  Take one
  """
  @spec take() :: t()
  def take() do
    programs = MuonTrap.list()
    {uptime_ms, _since_the_last_call} = :erlang.statistics(:wall_clock)

    %{
      node: node(),
      ms: System.monotonic_time(:millisecond),
      now: DateTime.utc_now(),
      uptime_s: div(uptime_ms, 1_000),
      programs: for(program <- programs, do: Map.put(program, :owner_name, owner_name(program.owner)))
    }
  end

  @doc """
  What is counted in a cgroup, and its limits
  """
  @spec figures(String.t()) :: %{optional(String.t()) => term()}
  def figures(cgroup) do
    limits = for name <- ["memory.max", "pids.max", "cpu.max"], do: {name, name, :text}
    Map.merge(Statistics.read(cgroup), Cgroup.read_all(cgroup, limits, fn :text, text -> {:ok, text} end))
  end

  defp owner_name(owner) when node(owner) == node() do
    case Process.info(owner, :registered_name) do
      {:registered_name, name} when is_atom(name) -> inspect(name)
      _none_or_dead -> inspect(owner)
    end
  end

  defp owner_name(owner), do: inspect(owner)
end
