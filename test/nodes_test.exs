# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.NodesTest do
  # Programs on other nodes of a cluster. Not async: it starts VMs, stops some for a while, and measures memory.
  use ExUnit.Case, async: false

  import MuonTrap.Test.Cluster, only: [on: 2]

  alias MuonTrap.{Daemon, Program}
  alias MuonTrap.Test.{Cluster, Guide, OS}

  # The nodes call functions of this module, which has no file.
  @after_compile __MODULE__
  def __after_compile__(_env, code), do: :persistent_term.put(__MODULE__, code)

  setup_all do
    directory = Cluster.directory()
    [here, far] = Cluster.start(directory, [:here, :far], module())
    %{directory: directory, here: here, far: far}
  end

  setup context do
    Map.merge(MuonTrap.Test.Programs.marked(), Map.take(context, [:here, :far]))
  end

  defp module(), do: {__MODULE__, :persistent_term.get(__MODULE__)}

  # For a test that kills its node.
  defp another_node(context) do
    name = :"another#{System.unique_integer([:positive])}"
    [another] = Cluster.start(context.directory, [name], module())
    another
  end

  # A program on the node, with the calling process as its owner, or with the supervisor there.
  def start_on(node, {program, args}, opts), do: start_child(node, {program, args}, [owner: self()] ++ opts)

  def start_child(node, {program, args}, opts) do
    spec = {Program, [program, args, [when_done: :stay] ++ opts]}
    {:ok, pid} = DynamicSupervisor.start_child({Programs, node}, Supervisor.child_spec(spec, restart: :temporary))
    pid
  end

  # A program that has a child which is deaf, and that has said so.
  def start_deaf(node, opts) do
    pid = start_on(node, MuonTrap.Test.Programs.deaf(), opts)
    {:stdout, "ready\n"} = Program.read(pid)
    pid
  end

  # A process of the node that starts such a program and keeps it.
  defp keeps_deaf(here, node, opts) do
    on(here, fn ->
      caller = self()

      pid =
        spawn(fn ->
          send(caller, {self(), start_deaf(node, opts)})
          receive(do: (:never -> :ok))
        end)

      receive do
        {^pid, program} -> {pid, program}
      end
    end)
  end

  defp dead?(mark), do: OS.eventually(fn -> OS.alive(mark) == [] end, 60_000)

  # What a call does that another process makes meanwhile.
  def attempt(fun) do
    Task.async(fn ->
      try do
        fun.()
      catch
        kind, reason -> {kind, reason}
      end
    end)
  end

  test "a program on another node is talked to as one of this node", %{here: here, far: far, env: env, mark: mark} do
    on(here, fn ->
      cat = start_on(far.node, {"sh", ["-c", "echo problem >&2; cat; exit 3"]}, env: env)
      assert node(cat) == far.node
      assert Program.read(cat) == {:stderr, "problem\n"}
      assert Program.read(cat, 10) == {:error, :timeout}
      assert Program.write(cat, "hello\n") == :ok
      assert Program.read(cat) == {:stdout, "hello\n"}
      assert Program.signal(cat, :sigcont) == :ok
      assert Program.await(cat, 0) == {:error, :timeout}
      assert Program.close_stdin(cat) == :ok
      assert Program.read(cat) == :eof
      assert Program.await(cat) == {:ok, 3}
      assert Program.write(cat, "more") == {:error, :closed}
      assert Program.stop(cat) == {:ok, 3}

      # A program that doesn't read holds up who writes.
      sleeper = start_on(far.node, {"sleep", ["1000"]}, env: env)
      assert Program.write(sleeper, :binary.copy("x", 8_000_000), 500) == {:error, :timeout}
      assert Program.stop(sleeper) == {:ok, 143}

      talker = start_on(far.node, {"sh", ["-c", "echo one; read x; echo two"]}, env: env, active: :once)
      assert_receive {^talker, {:stdout, "one\n"}}, 60_000
      Program.write(talker, "go\n")
      Program.set_active(talker, true)
      assert_receive {^talker, {:stdout, "two\n"}}, 60_000
      assert_receive {^talker, :eof}, 60_000
      assert_receive {^talker, {:exit, 0}}, 60_000
      Program.stop(talker)
    end)

    assert OS.alive(mark) == []
  end

  @pieces 3_200
  @piece 65_536

  def memory(node), do: :erpc.call(node, :erlang, :memory, [:total])

  test "200 MB come to a slow reader whole, and neither node holds more than a little", %{
    here: here,
    far: far,
    env: env
  } do
    hash =
      Enum.reduce(1..@pieces, :crypto.hash_init(:sha256), fn n, hash ->
        :crypto.hash_update(hash, :binary.copy(<<n::32>>, div(@piece, 4)))
      end)

    writes = {"perl", ["-e", ~s[for my $n (1..#{@pieces}) { print pack("N", $n) x #{div(@piece, 4)} }]]}

    {read, bytes, grown} =
      on(here, fn ->
        program = start_on(far.node, writes, env: env)
        # Nobody reads yet, and so it waits.
        OS.eventually(fn -> OS.blocked?(Program.os_pid(program)) end, 120_000)
        before = {memory(node()), memory(far.node)}
        slowly(program, far.node, before, 0, :crypto.hash_init(:sha256), 0, {0, 0})
      end)

    assert bytes == @pieces * @piece
    assert read == :crypto.hash_final(hash)
    {of_here, of_far} = grown
    assert of_here < 32_000_000
    assert of_far < 32_000_000
  end

  defp slowly(program, node, before, reads, hash, bytes, grown) do
    case Program.read(program) do
      {:stdout, data} ->
        OS.still()
        grown = if rem(reads, 64) == 0, do: grown(node, before, grown), else: grown
        slowly(program, node, before, reads + 1, :crypto.hash_update(hash, data), bytes + byte_size(data), grown)

      :eof ->
        {:crypto.hash_final(hash), bytes, grown}
    end
  end

  defp grown(node, {of_here, of_far}, {here, far}),
    do: {max(here, memory(node()) - of_here), max(far, memory(node) - of_far)}

  test "it ends with its owner on another node", %{here: here, far: far, env: env, mark: mark} do
    {owner, program} = keeps_deaf(here, far.node, env: env)
    assert length(OS.alive(mark)) >= 2
    on(here, fn -> Process.exit(owner, :kill) end)
    dead?(mark)
    OS.eventually(fn -> not on(far, fn -> Process.alive?(program) end) end)
  end

  test "it isn't started for an owner on another node who is dead, or can't be reached", context do
    %{here: here, far: far, env: env, mark: mark} = context
    dead = on(here, fn -> self() end)
    gone = another_node(context)
    lost = on(gone, fn -> spawn(fn -> receive(do: (:never -> :ok)) end) end)
    Cluster.stop(gone)

    for owner <- [dead, lost] do
      assert on(far, fn -> Program.start_link("sleep", ["1000"], env: env, owner: owner) end) == :ignore
    end

    assert OS.alive(mark) == []
  end

  test "kill -9 of the owner's node ends it", %{far: far, env: env, mark: mark} = context do
    another = another_node(context)
    keeps_deaf(another, far.node, env: env)
    assert OS.alive(mark) != []
    Cluster.kill(another, "KILL")
    dead?(mark)
  end

  test "kill -9 of its node ends what runs there, and tells who called",
       %{here: here, env: env, mark: mark} = context do
    another = another_node(context)
    node = another.node

    told =
      on(here, fn ->
        Process.flag(:trap_exit, true)
        owner = self()
        read = start_deaf(node, env: env)
        write = start_deaf(node, env: env)
        {deaf, args} = MuonTrap.Test.Programs.deaf()
        reader = attempt(fn -> Program.read(read) end)
        waiter = attempt(fn -> Program.await(read) end)
        writer = attempt(fn -> Program.write(write, :binary.copy("x", 8_000_000)) end)

        command = attempt(fn -> :erpc.call(node, MuonTrap, :cmd, [deaf, args, [env: env, into: send_to(owner)]]) end)

        job = Task.Supervisor.async({Jobs, node}, MuonTrap, :cmd, [deaf, args, [env: env, into: send_to(owner)]])

        {:ok, daemon} =
          DynamicSupervisor.start_child(
            {Programs, node},
            {Daemon, [deaf, args, [env: env, logger_fun: {__MODULE__, :line, [owner]}]]}
          )

        for _ <- 1..3, do: assert_receive({:line, "ready" <> _newline}, 60_000)
        pid = Daemon.os_pid(daemon)
        waits = attempt(fn -> Process.monitor(daemon) && receive(do: ({:DOWN, _, _, _, reason} -> reason)) end)
        # It waits for the port's server, whose pid it has from the program's.
        OS.eventually(fn ->
          match?({:monitors, [process: pid]} when pid != write, Process.info(writer.pid, :monitors))
        end)

        {_output, 0} = System.cmd("kill", ["-KILL", :erpc.call(node, System, :pid, [])])

        assert_receive {:EXIT, job_pid, :noconnection} when job_pid == job.pid, 60_000
        assert_receive {:DOWN, ref, :process, _pid, :noconnection} when ref == job.ref, 60_000
        assert catch_exit(Daemon.os_pid(daemon)) |> elem(0) |> elem(0) == :nodedown
        assert is_integer(pid)
        Task.await_many([reader, waiter, writer, command, waits], 60_000)
      end)

    assert [
             {:exit, {{:nodedown, ^node}, _read}},
             {:exit, {{:nodedown, ^node}, _await}},
             {:error, :closed},
             {:error, {:erpc, :noconnection}},
             :noconnection
           ] = told

    dead?(mark)
  end

  def send_to(pid), do: %MuonTrap.Test.Sink{with: &line(&1, pid)}
  def line(line, pid), do: send(pid, {:line, line})

  test "the nodes lose each other: what is tied to the caller ends, and what isn't runs on", context do
    %{here: here, far: far, env: env, mark: mark} = context
    node = far.node
    [loose, nolink, daemon] = marks = for _ <- 1..3, do: OS.mark()
    on_exit(fn -> for mark <- marks, pid <- OS.alive(mark), do: OS.kill(pid, "KILL") end)

    on(here, fn ->
      Process.flag(:trap_exit, true)
      owner = self()
      {deaf, args} = MuonTrap.Test.Programs.deaf()
      command = fn env -> [deaf, args, [env: env, into: send_to(owner)]] end
      start_deaf(node, env: env)
      Task.Supervisor.async({Jobs, node}, MuonTrap, :cmd, command.(env))
      Task.Supervisor.async_nolink({Jobs, node}, MuonTrap, :cmd, command.(OS.marked(nolink)))
      attempt(fn -> :erpc.call(node, MuonTrap, :cmd, command.(OS.marked(loose))) end)

      DynamicSupervisor.start_child(
        {Programs, node},
        {Daemon, [deaf, args, [env: OS.marked(daemon), logger_fun: {__MODULE__, :line, [owner]}]]}
      )

      for _ <- 1..4, do: assert_receive({:line, "ready" <> _newline}, 60_000)
      assert Node.disconnect(node)
      # The process of the test stays until the programs have been looked at.
      OS.eventually(fn -> OS.alive(mark) == [] end, 60_000)
    end)

    for mark <- marks, do: assert(OS.alive(mark) != [])

    on(far, fn ->
      for {_id, pid, _kind, [Daemon]} <- DynamicSupervisor.which_children(Programs),
          do: DynamicSupervisor.terminate_child(Programs, pid)
    end)

    dead?(daemon)
  end

  test "a node that hears nothing for its time tells its callers, and the other one ends what was theirs", context do
    %{here: here, far: far, env: env, mark: mark} = context
    {_owner, program} = keeps_deaf(here, far.node, env: env)
    Cluster.kill(far, "STOP")

    try do
      node = far.node

      assert {:exit, {{:nodedown, ^node}, _call}} =
               on(here, fn -> Task.await(attempt(fn -> Program.await(program) end), 60_000) end)

      assert OS.alive(mark) != []
    after
      Cluster.kill(far, "CONT")
    end

    dead?(mark)
  end

  test "a node that isn't heard of for its time loses its programs on others while it is silent", context do
    %{here: here, far: far, env: env, mark: mark} = context
    keeps_deaf(here, far.node, env: env)
    Cluster.kill(here, "STOP")

    try do
      dead?(mark)
    after
      Cluster.kill(here, "CONT")
    end
  end

  test "over a slow link all comes, and a link that stands still is one that is lost", context do
    %{here: here, far: far, env: env, mark: mark} = context
    # At most 1.6 MB/s, and 40 ms a round trip.
    link = Cluster.slow_link(far, 32_768)
    Cluster.connect_by(link, here, far)
    size = 4_000_000

    on(here, fn ->
      program = start_on(far.node, {"head", ["-c", "#{size}", "/dev/zero"]}, env: env, stdio_window: 262_144)
      assert read_all(program, 0) == size
      assert Program.stop(program) == {:ok, 0}
    end)

    # Messages hold the program up, too, when the link doesn't take them: nothing piles up in the VM there.
    before = on(far, fn -> memory(node()) end)

    owner =
      on(here, fn ->
        spawn(fn ->
          # More than comes by until the link is stalled, but no more than a machine can hold.
          start_on(far.node, {"sh", ["-c", "yes | head -c 200000000"]}, env: env, active: true)
          receive(do: (:never -> :ok))
        end)
      end)

    OS.eventually(fn -> OS.alive(mark) != [] end, 60_000)
    watcher = on(far, fn -> spawn(fn -> await_loss(here.node) end) end)
    send(link, :stall)
    assert most_memory(far, watcher, before) - before < 64_000_000
    # The nodes have lost each other, and the program goes.
    dead?(mark)
    on(here, fn -> Process.exit(owner, :kill) end)
    Process.unlink(link)
    Process.exit(link, :kill)
    Cluster.no_slow_link(far)
    OS.eventually(fn -> on(here, fn -> Node.ping(far.node) end) == :pong end, 60_000)
  end

  # Also one that is followed at once by another connection.
  defp await_loss(node) do
    Node.monitor(node, true)
    receive(do: ({:nodedown, ^node} -> :ok))
  end

  # How much memory the node has taken at most until the process there that waits for the loss of the other one has ended.
  defp most_memory(node, watcher, most) do
    {memory, waits} = on(node, fn -> {memory(node()), Process.alive?(watcher)} end)
    if waits, do: most_memory(node, watcher, max(most, memory)), else: max(most, memory)
  end

  defp read_all(program, bytes) do
    case Program.read(program) do
      {:stdout, data} -> read_all(program, bytes + byte_size(data))
      :eof -> bytes
    end
  end

  test "a reader on another node that is lost while it waits is given nothing", context do
    %{here: here, far: far, env: env} = context
    node = far.node

    on(here, fn ->
      program = start_child(node, {"cat", []}, env: env)
      waiting = fn readers -> OS.eventually(fn -> :queue.len(:sys.get_state(program).readers) == readers end) end

      # One that is killed, one that gives up, and one whose connection is lost.
      killed = spawn(fn -> Program.read(program) end)
      waiting.(1)
      Process.exit(killed, :kill)
      waiting.(0)
      assert Program.read(program, 1) == {:error, :timeout}

      lost = attempt(fn -> Program.read(program, 600_000) end)
      waiting.(1)
      assert Node.disconnect(node)
      assert {:exit, {{:nodedown, ^node}, _call}} = Task.await(lost, 60_000)
      waiting.(0)

      assert Program.write(program, "for who is there\n") == :ok
      assert Program.read(program) == {:stdout, "for who is there\n"}
      # It watches nobody any more but its owner and who it waits for.
      {:monitors, monitors} = :erpc.call(node, Process, :info, [program, :monitors])
      refute Enum.any?(monitors, fn {:process, pid} -> is_pid(pid) and node(pid) == node() end)
      Program.stop(program)
    end)
  end

  test "the blocks of docs/cluster.md, in their order", context do
    %{here: here, far: far} = context
    another = another_node(context)
    [_on_every_node | blocks] = Guide.blocks("docs/cluster.md")

    for {code, n} <- Enum.with_index(blocks, 2) do
      on(here, fn ->
        for node <- [another.node, far.node], do: :pong = Node.ping(node)
        # The one that is lost is the first one.
        Guide.run(String.replace(code, "Node.list()", "Enum.sort(Node.list())"), "docs/cluster.md, block #{n}")
        :ok
      end)
    end
  end
end
