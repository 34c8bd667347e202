# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.Keys do
  @moduledoc false
  # The bytes that a terminal sends for keys (ECMA-48, section 5.4; xterm's "ctlseqs", "PC-Style Function Keys"). Pure.

  @type key ::
          {:char, String.t()}
          | :up
          | :down
          | :page_up
          | :page_down
          | :home
          | :end
          | :enter
          | :escape
          | :backspace
          | :interrupt
          | :redraw
          | :help
          | :signal

  # No key has a longer sequence. What is longer is somebody's paste.
  @sequence_most 16

  @finals %{
    "A" => :up,
    "B" => :down,
    "H" => :home,
    "F" => :end,
    "P" => :help,
    "1~" => :home,
    "7~" => :home,
    "4~" => :end,
    "8~" => :end,
    "5~" => :page_up,
    "6~" => :page_down,
    "11~" => :help,
    "20~" => :signal
  }

  @doc """
  The keys in these bytes, and those at their end that may be the beginning of one

      iex> MuonTrap.Top.Keys.parse("j\\e[A\\e[6~\\e[")
      {[{:char, "j"}, :up, :page_down], "\\e["}
  """
  @spec parse(binary()) :: {[key()], binary()}
  def parse(bytes), do: parse(bytes, [])

  defp parse(bytes, keys) do
    case next(bytes) do
      {nil, rest} -> parse(rest, keys)
      {key, rest} -> parse(rest, [key | keys])
      :more -> {Enum.reverse(keys), bytes}
    end
  end

  @doc """
  What those bytes are when no more follow in a while: the escape key, or nothing

      iex> MuonTrap.Top.Keys.finish("\\e")
      [:escape]
      iex> MuonTrap.Top.Keys.finish("\\e[")
      []
  """
  @spec finish(binary()) :: [key()]
  def finish("\e"), do: [:escape]
  def finish(_bytes), do: []

  defp next(""), do: :more
  defp next("\e"), do: :more
  defp next("\e[" <> sequence), do: control_sequence(sequence, "")
  defp next("\eO"), do: :more
  defp next(<<"\eO", final::binary-1, rest::binary>>), do: {Map.get(@finals, final), rest}
  defp next("\e" <> rest), do: {:escape, rest}
  defp next(<<byte, rest::binary>>) when byte in [?\r, ?\n], do: {:enter, rest}
  defp next(<<byte, rest::binary>>) when byte in [?\b, 0x7F], do: {:backspace, rest}
  defp next(<<3, rest::binary>>), do: {:interrupt, rest}
  defp next(<<12, rest::binary>>), do: {:redraw, rest}
  defp next(<<byte, rest::binary>>) when byte < 0x20, do: {nil, rest}
  defp next(<<character::utf8, rest::binary>>), do: {{:char, <<character::utf8>>}, rest}
  # UTF-8 (RFC 3629): the first byte tells how many there are.
  defp next(<<byte>>) when byte in 0xC2..0xF4, do: :more
  defp next(<<byte, second>>) when byte in 0xE0..0xF4 and second in 0x80..0xBF, do: :more

  defp next(<<byte, second, third>>) when byte in 0xF0..0xF4 and second in 0x80..0xBF and third in 0x80..0xBF,
    do: :more

  defp next(<<_invalid, rest::binary>>), do: {nil, rest}

  defp control_sequence(_sequence, seen) when byte_size(seen) == @sequence_most, do: {nil, ""}
  defp control_sequence("", _seen), do: :more

  defp control_sequence(<<byte, rest::binary>>, seen) when byte in 0x20..0x3F,
    do: control_sequence(rest, seen <> <<byte>>)

  defp control_sequence(<<byte, rest::binary>>, seen), do: {Map.get(@finals, seen <> <<byte>>), rest}
end
