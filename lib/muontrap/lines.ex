# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Lines do
  @moduledoc false
  # Splits output into lines, whatever the pieces it comes in. Pure. A line longer than the limit comes in pieces of that
  # length, so that a program that never ends a line costs no more memory than that.
  #
  # A line ends with a newline, a carriage return, or one and then the other. A carriage return alone is what a program
  # writes that shows its progress in a line of a terminal, which it writes again and again.

  @enforce_keys [:limit]
  defstruct [:limit, rest: "", after_return: false]

  @typedoc "`rest` is the line that has no end yet; `after_return` says whether a newline that comes next is no other end"
  @type t :: %__MODULE__{limit: pos_integer(), rest: binary(), after_return: boolean()}

  @doc """
  No output yet; lines of at most `limit` bytes
  """
  @spec new(pos_integer()) :: t()
  def new(limit), do: %__MODULE__{limit: limit}

  @doc """
  The lines that are complete with `data`, without what ends them
  """
  @spec push(t(), binary()) :: {[binary()], t()}
  def push(%__MODULE__{after_return: true} = lines, "\n" <> data), do: push(%{lines | after_return: false}, data)

  def push(%__MODULE__{limit: limit} = lines, data) do
    {complete, rest} = (lines.rest <> data) |> :binary.split(ends(data), [:global]) |> complete(limit, [])
    {complete, %{lines | rest: own(rest), after_return: after_return?(lines, data)}}
  end

  # In one go through what may be thousands of lines.
  defp complete([last], limit, done) do
    {pieces, rest} = cut_unfinished(last, limit, [])
    {:lists.reverse(done, Enum.map(pieces, &own/1)), rest}
  end

  defp complete([line | others], limit, done) when byte_size(line) <= limit,
    do: complete(others, limit, [own(line) | done])

  defp complete([line | others], limit, done),
    do: complete(others, limit, Enum.reduce(cut(line, limit), done, &[own(&1) | &2]))

  # The search for one is several times as fast as that for the first of three. Where several match, the longest does.
  defp ends(data), do: if(:binary.match(data, "\r") == :nomatch, do: "\n", else: ["\r\n", "\r", "\n"])

  defp after_return?(lines, ""), do: lines.after_return
  defp after_return?(_lines, data), do: :binary.last(data) == ?\r

  # A part of a binary keeps the whole of it in memory, which a line that is kept for long must not do to all that came with
  # it. A line that is most of the binary is left as it is.
  defp own(part) do
    if 2 * byte_size(part) < :binary.referenced_byte_size(part), do: :binary.copy(part), else: part
  end

  @doc """
  The lines that are complete with `data`, however long they are, and what has come of the one after them

  That is a list of pieces, the last one first, so that a line that comes in many pieces isn't put together anew with each.
  """
  @spec whole([binary()], binary()) :: {[binary()], [binary()]}
  def whole(partial, data) do
    case :binary.split(data, "\n", [:global]) do
      [piece] ->
        {[], add_piece(partial, piece)}

      [end_of_first | others] ->
        {complete, [piece]} = Enum.split(others, -1)
        first = [end_of_first | partial] |> Enum.reverse() |> IO.iodata_to_binary()
        {[own(first) | Enum.map(complete, &own/1)], add_piece([], piece)}
    end
  end

  defp add_piece(partial, ""), do: partial
  defp add_piece(partial, piece), do: [own(piece) | partial]

  @doc """
  What is left when the output has ended: a line without its newline, or none
  """
  @spec flush(t()) :: [binary()]
  def flush(%__MODULE__{rest: ""}), do: []
  def flush(%__MODULE__{rest: rest}), do: [rest]

  @doc """
  A line in pieces of at most `limit` bytes, cut between characters where it is UTF-8
  """
  @spec cut(binary(), pos_integer()) :: [binary()]
  def cut(line, limit) do
    {pieces, rest} = cut_unfinished(line, limit, [])
    pieces ++ [rest]
  end

  # A piece is cut off only when more than it is there: what fits may still get its newline.
  defp cut_unfinished(line, limit, pieces) when byte_size(line) <= limit, do: {Enum.reverse(pieces), line}

  defp cut_unfinished(line, limit, pieces) do
    size = between_characters(line, limit, limit)
    <<piece::binary-size(size), rest::binary>> = line
    cut_unfinished(rest, limit, [piece | pieces])
  end

  # RFC 3629: a byte 10xxxxxx continues a character, which has three such bytes at the most.
  defp between_characters(line, at, limit) do
    cond do
      at == 0 or limit - at > 3 -> limit
      Bitwise.band(:binary.at(line, at), 0b11000000) == 0b10000000 -> between_characters(line, at - 1, limit)
      true -> at
    end
  end
end
