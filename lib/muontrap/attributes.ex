# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Attributes do
  @moduledoc false
  # What a program inherits beside its descriptors and its user: the options :rlimits, :nice, :umask, :cpus, :oom_score_adj,
  # :no_new_privs and :clear_env of all that start programs. Pure. What is in force, and may not be raised, the helper finds out.

  @names [:rlimits, :nice, :umask, :cpus, :oom_score_adj, :no_new_privs, :clear_env]

  # getrlimit(2), as the helper's attributes_text.c has them.
  @limits [
    :as,
    :core,
    :cpu,
    :data,
    :fsize,
    :locks,
    :memlock,
    :msgqueue,
    :nice,
    :nofile,
    :nproc,
    :rss,
    :rtprio,
    :rttime,
    :sigpending,
    :stack
  ]
  # The number after it is the kernel's RLIM_INFINITY.
  @limit_most 0xFFFFFFFFFFFFFFFE
  @cpu_most 8191

  @doc """
  The options that all have
  """
  @spec names() :: [atom()]
  def names(), do: @names

  @doc """
  What is wrong with a value: `:ok`, or `{:error, expected}`
  """
  @spec check(atom(), term()) :: :ok | {:error, String.t()}
  def check(:rlimits, value) do
    cond do
      not Keyword.keyword?(value) ->
        {:error, "a keyword list of limits such as [nofile: 1024, cpu: {10, 12}, core: 0]"}

      unknown = Enum.find(Keyword.keys(value), &(&1 not in @limits)) ->
        {:error, "limits that there are (#{Enum.map_join(@limits, ", ", &inspect/1)}), and not #{inspect(unknown)}"}

      wrong = Enum.find(value, fn {_name, limit} -> not limit?(limit) end) ->
        {:error,
         "a number from 0 to #{@limit_most}, :infinity, or {soft, hard} of these, the soft one not above the hard one, as " <>
           "the limit #{inspect(elem(wrong, 0))}"}

      true ->
        :ok
    end
  end

  def check(:nice, value), do: expect(value in -20..19, "a whole number from -20 to 19")
  def check(:umask, value), do: expect(value in 0..0o777, "permissions from 0 to 0o777, such as 0o027")

  def check(:cpus, value) do
    expect(
      is_list(value) and value != [] and not List.improper?(value) and Enum.all?(value, &(&1 in 0..@cpu_most)),
      "a list of numbers of processors from 0 to #{@cpu_most}, such as [0, 1]"
    )
  end

  def check(:oom_score_adj, value), do: expect(value in -1000..1000, "a whole number from -1000 to 1000")
  def check(name, value) when name in [:no_new_privs, :clear_env], do: expect(is_boolean(value), "true or false")

  defp expect(true, _expected), do: :ok
  defp expect(false, expected), do: {:error, expected}

  defp limit?({soft, hard}),
    do: value?(soft) and value?(hard) and (hard == :infinity or (soft != :infinity and soft <= hard))

  defp limit?(both), do: value?(both)

  defp value?(value), do: value == :infinity or value in 0..@limit_most

  @doc """
  The helper's arguments, but for `:clear_env`, which is a matter of the environment
  """
  @spec arguments({atom(), term()}) :: [String.t()]
  def arguments({:rlimits, limits}),
    do: Enum.flat_map(limits, fn {name, limit} -> ["--rlimit", "#{name}=#{limit(limit)}"] end)

  def arguments({:nice, nice}), do: ["--nice", "#{nice}"]
  def arguments({:umask, umask}), do: ["--umask", Integer.to_string(umask, 8)]
  def arguments({:cpus, cpus}), do: ["--cpus", Enum.join(cpus, ",")]
  def arguments({:oom_score_adj, adjustment}), do: ["--oom-score-adj", "#{adjustment}"]
  def arguments({:no_new_privs, true}), do: ["--no-new-privs"]
  def arguments(_other), do: []

  defp limit({soft, hard}), do: "#{soft}:#{hard}"
  defp limit(both), do: "#{both}"
end
