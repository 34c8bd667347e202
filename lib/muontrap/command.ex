# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Command do
  @moduledoc false
  # Runs a program to its end and collects its output: what MuonTrap.cmd/3 does once its options are validated.

  alias MuonTrap.{Error, HelperPort}

  @doc """
  Run the program and return what was collected with the exit status, or with `:timeout`

  However it comes back, by returning or raising, the program and its descendants are dead.
  """
  @spec run(map()) :: {Collectable.t(), non_neg_integer() | :timeout}
  def run(options) do
    {initial, collector} = Collectable.into(options.into)

    case HelperPort.start(options) do
      {:ok, port} ->
        collect(port, initial, collector, options)

      {:error, error} ->
        collector.(initial, :halt)
        raise_start(error, options)
    end
  end

  # The errors that System.cmd/3 has too are raised as there.
  @spec raise_start(Error.t(), map()) :: no_return()
  defp raise_start(%Error{stage: :exec, reason: :eacces}, options),
    do: :erlang.error(:eacces, [options.cmd, options.args])

  defp raise_start(error, _options), do: raise(error)

  defp collect(port, initial, collector, options) do
    deadline = deadline(Map.get(options, :timeout, :infinity))

    try do
      loop(port, initial, collector, deadline)
    catch
      kind, reason ->
        end_now(port)
        collector.(initial, :halt)
        :erlang.raise(kind, reason, __STACKTRACE__)
    else
      {acc, {:error, error}} ->
        HelperPort.close(port)
        collector.(acc, :halt)
        raise error

      {acc, outcome} ->
        HelperPort.close(port)
        {collector.(acc, :done), outcome}
    end
  end

  defp deadline(:infinity), do: :infinity
  defp deadline(timeout), do: now() + timeout

  defp now(), do: System.monotonic_time(:millisecond)

  # A stream of output must not keep the time from being up, so that is asked before each message.
  defp time_left(:infinity), do: :infinity
  defp time_left(deadline), do: max(deadline - now(), 0)

  defp loop(port, acc, collector, deadline) do
    case time_left(deadline) do
      0 ->
        HelperPort.stop(port)
        {acc, outcome} = drain(port, acc, collector, nil)
        {acc, if(is_integer(outcome), do: :timeout, else: outcome)}

      left ->
        case HelperPort.next(port, left) do
          :timeout -> loop(port, acc, collector, deadline)
          {event, port} -> continue(event, port, acc, collector, deadline, nil)
        end
    end
  end

  # The program is being stopped, and there is no deadline any more but its own.
  defp drain(port, acc, collector, error) do
    {event, port} = HelperPort.next(port, :infinity)
    continue(event, port, acc, collector, :none, error)
  end

  defp continue({stream, data}, port, acc, collector, deadline, error) when stream in [:stdout, :stderr] do
    acc = collector.(acc, {:cont, data})
    port = HelperPort.acknowledge(port)
    if deadline == :none, do: drain(port, acc, collector, error), else: loop(port, acc, collector, deadline)
  end

  defp continue({:exited, ending}, _port, acc, _collector, _deadline, nil), do: {acc, ending.status}
  defp continue({:exited, _ending}, _port, acc, _collector, _deadline, error), do: {acc, {:error, error}}

  defp continue({:error, %Error{reason: :vanished} = error}, _port, acc, _collector, _deadline, _earlier),
    do: {acc, {:error, error}}

  # The helper stops the program because of it and tells its end.
  defp continue({:error, error}, port, acc, collector, _deadline, _earlier), do: drain(port, acc, collector, error)

  defp end_now(port) do
    port |> HelperPort.abandon() |> await_end()
  end

  defp await_end(port) do
    {event, port} = HelperPort.next(port, :infinity)
    if HelperPort.last?(event), do: HelperPort.close(port), else: await_end(port)
  end
end
