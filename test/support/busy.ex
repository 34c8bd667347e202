# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Busy do
  @moduledoc false
  # Processes of the VM that go round and round.

  # In so many milliseconds a process that waits for messages doesn't come to so many reductions, and one that never waits comes
  # to some hundred times as many, or ten times where the processor is emulated.
  @while 300
  @reductions 20_000

  @doc "Those that work: what each of them is, and what it does"
  def processes() do
    before = reductions()
    Process.sleep(@while)

    for {pid, now} <- reductions(), pid != self(), now - Map.get(before, pid, now) > @reductions do
      {pid, Process.info(pid, [:registered_name, :initial_call, :dictionary, :current_stacktrace])}
    end
  end

  defp reductions() do
    for pid <- Process.list(), {:reductions, count} <- [Process.info(pid, :reductions)], into: %{}, do: {pid, count}
  end
end
