# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.HelperPort.Input do
  @moduledoc false
  # What waits to be sent to a program's standard input, under the credit that the helper gives (docs/protocol.md, "Input").
  # Pure: who calls it sends the frames and the replies that it returns.

  # The longest payload of a frame, which is the most credit that there can be.
  @frame_most 1_048_576

  # credit: bytes that may be sent. queue: who waits, with what is left to be sent of what it has written, the first one first.
  # state: :open; :ending when the end is to be sent after the queue; :closed when nothing is sent any more.
  defstruct credit: 0, queue: :queue.new(), state: :open

  @type t :: %__MODULE__{credit: non_neg_integer(), queue: :queue.queue(), state: :open | :ending | :closed}

  @typedoc "Whom to answer, and what"
  @type reply :: {GenServer.from(), :ok | {:error, :closed}}

  @type result :: {[MuonTrap.Protocol.command()], [reply()], t()}

  @doc """
  Nothing has been written yet. What isn't relayed is closed from the start.
  """
  @spec new(boolean()) :: t()
  def new(relayed?), do: %__MODULE__{state: if(relayed?, do: :open, else: :closed)}

  @doc """
  Send it as soon as there is credit. The writer is answered when all has been sent, or can't be any more.
  """
  @spec write(t(), GenServer.from(), iodata(), reference()) :: result()
  def write(%{state: :open} = input, from, data, reference),
    do: send_some(%{input | queue: :queue.in({{from, reference}, :erlang.iolist_to_iovec(data)}, input.queue)}, [], [])

  def write(input, from, _data, _reference), do: {[], [{from, {:error, :closed}}], input}

  @doc """
  Send nothing more of what was written with that reference
  """
  @spec give_up(t(), reference()) :: result()
  def give_up(input, reference) do
    left = for {{_from, other}, _pieces} = write <- :queue.to_list(input.queue), other != reference, do: write
    send_some(%{input | queue: :queue.from_list(left)}, [], [])
  end

  @doc """
  So many bytes more may be sent
  """
  @spec credit(t(), pos_integer()) :: result()
  def credit(input, bytes), do: send_some(%{input | credit: input.credit + bytes}, [], [])

  @doc """
  Send the end after all that waits
  """
  @spec finish(t()) :: result()
  def finish(%{state: :open} = input), do: send_some(%{input | state: :ending}, [], [])
  def finish(input), do: {[], [], input}

  @doc """
  Nobody reads it any more
  """
  @spec close(t()) :: result()
  def close(input) do
    replies = for {{from, _reference}, _left} <- :queue.to_list(input.queue), do: {from, {:error, :closed}}
    {[], replies, %{input | state: :closed, queue: :queue.new()}}
  end

  defp send_some(input, frames, replies) do
    case :queue.out(input.queue) do
      {{:value, {{from, _reference}, []}}, queue} ->
        send_some(%{input | queue: queue}, frames, [{from, :ok} | replies])

      {{:value, {writer, pieces}}, queue} when input.credit > 0 ->
        {taken, size, left} = take(pieces, min(input.credit, @frame_most), [], 0)
        input = %{input | credit: input.credit - size, queue: :queue.in_r({writer, left}, queue)}
        send_some(input, [{:input, taken} | frames], replies)

      {:empty, _queue} when input.state == :ending ->
        {Enum.reverse([:end_of_input | frames]), Enum.reverse(replies), %{input | state: :closed}}

      _none ->
        {Enum.reverse(frames), Enum.reverse(replies), input}
    end
  end

  defp take([piece | pieces], most, taken, size) when byte_size(piece) <= most,
    do: take(pieces, most - byte_size(piece), [piece | taken], size + byte_size(piece))

  defp take([], _most, taken, size), do: {Enum.reverse(taken), size, []}
  defp take(pieces, 0, taken, size), do: {Enum.reverse(taken), size, pieces}

  defp take([piece | pieces], most, taken, size) do
    <<part::binary-size(most), rest::binary>> = piece
    {Enum.reverse([part | taken]), size + most, [rest | pieces]}
  end
end
