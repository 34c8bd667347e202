# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.Figures do
  @moduledoc false
  # Figures as words of a few columns, and other people's words as such that can't steer a terminal. All is printable ASCII. Pure.

  @units ["", "K", "M", "G", "T", "P", "E"]

  @doc """
  Bytes in at most four columns; the units are powers of 1,024

      iex> for n <- [999, 1000, 1536, 123_456_789, nil], do: MuonTrap.Top.Figures.bytes(n)
      ["999", "1.0K", "1.5K", "118M", "-"]
  """
  @spec bytes(number() | nil) :: String.t()
  def bytes(nil), do: "-"
  def bytes(number), do: bytes(number, @units)

  defp bytes(number, [_unit | units]) when number >= 999.5 and units != [], do: smaller(number / 1024, units)
  defp bytes(number, [unit | _units]), do: "#{round(number)}#{unit}"

  defp smaller(number, [unit | _units]) when number < 9.95, do: decimals(number, 1) <> unit
  defp smaller(number, units), do: bytes(number, units)

  @doc """
  A share of one processor

      iex> for n <- [0.0, 99.96, 1234.5, nil], do: MuonTrap.Top.Figures.percent(n)
      ["0.0", "100.0", "1235", "-"]
  """
  @spec percent(float() | nil) :: String.t()
  def percent(nil), do: "-"
  def percent(number) when number < 999.95, do: decimals(number, 1)
  def percent(number), do: "#{round(number)}"

  @doc """
  Processor time, in microseconds, as minutes, seconds and hundredths, or hours and minutes

      iex> for n <- [83_456_789, 6_000_000_000, nil], do: MuonTrap.Top.Figures.time(n)
      ["1:23.45", "1h40m", "-"]
  """
  @spec time(non_neg_integer() | nil) :: String.t()
  def time(nil), do: "-"

  def time(us) do
    hundredths = div(us, 10_000)
    minutes = div(hundredths, 6_000)

    if minutes < 100,
      do: "#{minutes}:#{two(div(rem(hundredths, 6_000), 100))}.#{two(rem(hundredths, 100))}",
      else: "#{div(minutes, 60)}h#{two(rem(minutes, 60))}m"
  end

  @doc """
  How long something has lasted, in seconds, in at most six columns

      iex> for n <- [59, 754, 11_100, 273_600, 8_640_000, -1], do: MuonTrap.Top.Figures.age(n)
      ["59s", "12m34s", "3h05m", "3d04h", "100d", "0s"]
  """
  @spec age(integer()) :: String.t()
  def age(s) when s < 0, do: "0s"
  def age(s) when s < 60, do: "#{s}s"
  def age(s) when s < 3_600, do: "#{div(s, 60)}m#{two(rem(s, 60))}s"
  def age(s) when s < 86_400, do: "#{div(s, 3_600)}h#{two(div(rem(s, 3_600), 60))}m"
  def age(s) when s < 8_640_000, do: "#{div(s, 86_400)}d#{two(div(rem(s, 86_400), 3_600))}h"
  def age(s), do: "#{div(s, 86_400)}d"

  @doc """
  Milliseconds as seconds

      iex> for n <- [100, 1_000, 2_500], do: MuonTrap.Top.Figures.seconds(n)
      ["0.1 s", "1 s", "2.5 s"]
  """
  @spec seconds(pos_integer()) :: String.t()
  def seconds(ms) when rem(ms, 1_000) == 0, do: "#{div(ms, 1_000)} s"
  def seconds(ms), do: "#{:erlang.float_to_binary(ms / 1_000, [:compact, decimals: 3])} s"

  @doc """
  A program and its arguments, as a shell would read most of them

      iex> MuonTrap.Top.Figures.command_line("sh", ["-c", "echo\\ta b", ""])
      "sh -c 'echo\\\\ta b' ''"
  """
  @spec command_line(String.t(), [String.t()]) :: String.t()
  def command_line(command, args), do: Enum.map_join([command | args], " ", &word/1)

  defp word(word), do: if(word =~ ~r/\A[!#-&(-~]+\z/, do: word, else: "'" <> escape(word) <> "'")

  @doc """
  What isn't printable ASCII is written as in Elixir's strings

      iex> MuonTrap.Top.Figures.escape("a\\e[2Jü" <> <<255>>)
      "a\\\\e[2J\\\\u00FC\\\\xFF"
  """
  @spec escape(String.t()) :: String.t()
  def escape(text), do: escape(text, [])

  defp escape("", done), do: done |> Enum.reverse() |> IO.iodata_to_binary()
  defp escape("\\" <> rest, done), do: escape(rest, ["\\\\" | done])
  defp escape(<<byte, rest::binary>>, done) when byte in 0x20..0x7E, do: escape(rest, [byte | done])
  defp escape("\n" <> rest, done), do: escape(rest, ["\\n" | done])
  defp escape("\r" <> rest, done), do: escape(rest, ["\\r" | done])
  defp escape("\t" <> rest, done), do: escape(rest, ["\\t" | done])
  defp escape("\e" <> rest, done), do: escape(rest, ["\\e" | done])
  defp escape(<<byte, rest::binary>>, done) when byte < 0x80, do: escape(rest, ["\\x" <> hex(byte, 2) | done])
  defp escape(<<c::utf8, rest::binary>>, done) when c < 0x10000, do: escape(rest, ["\\u" <> hex(c, 4) | done])
  defp escape(<<c::utf8, rest::binary>>, done), do: escape(rest, ["\\u{" <> hex(c, 5) <> "}" | done])
  defp escape(<<byte, rest::binary>>, done), do: escape(rest, ["\\x" <> hex(byte, 2) | done])

  defp hex(number, digits), do: number |> Integer.to_string(16) |> String.pad_leading(digits, "0")
  defp two(number), do: number |> Integer.to_string() |> String.pad_leading(2, "0")
  defp decimals(number, count), do: :erlang.float_to_binary(number * 1.0, decimals: count)
end
