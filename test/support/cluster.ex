# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Cluster do
  @moduledoc false
  # Some VMs on this machine that are a cluster. This VM is none of its nodes, and talks to them by their standard input and
  # output. So the other tests don't notice, and the nodes end with this VM, whatever ends it.

  alias MuonTrap.Test.{Epmd, Guide, OS}

  @enforce_keys [:name, :peer, :node, :os_pid, :directory]
  defstruct [:name, :peer, :node, :os_pid, :directory]

  # Seconds without a sign of life after which a node counts as lost; the kernel application takes up to a quarter more.
  @tick 8
  # Milliseconds that a call may take.
  @call 170_000

  @doc "For ExUnit's setup: where the nodes of a cluster find each other"
  def directory() do
    directory = Path.join(System.tmp_dir!(), "muontrap-nodes-#{OS.mark()}")
    File.mkdir!(directory)
    ExUnit.Callbacks.on_exit(fn -> File.rm_rf!(directory) end)
    directory
  end

  @doc """
  For ExUnit's setup: a VM for each of the names, which has the application, what docs/cluster.md has every node have, and the
  module of a test. They connect when they have something to say to each other.
  """
  def start(directory, names, {module, code}) do
    nodes =
      names
      |> Task.async_stream(&boot(directory, &1), timeout: @call, ordered: true)
      |> Enum.map(fn {:ok, node} -> node end)

    for node <- nodes do
      ExUnit.Callbacks.on_exit(fn -> stop(node) end)
      {:module, ^module} = on(node, :code, :load_binary, [module, ~c"test", code])
      on(node, __MODULE__, :prepare, [])
    end

    nodes
  end

  defp boot(directory, name) do
    paths = Enum.flat_map(:code.get_path(), &[~c"-pa", &1])

    distribution = ~w(-epmd_module #{Epmd} -setcookie #{Path.basename(directory)})

    {:ok, peer, :nonode@nohost} =
      :peer.start(%{
        connection: :standard_io,
        args: paths ++ Enum.map(distribution, &String.to_charlist/1),
        env: [{~c"MUONTRAP_TEST_NODES", String.to_charlist(directory)}],
        wait_boot: @call
      })

    options = %{name_domain: :longnames, net_ticktime: @tick}
    # Only now, for the VM could not write files while it boots.
    {:ok, _net_kernel} = :peer.call(peer, :net_kernel, :start, [:"#{name}@127.0.0.1", options], @call)
    node = :peer.call(peer, :erlang, :node, [], @call)
    os_pid = peer |> :peer.call(:os, :getpid, [], @call) |> List.to_integer()
    %__MODULE__{name: name, peer: peer, node: node, os_pid: os_pid, directory: directory}
  end

  @doc false
  def prepare() do
    {:ok, _started} = Application.ensure_all_started(:muontrap)
    {:ok, _started} = Application.ensure_all_started(:ex_unit)
    Logger.configure(level: :none)
    caller = self()

    # It stays with what it is linked to.
    pid =
      spawn(fn ->
        "docs/cluster.md" |> Guide.blocks() |> hd() |> Guide.run("docs/cluster.md, block 1")
        send(caller, {self(), :ready})
        Process.hibernate(__MODULE__, :remain, [])
      end)

    receive do
      {^pid, :ready} -> :ok
    end
  end

  @doc false
  def remain(), do: Process.hibernate(__MODULE__, :remain, [])

  @doc "Has a process of the node call the function, of the test's module, and returns or raises what that does"
  def on(node, fun), do: on(node, :erlang, :apply, [fun, []])
  def on(%__MODULE__{peer: peer}, module, function, args), do: :peer.call(peer, module, function, args, @call)

  @doc "kill(1) of the node's VM"
  def kill(node, signal), do: OS.kill(node.os_pid, signal)

  @doc "Ends the node, and waits until it and its helpers are gone"
  def stop(node) do
    helpers = OS.helpers_of_vm(node.os_pid)
    monitor = Process.monitor(node.peer)
    if Process.alive?(node.peer), do: kill(node, "KILL")

    receive do
      {:DOWN, ^monitor, :process, _peer, _reason} -> :ok
    end

    OS.eventually(fn -> not Enum.any?(helpers, &OS.alive?/1) end)
  end

  @doc """
  Makes the links that lead to the node from now on slow: what goes over them comes by so many bytes at a time, fifty times a second

  It lasts until the calling process ends. `send(link, :stall)` has nothing come by any more. A node that is connected already
  stays so: see `connect_by/3`.
  """
  def slow_link(node, bytes) do
    by = Path.join(node.directory, "#{node.name}.by")
    port = node.directory |> Path.join("#{node.name}") |> File.read!() |> String.to_integer()
    caller = self()

    link =
      spawn_link(fn ->
        options = [:binary, active: false, buffer: bytes]
        {:ok, listening} = :gen_tcp.listen(0, options ++ [ip: {127, 0, 0, 1}])
        {:ok, listening_port} = :inet.port(listening)
        File.write!(by, Integer.to_string(listening_port))
        send(caller, {self(), :listens})
        pass_from(listening, caller, port, options)
      end)

    ExUnit.Callbacks.on_exit(fn -> File.rm(by) end)

    receive do
      {^link, :listens} -> link
    end
  end

  # Again when what was to be a link has closed before it carried one.
  defp pass_from(listening, caller, port, options) do
    {:ok, near} = :gen_tcp.accept(listening)
    send(caller, {self(), :accepted})
    {:ok, distant} = :gen_tcp.connect({127, 0, 0, 1}, port, options)
    pass([{near, distant}, {distant, near}])
    pass_from(listening, caller, port, options)
  end

  @doc """
  Connects the nodes by that link, which the calling process has made

  The other one may have something left to say to this one, and connect to it by itself, by another way. Then the link would
  be none of theirs, and its end not either.
  """
  def connect_by(link, here, far) do
    OS.eventually(fn ->
      on(here, fn -> Node.disconnect(far.node) end)
      connected = on(here, fn -> Node.connect(far.node) end)

      receive do
        {^link, :accepted} -> connected
      after
        0 -> false
      end
    end)
  end

  @doc "The links that lead to the node from now on are as fast as they can be"
  def no_slow_link(node), do: File.rm!(Path.join(node.directory, "#{node.name}.by"))

  defp pass(ways) do
    receive do
      :stall -> receive(do: (:never -> :ok))
    after
      20 -> :ok
    end

    if Enum.all?(ways, fn {from, to} -> pass_one(from, to) == :ok end),
      do: pass(ways),
      else: for({from, _to} <- ways, do: :gen_tcp.close(from))
  end

  # Of what has come, as much as the socket's buffer takes.
  defp pass_one(from, to) do
    case :gen_tcp.recv(from, 0, 0) do
      {:ok, data} -> if :gen_tcp.send(to, data) == :ok, do: :ok, else: :closed
      {:error, :timeout} -> :ok
      {:error, _reason} -> :closed
    end
  end
end
