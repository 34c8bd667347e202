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
  #
  # When both processes of the helper were killed, nobody else is left who could kill what is in the program's cgroup. So
  # the owner entrusts that to the reaper while the program runs, and it is done when the reaper has ended.

  alias MuonTrap.{Helper, Protocol}

  require Logger

  @registry MuonTrap.Reaper.Registry

  @doc false
  @spec registry() :: Supervisor.child_spec()
  def registry(), do: Registry.child_spec(keys: :duplicate, name: @registry)

  @doc """
  Hand the port over to a new reaper

  The caller stays its owner and gets its messages. With `{key, parent}` instead of `nil`, `await/1` finds the reaper by
  the key. An owner whose parent has died is about to die, even if it takes its time.
  """
  @spec start(port(), term()) :: pid()
  def start(port, key) do
    owner = self()
    {reaper, monitor} = spawn_monitor(fn -> init(port, owner, key) end)

    receive do
      {^reaper, :linked} -> Process.unlink(port)
      {:DOWN, ^monitor, :process, _reaper, reason} -> exit(reason)
    end

    Process.demonitor(monitor, [:flush])
    reaper
  end

  @doc """
  Have the cgroup killed and removed when the port has ended, or no longer, with `nil`
  """
  @spec entrust(pid(), String.t() | nil) :: :ok
  def entrust(reaper, cgroup) do
    send(reaper, {:cgroup, cgroup})
    :ok
  end

  @doc """
  Wait until the port has ended, and what was entrusted is done
  """
  @spec await_end(pid()) :: :ok
  def await_end(reaper) do
    monitor = Process.monitor(reaper)

    receive do
      {:DOWN, ^monitor, :process, _reaper, _reason} -> :ok
    end
  end

  @doc """
  Wait until the trees of all owners with that key are dead that are dead themselves, or whose parents are
  """
  @spec await(term()) :: :ok
  def await(key) do
    # For a script that has the library in its path, but has not started it as an application.
    unless Process.whereis(@registry), do: {:ok, _started} = Application.ensure_all_started(:muontrap)

    for {reaper, {owner, parent}} <- Registry.lookup(@registry, key),
        dead?(owner) or dead?(parent),
        do: await_end(reaper)

    :ok
  end

  defp dead?(pid), do: is_pid(pid) and node(pid) == node() and not Process.alive?(pid)

  defp init(port, owner, key) do
    Process.flag(:trap_exit, true)
    Process.link(port)
    monitor = Process.monitor(owner)
    with {key, parent} <- key, do: {:ok, _registry} = Registry.register(@registry, key, {owner, parent})
    send(owner, {self(), :linked})
    port |> watch(monitor, nil) |> clean()
  end

  # Returns the cgroup that nobody has seen to.
  defp watch(port, monitor, cgroup) do
    receive do
      {:cgroup, cgroup} -> watch(port, monitor, cgroup)
      {:EXIT, ^port, _reason} -> last_word(cgroup)
      {:DOWN, ^monitor, :process, _owner, _reason} -> stop(port, cgroup)
    end
  end

  # Owner and port are two senders, so the order of what they send is not sure.
  defp last_word(cgroup) do
    receive do
      {:cgroup, cgroup} -> last_word(cgroup)
    after
      0 -> cgroup
    end
  end

  defp stop(port, cgroup) do
    Port.connect(port, self())
    Port.command(port, Protocol.encode(:stop))

    # The last that is ever written: the helper doesn't wait for the port to be closed then, but leaves when all is dead.
    Port.command(port, Protocol.encode(:discard))
    drain(port, cgroup)
  rescue
    # The port has closed in the meantime.
    ArgumentError -> cgroup
  end

  defp drain(port, cgroup) do
    receive do
      {^port, {:data, frame}} -> drain(port, after_frame(Protocol.decode(frame), cgroup))
      {^port, _message} -> drain(port, cgroup)
      {:EXIT, ^port, _reason} -> cgroup
    end
  end

  defp after_frame({:started, _pid, cgroup}, nil) when cgroup != "", do: cgroup
  defp after_frame({:exited, _ending}, _cgroup), do: nil
  defp after_frame(_event, cgroup), do: cgroup

  # The helper waits for a process that is being killed, which closes its output before it lets go of the cgroup.
  defp clean(nil), do: :ok

  defp clean(cgroup) do
    case Helper.run(["--clean", "--group", cgroup]) do
      {_said, 0} ->
        :ok

      {said, _status} ->
        Logger.error("a helper was killed, and what it ran in the cgroup #{cgroup} is left: #{String.trim(said)}")
    end
  end
end
