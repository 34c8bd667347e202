# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Tally do
  @moduledoc false
  # What has been done so far, and what was found wrong.

  use Agent

  @counted [:commands, :restarts, :lines, :sessions, :exchanges]
  # Of a fault that comes with each command, the first ones say enough.
  @findings_most 20

  @spec start() :: :ok
  def start() do
    {:ok, _agent} = Agent.start_link(fn -> %{kinds: %{}, findings: []} end, name: __MODULE__)
    reset()
  end

  @doc "Begins to count anew. What was found wrong stays"
  @spec reset() :: :ok
  def reset() do
    :persistent_term.put(__MODULE__, :counters.new(length(@counted), []))
    Agent.update(__MODULE__, &%{&1 | kinds: %{}})
  end

  @spec count(atom()) :: :ok
  def count(what), do: :counters.add(counters(), index(what), 1)

  @spec count(atom(), atom()) :: :ok
  def count(what, kind) do
    count(what)
    Agent.update(__MODULE__, &%{&1 | kinds: Map.update(&1.kinds, kind, 1, fn number -> number + 1 end)})
  end

  @spec counted(atom()) :: non_neg_integer()
  def counted(what), do: :counters.get(counters(), index(what))

  @doc "Something is wrong"
  @spec find(String.t()) :: :ok
  def find(finding) do
    Agent.update(__MODULE__, fn state ->
      if length(state.findings) < @findings_most, do: %{state | findings: state.findings ++ [finding]}, else: state
    end)
  end

  @doc "All of it, when the run is over"
  @spec read() :: map()
  def read() do
    state = Agent.get(__MODULE__, & &1)
    @counted |> Map.new(&{&1, counted(&1)}) |> Map.merge(%{state | kinds: Enum.sort(state.kinds)})
  end

  defp counters(), do: :persistent_term.get(__MODULE__)
  defp index(what), do: 1 + Enum.find_index(@counted, &(&1 == what))
end
