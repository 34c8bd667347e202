# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Library do
  @moduledoc false
  # Starts the library anew, so that nothing of what was measured before is left of it.

  # Helpers wait for the next launch, as many as by default.
  def warm(), do: restart(&Application.delete_env(:muontrap, &1))

  # None does: each launch starts a helper.
  def cold(), do: restart(&Application.put_env(:muontrap, &1, 0))

  defp restart(set) do
    :ok = stop()
    set.(:idle_helpers)
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    :ok
  end

  # That it has stopped is logged, and so would be what is killed in the measurements.
  def stop() do
    Logger.configure(level: :none)

    case Application.stop(:muontrap) do
      :ok -> :ok
      {:error, {:not_started, :muontrap}} -> :ok
    end
  end
end
