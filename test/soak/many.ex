# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Soak.Many do
  @moduledoc false
  # What `make soak-daemons` runs: many daemons under one supervisor, which are started, and then stopped all at once.

  alias MuonTrap.{Daemon, Soak}
  alias MuonTrap.Soak.Remains
  alias MuonTrap.Test.OS

  @stop_most_ms 5_000

  @doc "The command: what is asked for is in the environment, see tests.mk"
  @spec main() :: no_return()
  def main() do
    :ok = :logger.set_primary_config(:level, :none)
    count = Soak.number("COUNT", 1_000)
    mark = OS.mark()
    {"", 0} = MuonTrap.cmd("true", [])
    before = Remains.baseline()
    # The limit is meant for a machine that has nothing else to do, see test/busyness.
    busyness = OS.busyness()
    stop_most_ms = @stop_most_ms * busyness

    {:ok, supervisor} = DynamicSupervisor.start_link(strategy: :one_for_one, max_restarts: 0)
    start_ms = time(fn -> start(supervisor, count, mark) end)
    running = length(OS.alive(mark))
    stop_ms = time(fn -> DynamicSupervisor.stop(supervisor, :normal, :infinity) end)
    survivors = length(OS.alive(mark))
    left = Remains.left(before, %{mark: mark, cgroup_base: nil})

    findings =
      if(running != count, do: ["#{running} of #{count} programs run"], else: []) ++
        if(stop_ms > stop_most_ms, do: ["the stop took #{stop_ms} ms, and #{stop_most_ms} are allowed"], else: []) ++
        if(survivors > 0, do: ["#{survivors} programs lived when their supervisor had stopped"], else: []) ++ left

    IO.puts("""
    soak-daemons: #{running} of #{count} daemons run
      start     #{start_ms} ms
      stop      #{stop_ms} ms, of #{stop_most_ms} that are allowed: #{@stop_most_ms} times the busyness
      left      #{survivors + length(left)}
      busyness  #{busyness} (1 is an idle machine)
    """)

    for finding <- findings, do: IO.puts("soak-daemons: BROKEN: #{finding}")
    System.halt(if findings == [], do: 0, else: 1)
  end

  # A start returns when the program runs.
  defp start(supervisor, count, mark) do
    for _ <- 1..count do
      {:ok, _daemon} = DynamicSupervisor.start_child(supervisor, {Daemon, ["sleep", ["1000"], [env: OS.marked(mark)]]})
    end
  end

  defp time(fun) do
    {microseconds, _result} = :timer.tc(fun)
    div(microseconds, 1_000)
  end
end
