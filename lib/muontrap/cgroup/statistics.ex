# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.Statistics do
  @moduledoc false
  # What the kernel counts in a cgroup, by the names of its files (Documentation/admin-guide/cgroup-v2.rst).

  @files [
    {"memory.current", :number},
    {"memory.peak", :number},
    {"memory.swap.current", :number},
    {"memory.events", :flat},
    {"memory.pressure", :pressure},
    {"cpu.stat", :flat},
    {"cpu.pressure", :pressure},
    {"io.pressure", :pressure},
    {"pids.current", :number},
    {"pids.peak", :number},
    {"pids.events", :flat},
    {"cgroup.stat", :flat}
  ]

  @doc """
  The values of the files that are there and have some
  """
  @spec read(String.t()) :: %{optional(String.t()) => term()}
  def read(path), do: MuonTrap.Cgroup.read_all(path, for({name, kind} <- @files, do: {name, name, kind}), &parse/2)

  @doc """
  The text of a file as its value

  `kind` is `:number`, `:flat` for lines of a key and a number, or `:pressure`
  (Documentation/accounting/psi.rst).
  """
  @spec parse(:number | :flat | :pressure, String.t()) :: {:ok, term()} | :error
  def parse(:number, text) do
    case Integer.parse(text) do
      {number, ""} -> {:ok, number}
      _other -> :error
    end
  end

  def parse(:flat, text) do
    {:ok,
     for line <- String.split(text, "\n"),
         [key, number] <- [String.split(line)],
         {:ok, value} <- [parse(:number, number)],
         into: %{} do
       {key, value}
     end}
  end

  # The averages are percentages, the total is in microseconds.
  def parse(:pressure, text) do
    {:ok,
     for line <- String.split(text, "\n"), [whom | fields] <- [String.split(line)], into: %{} do
       {whom,
        for(field <- fields, [name, number] <- [String.split(field, "=")], into: %{}, do: {name, measure(number)})}
     end}
  end

  defp measure(text) do
    case Integer.parse(text) do
      {number, ""} -> number
      _decimals -> String.to_float(text)
    end
  end
end
