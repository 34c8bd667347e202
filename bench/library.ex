# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Library do
  @moduledoc false
  # Starts the library anew, so that nothing of what was measured before is left of it.

  # Helpers wait for the next launch, as many as by default.
  def warm(), do: restart([])

  # None does: each launch starts a helper.
  def cold(), do: restart(idle_helpers: 0)

  # Unloading it makes the environment that which the application comes with.
  defp restart(environment) do
    :ok = stop()
    _or_not_loaded = Application.unload(:muontrap)
    :ok = Application.load(:muontrap)
    for {key, value} <- environment, do: Application.put_env(:muontrap, key, value)
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
