# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Top.KeysTest do
  use ExUnit.Case, async: true

  alias MuonTrap.Top.Keys

  doctest Keys

  test "each key that terminals have for it is known" do
    for {key, sequences} <- [
          up: ["\e[A", "\eOA"],
          down: ["\e[B", "\eOB"],
          home: ["\e[H", "\eOH", "\e[1~", "\e[7~"],
          end: ["\e[F", "\eOF", "\e[4~", "\e[8~"],
          page_up: ["\e[5~"],
          page_down: ["\e[6~"],
          help: ["\eOP", "\e[11~"],
          signal: ["\e[20~"],
          enter: ["\r", "\n"],
          backspace: ["\b", "\d"],
          interrupt: [<<3>>],
          redraw: [<<12>>]
        ],
        sequence <- sequences do
      assert Keys.parse(sequence <> "q") == {[key, {:char, "q"}], ""}
      # However its bytes come.
      assert one_by_one(sequence) == {[key], ""}
    end
  end

  defp one_by_one(bytes) do
    for <<byte <- bytes>>, reduce: {[], ""} do
      {keys, rest} ->
        {more, rest} = Keys.parse(rest <> <<byte>>)
        {keys ++ more, rest}
    end
  end

  test "characters come whole" do
    for character <- ["a", "ü", "€", "𝄞"] do
      assert Keys.parse(character) == {[{:char, character}], ""}
      assert one_by_one(character) == {[{:char, character}], ""}
    end
  end

  test "what is no key, and no text, is passed over" do
    for bytes <- ["\e[31~", "\e[1;5Z", "\eOZ", <<0>>, <<7>>, <<0xFF>>, <<0xC3, ?q>> |> binary_part(0, 1)] do
      assert {keys, _rest} = Keys.parse(bytes)
      assert keys == []
    end

    assert Keys.parse(<<0xC3, ?q>>) == {[{:char, "q"}], ""}
    assert Keys.parse(<<0xE2, 0x82, ?q>>) == {[{:char, "q"}], ""}
    assert Keys.parse(<<0xF0, 0x9D, 0x84, ?q>>) == {[{:char, "q"}], ""}
    assert Keys.parse(<<0xE2, ?q>>) == {[{:char, "q"}], ""}
  end

  test "an escape before another key is the escape key" do
    assert Keys.parse("\eq") == {[:escape, {:char, "q"}], ""}
    assert Keys.parse("\e\e[A") == {[:escape, :up], ""}
    assert Keys.parse("\e") == {[], "\e"}
    assert Keys.finish("\e") == [:escape]
    assert Keys.finish(<<0xC3>>) == []
  end

  test "no beginning of a key becomes longer and longer" do
    {_keys, rest} = one_by_one("\e[" <> String.duplicate("1", 10_000))
    assert byte_size(rest) < 20
  end
end
