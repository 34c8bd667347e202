# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Shrink do
  @moduledoc false
  # Finds a smaller case that breaks the promise too. Whether one does may be a matter of luck, so each is tried several times.

  alias MuonTrap.Torture.{Runner, Scene}

  @tries 4
  @within 120_000

  @spec smallest(map(), Scene.t()) :: {Scene.t(), map()}
  def smallest(runner, scene), do: smallest(runner, scene, System.monotonic_time(:millisecond) + @within)

  defp smallest(runner, scene, deadline) do
    {found, runner} = find(runner, Scene.smaller(scene), deadline)
    if found, do: smallest(runner, found, deadline), else: {scene, runner}
  end

  defp find(runner, [], _deadline), do: {nil, runner}

  defp find(runner, [scene | rest], deadline) do
    cond do
      System.monotonic_time(:millisecond) > deadline ->
        {nil, runner}

      true ->
        {fails?, runner} = fails?(runner, scene, @tries)
        if fails?, do: {scene, runner}, else: find(runner, rest, deadline)
    end
  end

  defp fails?(runner, _scene, 0), do: {false, runner}

  defp fails?(runner, scene, tries) do
    case Runner.run(runner, scene) do
      {[], _known, runner} -> fails?(runner, scene, tries - 1)
      {_broken, _known, runner} -> {true, runner}
    end
  end
end
