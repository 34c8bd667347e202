# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Check do
  @moduledoc false
  # What `muontrap --check` says of this machine, for MuonTrap.check/1.

  alias MuonTrap.Cgroup.Settings
  alias MuonTrap.{Cgroup, Error, Helper}

  @doc """
  Have the helper look, with validated options
  """
  @spec run(map()) :: {:ok | :error, [MuonTrap.point()]}
  def run(options) do
    case Cgroup.choose(options) do
      {:ok, options} -> options |> arguments() |> Helper.run() |> result()
      {:error, error} -> {:error, [%{ok?: false, text: error.message, remedy: []}]}
    end
  end

  defp arguments(options) do
    group = for {:cgroup_path, path} <- options, argument <- Cgroup.arguments(path), do: argument
    ["--check" | group] ++ Enum.flat_map(controllers(options), &["--controller", &1])
  end

  defp controllers(options) do
    named = Map.get(options, :cgroup_controllers, [])
    of_sets = for {controller, _name, _value} <- Map.get(options, :cgroup_sets, []), do: controller
    Enum.uniq(named ++ of_sets ++ Settings.controllers(Map.get(options, :cgroup, %{})))
  end

  defp result({"", status}) when status < 125, do: raise(Helper.not_executed(status))

  defp result({text, status}) when status in [0, 1],
    do: {if(status == 0, do: :ok, else: :error), parse(text)}

  defp result({text, status}) do
    raise %Error{
      stage: :setup,
      reason: :failed,
      message: "the helper could not look at this machine, and left with status #{status}: #{String.trim(text)}"
    }
  end

  @doc """
  The lines of `muontrap --check` as points
  """
  @spec parse(String.t()) :: [MuonTrap.point()]
  def parse(text) do
    text
    |> String.split("\n", trim: true)
    |> Enum.reduce([], &take/2)
    |> Enum.reverse()
  end

  defp take("ok: " <> text, points), do: [%{ok?: true, text: text, remedy: []} | points]
  defp take("missing: " <> text, points), do: [%{ok?: false, text: text, remedy: []} | points]
  defp take("    " <> command, [point | points]), do: [%{point | remedy: point.remedy ++ [command]} | points]
  # What went wrong with the helper itself, which would be on its stderr.
  defp take(words, points), do: [%{ok?: false, text: words, remedy: []} | points]
end
