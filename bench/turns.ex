# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Turns do
  @moduledoc false
  # The contestants take turns within one run, because a machine's speed changes from one run to the next and even within
  # one. Each round has each of them once, and every other round has them in the reverse order, so that none always comes
  # after the same other one. The first round, in which code is loaded and caches are filled, doesn't count.

  # Returns a keyword list of what each contestant returned, for each round.
  def run(rounds, contestants) do
    play(contestants)

    for round <- 1..rounds do
      results = if rem(round, 2) == 1, do: play(contestants), else: contestants |> Enum.reverse() |> play()
      for {contestant, _fun} <- contestants, do: {contestant, results[contestant]}
    end
  end

  defp play(contestants), do: for({contestant, fun} <- contestants, do: {contestant, fun.()})

  # Milliseconds that it took.
  def time(fun) do
    {us, _result} = :timer.tc(fun)
    us / 1000
  end
end
