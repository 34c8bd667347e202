# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Watched do
  @moduledoc false
  # A node with programs, to be watched from outside: by `mix muontrap.top`.
  #
  # OTP's peer(3) starts it and speaks with it over its standard input and output, so that the tests' VM needs no name. Its epmd is
  # one of its own, which is heard on the loopback interface alone and ends with the tests' VM.

  import ExUnit.Callbacks

  alias MuonTrap.{Daemon, Program}
  alias MuonTrap.Test.OS

  @enforce_keys [:peer, :node, :cookie, :epmd_port]
  defstruct [:peer, :node, :cookie, :epmd_port]

  @host "127.0.0.1"

  @doc "Start one; without the library's code it has only Elixir's"
  def start!(code \\ :with_muontrap) do
    epmd_port = free_port()
    port = ["-port", "#{epmd_port}"]
    start_supervised!({Daemon, ["epmd", ["-address", @host | port], [name: :"epmd#{epmd_port}"]]}, id: epmd_port)
    OS.eventually(fn -> match?({_names, 0}, MuonTrap.cmd("epmd", port ++ ["-names"], stderr_to_stdout: true)) end)
    cookie = OS.mark()
    name = String.to_atom("watched-" <> OS.mark())
    ours = Application.app_dir(:muontrap, "ebin")

    paths =
      for path <- :code.get_path(),
          code == :with_muontrap or List.to_string(path) != ours,
          arg <- [~c"-pa", path],
          do: arg

    {:ok, peer, node} =
      :peer.start(%{
        name: name,
        host: String.to_charlist(@host),
        longnames: true,
        connection: :standard_io,
        args: [
          ~c"-setcookie",
          String.to_charlist(cookie),
          ~c"-kernel",
          ~c"inet_dist_use_interface",
          ~c"{127,0,0,1}" | paths
        ],
        env: [{~c"ERL_EPMD_PORT", Integer.to_charlist(epmd_port)} | flags(code)],
        wait_boot: 60_000
      })

    on_exit(fn -> stop!(%{peer: peer}) end)
    watched = %__MODULE__{peer: peer, node: node, cookie: cookie, epmd_port: epmd_port}
    if code == :with_muontrap, do: {:ok, _started} = call(watched, Application, :ensure_all_started, [:muontrap])
    watched
  end

  # Nor does a flag of the environment, as that which has VMs count what they run, give it the code.
  defp flags(:with_muontrap), do: []
  defp flags(_code), do: [{~c"ERL_AFLAGS", ~c""}]

  # Nobody else has it at that moment.
  defp free_port() do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :ok = :gen_tcp.close(socket)
    port
  end

  def call(watched, module, function, args), do: :peer.call(watched.peer, module, function, args, 120_000)

  @doc "End it, if it hasn't ended"
  def stop!(watched) do
    :peer.stop(watched.peer)
  catch
    :exit, _ended -> :ok
  end

  @doc "The environment in which it is found"
  def env(watched, home),
    do: [{"ERL_EPMD_PORT", "#{watched.epmd_port}"}, {"HOME", home}, {"MIX_ENV", "test"}, {"LC_ALL", "C.UTF-8"}]

  # What follows is called in that VM.

  @doc "Programs that run until they are ended, each with an owner of the name that stands before it"
  def run(programs) do
    caller = self()

    holder =
      spawn(fn ->
        Process.flag(:trap_exit, true)

        for {name, command, args} <- programs,
            do: {:ok, _} = Program.start_link(command, args, name: name, active: true)

        send(caller, :they_run)
        hold()
      end)

    monitor = Process.monitor(holder)

    receive do
      :they_run -> Process.demonitor(monitor, [:flush])
      {:DOWN, ^monitor, :process, _holder, reason} -> {:error, reason}
    end
  end

  defp hold(), do: receive(do: (_any -> hold()))

  @doc "All processes of MuonTrap's here, and the owners of programs"
  def processes() do
    [MuonTrap.Supervisor, MuonTrap.HelperPort.Supervisor] |> Enum.flat_map(&children/1) |> Enum.flat_map(&with_owner/1)
  end

  defp children(supervisor) do
    below = for {_id, pid, _type, _modules} <- Supervisor.which_children(supervisor), is_pid(pid), do: pid
    [Process.whereis(supervisor) | below]
  end

  defp with_owner(pid) do
    {:monitors, monitors} = Process.info(pid, :monitors)
    [pid | for({:process, owner} <- monitors, do: owner)]
  end

  @doc "What each of these has done by now, once they do nothing any more"
  def reductions_at_rest(pids) do
    before = reductions(pids)
    pause(1_500)
    if reductions(pids) == before, do: before, else: reductions_at_rest(pids)
  end

  @doc "What each of these has done by so many milliseconds from now"
  def reductions_later(pids, ms) do
    pause(ms)
    reductions(pids)
  end

  defp reductions(pids),
    do: for(pid <- pids, {:reductions, count} <- [Process.info(pid, :reductions)], do: {pid, count})

  defp pause(ms) do
    receive do
    after
      ms -> :ok
    end
  end

  @doc "What there is in this VM: processes but for the caller, ports, connections, and what each of these pids is tied to"
  def inventory(pids) do
    %{
      processes: Enum.sort(Process.list() -- [self()]),
      ports: Enum.sort(Port.list()),
      nodes: Node.list(:connected),
      ties: for(pid <- pids, do: {pid, Process.info(pid, [:monitors, :monitored_by, :links, :message_queue_len])})
    }
  end
end
