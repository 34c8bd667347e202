# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.LinesTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Lines

  defp feed(pieces, limit) do
    {lines, state} =
      Enum.reduce(pieces, {[], Lines.new(limit)}, fn piece, {lines, state} ->
        {more, state} = Lines.push(state, piece)
        {lines ++ more, state}
      end)

    lines ++ Lines.flush(state)
  end

  test "lines come whole, in whatever pieces they arrive" do
    text = "one\ntwo\n\nthree"

    for cut <- 0..byte_size(text) do
      {a, b} = String.split_at(text, cut)
      assert feed([a, b], 100) == ["one", "two", "", "three"]
    end

    assert feed(String.graphemes(text), 100) == ["one", "two", "", "three"]
  end

  test "a carriage return ends a line, and one before a newline is no part of it, in whatever pieces they arrive" do
    for {text, lines} <- [
          {"10%\r20%\rdone\n", ["10%", "20%", "done"]},
          {"one\r\ntwo\r\n\r\nthree\r\n", ["one", "two", "", "three"]},
          {"one\r\rtwo\n\rthree\r", ["one", "", "two", "", "three"]},
          {"one\r\n", ["one"]},
          {"\n\r\n\r", ["", "", ""]}
        ] do
      for cut <- 0..byte_size(text) do
        {a, b} = String.split_at(text, cut)
        assert feed([a, b], 100) == lines
      end

      assert feed(for(<<byte <- text>>, do: <<byte>>), 100) == lines
    end
  end

  test "a last line without newline is left for the end, an ended one is not" do
    assert feed(["a\nb"], 100) == ["a", "b"]
    assert feed(["a\nb\n"], 100) == ["a", "b"]
    assert feed([], 100) == []
  end

  test "a line over the limit comes in pieces and loses nothing" do
    assert feed(["abcdefgh\nij\n"], 3) == ["abc", "def", "gh", "ij"]
    assert feed(String.graphemes("abcdefgh\nij\n"), 3) == ["abc", "def", "gh", "ij"]
    assert feed(["abc", "\n"], 3) == ["abc"]
    assert feed(["abcdef", "\n"], 3) == ["abc", "def"]
  end

  test "a line is cut between characters where it is UTF-8, and anywhere where it is not" do
    assert feed(["ééééé\n"], 3) == ["é", "é", "é", "é", "é"]
    assert feed(["aéé\n"], 4) == ["aé", "é"]
    assert ["€€\n"] |> feed(2) |> Enum.join() == "€€"
    assert feed([String.duplicate(<<0x80>>, 10)], 4) |> Enum.map(&byte_size/1) == [4, 4, 2]
  end

  test "a line that is kept doesn't keep what came with it" do
    chunk = String.duplicate(String.duplicate("x", 99) <> "\n", 600)
    {lines, state} = Lines.push(Lines.new(1_000), chunk <> "rest")
    {whole, [piece]} = Lines.whole([], chunk <> "rest")
    assert length(lines) == 600
    assert whole == lines
    for kept <- [state.rest, piece | lines ++ whole], do: assert(:binary.referenced_byte_size(kept) <= 200)
  end

  test "lines without a limit come whole, in whatever pieces they arrive" do
    text = "one\ntwo\n\nthree"

    for cut <- 0..byte_size(text) do
      {a, b} = String.split_at(text, cut)
      {first, partial} = Lines.whole([], a)
      {second, partial} = Lines.whole(partial, b)
      assert first ++ second == ["one", "two", ""]
      assert partial |> Enum.reverse() |> Enum.join() == "three"
    end
  end

  test "what is kept is bounded by the limit" do
    {_lines, state} = Lines.push(Lines.new(10), String.duplicate("x", 1_000_000))
    assert byte_size(state.rest) <= 10
    assert :binary.referenced_byte_size(state.rest) <= 1_000
  end
end
