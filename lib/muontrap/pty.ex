# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Pty do
  @moduledoc false
  # The option :pty: a program's terminal, its size and its modes, by the names of RFC 4254, section 8, in lower case. Pure.

  @most 65_535
  @flags [
    :ignpar,
    :parmrk,
    :inpck,
    :istrip,
    :inlcr,
    :igncr,
    :icrnl,
    :iuclc,
    :ixon,
    :ixany,
    :ixoff,
    :imaxbel,
    :iutf8,
    :isig,
    :icanon,
    :xcase,
    :echo,
    :echoe,
    :echok,
    :echonl,
    :noflsh,
    :tostop,
    :iexten,
    :echoctl,
    :echoke,
    :pendin,
    :opost,
    :olcuc,
    :onlcr,
    :ocrnl,
    :onocr,
    :onlret,
    :cs7,
    :cs8,
    :parenb,
    :parodd
  ]
  @characters [
    :vintr,
    :vquit,
    :verase,
    :vkill,
    :veof,
    :veol,
    :veol2,
    :vstart,
    :vstop,
    :vsusp,
    :vdsusp,
    :vreprint,
    :vwerase,
    :vlnext,
    :vflush,
    :vswtch,
    :vstatus,
    :vdiscard
  ]
  @speeds [:tty_op_ispeed, :tty_op_ospeed]

  @type t :: boolean() | keyword()

  @doc """
  What is wrong with a value of the option: `:ok`, or `{:error, expected}`

      iex> MuonTrap.Pty.check(rows: 24, cols: 80, echo: false, vintr: 3)
      :ok
      iex> MuonTrap.Pty.check(rows: 0)
      {:error, "1 to 65535 as its :rows"}
      iex> MuonTrap.Pty.check(eco: true)
      {:error, "modes that a terminal has, and not :eco (RFC 4254, section 8, lists their names)"}
  """
  @spec check(term()) :: :ok | {:error, String.t()}
  def check(value) when is_boolean(value), do: :ok

  def check(value) do
    if Keyword.keyword?(value),
      do: Enum.find_value(value, :ok, &wrong/1),
      else: {:error, "true, false, or a keyword list with :rows, :cols and modes of a terminal"}
  end

  defp wrong({size, value}) when size in [:rows, :cols] do
    unless dimension?(value), do: {:error, "1 to #{@most} as its #{inspect(size)}"}
  end

  defp wrong({mode, value}) when mode in @flags do
    unless is_boolean(value), do: {:error, "true or false as its mode #{inspect(mode)}"}
  end

  defp wrong({mode, value}) when mode in @characters do
    unless value == nil or (is_integer(value) and value in 0..255),
      do: {:error, "a character from 0 to 255, or nil for none, as its mode #{inspect(mode)}"}
  end

  defp wrong({mode, value}) when mode in @speeds do
    unless is_integer(value) and value >= 0, do: {:error, "a speed such as 38_400 as its mode #{inspect(mode)}"}
  end

  defp wrong({mode, _value}),
    do: {:error, "modes that a terminal has, and not #{inspect(mode)} (RFC 4254, section 8, lists their names)"}

  @doc """
  Whether that is a number of rows or columns
  """
  @spec dimension?(term()) :: boolean()
  def dimension?(value), do: is_integer(value) and value in 1..@most

  @doc """
  The helper's arguments for it

      iex> MuonTrap.Pty.arguments(cols: 132, echo: false, vintr: nil)
      ["--pty=24x132", "--pty-mode", "echo=0", "--pty-mode", "vintr=255"]
  """
  @spec arguments(t()) :: [String.t()]
  def arguments(false), do: []
  def arguments(true), do: arguments([])

  def arguments(pty) do
    {size, modes} = Keyword.split(pty, [:rows, :cols])

    ["--pty=#{Keyword.get(size, :rows, 24)}x#{Keyword.get(size, :cols, 80)}"] ++
      Enum.flat_map(modes, fn {mode, value} -> ["--pty-mode", "#{mode}=#{number(value)}"] end)
  end

  # RFC 4254, section 8: 255 for a character that there isn't.
  defp number(nil), do: 255
  defp number(true), do: 1
  defp number(false), do: 0
  defp number(value), do: value
end
