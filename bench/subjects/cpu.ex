# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Cpu do
  @moduledoc false
  # The CPU seconds that a gigabyte takes of all processes that have to do with it.
  #
  # The VM's are its own utime and stime in /proc/PID/stat. Helper and program are children of erl_child_setup, which waits
  # for them, and so what they and their children took is in its cutime and cstime once they are gone. To have them gone,
  # no helper is kept for the next launch.

  @behaviour Bench.Subject

  alias Bench.{Figure, Library, Processes, Programs, Turns}

  @bytes 1_000_000_000

  # Places in what `Processes.stat/1` returns: fields 14 to 17 of proc(5), whose first here is the third.
  @times 11..14

  @impl Bench.Subject
  def title(), do: "CPU time"

  @impl Bench.Subject
  def promised(times) do
    Library.cold()
    ticks = ticks_a_second()
    child_setup = Processes.child_setup()
    contestants = for way <- [:system_cmd, :port, :muontrap], do: {way, fn -> spent(way, child_setup) / ticks end}

    [
      Figure.compare(
        :cpu,
        "CPU time of 1 GB through `head`",
        "CPU s",
        Turns.run(2 * times + 1, contestants),
        :system_cmd
      )
    ]
  end

  @impl Bench.Subject
  def rest(), do: []

  defp spent(way, child_setup) do
    before = ticks(child_setup)
    Programs.sink(way, "head", ["-c", "#{@bytes}", "/dev/zero"], @bytes, [])
    Processes.wait_until("the end of a program's processes", fn -> Processes.children(child_setup) == [] end)
    ticks(child_setup) - before
  end

  defp ticks(child_setup) do
    for(pid <- [System.pid(), child_setup], do: pid |> Processes.stat() |> Enum.slice(@times) |> Enum.sum())
    |> Enum.sum()
  end

  # It starts a program, and so comes before the times are looked at.
  defp ticks_a_second() do
    {output, 0} = System.cmd("getconf", ["CLK_TCK"])
    output |> String.trim() |> String.to_integer()
  end
end
