# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ListTest do
  use ExUnit.Case, async: true

  import MuonTrap.Test.OS, only: [eventually: 1, eventually: 2]

  alias MuonTrap.{Daemon, Program}
  alias MuonTrap.Test.{Cgroups, OS}

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    %{env: OS.marked(mark), mark: mark}
  end

  # Other tests' programs are in the list, too.
  defp listed(owner), do: Enum.find(MuonTrap.list(), &(&1.owner == owner))

  defp listed(owner, fun) do
    eventually(fn ->
      program = listed(owner)
      program && fun.(program) && program
    end)
  end

  # Runs the function in a process that is killed at the test's end, and with it the program.
  defp elsewhere(fun), do: start_supervised!({Task, fun})

  test "tells what it is and what it uses", %{env: env} do
    script = "sleep 1000 & head -c 100000 /dev/zero; read go"
    before = DateTime.utc_now()
    {:ok, program} = Program.start_link("sh", ["-c", script], env: env, active: true)
    listed = listed(program, &(&1.output_byte_count == 100_000 and length(&1.os_pids) == 2))

    assert %{command: "sh", args: ["-c", ^script], state: :running, cgroup: nil, cpu_us: cpu} = listed
    assert listed.os_pid == Program.os_pid(program)
    assert [pid, child] = listed.os_pids
    assert pid == listed.os_pid
    assert OS.parent(child) == pid
    assert DateTime.compare(before, listed.started_at) == :lt
    assert DateTime.compare(listed.started_at, DateTime.utc_now()) == :lt
    assert is_integer(cpu)
    assert is_pid(listed.server)
    refute inspect(MuonTrap.list(), limit: :infinity) =~ elem(hd(env), 1)
  end

  test "has the programs of all that start some", %{env: env} do
    words = ["-c", "echo begun; sleep 1000"]
    test = self()
    cmd = elsewhere(fn -> MuonTrap.cmd("sh", words, env: env) end)
    assert %{command: "sh", args: ^words} = listed(cmd, &(&1.output_byte_count == 6))
    stop_supervised!(Task)

    stream = elsewhere(fn -> "sh" |> MuonTrap.stream!(words, env: env) |> Enum.each(&send(test, {:read, &1})) end)
    assert_receive {:read, "begun\n"}, 60_000
    assert %{command: "sh", args: ^words, output_byte_count: 6} = listed(stream)
    stop_supervised!(Task)

    shell = elsewhere(fn -> MuonTrap.shell("echo begun; sleep 1000", env: env) end)
    assert %{command: "sh", args: ^words} = listed(shell, & &1)

    {:ok, daemon} = Daemon.start_link("sh", words, env: env)
    assert %{command: "sh", args: ^words} = listed(daemon, &(&1.output_byte_count == 6))
  end

  @tag :linux
  test "has each program with what has daemonised, and not the helper's processes", %{env: env, mark: mark} do
    {:ok, daemon} = Daemon.start_link("sh", ["-c", "(setsid sleep 1000 &); exec sleep 1000"], env: env)
    {_keeper, relay} = eventually(fn -> length(OS.alive(mark)) == 2 && OS.keeper_and_relay(mark) end)
    # Of two, the other one may be the shell between them, which goes.
    daemonised? = fn pids -> length(pids) == 2 and OS.parent(List.last(pids)) == relay end
    listed(daemon, &(daemonised?.(&1.os_pids) and Enum.sort(&1.os_pids) == Enum.sort(OS.alive(mark))))
  end

  test "has the children of each thread", %{env: env, mark: mark} do
    code = "import threading, subprocess; threading.Thread(target=subprocess.run, args=[['sleep', '1000']]).start()"
    {:ok, daemon} = Daemon.start_link("/usr/bin/python3", ["-c", code], env: env)
    eventually(fn -> length(OS.alive(mark)) == 2 end)
    listed(daemon, &(Enum.sort(&1.os_pids) == Enum.sort(OS.alive(mark))))
  end

  test "adds up the resident memory", %{env: env} do
    code = "$x = q(x) x 20_000_000; $| = 1; print q(ready); sleep 1000"

    {:ok, program} =
      Program.start_link("sh", ["-c", "perl -e '#{code}' & exec perl -e '#{code}'"], env: env, active: true)

    assert listed(program, &(&1.output_byte_count == 10)).memory_bytes in 40_000_000..120_000_000
  end

  test "adds up the processor that is used by those that live and those that were waited for", %{env: env} do
    busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
    {:ok, program} = Program.start_link("sh", ["-c", "sh -c '#{busy}'; echo done; read go"], env: env)
    assert Program.read(program) == {:stdout, "done\n"}
    assert listed(program).cpu_us >= 10_000
  end

  test "says that a program is suspended, is being stopped, or waits for a lock", %{env: env} do
    lock = Path.join(System.tmp_dir!(), OS.mark())
    on_exit(fn -> File.rm(lock) end)
    script = "trap '' TERM; echo ready; while :; do sleep 0.01; done"

    {:ok, holder} = Daemon.start_link("sh", ["-c", script], env: env, lock: lock, delay_to_sigkill: 600_000)

    assert listed(holder, &(&1.output_byte_count == 6)).state == :running
    :ok = Daemon.signal(holder, :sigstop)
    listed(holder, &(&1.state == :suspended))
    :ok = Daemon.signal(holder, :sigcont)
    listed(holder, &(&1.state == :running))

    {:ok, waiting} = Daemon.start_link("sleep", ["1000"], env: env, lock: lock)
    waits = listed(waiting, &(&1.state == :waiting))
    assert %{os_pid: nil, os_pids: [], cpu_us: nil, memory_bytes: nil, output_byte_count: 0, command: "sleep"} = waits

    stopper = spawn(fn -> GenServer.stop(holder) end)
    on_exit(fn -> Process.exit(stopper, :kill) end)
    stopping = listed(holder, &(&1.state == :stopping))
    OS.kill(stopping.os_pid, "KILL")
    assert_receive {:EXIT, ^holder, _reason}, 60_000
    refute listed(holder)
    assert listed(waiting, &(&1.state == :running)).os_pid == Daemon.program_pid(waiting)
  end

  test "has no program that has ended, though its owner doesn't know yet", %{env: env, mark: mark} do
    test = self()

    {:ok, daemon} =
      Daemon.start_link("sh", ["-c", "echo one; read go; kill -KILL $$"],
        env: env,
        stdin: :null,
        logger_fun: fn _line ->
          send(test, {:busy, self()})
          receive do: (:go -> :ok)
        end
      )

    assert_receive {:busy, ^daemon}, 60_000
    eventually(fn -> OS.alive(mark) == [] end)
    eventually(fn -> listed(daemon) == nil end)
    send(daemon, :go)
  end

  test "is not held up by a server that doesn't answer", %{env: env} do
    {:ok, deaf} = Daemon.start_link("sleep", ["1000"], env: env)
    {:ok, other} = Daemon.start_link("sleep", ["1000"], env: env)
    server = eventually(fn -> listed(deaf) end).server
    :sys.suspend(server)

    # The other one has a second, which it may miss on a busy machine.
    programs =
      eventually(fn ->
        {us, programs} = :timer.tc(&MuonTrap.list/0)
        assert us < 30_000_000
        Enum.any?(programs, &(&1.owner == other)) && programs
      end)

    :sys.resume(server)
    refute Enum.any?(programs, &(&1.owner == deaf))
    refute_received _late
    assert eventually(fn -> listed(deaf) end).server == server
  end

  test "has those that have answered also when the process that asks is held up for longer than they may take", %{
    env: env
  } do
    {:ok, deaf} = Daemon.start_link("sleep", ["1000"], env: env)
    {:ok, other} = Daemon.start_link("sleep", ["1000"], env: env)
    [server, answers] = for owner <- [deaf, other], do: eventually(fn -> listed(owner) end).server
    :sys.suspend(server)
    list = Task.async(&MuonTrap.list/0)
    asking = eventually(fn -> Enum.find(Process.list(), &awaits_answers?(&1, list.pid)) end)
    true = :erlang.suspend_process(asking)
    # It has been asked before this, and so has answered.
    _state = :sys.get_state(answers, 60_000)
    # What passes is the second that they have, and as long again.
    Process.sleep(2_000)
    true = :erlang.resume_process(asking)
    assert Enum.any?(Task.await(list, 60_000), &(&1.owner == other))
    :sys.resume(server)
  end

  defp awaits_answers?(pid, parent) do
    :erlang.process_info(pid, :parent) == {:parent, parent} and
      match?({_, {_module, :receive_response, _arity}}, Process.info(pid, :current_function))
  end

  @tag :cgroup_core
  test "has the processor's time of a cgroup that was made", %{env: env} do
    busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
    # What a daemonised process has used that has ended isn't to be found in /proc.
    script = "(setsid sh -c '#{busy}; echo done' &); exec sleep 1000"
    {:ok, daemon} = Daemon.start_link("sh", ["-c", script], env: env, cgroup_base: Cgroups.base())
    listed = listed(daemon, &(&1.output_byte_count == 5))
    assert listed.cgroup == Daemon.cgroup_path(daemon)
    assert listed.cpu_us >= 10_000
  end

  @tag :cgroup_controllers
  test "has the memory that is charged to the cgroup", %{env: env} do
    {:ok, daemon} =
      Daemon.start_link("sleep", ["1000"], env: env, cgroup_base: Cgroups.base(), cgroup_controllers: ["memory"])

    {:ok, current} = Daemon.cgget(daemon, "memory.current")
    assert_in_delta listed(daemon).memory_bytes, String.to_integer(current), 2_000_000
  end

  test "has many at once", %{env: env} do
    owners = for n <- 1..100, do: start_supervised!({Task, fn -> MuonTrap.cmd("sleep", ["1000"], env: env) end}, id: n)
    eventually(fn -> owners -- Enum.map(MuonTrap.list(), & &1.owner) == [] end, 60_000)
  end
end
