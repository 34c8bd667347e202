# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture do
  @moduledoc false
  # What `make torture` runs: cases until the time is over, or their number; and for one that has broken the promise, the smallest
  # one that still does.

  alias MuonTrap.Torture.{Runner, Scene, Shrink}

  @doc "The command: what is asked for is in the environment, see tests.mk"
  @spec main() :: no_return()
  def main() do
    :ok = :logger.set_primary_config(:level, :none)
    programs = System.fetch_env!("TORTURE_PROGRAMS")
    place = Path.join(System.tmp_dir!(), "muontrap-torture-#{System.pid()}")
    File.mkdir_p!(place)
    File.chmod!(place, 0o755)
    for program <- ["tree", "saboteur", "faulty"], do: File.cp!(Path.join(programs, program), Path.join(place, program))
    machine = Runner.machine(place)
    IO.puts("torture: #{inspect(machine)}")

    failures =
      case System.get_env("CASE", "") do
        "" -> many(machine, place)
        file -> replay(file, place)
      end

    File.rm_rf!(place)
    System.halt(if failures == 0, do: 0, else: 1)
  end

  # ---- Many ----

  defp many(machine, place) do
    seed = number("SEED", fn -> :rand.uniform(1_000_000_000) end)
    minutes = number("MINUTES", fn -> 5 end)
    cases = number("CASES", fn -> nil end)
    jobs = number("JOBS", fn -> 2 end)
    until = if cases == nil, do: now() + 60_000 * minutes
    IO.puts("torture: SEED=#{seed}, #{if cases, do: "#{cases} cases", else: "#{minutes} minutes"}, #{jobs} at a time")
    counter = :atomics.new(1, [])
    me = self()

    pids =
      for job <- 1..jobs do
        spawn_link(fn -> send(me, {:done, self(), job(job, place, machine, seed, cases, until, counter)}) end)
      end

    results = for pid <- pids, do: receive(do: ({:done, ^pid, result} -> result))
    tallies = Enum.flat_map(results, &elem(&1, 0))
    failures = results |> Enum.map(&elem(&1, 1)) |> Enum.sum()
    report(tallies, failures)
    failures
  end

  defp job(job, place, machine, seed, cases, until, counter) do
    runner = Runner.new(Path.join(place, "job#{job}"), place)
    {tallies, failures, runner} = loop(runner, machine, seed, cases, until, counter, [], 0)
    Runner.stop(runner)
    {tallies, failures}
  end

  defp loop(runner, machine, seed, cases, until, counter, tallies, failures) do
    index = :atomics.add_get(counter, 1, 1) - 1

    if (cases != nil and index >= cases) or (until != nil and now() > until) or failures >= 5 do
      {tallies, failures, runner}
    else
      scene = Scene.random(seed + index, machine)
      begun = now()
      {broken, known, runner} = Runner.run(runner, scene)

      if System.get_env("VERBOSE", "") != "",
        do: IO.puts("#{scene.seed} #{scene.kind} #{now() - begun} ms #{inspect(how(known))}")

      tallies = [tally(scene, known) | tallies]

      if broken == [] do
        loop(runner, machine, seed, cases, until, counter, tallies, failures)
      else
        runner = fail(runner, scene, broken, known)
        loop(runner, machine, seed, cases, until, counter, tallies, failures + 1)
      end
    end
  end

  defp how(%{seen: %{how: how, status: status}}), do: {how, status}
  defp how(%{seen: seen}), do: seen

  # ---- A failure ----

  defp fail(runner, scene, broken, known) do
    IO.puts("""

    torture: BROKEN, #{scene.kind}, SEED=#{scene.seed}
    #{Enum.map_join(broken, "\n", &("  " <> &1))}
    again: make torture SEED=#{scene.seed} CASES=1
    #{describe(scene, known)}
    """)

    {smallest, runner} = Shrink.smallest(runner, scene, broken)
    file = write(smallest)

    IO.puts("""
    torture: the smallest case that still fails, in #{file}
    again: make torture CASE=#{file}
    #{inspect(smallest, pretty: true, limit: :infinity, width: 110)}
    """)

    runner
  end

  defp describe(scene, known) do
    inspect(%{scene: scene, known: known}, pretty: true, limit: :infinity, width: 110)
  end

  defp write(scene) do
    directory = Path.join(File.cwd!(), "build/torture/failures")
    File.mkdir_p!(directory)
    file = Path.join(directory, "#{scene.seed}.exs")
    File.write!(file, inspect(scene, limit: :infinity, printable_limit: :infinity, pretty: true) <> "\n")
    Path.relative_to_cwd(file)
  end

  defp replay(file, place) do
    {scene, _binding} = Code.eval_file(file)
    times = number("CASES", fn -> 20 end)
    runner = Runner.new(Path.join(place, "replay"), place)

    {failures, runner} =
      Enum.reduce(1..times, {0, runner}, fn time, {failures, runner} ->
        {broken, known, runner} = Runner.run(runner, scene)

        IO.puts(
          "#{time}: #{inspect(how(known))} #{if broken == [], do: "kept", else: "BROKEN: " <> Enum.join(broken, "; ")}"
        )

        if broken != [] and failures == 0, do: IO.puts(describe(scene, known))
        {if(broken == [], do: failures, else: failures + 1), runner}
      end)

    Runner.stop(runner)
    IO.puts("torture: #{failures} of #{times} broken")
    failures
  end

  # ---- What was run ----

  defp tally(scene, known) do
    outside = for {{_when, whom, what}, "done"} <- known.outside, do: {:outside, name(whom), name(what)}
    inside = if is_map(known.seen), do: for(what <- known.seen.did, do: {:inside, name(what)}), else: []
    how = if is_map(known.seen), do: name(known.seen.how), else: known.seen
    calls = for call <- scene.calls, do: {:call, elem(call, 0)}

    extras =
      for {key, true} <- [
            pty: scene.options[:pty] != nil,
            cgroup: scene.options[:cgroup_base] == true,
            busy: scene.busy > 0
          ],
          do: {:with, key}

    [{:owner, scene.kind}, {:end, how}] ++ outside ++ inside ++ calls ++ extras
  end

  defp name(what) when is_tuple(what), do: elem(what, 0)
  defp name(what), do: what

  defp report(tallies, failures) do
    tallies
    |> Enum.flat_map(&Enum.uniq/1)
    |> Enum.frequencies()
    |> Enum.sort()
    |> Enum.each(fn {what, number} ->
      IO.puts("#{String.pad_leading("#{number}", 7)} #{what |> Tuple.to_list() |> Enum.join(" ")}")
    end)

    IO.puts("torture: #{length(tallies)} cases, #{failures} broken")
  end

  defp number(name, default) do
    case System.get_env(name, "") do
      "" -> default.()
      text -> String.to_integer(text)
    end
  end

  defp now(), do: System.monotonic_time(:millisecond)
end
