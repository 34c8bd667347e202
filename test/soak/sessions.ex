# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Sessions do
  @moduledoc false
  # Dialogues by `MuonTrap.Program`, some of them on a terminal: a line is written, and the same one has to be read.
  # Each is replaced when its time is over.

  alias MuonTrap.Program
  alias MuonTrap.Soak
  alias MuonTrap.Soak.Tally

  @pause_ms 2_000..6_000
  # A terminal takes lines of up to 4,095 bytes (termios(3), canonical mode).
  @line_most 2_000
  @pty_every 3

  @doc "The sessions, each as a process with its monitor, until then"
  @spec start(map(), integer()) :: [{pid(), reference()}]
  def start(plan, until) do
    for number <- 1..plan.sessions do
      spawn_monitor(fn ->
        :rand.seed(:exsss, {plan.seed, 3, number})
        replace(number, plan, until)
      end)
    end
  end

  defp replace(number, plan, until) do
    Process.flag(:trap_exit, true)
    pty? = rem(number, @pty_every) == 0
    options = [env: plan.env, parallelism: rem(number, 2) == 1] ++ if(pty?, do: [pty: [echo: false]], else: [])
    {:ok, program} = Program.start_link("cat", [], options)
    talk(program, if(pty?, do: "\r\n", else: "\n"), min(until, Soak.now() + Enum.random(plan.session_ms)))
    finish(program, :rand.uniform(3))
    Tally.count(:sessions)
    receive do: ({:EXIT, ^program, _reason} -> :ok)
    if Soak.now() < until, do: replace(number, plan, until)
  end

  defp talk(program, newline, until) do
    line = for _ <- 1..:rand.uniform(@line_most), into: "", do: <<Enum.random(?a..?z)>>
    :ok = Program.write(program, line <> "\n")
    read = read(program, newline, "")

    if read != line <> newline,
      do: Tally.find("a session has read #{inspect(read)} in place of #{inspect(line <> newline)}")

    Tally.count(:exchanges)
    next = Soak.now() + Enum.random(@pause_ms)
    Soak.sleep_until(min(next, until))
    if next < until, do: talk(program, newline, until)
  end

  defp read(program, newline, before) do
    if String.ends_with?(before, newline) do
      before
    else
      case Program.read(program, 60_000) do
        {:stdout, data} -> read(program, newline, before <> data)
        other -> before <> " and then #{inspect(other)}"
      end
    end
  end

  # By the end of its input, by a stop, or by the death of the process that has its port.
  defp finish(program, 1) do
    :ok = Program.close_stdin(program)
    ended = {Program.read(program, 60_000), Program.await(program, 60_000)}
    if ended != {:eof, {:ok, 0}}, do: Tally.find("a session at its end of input has ended with #{inspect(ended)}")
    Program.stop(program)
  end

  defp finish(program, 2) do
    stopped = Program.stop(program)
    if stopped != {:ok, 143}, do: Tally.find("a session that was stopped has ended with #{inspect(stopped)}")
  end

  defp finish(program, 3), do: Process.exit(program, :kill)
end
