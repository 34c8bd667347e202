# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule Bench.Subjects.Cgroup do
  @moduledoc false
  # What a launch of `true` in a cgroup of its own takes, beside one without.

  @behaviour Bench.Subject

  alias Bench.{Cgroups, Figure, Library, Numbers, Turns}

  @launches 20

  @impl Bench.Subject
  def title(), do: "a launch in a cgroup"

  @impl Bench.Subject
  def promised(times) do
    Library.warm()
    what = "a launch in a cgroup of its own"

    case Cgroups.options() do
      {:ok, options} ->
        rounds = Turns.run(30 * times, muontrap: fn -> launches([]) end, muontrap_cgroup: fn -> launches(options) end)
        Cgroups.remove_base()
        [Figure.compare(:launch_in_cgroup, what, "ms", rounds, :muontrap, &Numbers.median/1, ours: :muontrap_cgroup)]

      {:error, why} ->
        [%Figure{id: :launch_in_cgroup, what: what, missing: why}]
    end
  end

  @impl Bench.Subject
  def rest(), do: []

  defp launches(options) do
    for _ <- 1..@launches, do: Turns.time(fn -> {"", 0} = MuonTrap.cmd("true", [], options) end)
  end
end
