# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak do
  @moduledoc false
  # What `make soak` runs: commands, daemons and sessions in this VM for a given time, with samples of what the VM and
  # the system hold meanwhile. It fails when a byte was lost, when something has survived, or when a quantity has
  # grown.

  alias MuonTrap.Soak.{Commands, Daemons, Flatness, Plot, Remains, Sample, Sessions, Tally}
  alias MuonTrap.Test.{Cgroups, OS}

  @directory "build/soak"
  @samples Path.join(@directory, "samples.tsv")

  @commands_an_hour 100_000
  @callers 8
  @daemons 100
  @sessions 50
  @count_of_samples 240
  # A sample looks at all processes of the system. It isn't to be what the machine does most of the time, in a short
  # run.
  @sample_least_ms 2_000

  # Beyond the time of the run, what was begun in it may take so long to end.
  @patience_ms 120_000

  @doc "Where the samples of the last run are"
  @spec samples() :: Path.t()
  def samples(), do: @samples

  @doc "The command: what is asked for is in the environment, see tests.mk"
  @spec main() :: no_return()
  def main() do
    :ok = :logger.set_primary_config(:level, :none)
    load_all_code()
    minutes = number("MINUTES", 60)
    seed = number("SEED", :rand.uniform(1_000_000_000))
    machine = describe_machine()
    plan = plan(minutes, seed)
    IO.puts("soak: SEED=#{seed} MINUTES=#{minutes}, #{machine}")

    IO.puts(
      "soak: #{if plan.cgroup_base, do: "some programs have cgroups below #{plan.cgroup_base}", else: "no cgroups"}"
    )

    Tally.start()
    warm_up(plan)
    before = Remains.baseline()
    started = now()
    samples = run(plan, "# #{minutes} minutes, #{machine}")
    minutes_taken = Float.round((now() - started) / 60_000, 1)
    left = Remains.left(before, plan)
    remove_cgroup(plan)
    tally = Tally.read()

    findings = tally.findings ++ too_few(tally, plan) ++ left ++ Flatness.complaints(samples)
    report(samples, tally, minutes_taken)
    Plot.draw_if_possible(@samples, Path.join(@directory, "soak.svg"))
    for finding <- findings, do: IO.puts("soak: BROKEN: #{finding}")

    IO.puts(
      "soak: #{if findings == [], do: "nothing lost, nothing left, nothing grown", else: "#{length(findings)} broken"}"
    )

    System.halt(if findings == [], do: 0, else: 1)
  end

  # Code that is loaded in the middle of the run would look like a leak.
  defp load_all_code() do
    for app <- [:kernel, :stdlib, :elixir, :logger, :muontrap],
        {:ok, modules} <- [:application.get_key(app, :modules)],
        do: :code.ensure_modules_loaded(modules)
  end

  defp plan(minutes, seed) do
    ms = minutes * 60_000
    mark = OS.mark()

    %{
      ms: ms,
      seed: seed,
      mark: mark,
      env: OS.marked(mark),
      commands: div(@commands_an_hour * minutes, 60),
      callers: @callers,
      daemons: @daemons,
      sessions: @sessions,
      # From one to five minutes in an hour's run: much shorter than what is compared with each other.
      session_ms: div(ms, 60)..div(ms, 12),
      cgroup_base: if(Cgroups.core?(), do: make_cgroup())
    }
  end

  defp make_cgroup() do
    base = Cgroups.new_base()
    Cgroups.make!(base)
    base
  end

  defp remove_cgroup(%{cgroup_base: nil}), do: :ok
  defp remove_cgroup(%{cgroup_base: base}), do: File.rmdir(Cgroups.directory(base))

  # So that what the VM makes once, and then keeps, is there before anything is counted.
  defp warm_up(plan) do
    Commands.warm_up(plan)
    supervisor = Daemons.start(%{plan | daemons: 5})
    Daemons.sabotage_each(supervisor, 5)
    Supervisor.stop(supervisor, :normal, :infinity)
    %{plan | sessions: 5} |> Sessions.start(now()) |> await_all()
    Tally.reset()
  end

  defp run(plan, comment) do
    File.mkdir_p!(@directory)
    daemons = Daemons.start(plan)
    started = now()
    until = started + plan.ms
    sessions = Sessions.start(plan, until)
    saboteur = Daemons.start_saboteur(daemons, plan, until)
    callers = Commands.start(plan, started)
    samples = File.open!(@samples, [:write], &sample(&1, comment, plan, started))
    await_all(sessions ++ [saboteur | callers])
    Supervisor.stop(daemons, :normal, :infinity)
    samples
  end

  # By this process, whose samples are a few hundred rows of numbers.
  defp sample(file, comment, plan, started) do
    IO.puts(file, comment)
    IO.puts(file, Enum.join(Sample.names(), "\t"))

    plan.ms |> div(@count_of_samples) |> max(@sample_least_ms) |> sample_every(file, plan, started, [])
  end

  # In the middle of each time, so that the last one is before the end. One that is late may leave out the next.
  defp sample_every(every_ms, file, plan, started, rows) do
    half = div(every_ms, 2)
    due = every_ms * div(now() - started + half, every_ms) + half

    if due > plan.ms do
      Enum.reverse(rows)
    else
      sleep_until(started + due)
      row = Sample.take(started, plan)
      IO.puts(file, Enum.map_join(Sample.names(), "\t", &row[&1]))
      sample_every(every_ms, file, plan, started, [row | rows])
    end
  end

  defp await_all(workers) do
    for {pid, monitor} <- workers do
      receive do
        {:DOWN, ^monitor, :process, ^pid, :normal} -> :ok
        {:DOWN, ^monitor, :process, ^pid, reason} -> Tally.find("a worker has failed: #{inspect(reason)}")
      after
        @patience_ms ->
          Tally.find("a worker hangs: #{inspect(Process.info(pid, [:current_stacktrace]), pretty: true)}")
          Process.exit(pid, :kill)
      end
    end
  end

  # A run that did less than it was to do shows less.
  defp too_few(tally, plan) do
    if tally.commands < plan.commands,
      do: ["only #{tally.commands} of #{plan.commands} commands were run: the machine is too slow or too busy"],
      else: []
  end

  defp report(samples, tally, minutes) do
    IO.puts("soak: #{Enum.map_join(tally.kinds, ", ", fn {kind, number} -> "#{number} #{kind}" end)}")

    IO.puts(
      "soak: #{tally.commands} commands, #{tally.restarts} restarts of daemons, #{tally.lines} lines of theirs, " <>
        "#{tally.sessions} sessions with #{tally.exchanges} lines exchanged, in #{minutes} minutes"
    )

    for line <- Flatness.table(samples), do: IO.puts(line)
    IO.puts("soak: #{length(samples)} samples in #{@samples}")
  end

  defp describe_machine() do
    elixir = "Elixir #{System.version()} on OTP #{System.otp_release()}"
    "#{System.schedulers_online()} processors, Linux #{kernel()}, #{elixir}"
  end

  defp kernel() do
    case File.read("/proc/sys/kernel/osrelease") do
      {:ok, release} -> String.trim(release)
      {:error, _none} -> "unknown"
    end
  end

  @doc "Milliseconds of the VM's clock"
  @spec now() :: integer()
  def now(), do: System.monotonic_time(:millisecond)

  @doc "Sleeps until it is so late"
  @spec sleep_until(integer()) :: :ok
  def sleep_until(time), do: Process.sleep(max(time - now(), 0))

  @doc "A whole number of the environment, which `make` gives"
  @spec number(String.t(), pos_integer()) :: pos_integer()
  def number(name, default) do
    case Integer.parse(System.get_env(name, "")) do
      {number, ""} when number > 0 -> number
      :error -> default
      _other -> raise ArgumentError, "#{name} has to be a positive whole number, and is #{System.get_env(name)}"
    end
  end
end
