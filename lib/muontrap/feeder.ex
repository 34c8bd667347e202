# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Feeder do
  @moduledoc false
  # A process that writes an enumerable to a program's standard input, and then its end, as fast as the program reads. It is
  # linked to the process that has started it. What goes wrong in the enumerable ends the program, and is told by stop/1.

  alias MuonTrap.HelperPort

  # It doesn't end by itself, but keeps what has become of it until it is asked: a message to the owner would lie in a mailbox that
  # others read, and whoever has ended before was killed.
  @outcome {__MODULE__, :outcome}

  @type t :: pid()

  @typedoc "What the enumerable has raised, thrown or exited with"
  @type failure :: {:error | :exit | :throw, term(), Exception.stacktrace()}

  @doc """
  Start it for a program that runs, if the options have an input for that
  """
  @spec start(HelperPort.t(), map()) :: t() | nil
  def start(program, %{input: input}) do
    owner = self()
    callers = [owner | Process.get(:"$callers", [])]

    :proc_lib.spawn_link(fn ->
      # As a Task has it, for what looks for the process that something is done for.
      Process.put(:"$callers", callers)
      run(program, input)
      linger(Process.monitor(owner))
    end)
  end

  def start(_program, _options), do: nil

  # The link is not enough for an owner that ends normally.
  @doc false
  @spec linger(reference()) :: :ok
  def linger(monitor) do
    receive do
      {:DOWN, ^monitor, :process, _owner, _reason} -> :ok
    after
      0 -> :proc_lib.hibernate(__MODULE__, :linger, [monitor])
    end
  end

  defp run(program, input) do
    HelperPort.feed(program)
    feed(program, input)
    HelperPort.end_input(program)
  catch
    kind, reason ->
      Process.put(@outcome, {kind, reason, __STACKTRACE__})
      HelperPort.input_failed(program)
  end

  defp feed(program, input) when is_binary(input), do: HelperPort.write(program, input)

  defp feed(program, input) do
    if iodata?(input),
      do: HelperPort.write(program, input),
      else: Enum.reduce_while(input, :ok, fn data, :ok -> write(program, data) end)
  end

  # That the program doesn't read all is no error.
  defp write(program, data) do
    unless iodata?(data) do
      raise ArgumentError,
            "the option :input takes iodata or an enumerable of iodata, of which one element is neither a binary nor a list of " <>
              "bytes and binaries"
    end

    case HelperPort.write(program, data) do
      :ok -> {:cont, :ok}
      {:error, :closed} -> {:halt, :ok}
    end
  end

  @doc """
  Whether that is iodata
  """
  @spec iodata?(term()) :: boolean()
  def iodata?(data) when is_binary(data), do: true

  def iodata?(data) when is_list(data) do
    _size = :erlang.iolist_size(data)
    true
  rescue
    ArgumentError -> false
  end

  def iodata?(_data), do: false

  @doc """
  End it, and tell what has gone wrong in it, if something has. No message of it is left.
  """
  @spec stop(t() | nil) :: :ok | failure()
  def stop(nil), do: :ok

  def stop(pid) do
    outcome = outcome(Process.info(pid, :dictionary))
    monitor = Process.monitor(pid)
    Process.unlink(pid)
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, :process, ^pid, _reason} -> :ok
    end

    receive do
      {:EXIT, ^pid, _reason} -> :ok
    after
      0 -> :ok
    end

    outcome
  end

  defp outcome(nil), do: {:exit, :killed, []}

  defp outcome({:dictionary, dictionary}) do
    {@outcome, outcome} = List.keyfind(dictionary, @outcome, 0, {@outcome, :ok})
    outcome
  end
end
