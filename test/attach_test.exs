# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.AttachTest do
  use ExUnit.Case, async: true

  # Processes that somebody else has started: here a shell, which daemonises them, or the VM's own port.

  alias MuonTrap.{Error, Program}
  alias MuonTrap.Test.{Cgroups, OS, Programs}

  @moduletag :linux

  doctest MuonTrap, only: [attach: 2]

  setup do
    Programs.marked()
  end

  # A child of the VM's, which nothing of MuonTrap's has started, and which is ready.
  defp start({program, args}, env) do
    port =
      Port.open({:spawn_executable, System.find_executable(program)}, [
        :binary,
        line: 100,
        args: args,
        env: for({name, value} <- env, do: {String.to_charlist(name), String.to_charlist(value)})
      ])

    {:os_pid, pid} = Port.info(port, :os_pid)
    assert_receive {^port, {:data, {:eol, "ready"}}}, 30_000
    {port, pid}
  end

  # One of init's: its parent has ended.
  defp daemonise(env, command \\ "exec sleep 1000") do
    {pid, 0} = System.cmd("sh", ["-c", "setsid sh -c '#{command}' >/dev/null 2>&1 & echo $!"], env: env)
    pid = pid |> String.trim() |> String.to_integer()
    OS.eventually(fn -> OS.parent(pid) == 1 end)
    pid
  end

  defp refused(os_pid, opts \\ []) do
    assert {:error, %Error{stage: :attach} = error} = MuonTrap.attach(os_pid, opts)
    assert error.message =~ "process #{os_pid}"
    error.reason
  end

  test "one of init's is watched, and its status can't be known", %{env: env} do
    pid = daemonise(env)
    {:ok, program} = MuonTrap.attach(pid)
    assert Program.os_pid(program) == pid
    assert Program.await(program, 0) == {:error, :timeout}
    assert Program.write(program, "x") == {:error, :closed}
    assert Program.close_stdin(program) == :ok
    assert Program.resize(program, 10, 10) == {:error, :no_pty}
    assert OS.kill(pid, "TERM")
    assert Program.await(program) == {:ok, :unknown}
    assert Program.read(program) == :eof
    assert Program.os_pid(program) == {:error, :exited}
    assert Program.signal(program, :sigterm) == {:error, :exited}
    assert Program.stop(program) == {:ok, :unknown}
  end

  test "it is signalled, by itself and with its descendants", %{env: env} do
    child = "trap 'echo child' USR1; echo ready; while :; do sleep 0.05; done"
    {port, pid} = start({"sh", ["-c", "trap 'echo it' USR1; sh -c \"#{child}\" & while :; do sleep 0.05; done"]}, env)
    {:ok, program} = MuonTrap.attach(pid)
    assert Program.signal(program, :sigusr1) == :ok
    assert_receive {^port, {:data, {:eol, "it"}}}, 30_000
    assert Program.signal(program, :sigusr1, :tree) == :ok
    assert_receive {^port, {:data, {:eol, "child"}}}, 30_000
    assert Program.signal(program, :sigusr1, :group) == {:error, :enotsup}
    assert Program.signal(program, :sigusr1, :cgroup) == {:error, :no_cgroup}
    assert Program.stop(program) == {:ok, :unknown}
    refute OS.alive?(pid)
  end

  test "a stop ends it, by the stop sequence, and by force in the end", %{env: env} do
    pid = daemonise(env, "trap \"\" TERM; while :; do sleep 0.05; done")
    OS.eventually(fn -> ignores_sigterm?(pid) end)
    {:ok, program} = MuonTrap.attach(pid, stop_sequence: [sigusr1: 1_000])
    assert Program.stop(program) == {:ok, :unknown}
    refute OS.alive?(pid)

    pid = daemonise(env, "trap \"\" TERM; while :; do sleep 0.05; done")
    OS.eventually(fn -> ignores_sigterm?(pid) end)
    {:ok, program} = MuonTrap.attach(pid, delay_to_sigkill: 50)
    assert Program.stop(program) == {:ok, :unknown}
    refute OS.alive?(pid)
  end

  defp ignores_sigterm?(pid) do
    [_all, ignored] = Regex.run(~r/^SigIgn:\s+(\w+)$/m, File.read!("/proc/#{pid}/status"))
    Bitwise.band(String.to_integer(ignored, 16), Bitwise.bsl(1, 15 - 1)) != 0
  end

  test "the stop command knows it by CHILD_PID", %{env: env} do
    pid = daemonise(env)
    {:ok, program} = MuonTrap.attach(pid, stop_command: ["sh", "-c", "kill -9 $CHILD_PID"], delay_to_sigkill: 60_000)
    assert Program.stop(program) == {:ok, :unknown}
    refute OS.alive?(pid)
  end

  test "it ends with its owner", %{env: env} do
    pid = daemonise(env)
    test = self()

    owner =
      spawn(fn ->
        send(test, MuonTrap.attach(pid))
        Process.sleep(:infinity)
      end)

    assert_receive {:ok, program}, 30_000
    monitor = Process.monitor(program)
    Process.exit(owner, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^program, _reason}, 30_000
    OS.eventually(fn -> not OS.alive?(pid) end)
  end

  test "the messages of its end come to the owner, and with when_done: :stop it ends itself", %{env: env} do
    pid = daemonise(env)
    {:ok, program} = MuonTrap.attach(pid, active: true, when_done: :stop, name: :attached_by_name)
    assert Process.whereis(:attached_by_name) == program
    monitor = Process.monitor(program)
    assert OS.kill(pid, "KILL")
    assert_receive {^program, :eof}, 30_000
    assert_receive {^program, {:exit, :unknown}}, 30_000
    assert_receive {:DOWN, ^monitor, :process, ^program, :normal}, 30_000
  end

  test "it ends whichever process of the helper's is killed", %{env: env} do
    vm = String.to_integer(System.pid())

    for which <- [:keeper, :relay] do
      pid = daemonise(env)
      {:ok, program} = MuonTrap.attach(pid)
      # Others' helpers come and go in this VM, and that one is known by its command line.
      keeper =
        Enum.find(
          OS.children(OS.children(vm) |> Enum.find(&(OS.children(&1) != [] and erl_child_setup?(&1)))),
          &attached?(&1, pid)
        )

      [relay] = OS.children(keeper)
      assert OS.kill(if(which == :keeper, do: keeper, else: relay), "KILL")

      case Program.await(program) do
        {:ok, :unknown} when which == :keeper -> :ok
        {:error, %Error{reason: :vanished}} when which == :relay -> :ok
      end

      refute OS.alive?(pid)
    end
  end

  defp erl_child_setup?(pid), do: match?({:ok, "erl_child_setup" <> _}, File.read("/proc/#{pid}/comm"))

  defp attached?(pid, to) do
    case File.read("/proc/#{pid}/cmdline") do
      {:ok, words} -> words =~ "--attach\0#{to}\0"
      {:error, _gone} -> false
    end
  end

  test "what isn't there is refused" do
    assert refused(4_194_303) == :esrch
    {pid, 0} = System.cmd("sh", ["-c", "echo $$"])
    assert refused(pid |> String.trim() |> String.to_integer()) == :esrch
  end

  test "what must not be stopped is refused", %{env: env, mark: mark} do
    vm = String.to_integer(System.pid())
    assert refused(1) == :einval
    assert refused(vm) == :einval
    assert refused(OS.parent(vm)) in [:einval, :eperm]
    # Its threads are none of the processes there are.
    [thread | _others] = File.ls!("/proc/#{vm}/task") -- ["#{vm}"]
    assert refused(String.to_integer(thread)) == :esrch

    {:ok, sleep} = Program.start_link("sleep", ["1000"], env: env)
    {keeper, relay} = OS.keeper_and_relay(mark)
    assert refused(keeper) == :einval
    assert refused(relay) == :einval
    assert Program.await(sleep, 0) == {:error, :timeout}

    if kernel = Enum.find(OS.pids(), &(OS.parent(&1) == 2)), do: assert(refused(kernel) == :einval)
  end

  test "a program of MuonTrap's own can be attached to", %{env: env} do
    {:ok, sleep} = Program.start_link("sleep", ["1000"], env: env)
    {:ok, program} = MuonTrap.attach(Program.os_pid(sleep))
    assert Program.stop(program) == {:ok, :unknown}
    assert Program.await(sleep) == {:ok, 143}
  end

  test "it is listed with what it executes and what descends from it", %{env: env} do
    {_port, pid} = start({"sh", ["-c", "sleep 1000 & echo ready; wait"]}, env)
    {:ok, program} = MuonTrap.attach(pid)
    assert [listed] = for(%{owner: ^program} = listed <- MuonTrap.list(), do: listed)
    assert %{command: "/" <> _path, args: ["-c", "sleep 1000 &" <> _rest], os_pid: ^pid, state: :running} = listed
    assert [^pid, child] = listed.os_pids
    assert OS.parent(child) == pid
    assert listed.memory_bytes > 0
    assert Program.stop(program) == {:ok, :unknown}
    assert OS.kill(child, "KILL")
  end

  test "one that ends during the call is there, or isn't" do
    results =
      for n <- 1..200 do
        port = Port.open({:spawn_executable, System.find_executable("sleep")}, args: ["0.00#{rem(n, 10)}"], env: [])
        # The port may be gone as well by now.
        with {:os_pid, pid} <- Port.info(port, :os_pid),
             {:ok, program} <- MuonTrap.attach(pid) do
          assert Program.await(program) == {:ok, :unknown}
          assert Program.stop(program) == {:ok, :unknown}
        else
          nil -> :gone
          {:error, %Error{stage: :attach, reason: :esrch}} -> :gone
        end
      end

    assert length(results) == 200
  end

  test "arguments and options that make no sense are refused by name" do
    for pid <- [0, -1, 1.5, "1", nil, 4_194_304],
        do: assert_raise(ArgumentError, ~r/MuonTrap.attach\/2/, fn -> MuonTrap.attach(pid) end)

    for {name, value} <- [cd: "/", uid: 5, env: [], stdin: :null, timeout: 5, rlimits: [], nonsense: 1, pty: true] do
      error = assert_raise(ArgumentError, fn -> MuonTrap.attach(5, [{name, value}]) end)
      assert error.message =~ "unknown option #{inspect(name)} for MuonTrap.attach/2"
    end

    assert_raise ArgumentError, ~r/:delay_to_sigkill/, fn -> MuonTrap.attach(5, delay_to_sigkill: -1) end
    assert_raise ArgumentError, ~r/:stop_command/, fn -> MuonTrap.attach(5, stop_command: ["/no/such/program"]) end
    assert_raise ArgumentError, ~r/:cgroup/, fn -> MuonTrap.attach(5, cgroup: %{memory_max: 5}) end
  end

  describe "with a cgroup" do
    @describetag :cgroup_core

    setup do
      base = Cgroups.new_base()
      on_exit(fn -> Cgroups.remove(base) end)
      %{base: base}
    end

    # In their sessions, below each other, and one of them forks all the time.
    @tree "setsid sleep 1000 & (sleep 1000 & setsid sh -c 'while :; do sleep 0.01; done' & exec sleep 1000) & echo ready; wait"

    test "it is moved there with all its descendants, and they end together", %{env: env, mark: mark, base: base} do
      {_port, pid} = start({"sh", ["-c", @tree]}, env)
      OS.eventually(fn -> length(OS.alive(mark)) >= 5 end)
      {:ok, program} = MuonTrap.attach(pid, cgroup_base: base)
      [cgroup] = Cgroups.children(base)
      assert Cgroups.of_living(OS.alive(mark)) == ["#{base}/#{cgroup}"]
      assert length(OS.alive(mark)) >= 5
      assert Program.signal(program, :sigcont, :cgroup) == :ok
      # By itself, not by a stop.
      assert OS.kill(pid, "KILL")
      assert Program.await(program) == {:ok, :unknown}
      assert OS.alive(mark) == []
      OS.eventually(fn -> Cgroups.children(base) == [] end)
    end

    test "a stop tells its descendants, too, once it has ended", %{env: env, mark: mark, base: base} do
      said = "trap 'echo told; exit' TERM; echo ready; while :; do sleep 0.05; done"
      {port, pid} = start({"sh", ["-c", "sh -c \"#{said}\" & wait"]}, env)
      {:ok, program} = MuonTrap.attach(pid, cgroup_base: base, delay_to_sigkill: 30_000)
      assert Program.stop(program) == {:ok, :unknown}
      assert_receive {^port, {:data, {:eol, "told"}}}, 30_000
      assert OS.alive(mark) == []
    end

    test "a cgroup that can't be had leaves it where it was", %{env: env, base: base} do
      pid = daemonise(env)
      before = Cgroups.of(pid)
      Cgroups.make!("#{base}/taken")
      other = daemonise(env)
      Cgroups.write!("#{base}/taken", "cgroup.procs", "#{other}")
      assert {:error, %Error{stage: :cgroup}} = MuonTrap.attach(pid, cgroup_path: "#{base}/taken")
      assert Cgroups.of(pid) == before
      assert OS.alive?(pid)
      assert OS.kill(other, "KILL")
    end
  end
end
