# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Hash do
  @moduledoc false
  # A collectable that keeps of what it gets only how much it was, and its SHA-256.
  defstruct bytes: 0, sha256: nil

  defimpl Collectable do
    def into(_hash) do
      {{0, :crypto.hash_init(:sha256)},
       fn
         {bytes, state}, {:cont, data} -> {bytes + byte_size(data), :crypto.hash_update(state, data)}
         {bytes, state}, :done -> %{bytes: bytes, sha256: Base.encode16(:crypto.hash_final(state), case: :lower)}
         _state, :halt -> :ok
       end}
    end
  end
end
