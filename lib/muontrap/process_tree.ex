# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ProcessTree do
  @moduledoc false
  # What /proc tells of a program and all that descends from it (proc(5)).
  #
  # A pid says little by itself: the program may have ended by now, and its pid may be a stranger's. So it is looked for among the
  # children of its helper. The helper's outer process, the keeper, has one child, the relay, and the relay's children are the
  # program and what has been orphaned below it.

  # getauxval(3)
  @at_pagesz 6
  @at_clktck 17

  # No program has as many generations that live. A chain of processes, each of which leaves when it has made the next one, has no
  # end that could be reached.
  @generations_most 1_000

  @typedoc """
  The living processes' pids, the program first; the microseconds of processor that they and their reaped children have used;
  the bytes of memory that they have resident, each for itself; and whether a signal has stopped the program
  """
  @type t :: %{
          os_pids: [pos_integer(), ...],
          cpu_us: non_neg_integer(),
          memory_bytes: non_neg_integer(),
          suspended: boolean()
        }

  @typedoc "What the kernel counts in: bytes of a page, and ticks of a second"
  @type units :: %{page: pos_integer(), ticks: pos_integer()}

  @doc """
  The tree of the program with that pid below the helper whose outer process has the other one

  `:ended` when the program is not there any more; `:unknown` where there is no such /proc, when the helper's outer process was
  killed, and when the program's processes are hidden.
  """
  @spec read(pos_integer(), pos_integer(), units()) :: {:ok, t()} | :ended | :unknown
  def read(keeper, program, units) do
    case children_of_thread(keeper, keeper) do
      {:ok, [_ | _] = relays} ->
        children = Enum.flat_map(relays, &children(&1, 1))
        if program in children, do: measure([program | List.delete(children, program)], units), else: :ended

      _no_keeper ->
        :unknown
    end
  end

  @doc """
  The same of a process that is no helper's child
  """
  @spec read(pos_integer(), units()) :: {:ok, t()} | :unknown
  def read(process, units), do: measure([process], units)

  @doc """
  What a process executes, as ps(1) has it: the name in brackets where it has no arguments, and `""` where it can't be told
  """
  @spec command(pos_integer()) :: {String.t(), [String.t()]}
  def command(pid) do
    with {:ok, line} when line != "" <- File.read("/proc/#{pid}/cmdline") do
      [command | args] = line |> String.trim_trailing(<<0>>) |> String.split(<<0>>)
      {command, args}
    else
      _none -> {name(pid), []}
    end
  end

  defp name(pid) do
    case File.read("/proc/#{pid}/comm") do
      {:ok, name} -> "[#{String.trim_trailing(name)}]"
      {:error, _gone} -> ""
    end
  end

  @doc """
  The units of this machine, which the kernel tells each process
  """
  @spec units() :: units()
  def units() do
    vector =
      case File.read("/proc/self/auxv") do
        {:ok, bytes} -> auxiliary_vector(bytes)
        {:error, _reason} -> %{}
      end

    %{page: Map.get(vector, @at_pagesz, 4096), ticks: Map.get(vector, @at_clktck, 100)}
  end

  defp auxiliary_vector(bytes) do
    size = 8 * :erlang.system_info({:wordsize, :external})
    for <<type::native-size(size), value::native-size(size) <- bytes>>, value > 0, into: %{}, do: {type, value}
  end

  defp measure([program | _orphans] = roots, units) do
    # A process that is orphaned meanwhile may be met twice.
    stats = roots |> Enum.flat_map(&descend(&1, @generations_most)) |> Map.new()

    case stats do
      %{^program => stat} ->
        alive = for {pid, %{state: state}} <- stats, pid != program, state not in ["Z", "X"], do: pid

        {:ok,
         %{
           os_pids: [program | Enum.sort(alive)],
           cpu_us: div(sum(stats, :ticks) * 1_000_000, units.ticks),
           memory_bytes: sum(stats, :pages) * units.page,
           suspended: stat.state == "T"
         }}

      _hidden ->
        :unknown
    end
  end

  defp sum(stats, key), do: Enum.reduce(stats, 0, fn {_pid, stat}, sum -> sum + Map.fetch!(stat, key) end)

  defp descend(pid, generations) do
    case stat(pid) do
      {:ok, stat} when generations > 0 ->
        [{pid, stat} | Enum.flat_map(children(pid, stat.threads), &descend(&1, generations - 1))]

      _gone ->
        []
    end
  end

  # Each thread has its own.
  defp children(pid, 1), do: with(:error <- children_of_thread(pid, pid), do: {:ok, []}) |> elem(1)

  defp children(pid, _several) do
    case File.ls("/proc/#{pid}/task") do
      {:ok, threads} ->
        for thread <- threads, {:ok, children} <- [children_of_thread(pid, thread)], child <- children, do: child

      {:error, _gone} ->
        []
    end
  end

  defp children_of_thread(pid, thread) do
    case File.read("/proc/#{pid}/task/#{thread}/children") do
      {:ok, text} -> {:ok, text |> String.split() |> Enum.map(&String.to_integer/1)}
      {:error, _gone} -> :error
    end
  end

  # What counts is behind the command's name, which may hold anything but is in parentheses.
  defp stat(pid) do
    with {:ok, text} <- File.read("/proc/#{pid}/stat"),
         [state, _parent | fields] <- text |> String.split(")") |> List.last() |> String.split() do
      [user, system, reaped_user, reaped_system, _priority, _nice, threads, _timer, _start, _size, pages] =
        fields |> Enum.slice(9, 11) |> Enum.map(&String.to_integer/1)

      {:ok, %{state: state, ticks: user + system + reaped_user + reaped_system, threads: threads, pages: max(pages, 0)}}
    else
      _gone -> :error
    end
  end
end
