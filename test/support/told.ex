# SPDX-FileCopyrightText: The MuonTrap contributors
# SPDX-License-Identifier: Apache-2.0

defmodule MuonTrap.Test.Told do
  @moduledoc false
  # A collectable that tells a process what it is called with.
  defstruct [:test]

  defimpl Collectable do
    def into(told) do
      {told,
       fn told, command ->
         send(told.test, command)
         told
       end}
    end
  end
end
