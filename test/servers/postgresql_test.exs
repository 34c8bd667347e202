# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Servers.PostgreSQLTest do
  # PostgreSQL 15, which tells at its next start, and by pg_controldata, whether it was shut down. Not async, because all shared
  # memory of its user is looked at.
  use MuonTrap.Test.ServerCase, async: false

  import ExUnit.CaptureLog

  alias MuonTrap.Test.PostgreSQL

  # Rounds of the restarts below, of which half kill the VM.
  @rounds String.to_integer(System.get_env("MUONTRAP_TEST_RESTARTS", "10"))

  setup_all do
    for tool <- ["postgres", "initdb", "psql", "pgbench", "pg_controldata"], do: PostgreSQL.program!(tool)
    template = new_directory()
    on_exit(fn -> File.rm_rf!(template) end)
    PostgreSQL.init!(template)
    {:ok, supervisor} = Supervisor.start_link([PostgreSQL.child(template, "/dev/null", [])], strategy: :one_for_one)
    PostgreSQL.await(template)
    run!(PostgreSQL.program!("pgbench"), ["-i", "-q" | PostgreSQL.connection(template)], PostgreSQL.user())
    Supervisor.stop(supervisor)
    %{template: template}
  end

  setup %{directory: directory, template: template} do
    PostgreSQL.copy!(template, directory)
    # There may be another server of that user on this machine, which isn't the tests'.
    %{shared_memory: PostgreSQL.shared_memory()}
  end

  # Nothing was recovered at any start, and none was refused.
  defp assert_always_shut_down(log) do
    for word <- ["not properly shut down", "was interrupted", "already exists", "another server", "FATAL:  lock file"] do
      assert count_lines(log, word) == 0, Enum.join(lines(log), "\n")
    end
  end

  defp ready(log, count), do: await_line(log, "database system is ready to accept connections", count)

  # pgbench writes a history: each account's and each branch's balance is the sum of its transactions, unless some were lost.
  defp assert_consistent(directory) do
    sql = """
    select (select sum(delta) from pgbench_history) = (select sum(abalance) from pgbench_accounts)
       and (select sum(delta) from pgbench_history) = (select sum(bbalance) from pgbench_branches)
    """

    assert PostgreSQL.query!(directory, sql) == "t"
  end

  test "that is stopped under load is shut down, and recovers nothing at its next start", context do
    %{directory: directory, log: log, env: env} = context

    said =
      capture_log(fn ->
        supervisor = supervise!([PostgreSQL.child(directory, log, env: env)])
        PostgreSQL.await(directory)
        PostgreSQL.load!(directory, env)
        Supervisor.stop(supervisor)
      end)

    assert PostgreSQL.state(directory) == "shut down"
    assert PostgreSQL.left(directory, context.shared_memory) == []
    refute said =~ "see :delay_to_sigkill"
    assert count_lines(log, "received fast shutdown request") == 1
    assert count_lines(log, "database system is shut down") == 1
    assert PostgreSQL.load_ended() =~ "terminating connection due to administrator command"

    supervisor = supervise!([PostgreSQL.child(directory, log, env: env)])
    ready(log, 2)
    assert count_lines(log, "database system was shut down at") == 2
    assert_consistent(directory)
    Supervisor.stop(supervisor)
    assert_always_shut_down(log)
  end

  test "that doesn't heed the first step of a stop gets the second one, and leaves no shared memory", context do
    %{directory: directory, log: log, env: env} = context
    opts = Keyword.drop(PostgreSQL.options(directory, log), [:stop_signal, :delay_to_sigkill])
    [program | args] = PostgreSQL.command(directory)
    opts = opts ++ [stop_sequence: [sigint: 500, sigquit: 60_000], env: env]
    supervisor = supervise!([{Daemon, [program, args, opts]}])
    PostgreSQL.await(directory)
    connect(directory, env)
    refute capture_log(fn -> Supervisor.stop(supervisor) end) =~ program
    assert_receive {:disconnected, _how}, 60_000
    assert count_lines(log, "received fast shutdown request") == 1
    assert count_lines(log, "received immediate shutdown request") == 1
    assert PostgreSQL.left(directory, context.shared_memory) == []

    supervisor = supervise!([PostgreSQL.child(directory, log, env: env)])
    ready(log, 2)
    assert count_lines(log, "not properly shut down") == 1
    Supervisor.stop(supervisor)
  end

  test "whose daemon is killed under load is shut down, and its successor waits for that", context do
    %{directory: directory, log: log, env: env} = context
    {:ok, supervisor} = Supervisor.start_link([PostgreSQL.child(directory, log, env: env)], strategy: :one_for_one)
    PostgreSQL.await(directory)
    PostgreSQL.load!(directory, env)
    connect(directory, env)
    predecessor = daemon(supervisor)
    Process.exit(predecessor, :kill)
    release(directory)
    PostgreSQL.load_ended()
    OS.eventually(fn -> daemon(supervisor) not in [nil, predecessor] end, 60_000)
    PostgreSQL.await(directory)
    assert_consistent(directory)
    Supervisor.stop(supervisor)
    # What it said after its daemon's death nobody has read. So its successor's word counts.
    assert count_lines(log, "database system was shut down at") == 2
    assert_always_shut_down(log)
    assert PostgreSQL.left(directory, context.shared_memory) == []
  end

  test "whose VM is killed under load is shut down, and the next VM's waits for that and says so", context do
    %{directory: directory, log: log, env: env} = context
    children = [PostgreSQL.child(directory, log, env: env)]
    vm_log = Path.join(directory, "vm.log")
    vm = ServerVM.start!(children, vm_log)
    PostgreSQL.await(directory)
    PostgreSQL.load!(directory, env)
    connect(directory, env)
    # The next one is ready to start its children at once.
    next = ServerVM.boot!(vm_log)
    ServerVM.kill!(vm)
    start = Task.async(fn -> ServerVM.supervise!(next, children) end)
    await_line(vm_log, "waits for the lock '#{PostgreSQL.data(directory)}'")
    release(directory)
    Task.await(start, 120_000)
    assert_disconnected()
    PostgreSQL.load_ended()
    PostgreSQL.await(directory)
    assert_consistent(directory)
    ServerVM.stop!(next)
    assert count_lines(log, "database system was shut down at") == 2
    assert_always_shut_down(log)
    assert PostgreSQL.left(directory, context.shared_memory) == []
    refute File.read!(vm_log) =~ "see :delay_to_sigkill"
  end

  test "reads its configuration again when it gets SIGHUP", context do
    %{directory: directory, log: log, env: env} = context
    supervisor = supervise!([PostgreSQL.child(directory, log, env: env)])
    PostgreSQL.await(directory)
    File.write!(Path.join(PostgreSQL.data(directory), "postgresql.conf"), "\nwork_mem = '77MB'\n", [:append])
    assert PostgreSQL.query!(directory, "show work_mem") == "4MB"
    assert Daemon.signal(daemon(supervisor), :sighup) == :ok
    await_line(log, "parameter \"work_mem\" changed to \"77MB\"")
    OS.eventually(fn -> PostgreSQL.query!(directory, "show work_mem") == "77MB" end)
    Supervisor.stop(supervisor)
    assert PostgreSQL.state(directory) == "shut down"
  end

  test "is what program_pid/1 names, and postmaster.pid does too", %{directory: directory, log: log, env: env} do
    supervisor = supervise!([PostgreSQL.child(directory, log, env: env)])
    PostgreSQL.await(directory)
    [pid | _more] = directory |> PostgreSQL.data() |> Path.join("postmaster.pid") |> File.read!() |> String.split("\n")
    assert Daemon.program_pid(daemon(supervisor)) == String.to_integer(pid)
    Supervisor.stop(supervisor)
  end

  test "behind a shell that has replaced itself by it is shut down too", context do
    %{directory: directory, log: log, env: env} = context
    [program | args] = PostgreSQL.command(directory)
    opts = PostgreSQL.options(directory, log) ++ [env: env]
    script = ~s(echo from the shell; exec "$@")
    supervisor = supervise!([{Daemon, ["sh", ["-c", script, "sh", program | args], opts]}])
    PostgreSQL.await(directory)
    PostgreSQL.load!(directory, env)
    Supervisor.stop(supervisor)
    assert PostgreSQL.state(directory) == "shut down"
    assert PostgreSQL.left(directory, context.shared_memory) == []
    assert hd(lines(log)) == "from the shell"
  end

  @tag :root
  test "as another user has that user's HOME and name", %{directory: directory, log: log, env: env} do
    supervisor = supervise!([PostgreSQL.child(directory, log, env: env)])
    PostgreSQL.await(directory)
    # A server writes over what /proc shows of its environment, but its child gets it as it was.
    PostgreSQL.query!(directory, "create table environment (variable text); copy environment from program 'env'")
    environment = directory |> PostgreSQL.query!("select variable from environment") |> String.split("\n")
    assert "HOME=/var/lib/postgresql" in environment
    assert "USER=postgres" in environment
    assert "LOGNAME=postgres" in environment
    assert "SHELL=/bin/bash" in environment
    Supervisor.stop(supervisor)
  end

  # The supervisor restarts what a killed daemon has left, and a new VM what a killed one has, in turn.
  @tag timeout: 60_000 + @rounds * 30_000
  test "is never met by its successor in #{@rounds} restarts with a client connected", context do
    %{directory: directory, log: log, env: env, mark: mark} = context
    children = [PostgreSQL.child(directory, log, env: env)]
    vm_log = Path.join(directory, "vm.log")

    vm =
      Enum.reduce(1..@rounds, ServerVM.start!(children, vm_log), fn round, vm ->
        ready(log, round)
        connect(directory, env)

        vm =
          if rem(round, 2) == 1 do
            ServerVM.crash_daemon!(vm)
            release(directory)
            vm
          else
            # One that is ready to start its children at once.
            next = ServerVM.boot!(vm_log)
            ServerVM.kill!(vm)
            predecessors = OS.helpers(mark)
            start = Task.async(fn -> ServerVM.supervise!(next, children) end)
            OS.eventually(fn -> OS.helpers(mark) -- predecessors != [] end, 60_000)
            release(directory)
            Task.await(start, 120_000)
          end

        assert_disconnected()
        vm
      end)

    ready(log, @rounds + 1)
    ServerVM.stop!(vm)
    assert count_lines(log, "database system was shut down at") == @rounds + 1
    assert_always_shut_down(log)
    assert PostgreSQL.state(directory) == "shut down"
    assert PostgreSQL.left(directory, context.shared_memory) == []
    refute File.read!(vm_log) =~ "see :delay_to_sigkill"
  end

  # A session in the middle of a transaction and of a query, in which nothing interrupts it until the test releases it. As long
  # does a shutdown take, and so its successor comes while it lasts.
  defp connect(directory, env) do
    test = self()
    busy = Path.join(directory, "busy")
    released = Path.join(directory, "released")
    for file <- [busy, released], do: File.rm(file)
    # The server sends SIGTERM to the whole session.
    program = "trap '' TERM; touch #{busy}; until test -e #{released}; do sleep 0.02; done"

    sql =
      "begin; update pgbench_branches set bbalance = bbalance; copy (select 1) to program $$#{program}$$; select pg_sleep(1000)"

    args = ["-X" | PostgreSQL.connection(directory)] ++ ["-c", sql]
    opts = [env: env] ++ PostgreSQL.user()
    spawn_link(fn -> send(test, {:disconnected, run(PostgreSQL.program!("psql"), args, opts)}) end)
    OS.eventually(fn -> File.exists?(busy) end, 60_000)
  end

  defp release(directory), do: File.write!(Path.join(directory, "released"), "")

  defp assert_disconnected() do
    assert_receive {:disconnected, {output, _status}}, 60_000
    assert output =~ "terminating connection due to administrator command"
  end
end
