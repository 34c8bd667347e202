# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Reaper do
  @moduledoc false
  # Holds a port for its owner and outlives it.
  #
  # A port is closed when a process that it is linked to dies. Were that its owner, then an owner that is killed would
  # leave nobody who could tell when the program's tree is dead, and a supervisor would start the next one beside it. So
  # it is a reaper that is linked to the port: when the owner is gone it has the program stopped and waits for its end.
  # Whoever is about to start a successor waits for that with `await/1`.
  #
  # The owner is spared the port's exit signals, too: it learns of the port's end by a monitor.

  alias MuonTrap.Protocol

  @registry MuonTrap.Reaper.Registry

  @doc false
  @spec registry() :: Supervisor.child_spec()
  def registry(), do: Registry.child_spec(keys: :duplicate, name: @registry)

  @doc """
  Hand the port over to a new reaper

  The caller stays its owner and gets its messages. With `{key, parent}` instead of `nil`, `await/1` finds the reaper by
  the key. An owner whose parent has died is about to die, even if it takes its time.
  """
  @spec start(port(), term()) :: :ok
  def start(port, key) do
    owner = self()
    {reaper, monitor} = spawn_monitor(fn -> init(port, owner, key) end)

    receive do
      {^reaper, :linked} -> Process.unlink(port)
      {:DOWN, ^monitor, :process, _reaper, reason} -> exit(reason)
    end

    Process.demonitor(monitor, [:flush])
    :ok
  end

  @doc """
  Wait until the trees of all owners with that key are dead that are dead themselves, or whose parents are
  """
  @spec await(term()) :: :ok
  def await(key) do
    # For a script that has the library in its path, but has not started it as an application.
    unless Process.whereis(@registry), do: {:ok, _started} = Application.ensure_all_started(:muontrap)

    for {reaper, {owner, parent}} <- Registry.lookup(@registry, key), dead?(owner) or dead?(parent) do
      monitor = Process.monitor(reaper)

      receive do
        {:DOWN, ^monitor, :process, _reaper, _reason} -> :ok
      end
    end

    :ok
  end

  defp dead?(pid), do: is_pid(pid) and node(pid) == node() and not Process.alive?(pid)

  defp init(port, owner, key) do
    Process.flag(:trap_exit, true)
    Process.link(port)
    monitor = Process.monitor(owner)
    with {key, parent} <- key, do: {:ok, _registry} = Registry.register(@registry, key, {owner, parent})
    send(owner, {self(), :linked})

    receive do
      {:EXIT, ^port, _reason} -> :ok
      {:DOWN, ^monitor, :process, _owner, _reason} -> stop(port)
    end
  end

  defp stop(port) do
    Port.connect(port, self())
    Port.command(port, Protocol.encode(:stop))

    # The last that is ever written: the helper doesn't wait for the port to be closed then, but leaves when all is dead.
    Port.command(port, Protocol.encode(:discard))
    await_end(port)
  rescue
    # The port has closed in the meantime.
    ArgumentError -> :ok
  end

  defp await_end(port) do
    receive do
      {^port, _message} -> await_end(port)
      {:EXIT, ^port, _reason} -> :ok
    end
  end
end
