# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.OS do
  @moduledoc false
  # What the operating system says, read from /proc and not from the library under test.
  #
  # Processes that belong together are told by a mark in their environment, which every descendant inherits, however it
  # daemonises. (POSIX systems without /proc would need ps -E.)

  @mark "MUONTRAP_TEST_MARK"

  # PF_EXITING and PF_KTHREAD of the kernel's include/linux/sched.h
  @without_memory 0x00200004

  def root?(), do: File.stat!("/proc/self").uid == 0
  def new_privileges?(), do: File.read!("/proc/self/status") =~ ~r/^NoNewPrivs:\s+0$/m
  def linux_helper?(), do: System.get_env("PORTABLE") in [nil, ""]

  # An ELF file with a program interpreter is dynamically linked (elf(5), PT_INTERP).
  def static_helper?(), do: not String.contains?(File.read!(MuonTrap.muontrap_path()), ["/lib64/ld-linux", "/lib/ld-"])

  @doc "Whether the helper's usage has that option"
  def helper_says?(option) do
    {usage, 0} = System.cmd(MuonTrap.muontrap_path(), ["--help"])
    usage =~ option
  end

  @doc "A new mark"
  def mark(), do: "m#{System.unique_integer([:positive])}-#{System.pid()}-#{:rand.uniform(1_000_000_000)}"

  @doc "The environment that marks a program"
  def marked(mark), do: [{@mark, mark}]

  @doc "The pids of living processes with that mark, without the helper's own two"
  def alive(mark) do
    for pid <- pids(),
        environment(pid) =~ "#{@mark}=#{mark}",
        alive?(pid),
        program?(pid),
        do: pid
  end

  @doc """
  The helper's processes with that mark, and those that run a program with it

  A helper that runs one program after the other has none of their variables.
  """
  def helpers(mark) do
    marked = for pid <- pids(), environment(pid) =~ "#{@mark}=#{mark}", do: pid
    relays = for pid <- marked, relay = parent(pid), relay != nil, helper?(relay), do: relay
    keepers = for relay <- relays, keeper = parent(relay), keeper != nil, helper?(keeper), do: keeper
    Enum.uniq(Enum.filter(marked, &helper?/1) ++ keepers ++ relays)
  end

  @doc "The helper that runs the program with that mark: its outer process is the one whose parent is not of the helper"
  def keeper_and_relay(mark) do
    helpers = helpers(mark)
    [keeper] = Enum.reject(helpers, &(parent(&1) in helpers))
    [relay] = Enum.filter(helpers, &(parent(&1) == keeper))
    {keeper, relay}
  end

  @doc "The helper's processes that a VM has, this one if not said otherwise"
  def helpers_of_vm(vm \\ String.to_integer(System.pid())) do
    for pid <- descendants([vm]), helper?(pid), do: pid
  end

  @doc "Whether a process that does nothing but write, or read, has to wait for that: it has slept each time it was looked at"
  def blocked?(pid), do: Enum.all?(1..30, fn _ -> state(pid) == "S" and still() end)

  @doc "Do nothing for two milliseconds, as who is slow"
  def still() do
    receive do
    after
      2 -> true
    end
  end

  def pids() do
    for name <- File.ls!("/proc"), match?({_pid, ""}, Integer.parse(name)), do: String.to_integer(name)
  end

  def alive?(pid), do: not dead?(state(pid))

  defp dead?(state), do: state in ["Z", "X", nil]

  def state(pid), do: stat_field(pid, 0)

  def parent(pid), do: stat_number(pid, 1)

  @doc "When a process was started, which tells it from one that has got its number later; nil when there is none"
  def started(pid), do: stat_number(pid, 19)

  def children(pid), do: for(child <- pids(), parent(child) == pid, do: child)

  @doc "All that descends from these, by one look at all processes"
  def descendants(ancestors) do
    pids() |> Enum.group_by(&parent/1) |> below(ancestors)
  end

  defp below(children, pids) do
    case Enum.flat_map(pids, &Map.get(children, &1, [])) do
      [] -> []
      found -> found ++ (children |> Map.drop(pids) |> below(found))
    end
  end

  defp stat_field(pid, index), do: pid |> stat() |> Enum.at(index)

  defp stat_number(pid, index) do
    case stat_field(pid, index) do
      nil -> nil
      text -> String.to_integer(text)
    end
  end

  # Its fields from the third on, none when it is gone. proc(5): the command's name is in parentheses and may hold anything, so
  # what counts is behind the last one.
  defp stat(pid) do
    case read("/proc/#{pid}/stat") do
      {:ok, stat} -> stat |> String.split(")") |> List.last() |> String.split()
      {:error, _gone} -> []
    end
  end

  # As File.read/1, but not by the VM's file server, for which the looks of all tests that run would wait in one queue.
  defp read(path) do
    with {:ok, file} <- :file.open(path, [:raw, :read, :binary]) do
      text = read_all(file, [])
      :ok = :file.close(file)
      text
    end
  end

  defp read_all(file, pieces) do
    case :file.read(file, 65_536) do
      {:ok, piece} -> read_all(file, [piece | pieces])
      :eof -> {:ok, pieces |> Enum.reverse() |> IO.iodata_to_binary()}
      {:error, _gone} = error -> error
    end
  end

  # Of a process that executes another program it is empty until the kernel has laid out the new one's (environ_read() in its
  # fs/proc/base.c), which must not be taken for that of a process that has none. The looks are so many at most
  # because some processes have theirs where nobody can read it.
  defp environment(pid, looks \\ 500) do
    case read("/proc/#{pid}/environ") do
      {:ok, ""} when looks > 0 ->
        if without_environment?(pid), do: "", else: still() && environment(pid, looks - 1)

      {:ok, environment} ->
        environment

      {:error, _gone} ->
        ""
    end
  end

  # proc(5): field 3 has its state and 9 its flags, 50 and 51 are where its environment begins and ends, and 26 where its code
  # does, which the kernel says when all is laid out (load_elf_binary() in its fs/binfmt_elf.c).
  defp without_environment?(pid) do
    fields = stat(pid)
    [state, flags, code, start, ending] = Enum.map([0, 6, 23, 47, 48], &Enum.at(fields, &1))

    dead?(state) or Bitwise.band(String.to_integer(flags), @without_memory) != 0 or (code != "0" and start == ending)
  end

  @doc "Whether that is a process of the helper"
  # A process that is exiting has lost what it executes before it is a zombie, so one without that is neither.
  def helper?(pid), do: executes(pid) =~ ~r/^muontrap/
  defp program?(pid), do: not (executes(pid) =~ ~r/^(muontrap|$)/)

  defp executes(pid) do
    case File.read_link("/proc/#{pid}/exe") do
      {:ok, path} -> Path.basename(path)
      {:error, _gone} -> ""
    end
  end

  @doc """
  kill(1) of one process that the test has started, or, by a negative number, of its group

  Without `--`, procps 4.0.2 takes the first digit of a negative number alone: for -12345 it is -1, every process that there is.
  """
  def kill(pid, signal) do
    {_output, status} = System.cmd("kill", ["-#{signal}", "--", "#{pid}"], stderr_to_stdout: true)
    status == 0
  end

  @doc "The number of a line of /proc/PID/status, in its own unit"
  def status_number(pid, name) do
    [_all, number] = Regex.run(~r/^#{name}:\s+(\d+)/m, File.read!("/proc/#{pid}/status"))
    String.to_integer(number)
  end

  @doc """
  How many times as long as on an idle machine something takes, because of what else the machine does

  What is to be timed must not have begun, or it would be measured too.
  """
  def busyness() do
    {number, 0} = System.cmd(Path.join(__DIR__, "../busyness"), [])
    number |> String.trim() |> String.to_integer()
  end

  @doc "How many times as long as elsewhere to wait before something counts as hanging: more where the processor is emulated"
  def patience(), do: if(System.get_env("SLOWNESS", "1") == "1", do: 1, else: 5)

  @doc "How many times to do what is done so many times elsewhere: fewer where the processor is emulated"
  def fewer(count), do: max(div(count, patience()), 1)

  @doc "Waits until the function returns no element; returns what it has returned last, after so many milliseconds at most"
  def remaining(fun, within, pause \\ 10), do: last_look(fun, &(&1 == []), within, pause)

  @doc """
  Waits until the function returns something true, and returns that; fails after so many milliseconds, and later where the
  processor is emulated
  """
  def eventually(fun, within \\ 30_000) do
    within = within * patience()

    last_look(fun, & &1, within, 10) ||
      raise ExUnit.AssertionError, message: "did not come true within #{within} ms"
  end

  # For what nobody tells, such as the end of a process that is not this one's child.
  defp last_look(fun, enough?, within, pause) do
    look_until(fun, enough?, System.monotonic_time(:millisecond) + within, pause)
  end

  defp look_until(fun, enough?, deadline, pause) do
    seen = fun.()

    if enough?.(seen) || System.monotonic_time(:millisecond) > deadline do
      seen
    else
      Process.sleep(min(pause, max(deadline - System.monotonic_time(:millisecond), 1)))
      # Less and less often: where the processors are busy it is the looks that keep them so.
      look_until(fun, enough?, deadline, min(pause + div(pause, 8) + 1, max(pause, 100)))
    end
  end
end
