# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Cgroup.Settings do
  @moduledoc false
  # The option :cgroup, a map of settings: its keys, what their values may be, and both as the files' text. What the files
  # mean is told in the kernel's Documentation/admin-guide/cgroup-v2.rst.

  # The kernel's own limit of what it doesn't call "max", and of a 64 bit number that it doesn't take for a smaller one.
  @most 0x7FFFFFFFFFFFFFFF

  # In the order in which they are written: an idle cgroup takes no weight.
  @files [
    {:cpu_weight, "cpu.weight", :weight},
    {:cpu_max, "cpu.max", :bandwidth},
    {:cpu_idle, "cpu.idle", :boolean},
    {:memory_min, "memory.min", :bytes},
    {:memory_low, "memory.low", :bytes},
    {:memory_high, "memory.high", :bytes},
    {:memory_max, "memory.max", :bytes},
    {:memory_swap_max, "memory.swap.max", :bytes},
    {:memory_oom_group, "memory.oom.group", :boolean},
    {:pids_max, "pids.max", :count},
    {:io_weight, "io.weight", :weight},
    {:cpuset_cpus, "cpuset.cpus", :ranges},
    {:cpuset_mems, "cpuset.mems", :ranges}
  ]

  @doc """
  Whether it is a map of settings, and if it isn't, what it should be
  """
  @spec check(term()) :: :ok | {:error, String.t()}
  def check(settings) when is_map(settings) and not is_struct(settings) do
    Enum.find_value(settings, :ok, fn {key, value} ->
      case List.keyfind(@files, key, 0) do
        nil ->
          {:error,
           "a map without #{inspect(key)}, whose keys are #{Enum.map_join(@files, ", ", &inspect(elem(&1, 0)))}"}

        {_key, _file, kind} ->
          unless valid?(kind, value), do: {:error, "a map whose #{inspect(key)} is #{expected(kind)}"}
      end
    end)
  end

  def check(_other), do: {:error, "a map such as %{memory_max: 268_435_456}"}

  defp valid?(:weight, value), do: value in 1..10_000
  defp valid?(:bandwidth, :max), do: true
  defp valid?(:bandwidth, {quota, period}), do: within?(quota, 1) and within?(period, 1)
  defp valid?(:bandwidth, _other), do: false
  defp valid?(:boolean, value), do: is_boolean(value)
  defp valid?(kind, value) when kind in [:bytes, :count], do: value == :max or within?(value, 0)
  defp valid?(:ranges, value), do: is_binary(value) and value =~ ~r/\A\d+(-\d+)?(,\d+(-\d+)?)*\z/

  defp within?(value, least), do: is_integer(value) and value >= least and value <= @most

  defp expected(:weight), do: "a number from 1 to 10000"
  defp expected(:bandwidth), do: ":max or {quota, period} in microseconds"
  defp expected(:boolean), do: "true or false"
  defp expected(:bytes), do: "a number of bytes or :max"
  defp expected(:count), do: "a number or :max"
  defp expected(:ranges), do: ~s(ranges of numbers as a string such as "0-3,5")

  @doc """
  Names of files with what is to be written to them
  """
  @spec render(map()) :: [{String.t(), String.t()}]
  def render(settings) do
    for {key, file, kind} <- @files, is_map_key(settings, key), do: {file, text(kind, settings[key])}
  end

  defp text(:bandwidth, {quota, period}), do: "#{quota} #{period}"
  defp text(:boolean, value), do: if(value, do: "1", else: "0")
  defp text(_kind, value), do: "#{value}"

  @doc """
  The controllers whose files are written
  """
  @spec controllers(map()) :: [String.t()]
  def controllers(settings) do
    settings
    |> render()
    |> Enum.map(fn {file, _value} -> file |> String.split(".") |> hd() end)
    |> Enum.uniq()
  end

  @doc """
  The settings that a cgroup has, of the files that are there

  What has no value that could be set is left out: the weight of an idle cgroup, a set of CPUs that is its parent's.
  """
  @spec read(String.t()) :: map()
  def read(path), do: MuonTrap.Cgroup.read_all(path, @files, &parse/2)

  @doc """
  The text of a file as the value of its key

  `kind` is that of the key: `:weight`, `:bandwidth` (of cpu.max), `:boolean`, `:bytes`, `:count` or `:ranges`.
  """
  @spec parse(atom(), String.t()) :: {:ok, term()} | :error
  def parse(:weight, "default " <> text), do: parse(:weight, text |> String.split("\n") |> hd())
  def parse(:weight, text), do: valid(:weight, number(text))
  def parse(:bandwidth, "max" <> _period), do: {:ok, :max}

  def parse(:bandwidth, text) do
    case String.split(text) do
      [quota, period] -> valid(:bandwidth, {number(quota), number(period)})
      _other -> :error
    end
  end

  def parse(:boolean, "0"), do: {:ok, false}
  def parse(:boolean, "1"), do: {:ok, true}
  def parse(:boolean, _text), do: :error
  def parse(kind, "max") when kind in [:bytes, :count], do: {:ok, :max}
  def parse(kind, text) when kind in [:bytes, :count], do: valid(kind, number(text))
  def parse(:ranges, text), do: valid(:ranges, text)

  defp valid(kind, value), do: if(valid?(kind, value), do: {:ok, value}, else: :error)

  defp number(text) do
    case Integer.parse(text) do
      {number, ""} -> number
      _other -> nil
    end
  end
end
