# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Runner do
  @moduledoc false
  # Runs cases one after the other, in a VM of their own (`MuonTrap.Torture.Worker`), which may be killed, and finds out what
  # came of each.

  alias MuonTrap.Test.{Cgroups, OS}
  alias MuonTrap.Torture.{Ledger, Scene, Verdict, Worker}

  # Milliseconds after which a case hangs, on a machine that is busy; and for what is left to go away. Times as many where the
  # processor is emulated.
  # A flood holds up others who write into the same pipe for long, on a busy machine for minutes.
  @hung 180_000
  @later 60_000

  @doc "What this machine can be tortured with"
  @spec machine(Path.t()) :: map()
  def machine(programs) do
    %{
      root: OS.root?(),
      cgroup: Cgroups.core?(),
      controllers: Cgroups.controllers?(["cpu", "memory", "pids"]),
      calls: calls?(programs)
    }
  end

  # Linux 5.19, and no filter around us that forbids it.
  defp calls?(programs) do
    env = [{"TORTURE_HELPER", MuonTrap.muontrap_path()}, {"TORTURE_CALLS", "read:1:0:d1"}]
    {_said, status} = System.cmd(Path.join(programs, "faulty"), ["--version"], env: env, stderr_to_stdout: true)
    status == 0
  end

  @doc "A runner, whose cases have their files in that directory"
  @spec new(Path.t(), Path.t()) :: map()
  def new(directory, programs) do
    File.mkdir_p!(directory)
    %{directory: directory, programs: programs, worker: nil, cgroup2: Cgroups.mount() || ""}
  end

  @doc "Ends its VM"
  @spec stop(map()) :: map()
  def stop(runner) do
    if runner.worker, do: Worker.stop(runner.worker)
    %{runner | worker: nil}
  end

  @doc "Run a case. Returns what is known of it, and what promises were broken"
  @spec run(map(), Scene.t()) :: {[String.t()], Verdict.known(), map()}
  def run(runner, scene) do
    runner = if runner.worker, do: runner, else: %{runner | worker: Worker.start!()}
    mark = OS.mark()
    directory = Path.join(runner.directory, mark)
    File.mkdir_p!(directory)
    ledger = Ledger.create!(directory)

    context = %{
      mark: mark,
      ledger: ledger,
      tree: Path.join(runner.programs, "tree"),
      faulty: Path.join(runner.programs, "faulty"),
      cgroup2: runner.cgroup2,
      slowness: slowness(),
      cgroup_base: "torture-#{mark}"
    }

    burners = for _processor <- List.duplicate(nil, scene.busy), do: burn(runner)
    helpers = Worker.helpers(runner.worker)
    saboteur = sabotage(scene, context, runner)
    {seen, runner} = attend(runner, scene, context)
    outside = end_saboteur(saboteur, scene)
    known = %{seen: seen, ledgers: Ledger.read(ledger), outside: outside, alive: [], left: []}
    known = %{known | alive: alive_later(mark, known)}
    {left, runner} = left(runner, known, helpers)
    excuses = Verdict.excuses(scene, known)

    known = %{
      known
      | left: left ++ if(:both_killed in excuses, do: end_excused(known, mark, context), else: cgroups(scene, context))
    }

    for burner <- burners, do: Port.close(burner)
    broken = Verdict.broken(scene, known)
    runner = if broken == [] and seen != :hung, do: runner, else: clean_up(runner, mark)
    remove_cgroup(scene, context)
    File.rm_rf!(directory)
    {broken, known, runner}
  end

  defp slowness(), do: if(File.dir?("/run/muontrap-vm"), do: 10, else: 1)

  # ---- While it runs ----

  defp burn(runner), do: Port.open({:spawn_executable, Path.join(runner.programs, "saboteur")}, args: ["burn"])

  defp attend(runner, scene, context) do
    case Worker.run(runner.worker, scene, context, slowness() * (@hung + (scene.last_resort || 0))) do
      {:ok, seen} -> {seen, runner}
      :hung -> {:hung, runner}
      :dead -> {:vm_killed, %{runner | worker: nil}}
    end
  end

  defp sabotage(%{outside: []}, _context, _runner), do: nil

  defp sabotage(scene, context, runner) do
    faults = for fault <- scene.outside, do: fault_text(fault)

    env = [
      {~c"TORTURE_CGROUP2", String.to_charlist(context.cgroup2)},
      {~c"TORTURE_STRANGER", String.to_charlist(context.mark)}
    ]

    port =
      Port.open({:spawn_executable, Path.join(runner.programs, "saboteur")}, [
        :binary,
        :exit_status,
        line: 100,
        env: env,
        args: ["#{context.ledger}.0", "#{runner.worker.pid}" | faults]
      ])

    receive do: ({^port, {:data, {:eol, "ready"}}} -> port)
  end

  defp fault_text({moment, whom, what}), do: "#{moment_text(moment)}:#{whom_text(whom)}:#{what_text(what)}"

  defp moment_text({:start, us}), do: "s#{us}"
  defp moment_text({:act, number, acts, us}), do: "a#{number}.#{acts}.#{us}"

  defp whom_text({:descendant, number}), do: "D#{number}"
  defp whom_text(whom), do: %{program: "P", relay: "R", keeper: "K", both: "B", vm: "V", cgroup: "G"}[whom]

  defp what_text({:signal, number}), do: "k#{number}"
  defp what_text({:stop, ms}), do: "s#{ms}"
  defp what_text({:freeze, ms}), do: "f#{ms}"
  defp what_text({:remove, ms}), do: "m#{ms}"
  defp what_text(:join), do: "j"
  defp what_text(:make), do: "d"

  # It leaves when it is told to. The end of its standard input would be that, too, but then its last words were lost.
  defp end_saboteur(nil, _scene), do: []

  defp end_saboteur(port, scene) do
    {:os_pid, pid} = Port.info(port, :os_pid)
    Port.command(port, "e")
    results = results(port, %{}, pid)
    for {fault, index} <- Enum.with_index(scene.outside), do: {fault, Map.get(results, index, "never")}
  end

  defp results(port, results, pid) do
    receive do
      {^port, {:data, {:eol, line}}} ->
        [index, result] = String.split(line)
        results(port, Map.put(results, String.to_integer(index), result), pid)

      {^port, {:exit_status, _status}} ->
        results
    after
      slowness() * @hung ->
        OS.kill(pid, "KILL")
        results
    end
  end

  # ---- Afterwards ----

  defp alive_later(mark, known) do
    helpers = for ledger <- known.ledgers, helper <- [ledger.relay, ledger.keeper], known.seen == :vm_killed, do: helper

    OS.remaining(
      fn -> OS.alive(mark) ++ for({pid, started} <- helpers, same?(pid, started), do: pid) end,
      slowness() * @later
    )
  end

  defp same?(pid, started), do: OS.alive?(pid) and OS.started(pid) == started

  defp left(%{worker: nil} = runner, _known, helpers) do
    case OS.remaining(fn -> for {pid, started} <- helpers, same?(pid, started), do: pid end, slowness() * @later) do
      [] -> {[], runner}
      pids -> {["helpers of the VM that was killed live on: #{inspect(pids)}"], runner}
    end
  end

  defp left(runner, %{seen: :hung}, _helpers), do: {[], runner}

  defp left(runner, known, helpers) do
    case Worker.leaks(runner.worker, slowness() * @later) do
      {:ok, leaks} ->
        {leaks, runner}

      _dead ->
        dead = %{runner | worker: nil}
        if vm_hit?(known), do: left(dead, known, helpers), else: {["the VM doesn't answer after the case"], dead}
    end
  end

  # Which may have come when the VM had told already how the case has ended.
  defp vm_hit?(known), do: Enum.any?(known.outside, &match?({{_when, :vm, {:signal, 9}}, "done"}, &1))

  # What the kernel leaves alive when both helper processes are killed is ended here, and what was in a cgroup by the next start.
  defp end_excused(known, mark, context) do
    in_cgroup =
      for pid <- known.alive, {:ok, text} <- [File.read("/proc/#{pid}/cgroup")], text =~ context.cgroup_base, do: pid

    left =
      if in_cgroup == [] do
        []
      else
        MuonTrap.cmd("true", [], cgroup_base: context.cgroup_base)
        OS.remaining(fn -> Enum.filter(OS.alive(mark), &(&1 in in_cgroup)) end, slowness() * @later)
      end

    kill_all(mark)
    if left == [], do: [], else: ["the next start below the same base has not ended #{inspect(left)}"]
  end

  defp kill_all(mark) do
    OS.eventually(fn ->
      pids = OS.alive(mark)
      for pid <- pids, do: OS.kill(pid, "KILL")
      pids == []
    end)
  end

  defp cgroups(scene, context) do
    if scene.options[:cgroup_base] do
      directory = Cgroups.directory(context.cgroup_base)

      OS.remaining(
        fn ->
          if File.exists?(directory), do: ["the cgroup #{directory} is left: #{inspect(File.ls(directory))}"], else: []
        end,
        @later
      )
    else
      []
    end
  end

  defp remove_cgroup(scene, context), do: if(scene.options[:cgroup_base], do: Cgroups.remove(context.cgroup_base))

  defp clean_up(runner, mark) do
    runner = stop(runner)
    kill_all(mark)
    runner
  end
end
