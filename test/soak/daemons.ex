# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Daemons do
  @moduledoc false
  # Daemons under a supervisor, of which now and then one is killed: its program, one of its helper's processes, or
  # itself. The next one has to run then, and nothing of the first.

  alias MuonTrap.Daemon
  alias MuonTrap.Soak
  alias MuonTrap.Soak.Tally
  alias MuonTrap.Test.OS

  @victims [:program, :relay, :keeper, :daemon]
  # Each daemon about every two minutes.
  @every_ms 1_200
  @restart_ms 60_000

  # Numbered lines, of which one that is lost is missed.
  @talker ~S[n=0; while sleep 10; do n=$((n + 1)); echo $n; done]
  @cgroup_every 5

  @spec start(map()) :: pid()
  def start(plan) do
    children = for number <- 1..plan.daemons, do: Supervisor.child_spec({Daemon, daemon(number, plan)}, id: number)
    {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one, max_restarts: 1_000_000)
    supervisor
  end

  # Half of them have a helper that has been started for them alone, see MuonTrap.Soak.Commands.
  defp daemon(number, plan) do
    cgroup? = plan.cgroup_base != nil and rem(number, @cgroup_every) == 0
    cgroup = if cgroup?, do: [cgroup_base: plan.cgroup_base], else: []
    options = [env: plan.env, parallelism: rem(number, 2) == 1, logger_fun: {__MODULE__, :line, []}] ++ cgroup
    {program, args} = if rem(number, 3) == 0, do: {"sh", ["-c", @talker]}, else: {"sleep", ["#{100_000 + number}"]}
    [program, args, options]
  end

  @doc "What the program of the calling daemon has written next"
  @spec line(String.t()) :: :ok
  def line(line) do
    number = 1 + Process.get(__MODULE__, 0)
    Process.put(__MODULE__, number)
    Tally.count(:lines)
    if line != "#{number}", do: Tally.find("line #{number} of a daemon was #{inspect(line)}"), else: :ok
  end

  @doc "Kills until then, as a process with its monitor"
  @spec start_saboteur(pid(), map(), integer()) :: {pid(), reference()}
  def start_saboteur(supervisor, plan, until) do
    spawn_monitor(fn ->
      :rand.seed(:exsss, {plan.seed, 2, 0})
      sabotage(supervisor, plan, Soak.now(), until)
    end)
  end

  defp sabotage(supervisor, plan, due, until) do
    Soak.sleep_until(due)

    if Soak.now() < until do
      kill(supervisor, :rand.uniform(plan.daemons), Enum.random(@victims))
      sabotage(supervisor, plan, due + @every_ms, until)
    end
  end

  @doc "Kills each of so many daemons in each of the ways"
  @spec sabotage_each(pid(), pos_integer()) :: :ok
  def sabotage_each(supervisor, count) do
    for number <- 1..count, victim <- @victims, do: kill(supervisor, number, victim)
    :ok
  end

  defp kill(supervisor, number, victim) do
    daemon = child(supervisor, number)
    program = Daemon.program_pid(daemon)
    keeper = Daemon.os_pid(daemon)
    ids = for pid <- [program, OS.parent(program), keeper], do: {pid, OS.started(pid)}

    case victim do
      :program -> OS.kill(program, "KILL")
      :relay -> OS.kill(OS.parent(program), "KILL")
      :keeper -> OS.kill(keeper, "KILL")
      :daemon -> Process.exit(daemon, :kill)
    end

    if runs_again?(supervisor, number, daemon, Soak.now() + @restart_ms) do
      [program | _helpers] = ids

      if runs?(program),
        do: Tally.find("the program of daemon #{number} has met its successor, after #{victim} was killed")

      Tally.count(:restarts)
    else
      Tally.find(
        "daemon #{number} hasn't run again within #{@restart_ms} ms after #{victim} was killed: #{inspect(ids)}"
      )
    end
  end

  defp runs?({pid, started}), do: OS.alive?(pid) and OS.started(pid) == started

  defp runs_again?(supervisor, number, before, deadline) do
    daemon = child(supervisor, number)

    cond do
      is_pid(daemon) and daemon != before and is_integer(program(daemon)) ->
        true

      Soak.now() > deadline ->
        false

      true ->
        Process.sleep(10)
        runs_again?(supervisor, number, before, deadline)
    end
  end

  defp program(daemon) do
    Daemon.program_pid(daemon)
  catch
    :exit, _ended -> nil
  end

  defp child(supervisor, number) do
    {^number, child, _type, _modules} = supervisor |> Supervisor.which_children() |> List.keyfind(number, 0)
    child
  end
end
