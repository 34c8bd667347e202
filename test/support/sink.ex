# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Sink do
  @moduledoc false
  # A collectable that hands each piece of output to a function and keeps the number of bytes.
  defstruct bytes: 0, with: nil

  defimpl Collectable do
    def into(sink), do: {sink, &collect/2}

    defp collect(sink, {:cont, data}) do
      if sink.with, do: sink.with.(data)
      %{sink | bytes: sink.bytes + byte_size(data)}
    end

    defp collect(sink, :done), do: sink
    defp collect(_sink, :halt), do: :ok
  end
end
