# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Command do
  @moduledoc false
  # Runs a program to its end and collects its output: what MuonTrap.cmd/3 does once its options are validated.
  #
  # It is a reduction over the stream of events, which `step/2` takes in. The calling process waits inside of the stream,
  # where it has none of the functions of this module on its stack (see `MuonTrap.HelperPort.events/1`).

  alias MuonTrap.{Error, Feeder, HelperPort, Lines, Options, Stdio}

  # partial_lines: with the option :lines, what has come of each stream's line whose end has not come, the last piece first; else
  # nil. tags: what is collected has the name of its stream.
  # error: what the helper has stopped the program for. feeder: who writes the option :input to it.
  @enforce_keys [:port, :collected, :collector]
  defstruct [:port, :collected, :collector, :partial_lines, :tags, :error, :feeder]

  @doc """
  Run the program and return what was collected with the exit status, or with `:timeout`

  However it comes back, by returning or raising, the program and its descendants are dead.
  """
  @spec run(map()) :: {Collectable.t(), non_neg_integer() | :timeout}
  def run(options) do
    case start(options) do
      {:running, run, next} -> next |> HelperPort.events() |> Enum.reduce_while(run, &__MODULE__.step/2)
      {:ended, result} -> result
    end
  end

  @spec start(map()) :: {:running, %__MODULE__{}, HelperPort.next()} | {:ended, {Collectable.t(), :timeout}}
  defp start(options) do
    {initial, collector} = Collectable.into(options.into)

    try do
      case launch(options) do
        {:ok, port, next} -> {port, next}
        {:error, :timeout} -> :timeout
        {:error, error} -> raise_start(error, options)
      end
    catch
      kind, reason ->
        collector.(initial, :halt)
        :erlang.raise(kind, reason, __STACKTRACE__)
    else
      :timeout ->
        {:ended, {collector.(initial, :done), :timeout}}

      {port, next} ->
        partial_lines = if is_map_key(options, :lines), do: %{stdout: [], stderr: []}

        run = %__MODULE__{
          port: port,
          collected: initial,
          collector: collector,
          partial_lines: partial_lines,
          tags: Stdio.tags?(options),
          feeder: Feeder.start(port, options)
        }

        {:running, run, next}
    end
  end

  # When the helper was to look for the program, whether there is one counts before all else that was wrong.
  defp launch(options) do
    with {:error, %Error{} = error} <- HelperPort.start(options) do
      found = if Path.type(options.cmd) == :absolute, do: options, else: Options.find_program(options)
      if error.stage == :exec and found.cmd != options.cmd, do: HelperPort.start(found), else: {:error, error}
    end
  end

  @doc """
  Raise what has kept a program from being started; the errors that `System.cmd/3` has too as there
  """
  @spec raise_start(Exception.t(), map()) :: no_return()
  def raise_start(%Error{stage: :exec, reason: :eacces}, options),
    do: :erlang.error(:eacces, [options.cmd, options.args])

  def raise_start(error, _options), do: raise(error)

  @doc """
  Take in what has happened

  The reduction is over with the last event, when what was collected and the status are its result.
  """
  @spec step([HelperPort.event()] | atom(), %__MODULE__{}) ::
          {:cont, %__MODULE__{}} | {:halt, {Collectable.t(), non_neg_integer() | :timeout}}
  def step([], run), do: {:cont, run}
  def step(nothing, run) when is_atom(nothing), do: {:cont, run}

  def step([{stream, data} | events], run) when stream in [:stdout, :stderr],
    do: step(events, collect(run, stream, data))

  # The helper stops the program because of it, and tells its end.
  def step([{:error, error} | events], run), do: step(events, %{run | error: error})
  def step([{:vanished, error}], run), do: fail(run, error)
  def step([{_end, _ending}], %{error: error} = run) when error != nil, do: fail(run, error)

  def step([{:exited, ending}], run) do
    case Feeder.stop(run.feeder) do
      :ok ->
        # Others may have it stopped, too: MuonTrap.top/1.
        timed_out = ending.stopped and HelperPort.timed_out?(run.port)
        {:halt, {done(run), if(timed_out, do: :timeout, else: ending.status)}}

      {kind, reason, stacktrace} ->
        run.collector.(run.collected, :halt)
        :erlang.raise(kind, reason, stacktrace)
    end
  end

  @spec fail(%__MODULE__{}, Error.t()) :: no_return()
  defp fail(run, error) do
    Feeder.stop(run.feeder)
    run.collector.(run.collected, :halt)
    raise error
  end

  defp done(run) do
    run = Enum.reduce([:stdout, :stderr], run, &collect_last_line/2)
    run.collector.(run.collected, :done)
  end

  defp collect(%{partial_lines: nil} = run, stream, data), do: collect_each(run, stream, [data])

  defp collect(run, stream, data) do
    {lines, partial} = Lines.whole(run.partial_lines[stream], data)
    collect_each(put_in(run.partial_lines[stream], partial), stream, lines)
  end

  defp collect_last_line(stream, run) do
    case run.partial_lines[stream] do
      nothing when nothing in [nil, []] -> run
      partial -> collect_each(run, stream, [partial |> Enum.reverse() |> IO.iodata_to_binary()])
    end
  end

  defp collect_each(%{tags: true} = run, stream, items), do: collect_items(run, Enum.map(items, &{stream, &1}))
  defp collect_each(run, _stream, items), do: collect_items(run, items)

  defp collect_items(run, items) do
    Enum.reduce(items, run, fn item, run -> %{run | collected: run.collector.(run.collected, {:cont, item})} end)
  catch
    kind, reason ->
      HelperPort.abandon(run.port)
      Feeder.stop(run.feeder)
      run.collector.(run.collected, :halt)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end
end
