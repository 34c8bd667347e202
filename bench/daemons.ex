# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Daemons do
  @moduledoc false
  # Many daemons of `sleep` under one supervisor, or as many ports of it. Who forgets a port's program leaves it behind,
  # so it sleeps for no longer than a run could take.

  alias Bench.{Processes, Programs, Turns}

  @program "sleep"
  @args ["900"]

  # The supervisor, which stops all of them at once.
  def supervisor() do
    {:ok, supervisor} = DynamicSupervisor.start_link(strategy: :one_for_one, max_restarts: 0)
    supervisor
  end

  def start(supervisor, count) do
    for _ <- 1..count,
        do: {:ok, _daemon} = DynamicSupervisor.start_child(supervisor, {MuonTrap.Daemon, [@program, @args]})

    :ok
  end

  def all(supervisor), do: for({_id, pid, _type, _modules} <- DynamicSupervisor.which_children(supervisor), do: pid)

  def programs(supervisor), do: for(daemon <- all(supervisor), do: MuonTrap.Daemon.program_pid(daemon))

  # Ends when the programs have.
  def stop(supervisor), do: :ok = DynamicSupervisor.stop(supervisor, :normal, 60_000)

  # Milliseconds that the start and the stop of so many took.
  def start_and_stop(count) do
    supervisor = supervisor()
    start_ms = Turns.time(fn -> start(supervisor, count) end)
    programs = programs(supervisor)
    ^count = length(programs)
    stop_ms = Turns.time(fn -> stop(supervisor) end)
    if Enum.any?(programs, &Processes.alive?/1), do: raise("a program has outlived its daemon")
    %{start: start_ms, stop: stop_ms}
  end

  # The same of ports. A port tells its program's process only once that has been forked. `kill` ends all programs; that
  # they have ended is told by their exit statuses. By SIGKILL, because what is forked inherits from erl_child_setup that
  # SIGTERM is ignored, and may not have got so far as to execute the program.
  def start_and_stop_ports(count) do
    path = Programs.find(@program)
    {start_us, ports} = :timer.tc(fn -> for _ <- 1..count, do: Programs.open(path, @args) end)
    {wait_us, pids} = :timer.tc(fn -> for port <- ports, do: port |> Port.info(:os_pid) |> elem(1) end)

    stop_ms =
      Turns.time(fn ->
        {_output, 0} = System.cmd("kill", ["-KILL" | Enum.map(pids, &to_string/1)])
        Enum.each(ports, &await_end/1)
      end)

    %{start: (start_us + wait_us) / 1000, stop: stop_ms}
  end

  defp await_end(port) do
    receive do
      {^port, {:exit_status, _status}} -> :ok
    end
  end
end
