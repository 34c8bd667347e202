# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Commands do
  @moduledoc false
  # Callers of `MuonTrap.cmd/3` and `MuonTrap.stream!/3` at a steady rate. All that a program writes is compared with
  # what it was to write.

  alias MuonTrap.Soak
  alias MuonTrap.Soak.Tally

  # With their weights.
  @kinds [
    cmd_line: 6,
    cmd_output: 4,
    cmd_input: 3,
    cmd_streams: 2,
    cmd_left: 1,
    cmd_timeout: 1,
    stream_output: 4,
    stream_input: 3,
    stream_halted: 2
  ]
  @drawn for {kind, weight} <- @kinds, _ <- 1..weight, do: kind

  @numbers_most 20_000
  @input_most 100_000
  # Of so many commands one has a cgroup, where there are any.
  @cgroup_every 10

  @doc "Each kind of command in each way, several times"
  @spec warm_up(map()) :: :ok
  def warm_up(plan) do
    :rand.seed(:exsss, plan.seed)
    for _ <- 1..3, {kind, _weight} <- @kinds, n <- 0..3, do: run(kind, options(n, plan))
    :ok
  end

  @doc "The callers, each as a process with its monitor. They end when all commands have been run"
  @spec start(map(), integer()) :: [{pid(), reference()}]
  def start(plan, started) do
    for caller <- 0..(plan.callers - 1) do
      spawn_monitor(fn ->
        :rand.seed(:exsss, {plan.seed, 1, caller})
        call(caller, plan, started)
      end)
    end
  end

  # One that is late runs the next one at once.
  defp call(number, %{commands: all}, _started) when number >= all, do: :ok

  defp call(number, plan, started) do
    Soak.sleep_until(started + div(number * plan.ms, plan.commands))
    # As many with a new helper as with one that has waited, of each caller.
    kind = Enum.random(@drawn)
    run(kind, options(div(number, plan.callers), plan))
    Tally.count(:commands, kind)
    call(number + plan.callers, plan, started)
  end

  # The pool has no part in a program with `parallelism: true`, which is an option of the port: a helper is started
  # for it alone.
  defp options(number, plan) do
    cgroup? = plan.cgroup_base != nil and rem(number, 2 * @cgroup_every) < 2
    cgroup = if cgroup?, do: [cgroup_base: plan.cgroup_base], else: []
    [env: plan.env, parallelism: rem(number, 2) == 1] ++ cgroup
  end

  defp run(kind, options) do
    with wrong when wrong != :ok <- check(kind, options),
         do: Tally.find("#{kind} #{inspect(Keyword.delete(options, :env))}: #{wrong}")
  rescue
    error -> Tally.find("#{kind} #{inspect(Keyword.delete(options, :env))}: #{Exception.message(error)}")
  end

  defp check(:cmd_line, options) do
    line = "line #{:rand.uniform(1_000_000_000)}"
    same(MuonTrap.cmd("echo", [line], options), {line <> "\n", 0})
  end

  defp check(:cmd_output, options) do
    most = :rand.uniform(@numbers_most)
    same(MuonTrap.cmd("seq", ["#{most}"], options), {numbers(most), 0})
  end

  defp check(:cmd_input, options) do
    input = :rand.bytes(:rand.uniform(@input_most))
    same(MuonTrap.cmd("cat", [], [input: input] ++ options), {input, 0})
  end

  defp check(:cmd_streams, options) do
    {output, status} = MuonTrap.cmd("sh", ["-c", "seq 500; seq 600 >&2; exit 3"], [stderr: :tag, into: []] ++ options)
    stream = fn name -> for {^name, data} <- output, into: "", do: data end
    same({stream.(:stdout), stream.(:stderr), status}, {numbers(500), numbers(600), 3})
  end

  # It leaves a process behind, which has to be dead. Another one may have its number by now, but not its argument.
  defp check(:cmd_left, options) do
    argument = "1000.#{:rand.uniform(1_000_000_000)}"
    {output, status} = MuonTrap.cmd("sh", ["-c", "sleep $0 & echo $!", argument], options)
    same({status, command_line(String.trim(output)) =~ argument}, {0, false})
  end

  defp check(:cmd_timeout, options),
    do: same(MuonTrap.cmd("sleep", ["1000"], [timeout: 20 + :rand.uniform(80)] ++ options), {"", :timeout})

  defp check(:stream_output, options) do
    most = :rand.uniform(@numbers_most)
    same("seq" |> MuonTrap.stream!(["#{most}"], options) |> Enum.join(), numbers(most))
  end

  defp check(:stream_input, options) do
    chunks = for _ <- 1..5, do: :rand.bytes(:rand.uniform(div(@input_most, 5)))
    same("cat" |> MuonTrap.stream!([], [input: chunks] ++ options) |> Enum.join(), Enum.join(chunks))
  end

  defp check(:stream_halted, options) do
    [first] = "seq" |> MuonTrap.stream!(["1000000"], options) |> Enum.take(1)
    size = min(byte_size(first), byte_size(numbers(@numbers_most)))
    same(binary_part(first, 0, size), binary_part(numbers(@numbers_most), 0, size))
  end

  defp command_line(pid) do
    case File.read("/proc/#{pid}/cmdline") do
      {:ok, words} -> words
      {:error, _gone} -> ""
    end
  end

  defp same(seen, seen), do: :ok
  defp same(seen, expected), do: "came #{shown(seen)} in place of #{shown(expected)}"
  defp shown(term), do: inspect(term, limit: 20, printable_limit: 200)

  # What seq(1) writes.
  defp numbers(most) do
    all =
      with nil <- :persistent_term.get(__MODULE__, nil) do
        all = Enum.map_join(1..@numbers_most, &"#{&1}\n")
        :persistent_term.put(__MODULE__, all)
        all
      end

    binary_part(all, 0, size(most))
  end

  defp size(most) do
    Enum.reduce([1, 10, 100, 1_000, 10_000], 0, fn from, size ->
      size + max(min(most, 10 * from - 1) - from + 1, 0) * (length(Integer.digits(from)) + 1)
    end)
  end
end
