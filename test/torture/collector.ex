# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Torture.Collector do
  @moduledoc false
  # A collectable that may be slow, for its first pieces, or raise; and is slower when it has very much.
  defstruct bytes: 0, pieces: 0, stdout: [], stderr: [], slow: 0, raises_after: nil

  @much 16_000_000

  @doc "With one piece more"
  def add(collector, item) do
    {stream, data} = if is_binary(item), do: {:stdout, item}, else: item
    bytes = collector.bytes + byte_size(data)
    if collector.raises_after != nil and bytes > collector.raises_after, do: raise("collector")
    if collector.slow > 0 and collector.pieces < 300, do: Process.sleep(collector.slow)
    if bytes > @much, do: Process.sleep(20)
    collector = Map.update!(collector, stream, &[data | &1])
    %{collector | bytes: bytes, pieces: collector.pieces + 1}
  end

  @doc "All that came, by streams"
  def outputs(collector) do
    for stream <- [:stdout, :stderr], into: %{} do
      {stream, collector |> Map.fetch!(stream) |> Enum.reverse() |> IO.iodata_to_binary()}
    end
  end

  defimpl Collectable do
    def into(collector), do: {collector, &collect/2}

    defp collect(collector, {:cont, data}), do: MuonTrap.Torture.Collector.add(collector, data)
    defp collect(collector, :done), do: collector
    defp collect(_collector, :halt), do: :ok
  end
end
