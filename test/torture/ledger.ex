# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Ledger do
  @moduledoc false
  # What the processes of a case have written down (ledger.h), and what of their output has arrived.

  @processes 64
  @size 64 + 128 * @processes
  @incarnations 8
  @period 131_071
  @piece_most 65_536
  @header 19

  @doc "Empty ledgers, for all programs of a case that are started one after the other. Returns their path"
  @spec create!(Path.t()) :: Path.t()
  def create!(directory) do
    path = Path.join(directory, "ledger")

    for incarnation <- 0..(@incarnations - 1) do
      file = "#{path}.#{incarnation}"
      File.write!(file, <<0::size(@size)-unit(8)>>)
      File.chmod!(file, 0o666)
    end

    path
  end

  @doc "Those that are in use"
  @spec read(Path.t()) :: [map()]
  def read(path) do
    for incarnation <- 0..(@incarnations - 1),
        <<claimed::little-32, relay::little-32, relay_started::little-64, keeper::little-32, overlap::little-32,
          keeper_started::little-64, _spare::binary-32, processes::binary>> <- [File.read!("#{path}.#{incarnation}")],
        claimed != 0 do
      %{
        incarnation: incarnation,
        relay: {relay, relay_started},
        keeper: {keeper, keeper_started},
        overlap: overlap,
        processes: processes(processes)
      }
    end
  end

  defp processes(bytes) do
    for {<<pid::little-32, act::little-32, done::little-32, error::little-32, started::little-64, written1::little-64,
           written2::little-64, writing1::little-32, writing2::little-32, read::little-64, bad_input::little-32,
           _rest::binary>>, number} <- Enum.with_index(for <<process::binary-128 <- bytes>>, do: process),
        pid != 0,
        into: %{} do
      {number,
       %{
         pid: pid,
         act: act,
         done: done != 0,
         error: error,
         started: started,
         written: %{1 => written1, 2 => written2},
         writing: %{1 => writing1, 2 => writing2},
         read: read,
         bad_input: bad_input != 0
       }}
    end
  end

  @doc "Whether the root of the first program runs, or has run"
  @spec started?(Path.t()) :: boolean()
  def started?(path) do
    {:ok, pid} =
      File.open("#{path}.0", [:read, :raw, :binary], fn file ->
        {:ok, <<pid::little-32>>} = :file.pread(file, 64, 4)
        pid
      end)

    pid != 0
  end

  @doc "What standard input holds, up to so many bytes"
  @spec input(non_neg_integer()) :: binary()
  def input(size) do
    period = binary_part(pattern(), 0, @period)
    period |> :binary.copy(div(size, @period) + 1) |> binary_part(0, size)
  end

  @doc """
  How many bytes of each stream of each process have arrived, `{incarnation, number, stream} => bytes`, or what is wrong with them

  They have to be complete from the first byte on. What comes last may be cut.
  """
  @spec arrived(binary()) :: {:ok, map()} | {:error, String.t()}
  def arrived(output), do: arrived(output, 0, %{})

  @doc """
  The same of what came in lines, which have lost their newlines, of one program after the other: of each stream
  """
  @spec arrived_lines([binary() | {:stdout | :stderr, binary()}]) :: %{stdout: term(), stderr: term()}
  def arrived_lines(lines) do
    tagged = for line <- lines, do: if(is_binary(line), do: {:stdout, line}, else: line)

    for name <- [:stdout, :stderr], into: %{} do
      outcomes =
        for({^name, line} <- tagged, do: line)
        |> Enum.group_by(&binary_part(&1, 0, min(2, byte_size(&1))))
        |> Enum.map(fn {_incarnation, lines} -> lines |> Enum.map_join(&with_end/1) |> arrived() end)

      wrong = Enum.find(outcomes, &match?({:error, _what}, &1))
      {name, wrong || {:ok, for({:ok, streams} <- outcomes, one <- streams, into: %{}, do: one)}}
    end
  end

  # A last line may have been cut.
  defp with_end(<<"R", _which::binary-14, payload::binary-4, rest::binary>> = line) do
    if Integer.parse(payload, 16) == {byte_size(rest), ""}, do: line <> "\n", else: line
  end

  defp with_end(line), do: line

  defp arrived(output, at, streams) do
    case output do
      <<_before::binary-size(at), "R", incarnation::binary-1, number::binary-2, stream::binary-1, offset::binary-10,
        payload::binary-4, _rest::binary>> ->
        with {:ok, key} <- key(incarnation, number, stream),
             {offset, ""} <- Integer.parse(offset, 16),
             {payload, ""} <- Integer.parse(payload, 16),
             do: piece(output, at, streams, key, offset, payload),
             else: (_ -> wrong(output, at, "has no header of a piece"))

      <<_before::binary-size(at), rest::binary>> when byte_size(rest) < @header ->
        tail(rest, at, streams)

      _other ->
        wrong(output, at, "is where a piece should begin")
    end
  end

  defp key(incarnation, number, stream) do
    with {incarnation, ""} <- Integer.parse(incarnation, 16),
         {number, ""} <- Integer.parse(number, 16),
         {stream, ""} when stream in [1, 2] <- Integer.parse(stream),
         do: {:ok, {incarnation, number, stream}}
  end

  defp piece(output, at, streams, {_incarnation, number, stream} = key, offset, payload) do
    expected = Map.get(streams, key, 0)
    there = min(payload, byte_size(output) - at - @header)
    start = rem(offset + 7_919 * number + 31_337 * stream, @period)

    cond do
      offset != expected ->
        wrong(output, at, "is of the offset #{offset} of #{inspect(key)}, of which #{expected} bytes have come before")

      binary_part(output, at + @header, there) != binary_part(pattern(), start, there) ->
        wrong(output, at, "has other bytes than were written")

      byte_size(output) - at - @header <= payload ->
        {:ok, Map.put(streams, key, offset + byte_size(output) - at)}

      :binary.at(output, at + @header + payload) != ?\n ->
        wrong(output, at, "has no end")

      true ->
        size = @header + payload + 1
        arrived(output, at + size, Map.put(streams, key, offset + size))
    end
  end

  # A header that is cut.
  defp tail("", _at, streams), do: {:ok, streams}

  defp tail(<<"R", incarnation::binary-1, number::binary-2, stream::binary-1, _rest::binary>> = tail, _at, streams) do
    with {:ok, key} <- key(incarnation, number, stream),
         do: {:ok, Map.update(streams, key, byte_size(tail), &(&1 + byte_size(tail)))},
         else: (_ -> {:error, "ends with #{inspect(tail)}"})
  end

  # Of whom it is isn't there any more.
  defp tail("R" <> _rest, _at, streams), do: {:ok, streams}
  defp tail(tail, _at, _streams), do: {:error, "ends with #{inspect(tail)}"}

  defp wrong(output, at, what) do
    shown = binary_part(output, at, min(60, byte_size(output) - at))
    {:error, "what came as byte #{at} of #{byte_size(output)} #{what}: #{inspect(shown)}"}
  end

  defp pattern() do
    with nil <- :persistent_term.get(__MODULE__, nil) do
      {bytes, _state} =
        Enum.map_reduce(1..@period, 1, fn _index, state ->
          state = Bitwise.band(state * 1_103_515_245 + 12_345, 0x7FFFFFFF)
          {33 + rem(Bitwise.bsr(state, 16), 94), state}
        end)

      period = :binary.list_to_bin(bytes)
      pattern = period <> binary_part(period, 0, @piece_most)
      :persistent_term.put(__MODULE__, pattern)
      pattern
    end
  end
end
