# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Telemetry do
  @moduledoc false
  # The events of docs/telemetry.md, through the application :telemetry where the system has that. MuonTrap doesn't depend on it,
  # and without it nothing is made up that nobody would get.
  #
  # They are emitted by the program's server, which has replied to whom it had to before.

  alias MuonTrap.Protocol

  @compile {:no_warn_undefined, :telemetry}

  @typedoc """
  What is said of a program with each event

  `launched`: when the launch began; `since`: when the program did, `nil` if it never has. Both in the VM's monotonic time.
  """
  @type program :: %{launched: integer(), since: integer() | nil, metadata: map()}

  @typedoc "Who has wanted the program's end"
  @type cause :: :stopped | :timed_out | :owner_died | :application_stopped | :failed

  @doc """
  Tell that the program runs
  """
  @spec started(program()) :: :ok
  def started(program) do
    if heard?(),
      do: emit_start(program, program.since, %{launch_duration: program.since - program.launched}),
      else: :ok
  end

  @doc """
  Tell that it couldn't be started: of a start, which is that of the attempt, and its failure
  """
  @spec not_started(program(), Exception.t() | atom()) :: :ok
  def not_started(program, reason) do
    if heard?() do
      emit_start(program, program.launched, %{})
      emit_exception(program, program.launched, reason, %{})
    else
      :ok
    end
  end

  @doc """
  Tell that it has ended, as the helper has told; `nil` if nobody is left who has heard it
  """
  @spec ended(program(), Protocol.ending() | nil, cause() | nil, non_neg_integer()) :: :ok
  def ended(program, ending, cause, bytes) do
    if heard?() do
      measurements = Map.merge(%{output_byte_count: bytes}, usage(ending))
      emit(:stop, Map.merge(measurements, duration(program.since)), Map.merge(program.metadata, end_of(ending, cause)))
    else
      :ok
    end
  end

  @doc """
  Tell that its helper has vanished, and that it has ended by that
  """
  @spec vanished(program(), Exception.t(), non_neg_integer()) :: :ok
  def vanished(program, error, bytes) do
    if heard?(), do: emit_exception(program, program.since, error, %{output_byte_count: bytes}), else: :ok
  end

  # The figures are left out where they aren't known, because a handler that adds them up takes numbers.
  defp usage(nil), do: %{}

  defp usage(ending) do
    %{
      cpu_user_us: ending.user_us,
      cpu_system_us: ending.system_us,
      peak_memory_bytes: ending.peak_bytes,
      stragglers: ending.stragglers
    }
  end

  defp end_of(nil, cause),
    do: %{status: nil, signal: nil, core_dumped: nil, oom_killed: nil, forced: nil, cause: cause || :exited}

  defp end_of(ending, cause) do
    %{
      status: ending.status,
      signal: ending.signal_name || ending.signal,
      core_dumped: ending.core_dumped,
      oom_killed: ending.oom_killed,
      forced: ending.forced,
      # A stop that was wanted when it had ended by itself has had no effect.
      cause: if(ending.stopped, do: cause || :stopped, else: :exited)
    }
  end

  defp emit_start(program, at, measurements) do
    measurements = Map.merge(measurements, %{monotonic_time: at, system_time: at + System.time_offset()})
    emit(:start, measurements, program.metadata)
  end

  defp emit_exception(program, since, reason, measurements) do
    emit(
      :exception,
      Map.merge(measurements, duration(since)),
      Map.merge(program.metadata, %{kind: :error, reason: reason, stacktrace: []})
    )
  end

  defp duration(since) do
    now = System.monotonic_time()
    %{duration: now - since, monotonic_time: now}
  end

  # It has its code loaded when somebody has attached a handler.
  defp heard?(), do: :erlang.function_exported(telemetry(), :execute, 3)

  defp emit(event, measurements, metadata),
    do: telemetry().execute([:muontrap, :program, event], measurements, metadata)

  # By a function, so that nobody who checks this code misses the application that it does without.
  defp telemetry(), do: :telemetry
end
