# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ForeignSignalsTest do
  use ExUnit.Case, async: true

  # Signals of others than the owner, as MuonTrap.top/1 sends them: whatever is asked for at the same time, each gets the answers to
  # what it has asked itself. Two kinds of signals have different answers: one that every program ignores, and one that there isn't.

  import MuonTrap.Test.OS, only: [eventually: 1]

  alias MuonTrap.{Daemon, HelperPort, Program}
  alias MuonTrap.Test.OS

  @each 3_000
  @patience 60_000

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    %{env: OS.marked(mark), mark: mark}
  end

  defp server(owner), do: eventually(fn -> Enum.find(MuonTrap.list(), &(&1.owner == owner and &1.os_pid)) end).server

  defp task(fun), do: Task.async(fn -> for n <- 1..@each, do: fun.(n) end)

  defp foreign(server), do: task(fn n -> {answer(n), HelperPort.signal_foreign(server, signal(n), :program)} end)

  defp signal(n), do: if(rem(n, 3) == 0, do: 127, else: :sigurg)
  defp answer(n), do: if(rem(n, 3) == 0, do: {:error, :einval}, else: :ok)

  defp assert_own(tasks) do
    for answers <- Task.await_many(tasks, :infinity), {wanted, got} <- answers, do: assert(got == wanted)
  end

  test "of an owner and of others, thousands of times at once", %{env: env} do
    for {module, signal} <- [{Program, &Program.signal/2}, {Daemon, &Daemon.signal/2}] do
      {:ok, owner} = module.start_link("sleep", ["1000"], env: env)
      server = server(owner)
      owns = for _n <- 1..2, do: task(fn _n -> {:ok, signal.(owner, :sigurg)} end)
      refused = task(fn _n -> {{:error, :einval}, signal.(owner, 127)} end)
      assert_own([refused | owns] ++ for(_n <- 1..2, do: foreign(server)))
      GenServer.stop(owner)
    end
  end

  test "of others while the owner takes the output directly, now and then", %{env: env} do
    test = self()
    # What comes between two sleeps is more than the window at times. The server asks for output in between.
    script = "n=0; while :; do head -c 30000 /dev/zero; n=$(((n + 1) % 9)); sleep 0.00$n; done"

    owner =
      spawn_link(fn ->
        result = MuonTrap.cmd("sh", ["-c", script], env: env, into: %MuonTrap.Test.Sink{}, timeout: 1_000_000)
        send(test, {:ended, result, Process.info(self(), :messages)})
      end)

    server = server(owner)
    assert_own(for(_n <- 1..4, do: foreign(server)))
    assert :ok = HelperPort.stop_foreign(server)
    assert_receive {:ended, {_sink, 143}, {:messages, []}}, @patience
    eventually(fn -> not Process.alive?(server) end)
    assert HelperPort.signal_foreign(server, :sigurg, :program) == {:error, :exited}
  end

  test "that have no answer when the program ends are told so", %{env: env} do
    for kind <- [:served, :direct] do
      owner =
        if kind == :served,
          do: elem(Program.start_link("sleep", ["1000"], env: env), 1),
          else: spawn_link(fn -> MuonTrap.cmd("sleep", ["1000"], env: env) end)

      server = server(owner)

      askers =
        for _n <- 1..4 do
          Task.async(fn ->
            fn -> HelperPort.signal_foreign(server, :sigurg, :program) end
            |> Stream.repeatedly()
            |> Enum.find(&(&1 != :ok and &1 != {:error, :esrch}))
          end)
        end

      assert HelperPort.signal_foreign(server, :sigkill, :program) == :ok
      assert Task.await_many(askers, @patience) == List.duplicate({:error, :exited}, 4)
      # An owner that reads nothing has its program's end all the same.
      if kind == :served, do: assert(Program.await(owner) == {:ok, 137})
    end
  end

  test "before the program runs reach nobody", %{env: env} do
    lock = Path.join(System.tmp_dir!(), OS.mark())
    on_exit(fn -> File.rm(lock) end)
    {:ok, holder} = Daemon.start_link("sleep", ["1000"], env: env, lock: lock)
    {:ok, waiting} = Daemon.start_link("sleep", ["1000"], env: env, lock: lock)
    listed = eventually(fn -> Enum.find(MuonTrap.list(), &(&1.owner == waiting)) end)
    assert HelperPort.signal_foreign(listed.server, :sigterm, :program) == {:error, :esrch}
    HelperPort.stop_foreign(server(holder))
    assert_receive {:EXIT, ^holder, _reason}, @patience
    assert server(waiting) == listed.server
  end

  test "to a cgroup that there isn't, and to a server that doesn't answer", %{env: env} do
    {:ok, program} = Program.start_link("sleep", ["1000"], env: env)
    server = server(program)
    assert HelperPort.signal_foreign(server, :sigterm, :cgroup) == {:error, :no_cgroup}
    :sys.suspend(server)
    assert HelperPort.signal_foreign(server, :sigurg, :program, 50) == {:error, :timeout}
    :sys.resume(server)
    # The answer that came too late is nobody's.
    assert HelperPort.signal_foreign(server, 127, :program) == {:error, :einval}
    refute_received _late
    assert {:ok, _status} = Program.stop(program)
  end
end
