# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.FiguresTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Top.Figures

  doctest Figures

  test "bytes never take more than four columns" do
    for power <- 0..63, near <- -1..1, number = Integer.pow(2, power) + near, number >= 0 do
      assert byte_size(Figures.bytes(number)) <= 4
    end

    for number <- [995, 999, 999.4, 999.6, 10_188, 10_189, 10_190, 1_023_487, 1_023_488, 1_047_527_423] do
      assert byte_size(Figures.bytes(number)) <= 4, "#{number} is #{Figures.bytes(number)}"
    end

    assert Figures.bytes(1024) == "1.0K"
    assert Figures.bytes(10_240) == "10K"
    assert Figures.bytes(Integer.pow(2, 62)) == "4.0E"
    assert Figures.bytes(0.4) == "0"
  end

  test "times and ages have the columns that they have in the table" do
    for us <- [0, 9_999, 10_000, 59_999_999, 60_000_000, 5_999_990_000, 6_000_000_000, 3_600_000_000 * 99_999],
        do: assert(byte_size(Figures.time(us)) <= 9)

    assert Figures.time(5_999_990_000) == "99:59.99"

    for s <- [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 8_639_999, 8_640_000, 8_640_000 * 900],
        do: assert(byte_size(Figures.age(s)) <= 6)
  end

  test "nothing that isn't printable ASCII is left" do
    every_byte = for byte <- 0..255, into: "", do: <<byte>>
    some_text = for code <- [0x80, 0x9B, 0xA0, 0x200B, 0x202E, 0x2028, 0xFFFD, 0x1F600], into: "", do: <<code::utf8>>

    for text <- [every_byte, some_text, "a\nb\r\t\e]0;title\a"] do
      assert Figures.escape(text) =~ ~r/\A[ -~]*\z/
      assert Figures.command_line(text, [text]) =~ ~r/\A[ -~]*\z/
    end

    assert Figures.escape("\n\r\t\a😀\\") == "\\n\\r\\t\\x07\\u{1F600}\\\\"
  end

  test "words with blanks and quotes are quoted" do
    assert Figures.command_line("sleep", ["10"]) == "sleep 10"
    assert Figures.command_line("a b", ["--x=(1)", "", "it's"]) == "'a b' --x=(1) '' 'it's'"
  end
end
