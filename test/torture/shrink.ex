# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Shrink do
  @moduledoc false
  # Finds a smaller case that breaks the promise too. Whether one does may be a matter of luck, so each is tried several times.

  alias MuonTrap.Torture.{Runner, Scene}

  @tries 4
  @within 120_000

  @doc "The smallest case found that breaks one of the same promises"
  @spec smallest(map(), Scene.t(), [String.t()]) :: {Scene.t(), map()}
  def smallest(runner, scene, broken) do
    deadline = System.monotonic_time(:millisecond) + @within
    smallest(runner, scene, Enum.map(broken, &kind/1), deadline)
  end

  # A case of another kind may be found on the way, and would lead elsewhere.
  defp kind(broken), do: String.replace(broken, ~r/[^a-z ].*/s, "")

  defp smallest(runner, scene, kinds, deadline) do
    {found, runner} = find(runner, Scene.smaller(scene), kinds, deadline)
    if found, do: smallest(runner, found, kinds, deadline), else: {scene, runner}
  end

  defp find(runner, [], _kinds, _deadline), do: {nil, runner}

  defp find(runner, [scene | rest], kinds, deadline) do
    cond do
      System.monotonic_time(:millisecond) > deadline ->
        {nil, runner}

      true ->
        {fails?, runner} = fails?(runner, scene, kinds, @tries)
        if fails?, do: {scene, runner}, else: find(runner, rest, kinds, deadline)
    end
  end

  defp fails?(runner, _scene, _kinds, 0), do: {false, runner}

  defp fails?(runner, scene, kinds, tries) do
    {broken, _known, runner} = Runner.run(runner, scene)

    if Enum.any?(broken, &(kind(&1) in kinds)),
      do: {true, runner},
      else: fails?(runner, scene, kinds, tries - 1)
  end
end
