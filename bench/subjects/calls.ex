# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Calls do
  @moduledoc false
  # The system calls of a launch, and of a megabyte of output.
  #
  # strace(1) counts those of erl_child_setup, which forks the helper or the program, and of all that descends from it, a
  # waiting helper included: of everything but the VM. Being traced takes time, in which more comes together that is then moved at once.

  @behaviour Bench.Subject

  alias Bench.{Figure, Library, Processes, Programs}

  @launches 100
  @megabytes 100
  @attach_ms 30_000

  @impl Bench.Subject
  def title(), do: "system calls"

  @impl Bench.Subject
  def promised(_times), do: []

  @impl Bench.Subject
  def rest() do
    Library.cold()
    cold = count("a launch, cold", @launches, &launches/1)
    Library.warm()
    [cold, count("a launch, warm", @launches, &launches/1), count("a megabyte", @megabytes, &copy/1)]
  end

  defp launches(:system_cmd), do: for(_ <- 1..@launches, do: {"", 0} = System.cmd("true", []))
  defp launches(:muontrap), do: for(_ <- 1..@launches, do: {"", 0} = MuonTrap.cmd("true", []))

  defp copy(way) do
    bytes = @megabytes * 1_000_000
    Programs.sink(way, "head", ["-c", "#{bytes}", "/dev/zero"], bytes, [])
  end

  defp count(what, divisor, run) do
    run.(:muontrap)
    counts = for way <- [:system_cmd, :muontrap], do: {way, calls(fn -> run.(way) end)}

    case Enum.find(counts, fn {_way, count} -> is_binary(count) end) do
      nil ->
        values = for {way, count} <- counts, do: {way, count / divisor}
        ratio = values[:muontrap] / values[:system_cmd]
        %Figure{id: {:calls, what}, what: what, unit: "calls", values: values, against: :system_cmd, ratio: ratio}

      {_way, why} ->
        %Figure{id: {:calls, what}, what: what, missing: why}
    end
  end

  # The number, or what strace says in place of it.
  defp calls(run) do
    path = Path.join(System.tmp_dir!(), "muontrap_bench.#{System.pid()}.strace")
    traced = descendants(Processes.child_setup())
    args = ["-f", "-c", "-U", "calls", "-o", path | Enum.flat_map(traced, &["-p", "#{&1}"])]
    strace = "strace" |> Programs.find() |> Programs.open(args, [:stderr_to_stdout])

    try do
      with :ok <- await_attached(strace, length(traced), "") do
        run.()
        detach(strace)
        total(File.read!(path))
      end
    after
      File.rm(path)
    end
  end

  # Helpers that wait for the next launch are among them.
  defp descendants(pid), do: [pid | pid |> Processes.children() |> Enum.flat_map(&descendants/1)]

  defp await_attached(strace, count, said) do
    receive do
      {^strace, {:data, data}} ->
        said = said <> data
        # A helper may have ended meanwhile.
        told = ~r/ attached$|No such process$/m |> Regex.scan(said) |> length()
        if told >= count, do: :ok, else: await_attached(strace, count, said)

      {^strace, {:exit_status, _status}} ->
        String.trim(said)
    after
      @attach_ms -> raise "strace has not attached to #{count} processes, but said: #{said}"
    end
  end

  # It lets go of the processes and writes its table.
  defp detach(strace) do
    {:os_pid, pid} = Port.info(strace, :os_pid)
    {_output, 0} = System.cmd("kill", ["-INT", "#{pid}"])
    await_end(strace)
  end

  defp await_end(strace) do
    receive do
      {^strace, {:data, _data}} -> await_end(strace)
      {^strace, {:exit_status, _status}} -> :ok
    end
  end

  # The table's last line, of all calls together.
  defp total(table), do: ~r/^ *(\d+) total$/m |> Regex.run(table) |> Enum.at(1) |> String.to_integer()
end
