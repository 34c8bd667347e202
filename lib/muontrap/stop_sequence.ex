# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.StopSequence do
  @moduledoc false
  # How a program is told to end, and what time it has for that, before SIGKILL: the options :stop_sequence, or :stop_signal and
  # :delay_to_sigkill, and the :stop_command that takes the first signal's place. Pure.

  alias MuonTrap.Signal

  @options [:stop_sequence, :stop_signal, :delay_to_sigkill]
  @delay_to_sigkill 500
  # As many as the helper takes, and in all so long as a supervisor waits for a child.
  @most 8
  @longest 0x7FFFFFFF
  # The helper refuses them too, also where they have other numbers.
  @never [:sigkill, :sigstop, 9, 19]
  # Milliseconds for the kernel to end all that was sent SIGKILL, on a machine under load.
  @time_to_bury 5_000

  @type t :: [{Signal.t() | :stop_command, non_neg_integer()}]

  @doc """
  The steps that the options say
  """
  @spec new(map()) :: t()
  def new(%{stop_command: _command} = options) do
    [{_signal, ms} | rest] = options |> Map.delete(:stop_command) |> new()
    [{:stop_command, ms} | rest]
  end

  def new(%{stop_sequence: steps}), do: steps

  def new(options),
    do: [{Map.get(options, :stop_signal, :sigterm), Map.get(options, :delay_to_sigkill, @delay_to_sigkill)}]

  @doc """
  Check the value of the option `:stop_sequence`
  """
  @spec steps?(term()) :: boolean()
  def steps?(value) do
    is_list(value) and not List.improper?(value) and length(value) in 1..@most and Enum.all?(value, &step?/1) and
      duration(value) <= @longest
  end

  defp step?({signal, ms}), do: stop_signal?(signal) and is_integer(ms) and ms >= 0
  defp step?(_other), do: false

  @doc """
  Whether it is a signal that a program can be told to end by
  """
  @spec stop_signal?(term()) :: boolean()
  def stop_signal?(signal), do: Signal.signal?(signal) and signal not in @never

  @doc """
  How many milliseconds it may take to stop a program with these options: a map of checked ones, or what has not been checked
  """
  @spec time_to_stop(term()) :: pos_integer()
  def time_to_stop(options) when is_map(options), do: duration(new(options)) + @time_to_bury

  def time_to_stop(unchecked) do
    options = if Keyword.keyword?(unchecked), do: unchecked |> Keyword.take(@options) |> Map.new(), else: %{}
    time_to_stop(if steps?(new(options)), do: options, else: %{})
  end

  @doc """
  How long all steps take, in milliseconds
  """
  @spec duration(t()) :: non_neg_integer()
  def duration(steps), do: Enum.reduce(steps, 0, fn {_signal, ms}, sum -> sum + ms end)

  defp name(:stop_command), do: "its stop command"
  defp name(signal), do: Signal.name(signal)

  @doc """
  What a program that had to be killed has not done, such as `"within 500 ms of SIGTERM; see :delay_to_sigkill"`
  """
  @spec describe(t()) :: {String.t(), String.t()}
  def describe(steps) do
    remedy = if match?([_one], steps), do: "see :delay_to_sigkill", else: "see :stop_sequence"
    {"within " <> Enum.map_join(steps, " and ", fn {step, ms} -> "#{ms} ms of #{name(step)}" end), remedy}
  end
end
