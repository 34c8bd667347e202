# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Signal do
  @moduledoc false
  # Signals by their names, as OTP's :os.set_signal/2 and :erl_signal_server have them. It is the helper that knows their numbers,
  # which differ between processors. Pure.

  @names [
    :sighup,
    :sigint,
    :sigquit,
    :sigill,
    :sigtrap,
    :sigabrt,
    :sigbus,
    :sigfpe,
    :sigkill,
    :sigusr1,
    :sigsegv,
    :sigusr2,
    :sigpipe,
    :sigalrm,
    :sigterm,
    :sigchld,
    :sigcont,
    :sigstop,
    :sigtstp,
    :sigttin,
    :sigttou,
    :sigurg,
    :sigxcpu,
    :sigxfsz,
    :sigvtalrm,
    :sigprof,
    :sigwinch,
    :sigio,
    :sigpwr,
    :sigsys
  ]

  @typedoc "A signal's name in lower case, such as `:sighup`, or its number, such as that of a real-time signal"
  @type t :: atom() | 1..127

  @doc """
  Whether it is the name or the number of a signal
  """
  @spec signal?(term()) :: boolean()
  def signal?(signal), do: signal in @names or (is_integer(signal) and signal in 1..127)

  @doc """
  Raise `ArgumentError` for what is no signal, or nobody who could get one
  """
  @spec check!(term(), term()) :: :ok
  def check!(signal, to) do
    unless signal?(signal),
      do: raise(ArgumentError, "expected a signal such as :sighup, or its number, got: #{inspect(signal)}")

    unless is_map_key(MuonTrap.Protocol.receivers(), to),
      do: raise(ArgumentError, "a signal is for :program, :group, :tree or :cgroup, got: #{inspect(to)}")

    :ok
  end

  @doc """
  The signal that people mean, by its name with or without SIG, or its number; SIGTERM without any, as by kill(1)

      iex> Enum.map(["HUP", "sigkill", "15", "", "no", "0", "1x"], &MuonTrap.Signal.parse/1)
      [{:ok, :sighup}, {:ok, :sigkill}, {:ok, 15}, {:ok, :sigterm}, :error, :error, :error]
  """
  @spec parse(String.t()) :: {:ok, t()} | :error
  def parse(""), do: {:ok, :sigterm}

  def parse(text) do
    with {number, ""} when number in 1..127 <- Integer.parse(text) do
      {:ok, number}
    else
      _no_number -> by_name(String.downcase(text))
    end
  end

  defp by_name(name) do
    case Enum.find(@names, &(Atom.to_string(&1) in [name, "sig" <> name])) do
      nil -> :error
      signal -> {:ok, signal}
    end
  end

  @doc """
  The name that the helper knows it by, and people

      iex> MuonTrap.Signal.name(:sighup)
      "SIGHUP"
      iex> MuonTrap.Signal.name(37)
      "37"
  """
  @spec name(t()) :: String.t()
  def name(signal), do: signal |> to_string() |> String.upcase()
end
