# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.ProgramStream do
  @moduledoc false
  # What a program writes as a lazy enumerable. The program is started when the enumeration begins, by the process that
  # enumerates, and each time that more is asked for, what was given before counts as handled. So a stream that isn't read holds no
  # more than the helper's window. It is served: while the consumer does something else, nothing comes into its mailbox.

  alias MuonTrap.{Command, ExitError, Feeder, HelperPort, Options, Stdio}

  # command: the program as it was given. next: what HelperPort.next/1 goes on with; nil when all has been given. over: the program's
  # end has come, so that its helper may run another program by now.
  # error: what the helper has stopped it for. failure: what is raised next, when all that has to be done has been done: an
  # exception, or what has been raised elsewhere.
  @enforce_keys [:command, :options, :port, :next, :feeder]
  defstruct [:command, :options, :port, :next, :feeder, :error, :failure, over: false]

  @doc """
  The stream for options that have been checked
  """
  @spec new(map()) :: Enumerable.t()
  def new(options), do: Stream.resource(fn -> start(options) end, &next/1, &stop/1)

  defp start(%{cmd: command} = options) do
    options = Options.complete(options, :stream)

    case options |> Map.put(:served, true) |> HelperPort.start() do
      {:ok, port, next} ->
        %__MODULE__{command: command, options: options, port: port, next: next, feeder: Feeder.start(port, options)}

      {:error, error} ->
        Command.raise_start(error, options)
    end
  end

  defp next(%{failure: {kind, reason, stacktrace}}), do: :erlang.raise(kind, reason, stacktrace)
  defp next(%{failure: exception}) when exception != nil, do: raise(exception)
  defp next(%{next: nil} = stream), do: {:halt, stream}

  defp next(stream) do
    {news, next} = HelperPort.next_served(stream.next)
    take(news, [], %{stream | next: next})
  end

  # Also what means nothing (see HelperPort.events/1).
  defp take(news, elements, stream) when news == [] or is_atom(news), do: {Enum.reverse(elements), stream}

  defp take([{kind, data} | news], elements, stream) when kind in [:stdout, :stderr] do
    element = if Stdio.tags?(stream.options), do: {kind, data}, else: data
    take(news, [element | elements], stream)
  end

  # The helper stops the program because of it, and tells its end.
  defp take([{:error, error} | news], elements, stream), do: take(news, elements, %{stream | error: error})
  # What was written last is given before the end is told.
  defp take([{kind, _ending} = last], [_ | _] = elements, stream) when kind in [:exited, :vanished],
    do: {Enum.reverse(elements), %{stream | next: {[last], stream.next}, over: true}}

  defp take([{:vanished, error}], [], stream), do: fail(stream, error)
  defp take([{:exited, _ending}], [], %{error: error} = stream) when error != nil, do: fail(stream, error)

  defp take([{:exited, ending}], [], stream) do
    case {Feeder.stop(stream.feeder), stream.options[:exit], ending.status} do
      {:ok, :return, status} ->
        {[{:exit, status}], ended(stream)}

      {:ok, _raise, 0} ->
        {:halt, ended(stream)}

      {:ok, _raise, status} ->
        {[],
         ended(stream, %ExitError{command: stream.command, status: status, signal: ending.signal_name || ending.signal})}

      {failure, _exit, _status} ->
        {[], ended(stream, failure)}
    end
  end

  defp fail(stream, error) do
    Feeder.stop(stream.feeder)
    {[], ended(stream, error)}
  end

  defp ended(stream, failure \\ nil), do: %{stream | next: nil, failure: failure}

  # Also when the consumer has halted or raised. After the end there is nothing to do.
  defp stop(%{next: nil}), do: :ok

  defp stop(stream) do
    unless stream.over, do: HelperPort.abandon(stream.port)
    Feeder.stop(stream.feeder)
    :ok
  end
end
