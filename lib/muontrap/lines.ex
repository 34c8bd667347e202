# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Lines do
  @moduledoc false
  # Splits output into lines, whatever the pieces it comes in. Pure. A line longer than the limit comes in pieces of that
  # length, so that a program that never ends a line costs no more memory than that.

  @enforce_keys [:limit]
  defstruct [:limit, rest: ""]

  @type t :: %__MODULE__{limit: pos_integer(), rest: binary()}

  @doc """
  No output yet; lines of at most `limit` bytes
  """
  @spec new(pos_integer()) :: t()
  def new(limit), do: %__MODULE__{limit: limit}

  @doc """
  The lines that are complete with `data`, without their newlines
  """
  @spec push(t(), binary()) :: {[binary()], t()}
  def push(%__MODULE__{limit: limit} = lines, data) do
    {complete, [last]} =
      (lines.rest <> data)
      |> :binary.split("\n", [:global])
      |> Enum.split(-1)

    {pieces, rest} = cut_unfinished(last, limit, [])
    # A copy, because a part of a binary keeps the whole of it in memory.
    {Enum.flat_map(complete, &cut(&1, limit)) ++ pieces, %{lines | rest: :binary.copy(rest)}}
  end

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
