# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ReloadTest do
  # Code is loaded anew twice, as by two upgrades of a release. When the code before the last is purged, the VM kills every
  # process that would return to it or holds a function of it. Not async: the code is everybody's.
  use ExUnit.Case, async: false

  # What counts the lines that are run is not in what has been loaded anew: `make coverage` leaves it out.
  @moduletag :reload

  alias MuonTrap.Daemon
  alias MuonTrap.Test.{OS, Sink}

  setup do
    Process.flag(:trap_exit, true)
    mark = OS.mark()
    on_exit(fn -> for pid <- OS.alive(mark) ++ OS.helpers(mark), do: OS.kill(pid, "KILL") end)
    %{env: OS.marked(mark), mark: mark}
  end

  defp reload_twice() do
    for _ <- 1..2, module <- Application.spec(:muontrap, :modules), library?(module) do
      :code.purge(module)
      {:module, ^module} = :code.load_file(module)
    end
  end

  defp library?(module), do: not String.starts_with?(inspect(module), "MuonTrap.Test.")

  # Writes a line, for SIGUSR1 another one, and for SIGUSR2 another one at its end.
  @script "trap 'echo again' USR1; trap 'echo again; exit 3' USR2; echo ready; while :; do sleep 0.01; done"

  defp program(mark) do
    relays = OS.helpers(mark)
    Enum.find(OS.alive(mark), &(OS.parent(&1) in relays))
  end

  defp logging(:function, test), do: [logger_fun: &send(test, {:line, &1})]
  defp logging(:transform, test), do: [log_output: :debug, log_transform: &(send(test, {:line, &1}) && &1)]
  defp logging(:logger, _test), do: [log_output: :debug]

  for {kind, name, lines} <- [
        {:function, "a function", ["ready", "again"]},
        {:transform, "the logger through a function", ["ready", "again"]},
        {:logger, "the logger", []}
      ] do
    test "a daemon whose lines go to #{name} runs on", %{env: env, mark: mark} do
      {:ok, daemon} = Daemon.start_link("sh", ["-c", @script], [env: env] ++ logging(unquote(kind), self()))
      OS.eventually(fn -> Daemon.statistics(daemon).output_byte_count == 6 end)
      program = program(mark)
      reload_twice()
      assert Process.alive?(daemon)
      assert program(mark) == program
      OS.kill(program, "USR1")
      OS.eventually(fn -> Daemon.statistics(daemon).output_byte_count == 12 end)
      for line <- unquote(lines), do: assert_receive({:line, ^line}, 30_000)
      GenServer.stop(daemon)
      assert OS.alive(mark) == []
    end
  end

  test "a daemon that waits for :wait_for goes on", %{env: env, mark: mark} do
    test = self()

    wait = fn ->
      send(test, {:waiting, self()})
      receive do: (:go -> :ok)
    end

    {:ok, daemon} = Daemon.start_link("sh", ["-c", @script], wait_for: wait, env: env)
    assert_receive {:waiting, waiting}, 30_000
    reload_twice()
    send(waiting, :go)
    OS.eventually(fn -> program(mark) end)
    GenServer.stop(daemon)
  end

  for {name, opts, output} <- [
        {"output", [], "ready\nagain\n"},
        {"lines", [lines: 100, into: []], ["ready", "again"]},
        {"output with a time limit", [timeout: 100_000], "ready\nagain\n"}
      ] do
    test "cmd/3 goes on collecting #{name}", %{env: env, mark: mark} do
      cmd = Task.async(fn -> MuonTrap.cmd("sh", ["-c", @script], [env: env] ++ unquote(opts)) end)
      # The traps are set, and the first line is there.
      OS.eventually(fn -> Enum.any?(MuonTrap.list(), &(&1.owner == cmd.pid and &1.output_byte_count == 6)) end)
      OS.eventually(fn -> waits?(cmd.pid) end)
      reload_twice()
      OS.kill(program(mark), "USR2")
      assert Task.await(cmd, 30_000) == {unquote(output), 3}
    end
  end

  # With none of the library's functions on the stack.
  defp waits?(pid) do
    [status: status, current_stacktrace: stack] = Process.info(pid, [:status, :current_stacktrace])

    status == :waiting and
      not Enum.any?(stack, fn {module, _, _, _} -> module in Application.spec(:muontrap, :modules) end)
  end

  test "a program whose owner is killed afterwards is ended", %{env: env, mark: mark} do
    test = self()
    sink = %Sink{with: &send(test, {:output, &1})}
    caller = spawn(fn -> MuonTrap.cmd("sh", ["-c", @script], env: env, into: sink) end)
    assert_receive {:output, "ready\n"}, 30_000
    OS.eventually(fn -> waits?(caller) end)
    reload_twice()
    Process.exit(caller, :kill)
    OS.eventually(fn -> OS.alive(mark) == [] and OS.helpers(mark) == [] end)
  end
end
