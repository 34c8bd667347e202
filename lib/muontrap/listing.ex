# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Listing do
  @moduledoc false
  # What runs in this node: `MuonTrap.list/0`. Each server is asked for what it knows. The figures of /proc and of cgroups are read
  # here, by who wants them, so that a server is not held up.

  import Bitwise

  alias MuonTrap.Cgroup.{Mount, Statistics}
  alias MuonTrap.HelperPort.Server
  alias MuonTrap.ProcessTree

  # Milliseconds in which the servers have to answer, all together. The process that asks them is given up only when it doesn't
  # come to its end: on a busy machine it may be late, and what it was told must not be lost.
  @patience 1_000
  @margin 30_000

  # The bit by which the helper marks a cgroup that it has made (chmod(2)).
  @sticky 0o1000

  @doc """
  The programs, those that were started first before the others
  """
  @spec read() :: [MuonTrap.running()]
  def read() do
    units = ProcessTree.units()
    mount = with {:ok, mount} <- Mount.find(), do: mount.point

    for known <- ask() |> Enum.sort_by(& &1.since), program = complete(known, units, mount), do: program
  end

  # By a process of its own, in whose mailbox there is nothing else, and which can be given up. An application that is being
  # stopped doesn't tell of its servers any more.
  defp ask() do
    :erpc.call(node(), __MODULE__, :ask_servers, [], @patience + @margin)
  catch
    :error, {:erpc, :timeout} -> []
    :exit, {:exception, {_ended, {GenServer, :call, _arguments}}} -> []
  end

  @doc false
  @spec ask_servers() :: [map()]
  def ask_servers() do
    until = now() + @patience
    requests = for server <- Server.all(), do: :gen_server.send_request(server, :describe)
    for request <- requests, {:reply, known} when known != nil <- [response(request, until)], do: known
  end

  # One that has ended meanwhile, or doesn't answer, is left out.
  defp response(request, until), do: :gen_server.receive_response(request, max(until - now(), 0))

  defp now(), do: System.monotonic_time(:millisecond)

  defp complete(known, units, mount) do
    with {:ok, tree} <- tree(known, units) do
      cgroup = if known.cgroup != nil and is_binary(mount), do: cgroup(Path.join(mount, known.cgroup)), else: %{}

      %{
        server: known.server,
        command: known.command,
        args: known.args,
        owner: known.owner,
        os_pid: known.os_pid,
        os_pids: tree.os_pids,
        started_at: DateTime.from_unix!(known.since + System.time_offset(), :native),
        cgroup: known.cgroup,
        output_byte_count: known.output_byte_count,
        cpu_us: Map.get(cgroup, :cpu_us, tree.cpu_us),
        memory_bytes: Map.get(cgroup, :memory_bytes, tree.memory_bytes),
        state: if(tree.suspended and known.state == :running, do: :suspended, else: known.state)
      }
    else
      :ended -> nil
    end
  end

  defp tree(%{os_pid: nil}, _units), do: {:ok, %{os_pids: [], cpu_us: nil, memory_bytes: nil, suspended: false}}

  defp tree(%{os_pid: program} = known, units) do
    with :unknown <- read(known, units),
         do: {:ok, %{os_pids: [program], cpu_us: nil, memory_bytes: nil, suspended: false}}
  end

  # One that was attached to is no child of the helper's.
  defp read(%{attached: true, os_pid: program}, units), do: ProcessTree.read(program, units)
  defp read(%{helper_pid: nil}, _units), do: :unknown
  defp read(%{helper_pid: keeper, os_pid: program}, units), do: ProcessTree.read(keeper, program, units)

  # What one that was there before has counted may be others' use of the processor.
  defp cgroup(directory) do
    made = match?({:ok, %{mode: mode}} when (mode &&& @sticky) != 0, File.stat(directory))

    for {key, name, kind, wanted} <- [
          {:cpu_us, "cpu.stat", :flat, made},
          {:memory_bytes, "memory.current", :number, true}
        ],
        wanted,
        {:ok, text} <- [File.read(Path.join(directory, name))],
        {:ok, value} <- [Statistics.parse(kind, String.trim_trailing(text, "\n"))],
        number = if(kind == :flat, do: value["usage_usec"], else: value),
        into: %{},
        do: {key, number}
  end
end
