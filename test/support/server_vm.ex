# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.ServerVM do
  @moduledoc false
  # A VM of its own with daemons under a supervisor, which can be killed as the OOM killer or an administrator would.
  #
  # OTP's peer(3) starts it and speaks with it over its standard input and output. So it needs no distribution, and ends with the
  # tests' VM.

  alias MuonTrap.Test.OS

  @supervisor __MODULE__.Supervisor

  @doc "Start a VM with these children, with what its Logger says appended to a file"
  def start!(children, log) do
    log |> boot!() |> supervise!(children)
  end

  @doc "A VM without children yet"
  def boot!(log) do
    paths = for path <- :code.get_path(), arg <- [~c"-pa", path], do: arg
    {:ok, peer, _node} = :peer.start_link(%{connection: :standard_io, args: paths, wait_boot: 60_000})
    :ok = :peer.call(peer, __MODULE__, :log_to_file, [log], 60_000)
    %{peer: peer, pid: peer |> :peer.call(System, :pid, []) |> String.to_integer()}
  end

  @doc "Give it children, which are started when this returns"
  def supervise!(vm, children) do
    :ok = :peer.call(vm.peer, __MODULE__, :supervise, [children], 120_000)
    vm
  end

  @doc "Kill it, and return when it is dead. What it ran may live for a while"
  def kill!(vm) do
    true = OS.kill(vm.pid, "KILL")
    OS.eventually(fn -> not OS.alive?(vm.pid) end)
    vm
  end

  @doc "The daemon of its only child, killed"
  def crash_daemon!(vm), do: :peer.call(vm.peer, __MODULE__, :crash_daemon, [])

  @doc "Have the supervisor stop everything, and the VM end"
  def stop!(vm) do
    :ok = :peer.call(vm.peer, Supervisor, :stop, [@supervisor, :normal, :infinity], 120_000)
    :peer.stop(vm.peer)
  end

  @doc "The function for :logger_fun"
  def append(line, file), do: File.write!(file, [line, "\n"], [:append])

  # What follows is called in that VM.

  @doc false
  def log_to_file(file) do
    # Elixir 1.14's own, and that of 1.15.
    Application.put_env(:logger, :backends, [], persistent: true)
    Application.put_env(:logger, :default_handler, false, persistent: true)
    config = %{config: %{file: String.to_charlist(file)}, formatter: {:logger_formatter, %{single_line: true}}}
    :ok = :logger.add_handler(:file, :logger_std_h, config)
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    :ok
  end

  # In a process of its own, because the one of the call ends with it.
  @doc false
  def supervise(children) do
    caller = self()

    spawn(fn ->
      Process.flag(:trap_exit, true)
      opts = [strategy: :one_for_one, max_restarts: 1, name: @supervisor]
      send(caller, {:started, Supervisor.start_link(children, opts)})
      Process.sleep(:infinity)
    end)

    receive do
      {:started, {:ok, _supervisor}} -> :ok
      {:started, {:error, reason}} -> {:error, reason}
    end
  end

  @doc false
  def crash_daemon() do
    [{_id, daemon, _type, _modules}] = Supervisor.which_children(@supervisor)
    monitor = Process.monitor(daemon)
    Process.exit(daemon, :kill)
    receive do: ({:DOWN, ^monitor, :process, _daemon, :killed} -> :ok)
  end
end
