# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Worker do
  @moduledoc false
  # The VM in which cases run.

  alias MuonTrap.HelperPort.Pool
  alias MuonTrap.Test.OS
  alias MuonTrap.Torture.Owner

  @servers MuonTrap.HelperPort.Supervisor

  def start!() do
    paths = for path <- :code.get_path(), arg <- [~c"-pa", path], do: arg
    {:ok, peer, _node} = :peer.start(%{connection: :standard_io, args: paths, wait_boot: 120_000})
    pid = peer |> :peer.call(System, :pid, [], 60_000) |> String.to_integer()
    base = :peer.call(peer, __MODULE__, :prepare, [], 60_000)
    %{peer: peer, pid: pid, base: base}
  end

  def stop(worker) do
    OS.kill(worker.pid, "KILL")
    monitor = Process.monitor(worker.peer)
    :peer.stop(worker.peer)
    receive do: ({:DOWN, ^monitor, :process, _peer, _reason} -> :ok)
  catch
    :exit, _stopped -> :ok
  end

  @doc "The helper's processes that the VM has now, each with its start"
  def helpers(worker) do
    for pid <- OS.helpers_of_vm(worker.pid), started = OS.started(pid), do: {pid, started}
  end

  def run(worker, scene, context, within), do: call(worker, Owner, :run, [scene, context], within)
  def leaks(worker, within), do: call(worker, __MODULE__, :leaks_here, [worker.base, within], 3 * within)

  defp call(worker, module, function, args, within) do
    {:ok, :peer.call(worker.peer, module, function, args, within)}
  catch
    :exit, {:timeout, _call} -> :hung
    _kind, _reason -> if OS.alive?(worker.pid), do: :hung, else: :dead
  end

  # ---- What is called there ----

  @doc false
  def prepare() do
    Application.put_env(:logger, :backends, [], persistent: true)
    Application.put_env(:logger, :default_handler, false, persistent: true)
    :ok = :logger.set_primary_config(:level, :none)
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    {:ok, _started} = Application.ensure_all_started(:logger)
    MuonTrap.cmd("true", [])
    idle = Pool.idle()
    %{processes: length(Process.list()), ports: length(Port.list()) - idle, descriptors: descriptors() - 2 * idle}
  end

  @doc false
  def leaks_here(base, within) do
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    OS.remaining(fn -> leaks_now(base) end, within)
  end

  defp leaks_now(base) do
    idle = Pool.idle()
    servers = DynamicSupervisor.count_children(@servers).active
    processes = length(Process.list()) - base.processes
    ports = length(Port.list()) - idle - base.ports
    descriptors = descriptors() - 2 * idle - base.descriptors

    cheap =
      for {what, number} <- [servers: servers, processes: processes, ports: ports, descriptors: descriptors],
          number > 0,
          do: "#{number} #{what} more than before are left in the VM#{details(what)}"

    if cheap != [] do
      cheap
    else
      helpers = length(OS.helpers_of_vm())
      if helpers == 2 * idle, do: [], else: ["#{helpers} processes of helpers are there with #{idle} that idle"]
    end
  end

  defp details(:processes) do
    list = for pid <- Enum.take(Process.list(), -5), do: {pid, Process.info(pid, [:initial_call, :current_function])}
    ": among #{inspect(list)}"
  end

  defp details(_what), do: ""

  defp descriptors(), do: length(File.ls!("/proc/self/fd"))
end
